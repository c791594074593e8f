"""Points of a search space whose values lie below a limit, spread over all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

__all__ = ["extremes", "level_set"]

Losses = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_N_FIRST = 4096
# Points kept at each level, of which each leaves the share below; moves of each at a level.
_N_KEPT, _SHARE, _N_MOVES = 512, 0.3, 5
_MAX_LEVELS = 60
# Moves of each point of the last level.
_N_LAST = 40
# Points pushed to each end, and moves of each: so many, and more for each axis.
_N_PUSHED, _N_PUSHES, _N_PUSHES_AN_AXIS = 12, 40, 10


def level_set(
    losses: Losses, n_axes: int, known: NDArray[np.float64], limit: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], float]:
    """Return points of the unit cube that are below a limit, by levels that sink to it [1]_.

    Parameters
    ----------
    losses : callable
        Values of points, of shape (n, n_axes) to (n,); infinite for those that are not allowed.
    n_axes : int
        Dimension.
    known : ndarray of shape (n_known, n_axes)
        Points of which at least one is below the limit.
    limit : float
        The limit.
    rng : Generator
        Source of all moves.

    Returns
    -------
    points : ndarray of shape (n, n_axes)
        Points below the limit, spread about evenly over all such regions that were found.
    share : float
        About how much of the cube lies below the limit.

    References
    ----------
    .. [1] Au and Beck, "Estimation of small failure probabilities in high dimensions by subset
       simulation", 2001, :doi:`10.1016/S0266-8920(01)00019-4`.
    """
    points = qmc.Sobol(n_axes, rng=rng).random(_N_FIRST)
    values = losses(points)
    share = 1.0
    for _ in range(_MAX_LEVELS):
        level = max(float(np.quantile(values, _SHARE, method="lower")), limit)
        below = values <= level
        share *= float(below.mean())
        points, values = points[below], values[below]
        if len(points) < 2:
            break
        chosen = rng.choice(len(points), _N_KEPT, replace=len(points) < _N_KEPT)
        points, values = points[chosen], values[chosen]
        n_moves = _N_LAST if level <= limit else _N_MOVES
        for _ in range(n_moves):
            points, values = _moved(losses, points, values, level, rng)
        if level <= limit:
            break
    good = values <= limit
    if not good.any():
        # A region too small to be met by chance: around what is known of it.
        return _around(losses, known, limit, rng), 0.0
    return np.vstack([known[losses(known) <= limit], points[good]]), share


def _moved(
    losses: Losses,
    points: NDArray[np.float64],
    values: NDArray[np.float64],
    level: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Move each point by the difference of two others, where it stays below a level."""
    tried = _reflected(points + _differences(points, len(points), rng))
    new = losses(tried)
    stays = new <= level
    return np.where(stays[:, None], tried, points), np.where(stays, new, values)


def _differences(
    points: NDArray[np.float64], n: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return differences of pairs, in some of their coordinates, and a little noise."""
    n_axes = points.shape[1]
    one, other = (points[rng.integers(len(points), size=n)] for _ in range(2))
    length = np.exp(rng.uniform(np.log(0.02), np.log(1.5), (n, 1)))
    part = rng.random((n, n_axes)) < rng.choice([2.0 / n_axes, 0.5, 1.0], (n, 1))
    return np.where(part, length * (one - other), 0.0) + 1e-4 * rng.standard_normal((n, n_axes))


def _reflected(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points of the unit cube, those outside turned back at its faces."""
    return np.asarray(1.0 - np.abs(np.abs(points) % 2.0 - 1.0))


def _around(
    losses: Losses, known: NDArray[np.float64], limit: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return points below a limit near known ones, at all distances where there are any."""
    points = known[losses(known) <= limit]
    for scale in 2.0 ** -np.arange(1.0, 24.0):
        centers = points[rng.integers(len(points), size=_N_KEPT)]
        tried = _reflected(centers + scale * rng.standard_normal(centers.shape))
        points = np.vstack([points, tried[losses(tried) <= limit]])
    values = losses(points)
    for _ in range(_N_LAST):
        points, values = _moved(losses, points, values, limit, rng)
    return points


def extremes(
    losses: Losses, points: NDArray[np.float64], limit: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return points below a limit, those of the set given pushed as far out as they may go.

    Parameters
    ----------
    losses : callable
        As of `level_set`.
    points : ndarray of shape (n, n_axes)
        Points below the limit.
    limit : float
        The limit.
    rng : Generator
        Source of all moves.

    Returns
    -------
    ndarray of shape (n_axes, 2, n_axes)
        Of each axis the lowest point and the highest.
    """
    n_axes = points.shape[1]
    signs = np.repeat(np.vstack([-np.eye(n_axes), np.eye(n_axes)]), _N_PUSHED, axis=0)
    teams = np.vstack([points[_farthest(points @ sign, _N_PUSHED)] for sign in signs[::_N_PUSHED]])
    for _ in range(_N_PUSHES + _N_PUSHES_AN_AXIS * n_axes):
        tried = (teams + _differences(points, len(teams), rng)).clip(0.0, 1.0)
        good = losses(tried) <= limit
        everything = np.stack([teams, np.where(good[:, None], tried, teams)], axis=1)
        reached = np.einsum("nka,na->nk", everything, signs).reshape(2 * n_axes, -1)
        order = np.array([_farthest(row, _N_PUSHED, distinct=True) for row in reached])
        members = everything.reshape(2 * n_axes, -1, n_axes)
        teams = np.take_along_axis(members, order[:, :, None], axis=1).reshape(-1, n_axes)
    best = teams.reshape(2, n_axes, _N_PUSHED, n_axes)[:, :, 0]
    return best.transpose(1, 0, 2)


def _farthest(reached: NDArray[np.float64], n: int, distinct: bool = False) -> NDArray[np.intp]:
    """Return the places of the n largest numbers, with repetition where there are fewer."""
    order = np.argsort(-reached, kind="stable")
    if distinct:
        _, first = np.unique(reached[order], return_index=True)
        order = order[np.sort(first)]
    return np.resize(order, n)
