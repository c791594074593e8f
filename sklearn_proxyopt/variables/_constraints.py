"""Cheap, known constraints on samples: how far each is from being met, and in which direction."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import LinearConstraint, NonlinearConstraint

from sklearn_proxyopt.variables._nonlinear import Nonlinear

__all__ = ["Constraints"]

# An equation is met where both sides differ by less than this share of what it spans in the box.
_EQUAL = 1e-8
# How far inside an inequality a point is moved that is brought back to it.
_MARGIN = 1e-9
# What a constraint that has no value counts as, in spans of its values over the box.
_UNKNOWN = 10.0


class Constraints:
    """The linear and nonlinear constraints of a user as one function of samples.

    Parameters
    ----------
    given : LinearConstraint, NonlinearConstraint, or sequence of them
        The constraints, on samples in the user's units.
    sample : ndarray of shape (n, n_features)
        Valid samples spread over the search space, on which the span of each value is measured.

    Attributes
    ----------
    lower, upper : ndarray of shape (n_values,)
        The limits of each value.
    is_linear : bool
        Whether all are linear.
    matrix : ndarray of shape (n_linear, n_features)
        The matrix of the linear ones, whose values come first.
    scale : ndarray of shape (n_values,)
        What each value spans over the search space.
    """

    def __init__(self, given: Any, sample: NDArray[np.float64]) -> None:
        parts = _as_parts(given)
        n_features = sample.shape[1]
        linear = [(i, part) for i, part in enumerate(parts) if isinstance(part, LinearConstraint)]
        curved = [(i, p) for i, p in enumerate(parts) if isinstance(p, NonlinearConstraint)]
        self._functions = [Nonlinear(part, f"constraints[{i}]", sample) for i, part in curved]
        matrices = [_matrix_of(part, i, n_features) for i, part in linear]
        self.matrix = np.vstack([np.empty((0, n_features)), *matrices])
        self.is_linear = not curved
        sizes = [len(matrix) for matrix in matrices]
        sizes += [function.size for function in self._functions]
        limits = [
            _limits_of(part, i, size)
            for (i, part), size in zip(linear + curved, sizes, strict=True)
        ]
        self.lower = np.concatenate([np.empty(0), *(low for low, _ in limits)])
        self.upper = np.concatenate([np.empty(0), *(high for _, high in limits)])
        self.scale = self._spans(sample)
        # What a value may miss its limits by: nothing, but for an equation.
        self._slack = np.where(self.lower == self.upper, _EQUAL * self.scale, 0.0)

    def __len__(self) -> int:
        return len(self.lower)

    @property
    def is_equation(self) -> NDArray[np.bool_]:
        """Which values have a single limit."""
        return self.lower == self.upper

    @property
    def targets(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Limits a little inside the user's, so that rounding does not lead out of those."""
        margin = np.where(self.upper - self.lower > 4 * _MARGIN * self.scale, _MARGIN, 0.0)
        return self.lower + margin * self.scale, self.upper - margin * self.scale

    def values(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values, of shape (n, n_values); NaN where a function does not answer."""
        linear = np.zeros((len(X), len(self.matrix)))
        # A product of matrices has other last bits for a row alone than for it among others.
        for column, weights in zip(X.T, self.matrix.T, strict=True):
            linear += column[:, None] * weights
        if self.is_linear:
            return linear
        n_curved = len(self.lower) - len(self.matrix)
        curved = np.empty((len(X), n_curved))
        for row, x in zip(curved, X, strict=True):
            row[:] = np.concatenate([function.values(x) for function in self._functions])
        return np.hstack([linear, curved])

    def violations(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return by how much each value misses its limits, in its spans; 0 where it is met."""
        return self._missed(self.values(X))

    def _missed(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        missed = np.maximum(self.lower - self._slack - values, values - self.upper - self._slack)
        return np.where(np.isnan(values), _UNKNOWN, np.maximum(missed, 0.0) / self.scale)

    def are_met(self, X: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which samples meet all constraints."""
        return (self.violations(X) == 0.0).all(axis=1)

    def misses(
        self,
        X: NDArray[np.float64],
        reach: NDArray[np.float64],
        bounds: NDArray[np.float64],
        is_free: NDArray[np.bool_],
    ) -> NDArray[np.float64]:
        """Return by how much each value misses its limits, in its spans, for evaluated samples.

        It is 0 where numbers within reach of those of a sample, a reach for each, may meet it.
        """
        missed = self.violations(X)
        for i in np.flatnonzero(missed.any(axis=1)):
            slopes = np.abs(np.nan_to_num(self.jacobian(X[i], bounds, is_free)))
            within = slopes @ reach[i] / self.scale * (1.0 + 1e-9)
            missed[i] = np.where(missed[i] <= within, 0.0, missed[i])
        return missed

    def penalty_and_grad(
        self, X: NDArray[np.float64], bounds: NDArray[np.float64], is_free: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the sum of squared violations of each sample, and its gradient."""
        values = self.values(X)
        missed = np.minimum(self._missed(values), _UNKNOWN)
        gradient = np.zeros_like(X)
        signs = np.where(values < self.lower, -1.0, 1.0) / self.scale
        for i in np.flatnonzero(missed.any(axis=1)):
            slopes = self.jacobian(X[i], bounds, is_free)
            gradient[i] = 2.0 * (missed[i] * signs[i]) @ np.nan_to_num(slopes)
        return np.square(missed).sum(axis=1), gradient

    def jacobian(
        self, x: NDArray[np.float64], bounds: NDArray[np.float64], is_free: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return the slopes of the values at a sample, of shape (n_values, n_features).

        Differences are taken along free variables alone: the others keep valid values.
        """
        curved = [function.slopes(x, bounds, is_free) for function in self._functions]
        return np.vstack([self.matrix, *curved])

    def _spans(self, sample: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what each value spans: between the quartiles if it can be huge."""
        values = self.values(sample)
        values = np.where(np.isfinite(values), values, np.nan)
        spans = np.ones(len(self))
        for j, column in enumerate(values.T):
            known = column[np.isfinite(column)]
            if not known.size:
                continue
            quartiles = np.subtract(*np.percentile(known, [75, 25]))
            width = 2.0 * quartiles if quartiles > 0.0 else np.ptp(known)
            spans[j] = width if width > 0.0 else max(float(np.abs(known).max()), 1.0)
        return spans


def _as_parts(given: Any) -> list[Any]:
    kinds = (LinearConstraint, NonlinearConstraint)
    parts = [given] if isinstance(given, kinds) else given
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, kinds) for part in parts):
        raise ValueError(
            "constraints must be scipy.optimize.LinearConstraint or NonlinearConstraint, or a "
            f"sequence of them; got {given!r}."
        )
    return list(parts)


def _matrix_of(part: LinearConstraint, index: int, n_features: int) -> NDArray[np.float64]:
    matrix = part.A.toarray() if hasattr(part.A, "toarray") else np.atleast_2d(part.A)
    if matrix.shape[1] != n_features or not np.isfinite(matrix).all():
        raise ValueError(
            f"constraints[{index}] must have a finite column for each of the {n_features} "
            f"variables; got a matrix of shape {matrix.shape}."
        )
    return np.asarray(matrix, dtype=np.float64)


def _limits_of(part: Any, index: int, size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    try:
        lower = np.broadcast_to(np.asarray(part.lb, dtype=np.float64), (size,))
        upper = np.broadcast_to(np.asarray(part.ub, dtype=np.float64), (size,))
    except (TypeError, ValueError):
        lower = upper = np.full(size, np.nan)
    if not (lower <= upper).all():
        raise ValueError(
            f"constraints[{index}] must have a lower limit at or below an upper one for each of "
            f"its {size} values; got {part.lb!r} and {part.ub!r}."
        )
    return lower, upper
