"""The axes on which variables are searched, and the features that a proxy learns of them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._box import from_unit_cube, to_unit_cube
from sklearn_proxyopt.variables._kinds import Kinds

__all__ = ["Axes"]


class Axes:
    """The axes of some variables: the ways from valid rows to points, and back.

    Parameters
    ----------
    bounds : ndarray of shape (n_features, 2)
        The box, in the user's units.
    kinds : Kinds
        The kinds of the variables.

    Attributes
    ----------
    axes : ndarray of shape (n_features, 2)
        The box of the axes.
    """

    def __init__(self, bounds: NDArray[np.float64], kinds: Kinds) -> None:
        self.bounds, self.kinds = bounds, kinds
        # What a row may hold: whole numbers begin and end at whole numbers.
        lower, upper = bounds.T
        self._lower = np.where(kinds.is_whole, np.ceil(lower), lower)
        self._upper = np.where(kinds.is_whole, np.floor(upper), upper)
        self._is_discrete = kinds.is_whole | kinds.is_category
        reach = np.where(self._is_discrete, 0.5, 0.0)
        self.axes = self._logarithm(np.array([self._lower - reach, self._upper + reach])).T

    @property
    def n_features(self) -> int:
        """Number of variables."""
        return len(self.bounds)

    @property
    def is_discrete(self) -> NDArray[np.bool_]:
        """Which variables are whole numbers or categories."""
        return self._is_discrete

    @property
    def valid_bounds(self) -> NDArray[np.float64]:
        """The box, which for whole numbers begins and ends at one, of shape (n_features, 2)."""
        return np.column_stack([self._lower, self._upper])

    def encode(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return rows on the axes.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Rows, in the user's units.

        Returns
        -------
        ndarray of shape (n, n_features)
            The same rows on the axes.
        """
        return self._logarithm(X)

    def decode(self, Z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the valid rows that points on the axes stand for; constraints are not looked at.

        Parameters
        ----------
        Z : ndarray of shape (n, n_features)
            Points on the axes.

        Returns
        -------
        ndarray of shape (n, n_features)
            Rows inside the box to the last bit, in the user's units.
        """
        return self.valid(self.in_units(Z))

    def to_unit_cube(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return rows in the unit cube of the axes.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Rows, in the user's units.

        Returns
        -------
        ndarray of shape (n, n_features)
            The same rows in the unit cube.
        """
        return to_unit_cube(self.encode(X), self.axes)

    def from_unit_cube(self, U: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the valid rows that points of the unit cube stand for.

        Parameters
        ----------
        U : ndarray of shape (n, n_features)
            Points of the unit cube.

        Returns
        -------
        ndarray of shape (n, n_features)
            Rows inside the box to the last bit, in the user's units.
        """
        return self.decode(from_unit_cube(U, self.axes))

    def cube_slopes(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how much each variable of a row changes for its change in the unit cube.

        Parameters
        ----------
        x : ndarray of shape (n_features,)
            A row, in the user's units.

        Returns
        -------
        ndarray of shape (n_features,)
            Derivatives.
        """
        width = self.axes[:, 1] - self.axes[:, 0]
        return np.where(self.kinds.is_log, x * width, width)

    def neighbors(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the rows that differ from one in one step of a whole number or in a category.

        Parameters
        ----------
        x : ndarray of shape (n_features,)
            A valid row.

        Returns
        -------
        ndarray of shape (n, n_features)
            Valid rows: for each whole number those one lower and one higher, for each category
            those of its other labels. They may miss the constraints.
        """
        rows = []
        for index in np.flatnonzero(self._is_discrete).tolist():
            if index in self.kinds.levels:
                values = np.arange(float(len(self.kinds.levels[index])))
                values = values[values != x[index]]
            else:
                values = x[index] + np.array([-1.0, 1.0])
                values = values[(values >= self._lower[index]) & (values <= self._upper[index])]
            block = np.tile(x, (len(values), 1))
            block[:, index] = values
            rows.append(block)
        return np.vstack([np.empty((0, self.n_features)), *rows])

    def features(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what a proxy learns of rows.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Rows, in the user's units.

        Returns
        -------
        ndarray of shape (n, n_learned)
            The axes of the variables that are no categories, in their order; then an indicator for
            each label of each category. In a plain space, `X` itself.
        """
        if not self.kinds.levels:
            return self.encode(X)
        codes = np.rint(X)
        indicators = [
            codes[:, [index]] == np.arange(len(labels)) for index, labels in self._levels()
        ]
        axes = self.encode(X)[:, ~self.kinds.is_category]
        return np.hstack([axes, *(block.astype(np.float64) for block in indicators)])

    @cached_property
    def feature_bounds(self) -> NDArray[np.float64]:
        """The box of the features, of shape (n_learned, 2)."""
        n_labels = sum(len(labels) for _, labels in self._levels())
        return np.vstack([self.axes[~self.kinds.is_category], np.tile([0.0, 1.0], (n_labels, 1))])

    def feature_names(self, names: Any) -> Any:
        """Return names of the features, those of categories as ``name_label``.

        Parameters
        ----------
        names : ndarray of shape (n_features,) or None
            Names of the variables.

        Returns
        -------
        ndarray of shape (n_learned,) or None
            None where the variables have no names.
        """
        if names is None or not self.kinds.levels:
            return names
        kept = [name for name, drop in zip(names, self.kinds.is_category, strict=True) if not drop]
        made = [f"{names[index]}_{label}" for index, labels in self._levels() for label in labels]
        return np.array([*kept, *made], dtype=object)

    def _levels(self) -> list[tuple[int, tuple[Any, ...]]]:
        return list(self.kinds.levels.items())

    def valid(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the nearest valid rows; constraints are not looked at.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Rows, in the user's units.

        Returns
        -------
        ndarray of shape (n, n_features)
            Rows whose whole numbers and codes are rounded, inside the box to the last bit.
        """
        X = np.where(self._is_discrete, np.rint(X), X) if self._is_discrete.any() else X
        return np.clip(X, self._lower, self._upper)

    def _logarithm(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        is_log = self.kinds.is_log
        if not is_log.any():
            return X
        Z = X.copy()
        Z[..., is_log] = np.log(np.maximum(X[..., is_log], np.finfo(np.float64).tiny))
        return Z

    def in_units(self, Z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points on the axes in the user's units; nothing is rounded or clipped.

        Parameters
        ----------
        Z : ndarray of shape (n, n_features)
            Points on the axes.

        Returns
        -------
        ndarray of shape (n, n_features)
            The same points in the user's units, at the ends of the axes those of the box.
        """
        is_log = self.kinds.is_log
        if not is_log.any():
            return Z
        lower, upper = self.axes.T
        X = np.where(is_log, np.exp(np.where(is_log, Z, 0.0)), Z)
        # The ends are those of the box to the last bit.
        X = np.where(is_log & (lower >= Z), self._lower, X)
        return np.where(is_log & (upper <= Z), self._upper, X)
