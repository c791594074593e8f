"""One call of the true function, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.exceptions import EvaluationError

__all__ = ["Outcome", "call_many", "call_one", "no_value", "raised", "returned"]


@dataclass(frozen=True)
class Outcome:
    """What came of the evaluation of a row.

    Parameters
    ----------
    value : float or ndarray of shape (n_outputs,)
        The value, NaN throughout if the evaluation failed.
    duration : float
        Seconds it took, retries included; that of a batch is shared among its rows.
    error : str, default=""
        What went wrong, as the end of a sentence that begins with "objective".
    cause : Exception, default=None
        The error that was raised, where one was.
    refusal : EvaluationError, default=None
        Why what came back is no value and no failure either, such as a wrong shape: the program is
        wrong, and no further row is begun.
    """

    value: float | NDArray[np.float64]
    duration: float
    error: str = ""
    cause: Exception | None = None
    refusal: EvaluationError | None = None

    @classmethod
    def of(cls, value: NDArray[np.float64], duration: float) -> Outcome:
        """Return the outcome of a call that returned a number, or several."""
        number = value if value.ndim else float(value)
        if np.isfinite(value).all():
            return cls(number, duration)
        said = value.tolist() if value.ndim else number
        return cls(number * np.nan, duration, f"returned {said}")

    def after(self, earlier: Outcome) -> Outcome:
        """Return this outcome of a retry with the time of what was tried before added to it."""
        return replace(self, duration=self.duration + earlier.duration)


def call_one(
    objective: Callable[..., Any], x: NDArray[np.float64], index: int, n_outputs: int | None
) -> Outcome:
    """Call a function of one row; an error that it raises is an outcome."""
    start = time.perf_counter()
    try:
        output = objective(x.copy())
    except Exception as error:
        return raised(error, time.perf_counter() - start, n_outputs)
    return returned(output, time.perf_counter() - start, x, index, n_outputs)


def no_value(n_outputs: int | None) -> float | NDArray[np.float64]:
    """Return the value of an evaluation that failed."""
    return np.nan if n_outputs is None else np.full(n_outputs, np.nan)


def raised(error: Exception, duration: float, n_outputs: int | None) -> Outcome:
    """Return the outcome of a call that raised."""
    reason = f"raised {type(error).__name__}: {error}"
    return Outcome(no_value(n_outputs), duration, reason, error)


def returned(
    output: Any, duration: float, x: NDArray[np.float64], index: int, n_outputs: int | None
) -> Outcome:
    """Return the outcome of a call for one row that returned, or say why it is no value."""
    if output is None:
        return Outcome(no_value(n_outputs), duration, "returned None")
    value = _as_numbers(output)
    if value.size != (n_outputs or 1):
        wanted = "a number" if n_outputs is None else f"{n_outputs} numbers"
        raise EvaluationError(
            f"objective must return {wanted} for one row; got {output!r} for row {index}.",
            row=index,
            x=x,
        )
    return Outcome.of(value.reshape(() if n_outputs is None else (n_outputs,)), duration)


def call_many(
    objective: Callable[..., Any], X: NDArray[np.float64], n_outputs: int | None
) -> list[Outcome]:
    """Call a function of many rows; an error that it raises concerns them all and is raised."""
    start = time.perf_counter()
    try:
        output = objective(X.copy())
    except Exception as error:
        raise EvaluationError(
            f"objective raised {type(error).__name__} on a batch of {len(X)} rows: {error}. To "
            "know which row, and to keep those before it, pass vectorized=False with a function "
            "of one row.",
        ) from error
    values = _as_numbers(output)
    shape = (len(X),) if n_outputs is None else (len(X), n_outputs)
    if values.shape != shape:
        wanted = "a value" if n_outputs is None else f"{n_outputs} values"
        raise EvaluationError(
            f"objective must return shape {shape}, {wanted} for each of {len(X)} rows; got "
            f"shape {values.shape}. If it takes one row at a time, pass vectorized=False."
        )
    duration = (time.perf_counter() - start) / len(X)
    return [Outcome.of(np.asarray(value), duration) for value in values]


def _as_numbers(output: Any) -> NDArray[np.float64]:
    """Return what the objective returned as an array, or say why it is none of real numbers."""
    try:
        numbers = output if np.ma.isMaskedArray(output) else np.asarray(output)
        if np.iscomplexobj(numbers):
            raise EvaluationError(f"objective must return real numbers; got {numbers.dtype}.")
        numbers = numbers.astype(np.float64)
        # What is masked has no value, whatever number lies under the mask.
        return numbers.filled(np.nan) if isinstance(numbers, np.ma.MaskedArray) else numbers
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, EvaluationError):
            raise
        # A torch tensor that requires a gradient, or lies on a GPU, is no array either.
        raise EvaluationError(
            f"objective must return numbers; got {type(output).__name__}: {error}"
        ) from error
