"""Samples as experiments: which are the same setting, and which was meant by what was done."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sklearn_proxyopt._utils._distances import (
    MEASURED,
    READING,
    SAME_BASIN,
    SAME_SAMPLE,
    are_new,
)
from sklearn_proxyopt.variables._axes import Axes
from sklearn_proxyopt.variables._digits import half_digits

__all__ = ["Experiments"]


class Experiments(Axes):
    """Variables whose samples are experiments: asked for exactly, done and written down roughly."""

    def are_known(self, X: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which samples are among others, up to the decimals to which each variable is known.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Samples, in the user's units.
        others : ndarray of shape (n_others, n_features)
            Samples, in the user's units.

        Returns
        -------
        ndarray of bool of shape (n,)
            Whether each is one of the others.
        """
        if not len(X) or not len(others):
            return np.zeros(len(X), dtype=bool)
        known = ~are_new(self.places(X), self.places(others))
        tolerances = self.kinds.tolerances
        if not tolerances.any():
            return known
        # One is the farthest that a number may be off.
        width = np.ptp(self.bounds, axis=1)
        reach = np.where(tolerances > 0.0, tolerances, SAME_SAMPLE * width)[self._searched]
        circles = np.where(self.kinds.is_periodic, width, 0.0)[self._searched]

        def scaled(rows: NDArray[np.float64]) -> NDArray[np.float64]:
            return (self.wrapped(rows) - self.bounds[:, 0])[:, self._searched] / reach

        tree = cKDTree(scaled(others), boxsize=circles / reach)
        # Half of a decimal has no exact floating-point number.
        return np.asarray(known | (tree.query(scaled(X), p=np.inf)[0] <= 1.0 + 1e-9))

    def reach(self, X: NDArray[np.float64], largest: float = READING) -> NDArray[np.float64]:
        """Return how far each number of samples that were done may be off the one that was meant.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Samples, in the user's units.
        largest : float, default=0.005
            Most of it, in widths of the bounds.

        Returns
        -------
        ndarray of shape (n, n_features)
            Half of the last digit that each was written with, or of the decimals stated for its
            variable, and never less than 1e-6 of the width; 0 in steps, and where it is fixed.
        """
        width = self._widths_at(X)
        reach = np.clip(half_digits(X), MEASURED * width, largest * width)
        return np.where(self._is_discrete, 0.0, np.maximum(reach, self.kinds.tolerances))

    def answered(
        self, points: NDArray[np.float64], X: NDArray[np.float64], largest: float = SAME_BASIN
    ) -> NDArray[np.intp]:
        """Return which sample was done in the place of each point.

        A sample stands for the points that it is, up to the decimals of each variable. Any other
        stands for one point at most: of pairs within half of the last digit that the sample was
        written with the nearest are taken first, and of equal ones the point that comes first.

        Parameters
        ----------
        points : ndarray of shape (n_points, n_features)
            Points, in the user's units.
        X : ndarray of shape (n, n_features)
            Samples that were done, in the user's units.
        largest : float, default=0.05
            How far a number may be off, in widths of the bounds.

        Returns
        -------
        ndarray of shape (n_points,)
            The place of its sample for each point, -1 where there is none.
        """
        rows = np.full(len(points), -1)
        is_told, is_done = self.are_known(points, X), self.are_known(X, points)
        taken: set[int] = set()
        for _, place, row in sorted(self._near_pairs(points, X, largest)):
            if rows[place] >= 0 or (not is_told[place] and (is_done[row] or row in taken)):
                continue
            rows[place] = row
            taken.add(row)
        return rows

    def as_done(self, points: NDArray[np.float64], X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points, those that were done before as they were written down.

        Parameters
        ----------
        points : ndarray of shape (n_points, n_features)
            Points, in the user's units.
        X : ndarray of shape (n, n_features)
            Samples that were done, in the user's units.

        Returns
        -------
        ndarray of shape (n_points, n_features)
            The points, or the samples that stand for them.
        """
        rows = self.answered(points, X, READING)
        return np.where((rows >= 0)[:, None], X[rows], points) if len(X) else points

    def _near_pairs(
        self, points: NDArray[np.float64], X: NDArray[np.float64], largest: float
    ) -> Iterator[tuple[float, int, int]]:
        """Yield how far apart each point and each sample are that may stand for it."""
        if not len(points) or not len(X):
            return
        reach = np.maximum(self.reach(X, largest), SAME_SAMPLE * self._widths) * (1.0 + 1e-9)
        # On a logarithmic axis a reach that is some part of a number looks wider below it.
        widths = self._widths_at(X)
        shares = np.divide(reach, widths, out=np.zeros_like(reach), where=widths > 0.0)
        radius = 2.0 * float(shares.max())
        tree = cKDTree(self.places(X))
        for place, rows in enumerate(tree.query_ball_point(self.places(points), radius, p=np.inf)):
            off = np.abs(self._differences(X[rows], points[place]))
            near = (off <= reach[rows]).all(axis=1)
            for row, distance in zip(np.array(rows, dtype=int)[near], off[near], strict=True):
                yield float((distance / self._widths).max()), place, int(row)

    def _differences(self, X: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return samples less one, around a circle the shorter way."""
        difference = X - x
        is_circle = self.kinds.is_periodic
        period = np.where(is_circle, self._widths, 1.0)
        return np.where(is_circle, difference - period * np.rint(difference / period), difference)

    def _widths_at(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the width of the bounds as it looks at each number, on a logarithmic axis too."""
        low, high = self.bounds.T
        width = np.broadcast_to(high - low, X.shape)
        is_log = self.kinds.is_log
        if is_log.any():
            ratio = np.log(high[is_log] / low[is_log])
            width = width.copy()
            width[:, is_log] = np.abs(X[:, is_log]) * ratio
        return width

    @property
    def _widths(self) -> NDArray[np.float64]:
        """The widths of the bounds, 1 of what is fixed."""
        width = np.ptp(self.bounds, axis=1)
        return np.where(width > 0.0, width, 1.0)
