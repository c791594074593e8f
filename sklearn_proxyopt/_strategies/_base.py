"""What a strategy owes: the points to evaluate next, from results in any order."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._dataset import Dataset

__all__ = ["Strategy"]


class Strategy(ABC):
    """Spends evaluations: proposes points, and observes the results in any order.

    Designs, rounds of infill, the exploration before the proxy learns, refinement and the
    verification of a front are strategies. Whoever drives one asks for points, evaluates them
    wherever it likes, and tells the results in any order, a few at a time if need be.

    Attributes
    ----------
    has_ended : bool
        Whether no further point will be proposed, whatever is observed. Settled by `propose`.
    repeats_known : bool
        Whether points that are known are evaluated once more; else their known values are told.
    """

    has_ended: bool = False
    repeats_known: bool = False

    @abstractmethod
    def propose(
        self, n: int | None, known: Dataset, pending: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the next points to evaluate.

        Parameters
        ----------
        n : int or None
            Most points wanted; None for as many as belong together.
        known : Dataset
            All samples evaluated so far, by whomever.
        pending : ndarray of shape (n_pending, n_features)
            Points whose results are not known yet, whoever proposed them.

        Returns
        -------
        ndarray of shape (n_points, n_features)
            Samples in the user's units. None are proposed while the strategy waits for results of
            pending points, and once it has ended.
        """

    @abstractmethod
    def observe(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Take in results.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Points that were proposed or pending, in any order.
        y : ndarray of shape (n,) or (n, n_outputs)
            Their outputs, NaN where an evaluation failed.
        """

    def close(self) -> None:
        """End the strategy here, and give up what it holds."""
        self.has_ended = True
