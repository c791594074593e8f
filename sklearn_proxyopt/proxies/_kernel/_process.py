"""Fitted Gaussian processes as torch modules, from scaled samples to values."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from sklearn_proxyopt._utils._torch_modes import plain_torch
from sklearn_proxyopt.proxies._kernel._covariances import Covariance
from sklearn_proxyopt.proxies._kernel._inducing import InducedKriging
from sklearn_proxyopt.proxies._kernel._kriging import Kriging, Observations
from sklearn_proxyopt.proxies._kernel._warps import SoftLimits, Warp

__all__ = ["Design", "ExactProcess", "InducedProcess", "Process", "faded"]

# Beyond this many half-widths from the middle predictions go back to what is usual, over about
# this many more.
_EDGE, _FADING = 1.25, 0.75
# Functions of the mean are taken no farther out than here.
_FARTHEST = 3.0
# Values stay within this many ranges of the samples beyond their lowest and highest, which they
# approach softly over the last of them.
_RANGES_BEYOND, _MARGIN = 2.0, 1.0

Factors = tuple[Tensor, ...]


@dataclass(frozen=True)
class Design:
    """What is chosen for a process before anything is learned.

    Parameters
    ----------
    covariance : Covariance
        What it varies with.
    basis : torch.nn.Module
        The functions of the mean; maps (n, n_features) to (n, n_functions).
    trend : str
        What they are called.
    warp : Warp
        What values are warped by.
    """

    covariance: Covariance
    basis: nn.Module
    trend: str
    warp: Warp

    @property
    def name(self) -> str:
        """What such a process is called."""
        parts = [self.covariance.name]
        if self.trend != "constant":
            parts.append(f"{self.trend} trend")
        return ", ".join([*parts, *filter(None, [self.warp.name])])


class Process(nn.Module, ABC):
    """A Gaussian process of warped values about a mean of known functions.

    A subclass owes how uncertain it is.

    Parameters
    ----------
    design : Design
        What was chosen.
    fit : Kriging or InducedKriging
        What was learned.
    rows : Tensor of shape (n, n_features)
        The samples, or inducing points, that points are compared with.
    limits : SoftLimits
        Within which values stay.
    """

    rows: Tensor
    settings: Tensor
    weights: Tensor
    mean_weights: Tensor

    def __init__(
        self, design: Design, fit: Kriging | InducedKriging, rows: Tensor, limits: SoftLimits
    ) -> None:
        super().__init__()
        self.covariance, self.basis, self.warp = design.covariance, design.basis, design.warp
        self.trend, self.variance = design.trend, fit.variance
        self.register_buffer("rows", rows.contiguous())
        self.register_buffer("settings", fit.settings.contiguous())
        self.register_buffer("weights", fit.weights.contiguous())
        self.register_buffer("mean_weights", fit.mean_weights.contiguous())
        self.limits = limits
        # The share of the noise that is none, but what the function does between the samples.
        self.ripples = 1.0
        self._factors: Factors | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Factors are as large as the square of the samples, and follow from the rest.
        return {**super().__getstate__(), "_factors": None}

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        self._factors = None
        return super()._apply(*args, **kwargs)

    def forward(self, x: Tensor) -> Tensor:
        """Return predictions (n,) at scaled points (n, n_features)."""
        within, fading = faded(x)
        return self.back(self._warped(fading, self._cross(x), self.basis(within)))

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return predictions (n,) and the standard deviations of the function about them.

        What samples leave open counts as the function's, unless it is known for noise.
        """
        within, fading = faded(x)
        cross, functions = self._cross(x), self.basis(within)
        share = self._unit_variance(cross, functions, *self.factors())
        share = share + self.ripples * self.settings[-1].exp()
        # Warped values have unit spread, which is all that is known far away.
        deviation = torch.lerp(torch.ones_like(share), (self.variance * share).sqrt(), fading)
        warped = self._warped(fading, cross, functions)
        return self.back(warped), self.deviation_back(warped, deviation)

    def back(self, warped: Tensor) -> Tensor:
        """Return the values, within their limits, that were warped."""
        value: Tensor = self.limits(self.warp.back(warped))
        return value

    def deviation_back(self, warped: Tensor, deviation: Tensor) -> Tensor:
        """Return the standard deviations of values of which that of warped ones is known.

        It is half of how far the values at either end of one deviation are apart, since a slope may
        be steep where the values themselves hardly go on.
        """
        apart = self.back(warped + deviation) - self.back(warped - deviation)
        # Of a small difference nothing but rounding would be left.
        is_large = deviation > torch.finfo(deviation.dtype).eps ** (1.0 / 3.0)
        return torch.where(is_large, apart / 2.0, self.warp.slope_back(warped) * deviation)

    def factors(self) -> Factors:
        """Return what variances are computed with, made when it is first asked for."""
        if self._factors is None:
            # They are kept, whatever mode the caller has switched on for now.
            with plain_torch(), torch.no_grad():
                self._factors = self._factorize()
        return self._factors

    def _cross(self, x: Tensor) -> Tensor:
        return self.covariance.between(self.settings[:-1], x, self.rows)

    def _warped(self, fading: Tensor, cross: Tensor, functions: Tensor) -> Tensor:
        return fading * (functions @ self.mean_weights + cross @ self.weights)

    @abstractmethod
    def _factorize(self) -> Factors:
        """Return what `_unit_variance` needs and what follows from the rest."""

    @abstractmethod
    def _unit_variance(self, cross: Tensor, functions: Tensor, *factors: Tensor) -> Tensor:
        """Return the variance of predictions as a share of that of the process."""


