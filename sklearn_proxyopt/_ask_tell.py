"""Experiments run elsewhere: `ask` for points, `tell` their values."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult
from sklearn.utils.validation import check_array, validate_data

from sklearn_proxyopt._box import bounds_of_rows
from sklearn_proxyopt._questions import OpenQuestions
from sklearn_proxyopt._rows import is_among
from sklearn_proxyopt._validation import check_bounds, check_integer

__all__ = ["AskTellMixin"]


class AskTellMixin:
    """The methods `ask` and `tell` of an optimizer.

    The class owes `check_parameters`, `_draw_seeds`, `_design_sampler`, `_learn`, which sets the
    fitted attributes once it has succeeded, and `_answer_by_proxy`.
    """

    bounds: Any
    bounds_: NDArray[np.float64]
    X_: NDArray[np.float64]
    y_: NDArray[np.float64]
    _candidates: NDArray[np.float64]
    _draw_seeds: Any
    _design_sampler: Any
    _learn: Any
    _answer_by_proxy: Any
    check_parameters: Any

    def ask(self, n_points: int = 1) -> NDArray[np.float64]:
        """Propose experiments.

        Before any are known, the points of the sampler's design are handed out in order. Then up
        to half of the points, the first one always, are the proxy's lowest minima; the others
        are those of a design that lie farthest from all that is known or pending.

        Parameters
        ----------
        n_points : int, default=1
            How many.

        Returns
        -------
        ndarray of shape (n_points, n_features)
            Points inside the box, none of them known or asked for before.
        """
        n_points = check_integer(n_points, "n_points")
        self.check_parameters()
        if not hasattr(self, "bounds_"):
            if self.bounds is None:
                raise ValueError("bounds must be given before rows tell the box; got None.")
            self.bounds_ = check_bounds(self.bounds)
        if not hasattr(self, "_questions"):
            sampler = self._design_sampler(self._draw_seeds()["sampler"])
            self._questions = OpenQuestions(sampler, len(self.bounds_))
        known = getattr(self, "X_", np.empty((0, len(self.bounds_))))
        minima = self._candidates if hasattr(self, "proxy_") else None
        return self._questions.ask(n_points, known, minima, self.bounds_)

    def tell(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Add evaluated rows, learn anew and find the proxy's minimum again.

        Where it raises, the optimizer stays as it was, and the same rows can be told again. A row
        told twice with the same value is one experiment.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, asked for or not. Where neither the parameter `bounds` nor `minimize` was given
            a box, it grows to hold them.
        y : array-like of shape (n_samples,)
            Their values.

        Returns
        -------
        self
            The optimizer, fitted on all rows told so far if these are at least two.
        """
        has_rows = hasattr(self, "X_")
        if not has_rows and (hasattr(self, "bounds_") or self.bounds is not None):
            box = self.bounds_ if hasattr(self, "bounds_") else self.bounds
            check_bounds(box, check_array(X, dtype=np.float64).shape[1])
        self.check_parameters()
        X, y = validate_data(
            self, X, y, dtype=np.float64, y_numeric=True, reset=not has_rows, order="C"
        )
        known, known_values = (self.X_, self.y_) if has_rows else (X[:0], np.empty(0))
        pairs, known_pairs = np.column_stack([X, y]), np.column_stack([known, known_values])
        new = ~is_among(pairs, known_pairs)
        rows = np.vstack([known, X[new]])
        values = np.concatenate([known_values, y[new]]).astype(np.float64)
        if len(rows) < 2:
            self.X_, self.y_ = rows, values
        else:
            search: OptimizeResult = self._learn(
                rows, values, rows[:0], self._box_told(rows), self._draw_seeds()
            )
            self._answer_by_proxy(search)
        if hasattr(self, "_questions"):
            self._questions.answer(X, self.bounds_)
        return self

    def _begin_anew(self, keeps_box: bool) -> None:
        """Forget what `ask` handed out before; note whether `tell` must keep the box to come."""
        self.__dict__.pop("_questions", None)
        self._keeps_box = keeps_box

    def _box_told(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the box of rows told: the user's, or one that grows with the rows."""
        if getattr(self, "_keeps_box", False):
            return self.bounds_
        if self.bounds is not None:
            return check_bounds(self.bounds, X.shape[1])
        if not hasattr(self, "bounds_"):
            return bounds_of_rows(X)
        return bounds_of_rows(np.vstack([X, self.bounds_.T]))
