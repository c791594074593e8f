"""The axes on which variables are searched: a box with one for each that is not fixed."""

from __future__ import annotations

import copy
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._box import from_unit_cube, to_unit_cube
from sklearn_proxyopt.variables._grid import Grid
from sklearn_proxyopt.variables._kinds import Kinds

__all__ = ["Axes"]


class Axes:
    """The axes of some variables: the ways from valid samples to points, and back.

    A variable that is fixed has no axis. The axis of one on a circle is one period, cut open at its
    lower bound or, in what `opened_at` returns, elsewhere.

    Parameters
    ----------
    kinds : Kinds
        The variables.

    Attributes
    ----------
    bounds : ndarray of shape (n_features, 2)
        The box, in the user's units.
    axes : ndarray of shape (n_axes, 2)
        The box of the axes.
    """

    def __init__(self, kinds: Kinds) -> None:
        self.kinds, self.bounds = kinds, kinds.box
        self._searched = np.flatnonzero(~kinds.is_fixed)
        self._has_all = len(self._searched) == len(kinds)
        self._grid = Grid(kinds)
        # What a sample may hold: steps end where the last of them does.
        self._lower, self._upper = self._grid.first, self._grid.last
        self._is_discrete = self._grid.has_steps | kinds.is_fixed
        self.axes = self._logarithm(self._grid.cells()[:, self._searched]).T
        self._limits = self._logarithm(self.valid_bounds.T[:, self._searched])

    @property
    def n_features(self) -> int:
        """Number of variables."""
        return len(self.bounds)

    @property
    def n_axes(self) -> int:
        """Number of variables that are searched: those that are not fixed."""
        return len(self._searched)

    @property
    def is_discrete(self) -> NDArray[np.bool_]:
        """Which variables have values apart from one another, or a single one."""
        return self._is_discrete

    @property
    def searched(self) -> NDArray[np.intp]:
        """The places of the variables that have an axis, in the order of the axes."""
        return self._searched

    @property
    def is_discrete_axis(self) -> NDArray[np.bool_]:
        """Which axes are those of variables with values apart from one another."""
        return np.asarray(self._is_discrete[self._searched])

    @property
    def is_category_axis(self) -> NDArray[np.bool_]:
        """Which axes are those of categories."""
        return np.asarray(self.kinds.is_category[self._searched])

    @property
    def step_origins(self) -> NDArray[np.float64]:
        """What the steps of each variable are counted from, of shape (n_features,)."""
        return self._grid.origin

    @property
    def valid_bounds(self) -> NDArray[np.float64]:
        """The box from the first to the last value of each variable, of shape (n_features, 2)."""
        return np.column_stack([self._lower, self._upper])

    @property
    def axis_limits(self) -> NDArray[np.float64]:
        """The box of what samples have on the axes, of shape (2, n_axes)."""
        return self._limits

    def opened_at(self, x: NDArray[np.float64]) -> Self:
        """Return the axes with each circle cut open opposite to a sample, for a search to pass.

        Parameters
        ----------
        x : ndarray of shape (n_features,)
            A sample, in the user's units.

        Returns
        -------
        Axes
            The same variables; where none lies on a circle, the object itself.
        """
        is_circle = self.kinds.is_periodic[self._searched]
        if not is_circle.any():
            return self
        opened = copy.copy(self)
        middle = x[self._searched]
        half = 0.5 * np.ptp(self.axes, axis=1)
        cut = np.column_stack([middle - half, middle + half])
        opened.axes = np.where(is_circle[:, None], cut, self.axes)
        opened._limits = np.where(is_circle, cut.T, self._limits)
        return opened

    def encode(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return samples on the axes.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Samples, in the user's units.

        Returns
        -------
        ndarray of shape (n, n_axes)
            The same samples on the axes.
        """
        Z = self._logarithm(X if self._has_all else X[:, self._searched])
        is_circle = self.kinds.is_periodic[self._searched]
        return _wrapped(Z, self.axes, is_circle) if is_circle.any() else Z

    def decode(self, Z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the valid samples that points on the axes stand for, whatever the constraints.

        Parameters
        ----------
        Z : ndarray of shape (n, n_axes)
            Points on the axes.

        Returns
        -------
        ndarray of shape (n, n_features)
            Samples inside the bounds to the last bit, in the user's units.
        """
        return self.valid(self.in_units(Z))

    def to_unit_cube(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return samples in the unit cube of the axes.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Samples, in the user's units.

        Returns
        -------
        ndarray of shape (n, n_axes)
            The same samples in the unit cube.
        """
        return to_unit_cube(self.encode(X), self.axes)

    def from_unit_cube(self, U: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the valid samples that points of the unit cube stand for.

        Parameters
        ----------
        U : ndarray of shape (n, n_axes)
            Points of the unit cube.

        Returns
        -------
        ndarray of shape (n, n_features)
            Samples inside the bounds to the last bit, in the user's units.
        """
        return self.decode(from_unit_cube(U, self.axes))

    def places(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return samples as points whose distances are those of the samples, also around a circle.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Samples, in the user's units.

        Returns
        -------
        ndarray of shape (n, n_axes + n_periodic)
            The samples in the unit cube; those on a circle lie on one of circumference 1.
        """
        U = self.to_unit_cube(X)
        is_circle = self.kinds.is_periodic[self._searched]
        if not is_circle.any():
            return U
        turns = 2.0 * np.pi * U[:, is_circle]
        return np.hstack([U[:, ~is_circle], np.sin(turns) / 2 / np.pi, np.cos(turns) / 2 / np.pi])

    def cube_slopes(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how much each searched variable changes for its change in the unit cube.

        Parameters
        ----------
        x : ndarray of shape (n_features,)
            A sample, in the user's units.

        Returns
        -------
        ndarray of shape (n_axes,)
            Derivatives.
        """
        width = self.axes[:, 1] - self.axes[:, 0]
        return np.where(self.kinds.is_log[self._searched], x[self._searched] * width, width)

    def neighbors(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the samples that differ from one in one step of a variable or in a category.

        Parameters
        ----------
        x : ndarray of shape (n_features,)
            A valid sample.

        Returns
        -------
        ndarray of shape (n, n_features)
            Valid samples: for each variable with steps those one lower and one higher, for each
            category those of its other labels. They may miss the constraints.
        """
        rows = []
        for place in np.flatnonzero(self._grid.has_steps).tolist():
            values = self._grid.others(place, x[place])
            block = np.tile(x, (len(values), 1))
            block[:, place] = values
            rows.append(block)
        return np.vstack([np.empty((0, self.n_features)), *rows])

    def all_values(self, most: int) -> list[NDArray[np.float64]] | None:
        """Return the values of each variable, where samples can be counted and are not too many.

        Parameters
        ----------
        most : int
            How many samples there may be.

        Returns
        -------
        list of ndarray or None
            The values of each variable; None where some lie dense, or samples are more.
        """
        if not self._is_discrete.all() or np.prod(self._grid.n_values) > most:
            return None
        return [
            self._grid.values(place) if self._grid.has_steps[place] else self._lower[[place]]
            for place in range(self.n_features)
        ]

    def valid(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the nearest valid samples; constraints are not looked at.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Samples, in the user's units.

        Returns
        -------
        ndarray of shape (n, n_features)
            Samples at the nearest steps and codes, inside the bounds to the last bit.
        """
        return np.clip(self._grid.nearest(self.wrapped(X)), self._lower, self._upper)

    def settings(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the settings that samples stand for which come back from an experiment.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Samples, in the user's units, also outside the bounds.

        Returns
        -------
        ndarray of shape (n, n_features)
            The samples with numbers at the nearest steps, and on a circle within one period.
        """
        return self._grid.nearest(self.wrapped(X))

    def wrapped(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return samples whose numbers on a circle lie within one period.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Samples, in the user's units.

        Returns
        -------
        ndarray of shape (n, n_features)
            The same settings.
        """
        is_circle = self.kinds.is_periodic
        return _wrapped(X, self.bounds, is_circle) if is_circle.any() else X

    def _logarithm(self, Z: NDArray[np.float64]) -> NDArray[np.float64]:
        is_log = self.kinds.is_log[self._searched]
        if not is_log.any():
            return Z
        Z = Z.copy()
        Z[..., is_log] = np.log(np.maximum(Z[..., is_log], np.finfo(np.float64).tiny))
        return Z

    def in_units(self, Z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points on the axes in the user's units; nothing is rounded or clipped.

        Parameters
        ----------
        Z : ndarray of shape (n, n_axes)
            Points on the axes.

        Returns
        -------
        ndarray of shape (n, n_features)
            The same points in the user's units, at the ends of the axes those of the box.
        """
        X = self._exponential(Z)
        if not self._has_all:
            searched, X = X, np.tile(self._lower, (len(X), 1))
            X[:, self._searched] = searched
        return self.wrapped(X)

    def _exponential(self, Z: NDArray[np.float64]) -> NDArray[np.float64]:
        is_log = self.kinds.is_log[self._searched]
        if not is_log.any():
            return Z
        lower, upper = self.axes.T
        X = np.where(is_log, np.exp(np.where(is_log, Z, 0.0)), Z)
        # The ends are those of the box to the last bit.
        X = np.where(is_log & (lower >= Z), self._lower[self._searched], X)
        return np.where(is_log & (upper <= Z), self._upper[self._searched], X)


def _wrapped(
    X: NDArray[np.float64], box: NDArray[np.float64], is_circle: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return samples whose numbers on a circle lie between the lower end and the upper one."""
    low, width = box[:, 0], np.where(is_circle, np.ptp(box, axis=1), 1.0)
    moved = X - width * np.floor((X - low) / width)
    # Rounding may end at the upper end, which is the lower one.
    moved = np.where(moved >= box[:, 1], low, moved)
    return np.where(is_circle, moved, X)
