"""How near points may lie to count as the same; points that are new, or far from others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sklearn_proxyopt._utils._box import to_unit_cube

__all__ = [
    "APART",
    "MEASURED",
    "READING",
    "ROUNDING",
    "SAME_BASIN",
    "SAME_MINIMUM",
    "SAME_OPTIMUM",
    "SAME_POINT",
    "SAME_SAMPLE",
    "SAME_START",
    "along_farthest_axis",
    "are_new",
    "farthest_places",
    "farthest_points",
    "new_points",
    "smallest",
]

# All distances at which two points are taken for one, in widths of the box, the nearest first.
# They differ by rounding alone.
ROUNDING = 1e-12
# A proposal is a point that was evaluated.
SAME_POINT = 1e-10
# They are the same sample, and not evaluated twice.
SAME_SAMPLE = 1e-9
# A sample that was done and the setting that was meant, whatever digits it was written with.
MEASURED = 1e-6
# Descents from them are the same descent.
SAME_START = 1e-3
# They are the same optimum (root mean square over the variables).
SAME_OPTIMUM = 0.005
# The same two where few digits were written: half of the last one, but no more than this.
READING = 0.005
# They are the same minimum of a proxy (root mean square over the variables).
SAME_MINIMUM = 0.01
# Evaluations of one round lie at least so far apart (root mean square over the variables).
APART = 0.01
# They lie in the same basin (root mean square over the variables). So far a point that was asked
# for and the sample that is told in its place may lie apart, if few digits were written.
SAME_BASIN = 0.05


def along_farthest_axis(
    points: NDArray[np.float64], center: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far points lie from one along the axis on which each is farthest, (n_points,)."""
    # An axis at a time: the maximum of each of many short rows is slow.
    farthest = np.zeros(len(points))
    for column, place in zip(points.T, center, strict=True):
        np.maximum(farthest, np.abs(column - place), out=farthest)
    return farthest


def smallest(values: NDArray[np.float64], n: int) -> NDArray[np.intp]:
    """Return the places of the smallest values in order, of equal ones the first."""
    places = np.arange(len(values))
    if n < len(values):
        places = np.flatnonzero(values <= np.partition(values, n - 1)[n - 1])
    return places[np.argsort(values[places], kind="stable")][:n]


def are_new(units: NDArray[np.float64], taken: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which points of the unit cube are not taken."""
    if not len(taken) or not len(units):
        return np.ones(len(units), dtype=bool)
    near = taken[_may_be_near(taken, units)]
    if not len(near):
        return np.ones(len(units), dtype=bool)
    distance = cKDTree(near).query(units)[0]
    return np.asarray(distance >= SAME_SAMPLE)


def _may_be_near(taken: NDArray[np.float64], units: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which points may be the same sample as one of some others, by one direction of space."""
    # No integer numbers of steps along the axes add up to nothing along it.
    direction = np.sqrt(np.arange(2.0, 2.0 + units.shape[1]))
    direction /= np.linalg.norm(direction)
    ahead, others = taken @ direction, np.sort(units @ direction)
    first = np.searchsorted(others, ahead - 2.0 * SAME_SAMPLE)
    return np.asarray(first < np.searchsorted(others, ahead + 2.0 * SAME_SAMPLE))


def farthest_places(
    units: NDArray[np.float64], taken: NDArray[np.float64], n_points: int
) -> NDArray[np.intp]:
    """Pick, one after another, the place of the point farthest from all that are taken."""
    # Many are taken and few ask: a tree that is quickly made.
    tree = cKDTree(taken, balanced_tree=False, compact_nodes=False)
    distance = tree.query(units)[0]
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
