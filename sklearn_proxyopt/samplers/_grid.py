"""Equally spaced designs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._validation import check_integer
from sklearn_proxyopt.samplers._base import UnitCubeSampler

__all__ = ["GridSampler"]

# Nobody has memory for a lattice of more points.
_MOST_SAMPLES = 2**30
# One for each variable of two levels or more, of which a lattice of 2^30 points has at most 30.
_PRIMES = np.array([n for n in range(2, 114) if all(n % k for k in range(2, n))])


class GridSampler(UnitCubeSampler):
    """Space points equally over the search space, for any number of points and of variables.

    The levels of each variable run from one side of the box to the other. Their numbers, as
    equal as can be, are the smallest whose product reaches `n_samples`; a variable with a single
    level stays in the middle. Where the product exceeds `n_samples`, the lattice is thinned
    evenly.

    Parameters
    ----------
    n_samples : int, default=100
        Number of points, at most 2^30.
    random_state : None, int, RandomState or Generator, default=None
        Not used: the design is always the same. It is here so that samplers can be exchanged.

    Attributes
    ----------
    bounds_ : ndarray of shape (n_features, 2)
        The bounds read by `fit`, if it was called.

    Notes
    -----
    Leaving out every k-th point of the lattice in its order would tie variables to each other
    wherever k and the numbers of levels have a factor in common. Instead, the point with the
    level numbers i_1, ..., i_d gets the fractional part of i_1 sqrt(2) + i_2 sqrt(3) +
    i_3 sqrt(5) + ... (Richtmyer's sequence [1]_), and the `n_samples` points with the smallest
    ones are kept. As no step of these shifts is an integer, neither the points nor the gaps
    gather anywhere.

    References
    ----------
    .. [1] Richtmyer, "The evaluation of definite integrals, and a quasi-Monte-Carlo method based
       on the properties of algebraic numbers", Los Alamos report LA-1342, 1951.

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
        n_levels = _levels(check_integer(n_samples, "n_samples", maximum=_MOST_SAMPLES), n_features)
        varying = [levels for levels in n_levels if levels > 1]
        lattice = np.indices(varying).reshape(len(varying), np.prod(varying, dtype=np.int64)).T
        shifts = np.sqrt(_PRIMES[: len(varying)]) % 1.0
        kept = np.sort(np.argsort((lattice @ shifts) % 1.0, kind="stable")[:n_samples])
        design = np.full((n_samples, n_features), 0.5)
        design[:, : len(varying)] = lattice[kept] / (np.array(varying) - 1.0)
        return design


def _levels(n_samples: int, n_features: int) -> list[int]:
    """Return the numbers of levels, the largest first, of the smallest lattice that suffices."""
    # The whole root of n_samples; that of floating point may be one off.
    base = max(1, round(n_samples ** (1.0 / n_features)) - 1)
    while (base + 1) ** n_features <= n_samples:
        base += 1
    n_levels = [base] * n_features
    axis = 0
    while np.prod(n_levels, dtype=float) < n_samples:
        n_levels[axis] += 1
        axis += 1
    return n_levels
