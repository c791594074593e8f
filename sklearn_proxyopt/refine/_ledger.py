"""What a search on the truth knows: the rows paid for, in the unit cube, and how many are left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sklearn_proxyopt._box import from_unit_cube, to_unit_cube
from sklearn_proxyopt._rows import row_keys

__all__ = ["Ledger", "LimitReachedError"]


class LimitReachedError(Exception):
    """No evaluation is left."""


class Ledger:
    """The true function in the unit cube, with a limit; every row is asked for once.

    Parameters
    ----------
    fun : callable
        The true function, (n, n_features) to (n,), in the user's units; NaN where it fails.
    bounds : ndarray of shape (n_features, 2)
        The box.
    rows_of : callable, default=None
        Takes points of the box and returns the row that each stands for, NaN where there is none.
        The function then takes rows; a point whose row is known costs nothing. None lets every
        point be a row.

    Attributes
    ----------
    points : ndarray of shape (n, n_features)
        The points of the cube whose value is known, in the order in which it was.
    values : ndarray of shape (n,)
        Their values.
    failed : ndarray of shape (n_failed, n_features)
        Those whose evaluation failed.
    n_evaluations : int
        How many rows the function was asked for.
    limit : int
        How many it may be asked for.
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        bounds: NDArray[np.float64],
        rows_of: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
    ) -> None:
        self._fun, self.bounds, self._rows_of = fun, bounds, rows_of
        self.points, self.values = np.empty((0, len(bounds))), np.empty(0)
        self.failed = np.empty((0, len(bounds)))
        self._known: dict[bytes, float] = {}
        self.n_evaluations, self.limit = 0, 0

    @property
    def is_plain(self) -> bool:
        """Whether every point is a row of its own."""
        return self._rows_of is None

    @property
    def lowest(self) -> float:
        """The lowest value known, infinity if there is none."""
        return float(self.values.min()) if len(self.values) else np.inf

    @property
    def spread(self) -> float:
        """How far the median of the values lies above the lowest."""
        return float(np.median(self.values) - self.lowest) if len(self.values) else 0.0

    def note(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Take rows into account that were evaluated elsewhere, in the user's units."""
        points = np.clip(to_unit_cube(X, self.bounds), 0.0, 1.0)
        self._keep(points, y, self._keys(points)[0])

    def buy(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values of points, infinity where an evaluation fails.

        Raises
        ------
        LimitReachedError
            If not all of them could be bought; those that could are known.
        """
        keys, rows = self._keys(points)
        places = {key: i for i, key in enumerate(keys) if key not in self._known}
        new = list(places.values())
        affordable = new[: self.limit - self.n_evaluations]
        if affordable:
            self.n_evaluations += len(affordable)
            values = self._fun(rows[affordable])
            self._keep(points[affordable], values, [keys[i] for i in affordable])
        if len(affordable) < len(new):
            raise LimitReachedError
        if not self.is_plain:
            # The other points have the values of their rows.
            others = np.setdiff1d(np.arange(len(points)), new)
            known = np.array([self._known[keys[i]] for i in others])
            self._keep(points[others], known, [keys[i] for i in others])
        return np.array([self._known[key] for key in keys])

    def _keys(self, points: NDArray[np.float64]) -> tuple[list[bytes], NDArray[np.float64]]:
        """Return a key for each point, the same for the same row, and the rows."""
        rows = from_unit_cube(points, self.bounds)
        if self._rows_of is None:
            return row_keys(points), rows
        rows = self._rows_of(rows)
        keys = row_keys(rows)
        for i in np.flatnonzero(np.isnan(rows).any(axis=1)):
            self._known[keys[i]] = np.inf
        return keys, rows

    def is_known(self, point: NDArray[np.float64], distance: float) -> bool:
        """Tell whether a point lies nearer than a distance to a known one, along every axis."""
        known = np.vstack([self.points, self.failed])
        return bool((np.abs(known - point).max(axis=1) < distance).any())

    def is_near_failure(
        self, points: NDArray[np.float64], whitening: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Tell of which points the nearest known one failed, in white coordinates."""
        if not len(self.failed):
            return np.zeros(len(points), dtype=bool)
        points = points @ whitening
        to_failed = cKDTree(self.failed @ whitening).query(points)[0]
        return np.asarray(to_failed < cKDTree(self.points @ whitening).query(points)[0])

    def _keep(
        self, points: NDArray[np.float64], values: NDArray[np.float64], keys: list[bytes]
    ) -> None:
        values = np.where(np.isfinite(values), values, np.inf)
        for key, value in zip(keys, values, strict=True):
            self._known[key] = float(value)
        good = np.isfinite(values)
        self.points = np.vstack([self.points, points[good]])
        self.values = np.concatenate([self.values, values[good]])
        self.failed = np.vstack([self.failed, points[~good]])
