"""The processes of one target: which are learned, and how they are weighted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_proxyopt.proxies._kernel._covariances import COVARIANCES, Covariance
from sklearn_proxyopt.proxies._kernel._kriging import Kriging, Observations, learn_settings
from sklearn_proxyopt.proxies._kernel._process import Process
from sklearn_proxyopt.proxies._kernel._warps import IdentityWarp, Warp, warps_for
from sklearn_proxyopt.proxies._kernel._weights import stack_weights
from sklearn_proxyopt.proxies._trend import PolynomialBasis, candidate_trends

__all__ = ["Stack", "Target", "learn_stack"]

# Up to so many rows all processes learn from all of them; beyond, settings are learned on a
# sample, and so many processes go on to all rows.
_MAX_ROWS_TO_CHOOSE, _ROWS_OF_SAMPLE, _N_KEPT = 500, 400, 3
# The share of the errors at rows left out that lie within so many calibrated deviations.
_SHARE, _DEVIATIONS = 0.9, 1.645


@dataclass(frozen=True)
class Target:
    """The rows of one target.

    Parameters
    ----------
    rows : Tensor of shape (n, n_features)
        Rows scaled to [-1, 1].
    values : Tensor of shape (n,)
        Values with zero mean and unit spread.
    weight : Tensor of shape (n,)
        Weights with mean one.
    """

    rows: Tensor
    values: Tensor
    weight: Tensor

    def subset(self, which: Tensor) -> Target:
        """Return some of the rows, with weights of mean one."""
        weight = self.weight[which]
        return Target(self.rows[which], self.values[which], weight / weight.mean())

    def observed(self, basis: nn.Module, warp: Warp) -> Observations:
        """Return what a process of warped values about a mean of such functions learns from."""
        return Observations(self.rows, warp(self.values), self.weight, basis(self.rows))


@dataclass(frozen=True)
class _Design:
    """What is chosen for a process before anything is learned."""

    covariance: Covariance
    basis: nn.Module
    trend: str
    warp: Warp


@dataclass(frozen=True)
class _Fit:
    """A process with what it says of rows left out, in the units of the target."""

    design: _Design
    rows: Observations
    kriging: Kriging

    def left_out(self) -> tuple[Tensor, Tensor]:
        """Return predictions and standard deviations (n,) at rows left out."""
        warped = self.rows.values - self.kriging.errors
        warp = self.design.warp
        return warp.back(warped), warp.slope_back(warped) * self.kriging.spreads


class Stack(nn.Module):
    """A weighted sum of processes.

    Parameters
    ----------
    processes : sequence of Process
        The processes.
    weights : sequence of float
        How much each counts.
    names : sequence of str
        What each is called.
    calibration : float
        What standard deviations are multiplied by.
    """

    def __init__(
        self,
        processes: Iterable[Process],
        weights: Iterable[float],
        names: Iterable[str],
        calibration: float,
    ) -> None:
        super().__init__()
        self.processes = nn.ModuleList(processes)
        self.weights = tuple(weights)
        self.names = tuple(names)
        self.calibration = calibration

    def forward(self, x: Tensor) -> Tensor:
        """Return predictions (n,) at scaled points (n, n_features)."""
        terms = [w * process(x) for w, process in zip(self.weights, self.processes, strict=True)]
        return torch.stack(terms).sum(dim=0)

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return predictions (n,) and standard deviations (n,).

        The variance is that of a mixture: the processes' own, and how far they disagree.
        """
        moments = [process.moments(x) for process in self.processes]
        values, variances = (torch.stack(one) for one in zip(*moments, strict=True))
        mean, variance = _mixture(self.weights, values, variances)
        return mean, self.calibration * (variance + torch.finfo(variance.dtype).tiny).sqrt()


