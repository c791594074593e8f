"""Samples as experiments: the same one if all of its numbers are the same to the last bit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._feasibility import best_first

__all__ = [
    "N_LEAST",
    "Dataset",
    "are_new",
    "are_seen",
    "best_rows",
    "is_among",
    "lowest_rows",
    "means_of_repeats",
    "numbered",
    "occurrences",
    "row_keys",
    "succeeded",
]

# So many samples are the least that a proxy learns from.
N_LEAST = 2
# The bits of numbers are mixed by the golden ratio; the low ones of round numbers are all zero.
_ODD, _HALF, _ONE = np.uint64(0x9E3779B97F4A7C15), np.uint64(32), np.uint64(1)
# Best samples handed to a search as starting points.
_N_STARTING_ROWS = 10
# So few samples are compared with others a number at a time.
_FEW = 8


@dataclass(frozen=True, eq=False)
class Dataset:
    """The samples evaluated so far: those that have a value, and those that failed.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        The samples that have a value, in the order in which they got it.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Their values, finite.
    X_failed : ndarray of shape (n_failed, n_features)
        The samples whose evaluation failed.
    """

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    X_failed: NDArray[np.float64]

    @classmethod
    def of(cls, X: NDArray[np.float64], y: NDArray[np.float64]) -> Self:
        """Return samples of which none failed."""
        return cls(X, y, X[:0])

    @classmethod
    def of_results(cls, X: NDArray[np.float64], y: NDArray[np.float64]) -> Self:
        """Return samples with their values, of which NaN tells that one failed."""
        is_good = succeeded(y)
        return cls(X[is_good], y[is_good], X[~is_good])

    @classmethod
    def empty(cls, n_features: int, n_outputs: int | None = None) -> Self:
        """Return no samples, of a function that returns a number or an array of `n_outputs`."""
        y = np.empty(0 if n_outputs is None else (0, n_outputs))
        return cls.of(np.empty((0, n_features)), y)

    @property
    def evaluated(self) -> NDArray[np.float64]:
        """The samples that need not be evaluated again, of shape (n, n_features)."""
        return np.vstack([self.X, self.X_failed]) if len(self.X_failed) else self.X

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, places: NDArray[np.intp]) -> Self:
        """Return the samples at some places, and all that failed."""
        return type(self)(self.X[places], self.y[places], self.X_failed)

    def first(self, n_samples: int, n_failed: int) -> Self:
        """Return the first of those that have a value, and of those that failed."""
        return type(self)(self.X[:n_samples], self.y[:n_samples], self.X_failed[:n_failed])

    def without(self, is_out: NDArray[np.bool_]) -> Self:
        """Return the samples but some, told by a flag for each in the order of `evaluated`."""
        good, failed = ~is_out[: len(self)], ~is_out[len(self) :]
        return type(self)(self.X[good], self.y[good], self.X_failed[failed])

    @property
    def by_setting(self) -> Self:
        """The samples with those of the same setting as one: its mean value, or its failure."""
        X, y = means_of_repeats(self.X, self.y)
        failed = self.X_failed[~is_among(self.X_failed, X)]
        return type(self)(X, y, failed)

    def results(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return all samples and their values, NaN for those that failed."""
        missing = np.full((len(self.X_failed), *self.y.shape[1:]), np.nan)
        return self.evaluated, np.concatenate([self.y, missing])

    def told(
        self,
        X: NDArray[np.float64],
        y: NDArray[np.float64],
        repeats: NDArray[np.float64] | None = None,
    ) -> Self:
        """Return the samples with further results, of which NaN tells that one failed.

        A value is a newer word than a failure. Which results are none told before, `are_new` says;
        `repeats` are the samples that were asked for once more.
        """
        fails = ~succeeded(y)
        failed = np.vstack([self.X_failed, X[fails][~is_among(X[fails], self.X_failed)]])
        mended = X[~fails][is_among(X[~fails], failed)]
        if len(mended):
            failed = failed[~is_among(failed, mended)]
        pairs = np.column_stack([X, y])[~fails]
        # Only what has one of the values may be the same result.
        may_be = np.isin(np.atleast_2d(self.y.T)[-1], pairs[:, -1])
        known = np.column_stack([self.X[may_be], self.y[may_be]])
        new = pairs[are_new(pairs, known, X[:0] if repeats is None else repeats)]
        values = new[:, X.shape[1] :].reshape(len(new), *y.shape[1:])
        samples = np.vstack([self.X, new[:, : X.shape[1]]])
        return type(self)(samples, np.concatenate([self.y, values]), failed)


