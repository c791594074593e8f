"""The points that `ask` handed out and that were not told yet."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.variables import Variables

__all__ = ["PendingPoints"]


class PendingPoints:
    """Points that were asked for and not told yet, and the design that new ones come from.

    Parameters
    ----------
    sampler : sampler
        The design, seeded once, so that further points are those of the same design.
    n_features : int
        Number of variables.

    Attributes
    ----------
    points : ndarray of shape (n_pending, n_features)
        The points.
    """

    def __init__(self, sampler: Any, n_features: int) -> None:
        self.sampler = sampler
        self.points = np.empty((0, n_features))

    def add(self, points: NDArray[np.float64]) -> None:
        """Take points that are handed out as pending."""
        self.points = np.vstack([self.points, points])

    def recall(
        self, points: NDArray[np.float64], known: NDArray[np.float64], space: Variables
    ) -> None:
        """Take points that were handed out earlier as pending, except those that are known."""
        self.points = points[~space.are_known(points, known)]

    def answer(self, X: NDArray[np.float64], space: Variables) -> None:
        """Take the points that the rows of `X` were done for off the pending ones."""
        self.points = self.points[space.answered(self.points, X) < 0]
