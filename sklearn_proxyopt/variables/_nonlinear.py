"""A nonlinear constraint whose function has no answer at some samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import NonlinearConstraint

__all__ = ["Nonlinear"]

_STEP = 1e-7


class Nonlinear:
    """The values of a nonlinear constraint and their slopes, NaN where it does not answer.

    It does not answer where its function raises an error, or returns None or another number of
    values than elsewhere.

    Parameters
    ----------
    part : scipy.optimize.NonlinearConstraint
        The constraint, on one sample in the user's units.
    name : str
        What an error calls it.
    sample : ndarray of shape (n, n_features)
        Valid samples spread over the search space, at one of which it must answer.

    Attributes
    ----------
    size : int
        How many values it has.
    """

    def __init__(self, part: NonlinearConstraint, name: str, sample: NDArray[np.float64]) -> None:
        self._fun, self._jac = part.fun, part.jac if callable(part.jac) else None
        n_features = sample.shape[1]
        owed = (
            f"{name} must be a function of one sample of shape ({n_features},) that returns a "
            "number or an array of shape (n,)"
        )
        place, values = _first_answer(lambda x: _as_values(self._fun(x)), sample, owed)
        self.size = len(values)
        if self._jac is not None:
            owed = f"{name} must have a jac that returns shape ({self.size}, {n_features})"
            _first_answer(self._given_slopes, sample[place:], owed)

    def values(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values at a sample, of shape (size,)."""
        try:
            values = _as_values(self._fun(x.copy()))
        except Exception:
            values = np.empty(0)
        return values if len(values) == self.size else np.full(self.size, np.nan)

    def slopes(
        self, x: NDArray[np.float64], bounds: NDArray[np.float64], is_free: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return the slopes at a sample, of shape (size, n_features).

        Without `jac` they are differences along free variables, whose steps point into the box.
        """
        if self._jac is not None:
            try:
                return self._given_slopes(x.copy())
            except Exception:
                return np.full((self.size, len(x)), np.nan)
        base = self.values(x)
        steps = _STEP * (bounds[:, 1] - bounds[:, 0])
        steps = np.where(x + steps > bounds[:, 1], -steps, steps)
        slopes = np.zeros((self.size, len(x)))
        for j in np.flatnonzero(is_free):
            moved = x.copy()
            moved[j] += steps[j]
            slopes[:, j] = (self.values(moved) - base) / steps[j]
        return slopes

    def _given_slopes(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        assert self._jac is not None
        slopes = self._jac(x)
        slopes = slopes.toarray() if hasattr(slopes, "toarray") else slopes
        slopes = np.asarray(slopes, dtype=np.float64)
        shape = self.size, len(x)
        # The slopes of a single value, or along a single variable, may come as a row.
        if slopes.shape != shape and not (1 in shape and slopes.shape == (self.size * len(x),)):
            raise _WrongAnswerError(f"shape {slopes.shape}")
        return slopes.reshape(shape)


class _WrongAnswerError(Exception):
    """What was returned is of the wrong kind; says what it is."""


def _as_values(answer: Any) -> NDArray[np.float64]:
    """Return what a function returned as values (n,)."""
    if answer is None:
        raise _WrongAnswerError("None")
    values = np.atleast_1d(np.asarray(answer, dtype=np.float64))
    if values.ndim != 1:
        raise _WrongAnswerError(f"shape {values.shape}")
    return values


def _first_answer(
    ask: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    sample: NDArray[np.float64],
    owed: str,
) -> tuple[int, NDArray[np.float64]]:
    """Return the first answer without NaN, or else the first at all, and the place of its sample.

    Raises
    ------
    ValueError
        If no sample has an answer: what is owed, and what came at the first sample.
    """
    unknown: list[tuple[int, NDArray[np.float64]]] = []
    errors: list[Exception] = []
    for place, x in enumerate(sample):
        try:
            answer = ask(x.copy())
        except Exception as error:
            errors.append(error)
            continue
        if not np.isnan(answer).any():
            return place, answer
        unknown.append((place, answer))
    if unknown:
        return unknown[0]
    error = errors[0]
    what = "" if isinstance(error, _WrongAnswerError) else f"{type(error).__name__}: "
    raise ValueError(f"{owed}; got {what}{error} at every sample of {len(sample)}.") from error
