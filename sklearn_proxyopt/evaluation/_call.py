"""One call of the objective, and what came of it."""

from __future__ import annotations

import math
import os
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._pandas import in_order_of_rows, is_missing
from sklearn_proxyopt._utils._words import some_of
from sklearn_proxyopt.exceptions import EvaluationError, SetUpError

__all__ = ["FAILURES", "Outcome", "call_many", "call_one", "no_value", "raised", "returned"]

# What a function may raise that is its failure; `sys.exit()` in a simulator is meant as one.
FAILURES = (Exception, SystemExit)
# The kinds of arrays that are numbers; text, bytes and dates are none, though NumPy converts them.
_KINDS_OF_NUMBERS = "biuf"
_MOST_SHOWN, _MOST_OUTPUTS = 500, 4


@dataclass(frozen=True)
class Outcome:
    """What came of the evaluation of a sample.

    Parameters
    ----------
    value : float or ndarray of shape (n_outputs,)
        The value, NaN throughout if the evaluation failed.
    duration : float
        Seconds it took, retries included; that of a batch is shared among its samples.
    error : str, default=""
        What went wrong, as the end of a sentence that begins with "objective".
    cause : Exception or SystemExit, default=None
        The error that was raised, where one was.
    refusal : EvaluationError, default=None
        Why what came back is no value and no failure either, such as a wrong shape: the program is
        wrong, and no further sample is begun.
    """

    value: float | NDArray[np.float64]
    duration: float
    error: str = ""
    cause: BaseException | None = None
    refusal: EvaluationError | None = None

    @classmethod
    def of(cls, value: NDArray[np.float64], duration: float) -> Outcome:
        """Return the outcome of a call that returned a number, or several."""
        number = value if value.ndim else float(value)
        if np.isfinite(value).all():
            return cls(number, duration)
        # Not the other outputs: equal reasons are counted together.
        places = np.flatnonzero(~np.isfinite(value)).tolist()
        said = (
            [f"{value[place]} in output {place}" for place in places]
            if value.ndim
            else [str(number)]
        )
        return cls(number * np.nan, duration, f"returned {some_of(said, _MOST_OUTPUTS)}")

    def after(self, earlier: Outcome) -> Outcome:
        """Return this outcome of a retry with the time of what was tried before added to it."""
        return replace(self, duration=self.duration + earlier.duration)

    def __reduce__(self) -> tuple[Any, ...]:
        # An error that cannot travel would cost the samples of every worker.
        return Outcome, (
            self.value,
            self.duration,
            self.error,
            _portable(self.cause),
            self.refusal,
        )


def call_one(
    objective: Callable[..., Any], x: NDArray[np.float64], index: int, n_outputs: int | None
) -> Outcome:
    """Call a function of one sample; an error that it raises is an outcome."""
    start = time.perf_counter()
    try:
        with _one_process():
            output = objective(x.copy())
    except FAILURES as error:
        return raised(error, time.perf_counter() - start, n_outputs)
    return returned(output, time.perf_counter() - start, x, index, n_outputs)


def no_value(n_outputs: int | None) -> float | NDArray[np.float64]:
    """Return the value of an evaluation that failed."""
    return np.nan if n_outputs is None else np.full(n_outputs, np.nan)


def raised(
    error: BaseException, duration: float, n_outputs: int | None, description: str = ""
) -> Outcome:
    """Return the outcome of a call that raised."""
    reason = f"raised {description or _description(error)}"
    refusal = error if isinstance(error, SetUpError) else None
    return Outcome(no_value(n_outputs), duration, reason, error, refusal)


def returned(
    output: Any, duration: float, x: NDArray[np.float64], index: int, n_outputs: int | None
) -> Outcome:
    """Return the outcome of a call for one sample that returned, or say why it is no value."""
    if is_missing(output):
        return Outcome(no_value(n_outputs), duration, f"returned {output}")
    value = _as_numbers(output)
    if value.size != (n_outputs or 1):
        wanted = _counted(n_outputs, "number")
        raise EvaluationError(
            f"objective must return {wanted} for one row; got {_shown(output)} for row {index}."
            f"{_who_says_how_many(n_outputs)}",
            row=index,
            x=x,
        )
    return Outcome.of(value.reshape(() if n_outputs is None else (n_outputs,)), duration)


