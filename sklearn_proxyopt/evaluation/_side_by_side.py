"""Evaluations side by side, through joblib, in whatever order they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from threading import TIMEOUT_MAX
from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend
from numpy.typing import NDArray

from sklearn_proxyopt.evaluation._call import Outcome, call_many, call_one, no_value
from sklearn_proxyopt.evaluation._time_limit import call_within
from sklearn_proxyopt.exceptions import EvaluationError

__all__ = ["Work", "outcomes"]

# So often the rows that are left are begun again after a worker died, with no result in between.
_MOST_LOSSES = 5


class Work:
    """How rows are evaluated: what a worker process is told, apart from the rows.

    Parameters
    ----------
    objective : callable
        The function.
    vectorized : bool
        Whether it takes many rows.
    time_limit : float or None
        Seconds that one evaluation may take.
    n_retries : int
        How often an evaluation that failed is tried again.
    n_outputs : int or None, default=None
        How many numbers it returns for a row; None for one that is no array.
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
        """Evaluate the rows `X`, which have these indices in the batch.

        An output that is no value is an outcome too, so that the rows of others are waited for.
        """
        try:
            if self.vectorized:
                return indices, self._many(X)
            return indices, [self._one(x, index) for x, index in zip(X, indices, strict=True)]
        except EvaluationError as error:
            refused = Outcome(no_value(self.n_outputs), 0.0, "returned no value", refusal=error)
            return indices, [refused] * len(indices)

    def guarded(self) -> Work:
        """Return the same work, in which a row that kills kills only a process of its own."""
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
    n_jobs: int | None,
    goes_on: Callable[[], bool],
) -> Iterator[tuple[list[int], list[Outcome]]]:
    """Evaluate the rows of `X` that are new; yield indices and outcomes as they come.

    No further rows are begun once `goes_on()` is false; those begun are waited for. A worker
    process that dies takes the work of others with it, and nobody knows which row was to blame: the
    rows that are left are begun again, each in a process of its own.
    """
    if _is_on_dask():
        # joblib would wait for ever for a row that has killed one worker of Dask after another.
        work = work.guarded()
    left = dict.fromkeys(new)
    n_losses = 0
    while left and goes_on():
        n_parts = min(effective_n_jobs(n_jobs), len(left)) if work.vectorized else len(left)
        parts = [part.tolist() for part in np.array_split(list(left), n_parts)]
        try:
            for indices, results in _run(work, X, _safe_parts(parts, X), n_jobs, goes_on):
                n_losses = 0
                for index in indices:
                    del left[index]
                yield indices, results
        except BrokenExecutor as error:
            n_losses += 1
            if n_losses == _MOST_LOSSES:
                raise EvaluationError(
                    f"objective must leave the worker processes alive; got {n_losses} losses of "
                    f"workers one after another, with {len(left)} rows left."
                ) from error
            work = work.guarded()


def _run(
    work: Work,
    X: NDArray[np.float64],
    parts: list[list[int]],
    n_jobs: int | None,
    goes_on: Callable[[], bool],
) -> Iterator[tuple[list[int], list[Outcome]]]:
    parallel = Parallel(
        n_jobs=n_jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs"
    )
    yield from parallel(delayed(work)(part, X[part]) for part in parts if goes_on())


def _safe_parts(parts: list[list[int]], X: NDArray[np.float64]) -> list[list[int]]:
    """Split parts of as many rows as columns.

    A function of one row could pass for one of many there, by returning as many values as there
    are columns.
    """
    safe = []
    for part in parts:
        splits = len(part) == X.shape[1] > 1
        safe += [part[:-1], part[-1:]] if splits else [part]
    return safe


def _is_on_dask() -> bool:
    return type(get_active_backend()[0]).__name__ == "DaskDistributedBackend"
