"""How many evaluations a run has in flight, where, and in which order their results are used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sklearn_proxyopt._utils._types import Order
from sklearn_proxyopt._utils._validation import check_integer, check_option
from sklearn_proxyopt.evaluation import Evaluator
from sklearn_proxyopt.evaluation._in_flight import InFlight
from sklearn_proxyopt.evaluation._workers import check_executor, open_workers

__all__ = ["Pace"]


@dataclass
class Pace:
    """How a run goes on while evaluations are in flight.

    Parameters
    ----------
    n_pending : int, default=None
        How many evaluations may have begun whose results are not used yet; None for as many as
        there are workers.
    order : {"seed", "results"}, default="seed"
        Whether results are used in the order of asking, or in that of their arrival.
    executor : Executor, default=None
        Where to evaluate; None for the backend of joblib.
    """

    n_pending: int | None = None
    order: Order = "seed"
    executor: Any = None

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        if self.n_pending is not None:
            check_integer(self.n_pending, "n_pending")
        check_option(self.order, "order", ("seed", "results"))
        check_executor(self.executor)

    @contextmanager
    def in_flight(self, evaluator: Evaluator) -> Iterator[tuple[InFlight | None, int]]:
        """Open the workers; yield what is in flight and how many samples that may be.

        None where one sample after another is asked for: whole batches are evaluated then.
        """
        evaluator.executor = self.executor
        with open_workers(evaluator.n_jobs, self.executor) as workers:
            n_pending = workers.n if self.n_pending is None else self.n_pending
            if n_pending == 1:
                yield None, 1
                return
            # Others who ask for the same samples wait, rather than pay for them too.
            with evaluator.record.lock:
                flight = InFlight(evaluator, workers, self.order)
                try:
                    yield flight, n_pending
                except BaseException:
                    flight.rescue()
                    raise
