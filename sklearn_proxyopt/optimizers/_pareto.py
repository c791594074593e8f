"""Several objectives: who dominates whom, and how much of the space is dominated."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["crowding", "hypervolume", "nondominated", "ranks_of", "spread_out"]


def nondominated(F: ArrayLike, violation: ArrayLike | None = None) -> NDArray[np.bool_]:
    """Tell which points no other point dominates.

    A point dominates another if it is at least as low in every objective and lower in one. With
    constraints, one that violates them less dominates one that violates them more.

    Parameters
    ----------
    F : array-like of shape (n, n_objectives)
        Objectives, to be minimized.
    violation : array-like of shape (n,), default=None
        By how much each point violates its constraints, 0 where it is feasible; None for no
        constraints.

    Returns
    -------
    ndarray of bool of shape (n,)
        Whether each point belongs to the front.

    Examples
    --------
    >>> from sklearn_proxyopt.optimizers import nondominated
    >>> nondominated([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    array([ True,  True, False])
    """
    F = np.asarray(F, dtype=np.float64)
    front = np.ones(len(F), dtype=bool)
    if violation is not None and len(F):
        violation = np.asarray(violation, dtype=np.float64)
        front = violation == violation.min()
    for i in np.flatnonzero(front):
        if front[i]:
            worse = (F[i] <= F).all(axis=1) & (F[i] < F).any(axis=1)
            front &= ~worse
    return front


def ranks_of(
    F: NDArray[np.float64], violation: NDArray[np.float64], n_needed: int
) -> NDArray[np.intp]:
    """Return the number of the front that each point belongs to, 0 for the first.

    Fronts beyond those that hold the points needed are not told apart.
    """
    worse = violation[:, None] < violation
    alike = violation[:, None] == violation
    lower = (F[:, None] <= F).all(axis=2) & (F[:, None] < F).any(axis=2)
    dominates = worse | (alike & lower)
    n_dominators = dominates.sum(axis=0)
    ranks = np.full(len(F), len(F), dtype=np.intp)
    rank, n_ranked = 0, 0
    while n_ranked < min(n_needed, len(F)):
        front = np.flatnonzero((n_dominators == 0) & (ranks == len(F)))
        ranks[front] = rank
        n_dominators = n_dominators - dominates[front].sum(axis=0)
        rank, n_ranked = rank + 1, n_ranked + len(front)
    return ranks


def crowding(F: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far the neighbors of each point of a front are, infinity at its ends [1]_.

    References
    ----------
    .. [1] Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm:
       NSGA-II", 2002, section III.B, :doi:`10.1109/4235.996017`.
    """
    distance = np.zeros(len(F))
    for column in F.T:
        order = np.argsort(column, kind="stable")
        with np.errstate(invalid="ignore"):
            width = column[order[-1]] - column[order[0]]
        distance[order[[0, -1]]] = np.inf
        if 0.0 < width < np.inf:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / width
    return distance


def hypervolume(F: ArrayLike, reference: ArrayLike) -> float:
    """Return the volume that a front dominates, exactly, by moocore.

    Parameters
    ----------
    F : array-like of shape (n, n_objectives)
        Objectives of points; dominated ones add nothing. Up to four objectives are quick; beyond
        them time grows steeply with their number.
    reference : array-like of shape (n_objectives,)
        The corner that the volume is measured from. Points that are not below it in every objective
        add nothing.

    Returns
    -------
    float
        The volume between the front and the reference.

    References
    ----------
    .. [1] Zitzler and Thiele, "Multiobjective optimization using evolutionary algorithms", 1998,
       :doi:`10.1007/BFb0056872`.

    Examples
    --------
    >>> from sklearn_proxyopt.optimizers import hypervolume
    >>> hypervolume([[0.0, 1.0], [1.0, 0.0]], [2.0, 2.0])
    3.0
    """
    F = np.asarray(F, dtype=np.float64)
    corner = np.asarray(reference, dtype=np.float64)
    if F.ndim != 2 or corner.shape != F.shape[1:]:
        raise ValueError(
            f"reference must have shape {F.shape[1:]}, a number for each objective of F; "
            f"got shape {corner.shape}."
        )
    F = F[(corner > F).all(axis=1)]
    try:
        import moocore
    except ImportError as error:
        raise ImportError("hypervolume needs moocore: pip install moocore.") from error
    return float(moocore.hypervolume(F, ref=corner)) if len(F) else 0.0


def spread_out(F: NDArray[np.float64], known: NDArray[np.float64], n: int) -> list[int]:
    """Choose points of a front, one after another, each the farthest from all chosen and known.

    Distances are in widths of the front. The first, where nothing is known, are its ends.
    """
    low, high = F.min(axis=0), F.max(axis=0)
    width = np.where(high > low, high - low, 1.0)
    units, taken = (F - low) / width, (known - low) / width
    distance = np.full(len(F), np.inf)
    for row in taken:
        distance = np.minimum(distance, np.linalg.norm(units - row, axis=1))
    chosen: list[int] = []
    ends = [] if len(known) else [int(i) for i in F.argmin(axis=0)]
    while len(chosen) < min(n, len(F)):
        pick = ends.pop(0) if ends else int(distance.argmax())
        if pick not in chosen:
            chosen.append(pick)
        distance = np.minimum(distance, np.linalg.norm(units - units[pick], axis=1))
        distance[pick] = -np.inf
    return chosen