def are_new(
    results: NDArray[np.float64], known: NDArray[np.float64], repeats: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tell which results are none of those known.

    The same sample with the same value told again is the same result. Told twice at once it is a
    repeat, and so it is if it was asked for once more.

    Parameters
    ----------
    results : ndarray of shape (n_results, n_features + n_outputs)
        Samples, each with its values.
    known : ndarray of shape (n_known, n_features + n_outputs)
        Those known; of samples that are not among the results they may be missing.
    repeats : ndarray of shape (n_repeats, n_features)
        Samples that were asked for once more, as often as they were.
    """
    is_new = ~is_among(numbered(results), numbered(known))
    if not len(repeats):
        return is_new
    keys = row_keys(results[:, : repeats.shape[1]])
    missing = Counter(row_keys(repeats))
    missing.subtract(key for key, new in zip(keys, is_new, strict=True) if new)
    for place in reversed(np.flatnonzero(~is_new)):
        is_new[place] = missing[keys[place]] > 0
        missing[keys[place]] -= 1
    return is_new


def row_keys(X: NDArray[np.float64]) -> list[bytes]:
    """Return a key for each sample, the same for the same experiment."""
    # Adding zero turns -0.0 into 0.0.
    return [row.tobytes() for row in np.ascontiguousarray(X, dtype=np.float64) + 0.0]


def occurrences(X: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return how many samples before each are the same."""
    counts: Counter[bytes] = Counter()
    numbers = np.zeros(len(X), dtype=np.intp)
    for place, key in enumerate(row_keys(X)):
        numbers[place] = counts[key]
        counts[key] += 1
    return numbers


def numbered(X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows with a column that tells repeats of the same row apart."""
    return np.column_stack([X, occurrences(X)])


def means_of_repeats(
    X: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each setting once, in the order in which they came, and the mean of its values."""
    places: dict[bytes, list[int]] = {}
    for place, key in enumerate(row_keys(X)):
        places.setdefault(key, []).append(place)
    if len(places) == len(X):
        return X, y
    means = np.array([_mean(y[rows]) for rows in places.values()])
    return X[[rows[0] for rows in places.values()]], means


def _mean(values: NDArray[np.float64]) -> Any:
    """Return the mean of values, to the last bit what they are if they are equal."""
    return values[0] if (values == values[0]).all() else values.mean(axis=0)


def is_among(X: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which samples are among the others, or stand earlier in `X` itself."""
    if len(X) <= _FEW:
        # Most of the others differ in their first number.
        others = others[np.isin(_bits(others[:, 0]), _bits(X[:, 0]), kind="sort")]
    # The other kind of search overflows in numpy 2.0.
    may_be = np.isin(_fingerprints(others), _fingerprints(X), kind="sort")
    return are_seen(X, set(row_keys(others[may_be])))


def are_seen(X: NDArray[np.float64], seen: set[bytes]) -> NDArray[np.bool_]:
    """Tell which samples have their keys in a set, and add those of the others to it."""
    return np.array([_seen_before(key, seen) for key in row_keys(X)], dtype=bool)


def _fingerprints(X: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return a number for each sample, the same for the same key, and rarely for others."""
    bits = _bits(X)
    factors = np.arange(1, bits.shape[1] + 1, dtype=np.uint64) * _ODD
    return np.asarray(((bits ^ (bits >> _HALF)) * (factors | _ONE)).sum(axis=1, dtype=np.uint64))


def _bits(X: NDArray[np.float64]) -> NDArray[np.uint64]:
    # Adding zero turns -0.0 into 0.0.
    return (np.ascontiguousarray(X, dtype=np.float64) + 0.0).view(np.uint64)


def succeeded(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which samples have a value: a finite number, or nothing but finite numbers."""
    return np.asarray(np.isfinite(values).all(axis=tuple(range(1, values.ndim))))


def _seen_before(key: bytes, seen: set[bytes]) -> bool:
    if key in seen:
        return True
    seen.add(key)
    return False


def best_rows(
    X: NDArray[np.float64], y: NDArray[np.float64], bounds: NDArray[np.float64]
) -> tuple[NDArray[np.float64], Any]:
    """Return the samples inside the box that have the lowest values, the best first, and its value.

    With constraints, feasible samples come first, and the value comes with its constraints.
    """
    inside = np.flatnonzero(((bounds[:, 0] <= X) & (bounds[:, 1] >= X)).all(axis=1))
    if not inside.size:
        raise ValueError(
            "bounds must hold at least one of the samples, in the same units; got none inside."
        )
    return lowest_rows(X[inside], y[inside])


def lowest_rows(X: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], Any]:
    """Return the settings with the lowest mean values, the best first, and its value."""
    X, y = means_of_repeats(X, y)
    order = best_first(y)[:_N_STARTING_ROWS]
    return X[order], y[order[0]]
