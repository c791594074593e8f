"""What measurements may be off by, and in which units they differ from predictions by about one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_proxyopt._utils._validation import as_numbers

__all__ = [
    "Noise",
    "check_covariance",
    "check_deviations",
    "correlated_noise",
    "noise_of_all",
    "noise_of_each",
]


@dataclass(frozen=True)
class Noise:
    """The errors of the measurements of some problems: their deviations, or what makes them white.

    Attributes
    ----------
    deviations : Tensor of shape (n, ...) or None
        Standard deviations, in the shape of the observations.
    whiteners : Tensor of shape (n_patterns, n_observed, n_observed) or None
        For each pattern of gaps the matrix that makes correlated errors white, zero where nothing
        was measured.
    patterns : Tensor of shape (n,) or None
        Which of them holds for each problem.
    """

    deviations: Tensor | None = None
    whiteners: Tensor | None = None
    patterns: Tensor | None = None

    def of(self, index: Tensor) -> Noise:
        """Return the errors of the problems of an index."""
        parts = (self.deviations, self.patterns)
        deviations, patterns = (None if part is None else part[index] for part in parts)
        return Noise(deviations, self.whiteners, patterns)

    def in_units(self, values: Tensor) -> Tensor:
        """Return values (n, ...), or differences of such, in units of their errors."""
        if self.deviations is not None:
            return values / self.deviations
        if self.whiteners is None or self.patterns is None:
            return values
        flat = torch.einsum("nij,nj->ni", self.whiteners[self.patterns], values.flatten(1))
        return flat.reshape(values.shape)


def check_deviations(
    noise_std: Any, shape: tuple[int, ...], owner: str = "an observation"
) -> NDArray[np.float64]:
    """Return standard deviations that fit a shape, or raise an error that names them."""
    values = as_numbers(noise_std, "noise_std")
    if not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"noise_std must hold positive, finite numbers; got {noise_std!r}.")
    try:
        return np.broadcast_to(values, shape)
    except ValueError:
        raise ValueError(
            f"noise_std must be a number or have the shape {shape} of {owner}; got {values.shape}."
        ) from None


def check_covariance(covariance: Any) -> NDArray[np.float64]:
    """Return a covariance matrix, or raise an error that names it."""
    matrix = as_numbers(covariance, "noise_covariance")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"noise_covariance must be a square matrix; got shape {matrix.shape}.")
    if not np.allclose(matrix, matrix.T):
        raise ValueError("noise_covariance must be symmetric; got a matrix that is not.")
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise ValueError(
            "noise_covariance must be positive definite; got a matrix that is not."
        ) from None
    return matrix


def noise_of_all(noise_std: Any, observed: Tensor) -> Noise:
    """Return the errors of observations (n, ...) that are alike in all problems."""
    deviations = check_deviations(noise_std, tuple(observed.shape[1:]))
    return Noise(
        torch.as_tensor(np.array(deviations), device="cpu").to(observed).expand_as(observed)
    )


def noise_of_each(noise_std: Any, observed: Tensor) -> Noise:
    """Return the errors of observations (n, ...) that (n,) or (n, n_observed) numbers say.

    Nobody needs to know the error of what was not measured.
    """
    given = as_numbers(noise_std, "noise_std")
    given = given[:, None] if given.ndim == 1 else given
    flat = observed.flatten(1)
    if given.shape == flat.shape:
        given = np.where(flat.isnan().cpu().numpy(), 1.0, given)
    deviations = check_deviations(given, tuple(flat.shape), "the observations in X")
    copied = torch.as_tensor(np.array(deviations), device="cpu").to(observed)
    return Noise(copied.reshape(observed.shape))


def correlated_noise(covariance: Any, observed: Tensor) -> Noise:
    """Return the errors of observations (n, ...) with a covariance, whitened for each pattern."""
    measured = ~observed.flatten(1).isnan()
    if len(covariance) != measured.shape[1]:
        raise ValueError(
            f"noise_covariance must have a row for each of the {measured.shape[1]} values "
            f"observed; got {len(covariance)}."
        )
    return _whitening(torch.as_tensor(covariance, device="cpu").to(observed), measured)


def _whitening(covariance: Tensor, measured: Tensor) -> Noise:
    """Return what makes correlated errors white where only some points were measured.

    Parameters
    ----------
    covariance : Tensor of shape (n_observed, n_observed)
        The covariance of the errors of one observation.
    measured : Tensor of shape (n, n_observed)
        Which points of each observation were measured.

    Returns
    -------
    Noise
        For each pattern the inverse of the Cholesky factor of the measured part.
    """
    patterns, which = torch.unique(measured, dim=0, return_inverse=True)
    whiteners = covariance.new_zeros(len(patterns), *covariance.shape)
    for own, pattern in zip(whiteners, patterns, strict=True):
        (points,) = pattern.nonzero(as_tuple=True)
        factor = torch.linalg.cholesky(covariance[points[:, None], points])
        identity = torch.eye(len(points), dtype=factor.dtype, device=factor.device)
        own[points[:, None], points] = torch.linalg.solve_triangular(factor, identity, upper=False)
    return Noise(whiteners=whiteners, patterns=which)
