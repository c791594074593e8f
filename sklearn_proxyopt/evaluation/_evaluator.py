"""Calls of the objective: checked, counted, recorded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from numbers import Integral
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._dataset import is_among, row_keys, succeeded
from sklearn_proxyopt._utils._validation import check_integer, check_option, check_real
from sklearn_proxyopt._utils._warning import warn_user
from sklearn_proxyopt.evaluation._backlog import Backlog
from sklearn_proxyopt.evaluation._call import Outcome
from sklearn_proxyopt.evaluation._journal_writer import JournalWriter
from sklearn_proxyopt.evaluation._record import EvaluationRecord
from sklearn_proxyopt.evaluation._side_by_side import Work, outcomes
from sklearn_proxyopt.evaluation._workers import open_workers
from sklearn_proxyopt.exceptions import EvaluationError, FailedEvaluationWarning

__all__ = ["ON_ERROR", "Evaluator"]

ON_ERROR = ("raise", "drop")
# What functions of many samples raise where they are given one.
_TOLD_BY_VECTORIZED = re.compile("raised (Axis|Index|Attribute)Error|2D array")


class Evaluator:
    """The objective, called once for each sample that was never asked for before.

    Parameters
    ----------
    objective : callable
        The function to be minimized.
    vectorized : bool, default=False
        Whether `objective` takes samples of shape (n, n_features) and returns (n,); otherwise it
        takes one sample of shape (n_features,) and returns a number.
    on_error : {"raise", "drop"}, default="raise"
        What happens if an evaluation fails: "raise" raises an `EvaluationError`, "drop" gives NaN
        and counts it. An evaluation fails if it raises, returns a value that is not finite, takes
        longer than `time_limit` or ends its process. A vectorized function marks failed samples by
        NaN; if it raises, the error is raised in either case, because nobody knows which sample
        caused it.
    n_jobs : int, default=None
        How many evaluations run side by side, through joblib and in the backend of its
        `parallel_config`; the samples of a vectorized function are split into as many parts. None
        means 1 outside of a `parallel_config`.
    time_limit : float, default=None
        Seconds that one evaluation may take, for a function of one sample. Each then runs in a
        process of its own, which is killed in time; None sets no limit.
    n_retries : int, default=0
        How often an evaluation that failed is tried again.
    n_outputs : int or None, default=None
        How many numbers the function returns for a sample; `objective` then returns (n, n_outputs),
        or (n_outputs,) for one sample, and an evaluation fails if any of them is not finite. None
        for a function whose values are no arrays.
    record : EvaluationRecord, default=None
        Where values are looked up and written down. None starts a new one.
    journal : JournalWriter, default=None
        A journal on disk, where each evaluation is written as it ends, before it is used.

    Attributes
    ----------
    n_calls : int
        Samples on which the function was really called.
    n_failed : int
        How many samples asked for failed, now or when the record was written.
    n_rounds : int
        How many batches were asked for.
    on_row : callable or None
        Called with the value of each sample as it is known.
    on_outcome : callable or None
        Called with each sample that was evaluated, the number of its batch, and its outcome.
    executor : Executor or None
        Where to evaluate in place of joblib's backend.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_proxyopt.evaluation import Evaluator
    >>> evaluate = Evaluator(lambda x: (x**2).sum())
    >>> evaluate(np.array([[1.0, 2.0], [3.0, 0.0], [1.0, 2.0]]))
    array([5., 9., 5.])
    >>> evaluate.n_calls
    2
    """

    def __init__(
        self,
        objective: Callable[..., Any],
        *,
        vectorized: bool = False,
        on_error: str = "raise",
        n_jobs: int | None = None,
        time_limit: float | None = None,
        n_retries: int = 0,
        n_outputs: int | None = None,
        record: EvaluationRecord | None = None,
        journal: JournalWriter | None = None,
    ) -> None:
        self.objective = objective
        self.vectorized = vectorized
        self.on_error = on_error
        self.n_jobs = n_jobs
        self.time_limit = time_limit
        self.n_retries = n_retries
        self.n_outputs = n_outputs
        self.record = EvaluationRecord(n_outputs) if record is None else record
        self.journal = journal
        self.executor: Any = None
        self.on_row: Callable[[float | NDArray[np.float64]], None] | None = None
        self.on_outcome: Callable[[NDArray[np.float64], int, Outcome], None] | None = None
        self.n_calls = 0
        self.n_rounds = 0
        self._failed: set[bytes] = set()
        self._reasons: Counter[str] = Counter()

    @property
    def n_failed(self) -> int:
        """Number of samples asked for that failed."""
        return len(self._failed)

    @property
    def why_failed(self) -> str:
        """The most frequent reason of failures here, as a sentence; empty where there is none."""
        if not self._reasons:
            return ""
        (reason, count), total = self._reasons.most_common(1)[0], self._reasons.total()
        often = "Each time" if count == total else f"Most often ({count} of {total})"
        return f" {often} it {reason.rstrip('.')}.{_remedy_of(reason)}"

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        check_option(self.vectorized, "vectorized", (True, False))
        check_option(self.on_error, "on_error", ON_ERROR)
        if self.n_jobs is not None and (not isinstance(self.n_jobs, Integral) or not self.n_jobs):
            raise ValueError(
                f"n_jobs must be an integer other than 0, or None; got {self.n_jobs!r}."
            )
        check_integer(self.n_retries, "n_retries", minimum=0)
        if self.n_outputs is not None:
            check_integer(self.n_outputs, "n_outputs")
        if self.time_limit is None:
            return
        check_real(self.time_limit, "time_limit", minimum=0.0, include_minimum=False)
        if self.vectorized:
            raise ValueError(
                f"time_limit must be None for a vectorized objective, of which one call evaluates "
                f"many samples; got {self.time_limit!r}. Pass vectorized=False with a function of "
                "one sample."
            )

    def __call__(
        self,
        X: NDArray[np.float64],
        goes_on: Callable[[list[float | NDArray[np.float64]]], bool] | None = None,
        repeats: NDArray[np.intp] | None = None,
    ) -> NDArray[np.float64]:
        """Return the values of samples.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Samples inside the box, in the user's units.
        goes_on : callable, default=None
            Called with the values known so far; returns whether further samples are to be begun.
            Those begun are waited for. None begins all.
        repeats : ndarray of shape (n,), default=None
            The repeat of each sample, 0, 1, ...; each repeat has its own value. None means the
            first.

        Returns
        -------
        ndarray of shape (n,) or (n, n_outputs)
            Values; NaN where an evaluation failed and `on_error` is "drop", or was not begun. The
            record knows those that were.

        Raises
        ------
        EvaluationError
            If the function raises, or returns what is no finite value for each sample.
        """
        repeats = np.zeros(len(X), dtype=np.intp) if repeats is None else repeats
        with self.record.lock:
            is_known = self._are_on_record(X, repeats)
            values = list(self.record.values(X[is_known], repeats[is_known]))
            if self.on_row is not None:
                for value in values:
                    self.on_row(value)
            new = np.flatnonzero(~is_known)
            if len(new):
                told = (lambda: True) if goes_on is None else (lambda: goes_on(values))
                numbered = np.column_stack([X, repeats])
                new = new[_first_of_each(numbered[new])]
                self._evaluate(X, repeats, new.tolist(), values, told)
            self.n_rounds += 1
            is_known = self._are_on_record(X, repeats)
            results = np.full((len(X), *self.record.values(X[:0]).shape[1:]), np.nan)
            results[is_known] = self.record.values(X[is_known], repeats[is_known])
            failed = np.flatnonzero(~succeeded(results) & is_known)
            if self.on_error == "raise" and len(failed):
                first = int(failed[0])
                self._fail(first, X[first], "has failed before", None)
            self._count_failures(np.column_stack([X, repeats])[failed], len(X))
            return results

    def _are_on_record(
        self, X: NDArray[np.float64], repeats: NDArray[np.intp]
    ) -> NDArray[np.bool_]:
        pairs = zip(X, repeats, strict=True)
        return np.array([self.record.get(x, n) is not None for x, n in pairs], dtype=bool)

    def _evaluate(
        self,
        X: NDArray[np.float64],
        repeats: NDArray[np.intp],
        new: list[int],
        values: list[Any],
        goes_on: Callable[[], bool],
    ) -> None:
        """Call the function on new samples and write down what comes of each, also in `values`."""
        work, backlog = self.work(), self.backlog()
        raising: dict[int, Outcome] = {}

        def begins_more() -> bool:
            return not raising and backlog.error is None and goes_on()

        with open_workers(self.n_jobs, self.executor) as workers:
            for indices, results in outcomes(work, X, new, workers, begins_more):
                for index, outcome in zip(indices, results, strict=True):
                    if self.raises(outcome):
                        raising[index] = outcome
                    values.append(outcome.value)
                self.take(X[indices], repeats[indices], results, backlog)
        backlog.finish()
        if raising:
            index = min(raising)
            self.raise_for(index, X[index], raising[index])

    def work(self) -> Work:
        """Return what a worker is told.

        Returns
        -------
        Work
            The function, and how it is called.
        """
        return Work(
            self.objective, self.vectorized, self.time_limit, self.n_retries, self.n_outputs
        )

    def backlog(self) -> Backlog:
        """Return what writes samples into the journal.

        Returns
        -------
        Backlog
            Keeps those that the journal does not take.
        """
        return Backlog(self.journal, self.n_rounds, self.on_error != "raise")

    def take(
        self,
        X: NDArray[np.float64],
        repeats: NDArray[np.intp],
        results: list[Outcome],
        backlog: Backlog,
    ) -> None:
        """Write down the outcomes of samples.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            The samples.
        repeats : ndarray of shape (n,)
            Which evaluation of each.
        results : list of Outcome
            Their outcomes.
        backlog : Backlog
            Writes them into the journal.
        """
        self.n_calls += len(X)
        for x, repeat, outcome in zip(X, repeats, results, strict=True):
            if not self.raises(outcome):
                # Before the journal, so that what it cannot write is not lost.
                self.record.add(x, outcome.value, int(repeat))
            if outcome.error:
                self._reasons[outcome.error] += 1
            if self.on_outcome is not None:
                self.on_outcome(x, self.n_rounds, outcome)
        if results[0].refusal is None:
            backlog.write(X, results)
        for outcome in results:
            if self.on_row is not None:
                self.on_row(outcome.value)

    def raises(self, outcome: Outcome) -> bool:
        """Tell whether an outcome ends the run.

        Parameters
        ----------
        outcome : Outcome
            The outcome of a sample.

        Returns
        -------
        bool
            Whether it failed and that counts as an error.
        """
        return bool(outcome.error) and (self.on_error == "raise" or outcome.refusal is not None)

    def _count_failures(self, failed: NDArray[np.float64], n_asked: int) -> None:
        """Count the failures that were not met before, and warn of them."""
        n_before = self.n_failed
        self._failed.update(row_keys(failed))
        if self.n_failed > n_before:
            n_new = self.n_failed - n_before
            warn_user(
                f"{n_new} of {n_asked} evaluations failed and are left out.{self.why_failed}",
                FailedEvaluationWarning,
            )

    def hand_out(
        self,
        x: NDArray[np.float64],
        repeat: int,
        value: float | NDArray[np.float64],
        *,
        is_new: bool,
    ) -> None:
        """Report a sample whose value is used now; count and refuse one that failed.

        Parameters
        ----------
        x : ndarray of shape (n_features,)
            The sample.
        repeat : int
            Which of its evaluations.
        value : float or ndarray of shape (n_outputs,)
            Its value, NaN if it failed.
        is_new : bool
            Whether it was evaluated now, and not found on record.

        Raises
        ------
        EvaluationError
            If it failed and `on_error` is "raise".
        """
        if not is_new and self.on_row is not None:
            self.on_row(value)
        if succeeded(np.asarray(value)[None])[0]:
            return
        if self.on_error == "raise":
            self._fail(0, x, "has failed before", None)
        self._count_failures(np.append(x, repeat)[None], 1)

    def raise_for(self, index: int, x: NDArray[np.float64], outcome: Outcome) -> NoReturn:
        """Raise the error of a sample that ends the run.

        Parameters
        ----------
        index : int
            Its number.
        x : ndarray of shape (n_features,)
            The sample.
        outcome : Outcome
            Its outcome.

        Raises
        ------
        EvaluationError
            Always.
        """
        if outcome.refusal is not None:
            raise outcome.refusal
        self._fail(index, x, outcome.error, outcome.cause)

    @staticmethod
    def _fail(
        index: int, x: NDArray[np.float64], reason: str, error: BaseException | None
    ) -> NoReturn:
        raise EvaluationError(
            f"objective {reason.rstrip('.')} for row {index}, {x.tolist()}. Pass "
            f"on_error='drop' to leave such samples out.{_remedy_of(reason)}",
            row=index,
            x=x,
        ) from error


def _remedy_of(reason: str) -> str:
    """Return what may mend a failure, as a sentence; empty where nothing is known."""
    if _TOLD_BY_VECTORIZED.search(reason) is None:
        return ""
    return " If it takes many samples at once, pass vectorized=True."


def _first_of_each(X: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the indices of samples that do not stand earlier in `X`."""
    return np.flatnonzero(~is_among(X, X[:0]))
