"""Evaluations side by side, in whatever order they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError
from pickle import PicklingError
from threading import TIMEOUT_MAX
from typing import Any

import numpy as np
from joblib.parallel import get_active_backend
from numpy.typing import NDArray

from sklearn_proxyopt.evaluation._call import Outcome, call_many, call_one, no_value
from sklearn_proxyopt.evaluation._time_limit import call_within
from sklearn_proxyopt.evaluation._workers import Workers
from sklearn_proxyopt.exceptions import EvaluationError

__all__ = ["Work", "for_workers", "is_loss", "outcomes", "renew", "result_of"]

# So often the samples that are left are begun again after a worker died, with no result in between.
_MOST_LOSSES = 5


class Work:
    """How samples are evaluated: what a worker process is told, apart from the samples.

    Parameters
    ----------
    objective : callable
        The function.
    vectorized : bool
        Whether it takes many samples.
    time_limit : float or None
        Seconds that one evaluation may take.
    n_retries : int
        How often an evaluation that failed is tried again.
    n_outputs : int or None, default=None
        How many numbers it returns for a sample; None for one that is no array.
    """

    def __init__(
        self,
        objective: Callable[..., Any],
        vectorized: bool,
        time_limit: float | None,
        n_retries: int,
        n_outputs: int | None = None,
    ) -> None:
        self.objective = objective
        self.vectorized = vectorized
        self.time_limit = time_limit
        self.n_retries = n_retries
        self.n_outputs = n_outputs

    def __call__(
        self, indices: list[int], X: NDArray[np.float64]
    ) -> tuple[list[int], list[Outcome]]:
        """Evaluate the samples `X`, which have these indices in the batch.

        An output that is no value is an outcome too, so that the samples of others are waited for.
        """
        try:
            if self.vectorized:
                return indices, self._many(X)
            return indices, [self._one(x, index) for x, index in zip(X, indices, strict=True)]
        except EvaluationError as error:
            refused = Outcome(no_value(self.n_outputs), 0.0, "returned no value", refusal=error)
            return indices, [refused] * len(indices)

    def guarded(self) -> Work:
        """Return the same work, in which a sample that kills kills only a process of its own."""
        limit = TIMEOUT_MAX if self.time_limit is None else self.time_limit
        return Work(
            self.objective,
            self.vectorized,
            None if self.vectorized else limit,
            self.n_retries,
            self.n_outputs,
        )

    def _many(self, X: NDArray[np.float64]) -> list[Outcome]:
        results = call_many(self.objective, X, self.n_outputs)
        for _ in range(self.n_retries):
            failed = [i for i, outcome in enumerate(results) if outcome.error]
            if not failed:
                break
            again = call_many(self.objective, X[failed], self.n_outputs)
            for i, outcome in zip(failed, again, strict=True):
                results[i] = outcome.after(results[i])
        return results

    def _one(self, x: NDArray[np.float64], index: int) -> Outcome:
        result = self._try(x, index)
        for _ in range(self.n_retries):
            if not result.error:
                break
            result = self._try(x, index).after(result)
        return result

    def _try(self, x: NDArray[np.float64], index: int) -> Outcome:
        if self.time_limit is None:
            return call_one(self.objective, x, index, self.n_outputs)
        return call_within(self.time_limit, self.objective, x, index, self.n_outputs)


def outcomes(
    work: Work,
    X: NDArray[np.float64],
    new: list[int],
    workers: Workers,
    goes_on: Callable[[], bool],
) -> Iterator[tuple[list[int], list[Outcome]]]:
    """Evaluate the samples of `X` that are new; yield indices and outcomes in the order of arrival.

    No further samples are begun once `goes_on()` is false; those begun are waited for. A worker
    process that dies takes the work of others with it, and nobody knows which sample was to blame:
    the samples that are left are begun again, each in a process of its own.
    """
    work = for_workers(work)
    left = dict.fromkeys(new)
    n_losses = 0
    while left and goes_on():
        n_parts = min(workers.n, len(left)) if work.vectorized else len(left)
        parts = [part.tolist() for part in np.array_split(list(left), n_parts)]
        try:
            for indices, results in _run(work, X, _safe_parts(parts, X), workers, goes_on):
                n_losses = 0
                for index in indices:
                    del left[index]
                yield indices, results
        except Exception as error:
            if not is_loss(error):
                raise
            n_losses += 1
            renew(workers, n_losses, X[list(left)], error)
            work = work.guarded()


def for_workers(work: Work) -> Work:
    """Return work as the backend of the moment needs it."""
    # On Dask a sample that kills would take one worker after another with it.
    is_on_dask = type(get_active_backend()[0]).__name__ == "DaskDistributedBackend"
    return work.guarded() if is_on_dask else work


def is_loss(error: Exception) -> bool:
    """Tell whether an error is that of a worker that died."""
    return (
        isinstance(error, BrokenExecutor | CancelledError) or type(error).__name__ == "KilledWorker"
    )


def renew(workers: Workers, n_losses: int, left: NDArray[np.float64], error: Exception) -> None:
    """Replace workers that have died, or say why that is the end of the samples that are left."""
    if n_losses >= _MOST_LOSSES:
        raise EvaluationError(
            f"objective must leave the worker processes alive; got {n_losses} losses of workers "
            f"one after another, with {len(left)} samples left, the first of them "
            f"{left[0].tolist()}. Evaluate it alone, and see whether the memory suffices for all."
        ) from error
    if not workers.renew():
        raise EvaluationError(
            "executor must keep its workers alive; one has ended while samples were evaluated, the "
            f"first of them {left[0].tolist()}. Pass n_jobs in place of executor: a sample that "
            "ends its process then fails alone."
        ) from error


def result_of(future: Any) -> tuple[list[int], list[Outcome]]:
    """Return what came of a call, or say why it did not reach a worker."""
    try:
        done: tuple[list[int], list[Outcome]] = future.result()
    except Exception as error:
        if isinstance(error, PicklingError) or "pickle" in str(error):
            raise EvaluationError(
                "objective must be a function that a worker process can load; got "
                f"{type(error).__name__}: {str(error).rstrip('.')}. Define it at module level, "
                "without locks or open files, or evaluate in threads: "
                "executor=ThreadPoolExecutor(2)."
            ) from error
        raise
    return done


def _run(
    work: Work,
    X: NDArray[np.float64],
    parts: list[list[int]],
    workers: Workers,
    goes_on: Callable[[], bool],
) -> Iterator[tuple[list[int], list[Outcome]]]:
    begun = iter(parts)
    n_running = 0
    while True:
        while n_running < workers.n and goes_on() and (part := next(begun, None)) is not None:
            workers.submit(part[0], work, part, X[part])
            n_running += 1
        if not n_running:
            return
        done = workers.next()[1]
        n_running -= 1
        yield result_of(done)


def _safe_parts(parts: list[list[int]], X: NDArray[np.float64]) -> list[list[int]]:
    """Split parts of as many rows as columns.

    A function of one sample could pass for one of many there, by returning as many values as there
    are columns.
    """
    safe = []
    for part in parts:
        splits = len(part) == X.shape[1] > 1
        safe += [part[:-1], part[-1:]] if splits else [part]
    return safe
