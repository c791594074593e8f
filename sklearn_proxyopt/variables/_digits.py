"""To how many digits numbers were written down."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["half_digits"]

_MOST_DECIMALS = 15


def half_digits(X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return half of the last decimal of each number, also where it has passed through float32.

    Parameters
    ----------
    X : ndarray of any shape
        Numbers.

    Returns
    -------
    ndarray of the shape of X
        How far each may be from what it was rounded from; 0.5 for integers, 0 where there are more
        than 15 decimals.
    """
    is_single = X.astype(np.float32) == X
    rounding = np.where(is_single, np.finfo(np.float32).eps, np.finfo(np.float64).eps)
    slack = rounding * np.abs(X)
    halves = np.where(is_single, slack, 0.0)
    for decimals in range(_MOST_DECIMALS, -1, -1):
        is_written = np.abs(X - np.round(X, decimals)) <= slack
        halves = np.where(is_written, np.maximum(0.5 * 10.0**-decimals, halves), halves)
    return halves
