"""Points that are new, and points that lie far from those taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sklearn_proxyopt._utils._box import to_unit_cube

__all__ = ["are_new", "farthest_places", "farthest_points", "new_points"]

# Points nearer to one another than this, in the unit cube, are the same experiment.
_SAME_POINT = 1e-9


def are_new(units: NDArray[np.float64], taken: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which points of the unit cube are not taken."""
    if not len(taken) or not len(units):
        return np.ones(len(units), dtype=bool)
    distance = cKDTree(taken).query(units)[0]
    return np.asarray(distance >= _SAME_POINT)


def farthest_places(
    units: NDArray[np.float64], taken: NDArray[np.float64], n_points: int
) -> NDArray[np.intp]:
    """Pick, one after another, the place of the point farthest from all that are taken."""
    distance = cKDTree(taken).query(units)[0]
    chosen = np.empty(n_points, dtype=np.intp)
    for i in range(n_points):
        chosen[i] = np.argmax(distance)
        distance = np.minimum(distance, np.linalg.norm(units - units[chosen[i]], axis=1))
    return chosen


def new_points(
    points: NDArray[np.float64], taken: NDArray[np.float64], bounds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the points of a box that are not taken."""
    return points[are_new(to_unit_cube(points, bounds), taken)]


def farthest_points(
    pool: NDArray[np.float64],
    taken: NDArray[np.float64],
    bounds: NDArray[np.float64],
    n_points: int,
) -> NDArray[np.float64]:
    """Pick from a pool, one after another, the point farthest from all that are taken."""
    return pool[farthest_places(to_unit_cube(pool, bounds), taken, n_points)]
