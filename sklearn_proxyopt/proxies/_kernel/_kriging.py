"""Universal kriging: a Gaussian process about a mean of known functions, in closed form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import log

import torch
from torch import Tensor

from sklearn_proxyopt.proxies._kernel._covariances import Covariance, Pairs
from sklearn_proxyopt.proxies._kernel._noise import NOTHING_KNOWN, NoiseFacts
from sklearn_proxyopt.proxies._lbfgs import minimize_each

__all__ = [
    "Kriging",
    "Observations",
    "factorized",
    "learn_settings",
    "likelihood",
    "settings_prior",
]

# The noise is a share of the variance of the process; its prior hardly matters.
_NOISE_LIMITS = (1e-10, 10.0)
_NOISE_PRIOR = (log(1e-6), 8.0)
_NOISE_STARTS = (1e-6, 1e-4, 1e-3)
# Targets have unit spread; a variance below this is rounding.
_SMALLEST_VARIANCE = 1e-20
# Functions of the mean that the samples cannot tell apart to this share are one.
_SAME_FUNCTION = 1e-10
# Settings are computed together as far as their matrices fit into a processor's cache.
_NUMBERS_AT_ONCE = {"cpu": 60_000, "cuda": 20_000_000}
# Noise grows tenfold at most so often until a covariance has a factor.
_MOST_STEPS = 40
_ROWS_FOR_STARTS = 150
_N_ITERATIONS_STARTS, _N_ITERATIONS = 15, 20
_TOLERANCE = 1e-2


@dataclass(frozen=True)
class Observations:
    """Samples, their values, and the functions that the mean is made of.

    Parameters
    ----------
    rows : Tensor of shape (n, n_features)
        Samples scaled to [-1, 1].
    values : Tensor of shape (n,)
        Values of about unit spread.
    weight : Tensor of shape (n,)
        Weights with mean one; the noise of a sample is divided by its weight.
    functions : Tensor of shape (n, n_functions)
        The functions of the mean at the samples.
    noise : NoiseFacts, optional
        What is known of the noise of weight one.
    """

    rows: Tensor
    values: Tensor
    weight: Tensor
    functions: Tensor
    noise: NoiseFacts = NOTHING_KNOWN

    @cached_property
    def pairs(self) -> Pairs:
        """The samples with the squared differences of their pairs."""
        return Pairs(self.rows)

    @cached_property
    def _directions(self) -> tuple[Tensor, Tensor]:
        left, sizes, right = torch.linalg.svd(self.functions, full_matrices=False)
        told_apart = sizes > _SAME_FUNCTION * sizes[:1]
        return left[:, told_apart], right[told_apart].T / sizes[told_apart]

    @property
    def mean(self) -> Tensor:
        """An orthonormal basis of the functions, of shape (n, rank)."""
        return self._directions[0]

    @property
    def to_functions(self) -> Tensor:
        """What turns weights of the orthonormal basis into weights of the functions."""
        return self._directions[1]

    @property
    def n_degrees(self) -> int:
        """Degrees of freedom that the mean leaves, at least one."""
        return max(len(self.rows) - self.mean.shape[1], 1)

    def subset(self, which: Tensor) -> Observations:
        """Return some of the samples."""
        return replace(
            self,
            rows=self.rows[which],
            values=self.values[which],
            weight=self.weight[which],
            functions=self.functions[which],
        )

    def variance(self, residual: Tensor, noise: Tensor) -> Tensor:
        """Return the likeliest variances (n_settings,) of the process.

        Parameters
        ----------
        residual : Tensor of shape (n_settings, n)
            Values less their mean, in units in which their covariance is one.
        noise : Tensor of shape (n_settings,)
            Noise ratios.
        """
        if self.noise.is_on_floor:
            return self.noise.floor / noise
        squares = residual.square().sum(dim=1) + self.noise.squares / noise
        return (squares / (self.n_degrees + self.noise.degrees)).clamp_min(_SMALLEST_VARIANCE)


@dataclass(frozen=True)
class _Solved:
    """The factors that all closed forms are made of, one of each for every setting.

    With K = L L' the covariance of the rows and H the mean's functions, the matrix
    P = K^-1 - K^-1 H (H' K^-1 H)^-1 H' K^-1 is `inverse(K) - across' across`.
    """

    root: Tensor
    mean_root: Tensor
    across: Tensor
    residual: Tensor
    weights: Tensor
    mean_weights: Tensor
    failed: Tensor


def _solve(covariance: Tensor, rows: Observations) -> _Solved:
    """Factorise covariances (n_settings, n, n), those that are not positive marked as failed."""
    root, info = torch.linalg.cholesky_ex(covariance)
    failed = info > 0
    if failed.any():
        root[failed] = torch.eye(root.shape[-1], dtype=root.dtype, device=root.device)
    known = torch.cat([rows.values[:, None], rows.mean], dim=1).expand(len(root), -1, -1)
    white = torch.linalg.solve_triangular(root, known, upper=False)
    values, mean = white[:, :, :1], white[:, :, 1:]
    mean_root, info = torch.linalg.cholesky_ex(mean.mT @ mean)
    failed |= info > 0
    if failed.any():
        mean_root[failed] = torch.eye(mean_root.shape[-1], dtype=root.dtype, device=root.device)
    share = torch.linalg.solve_triangular(mean_root, mean.mT @ values, upper=False)
    mean_weights = torch.linalg.solve_triangular(mean_root.mT, share, upper=True)
    residual = values - mean @ mean_weights
    back = torch.linalg.solve_triangular(root.mT, torch.cat([residual, mean], dim=2), upper=True)
    across = torch.linalg.solve_triangular(mean_root, back[:, :, 1:].mT, upper=False)
    return _Solved(
        root, mean_root, across, residual[:, :, 0], back[:, :, 0], mean_weights[:, :, 0], failed
    )


def _with_noise(covariance: Tensor, noise: Tensor, rows: Observations) -> Tensor:
    """Add to the diagonals the noise ratios (n_settings,), in place."""
    covariance.diagonal(dim1=1, dim2=2).add_(noise[:, None] / rows.weight)
    return covariance


def likelihood(
    covariance: Covariance, settings: Tensor, rows: Observations, prior: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the negative logarithm of the restricted likelihood times the prior.

    The variance of the process and the weights of the mean are integrated or profiled out
    (Harville 1977), so that only the shape of the covariance is left. Samples that were repeated
    enter by their means and by how they scatter about these, which tells the same as all of them
    (Binois, Gramacy and Ludkovski 2018).

    Parameters
    ----------
    covariance : Covariance
        What the process varies with.
    settings : Tensor of shape (n_settings, n_parameters + 1)
        Parameters of the covariance, and the logarithm of the noise ratio.
    rows : Observations
        What is known.
    prior : tuple of Tensor of shape (n_parameters + 1,)
        Mean and standard deviation of the settings before any sample is known.

    Returns
    -------
    values : Tensor of shape (n_settings,)
        Infinite where the covariance has no Cholesky factor.
    gradients : Tensor of shape (n_settings, n_parameters + 1)
        Derivatives by the settings.
    """
    parameters, noise = settings[:, :-1], settings[:, -1].exp()
    matrix, parts = covariance.matrix(parameters, rows.pairs)
    solved = _solve(_with_noise(matrix.clone(), noise, rows), rows)
    variance = rows.variance(solved.residual, noise)
    roots = (solved.root, solved.mean_root)
    log_determinants = sum(2.0 * root.diagonal(dim1=1, dim2=2).log().sum(dim=1) for root in roots)
    away = (settings - prior[0]) / prior[1]
    n_degrees = rows.n_degrees + rows.noise.degrees
    values = 0.5 * (n_degrees * variance.log() + log_determinants + away.square().sum(dim=1))
    weights = solved.weights / variance.sqrt()[:, None]
    slopes = torch.cholesky_inverse(solved.root)
    slopes.baddbmm_(solved.across.mT, solved.across, alpha=-1.0)
    slopes.baddbmm_(weights[:, :, None], weights[:, None, :], alpha=-1.0).mul_(0.5)
    of_noise = noise * (slopes.diagonal(dim1=1, dim2=2) / rows.weight).sum(dim=1)
    scatter, of_scatter = _of_scatter(rows, settings[:, -1], variance, solved.residual)
    values, of_noise = values + scatter, of_noise + of_scatter
    of_covariance = covariance.slopes(parameters, rows.pairs, slopes, parts)
    gradients = torch.cat([of_covariance, of_noise[:, None]], dim=1) + away / prior[1]
    values = torch.where(solved.failed, torch.inf, values).nan_to_num(nan=torch.inf)
    return values, gradients.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def _of_scatter(
    rows: Observations, log_noise: Tensor, variance: Tensor, residual: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what repeats and a known noise add to the likelihood, and its derivative."""
    if rows.noise.is_on_floor:
        squares = residual.square().sum(dim=1) / variance
        return 0.5 * squares, 0.5 * (squares - rows.n_degrees)
    squares = rows.noise.squares / (variance * log_noise.exp())
    return 0.5 * rows.noise.degrees * log_noise, 0.5 * (rows.noise.degrees - squares)


def factorized(matrix: Tensor, jitter: float) -> Tensor:
    """Return a Cholesky factor, with as much added to the diagonal as it takes."""
    for step in range(_MOST_STEPS):
        noisy = matrix.clone()
        noisy.diagonal().add_(jitter * 10.0**step)
        root, info = torch.linalg.cholesky_ex(noisy)
        if not info:
            return root
    raise torch.linalg.LinAlgError("A covariance has no Cholesky factor.")


def settings_prior(covariance: Covariance) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of the settings before any sample is known."""
    return _joined(covariance.prior(), _NOISE_PRIOR)


def _joined(
    of_covariance: tuple[Tensor, Tensor], of_noise: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    first, second = (
        torch.cat([vector, vector.new_tensor([last])])
        for vector, last in zip(of_covariance, of_noise, strict=True)
    )
    return first, second


def learn_settings(
    covariance: Covariance,
    rows: Observations,
    sample: Tensor,
    smallest_noise: float,
    near: Tensor | None = None,
) -> Tensor:
    """Find the likeliest settings, from several starts advanced together.

    Parameters
    ----------
    covariance : Covariance
        What the process varies with.
    rows : Observations
        What is known.
    sample : Tensor of shape (n,)
        The samples in random order; the starts are advanced on the first of them.
    smallest_noise : float
        Lower limit of the noise ratio.
    near : Tensor of shape (n_parameters + 1,), default=None
        The settings of a like process, from which the search starts in place of most others.

    Returns
    -------
    Tensor of shape (n_parameters + 1,)
        The settings.
    """
    space = _SettingsSpace.of(covariance, smallest_noise, rows.rows)
    starts = space.starts
    if near is not None:
        starts = torch.cat([near[None], starts[:1]])
    known = rows if len(sample) <= _ROWS_FOR_STARTS else rows.subset(sample[:_ROWS_FOR_STARTS])
    ends, values = space.descend(known, starts, _N_ITERATIONS_STARTS)
    best = ends[values.argmin()][None]
    return space.descend(rows, best, _N_ITERATIONS)[0][0]


@dataclass(frozen=True)
class _SettingsSpace:
    """Where the settings of a covariance are searched."""

    covariance: Covariance
    starts: Tensor
    lower: Tensor
    upper: Tensor
    prior: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, covariance: Covariance, smallest_noise: float, like: Tensor) -> _SettingsSpace:
        starts = covariance.starts()
        noise = starts.new_tensor(_NOISE_STARTS).log()
        lowest, highest = max(_NOISE_LIMITS[0], smallest_noise), _NOISE_LIMITS[1]
        lower, upper = _joined(covariance.limits(), (log(lowest), log(highest)))
        mean, spread = settings_prior(covariance)
        return cls(
            covariance,
            torch.cat([starts, noise[:, None]], dim=1).to(like),
            lower.to(like),
            upper.to(like),
            (mean.to(like), spread.to(like)),
        )

    def descend(
        self, rows: Observations, starts: Tensor, n_iterations: int
    ) -> tuple[Tensor, Tensor]:
        """Descend from each start and return the ends with their values."""
        n_numbers = self.covariance.n_matrices * len(rows.rows) ** 2
        at_once = max(_NUMBERS_AT_ONCE[starts.device.type] // n_numbers, 1)

        def functions(settings: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
            parts = settings.split(at_once)
            answers = [likelihood(self.covariance, part, rows, self.prior) for part in parts]
            values, gradients = zip(*answers, strict=True)
            return torch.cat(values), torch.cat(gradients)

        return minimize_each(functions, starts, self.lower, self.upper, n_iterations, _TOLERANCE)


@dataclass(frozen=True)
class Kriging:
    """A process with its settings, fitted to samples.

    Attributes
    ----------
    weights : Tensor of shape (n,)
        The weight of the covariance with each sample.
    mean_weights : Tensor of shape (n_functions,)
        The weights of the functions of the mean.
    variance : float
        Variance of the process.
    errors, spreads : Tensor of shape (n,)
        Each value less its prediction from the other samples, and the standard deviation of that.
    """

    covariance: Covariance
    settings: Tensor
    weights: Tensor
    mean_weights: Tensor
    variance: float
    errors: Tensor
    spreads: Tensor

    @classmethod
    def fitted(cls, covariance: Covariance, settings: Tensor, rows: Observations) -> Kriging:
        """Fit samples with given settings.

        The noise grows tenfold until the covariance has a factor. Errors of samples left out are
        those of Dubrule (1983): (P y)_i / P_ii, with variances s^2 / P_ii.
        """
        settings, solved = _solved_with_settings(covariance, settings, rows)
        diagonal = _inverse_diagonal(solved)
        variance = float(rows.variance(solved.residual, settings[-1:].exp())[0])
        return cls(
            covariance,
            settings,
            solved.weights[0],
            rows.to_functions @ solved.mean_weights[0],
            variance,
            solved.weights[0] / diagonal,
            (variance / diagonal).sqrt(),
        )

    @property
    def noise_variance(self) -> float:
        """Variance of the noise of weight one."""
        return self.variance * float(self.settings[-1].exp())


def _solved_with_settings(
    covariance: Covariance, settings: Tensor, rows: Observations
) -> tuple[Tensor, _Solved]:
    """Factorise, with as much more noise as it takes."""
    matrix = covariance.matrix(settings[None, :-1], rows.pairs)[0]
    settings = settings.clone()
    for _ in range(_MOST_STEPS):
        solved = _solve(_with_noise(matrix.clone(), settings[-1:].exp(), rows), rows)
        if not solved.failed.any():
            return settings, solved
        settings[-1] += log(10.0)
    raise torch.linalg.LinAlgError("A covariance has no Cholesky factor.")


def _inverse_diagonal(solved: _Solved) -> Tensor:
    """Return the diagonal of P, kept from zero where the mean alone takes a sample."""
    diagonal = torch.cholesky_inverse(solved.root)[0].diagonal()
    return (diagonal - solved.across[0].square().sum(dim=0)).clamp_min(1e-12)
