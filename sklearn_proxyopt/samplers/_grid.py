"""Equally spaced designs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.samplers._base import BaseSampler

__all__ = ["GridSampler"]


class GridSampler(BaseSampler):
    """Space points equally over the box, for any number of points and of variables.

    The levels of each variable run from one side of the box to the other. Their numbers, as
    equal as can be, are the smallest whose product reaches `n_samples`; where it exceeds that,
    the lattice is thinned by leaving out points at equal intervals along its order.

    Parameters
    ----------
    n_samples : int, default=100
        Number of points.
    random_state : None, int, RandomState or Generator, default=None
        Not used: the design is always the same. It is here so that samplers can be exchanged.

    Attributes
    ----------
    bounds_ : ndarray of shape (n_features, 2)
        The box read by `fit`, if it was called.

    Examples
    --------
    >>> from sklearn_proxyopt.samplers import GridSampler
    >>> GridSampler(4).sample([[0, 1], [0, 10]])
    array([[ 0.,  0.],
           [ 0., 10.],
           [ 1.,  0.],
           [ 1., 10.]])
    """

    def __init__(self, n_samples: int = 100, *, random_state: Any = None) -> None:
        self.n_samples = n_samples
        self.random_state = random_state

    def _sample_unit(
        self, n_samples: int, n_features: int, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        n_levels = _levels(n_samples, n_features)
        n_points = int(np.prod(n_levels, dtype=np.int64))
        kept = np.linspace(0, n_points - 1, n_samples).round().astype(np.int64)
        indices = np.unravel_index(kept, n_levels)
        columns = [
            index / (levels - 1) if levels > 1 else np.full(n_samples, 0.5)
            for index, levels in zip(indices, n_levels, strict=True)
        ]
        return np.column_stack(columns)


def _levels(n_samples: int, n_features: int) -> list[int]:
    """Return the numbers of levels of the smallest lattice that holds enough points."""
    base = 1
    while (base + 1) ** n_features <= n_samples:
        base += 1
    n_levels = [base] * n_features
    axis = 0
    while np.prod(n_levels, dtype=float) < n_samples:
        n_levels[axis] += 1
        axis += 1
    return n_levels
