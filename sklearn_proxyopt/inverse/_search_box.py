"""The box of the unknowns, and the unbounded variables in which solvers search it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sklearn_proxyopt._utils._constants import Constants
from sklearn_proxyopt._utils._validation import as_numbers, check_bounds
from sklearn_proxyopt.inverse._polytope import Polytope

__all__ = ["SearchBox"]

# Estimates on a side of the box are moved inside by this share of its half-width: on the side
# itself the scaled tanh has no slope.
_MARGIN = 1e-3
# Starts as near to a side as the first number are moved to the second: a search would hardly come
# off it.
_NEAR_SIDE, _START_MARGIN = 0.01, 0.05
# Those that constraints forbid are moved in farther.
_WELL_INSIDE = 0.9


class SearchBox:
    """The box of the unknowns, less what constraints forbid.

    Parameters
    ----------
    bounds : array-like of shape (n_unknowns, 2)
        The box, in the units of the unknowns.
    hard_bounds : bool
        Whether solutions must lie in it.
    constraints : LinearConstraint or sequence of them
        Inequalities between the unknowns.

    Attributes
    ----------
    bounds : ndarray of shape (n_unknowns, 2)
        The box.
    """

    def __init__(self, bounds: ArrayLike, hard_bounds: bool, constraints: Any) -> None:
        self.bounds = check_bounds(bounds)
        self.hard_bounds = hard_bounds
        self._constants = Constants(self.bounds)
        self._polytope = self._polytope_of(constraints)

    @property
    def n_unknowns(self) -> int:
        """Number of unknowns of one problem."""
        return len(self.bounds)

    @property
    def middle(self) -> NDArray[np.float64]:
        """The middle of the box, or of what constraints leave of it."""
        lower, upper = self.bounds.T
        shift = 0.0 if self._polytope is None else self._polytope.middle
        return (lower + upper) / 2 + (upper - lower) / 2 * shift

    def checked_start(self, start: ArrayLike) -> NDArray[np.float64]:
        """Return a start, or raise an error that names it.

        Parameters
        ----------
        start : array-like of shape (n_unknowns,)
            Where a search is to begin.

        Returns
        -------
        ndarray of shape (n_unknowns,)
            The same, as numbers.

        Raises
        ------
        ValueError
            If it is none, or lies outside of a hard box.
        """
        values = as_numbers(start, "start")
        lower, upper = self.bounds.T
        if values.shape != lower.shape or not np.isfinite(values).all():
            raise ValueError(
                f"start must hold one finite number for each of the {len(lower)} unknowns; "
                f"got {start!r}."
            )
        if self.hard_bounds and ((values < lower) | (values > upper)).any():
            raise ValueError(f"start must lie inside bounds; got {start!r}.")
        if self._polytope is not None and not self._polytope.are_met(values[None])[0]:
            raise ValueError(f"start must meet the constraints; got {values.tolist()}.")
        return values

    def _polytope_of(self, constraints: Any) -> Polytope | None:
        """Return what constraints leave of the box, or None without any."""
        if isinstance(constraints, (list, tuple)) and not constraints:
            return None
        if not self.hard_bounds:
            raise ValueError("hard_bounds must be True where constraints are given; got False.")
        return Polytope(constraints, self.bounds)

    def to_unknowns(self, latent: Tensor) -> Tensor:
        """Map unbounded variables, in which solvers search, to unknowns.

        Parameters
        ----------
        latent : torch.Tensor of shape (n, n_unknowns)
            Unbounded variables; zero stands for the middle of the box.

        Returns
        -------
        torch.Tensor of shape (n, n_unknowns)
            Unknowns in their units: middle + half_width tanh(latent), or without the tanh
            where the box is not hard.
        """
        middle, half_width = self._box(latent)
        if not self.hard_bounds:
            return middle + half_width * latent
        # The sum may round to a value just outside.
        bounded = self.from_box(self._bounded(latent))
        return torch.clamp(bounded, middle - half_width, middle + half_width)

    def to_latent(self, unknowns: Tensor) -> Tensor:
        """Map unknowns to unbounded variables.

        Parameters
        ----------
        unknowns : torch.Tensor of shape (n, n_unknowns)
            Unknowns; on and beyond a side of a hard box they are moved just inside.

        Returns
        -------
        torch.Tensor of shape (n, n_unknowns)
            The variables that `to_unknowns` maps there.
        """
        scaled = self.to_box(unknowns)
        if not self.hard_bounds:
            return scaled
        if self._polytope is not None:
            # Along a constraint the slope turns at once: a search would not come off it.
            is_outside = (scaled.abs() > 1.0).any(dim=1, keepdim=True)
            scaled = torch.where(is_outside, scaled.clamp(-_WELL_INSIDE, _WELL_INSIDE), scaled)
        return self._unbounded(scaled.clamp(_MARGIN - 1.0, 1.0 - _MARGIN))

    def start_to_latent(self, starts: Tensor) -> Tensor:
        """Map starts of a search to unbounded variables, those at a side of a hard box well inside.

        Parameters
        ----------
        starts : torch.Tensor of shape (n, n_unknowns)
            Unknowns, in the box.

        Returns
        -------
        torch.Tensor of shape (n, n_unknowns)
            Where searches begin.
        """
        if self.hard_bounds:
            places = self.to_box(starts)
            at_side = places.abs() > 1.0 - _NEAR_SIDE
            inside = places.clamp(_START_MARGIN - 1.0, 1.0 - _START_MARGIN)
            moved = self.from_box(torch.where(at_side, inside, places))
            starts = torch.where(at_side.any(dim=1, keepdim=True), moved, starts)
        return self.to_latent(starts)

    def _bounded(self, latent: Tensor) -> Tensor:
        """Map unbounded variables to places between -1 and 1."""
        return torch.tanh(latent)

    def _unbounded(self, places: Tensor) -> Tensor:
        """Map places between -1 and 1 to unbounded variables."""
        return torch.atanh(places)

    def from_box(self, places: Tensor) -> Tensor:
        """Map places in the box to unknowns.

        Constraints shorten the way from the middle of what they leave.

        Parameters
        ----------
        places : torch.Tensor of shape (n, n_unknowns)
            Distances from the middle of the box, in its half-widths.

        Returns
        -------
        torch.Tensor of shape (n, n_unknowns)
            Unknowns in their units.
        """
        middle, half_width = self._box(places)
        if self._polytope is not None:
            places = self._polytope.inward(places)
        return middle + half_width * places

    def to_box(self, unknowns: Tensor) -> Tensor:
        """Map unknowns to places in the box.

        Parameters
        ----------
        unknowns : torch.Tensor of shape (n, n_unknowns)
            Unknowns in their units.

        Returns
        -------
        torch.Tensor of shape (n, n_unknowns)
            The places that `from_box` maps there.
        """
        middle, half_width = self._box(unknowns)
        places = (unknowns - middle) / half_width
        return places if self._polytope is None else self._polytope.outward(places)

    def is_inside(self, unknowns: Tensor) -> Tensor:
        """Return which unknowns lie inside a hard box.

        Parameters
        ----------
        unknowns : Tensor of shape (n, n_unknowns)
            Solutions.

        Returns
        -------
        Tensor of bool of shape (n,)
            Whether each does, and meets the constraints; True where the box is not hard.
        """
        if not self.hard_bounds:
            return torch.ones_like(unknowns[:, 0], dtype=torch.bool)
        lower, upper = self._constants.on(unknowns.device, unknowns.dtype)[0].T
        inside = ((unknowns >= lower) & (unknowns <= upper)).all(dim=1)
        if self._polytope is not None:
            are_met = self._polytope.are_met(unknowns.detach().cpu().numpy())
            inside &= torch.as_tensor(are_met, device="cpu").to(inside.device)
        return inside

    def _box(self, like: Tensor) -> tuple[Tensor, Tensor]:
        lower, upper = self._constants.on(like.device, like.dtype)[0].T
        return (lower + upper) / 2, (upper - lower) / 2
