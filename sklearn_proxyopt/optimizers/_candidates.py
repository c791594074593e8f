"""The distinct low points of a population."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._distances import SAME_MINIMUM

__all__ = ["distinct_minima", "lowest_apart"]


def distinct_minima(
    points: NDArray[np.float64],
    values: NDArray[np.float64],
    *,
    radius: float = SAME_MINIMUM,
    max_candidates: int = 10,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest points that do not lie close to a lower one.

    Parameters
    ----------
    points : ndarray of shape (n, n_features)
        Points of the unit cube.
    values : ndarray of shape (n,)
        Their values.
    radius : float, default=0.01
        Points closer than this, in root mean square over the variables, are the same.
    max_candidates : int, default=10
        How many to return at most.

    Returns
    -------
    points : ndarray of shape (n_candidates, n_features)
        The distinct points, the lowest first.
    values : ndarray of shape (n_candidates,)
        Their values.
    """
    kept = lowest_apart(points, values, radius, max_candidates)
    return points[kept], values[kept]


def lowest_apart(
    points: NDArray[np.float64], values: NDArray[np.float64], radius: float, max_points: int
) -> NDArray[np.intp]:
    """Return the places, among the points, of those that `distinct_minima` keeps."""
    order = np.argsort(values, kind="stable")
    points = points[order]
    reach = radius**2 * points.shape[1]
    open_points = np.ones(len(points), dtype=bool)
    kept: list[int] = []
    while open_points.any() and len(kept) < max_points:
        lowest = int(np.argmax(open_points))
        kept.append(lowest)
        distance = np.square(points - points[lowest]).sum(axis=1)
        open_points &= distance > reach
        open_points[lowest] = False
    return order[kept]
