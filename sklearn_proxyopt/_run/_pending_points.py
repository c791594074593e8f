"""The open questions of `ask`: points handed out whose answers are not known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._proxy_search._failure_model import EncodedRisk, FailureRisk
from sklearn_proxyopt._utils._distances import are_new, farthest_places
from sklearn_proxyopt.variables import Variables
from sklearn_proxyopt.variables._design import Design

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
        variables: Variables,
        risk: FailureRisk | EncodedRisk | None = None,
    ) -> NDArray[np.float64]:
        """Return points that are neither known nor pending, and keep them as pending.

        `minima` are the proxy's, the lowest first; without them the design alone is handed out,
        in its order. Where `risk` knows of points to be avoided, the others come first.
        """
        taken = variables.to_unit_cube(np.vstack([known, self.pending]))
        chosen = np.empty((0, variables.n_features))
        if minima is not None:
            chosen = _new(minima, taken, variables)[: -(-n_points // 2)]
        n_missing = n_points - len(chosen)
        if n_missing:
            taken = np.vstack([taken, variables.to_unit_cube(chosen)])
            pool = self._design_points(taken, variables, n_missing)
            if risk is not None:
                safe = risk.caution(pool) < 1.0
                pool = pool[safe] if safe.sum() >= n_missing else pool
            if minima is not None:
                places = farthest_places(variables.to_unit_cube(pool), taken, n_missing)
                pool = pool[places]
            chosen = np.vstack([chosen, pool[:n_missing]])
        self.pending = np.vstack([self.pending, chosen])
        return chosen

    def recall(
        self, points: NDArray[np.float64], known: NDArray[np.float64], variables: Variables
    ) -> None:
        """Take points that were handed out earlier as pending, except those that are known."""
        self.pending = points
        self.answer(known, variables)

    def answer(self, X: NDArray[np.float64], variables: Variables) -> None:
        """Close the questions that the rows of `X` answer."""
        self.pending = _new(self.pending, variables.to_unit_cube(X), variables)

    def _design_points(
        self, taken: NDArray[np.float64], variables: Variables, n_points: int
    ) -> NDArray[np.float64]:
        """Return the points of the design that are not taken, at least `n_points`."""
        design = Design(self._sampler, variables)
        rows = design.sample()
        points = _new(rows, taken, variables)
        while len(points) < n_points and design.grow():
            n_before, rows = len(rows), design.sample()
            points = _new(rows, taken, variables)
            if len(rows) <= n_before:
                # No further rows are valid and feasible.
                break
        if len(points) < n_points:
            raise ValueError(
                f"n_points must not exceed the {len(points)} points that the sampler's design has "
                f"left; got {n_points}."
            )
        return points


def _new(
    points: NDArray[np.float64], taken: NDArray[np.float64], variables: Variables
) -> NDArray[np.float64]:
    """Return the rows that are not among those taken, which are points of the unit cube."""
    return points[are_new(variables.to_unit_cube(points), taken)]
