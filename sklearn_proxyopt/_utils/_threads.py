"""How many CPU threads torch runs on, so that their number changes no bit of a result.

torch cuts a computation where the number of its threads says, and sums over other parts, or the
elements at the ends of other parts, differ in their last digits. Here a computation runs on one
thread, or it is cut by its size alone into pieces that run side by side, on one thread each.

torch keeps a number for each thread of the process, and one that new threads start from. The latter
is lowered too while a block runs, so that all blocks of the process share how many there were
before.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["all_threads", "in_parallel", "one_thread", "threads_for"]

# From this many rows on, torch shares a batch among its threads. Below, more threads gain little,
# and cost dearly where the cores have other work: each step waits for the slowest.
_ROWS_FOR_ALL_THREADS = 8192

# The number of threads outside of the outermost block that runs on one.
_threads_outside: ContextVar[int | None] = ContextVar("threads_outside", default=None)


class _Blocks:
    """The blocks that run in all threads of the process, and what torch had before the first."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: a forked process has but one thread."""
        self._lock = threading.Lock()
        self._n_running, self._n_threads = 0, 1

    def available(self) -> int:
        """Return the number of threads that a thread in no block may use."""
        import torch

        own = torch.get_num_threads()
        # A thread that began while others ran blocks has only seen what they had set.
        return self._n_threads if own == 1 and self._n_running else own

    def enter(self) -> int:
        """Count a block of a thread that is in none; return the number that is to be put back."""
        with self._lock:
            own = self.available()
            if not self._n_running:
                self._n_threads = own
            self._n_running += 1
            return own

    def leave(self) -> None:
        """Count it no longer."""
        with self._lock:
            self._n_running = max(self._n_running - 1, 0)


_blocks = _Blocks()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_blocks.forget)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run the block on one torch thread."""
    with _torch_threads(1):
        yield


@contextmanager
def threads_for(n_rows: int) -> Iterator[None]:
    """Run the block on one torch thread where its batches of rows are too small to share.

    Larger ones run on all threads, and their last digits depend on how many those are.
    """
    with _torch_threads(_available() if n_rows >= _ROWS_FOR_ALL_THREADS else 1):
        yield


@contextmanager
def all_threads() -> Iterator[None]:
    """Run the block on as many torch threads as there are, whatever other threads do meanwhile."""
    with _torch_threads(_available()):
        yield


@contextmanager
def in_parallel(n_pieces: int) -> Iterator[Callable[..., list[Any]]]:
    """Compute independent pieces of a computation at once, each on one torch thread.

    Parameters
    ----------
    n_pieces : int
        Number of pieces that there are; no more of them run at once than torch has threads.

    Yields
    ------
    callable
        ``map(function, *iterables)``, a list of the results in the order of the pieces.
    """
    import torch

    n_workers = min(n_pieces, _available())
    with one_thread():
        if n_workers < 2:
            yield lambda function, *pieces: list(map(function, *pieces))
            return
        with ThreadPoolExecutor(
            n_workers, initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            yield lambda function, *pieces: list(pool.map(function, *pieces))


def _available() -> int:
    """Return the number of threads that torch may use."""
    return _threads_outside.get() or _blocks.available()


@contextmanager
def _torch_threads(n_threads: int) -> Iterator[None]:
    import torch

    if _threads_outside.get() is not None:
        with _set_for_the_block(n_threads, torch.get_num_threads()):
            yield
        return
    before = _blocks.enter()
    token = _threads_outside.set(before)
    try:
        with _set_for_the_block(n_threads, before):
            yield
    finally:
        _threads_outside.reset(token)
        _blocks.leave()


@contextmanager
def _set_for_the_block(n_threads: int, afterwards: int) -> Iterator[None]:
    import torch

    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(afterwards)