def call_many(
    objective: Callable[..., Any], X: NDArray[np.float64], n_outputs: int | None
) -> list[Outcome]:
    """Call a function of many samples; an error that it raises concerns them all and is raised."""
    start = time.perf_counter()
    try:
        with _one_process():
            output = objective(X.copy())
    except SetUpError:
        raise
    except FAILURES as error:
        raise EvaluationError(
            f"objective raised {type(error).__name__} on a batch of {len(X)} rows"
            f"{getattr(objective, 'how_called', '')}: {_text_of(error).rstrip('.')}. To know which "
            "sample, and to keep those before it, pass vectorized=False with a function of one "
            "sample.",
        ) from error
    if output is None:
        raise EvaluationError(
            f"objective must return a value for each of {len(X)} rows; got None. Does it end "
            "without a return?"
        )
    values = _as_numbers(in_order_of_rows(output, len(X)))
    shape = (len(X),) if n_outputs is None else (len(X), n_outputs)
    if values.shape != shape:
        is_of_many = n_outputs is not None and values.ndim == 2 and len(values) == len(X)
        one_by_one = " If it takes one sample at a time, pass vectorized=False."
        raise EvaluationError(
            f"objective must return shape {shape}, {_counted(n_outputs, 'value')} for each of "
            f"{len(X)} rows; got shape {values.shape}."
            f"{_who_says_how_many(n_outputs) if is_of_many else one_by_one}"
        )
    duration = (time.perf_counter() - start) / len(X)
    return [Outcome.of(np.asarray(value), duration) for value in values]


def _counted(n_outputs: int | None, what: str) -> str:
    """Return how many numbers are wanted of a sample, in words."""
    if n_outputs is None:
        return f"a {what}"
    return f"{n_outputs} {what}{'' if n_outputs == 1 else 's'}"


def _who_says_how_many(n_outputs: int | None) -> str:
    """Return which parameters say how many numbers an objective returns, as a sentence."""
    if n_outputs is None:
        return (
            " Constraints that it returns after its value are counted by n_constraints; several "
            "objectives need a ParetoOptimizer."
        )
    return (
        " How many is said by n_constraints and, of objectives, by n_objectives or the length of "
        "direction."
    )


@contextmanager
def _one_process() -> Iterator[None]:
    """End the copy of this process that a function has forked and failed to replace.

    It would go on from here as the original does, answer a second time, and write a second journal.
    """
    process = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != process:
            os._exit(1)


def _as_numbers(output: Any) -> NDArray[np.float64]:
    """Return what the objective returned as an array, or say why it is none of real numbers."""
    try:
        array = output if np.ma.isMaskedArray(output) else np.asarray(output)
        if np.iscomplexobj(array):
            raise EvaluationError(
                f"objective must return real numbers; got {array.dtype}. Return the part, or the "
                "modulus, that is to be optimized."
            )
        mask = np.ma.getmaskarray(array)
        numbers = _floats(np.ma.getdata(array), mask)
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, EvaluationError):
            raise
        # A torch tensor that requires a gradient, or lies on a GPU, is no array either.
        raise EvaluationError(
            f"objective must return numbers; got {type(output).__name__}: "
            f"{_text_of(error).rstrip('.')}. Convert what it returns by float()."
        ) from error
    # What is masked has no value, whatever number lies under the mask.
    numbers[mask] = np.nan
    return numbers


def _floats(array: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    if array.dtype.kind in _KINDS_OF_NUMBERS:
        return array.astype(np.float64)
    if array.dtype.kind != "O":
        raise TypeError(f"{array.dtype} is no kind of number")
    numbers = [
        _float(None if hidden else value)
        for value, hidden in zip(array.flat, mask.flat, strict=True)
    ]
    return np.array(numbers, dtype=np.float64).reshape(array.shape)


def _float(value: Any) -> float:
    """Return a number of Python's, or of another library; infinity for one beyond all floats."""
    if is_missing(value):
        return math.nan
    is_array = isinstance(value, np.ndarray | np.generic)
    if is_array and value.dtype.kind not in _KINDS_OF_NUMBERS:
        raise TypeError(f"{value.dtype} is no kind of number")
    if not (hasattr(type(value), "__float__") or hasattr(type(value), "__index__")):
        raise TypeError(f"{type(value).__name__} is no kind of number")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _description(error: BaseException) -> str:
    return f"{type(error).__name__}: {_text_of(error)}"


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:
        return f"(no text: its own __str__ raised {type(failure).__name__})"


def _shown(output: Any) -> str:
    try:
        text = repr(output)
    except Exception:
        text = f"a {type(output).__name__}"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _portable(error: BaseException | None) -> BaseException | None:
    """Return an error that another process can read, as one of its description if it cannot."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        assert error is not None
        return RuntimeError(_description(error))
    return error
