"""When a population has found nothing lower for long enough."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["SMALLEST_GAIN", "Convergence"]

# A gain smaller than this share of the spread of the first values counts as none.
SMALLEST_GAIN = 1e-10


class Convergence:
    """Counts the iterations of a search without a lower value.

    Parameters
    ----------
    first : ndarray of shape (n,)
        The values of the first population, whose spread says what counts as lower.
    n_iter_no_change : int or None
        So many iterations without a lower value end the search; None ends none.
    """

    def __init__(self, first: NDArray[np.float64], n_iter_no_change: int | None) -> None:
        finite = first[np.isfinite(first)]
        self._gain = SMALLEST_GAIN * float(np.std(finite)) if len(finite) else 0.0
        self._patience = np.inf if n_iter_no_change is None else n_iter_no_change
        self._lowest, self._n_fruitless = np.inf, 0

    def is_reached(self, value: float) -> bool:
        """Take the lowest value of an iteration and say whether it was the last."""
        is_lower = value < self._lowest - self._gain
        self._n_fruitless = 0 if is_lower else self._n_fruitless + 1
        self._lowest = min(self._lowest, value)
        return self._n_fruitless >= self._patience