class ExactProcess(Process):
    """A process that compares a point with every sample.

    Parameters
    ----------
    design : Design
        What was chosen.
    fit : Kriging
        What was learned.
    rows : Tensor of shape (n, n_features)
        The samples.
    limits : SoftLimits
        Within which values stay.
    noise : Tensor of shape (n,)
        The noise ratio of each sample.
    to_functions : Tensor of shape (n_functions, rank)
        What makes weights of the functions of the mean of those of an orthonormal basis.
    """

    noise: Tensor
    to_functions: Tensor

    def __init__(
        self,
        design: Design,
        fit: Kriging,
        rows: Tensor,
        limits: SoftLimits,
        noise: Tensor,
        to_functions: Tensor,
    ) -> None:
        super().__init__(design, fit, rows, limits)
        self.register_buffer("noise", noise.contiguous())
        self.register_buffer("to_functions", to_functions.contiguous())

    @classmethod
    def of(cls, design: Design, fit: Kriging, known: Observations) -> Self:
        """Make the process of samples with their warped values."""
        limits = _limits_beyond(design.warp.back(known.values), known.noise.floor)
        noise = fit.settings[-1].exp() / known.weight
        return cls(design, fit, known.rows, limits, noise, known.to_functions)

    def _factorize(self) -> Factors:
        matrix = self._cross(self.rows)
        matrix.diagonal().add_(self.noise)
        root = torch.linalg.cholesky(matrix)
        mean = self.basis(self.rows) @ self.to_functions
        white = torch.linalg.solve_triangular(root, mean, upper=False)
        mean_root = torch.linalg.cholesky(white.T @ white)
        back = torch.linalg.solve_triangular(root.T, white, upper=True)
        across = torch.linalg.solve_triangular(mean_root, back.T, upper=False)
        return root, mean_root, across

    def _unit_variance(self, cross: Tensor, functions: Tensor, *factors: Tensor) -> Tensor:
        root, mean_root, across = factors
        explained = torch.linalg.solve_triangular(root, cross.T, upper=False).square().sum(dim=0)
        own = torch.linalg.solve_triangular(
            mean_root, (functions @ self.to_functions).T, upper=False
        )
        of_mean = (own - across @ cross.T).square().sum(dim=0)
        return (1.0 - explained).clamp_min(0.0) + of_mean


class InducedProcess(Process):
    """A process that compares a point with inducing points.

    Parameters
    ----------
    design : Design
        What was chosen.
    fit : InducedKriging
        What was learned.
    limits : SoftLimits
        Within which values stay.
    """

    root: Tensor
    posterior_root: Tensor

    def __init__(self, design: Design, fit: InducedKriging, limits: SoftLimits) -> None:
        super().__init__(design, fit, fit.rows, limits)
        self.register_buffer("posterior_root", fit.posterior_root.contiguous())
        self.register_buffer("root", fit.root.contiguous())

    @classmethod
    def of(cls, design: Design, fit: InducedKriging, values: Tensor) -> Self:
        """Make the process of samples with these values."""
        return cls(design, fit, _limits_beyond(values))

    def _factorize(self) -> Factors:
        return self.root, self.posterior_root

    def _unit_variance(self, cross: Tensor, functions: Tensor, *factors: Tensor) -> Tensor:
        root, posterior_root = factors
        white = torch.linalg.solve_triangular(root, cross.T, upper=False)
        features = torch.cat([functions.T, white])
        known = torch.linalg.solve_triangular(posterior_root, features, upper=False)
        unexplained = (1.0 - white.square().sum(dim=0)).clamp_min(0.0)
        return unexplained + self.settings[-1].exp() * known.square().sum(dim=0)


def _limits_beyond(values: Tensor, noise: float = 0.0) -> SoftLimits:
    """Return how far predictions may go beyond values; beyond equal ones by their noise alone."""
    lowest, highest = float(values.min()), float(values.max())
    span = max(highest - lowest or math.sqrt(noise), 1e-300)
    beyond = _RANGES_BEYOND * span
    return SoftLimits(lowest - beyond, highest + beyond, _MARGIN * span)


def faded(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return points kept near the box of the samples, and how much of what was learned holds there.

    Parameters
    ----------
    x : Tensor of shape (..., n_features)
        Scaled points.

    Returns
    -------
    within : Tensor of shape (..., n_features)
        Points where the functions of a mean do not overflow.
    fading : Tensor of shape (...)
        One in the box of the samples and near it, zero far away.
    """
    excess = (x.abs() - _EDGE).clamp_min(0.0)
    fading = (-0.5 / _FADING**2 * excess.square().sum(dim=-1)).exp()
    return x.clamp(-_FARTHEST, _FARTHEST), fading
