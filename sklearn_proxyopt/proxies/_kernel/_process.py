"""A fitted Gaussian process as a torch module, from scaled rows to values in the user's spread."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sklearn_proxyopt.proxies._kernel._covariances import Covariance
from sklearn_proxyopt.proxies._kernel._kriging import Kriging, Observations
from sklearn_proxyopt.proxies._kernel._warps import SoftLimits, Warp

__all__ = ["Process"]

# Beyond this many half-widths from the middle predictions go back to what is usual, over about
# this many more.
_EDGE, _FADING = 1.25, 0.75
# Functions of the mean are taken no farther out than here.
_FARTHEST = 3.0
# Values stay within this many ranges of the rows beyond their lowest and highest.
_RANGES_BEYOND, _MARGIN = 2.0, 1.0


class Process(nn.Module):
    """A Gaussian process of warped values about a mean of known functions.

    Parameters
    ----------
    covariance : Covariance
        What it varies with.
    basis : torch.nn.Module
        The functions of the mean; maps (n, n_features) to (n, n_functions).
    warp : Warp
        What the values were warped by.
    rows : Observations
        Rows with their warped values.
    kriging : Kriging
        The fit.
    """

    rows: Tensor
    parameters_of: Tensor
    noise: Tensor
    weights: Tensor
    mean_weights: Tensor
    to_functions: Tensor

    def __init__(
        self,
        covariance: Covariance,
        basis: nn.Module,
        warp: Warp,
        rows: Observations,
        kriging: Kriging,
    ) -> None:
        super().__init__()
        self.covariance = covariance
        self.basis = basis
        self.warp = warp
        self.variance = kriging.variance
        self.register_buffer("rows", rows.rows)
        self.register_buffer("parameters_of", kriging.settings[:-1])
        self.register_buffer("noise", kriging.settings[-1].exp() / rows.weight)
        self.register_buffer("weights", kriging.weights)
        self.register_buffer("mean_weights", kriging.mean_weights)
        self.register_buffer("to_functions", rows.to_functions)
        values = warp.back(rows.values)
        lowest, highest = float(values.min()), float(values.max())
        span = max(highest - lowest, 1e-300)
        beyond = _RANGES_BEYOND * span
        self.limits = SoftLimits(lowest - beyond, highest + beyond, _MARGIN * span)
        self._factors: tuple[Tensor, Tensor, Tensor] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # The factors are as large as the square of the rows, and follow from the rest.
        return {**super().__getstate__(), "_factors": None}

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        self._factors = None
        return super()._apply(*args, **kwargs)

    def forward(self, x: Tensor) -> Tensor:
        """Return predictions (n,) at scaled points (n, n_features)."""
        within, fading = _faded(x)
        cross = self.covariance.between(self.parameters_of, x, self.rows)
        warped = fading * (self.basis(within) @ self.mean_weights + cross @ self.weights)
        return self.limits(self.warp.back(warped))

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return predictions (n,) and their variances, without the noise."""
        within, fading = _faded(x)
        cross = self.covariance.between(self.parameters_of, x, self.rows)
        functions = self.basis(within)
        warped = fading * (functions @ self.mean_weights + cross @ self.weights)
        root, mean_root, across = self._factor()
        explained = torch.linalg.solve_triangular(root, cross.T, upper=False).square().sum(dim=0)
        off = (functions @ self.to_functions).T
        off = torch.linalg.solve_triangular(mean_root, off, upper=False) - across @ cross.T
        variance = (1.0 - explained).clamp_min(0.0) + off.square().sum(dim=0)
        # Warped values have unit spread, which is all that is known far away.
        variance = fading.square() * self.variance * variance + (1.0 - fading.square())
        value = self.limits(self.warp.back(warped))
        return value, variance * self.warp.slope_back(warped).square()

    def _factor(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the Cholesky factors of the rows and of the mean, and what connects them."""
        if self._factors is None:
            with torch.no_grad():
                matrix = self.covariance.between(self.parameters_of, self.rows, self.rows)
                matrix.diagonal().add_(self.noise)
                root = torch.linalg.cholesky(matrix)
                mean = self.basis(self.rows) @ self.to_functions
                white = torch.linalg.solve_triangular(root, mean, upper=False)
                mean_root = torch.linalg.cholesky(white.T @ white)
                back = torch.linalg.solve_triangular(root.T, white, upper=True)
                across = torch.linalg.solve_triangular(mean_root, back.T, upper=False)
            self._factors = root, mean_root, across
        return self._factors


def _faded(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return points kept near the box of the rows, and how much of a process is left there."""
    excess = (x.abs() - _EDGE).clamp_min(0.0)
    fading = (-0.5 / _FADING**2 * excess.square().sum(dim=1)).exp()
    return x.clamp(-_FARTHEST, _FARTHEST), fading
