"""How well measurements determine unknowns: covariances and intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student
from torch import Tensor

from sklearn_proxyopt.inverse._problem_set import ProblemSet

__all__ = ["Uncertainty", "uncertainty_of"]

# Inverse variance of a uniform distribution over [-1, 1]: what a hard box says by itself.
_OF_BOX = 3.0
# An unknown whose deviation exceeds this share of a half-width is hardly known better than before.
_HARDLY_KNOWN = 0.5
# Corrections of the ends of an interval, each at the cost of a simulation an end.
_N_CORRECTIONS = 6
_CLOSE = 0.02
_LEAST = 1e-12


@dataclass(frozen=True)
class Uncertainty:
    """What is known of the unknowns of some problems.

    Attributes
    ----------
    covariance : ndarray of shape (n, n_unknowns, n_unknowns)
        In the units of the unknowns; NaN, as all numbers, where it could not be computed.
    lower, upper : ndarray of shape (n, n_unknowns)
        Ends of the intervals.
    is_identifiable : ndarray of shape (n,)
        Whether the measurements narrow the box down along every direction.
    flat_direction : ndarray of shape (n, n_unknowns)
        The direction that is known least, of unit length in half-widths of the box.
    """

    covariance: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    is_identifiable: NDArray[np.bool_]
    flat_direction: NDArray[np.float64]


def uncertainty_of(
    problems: ProblemSet, unknowns: Tensor, loss: Tensor, level: float
) -> Uncertainty:
    """Return what the measurements say of the unknowns near a solution.

    The covariance is that of Gauss and Newton, in which a hard box counts as a measurement. The
    ends of intervals are moved along the line where the other unknowns adapt, until the loss rises
    by what the level asks for: the profile of a loss that is not quadratic.

    Parameters
    ----------
    problems : ProblemSet
        The problems.
    unknowns : Tensor of shape (n, n_unknowns)
        Their solutions, in the box.
    loss : Tensor of shape (n,)
        The losses there; nothing is known of a solution without a finite one.
    level : float
        The probability with which an interval is to hold the true unknown.

    Returns
    -------
    Uncertainty
        All in the units of the unknowns.
    """
    half_width = problems.half_width
    variance, freedom = problems.variance_of(loss)
    hessian = problems.curvature(unknowns) * _outer(half_width)
    precision = hessian / variance[:, None, None]
    if problems.problem.hard_bounds:
        precision = precision + _OF_BOX * torch.diag(torch.ones_like(half_width))
    values, vectors = torch.linalg.eigh(torch.nan_to_num(precision))
    values = values.clamp_min(_LEAST)
    scaled = (vectors / values[:, None]) @ vectors.transpose(1, 2)
    quantile = torch.as_tensor(_quantile(level, freedom), device="cpu").to(scaled)
    quantile = quantile.expand(len(unknowns))
    lower, upper = _interval(problems, unknowns, scaled, loss, variance, quantile)
    known = torch.isfinite(hessian).all(dim=2).all(dim=1) & torch.isfinite(loss)
    return Uncertainty(
        _array(torch.where(known[:, None, None], scaled, torch.nan) * _outer(half_width)),
        _array(torch.where(known[:, None], lower, torch.nan)),
        _array(torch.where(known[:, None], upper, torch.nan)),
        _array((values[:, 0] ** -0.5 < _HARDLY_KNOWN) & known).astype(bool),
        _array(torch.where(known[:, None], vectors[:, :, 0], torch.nan)),
    )


def _interval(
    problems: ProblemSet,
    unknowns: Tensor,
    scaled: Tensor,
    loss: Tensor,
    variance: Tensor,
    quantile: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return both ends for each unknown, where the loss has risen by what the quantile says."""
    deviation = scaled.diagonal(dim1=1, dim2=2).sqrt()
    # While one unknown leaves the solution, the others follow it.
    lines = (scaled / deviation[:, None]).transpose(1, 2) * problems.half_width
    ends = []
    for sign in (-1.0, 1.0):
        steps = sign * quantile[:, None, None] * lines
        factor = _factors(problems, unknowns, steps, loss, variance, quantile)
        moved = factor * steps.diagonal(dim1=1, dim2=2)
        ends.append(problems.inside(unknowns + moved))
    return ends[0], ends[1]


def _factors(
    problems: ProblemSet,
    unknowns: Tensor,
    steps: Tensor,
    loss: Tensor,
    variance: Tensor,
    quantile: Tensor,
) -> Tensor:
    """Return how many times a step (n, n_unknowns, n_unknowns) each end is away."""
    n, n_unknowns = unknowns.shape
    wanted = (0.5 * quantile.square() * variance)[:, None]
    factor = torch.ones_like(unknowns)
    for _ in range(_N_CORRECTIONS):
        places = (unknowns[:, None] + factor[..., None] * steps).flatten(0, 1)
        number = torch.arange(n, device=unknowns.device).repeat_interleave(n_unknowns)
        there = problems.losses_of(problems.inside(places), number).view(n, n_unknowns)
        rise = there - loss[:, None]
        ratio = (wanted / rise).sqrt()
        ratio = torch.where(rise > 0, ratio, 2.0)
        # A simulation that fails ends what is possible.
        ratio = torch.where(torch.isfinite(there), ratio, 0.5).clamp(0.5, 2.0)
        if ((ratio - 1.0).abs() < _CLOSE).all():
            break
        factor = (factor * ratio).clamp(1e-3, 1e3)
    return factor


def _quantile(level: float, freedom: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return the deviations of an interval, of Student's t where the noise is estimated."""
    if freedom is None:
        return np.array([norm.ppf(0.5 + level / 2)])
    return np.asarray(student.ppf(0.5 + level / 2, np.maximum(freedom, 1.0)))


def _outer(half_width: Tensor) -> Tensor:
    return half_width[:, None] * half_width


def _array(values: Tensor) -> NDArray[np.float64]:
    return np.array(values.cpu().numpy())
