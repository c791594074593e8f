"""The contract of infill strategies: the points to evaluate next, from all that is known."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc
from sklearn.base import BaseEstimator

from sklearn_proxyopt._utils._box import from_unit_cube, to_unit_cube
from sklearn_proxyopt._utils._distances import APART, SAME_SAMPLE, farthest_points, new_points
from sklearn_proxyopt._utils._validation import check_integer

__all__ = ["BaseInfill", "Knowledge", "members_of"]

_N_IN_POOL = 1024


@dataclass
class Knowledge:
    """What is known when points are proposed.

    Parameters
    ----------
    proxy : regressor
        Fitted on the samples.
    optimizer : optimizer
        Searches it, seeded.
    X : ndarray of shape (n_samples, n_features)
        The samples inside the bounds that meet the constraints, at least one; points on the axes.
    y : ndarray of shape (n_samples,)
        Their values; with a penalty where the function returns constraints.
    bounds : ndarray of shape (n_features, 2)
        The box.
    minima : ndarray of shape (n_minima, n_features)
        The proxy's distinct minima, the lowest first.
    taken : ndarray of shape (n_taken, n_features)
        Samples that need not be evaluated: those known, those that failed, those pending.
    rng : numpy.random.Generator
        Randomness of this round.
    learn : callable
        `learn(rows, bounds)` fits a copy of the proxy on the samples at some indices of `X` and
        returns it with its distinct minima in a box, the lowest first.
    doubts : callable
        Returns minima of models refitted on half of the samples, of shape (n, n_features).
    rows_at : callable, default=None
        `rows_at(points)` returns the samples that would be evaluated for points, themselves points
        of the box; NaN where there is none. None where every point is a sample.
    caution : callable, default=None
        `caution(points)` returns 0 where an evaluation may be trusted to succeed, 1 where it is
        best avoided, and a number between them elsewhere. None where nothing is known of failures.
        No point with a caution of 1 is proposed, whatever the strategy.
    noise_std : float, default=0.0
        Standard deviation of the noise of values; 0 for exact ones. With noise the lowest measured
        value is often a lucky one; the proxy's predictions at the samples count instead.
    draw : callable, default=None
        `draw(n_functions, seed)` returns a proxy whose members are functions that the samples
        allow. None where the proxy draws none.
    pending : ndarray of shape (n_pending, n_features), default=None
        Those of `taken` whose results are not there yet; None for none.
    estimates : ndarray of shape (n_samples,), default=None
        What is known of the values of the samples, infinity for those that cannot be the best. None
        for `y`, or with noise for what the proxy predicts there.
    """

    proxy: Any
    optimizer: Any
    X: NDArray[np.float64]
    y: NDArray[np.float64]
    bounds: NDArray[np.float64]
    minima: NDArray[np.float64]
    taken: NDArray[np.float64]
    rng: np.random.Generator
    learn: Callable[..., tuple[Any, NDArray[np.float64]]]
    doubts: Callable[[], NDArray[np.float64]]
    rows_at: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None
    caution: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None
    noise_std: float = 0.0
    draw: Callable[[int, int], Any] | None = None
    pending: NDArray[np.float64] | None = None
    estimates: NDArray[np.float64] | None = None

    @property
    def best(self) -> NDArray[np.float64]:
        """The sample with the lowest value, of shape (n_features,)."""
        best: NDArray[np.float64] = self.X[np.argmin(self._estimates)]
        return best

    @property
    def lowest(self) -> float:
        """The lowest value of a sample; with noise, the lowest prediction at one."""
        return float(self._estimates.min())

    @cached_property
    def _estimates(self) -> NDArray[np.float64]:
        """What is known of the values of the samples, of shape (n_samples,)."""
        if self.estimates is not None:
            return self.estimates
        if not self.noise_std:
            return self.y
        return np.asarray(self.proxy.predict(self.X), dtype=np.float64)


class BaseInfill(BaseEstimator, ABC):
    """Base of all infill strategies.

    A subclass implements `_propose`, which returns points, the best predicted first. They need not
    be new, apart from one another, or as many as asked for: points far from all known samples are
    added.

    Parameters
    ----------
    n_points : int, default=5
        Points per round.
    n_rounds : int, default=None
        Rounds at most. None makes 10, or with a budget as many as fit into half of what the design
        leaves.
    """

    # That of a strategy whose constructor does not know it.
    n_rounds: int | None = None

    def __init__(self, n_points: int = 5, n_rounds: int | None = None) -> None:
        self.n_points = n_points
        self.n_rounds = n_rounds

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        check_integer(self.n_points, "n_points")
        if self.n_rounds is not None:
            check_integer(self.n_rounds, "n_rounds")

    def check_proxy(self, proxy: Any) -> None:
        """Raise an error if the strategy cannot work with a proxy, before anything is evaluated.

        Parameters
        ----------
        proxy : regressor
            Not fitted yet.
        """

    @abstractmethod
    def _propose(self, known: Knowledge) -> NDArray[np.float64]:
        """Return points of shape (n, n_features), the best predicted first."""

    def propose(self, known: Knowledge) -> NDArray[np.float64]:
        """Propose the points of a round.

        Parameters
        ----------
        known : Knowledge
            The proxy and the samples it learned from.

        Returns
        -------
        ndarray of shape (n_points, n_features)
            Points inside the bounds, new and apart from one another; fewer where no more new ones
            are found that may succeed.
        """
        self._begin_round(known)
        chosen = _extended(known.X[:0], self._propose(known), known, self.n_points, APART)
        # The whole box where its part has no more new samples.
        for box in (self._region(known), known.bounds):
            if len(chosen) == self.n_points:
                break
            taken = to_unit_cube(np.vstack([known.taken, chosen]), known.bounds)
            pool = from_unit_cube(qmc.Sobol(len(box), rng=known.rng).random(_N_IN_POOL), box)
            pool = farthest_points(pool, taken, known.bounds, len(pool))
            chosen = _extended(chosen, pool, known, self.n_points, SAME_SAMPLE)
        return chosen

    def _begin_round(self, known: Knowledge) -> None:
        """Take note of what the round before has brought, for a strategy that remembers."""

    def _region(self, known: Knowledge) -> NDArray[np.float64]:
        """Return the box that is filled up; a strategy that looks at a part of it says which."""
        return known.bounds


def members_of(proxy: Any) -> int | None:
    """Return how many members a proxy says it has, None if it does not say."""
    params = proxy.get_params(deep=False) if hasattr(proxy, "get_params") else {}
    return params.get("n_members")


def _extended(
    chosen: NDArray[np.float64],
    points: NDArray[np.float64],
    known: Knowledge,
    n_points: int,
    distance: float,
) -> NDArray[np.float64]:
    """Return the samples chosen and the next points that are new and apart, up to so many."""
    taken = to_unit_cube(known.taken, known.bounds)
    # A few at a time: where there are constraints, each sample is a search.
    for first in range(0, len(points), n_points):
        if len(chosen) == n_points:
            break
        rows = points[first : first + n_points]
        if known.rows_at is not None:
            rows = known.rows_at(rows)
            rows = rows[~np.isnan(rows).any(axis=1)]
        rows = new_points(rows, taken, known.bounds)
        if known.caution is not None and len(rows):
            rows = rows[known.caution(rows) < 1.0]
        for row in rows:
            away = to_unit_cube(chosen, known.bounds) - to_unit_cube(row, known.bounds)
            is_apart = (np.square(away).mean(axis=1) >= distance**2).all()
            if is_apart and len(chosen) < n_points:
                chosen = np.vstack([chosen, row])
    return chosen
