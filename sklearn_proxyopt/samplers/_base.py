"""The contract of samplers: a design within bounds, and the rows of a table that are nearest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from sklearn.utils.validation import check_array

from sklearn_proxyopt._utils._box import BoxEstimator, bounds_of_rows, from_unit_cube, to_unit_cube
from sklearn_proxyopt._utils._validation import as_generator, check_integer

__all__ = ["BaseSampler", "UnitCubeSampler"]

# Design points served by one search tree of the free rows, and the rows offered to each.
_BLOCK = 256
_N_NEIGHBORS = 16
# No array has more numbers.
_MOST_NUMBERS = np.iinfo(np.intp).max // 16


class BaseSampler(BoxEstimator, ABC):
    """Base of all samplers.

    A subclass has `n_samples` and `random_state` and implements one method,
    `_sample_box(n_samples, bounds, rng)`, which returns `n_samples` points inside the bounds. If
    the design does not depend on the bounds, derive from `UnitCubeSampler` instead.
    """

    n_samples: int
    random_state: Any

    @abstractmethod
    def _sample_box(
        self, n_samples: int, bounds: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return points inside the bounds, of shape (n_samples, n_features)."""

    def sample(self, bounds: ArrayLike | None = None) -> NDArray[np.float64]:
        """Draw a design.

        Parameters
        ----------
        bounds : array-like of shape (n_features, 2) or scipy.optimize.Bounds, default=None
            The bounds. None takes those read by `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Points inside the bounds, in the units of `bounds`.
        """
        box = self._resolve_bounds(bounds)
        n_samples = check_integer(self.n_samples, "n_samples")
        if n_samples > _MOST_NUMBERS // len(box):
            raise ValueError(
                f"n_samples must be at most {_MOST_NUMBERS // len(box)}, more than any memory "
                f"holds; got {n_samples}."
            )
        return self._sample_box(n_samples, box, as_generator(self.random_state))

    def select(self, X: ArrayLike, bounds: ArrayLike | None = None) -> NDArray[np.intp]:
        """Pick the rows of a table that lie nearest to a design.

        Each design point, in order, takes the nearest row that is still free, with distances
        measured in the unit cube.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            The pool of rows.
        bounds : array-like of shape (n_features, 2) or scipy.optimize.Bounds, default=None
            The bounds. None takes those read by `fit`, or else the range of `X`.

        Returns
        -------
        ndarray of shape (n_samples,)
            Indices of distinct rows.

        Raises
        ------
        ValueError
            If `X` has fewer rows than the design has points.
        """
        X = check_array(X, dtype=np.float64)
        if bounds is None and not hasattr(self, "bounds_"):
            box = bounds_of_rows(X)
        else:
            box = self._resolve_bounds(bounds, X.shape[1])
        design = to_unit_cube(self.sample(box), box)
        if len(design) > len(X):
            raise ValueError(
                f"n_samples must not exceed the {len(X)} rows of X to select from; "
                f"got {len(design)}."
            )
        return _nearest_free_rows(design, to_unit_cube(X, box))


class UnitCubeSampler(BaseSampler):
    """Base of the samplers whose design is one of the unit cube, stretched to the box.

    A subclass has the parameters `n_samples` and `random_state` and implements one method,
    `_sample_unit(n_samples, n_features, rng)`, which returns `n_samples` points of the unit cube.
    """

    @abstractmethod
    def _sample_unit(
        self, n_samples: int, n_features: int, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return points of the unit cube, of shape (n_samples, n_features)."""

    def _sample_box(
        self, n_samples: int, bounds: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        return from_unit_cube(self._sample_unit(n_samples, len(bounds), rng), bounds)


def _nearest_free_rows(design: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.intp]:
    """Give each design point the nearest row that no earlier point has taken."""
    free = np.ones(len(rows), dtype=bool)
    chosen = np.empty(len(design), dtype=np.intp)
    for start in range(0, len(design), _BLOCK):
        points = design[start : start + _BLOCK]
        left = np.flatnonzero(free)
        n_neighbors = min(_N_NEIGHBORS, left.size)
        neighbors = cKDTree(rows[left]).query(points, k=n_neighbors)[1]
        neighbors = left[neighbors.reshape(len(points), n_neighbors)]
        for index, (point, candidates) in enumerate(zip(points, neighbors, strict=True), start):
            available = candidates[free[candidates]]
            if available.size:
                row = available[0]
            else:
                # Later points must wait for this one, or they would take its row.
                left = np.flatnonzero(free)
                row = left[((rows[left] - point) ** 2).sum(axis=1).argmin()]
            chosen[index] = row
            free[row] = False
    return chosen
