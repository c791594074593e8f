"""Rows as experiments: the same one if all of its numbers are the same to the last bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["is_among", "row_keys", "succeeded"]


def row_keys(X: NDArray[np.float64]) -> list[bytes]:
    """Return a key for each row, the same for the same experiment."""
    # Adding zero turns -0.0 into 0.0.
    return [row.tobytes() for row in np.ascontiguousarray(X, dtype=np.float64) + 0.0]


def is_among(X: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which rows are among the others, or stand earlier in `X` itself."""
    seen = set(row_keys(others))
    return np.array([_seen_before(key, seen) for key in row_keys(X)], dtype=bool)


def succeeded(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which rows have a value: a finite number, or nothing but finite numbers."""
    return np.asarray(np.isfinite(values).all(axis=tuple(range(1, values.ndim))))


def _seen_before(key: bytes, seen: set[bytes]) -> bool:
    if key in seen:
        return True
    seen.add(key)
    return False
