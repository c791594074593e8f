"""Rows that lie apart, where a search has crowded most of them into a corner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["are_crowded", "rows_apart", "rows_that_tell"]

# So many rows are looked at, of which those count that lie apart: by this share of the distance
# between rows that fill their box evenly.
_N_LOOKED_AT, _SHARE_APART = 500, 0.25
# Of rows that fill their box, drawn at random or as a design, more than this share lies apart.
_SHARE_OF_A_DESIGN = 0.6


def rows_apart(X: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the places of rows that lie well apart, among the first of a random order."""
    sides = np.ptp(X, axis=0)
    places = np.random.default_rng(0).permutation(len(X))[:_N_LOOKED_AT]
    rows = (X / np.where(sides > 0.0, sides, 1.0))[places]
    n_rows, n_features = rows.shape
    nearest = _SHARE_APART * np.sqrt(n_features) * n_rows ** (-1.0 / n_features)
    kept: list[int] = []
    for place, row in enumerate(rows):
        if not kept or np.square(rows[kept] - row).sum(axis=1).min() > nearest**2:
            kept.append(place)
    return places[kept]


def are_crowded(X: NDArray[np.float64], apart: NDArray[np.intp]) -> bool:
    """Tell whether few of the rows lie apart, as where a search has gathered them."""
    return len(apart) < _SHARE_OF_A_DESIGN * min(len(X), _N_LOOKED_AT)


def rows_that_tell(X: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the places of rows that lie apart, where most crowd into a part of the box; else all.

    Errors at rows left out of a crowd are small for whatever its neighbors say.
    """
    apart = rows_apart(X)
    return apart if are_crowded(X, apart) else np.arange(len(X))
