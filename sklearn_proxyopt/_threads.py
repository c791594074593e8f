"""How many CPU threads torch runs on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

__all__ = ["PayingThreads", "paying_threads", "threads_for"]

# Below this many rows a batch, a second thread gains little, and costs dearly where the cores have
# other work: each step waits for the slowest.
_ROWS_FOR_ALL_THREADS = 8192
# A trial is run so often with each number of threads, and again after so many seconds, or after
# twice as many each time that further threads did not pay.
_N_TRIALS = 5
_SECONDS_BETWEEN_TRIALS = 0.5
_LONGEST_WAIT = 8.0
# Further threads must be faster by this factor.
_MINIMUM_GAIN = 1.2


@contextmanager
def threads_for(n_rows: int) -> Iterator[None]:
    """Run the block on one torch thread where its batches of rows are too small to share."""
    import torch

    before = torch.get_num_threads()
    if n_rows >= _ROWS_FOR_ALL_THREADS or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class PayingThreads:
    """The number of threads that a repeated computation runs fastest on, as measured.

    Which number that is depends on what else the machine is doing: where cores are taken, threads
    that wait for each other may be many times slower than one alone. What is computed must not
    depend on it.

    Parameters
    ----------
    trial : callable
        A piece of the computation, without side effects.
    """

    def __init__(self, trial: Callable[[], Any]) -> None:
        import torch

        self._trial = trial
        self._all = torch.get_num_threads()
        self._due = 0.0
        self._wait = _SECONDS_BETWEEN_TRIALS
        torch.set_num_threads(1)

    def choose(self) -> None:
        """Set the number of threads anew, if it is time to."""
        if self._all == 1 or perf_counter() < self._due:
            return
        import torch

        one, every = self._seconds(1), self._seconds(self._all)
        pays = every * _MINIMUM_GAIN < one
        torch.set_num_threads(self._all if pays else 1)
        self._wait = _SECONDS_BETWEEN_TRIALS if pays else min(2 * self._wait, _LONGEST_WAIT)
        self._due = perf_counter() + self._wait

    def _seconds(self, n_threads: int) -> float:
        import torch

        torch.set_num_threads(n_threads)
        self._trial()
        start = perf_counter()
        for _ in range(_N_TRIALS):
            self._trial()
        return perf_counter() - start

    def restore(self) -> None:
        """Put the number of threads back."""
        import torch

        torch.set_num_threads(self._all)


@contextmanager
def paying_threads(trial: Callable[[], Any]) -> Iterator[PayingThreads]:
    """Run the block on the threads that pay; its `choose` belongs into the loop of the block."""
    threads = PayingThreads(trial)
    try:
        yield threads
    finally:
        threads.restore()
