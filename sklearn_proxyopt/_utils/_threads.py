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
# Trials may take this share of the time; between them lie so many seconds, and twice as many each
# time that the outcome is the one before.
_SHARE_OF_TRIALS = 0.02
_SHORTEST_WAIT, _LONGEST_WAIT = 0.5, 8.0
_N_TRIALS = 2
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
        self._wait = _SHORTEST_WAIT
        self._pay: bool | None = None
        torch.set_num_threads(1)

    def choose(self) -> None:
        """Set the number of threads anew, if it is time to."""
        begin = perf_counter()
        if self._all == 1 or begin < self._due:
            return
        import torch

        one, every = self._seconds(1), self._seconds(self._all)
        pay = every * _MINIMUM_GAIN < one
        torch.set_num_threads(self._all if pay else 1)
        self._wait = min(2 * self._wait, _LONGEST_WAIT) if pay is self._pay else _SHORTEST_WAIT
        self._pay = pay
        end = perf_counter()
        self._due = end + max(self._wait, (end - begin) / _SHARE_OF_TRIALS)

    def _seconds(self, n_threads: int) -> float:
        import torch

        torch.set_num_threads(n_threads)
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
