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

    def __init__(self, fun: Callable[..., Any], bounds: NDArray[np.float64]) -> None:
        self._fun, self.bounds = fun, bounds
        self.points, self.values = np.empty((0, len(bounds))), np.empty(0)
        self.failed = np.empty((0, len(bounds)))
        self._known: dict[bytes, float] = {}
        self.n_evaluations, self.limit = 0, 0

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
        self._keep(np.clip(to_unit_cube(X, self.bounds), 0.0, 1.0), y)

    def buy(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values of points, infinity where an evaluation fails.

        Raises
        ------
        LimitReachedError
            If not all of them could be bought; those that could are known.
        """
        keys = row_keys(points)
        new = {key: point for key, point in zip(keys, points, strict=True)}
        new = {key: point for key, point in new.items() if key not in self._known}
        affordable = np.array(list(new.values())[: self.limit - self.n_evaluations])
        if len(affordable):
            self.n_evaluations += len(affordable)
            self._keep(affordable, self._fun(from_unit_cube(affordable, self.bounds)))
        if len(affordable) < len(new):
            raise LimitReachedError
        return np.array([self._known[key] for key in keys])

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

    def _keep(self, points: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        values = np.where(np.isfinite(values), values, np.inf)
        for key, value in zip(row_keys(points), values, strict=True):
            self._known[key] = float(value)
        good = np.isfinite(values)
        self.points = np.vstack([self.points, points[good]])
        self.values = np.concatenate([self.values, values[good]])
        self.failed = np.vstack([self.failed, points[~good]])
