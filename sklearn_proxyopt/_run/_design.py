"""Designs as strategies: the initial one of a run, and the one that `ask` hands out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._proxy_search._failure_model import EncodedRisk, FailureRisk
from sklearn_proxyopt._strategies import Batches, LateResults, Routine, Strategy
from sklearn_proxyopt._utils._dataset import N_LEAST, Dataset, is_among
from sklearn_proxyopt._utils._distances import farthest_places
from sklearn_proxyopt.variables import Variables
from sklearn_proxyopt.variables._design import Design, can_grow

__all__ = ["FarPoints", "InitialDesign", "OpenDesign", "check_enough", "far_points"]

# Where `ask` has run out of points, and what to do.
_OF_SPACE = (
    "that bounds and constraints leave, neither known nor pending",
    "Tell what is pending, widen bounds, or state noise_std, with which settings are repeated.",
)
_OF_DESIGN = ("that the sampler's design has left", "Pass a sampler that has more.")


class InitialDesign(Routine):
    """Evaluate a design, and more of it until two samples have succeeded.

    Parameters
    ----------
    sampler : sampler
        The design, seeded.
    space : Variables
        The variables.
    goes_on : bool, default=False
        Whether there is more than the design. If not, two samples of it must succeed.
    done : ndarray of shape (n_done, n_features), default=None
        Samples that were evaluated before, which may be points of the design with fewer digits.
    late : LateResults, default=None
        Takes results that come late; the design then ends before all of them are there.
    why_failed : callable, default=str
        Says why evaluations failed, in a sentence after a space.

    Attributes
    ----------
    rows : ndarray of shape (n_samples, n_features)
        The design.
    """

    def __init__(
        self,
        sampler: Any,
        space: Variables,
        goes_on: bool = False,
        done: NDArray[np.float64] | None = None,
        late: LateResults | None = None,
        why_failed: Callable[[], str] = str,
    ) -> None:
        super().__init__(late=late)
        self._why_failed = why_failed
        self._design, self._goes_on = Design(sampler, space), goes_on
        self.rows = self._design.sample()
        if done is not None:
            self.rows = space.as_done(self.rows, done)

    def _run(self) -> Batches:
        yield self.rows
        n_asked, further = len(self.rows), self.rows[:0]
        while len(self.known) < N_LEAST:
            if self._goes_on and not len(further):
                further = self._more()
            if not (len(further) or len(self.pending)):
                raise ValueError(
                    f"objective must succeed on at least two samples of the design; got "
                    f"{len(self.known)} of {n_asked}.{self._why_failed()}"
                )
            # As long as enough may be on the way, one at a time.
            n_next = min(len(further), 1) if len(self.pending) else len(further)
            yield further[:n_next]
            n_asked, further = n_asked + n_next, further[n_next:]

    def _more(self) -> NDArray[np.float64]:
        """Return further samples of the design, as many as it has; none where there are no more."""
        if not self._design.grow():
            return self.rows[:0]
        rows = self._design.sample()
        taken = np.vstack([self.known.evaluated, self.pending])
        return rows[~is_among(rows, taken)][: len(self.rows)]


class OpenDesign(Strategy):
    """Hand out a design, point after point, until enough samples are known.

    Parameters
    ----------
    sampler : sampler
        The design, seeded; drawn larger where it runs out, if it can.
    space : Variables
        The variables.
    n_least : int
        Samples with a value that are enough.
    """

    def __init__(self, sampler: Any, space: Variables, n_least: int) -> None:
        self._sampler, self._space, self._n_least = sampler, space, n_least

    def propose(
        self, n: int | None, known: Dataset, pending: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the next points of the design; one for None."""
        self.has_ended = len(known) >= self._n_least
        if self.has_ended:
            return known.X[:0]
        n_points = 1 if n is None else n
        taken = np.vstack([known.evaluated, pending])
        points = _untaken(self._sampler, self._space, n_points, taken)
        return check_enough(points, n_points, self._sampler)[:n_points]

    def observe(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Do nothing."""


class FarPoints(Routine):
    """Evaluate points of a design far from all that is known, as long as it has any.

    Parameters
    ----------
    sampler : sampler
        The design, seeded.
    space : Variables
        The variables.
    n_points : int
        How many.
    late : LateResults, default=None
        As of `Routine`.
    """

    def __init__(
        self, sampler: Any, space: Variables, n_points: int, late: LateResults | None = None
    ) -> None:
        super().__init__(late=late)
        self._sampler, self._space, self._n_points = sampler, space, n_points

    def _run(self) -> Batches:
        for _ in range(self._n_points):
            taken = np.vstack([self.known.evaluated, self.pending])
            point = far_points(self._sampler, self._space, 1, taken)
            if not len(point):
                return
            yield point


def far_points(
    sampler: Any,
    space: Variables,
    n_points: int,
    taken: NDArray[np.float64],
    risk: FailureRisk | EncodedRisk | None = None,
) -> NDArray[np.float64]:
    """Return points of a design, each the farthest from those that are taken.

    Parameters
    ----------
    sampler : sampler
        The design, seeded; drawn larger where it runs out, if it can.
    space : Variables
        The variables.
    n_points : int
        How many, at most.
    taken : ndarray of shape (n_taken, n_features)
        What is known or pending; the design is followed in its order where nothing is.
    risk : FailureRisk, default=None
        Where evaluations fail: points to be avoided come last.

    Returns
    -------
    ndarray of shape (n, n_features)
        The points.
    """
    pool = _untaken(sampler, space, n_points, taken)
    if risk is not None:
        safe = risk.caution(pool) < 1.0
        pool = pool[safe] if safe.sum() >= n_points else pool
    n_points = min(n_points, len(pool))
    if len(taken):
        pool = pool[farthest_places(space.places(pool), space.places(taken), n_points)]
    return pool[:n_points]


def _untaken(
    sampler: Any, space: Variables, n_points: int, taken: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the points of a design that are not taken, at least `n_points` if it has them."""
    design = Design(sampler, space)
    rows = design.sample()
    points = new_rows(rows, taken, space)
    while len(points) < n_points and design.grow():
        n_before, rows = len(rows), design.sample()
        points = new_rows(rows, taken, space)
        if len(rows) <= n_before:
            # No further samples are valid and feasible.
            break
    return points


def check_enough(points: NDArray[np.float64], n_points: int, sampler: Any) -> NDArray[np.float64]:
    """Return points of a sampler's design, or raise an error if these are fewer than asked for."""
    if len(points) >= n_points:
        return points
    which, remedy = _OF_SPACE if can_grow(sampler) else _OF_DESIGN
    raise ValueError(
        f"n_points must not exceed the {len(points)} points {which}; got {n_points}. {remedy}"
    )


def new_rows(
    points: NDArray[np.float64], taken: NDArray[np.float64], space: Variables
) -> NDArray[np.float64]:
    """Return the points that no sample taken is, or stands for."""
    return points[space.answered(points, taken) < 0]
