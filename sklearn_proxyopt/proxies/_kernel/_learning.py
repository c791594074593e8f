"""From the samples of one target to the processes that are stacked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from sklearn_proxyopt.proxies._kernel._covariances import COVARIANCES, Covariance
from sklearn_proxyopt.proxies._kernel._inducing import InducedKriging, choose_inducing
from sklearn_proxyopt.proxies._kernel._kriging import (
    Kriging,
    Observations,
    learn_settings,
    likelihood,
    settings_prior,
)
from sklearn_proxyopt.proxies._kernel._noise import NOTHING_KNOWN, NoiseFacts, Repeats
from sklearn_proxyopt.proxies._kernel._preparing import PreparedRows
from sklearn_proxyopt.proxies._kernel._process import (
    Design,
    ExactProcess,
    InducedProcess,
    Process,
)
from sklearn_proxyopt.proxies._kernel._stack import LeftOut, Stack, Uncertainty
from sklearn_proxyopt.proxies._kernel._warps import IdentityWarp, Warp, warps_for
from sklearn_proxyopt.proxies._noise_std import GivenNoise
from sklearn_proxyopt.proxies._trend import PolynomialBasis, Trend, candidate_trends

__all__ = ["MAX_ROWS", "Plan", "Target", "learn_stack", "predicted_left_out", "targets_of"]

# Up to so many samples all processes learn from all of them; beyond, settings are learned on a
# subset of as many, and so many processes go on to all samples.
_MAX_ROWS_TO_CHOOSE, _N_KEPT = 500, 3
# Inducing points are fitted to so many samples at most.
MAX_ROWS = 50_000
# What samples leave is taken for noise if it has at least so large a share of the variance of
# values, and if the logarithm of the likelihood is so much lower with this share of it. A function
# may then vary over this share of the distance between neighbors, and no faster.
_LEAST_NOISE, _LITTLE_NOISE, _EVIDENCE, _SHORTEST = 1e-4, 1e-2, 3.0, 0.5
# Sums of functions of one variable each take a matrix of the rows for every one: of more variables
# than this they are not tried.
_MOST_ADDITIVE = 100
_FEW_ROWS = 3
_LOG_NOISE_OF_FEW = -12.0


@dataclass(frozen=True)
class Plan:
    """How processes are learned.

    Parameters
    ----------
    trend : str
        Name of the trend that is tried as a mean, or "auto".
    max_exact_rows : int
        With more samples, points are compared with inducing points.
    n_inducing : int
        How many of them.
    smallest_noise : float
        Lower limit of the noise ratio.
    """

    trend: str
    max_exact_rows: int
    n_inducing: int
    smallest_noise: float


@dataclass(frozen=True)
class Target:
    """The samples of one target.

    Parameters
    ----------
    rows : Tensor of shape (n, n_features)
        Samples scaled to [-1, 1].
    values : Tensor of shape (n,)
        Values with zero mean and unit spread.
    weight : Tensor of shape (n,)
        Weights with mean one; the variance of the noise is divided by them.
    repeats : Repeats, default=None
        How repeated samples scatter; None where that does not count.
    noise : float, default=0.0
        Variance of the noise of weight one. None lets it be learned; 0 says that values are exact.
    """

    rows: Tensor
    values: Tensor
    weight: Tensor
    repeats: Repeats | None = None
    noise: float | None = 0.0

    def sample(self, n_rows: int, generator: torch.Generator) -> Target:
        """Return so many samples in random order, with weights of mean one."""
        if n_rows >= len(self.rows):
            return self
        return self._subset(self.order(generator)[:n_rows])

    def _subset(self, which: Tensor) -> Target:
        which = which.to(self.rows.device)
        weight = self.weight[which]
        one = float(weight.mean())
        return Target(
            self.rows[which],
            self.values[which],
            weight / one,
            None if self.repeats is None else self.repeats.subset(which, one),
            None if self.noise is None else self.noise / one,
        )

    @property
    def known_noise(self) -> float:
        """Variance of the noise of weight one by itself, as given or as repeats scatter."""
        if self.noise is not None:
            return self.noise
        return 0.0 if self.repeats is None else self.repeats.variance

    @property
    def learns_noise(self) -> bool:
        """Whether only the likelihood tells of the noise."""
        return self.noise is None and (self.repeats is None or not self.repeats.are_there)

    def order(self, generator: torch.Generator) -> Tensor:
        """Return the places of the samples in random order."""
        order = torch.randperm(len(self.rows), generator=generator, device="cpu")
        return order.to(self.rows.device)

    def covariance(self, kind: str) -> Covariance:
        """Return a covariance of so many variables."""
        return COVARIANCES[kind](self.rows.shape[1])

    def observed(self, basis: nn.Module, warp: Warp) -> Observations:
        """Return what a process of warped values about a mean of such functions learns from."""
        warped = warp(self.values)
        weight, noise = self.told(warp, warped)
        return Observations(self.rows, warped, weight, basis(self.rows), noise)

    def told(self, warp: Warp, warped: Tensor) -> tuple[Tensor, NoiseFacts]:
        """Return weights of warped values, and what is known of their noise."""
        if self.noise:
            weight = self.weight * warp.slope_back(warped).square()
            one = float(weight.mean())
            return weight / one, NoiseFacts(floor=self.noise / one)
        if self.noise is None and self.repeats is not None:
            return self.weight, self.repeats.facts(warp.slope_back(warped))
        return self.weight, NOTHING_KNOWN


@dataclass(frozen=True)
class _Fit:
    """A fitted process with what it says of samples left out."""

    design: Design
    kriging: Kriging | InducedKriging
    warped: Tensor
    process: Process

    @property
    def n_parameters(self) -> int:
        return len(self.kriging.settings)

    def noise_variance(self, is_noise: bool) -> float:
        """Return the variance of the noise of weight one, in the units of the target.

        Parameters
        ----------
        is_noise : bool
            Whether all that samples leave is taken for noise.
        """
        share = 1.0 if is_noise else 1.0 - self.process.ripples
        slopes = self.design.warp.slope_back(self.warped)
        return share * self.kriging.noise_variance * float(slopes.square().log().mean().exp())

    def left_out(self) -> tuple[Tensor, Tensor]:
        """Return predictions and standard deviations (n,), in the units of the target."""
        process, without = self.process, self.warped - self.kriging.errors
        return process.back(without), process.deviation_back(without, self.kriging.spreads)


def targets_of(prepared: PreparedRows, noise: GivenNoise, device: torch.device) -> Iterator[Target]:
    """Yield what processes learn, on a device."""
    of_targets = (prepared.values, prepared.weight, prepared.squares)
    rows, degrees = (torch.from_numpy(one).to(device) for one in (prepared.rows, prepared.degrees))
    for place, arrays in enumerate(zip(*of_targets, strict=True)):
        values, weight, squares = (torch.from_numpy(one).to(device) for one in arrays)
        variance = None
        if noise.std is not None:
            share = noise.std[place] / prepared.spread[place]
            variance = float(share**2 * noise.average / prepared.one[place])
        yield Target(rows, values, weight, Repeats(squares, degrees), variance)


def learn_stack(target: Target, plan: Plan, generator: torch.Generator) -> Stack:
    """Learn processes of several designs and weigh them by their errors at samples left out.

    Parameters
    ----------
    target : Target
        The samples.
    plan : Plan
        How.
    generator : torch.Generator
        Draws the subsets, on the CPU.

    Returns
    -------
    Stack
        The processes.
    """
    if _tells_little(target):
        return _of_few(target)
    return _stacked(*_fits(target, plan, generator))


def predicted_left_out(target: Target, plan: Plan, generator: torch.Generator) -> Tensor:
    """Return what a stack predicts of samples left out, (n,), of which there are not too many."""
    if _tells_little(target):
        return target.values.mean().expand(len(target.values))
    fits, target, _ = _fits(target, plan, generator)
    left_out = _left_out(fits, target)
    return left_out.weights() @ left_out.values


def _tells_little(target: Target) -> bool:
    return len(target.rows) < _FEW_ROWS or not bool(target.values.std(correction=0) > 0)


def _fits(
    target: Target, plan: Plan, generator: torch.Generator
) -> tuple[list[_Fit], Target, bool]:
    """Return processes, the samples they learned, and whether what these leave is noise."""
    sample = target.sample(_MAX_ROWS_TO_CHOOSE, generator)
    order = sample.order(generator)

    def learned(design: Design, near: Tensor | None = None) -> _Fit:
        rows = sample.observed(design.basis, design.warp)
        return _learned(design, rows, order, plan.smallest_noise, near)

    fits = [learned(design) for design in _designs(target, sample, plan.trend, generator)]
    best = min(fits, key=lambda fit: _error(fit, sample))
    is_noisy = target.learns_noise and _is_noisy(best, sample, order, plan.smallest_noise)
    for warp in warps_for(sample.values):
        fits.append(learned(replace(best.design, warp=warp), best.kriging.settings))
    if sample is not target:
        fits = sorted(fits, key=lambda fit: _error(fit, sample))[:_N_KEPT]
        target = target.sample(max(MAX_ROWS, plan.max_exact_rows), generator)
        fits = _with_all_rows(fits, target, plan, generator)
    return fits, target, is_noisy


def _designs(
    target: Target, sample: Target, trend: str, generator: torch.Generator
) -> list[Design]:
    """Return the designs to learn before values are warped."""
    with torch.device("cpu"):
        constant = PolynomialBasis(target.rows.shape[1], 0).to(target.rows.device)
    plain = IdentityWarp(sample.values)
    designs = [Design(target.covariance("matern"), constant, "constant", plain)]
    if 1 < target.rows.shape[1] <= _MOST_ADDITIVE:
        designs.append(Design(target.covariance("additive"), constant, "constant", plain))
    found = _trend_of(target, trend, generator)
    if found.coefficients.shape[1] > len(sample.rows) // 2:
        found = _trend_of(sample, trend, generator)
    covariance, basis = target.covariance("squared exponential"), found.basis
    designs.append(Design(covariance, basis.to(target.rows.device), found.name, plain))
    return designs


def _trend_of(target: Target, trend: str, generator: torch.Generator) -> Trend:
    """Return the richest trend that leave-one-out errors favor."""
    rows, values, weight = (one.cpu() for one in (target.rows, target.values, target.weight))
    # Trends are fitted on the CPU, whatever the caller's default device is.
    with torch.device("cpu"):
        return candidate_trends(trend, rows, values[:, None], weight[None], generator)[-1]


def _learned(
    design: Design,
    rows: Observations,
    order: Tensor,
    smallest_noise: float,
    near: Tensor | None = None,
) -> _Fit:
    """Learn the settings of a design, anew where what samples leave is against what is known."""
    fit = _exact(design, learn_settings(design.covariance, rows, order, smallest_noise, near), rows)
    corrected = rows.noise.corrected(fit.kriging.noise_variance)
    if corrected is None:
        return fit
    known, near = replace(rows, noise=corrected), fit.kriging.settings
    return _learned(design, known, order, smallest_noise, near)


def _exact(design: Design, settings: Tensor, rows: Observations) -> _Fit:
    kriging = Kriging.fitted(design.covariance, settings, rows)
    process = ExactProcess.of(design, kriging, rows)
    process.ripples = 1.0 - rows.noise.share_of(kriging.noise_variance)
    return _Fit(design, kriging, rows.values, process)


def _is_noisy(fit: _Fit, target: Target, order: Tensor, smallest_noise: float) -> bool:
    """Return whether samples are explained far better by noise than by what varies between them."""
    noise, settings = fit.kriging.noise_variance, fit.kriging.settings
    if noise < _LEAST_NOISE:
        return False
    rows = target.observed(fit.design.basis, fit.design.warp)
    shortest = _SHORTEST * float(_nearest(rows.rows).median())
    covariance = type(fit.design.covariance)(rows.rows.shape[1], shortest)
    noisy, calm = (
        replace(rows, noise=NoiseFacts(floor=floor, is_on_floor=True))
        for floor in (noise, _LITTLE_NOISE * noise)
    )
    without = learn_settings(covariance, calm, order, smallest_noise, settings)
    prior = settings_prior(covariance)
    first, second = (
        likelihood(covariance, one[None], known, (prior[0].to(one), prior[1].to(one)))[0]
        for one, known in ((settings, noisy), (without, calm))
    )
    return bool(second - first > _EVIDENCE)


def _nearest(rows: Tensor) -> Tensor:
    """Return the distance of each sample to the nearest other."""
    distances = torch.cdist(rows, rows)
    distances.fill_diagonal_(torch.inf)
    return distances.min(dim=1).values


def _error(fit: _Fit, target: Target) -> float:
    off = fit.left_out()[0] - target.values
    return float((target.weight * off.square()).mean().sqrt())


def _with_all_rows(
    fits: list[_Fit], target: Target, plan: Plan, generator: torch.Generator
) -> list[_Fit]:
    """Fit the same designs, with the settings of a subset, to all samples."""
    if len(target.rows) <= plan.max_exact_rows:
        return [
            _exact(
                fit.design, fit.kriging.settings, target.observed(fit.design.basis, fit.design.warp)
            )
            for fit in fits
        ]
    n_inducing = min(plan.n_inducing, len(target.rows))
    inducing = target.rows[choose_inducing(target.values, n_inducing, generator)]
    return [_induced(fit, inducing, target) for fit in fits]


def _induced(fit: _Fit, inducing: Tensor, target: Target) -> _Fit:
    design, warped = fit.design, fit.design.warp(target.values)
    weight, noise = target.told(design.warp, warped)
    known = (target.rows, warped, weight)
    kriging = InducedKriging.fitted(
        design.covariance, fit.kriging.settings, inducing, known, design.basis
    )
    process = InducedProcess.of(design, kriging, target.values)
    process.ripples = 1.0 - noise.share_of(kriging.noise_variance)
    return _Fit(design, kriging, warped, process)


def _left_out(fits: list[_Fit], target: Target) -> LeftOut:
    values, spreads = (
        torch.stack(one) for one in zip(*[fit.left_out() for fit in fits], strict=True)
    )
    n_parameters = torch.tensor(
        [fit.n_parameters for fit in fits], dtype=torch.long, device=values.device
    )
    return LeftOut(values, spreads, target.values, target.weight, n_parameters)


def _stacked(fits: list[_Fit], target: Target, is_noisy: bool) -> Stack:
    left_out = _left_out(fits, target)
    weights = left_out.weights()
    stack = _stack(fits, weights, Uncertainty.learned(left_out, weights))
    stack.noise = _noise_of(fits, weights, is_noisy) if target.noise is None else target.noise
    return stack


def _noise_of(fits: list[_Fit], weights: Tensor, is_noisy: bool) -> float:
    """Return what processes say of the noise of weight one, those of unwarped values if any."""
    noises = weights.new_tensor([fit.noise_variance(is_noisy) for fit in fits])
    is_plain = [isinstance(fit.design.warp, IdentityWarp) for fit in fits]
    plain = weights * weights.new_tensor(is_plain)
    used = plain if bool(plain.any()) else weights
    return float(used @ noises / used.sum())


def _stack(fits: list[_Fit], weights: Tensor, uncertainty: Uncertainty) -> Stack:
    processes = [fit.process for fit in fits]
    return Stack(processes, [fit.design.name for fit in fits], weights, uncertainty)


def _of_few(target: Target) -> Stack:
    """Return what so few or equal values can tell: a process with its first settings."""
    with torch.device("cpu"):
        constant = PolynomialBasis(target.rows.shape[1], 0).to(target.rows.device)
    covariance = target.covariance("matern")
    design = Design(covariance, constant, "constant", IdentityWarp(target.values))
    start = covariance.starts()[0].to(target.rows)
    rows, noise = target.observed(constant, design.warp), target.known_noise
    log_noise = _LOG_NOISE_OF_FEW
    if noise > 0.0:
        # Values have unit spread; where they are equal, nothing but the noise is known.
        log_noise = math.log(noise) if bool(target.values.any()) else 0.0
        rows = replace(rows, noise=NoiseFacts(floor=noise, is_on_floor=True))
    fit = _exact(design, torch.cat([start, start.new_tensor([log_noise])]), rows)
    one = target.values.new_ones(1)
    stack = _stack([fit], one, Uncertainty(one, one))
    stack.noise = noise
    return stack
