"""What comes before processes are learned: repeated samples, scales, and what is possible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["PreparedRows", "check_y_bounds", "merged"]


@dataclass(frozen=True)
class PreparedRows:
    """Distinct samples scaled to [-1, 1] and their values scaled to unit spread.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        Scaled samples.
    values : ndarray of shape (n_outputs, n)
        Scaled values of each target.
    weight : ndarray of shape (n_outputs, n)
        Weights with mean one; the variance of the noise is divided by them.
    squares : ndarray of shape (n_outputs, n)
        Weighted sums of squares of repeated samples about their mean, in units of the noise of
        weight one.
    degrees : ndarray of shape (n,)
        How often each sample was repeated beyond the first.
    one : ndarray of shape (n_outputs,)
        The weight, as it was given, that is weight one.
    center, half_width : ndarray of shape (n_features,)
        The box of the samples.
    level, spread : ndarray of shape (n_outputs,)
        Mean and standard deviation of the values.
    """

    rows: NDArray[np.float64]
    values: NDArray[np.float64]
    weight: NDArray[np.float64]
    squares: NDArray[np.float64]
    degrees: NDArray[np.float64]
    one: NDArray[np.float64]
    center: NDArray[np.float64]
    half_width: NDArray[np.float64]
    level: NDArray[np.float64]
    spread: NDArray[np.float64]

    @classmethod
    def of(
        cls, X: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> Self:
        """Prepare samples (n, n_features) with values and positive weights, both (n, n_outputs).

        Samples that repeat each other become one with the mean of their values and the sum of their
        weights, so that a weight says the same as as many repetitions.
        """
        distinct, means, total, group = merged(X, y, weight)
        lower, upper = X.min(axis=0), X.max(axis=0)
        center = lower / 2 + upper / 2
        half_width = np.where(upper > lower, upper / 2 - lower / 2, 1.0)
        level, spread = _level_and_spread(means)
        one = total.mean(axis=1)
        off = (y.T - means[:, group]) / spread[:, None]
        squares = [np.bincount(group, own) for own in weight.T / one[:, None] * off**2]
        return cls(
            (distinct - center) / half_width,
            (means - level[:, None]) / spread[:, None],
            total / one[:, None],
            np.array(squares),
            np.bincount(group).astype(np.float64) - 1.0,
            one,
            center,
            half_width,
            level,
            spread,
        )


def _level_and_spread(
    y: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each target (n_outputs, n), without an overflow."""
    lowest, highest = y.min(axis=1), y.max(axis=1)
    middle, size = lowest / 2 + highest / 2, highest / 2 - lowest / 2
    middle, size = np.where(size > 0, middle, lowest), np.where(size > 0, size, 1.0)
    shares = (y - middle[:, None]) / size[:, None]
    deviation = shares.std(axis=1)
    deviation = np.where(deviation > 0, deviation, 1.0)
    return middle + size * shares.mean(axis=1), size * deviation


def merged(
    X: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """Return the distinct samples, and what all samples say of each.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Samples.
    y, weight : ndarray of shape (n, n_outputs)
        Values, and positive weights.

    Returns
    -------
    distinct : ndarray of shape (n_distinct, n_features)
        The distinct samples in a fixed order.
    means, total : ndarray of shape (n_outputs, n_distinct)
        Weighted means of their values, and the sums of their weights.
    group : ndarray of shape (n,)
        Which of the distinct samples each sample is.
    """
    distinct, group = np.unique(X, axis=0, return_inverse=True)
    group = group.reshape(-1)
    columns = zip(y.T, weight.T, strict=True)
    sums = [(np.bincount(group, w), np.bincount(group, w * column)) for column, w in columns]
    total = np.array([own for own, _ in sums])
    means = np.array([of_values for _, of_values in sums]) / total
    # Repeats that agree, and a sample alone, keep their value to the last bit.
    lowest, highest = np.full_like(means, np.inf), np.full_like(means, -np.inf)
    for place, column in enumerate(y.T):
        np.minimum.at(lowest[place], group, column)
        np.maximum.at(highest[place], group, column)
    return distinct, np.where(lowest == highest, lowest, means), total, group


def check_y_bounds(y_bounds: ArrayLike | None, y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the bounds of each target, infinite where there is none.

    Parameters
    ----------
    y_bounds : array-like of shape (2,) or (n_outputs, 2), or None
        What the user gave; None or NaN in place of a bound that is not there.
    y : ndarray of shape (n, n_outputs)
        The values, which must lie within.

    Returns
    -------
    ndarray of shape (n_outputs, 2)
        Lower and upper bounds.
    """
    n_outputs, open_bounds = y.shape[1], np.array([-np.inf, np.inf])
    given: Any = open_bounds if y_bounds is None else y_bounds
    try:
        bounds = np.broadcast_to(np.array(given, dtype=np.float64), (n_outputs, 2))
    except (TypeError, ValueError):
        raise ValueError(
            f"y_bounds must be a pair of numbers or None, or a pair for each of the {n_outputs} "
            f"targets; got {y_bounds!r}."
        ) from None
    bounds = np.where(np.isnan(bounds), open_bounds, bounds)
    if not (bounds[:, 0] < bounds[:, 1]).all():
        raise ValueError(
            f"y_bounds must have each lower bound below its upper bound; got {y_bounds!r}."
        )
    outside = (y < bounds[:, 0]) | (y > bounds[:, 1])
    if outside.any():
        raise ValueError(f"y must lie within y_bounds={y_bounds!r}; got {float(y[outside][0])!r}.")
    return bounds
