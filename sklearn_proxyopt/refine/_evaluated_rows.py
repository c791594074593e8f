"""What a search of the objective has had evaluated, within its own limit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["EvaluatedRows"]


class EvaluatedRows:
    """Samples and their outputs, each found again by its key, and how many more may be evaluated.

    Parameters
    ----------
    limit : int, default=0
        Most evaluations.

    Attributes
    ----------
    n_evaluations : int
        Samples evaluated so far.
    limit : int
        Most evaluations.
    """

    def __init__(self, limit: int = 0) -> None:
        self.limit, self.n_evaluations = limit, 0
        # NaN where an evaluation failed; None where there is no sample.
        self._known: dict[bytes, NDArray[np.float64] | None] = {}

    @property
    def n_left(self) -> int:
        """How many evaluations are left."""
        return self.limit - self.n_evaluations

    def _are_known(self, keys: list[bytes]) -> NDArray[np.bool_]:
        return np.array([key in self._known for key in keys], dtype=bool)

    def _recall(self, keys: list[bytes], nothing: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what is known under some keys; `nothing` where there is no sample."""
        known = [self._known.get(key) for key in keys]
        rows = [nothing if one is None else one for one in known]
        return np.array(rows).reshape(len(rows), *nothing.shape)
