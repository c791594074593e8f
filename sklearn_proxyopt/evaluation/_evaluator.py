"""Calls of the true function: checked, counted, remembered."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._rows import row_keys
from sklearn_proxyopt.evaluation._record import EvaluationRecord
from sklearn_proxyopt.exceptions import EvaluationError, FailedEvaluationWarning

__all__ = ["Evaluator"]


class Evaluator:
    """The true function, called once for each row that was never asked for before.

    Parameters
    ----------
    objective : callable
        The function to be minimised.
    vectorized : bool, default=True
        Whether `objective` takes rows of shape (n, n_features) and returns (n,); otherwise it
        takes one row of shape (n_features,) and returns a number.
    on_error : {"raise", "drop"}, default="raise"
        What an evaluation that raises, or gives a value that is not finite, leads to: an
        `EvaluationError`, or a value of NaN and a count. A vectorised function marks the rows
        that fail by NaN; if it raises, the error is raised in either case, since nothing tells
        which row is to blame.
    record : EvaluationRecord, default=None
        Where values are looked up and written down. None starts a new one.

    Attributes
    ----------
    n_calls : int
        Rows on which the function was really called.
    n_failed : int
        How many rows asked for failed, now or when the record was written.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_proxyopt.evaluation import Evaluator
    >>> evaluate = Evaluator(lambda X: (X**2).sum(axis=1))
    >>> evaluate(np.array([[1.0, 2.0], [3.0, 0.0], [1.0, 2.0]]))
    array([5., 9., 5.])
    >>> evaluate.n_calls
    2
    """

    def __init__(
        self,
        objective: Callable[..., Any],
        *,
        vectorized: bool = True,
        on_error: str = "raise",
        record: EvaluationRecord | None = None,
    ) -> None:
        self.objective = objective
        self.vectorized = vectorized
        self.on_error = on_error
        self.record = EvaluationRecord() if record is None else record
        self.n_calls = 0
        self._failed: set[bytes] = set()

    @property
    def n_failed(self) -> int:
        """Number of rows asked for that failed."""
        return len(self._failed)

    def __call__(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values of rows.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Rows inside the box, in the user's units.

        Returns
        -------
        ndarray of shape (n,)
            Values; NaN where an evaluation failed and `on_error` is "drop".

        Raises
        ------
        EvaluationError
            If the function raises, or returns what is no finite number for each row.
        """
        with self.record.lock:
            known = [self.record.get(x) is not None for x in X]
            new = [index for index, is_known in enumerate(known) if not is_known]
            if new:
                new = [new[i] for i in sorted(np.unique(X[new], axis=0, return_index=True)[1])]
                evaluate = self._evaluate_batch if self.vectorized else self._evaluate_rows
                evaluate(X, new)
            values = np.array([self.record.get(x) for x in X], dtype=np.float64)
            failed = np.flatnonzero(np.isnan(values))
            if self.on_error == "raise" and len(failed):
                self._fail(X, int(failed[0]), "has failed before", None)
            self._count_failures(X[failed], len(X))
            return values

    def _count_failures(self, failed: NDArray[np.float64], n_asked: int) -> None:
        """Count the failures that were not met before, and warn of them."""
        n_before = self.n_failed
        self._failed.update(row_keys(failed))
        if self.n_failed > n_before:
            warnings.warn(
                f"{self.n_failed - n_before} of {n_asked} evaluations failed and are left out.",
                FailedEvaluationWarning,
                stacklevel=4,
            )

    def _evaluate_rows(self, X: NDArray[np.float64], new: list[int]) -> None:
        """Call a function of one row."""
        for index in new:
            self.n_calls += 1
            try:
                output = self.objective(X[index].copy())
            except Exception as error:
                self._fail(X, index, f"raised {type(error).__name__}: {error}", error)
                continue
            value = _as_numbers(output)
            if value.size != 1:
                raise EvaluationError(
                    f"objective must return a number for one row; got {output!r} for row {index}.",
                    row=index,
                    x=X[index],
                )
            self._write_down(X, index, float(value.reshape(-1)[0]))

    def _evaluate_batch(self, X: NDArray[np.float64], new: list[int]) -> None:
        """Call a function of many rows."""
        parts = [new]
        if len(new) == X.shape[1] > 1:
            # As many rows as columns: split, so that a function of one row cannot pass for one
            # of many by returning as many values as there are columns.
            parts = [new[:-1], new[-1:]]
        for part in parts:
            self.n_calls += len(part)
            try:
                output = self.objective(X[part])
            except Exception as error:
                raise EvaluationError(
                    f"objective raised {type(error).__name__} on a batch of {len(part)} rows: "
                    f"{error}. To know which row, and to keep those before it, pass "
                    "vectorized=False with a function of one row.",
                ) from error
            values = _as_numbers(output)
            if values.shape != (len(part),):
                raise EvaluationError(
                    f"objective must return shape ({len(part)},), a value for each of "
                    f"{len(part)} rows; got shape {values.shape}. If it takes one row at a time, "
                    "pass vectorized=False."
                )
            # Good values are written down first: they are paid for whatever the others are.
            for index, value in zip(part, values, strict=True):
                if np.isfinite(value):
                    self._write_down(X, index, float(value))
            for index, value in zip(part, values, strict=True):
                if not np.isfinite(value):
                    self._write_down(X, index, float(value))

    def _write_down(self, X: NDArray[np.float64], index: int, value: float) -> None:
        if np.isfinite(value):
            self.record.add(X[index], value)
        else:
            self._fail(X, index, f"returned {value}", None)

    def _fail(
        self, X: NDArray[np.float64], index: int, reason: str, error: Exception | None
    ) -> None:
        if self.on_error == "raise":
            raise EvaluationError(
                f"objective {reason} for row {index}, {X[index].tolist()}. Pass on_error='drop' "
                "to leave such rows out.",
                row=index,
                x=X[index],
            ) from error
        self.record.add(X[index], np.nan)


def _as_numbers(output: Any) -> NDArray[np.float64]:
    """Return what the objective returned as an array, or say why it is none of real numbers."""
    try:
        numbers = np.asarray(output)
        if np.iscomplexobj(numbers):
            raise EvaluationError(f"objective must return real numbers; got {numbers.dtype}.")
        return numbers.astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, EvaluationError):
            raise
        # A torch tensor that requires a gradient, or lies on a GPU, is no array either.
        raise EvaluationError(
            f"objective must return numbers; got {type(output).__name__}: {error}"
        ) from error
