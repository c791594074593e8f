"""The open questions of `ask`: points handed out whose answers are not known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._apart import farthest_points, new_points
from sklearn_proxyopt._box import to_unit_cube
from sklearn_proxyopt._failure_risk import FailureRisk

__all__ = ["OpenQuestions"]


class OpenQuestions:
    """Points that were asked for and not told yet, and the design that new ones come from.

    Parameters
    ----------
    sampler : sampler
        The design, seeded. One with a parameter `n_samples` is drawn larger when it runs out.
    n_features : int
        Number of variables.
    """

    def __init__(self, sampler: Any, n_features: int) -> None:
        self._sampler = sampler
        self.pending = np.empty((0, n_features))

    def ask(
        self,
        n_points: int,
        known: NDArray[np.float64],
        minima: NDArray[np.float64] | None,
        bounds: NDArray[np.float64],
        risk: FailureRisk | None = None,
    ) -> NDArray[np.float64]:
        """Return points that are neither known nor pending, and keep them as pending.

        `minima` are the proxy's, the lowest first; without them the design alone is handed out,
        in its order. Where `risk` knows of points to be avoided, the others come first.
        """
        taken = to_unit_cube(np.vstack([known, self.pending]), bounds)
        chosen = np.empty((0, len(bounds)))
        if minima is not None:
            chosen = new_points(minima, taken, bounds)[: -(-n_points // 2)]
        n_missing = n_points - len(chosen)
        if n_missing:
            taken = np.vstack([taken, to_unit_cube(chosen, bounds)])
            pool = self._design_points(taken, bounds, n_missing)
            if risk is not None:
                safe = risk.caution(pool) < 1.0
                pool = pool[safe] if safe.sum() >= n_missing else pool
            if minima is not None:
                pool = farthest_points(pool, taken, bounds, n_missing)
            chosen = np.vstack([chosen, pool[:n_missing]])
        self.pending = np.vstack([self.pending, chosen])
        return chosen

    def recall(
        self, points: NDArray[np.float64], known: NDArray[np.float64], bounds: NDArray[np.float64]
    ) -> None:
        """Take points that were handed out earlier as pending, except those that are known."""
        self.pending = points
        self.answer(known, bounds)

    def answer(self, X: NDArray[np.float64], bounds: NDArray[np.float64]) -> None:
        """Close the questions that the rows of `X` answer."""
        self.pending = new_points(self.pending, to_unit_cube(X, bounds), bounds)

    def _design_points(
        self, taken: NDArray[np.float64], bounds: NDArray[np.float64], n_points: int
    ) -> NDArray[np.float64]:
        """Return the points of the design that are not taken, at least `n_points`."""
        points = new_points(self._sampler.sample(bounds), taken, bounds)
        while len(points) < n_points and "n_samples" in self._sampler.get_params():
            self._sampler.set_params(n_samples=2 * self._sampler.n_samples)
            points = new_points(self._sampler.sample(bounds), taken, bounds)
        if len(points) < n_points:
            raise ValueError(
                f"n_points must not exceed the {len(points)} points that the sampler's design has "
                f"left; got {n_points}."
            )
        return points
