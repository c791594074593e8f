"""Evaluations side by side, through joblib, in whatever order they end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import NDArray

from sklearn_proxyopt.evaluation._call import Outcome, call_many, call_one
from sklearn_proxyopt.evaluation._time_limit import call_within

__all__ = ["Work", "outcomes"]

# A worker process that dies takes others' work with it. So often all of it is begun again; then
# the rows are tried one at a time, to find the one that kills.
_N_LOSSES = 2


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
    """

    def __init__(
        self,
        objective: Callable[..., Any],
        vectorized: bool,
        time_limit: float | None,
        n_retries: int,
    ) -> None:
        self.objective = objective
        self.vectorized = vectorized
        self.time_limit = time_limit
        self.n_retries = n_retries

    def __call__(
        self, indices: list[int], X: NDArray[np.float64]
    ) -> tuple[list[int], list[Outcome]]:
        """Evaluate the rows `X`, which have these indices in the batch."""
        if self.vectorized:
            return indices, self._many(X)
        return indices, [self._one(x, index) for x, index in zip(X, indices, strict=True)]

    def _many(self, X: NDArray[np.float64]) -> list[Outcome]:
        results = call_many(self.objective, X)
        for _ in range(self.n_retries):
            failed = [i for i, outcome in enumerate(results) if outcome.error]
            if not failed:
                break
            for i, outcome in zip(failed, call_many(self.objective, X[failed]), strict=True):
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
            return call_one(self.objective, x, index)
        return call_within(self.time_limit, self.objective, x, index)


def outcomes(
    work: Work,
    X: NDArray[np.float64],
    new: list[int],
    n_jobs: int | None,
    goes_on: Callable[[], bool],
) -> Iterator[tuple[list[int], list[Outcome]]]:
    """Evaluate the rows of `X` that are new; yield indices and outcomes as they come.

    No further rows are begun once `goes_on()` is false; those begun are waited for.
    """
    left = dict.fromkeys(new)
    n_parts = min(effective_n_jobs(n_jobs), len(new)) if work.vectorized else len(new)
    for _ in range(_N_LOSSES):
        parts = [list(part) for part in np.array_split(list(left), n_parts) if len(part)]
        parts = [[int(index) for index in part] for part in parts]
        try:
            for indices, results in _run(work, X, _safe_parts(parts, X), n_jobs, goes_on):
                for index in indices:
                    del left[index]
                yield indices, results
            return
        except Exception as error:
            if not _is_loss_of_worker(error):
                raise
    for index in list(left):
        if not goes_on():
            return
        try:
            # Two workers, so that not even a single row is evaluated in this process.
            yield from _run(work, X, [[index]], max(effective_n_jobs(n_jobs), 2), goes_on)
        except Exception as error:
            if not _is_loss_of_worker(error):
                raise
            yield [index], [Outcome(np.nan, 0.0, "took its worker process down")]


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


def _is_loss_of_worker(error: Exception) -> bool:
    if isinstance(error, BrokenExecutor):
        return True
    distributed = sys.modules.get("distributed")
    return distributed is not None and isinstance(error, distributed.KilledWorker)
