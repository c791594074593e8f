"""The box of the variables: its estimator base and the way to and from the unit cube."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_proxyopt._utils._validation import check_bounds

__all__ = ["BoxEstimator", "bounds_of_rows", "from_unit_cube", "to_unit_cube"]


def to_unit_cube(X: NDArray[np.float64], bounds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map rows of the box to rows of the unit cube."""
    return (X - bounds[:, 0]) / (bounds[:, 1] - bounds[:, 0])


def from_unit_cube(U: NDArray[np.float64], bounds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map rows of the unit cube to rows that lie inside the box to the last bit."""
    X = bounds[:, 0] + U * (bounds[:, 1] - bounds[:, 0])
    return np.clip(X, bounds[:, 0], bounds[:, 1])


def bounds_of_rows(X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the smallest box that holds every row, of shape (n_features, 2)."""
    box = np.column_stack([X.min(axis=0), X.max(axis=0)])
    constant = np.flatnonzero(box[:, 0] == box[:, 1])
    if constant.size:
        raise ValueError(
            f"X must vary in every column for a box to be read from its rows; column "
            f"{constant[0]} is {box[constant[0], 0]} throughout. Pass bounds= to set the box."
        )
    return box


class BoxEstimator(BaseEstimator):
    """Base of the samplers, optimizers and refiners: estimators that work inside a box.

    Their methods take the box as the argument `bounds`. After `fit`, which reads the box from
    rows, the argument may be left out.
    """

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Read the box from the rows of a table.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows whose smallest enclosing box is kept.
        y : None
            Ignored; here by convention.

        Returns
        -------
        self
            The estimator with `bounds_` of shape (n_features, 2).

        Raises
        ------
        ValueError
            If a column of `X` is constant, or `X` holds fewer than two rows.
        """
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        self.bounds_ = bounds_of_rows(X)
        return self

    def _resolve_bounds(self, bounds: Any, n_features: int | None = None) -> NDArray[np.float64]:
        """Return the box passed in, or the fitted one where none is."""
        if bounds is not None:
            return check_bounds(bounds, n_features)
        check_is_fitted(
            self, "bounds_", msg="bounds must be given, or read from samples by fit; got None."
        )
        return check_bounds(self.bounds_, n_features)
