"""Rows as experiments: the same one if all of its numbers are the same to the last bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_rows", "is_among", "row_keys"]

# Best rows handed to a search as starting points.
_N_STARTING_ROWS = 10


def row_keys(X: NDArray[np.float64]) -> list[bytes]:
    """Return a key for each row, the same for the same experiment."""
    # Adding zero turns -0.0 into 0.0.
    return [row.tobytes() for row in np.ascontiguousarray(X, dtype=np.float64) + 0.0]


def is_among(X: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which rows are among the others, or stand earlier in `X` itself."""
    seen = set(row_keys(others))
    return np.array([_seen_before(key, seen) for key in row_keys(X)], dtype=bool)


def _seen_before(key: bytes, seen: set[bytes]) -> bool:
    if key in seen:
        return True
    seen.add(key)
    return False


def best_rows(
    X: NDArray[np.float64], y: NDArray[np.float64], bounds: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return the rows inside the box that have the lowest values, the best first, and its value."""
    inside = np.flatnonzero(((bounds[:, 0] <= X) & (bounds[:, 1] >= X)).all(axis=1))
    if not inside.size:
        raise ValueError("bounds must hold at least one of the rows; got none inside.")
    order = inside[np.argsort(y[inside], kind="stable")][:_N_STARTING_ROWS]
    return X[order], float(y[order[0]])
