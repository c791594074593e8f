"""The points that `ask` handed out and that were not told yet."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._dataset import Dataset, is_among
from sklearn_proxyopt.variables import Variables

__all__ = ["PendingPoints"]


class PendingPoints:
    """Points that were asked for and not told yet, and where new ones come from.

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
    n_told : ndarray of int of shape (n_pending,)
        How many results of each were told before it was asked for: more than none of a repeat.
    engine : Engine or None
        The run that further points come from. It is not pickled: what was asked leads to it again.
    asked : list of list
        What leads to it: how many samples were known, with a value and failed, when the run began,
        and how many points had been asked for; then the same two for each call of `ask`, and how
        many points it wanted of the run; and for each of `withdraw`, with 0 and the points.
    """

    def __init__(self, sampler: Any, n_features: int) -> None:
        self.sampler = sampler
        self.points = np.empty((0, n_features))
        self.n_told = np.empty(0, dtype=np.intp)
        self.engine: Any = None
        self.asked: list[list[Any]] = []

    @property
    def repeats(self) -> NDArray[np.float64]:
        """The points whose settings had results when they were asked for."""
        return self.points[self.n_told > 0]

    def add(self, points: NDArray[np.float64], known: NDArray[np.float64]) -> None:
        """Take points that are handed out as pending, of which some may be known."""
        is_repeat = is_among(points, known)
        n_told = np.zeros(len(points), dtype=np.intp)
        for place in np.flatnonzero(is_repeat):
            n_told[place] = (known == points[place]).all(axis=1).sum()
        self._take(np.vstack([self.points, points]), np.append(self.n_told, n_told))

    def recall(
        self,
        points: NDArray[np.float64],
        n_told: NDArray[np.intp],
        known: NDArray[np.float64],
        space: Variables,
    ) -> None:
        """Take points that were handed out earlier as pending, except those told since."""
        is_open = ~space.are_known(points, known)
        for place in np.flatnonzero(n_told):
            is_open[place] = (known == points[place]).all(axis=1).sum() <= n_told[place]
        self._take(points[is_open], n_told[is_open])

    def withdraw(self, points: NDArray[np.float64], known: Dataset) -> None:
        """Take points off the pending ones, and off those that the run waits for."""
        is_open = ~is_among(self.points, points)
        self._take(self.points[is_open], self.n_told[is_open])
        if self.asked:
            self.asked.append([len(known), len(known.X_failed), 0, *points.tolist()])
        if self.engine is not None:
            self.engine.take_in(known)
            self.engine.withdraw(points)

    def answer(self, X: NDArray[np.float64], space: Variables) -> None:
        """Take the points that the samples of `X` were done for off the pending ones."""
        is_open = space.answered(self.points, X) < 0
        self._take(self.points[is_open], self.n_told[is_open])

    def _take(self, points: NDArray[np.float64], n_told: NDArray[np.intp]) -> None:
        self.points, self.n_told = points, n_told

    @property
    def n_asked(self) -> int:
        """How many points the run was asked for, and those before it."""
        return sum(n_points for _, _, n_points, *_ in self.asked)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"engine": None}