def _mixture(weights: Iterable[float], values: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of a mixture of processes (n_processes, n)."""
    share = values.new_tensor(list(weights))[:, None]
    mean = (share * values).sum(dim=0)
    return mean, (share * (variances + (values - mean).square())).sum(dim=0)


def learn_stack(
    target: Target, trend: str, generator: torch.Generator, smallest_noise: float
) -> Stack:
    """Learn processes of several designs and weigh them by their errors at rows left out.

    Parameters
    ----------
    target : Target
        The rows.
    trend : str
        Name of the trend that is tried as a mean, or "auto".
    generator : torch.Generator
        Draws the rows of samples.
    smallest_noise : float
        Lower limit of the noise ratio.

    Returns
    -------
    Stack
        The processes that count.
    """
    order = _order(target, generator)
    sample = target
    if len(order) > _MAX_ROWS_TO_CHOOSE:
        sample = target.subset(order[:_ROWS_OF_SAMPLE].sort().values)
    order = _order(sample, generator)
    with torch.device("cpu"):
        constant = PolynomialBasis(target.rows.shape[1], 0).to(target.rows.device)
    plain = IdentityWarp(sample.values)
    if len(target.rows) < 3 or not bool(target.values.std(correction=0) > 0):
        return _untrained(
            target, _Design(_covariance("matern", target), constant, "constant", plain)
        )

    def learned(design: _Design, near: Tensor | None = None) -> _Fit:
        rows = sample.observed(design.basis, design.warp)
        settings = learn_settings(design.covariance, rows, order, smallest_noise, near)
        return _Fit(design, rows, Kriging.fitted(design.covariance, settings, rows))

    designs = [_Design(_covariance("matern", target), constant, "constant", plain)]
    if target.rows.shape[1] > 1:
        designs.append(_Design(_covariance("additive", target), constant, "constant", plain))
    for name, basis in _trend_basis(target, trend, generator).items():
        designs.append(_Design(_covariance("squared exponential", target), basis, name, plain))
    fits = [learned(design) for design in designs]
    best = min(fits, key=lambda fit: _error(fit, sample))
    for warp in warps_for(sample.values):
        fits.append(learned(replace(best.design, warp=warp), best.kriging.settings))
    if sample is not target:
        fits = sorted(fits, key=lambda fit: _error(fit, sample))[:_N_KEPT]
        fits = [_with_all_rows(fit, target) for fit in fits]
    return _weighted(fits, target)


def _order(target: Target, generator: torch.Generator) -> Tensor:
    order = torch.randperm(len(target.rows), generator=generator, device="cpu")
    return order.to(target.rows.device)


def _covariance(kind: str, target: Target) -> Covariance:
    return COVARIANCES[kind](target.rows.shape[1])


def _trend_basis(target: Target, trend: str, generator: torch.Generator) -> dict[str, nn.Module]:
    """Return the richest trend that leave-one-out errors favour, by its name."""
    rows, values, weight = (
        target.rows.cpu(),
        target.values[:, None].cpu(),
        target.weight[None].cpu(),
    )
    # Trends are fitted on the CPU, whatever the caller's default device is.
    with torch.device("cpu"):
        found = candidate_trends(trend, rows, values, weight, generator)[-1]
    return {} if found.name == "constant" else {found.name: found.basis.to(target.rows.device)}


def _error(fit: _Fit, target: Target) -> float:
    off = fit.left_out()[0] - target.values
    return float((target.weight * off.square()).mean().sqrt())


def _with_all_rows(fit: _Fit, target: Target) -> _Fit:
    rows = target.observed(fit.design.basis, fit.design.warp)
    kriging = Kriging.fitted(fit.design.covariance, fit.kriging.settings, rows)
    return _Fit(fit.design, rows, kriging)


def _weighted(fits: list[_Fit], target: Target) -> Stack:
    left_out = [fit.left_out() for fit in fits]
    values, spreads = (torch.stack(one) for one in zip(*left_out, strict=True))
    errors = (values - target.values).T.numpy()
    weights = stack_weights(errors, target.weight.numpy())
    kept = np.flatnonzero(weights)
    mean, variance = _mixture(weights[kept], values[kept], spreads[kept].square())
    ratios = (mean - target.values).abs() / variance.sqrt().clamp_min(1e-300)
    calibration = float(ratios.quantile(_SHARE)) / _DEVIATIONS
    return _stack([fits[place] for place in kept], weights[kept], calibration)


def _stack(fits: list[_Fit], weights: Iterable[float], calibration: float) -> Stack:
    processes = [
        Process(fit.design.covariance, fit.design.basis, fit.design.warp, fit.rows, fit.kriging)
        for fit in fits
    ]
    names = [
        ", ".join((fit.design.covariance.name, fit.design.trend, type(fit.design.warp).__name__))
        for fit in fits
    ]
    return Stack(processes, weights, names, calibration)


def _untrained(target: Target, design: _Design) -> Stack:
    """Return what so few or equal values can tell: a process with its first settings."""
    rows = target.observed(design.basis, design.warp)
    start = design.covariance.starts()[0]
    settings = torch.cat([start, start.new_tensor([-12.0])])
    kriging = Kriging.fitted(design.covariance, settings, rows)
    return _stack([_Fit(design, rows, kriging)], [1.0], 1.0)
