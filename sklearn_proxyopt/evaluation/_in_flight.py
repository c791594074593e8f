"""Evaluations that have begun, and are handed out as they are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._dataset import row_keys
from sklearn_proxyopt._utils._types import Order
from sklearn_proxyopt.evaluation._call import Outcome
from sklearn_proxyopt.evaluation._evaluator import Evaluator
from sklearn_proxyopt.evaluation._side_by_side import (
    Work,
    for_workers,
    is_loss,
    renew,
    result_of,
)
from sklearn_proxyopt.evaluation._workers import Workers, has_result

__all__ = ["InFlight"]


class InFlight:
    """Samples whose evaluation has begun.

    Parameters
    ----------
    evaluator : Evaluator
        What evaluates, and keeps the record.
    workers : Workers
        Where.
    order : {"seed", "results"}
        Whether results are handed out in the order in which samples were begun, so that nothing
        depends on how long each takes, or in the order of arrival. What the record knew before
        comes in the order in which it was learned, so that a run that goes on takes the way that it
        took.
    """

    def __init__(self, evaluator: Evaluator, workers: Workers, order: Order) -> None:
        self._evaluator, self._workers, self._order = evaluator, workers, order
        self._work: Work = for_workers(evaluator.work())
        self._backlog = evaluator.backlog()
        self._places = evaluator.record.places()
        # By ticket, in the order in which they were begun: the samples that were not handed out,
        # the number of the repeat, and what has come of those that are known.
        self._rows: dict[int, NDArray[np.float64]] = {}
        self._repeats: dict[int, int] = {}
        self._known: dict[int, Outcome | None] = {}
        self._n_begun = self._n_losses = 0

    def begin(self, x: NDArray[np.float64], repeat: int) -> None:
        """Begin an evaluation of a sample that is not in flight."""
        ticket, self._n_begun = self._n_begun, self._n_begun + 1
        self._rows[ticket], self._repeats[ticket] = x, repeat
        if self._evaluator.record.get(x, repeat) is not None:
            self._known[ticket] = None
        else:
            self._evaluator.n_rounds += 1
            self._workers.submit(ticket, self._work, [ticket], x[None])

    def next(self) -> tuple[NDArray[np.float64], int, float | NDArray[np.float64]]:
        """Wait for a result; return its sample, its repeat and its value, NaN if it failed."""
        while (ticket := self._next_known()) is None:
            self._wait()
        x, repeat = self._rows.pop(ticket), self._repeats.pop(ticket)
        is_new = self._known.pop(ticket) is not None
        value = self._evaluator.record.get(x, repeat)
        assert value is not None
        self._evaluator.hand_out(x, repeat, value, is_new=is_new)
        return x, repeat, value

    def rescue(self) -> None:
        """Write down what has ended, where an error ends the run before it was handed out."""
        for ticket, future in self._workers.ended():
            if ticket in self._rows and has_result(future):
                self._take(ticket, future.result()[1])

    def _next_known(self) -> int | None:
        """Return which sample is handed out next, None where that is to be waited for."""
        if self._order == "seed":
            first = next(iter(self._rows))
            return first if first in self._known else None
        # Results come in the order in which they entered `_known`, those of the record before.
        recorded = [ticket for ticket, outcome in self._known.items() if outcome is None]
        if recorded:
            return min(recorded, key=lambda one: self._places.get(self._key(one), 0))
        return next(iter(self._known), None)

    def _wait(self) -> None:
        """Wait for an evaluation to end, and write down what comes of it."""
        ticket, future = self._workers.next()
        try:
            _, [outcome] = result_of(future)
        except Exception as error:
            if not is_loss(error):
                raise
            self._begin_again(error)
            return
        self._n_losses = 0
        self._known[ticket] = outcome
        self._take(ticket, [outcome])
        if self._evaluator.raises(outcome) or self._backlog.error is not None:
            self._fail(ticket, outcome)

    def _begin_again(self, error: Exception) -> None:
        """Begin what is left once more after a worker died, each sample in a process of its own."""
        left = [ticket for ticket in self._rows if ticket not in self._known]
        self._n_losses += 1
        rows = np.array([self._rows[ticket] for ticket in left])
        renew(self._workers, self._n_losses, rows, error)
        self._work = self._work.guarded()
        for ticket in left:
            self._workers.submit(ticket, self._work, [ticket], self._rows[ticket][None])

    def _fail(self, ticket: int, outcome: Outcome) -> None:
        """Wait for all that has begun, write it down, and raise the error."""
        left = {one for one in self._rows if one not in self._known}
        while left:
            one, future = self._workers.next()
            left.discard(one)
            if has_result(future):
                self._take(one, future.result()[1])
        self._backlog.finish()
        self._evaluator.raise_for(ticket, self._rows[ticket], outcome)

    def _take(self, ticket: int, results: list[Outcome]) -> None:
        repeats = np.array([self._repeats[ticket]])
        self._evaluator.take(self._rows[ticket][None], repeats, results, self._backlog)

    def _key(self, ticket: int) -> tuple[bytes, int]:
        return row_keys(self._rows[ticket][None])[0], self._repeats[ticket]
