"""Points that are new, and points that lie far from those taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sklearn_proxyopt._box import to_unit_cube

__all__ = ["farthest_points", "new_points"]

# Points nearer to one another than this, in the unit cube, are the same experiment.
_SAME_POINT = 1e-9


def new_points(
    points: NDArray[np.float64], taken: NDArray[np.float64], bounds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the points that are not taken."""
    if not len(taken) or not len(points):
        return points
    distance = cKDTree(taken).query(to_unit_cube(points, bounds))[0]
    return points[distance >= _SAME_POINT]


def farthest_points(
    pool: NDArray[np.float64],
    taken: NDArray[np.float64],
    bounds: NDArray[np.float64],
    n_points: int,
) -> NDArray[np.float64]:
    """Pick from a pool, one after another, the point farthest from all that are taken."""
    units = to_unit_cube(pool, bounds)
    distance = cKDTree(taken).query(units)[0]
    chosen = np.empty(n_points, dtype=np.intp)
    for i in range(n_points):
        chosen[i] = np.argmax(distance)
        distance = np.minimum(distance, np.linalg.norm(units - units[chosen[i]], axis=1))
    return pool[chosen]
