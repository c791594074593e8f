"""How many CPU threads torch runs on, so that their number changes no bit of a result.

torch cuts a computation where the number of its threads says, and sums over other parts, or the
elements at the ends of other parts, differ in their last digits. Here a computation runs on one
thread, or it is cut by its size alone into pieces that run side by side, on one thread each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["in_parallel", "one_thread", "threads_for"]

# From this many rows on, torch shares a batch among its threads. Below, more threads gain little,
# and cost dearly where the cores have other work: each step waits for the slowest.
_ROWS_FOR_ALL_THREADS = 8192

# The number of threads outside of the outermost block that runs on one.
_threads_outside: ContextVar[int | None] = ContextVar("threads_outside", default=None)


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
    import torch

    return _threads_outside.get() or torch.get_num_threads()


@contextmanager
def _torch_threads(n_threads: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    token = _threads_outside.set(_available())
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _threads_outside.reset(token)
