"""Workers that evaluate: those of joblib's backends, or an executor of the user's."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any

from joblib import (
    Parallel,
    cpu_count,
    delayed,
    effective_n_jobs,
    parallel_config,
    wrap_non_picklable_objects,
)
from joblib.externals.loky import ProcessPoolExecutor as LokyExecutor
from joblib.parallel import get_active_backend

from sklearn_proxyopt.exceptions import EvaluationError

__all__ = ["Workers", "check_executor", "has_result", "open_workers"]

# What tells numerical libraries how many threads a worker process has.
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
# Seconds after which processes that have nothing to do end.
_IDLE = 300
# Seconds between looks at futures that tell nobody when they are done.
_NAP = 0.05


class Workers(ABC):
    """Evaluates calls side by side; each ends in whatever order.

    Parameters
    ----------
    n : int
        How many calls run at once; what is submitted beyond waits.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self._done: SimpleQueue[Any] = SimpleQueue()
        self._running: dict[Any, Any] = {}

    @abstractmethod
    def _begin(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Begin a call and return its future."""

    def submit(self, ticket: Any, function: Callable[..., Any], *arguments: Any) -> None:
        """Begin a call; `next` returns the ticket, which no other has, with what comes of it."""
        future = self._running[ticket] = self._begin(function, *arguments)
        if hasattr(future, "add_done_callback"):
            # Of workers that were replaced meanwhile nobody hears.
            done = self._done
            future.add_done_callback(lambda _: done.put(ticket))

    def next(self) -> tuple[Any, Any]:
        """Wait for a call to end; return its ticket and its future, which is done."""
        ticket = self._done.get() if self._all_tell else self._look()
        return ticket, self._running.pop(ticket)

    @property
    def _all_tell(self) -> bool:
        """Whether futures tell when they are done."""
        return all(hasattr(one, "add_done_callback") for one in self._running.values())

    def _look(self) -> Any:
        """Return the ticket of a call that has ended, once there is one."""
        while True:
            for ticket, future in self._running.items():
                if future.done():
                    return ticket
            time.sleep(_NAP)

    def ended(self) -> list[tuple[Any, Any]]:
        """Return the calls that have ended and were not returned by `next`."""
        return [(ticket, future) for ticket, future in self._running.items() if future.done()]

    def renew(self) -> bool:
        """Replace workers that have died; tell whether that is possible."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Give up what has not begun."""


class _Inline(Workers):
    """Evaluates each call as it is submitted, in this thread."""

    def _begin(self, function: Callable[..., Any], *arguments: Any) -> Any:
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future

    def close(self) -> None:
        """Do nothing: nothing waits."""


class _Executing(Workers):
    """Hands calls to an executor.

    Parameters
    ----------
    n : int
        How many calls run at once.
    make : callable
        Returns the executor, a new one where the last has broken.
    """

    def __init__(self, n: int, make: Callable[[], Any]) -> None:
        super().__init__(n)
        self._make = make
        self._executor = make()

    def _begin(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._executor.submit(function, *arguments)

    def renew(self) -> bool:
        self._done, self._running = SimpleQueue(), {}
        self._executor = self._make()
        return True

    def close(self) -> None:
        for future in self._running.values():
            future.cancel()


class _OfUser(_Executing):
    """Hands calls to an executor that cannot be made again."""

    def _begin(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return super()._begin(function, *arguments)
        except BrokenExecutor:
            raise
        except RuntimeError as error:
            raise EvaluationError(
                f"executor must take calls until the run has ended; got {self._executor!r}: "
                f"{error}. Open it around the whole run: with ThreadPoolExecutor(2) as executor."
            ) from error

    def renew(self) -> bool:
        return False


class _Around(_Executing):
    """Hands calls to an executor that is ours, each within another call.

    Parameters
    ----------
    n : int
        How many calls run at once.
    make : callable
        Returns the executor.
    around : callable
        Is called in a worker with each function and its arguments, and calls it.
    """

    def __init__(self, n: int, make: Callable[[], Any], around: Callable[..., Any]) -> None:
        super().__init__(n, make)
        self._around = around

    def _begin(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return super()._begin(self._around, function, *arguments)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


class _Pickled(_Around):
    """The same for processes that take plain functions only."""

    def _begin(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return super()._begin(wrap_non_picklable_objects(function, False), *arguments)


class _Lasting(_Around):
    """The same for processes that wait for the next run, since each has to import all packages."""

    def renew(self) -> bool:
        _pools.clear()
        return super().renew()

    def close(self) -> None:
        _Executing.close(self)


def _call_nested(nested: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    backend, n_jobs = nested
    with parallel_config(backend=backend, n_jobs=n_jobs):
        return function(*arguments)


def _call_by_backend(kind: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function by a backend of which joblib hands back whole lists only."""
    with parallel_config(backend=kind()):
        # A single job would stay in this process.
        return Parallel(n_jobs=2)([delayed(function)(*arguments)])[0]


def has_result(future: Any) -> bool:
    """Tell whether a future that is done came through."""
    # Not every scheduler's job knows that it was canceled.
    was_cancelled = hasattr(future, "cancelled") and future.cancelled()
    return not was_cancelled and future.exception() is None


def check_executor(executor: Any) -> None:
    """Raise an error if something is no executor."""
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise ValueError(
            "executor must have a method submit, as those of concurrent.futures have, or be None; "
            f"got {executor!r}."
        )


@contextmanager
def open_workers(n_jobs: int | None, executor: Any = None) -> Iterator[Workers]:
    """Open the workers of an executor, or of joblib's backend of the moment."""
    workers = _workers_of(n_jobs, executor)
    try:
        yield workers
    finally:
        workers.close()


def _workers_of(n_jobs: int | None, executor: Any) -> Workers:
    if executor is not None:
        n = n_jobs if n_jobs is not None and n_jobs > 0 else _size_of(executor)
        return _OfUser(n, lambda: executor)
    n = effective_n_jobs(n_jobs)
    backend = get_active_backend()[0]
    name = type(backend).__name__
    if n == 1 or name == "SequentialBackend":
        return _Inline(1)
    if name == "DaskDistributedBackend":
        client = backend.client
        return _Executing(n, lambda: client.get_executor(pure=False))
    nested = partial(_call_nested, backend.get_nested_backend())
    if name == "ThreadingBackend":
        return _Around(n, lambda: ThreadPoolExecutor(n), nested)
    if name == "MultiprocessingBackend":
        return _Pickled(n, lambda: ProcessPoolExecutor(n), nested)
    if name == "LokyBackend":
        n_threads = backend.inner_max_num_threads or max(cpu_count() // n, 1)
        return _Lasting(n, lambda: _loky(n, n_threads), nested)
    return _Around(n, lambda: ThreadPoolExecutor(n), partial(_call_by_backend, type(backend)))


def _size_of(executor: Any) -> int:
    """Return how many calls an executor runs at once, as far as it says."""
    n = getattr(executor, "_max_workers", None)
    client = getattr(executor, "_client", None)
    if n is None and client is not None:
        n = sum(client.nthreads().values())
    return int(n) if n else cpu_count()


# By process, since a fork has none of its own, and by what they were begun with.
_pools: dict[tuple[int, int, int], LokyExecutor] = {}


def _loky(n: int, n_threads: int) -> LokyExecutor:
    """Return processes that are there, or new ones."""
    key = (os.getpid(), n, n_threads)
    if key not in _pools:
        env = {name: str(n_threads) for name in _THREADS if name not in os.environ}
        _pools[key] = LokyExecutor(max_workers=n, timeout=_IDLE, env=env)
    return _pools[key]
