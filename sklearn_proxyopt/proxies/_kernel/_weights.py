"""How much each process counts in a stack."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

__all__ = ["stack_weights"]

# Processes with more than this many times the lowest error are left out, as are those that would
# count for less than this share.
_WORST, _LEAST = 2.0, 1e-2
# The fewer the samples, the nearer the weights stay to equal ones.
_SHRINKAGE = 50.0
# How strictly the weights sum to one.
_PENALTY = 1e4


def stack_weights(errors: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return non-negative weights with sum one that make the summed error small.

    Least squares (Breiman 1996, stacked regressions), drawn towards equal weights.

    Parameters
    ----------
    errors : ndarray of shape (n_samples, n_processes)
        Errors at samples left out.
    weight : ndarray of shape (n_samples,)
        Weights of the samples with mean one.

    Returns
    -------
    ndarray of shape (n_processes,)
        The weights.
    """
    sizes = np.sqrt(np.mean(weight[:, None] * errors**2, axis=0))
    kept = np.flatnonzero(sizes <= _WORST * sizes.min())
    weights = np.zeros(errors.shape[1])
    weights[kept] = _least_squares(errors[:, kept], weight, max(sizes.min(), 1e-300))
    kept = np.flatnonzero(weights >= _LEAST)
    weights[weights < _LEAST] = 0.0
    return weights / weights.sum()


def _least_squares(
    errors: NDArray[np.float64], weight: NDArray[np.float64], size: float
) -> NDArray[np.float64]:
    n_rows, n = errors.shape
    pull = np.sqrt(_SHRINKAGE / n_rows)
    system = np.vstack(
        [
            np.sqrt(weight / n_rows)[:, None] * errors / size,
            pull * np.eye(n),
            np.full((1, n), _PENALTY),
        ]
    )
    wanted = np.concatenate([np.zeros(n_rows), np.full(n, pull / n), [_PENALTY]])
    solution: NDArray[np.float64] = nnls(system, wanted)[0]
    return solution / solution.sum()
