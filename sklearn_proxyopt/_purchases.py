"""What one run buys from the true function."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._constraints import best_first
from sklearn_proxyopt._rows import is_among, succeeded
from sklearn_proxyopt.evaluation import Evaluator

__all__ = ["Purchases"]


class Purchases:
    """The rows of a run, each once: those given first, then those bought.

    Parameters
    ----------
    evaluator : Evaluator
        Calls the true function.
    X : ndarray of shape (n_rows, n_features)
        Rows that were already paid for; they enter the evaluator's record.
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        Their values.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features)
        The rows given, as they were given, and the rows bought that succeeded.
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        Their values.
    X_failed : ndarray of shape (n_failed, n_features)
        The rows asked for whose evaluation failed.
    """

    def __init__(
        self, evaluator: Evaluator, X: NDArray[np.float64], y: NDArray[np.float64]
    ) -> None:
        self.evaluator = evaluator
        self.X, self.y = X, y
        self.X_failed = X[:0]
        if evaluator.journal is not None:
            evaluator.journal.read_into(evaluator.record)
        for x, value in zip(X, y, strict=True):
            evaluator.record.add(x, float(value) if value.ndim == 0 else value.copy())

    def buy(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate rows and keep those that succeed; return the value of each, NaN if it failed."""
        values = self.evaluator(rows)
        self._keep(rows, values)
        return values

    def buy_design(self, design: NDArray[np.float64]) -> None:
        """Evaluate a design, of which at least two rows must succeed."""
        n_good = int(succeeded(self.buy(design)).sum())
        if n_good < 2:
            raise ValueError(
                f"objective must succeed on at least two rows of the design; got {n_good} of "
                f"{len(design)}."
            )

    def refine(
        self,
        refiner: Any,
        candidates: NDArray[np.float64],
        bounds: NDArray[np.float64],
        incumbent: tuple[NDArray[np.float64], Any],
    ) -> OptimizeResult:
        """Let a refiner buy rows; return its result, never worse than the incumbent."""
        refined = refiner.refine(self.buy, candidates, bounds, incumbent=incumbent)
        x, known = incumbent
        found = np.append(refined.fun, refined.get("constraints", []))
        if found.size != np.size(known):
            raise ValueError(
                f"refiner must return fun and {np.size(known) - 1} constraints; got "
                f"{found.size - 1} of them."
            )
        found = found.reshape(np.shape(known))
        if best_first(np.array([known, found]))[0] == 0:
            refined.x, refined.fun = x, float(np.ravel(known)[0])
            if np.ndim(known):
                refined.constraints = known[1:]
        return refined

    def generator(self) -> np.random.Generator:
        """Return fresh randomness, the same in every run that goes on from one journal."""
        seed = int(np.random.default_rng().integers(2**31 - 1))
        if self.evaluator.journal is not None:
            seed = self.evaluator.journal.seed(seed)
        return np.random.default_rng(seed)

    def keep_all_on_record(self) -> None:
        """Keep also what was paid for within a batch that failed, or by an earlier run."""
        self._keep(*self.evaluator.record.rows(self.X.shape[1]))

    def _keep(self, rows: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        is_good = succeeded(values)
        failed = rows[~is_good]
        self.X_failed = np.vstack([self.X_failed, failed[~is_among(failed, self.X_failed)]])
        rows, values = rows[is_good], values[is_good]
        new = ~is_among(rows, self.X)
        self.X = np.vstack([self.X, rows[new]])
        self.y = np.concatenate([self.y, values[new]])
