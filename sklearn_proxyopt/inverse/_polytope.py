"""The part of a box that linear constraints leave, as an image of the box."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linprog
from torch import Tensor

from sklearn_proxyopt._utils._constants import Constants
from sklearn_proxyopt.variables._constraints import Constraints

__all__ = ["Polytope"]

# The room around the middle, in half-widths of the box, below which there is none.
_NO_ROOM = 1e-6


class Polytope:
    """The part of the box that linear constraints leave, mapped from the box and back.

    Each ray from a point well inside is shortened as far as the constraints ask for, so that every
    point of the box has one of the polytope, and sides lie on sides.

    Parameters
    ----------
    constraints : LinearConstraint or sequence of them
        On unknowns in their units.
    bounds : ndarray of shape (n_unknowns, 2)
        The box.

    Attributes
    ----------
    middle : ndarray of shape (n_unknowns,)
        The point from which the rays go, in half-widths of the box from its middle: the one that
        is farthest from all sides.
    """

    def __init__(self, constraints: Any, bounds: NDArray[np.float64]) -> None:
        self._limits = Constraints(constraints, _corners_and_middle(bounds))
        if not self._limits.is_linear:
            raise ValueError(
                "constraints must be linear; got a NonlinearConstraint. Let forward return NaN "
                "where it is not met."
            )
        if self._limits.is_equation.any():
            raise ValueError(
                "constraints must be inequalities; got an equation. Let forward compute one "
                "unknown from the others instead."
            )
        center, half_width = bounds.mean(axis=1), np.ptp(bounds, axis=1) / 2
        low, high = self._limits.targets
        matrix = self._limits.matrix * half_width
        offset = self._limits.matrix @ center
        sides = np.vstack([matrix, -matrix])
        reach = np.concatenate([high - offset, offset - low])
        sides, reach = sides[np.isfinite(reach)], reach[np.isfinite(reach)]
        self.middle = _farthest_from(sides, reach)
        room = reach - sides @ self.middle
        self._constants = Constants(sides / room[:, None], self.middle)

    def are_met(self, unknowns: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which unknowns meet the constraints."""
        return self._limits.are_met(unknowns)

    def inward(self, places: Tensor) -> Tensor:
        """Map places in the box, in half-widths, to places in the polytope."""
        ray, in_box, in_both, middle = self._gauges(places)
        return middle + ray * (in_box / in_both)[:, None]

    def outward(self, places: Tensor) -> Tensor:
        """Map places in the polytope back to those in the box."""
        ray, in_box, in_both, middle = self._gauges(places)
        return middle + ray * (in_both / in_box)[:, None]

    def _gauges(self, places: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return rays, and how far along those to the sides places lie, in box and polytope."""
        sides, middle = self._constants.on(places.device, places.dtype)
        ray = places - middle
        in_box = torch.maximum(ray / (1.0 - middle), -ray / (1.0 + middle)).amax(dim=1)
        in_both = torch.maximum(in_box, (ray @ sides.T).amax(dim=1))
        is_middle = in_box <= 0
        return (
            ray,
            torch.where(is_middle, 1.0, in_box),
            torch.where(is_middle, 1.0, in_both),
            middle,
        )


def _corners_and_middle(bounds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points of the box from which the span of each constraint is taken."""
    lower, upper = bounds.T
    inside = np.random.default_rng(0).uniform(lower, upper, (64, len(bounds)))
    return np.vstack([bounds.T, bounds.mean(axis=1), inside])


def _farthest_from(sides: NDArray[np.float64], reach: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the center of the largest ball inside the sides and the box [-1, 1]."""
    n = sides.shape[1]
    both = np.vstack([sides, np.eye(n), -np.eye(n)])
    limits = np.concatenate([reach, np.ones(2 * n)])
    with_radius = np.column_stack([both, np.linalg.norm(both, axis=1)])
    goal = np.append(np.zeros(n), -1.0)
    found = linprog(goal, A_ub=with_radius, b_ub=limits, bounds=[(None, None)] * n + [(0, 1)])
    if found.status != 0 or found.x[-1] < _NO_ROOM:
        raise ValueError("constraints must leave room inside bounds; got none.")
    return np.asarray(found.x[:-1])
