"""Rows as experiments: the same one if all of its numbers are the same to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._feasibility import best_first

__all__ = ["are_seen", "best_rows", "is_among", "row_keys", "succeeded", "with_failures"]

# Best rows handed to a search as starting points.
_N_STARTING_ROWS = 10


def row_keys(X: NDArray[np.float64]) -> list[bytes]:
    """Return a key for each row, the same for the same experiment."""
    # Adding zero turns -0.0 into 0.0.
    return [row.tobytes() for row in np.ascontiguousarray(X, dtype=np.float64) + 0.0]


def is_among(X: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which rows are among the others, or stand earlier in `X` itself."""
    return are_seen(X, set(row_keys(others)))


def are_seen(X: NDArray[np.float64], seen: set[bytes]) -> NDArray[np.bool_]:
    """Tell which rows have their keys in a set, and add those of the others to it."""
    return np.array([_seen_before(key, seen) for key in row_keys(X)], dtype=bool)


def succeeded(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which rows have a value: a finite number, or nothing but finite numbers."""
    return np.asarray(np.isfinite(values).all(axis=tuple(range(1, values.ndim))))


def _seen_before(key: bytes, seen: set[bytes]) -> bool:
    if key in seen:
        return True
    seen.add(key)
    return False


def best_rows(
    X: NDArray[np.float64], y: NDArray[np.float64], bounds: NDArray[np.float64]
) -> tuple[NDArray[np.float64], Any]:
    """Return the rows inside the box that have the lowest values, the best first, and its value.

    With constraints, feasible rows come first, and the value comes with its constraints.
    """
    inside = np.flatnonzero(((bounds[:, 0] <= X) & (bounds[:, 1] >= X)).all(axis=1))
    if not inside.size:
        raise ValueError("bounds must hold at least one of the rows; got none inside.")
    order = inside[best_first(y[inside])][:_N_STARTING_ROWS]
    return X[order], y[order[0]]


def with_failures(
    X: NDArray[np.float64], y: NDArray[np.float64], failed: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rows and values to which rows that failed are added, with values of NaN."""
    missing = np.full((len(failed), *y.shape[1:]), np.nan)
    return np.vstack([X, failed]), np.concatenate([y, missing])
