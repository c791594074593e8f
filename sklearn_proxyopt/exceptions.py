"""Named errors and warnings of the package."""

from __future__ import annotations

import traceback
from typing import Any

__all__ = [
    "ConstantWarning",
    "DeviceNotFoundWarning",
    "EvaluationError",
    "FailedEvaluationWarning",
    "FalseOptimumWarning",
    "JournalError",
    "RefittedProxyWarning",
    "RowsOutsideWarning",
    "SetUpError",
    "StartReturnedWarning",
    "WildValuesWarning",
]


class EvaluationError(ValueError):
    """The objective raised an error, or returned a value that cannot be used.

    What was evaluated before is not lost: see the attributes `X_` and `y_` of the optimizer that
    was running.

    Parameters
    ----------
    message : str
        What happened.
    row : int, default=None
        Index of the offending sample in the batch that was being evaluated; None where the whole
        batch is concerned.
    x : ndarray of shape (n_features,), default=None
        The offending sample itself.
    """

    def __init__(self, message: str, *, row: int | None = None, x: Any = None) -> None:
        super().__init__(message)
        self.row = row
        self.x = x

    def __reduce__(self) -> tuple[Any, ...]:
        cause = self.__cause__
        text = None if cause is None else "".join(traceback.format_exception(cause))
        return _rebuild_error, (str(self), self.row, self.x, text)


class SetUpError(EvaluationError):
    """The objective is set up wrongly, so that no sample can be evaluated.

    An objective that raises it ends the run, whatever `on_error` says.

    Parameters
    ----------
    message : str
        What is wrong.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        return SetUpError, (str(self),)


class _CauseElsewhereError(Exception):
    """What an error of another process was raised from, as the text of its traceback."""


def _rebuild_error(message: str, row: int | None, x: Any, cause: str | None) -> EvaluationError:
    error = EvaluationError(message, row=row, x=x)
    if cause is not None:
        error.__cause__ = _CauseElsewhereError(f"\n{cause}")
    return error


class JournalError(ValueError):
    """A journal is damaged, foreign, of another problem, or being written by another process."""


class ConstantWarning(UserWarning):
    """All samples have the same value, or the same setting of a variable."""


class DeviceNotFoundWarning(UserWarning):
    """A proxy made on a GPU was loaded on a machine without one, and is on the CPU instead."""


class FailedEvaluationWarning(UserWarning):
    """Evaluations failed and were left out, as `on_error="drop"` and "learn" ask for."""


class FalseOptimumWarning(UserWarning):
    """`minimize` returns an optimum whose verdict is "false"."""


class RefittedProxyWarning(UserWarning):
    """A proxy that was fitted already is fitted anew, on the samples of the optimizer."""


class RowsOutsideWarning(UserWarning):
    """Samples that were done lie outside the bounds or miss constraints: none is the answer."""


class StartReturnedWarning(UserWarning):
    """Inverse problems end at the best guess: no search found a lower loss."""


class WildValuesWarning(UserWarning):
    """Some values lie far from all others, or values span more than six decades."""
