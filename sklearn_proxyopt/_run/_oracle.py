"""What one run buys from the true function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._run._stopping import Limits, RunEndedError
from sklearn_proxyopt._utils._dataset import are_seen, is_among, row_keys, succeeded
from sklearn_proxyopt._utils._feasibility import best_first, feasible_values
from sklearn_proxyopt.evaluation import Evaluator
from sklearn_proxyopt.variables import Variables

__all__ = ["Purchases", "nearest_feasible"]

# Points of the unit cube nearer than this along every axis differ by rounding alone.
_ROUNDING = 1e-12


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
    space : Variables
        The variables; rows outside of their box, or that miss their constraints, are no answer.
    limits : Limits, default=None
        What ends the run.

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
        self,
        evaluator: Evaluator,
        X: NDArray[np.float64],
        y: NDArray[np.float64],
        space: Variables,
        limits: Limits | None = None,
    ) -> None:
        self.evaluator = evaluator
        self.limits = Limits() if limits is None else limits
        self.limits.begin()
        self.X, self.y = X, y
        self.X_failed = X[:0]
        self._lowest = _lowest_of(y[space.is_feasible(X)])
        if evaluator.journal is not None:
            evaluator.journal.read_into(evaluator.record)
        # The keys of the rows that succeeded, and of those that failed.
        self._good, self._bad = set(row_keys(X)), set[bytes]()
        for x, value in zip(X, y, strict=True):
            evaluator.record.add(x, float(value) if value.ndim == 0 else value.copy())

    def buy(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate rows and keep those that succeed; return the value of each, NaN if it failed.

        Raises
        ------
        RunEndedError
            If the run has reached one of its limits; what was bought until then is kept.
        """
        is_new = self.are_new(rows)
        affordable = rows[np.cumsum(is_new) <= self.limits.n_left]
        values = self.evaluator(affordable, self._goes_on) if len(affordable) else self.y[:0]
        begun = np.array([self.evaluator.record.get(x) is not None for x in affordable], bool)
        self._keep(affordable[begun], values[begun])
        self._lowest = min(self._lowest, _lowest_of(values))
        n_asked = int(is_new[: len(affordable)][begun].sum())
        self.limits.count(n_asked, self._lowest, was_cut=len(affordable) < len(rows))
        return values

    def begin(self) -> None:
        """End the run at once if the rows given have reached a limit."""
        if len(self.y):
            self.limits.count(0, self._lowest)

    def are_new(self, rows: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which rows are neither known nor stand earlier among these."""
        known = [key in self._good or key in self._bad for key in row_keys(rows)]
        return ~(np.array(known, dtype=bool) | is_among(rows, rows[:0]))

    def _goes_on(self, values: list[Any]) -> bool:
        """Tell whether another row of a batch is to begin, of which these values are known."""
        known = np.array(values, dtype=np.float64).reshape(-1, *self.y.shape[1:])
        if len(self.y) + succeeded(known).sum() < 2:
            # Nothing can be learned from less.
            return True
        return self.limits.lets_begin(min(self._lowest, _lowest_of(known)))

    def buy_design(self, design: NDArray[np.float64]) -> None:
        """Evaluate a design, of which at least two rows must succeed."""
        n_good = int(succeeded(self.buy(design)).sum())
        if n_good < 2:
            raise ValueError(
                f"objective must succeed on at least two rows of the design; got {n_good} of "
                f"{len(design)}."
            )

    def check_enough(self, end: RunEndedError) -> None:
        """Raise an error unless a run that has ended knows two rows to learn from."""
        if len(self.y) < 2:
            n_rows = len(self.y) + len(self.X_failed)
            raise ValueError(
                f"objective must succeed on at least two rows before the run ends; got "
                f"{len(self.y)} of {n_rows}. {end}"
            )

    def refine(
        self,
        refinement: Callable[[], OptimizeResult],
        space: Variables,
        incumbent: tuple[NDArray[np.float64], Any],
    ) -> OptimizeResult:
        """Let a refinement buy rows; return its result, never worse than the incumbent."""
        try:
            refined = refinement()
            if self.limits.n_left <= 0:
                refined.message = self.limits.budget_is_spent
            if not space.is_plain:
                # What was bought may be another row than the point that a refiner asked for.
                self._answer_by_best_row(refined, space)
        except RunEndedError as end:
            refined = self.outcome(space, end)
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

    def buy_on_axes(self, Z: NDArray[np.float64], space: Variables) -> NDArray[np.float64]:
        """Evaluate the feasible rows nearest to points on the axes; NaN where there is none."""
        return self.buy_nearest(space.decode(Z), space)

    def buy_nearest(self, X: NDArray[np.float64], space: Variables) -> NDArray[np.float64]:
        """Evaluate the feasible rows nearest to some rows; NaN where there is none."""
        rows = nearest_feasible(X, space)
        feasible = ~np.isnan(rows).any(axis=1)
        values = np.full((len(rows), *self.y.shape[1:]), np.nan)
        if feasible.any():
            values[feasible] = self.buy(rows[feasible])
        return values

    def value_at(self, x: NDArray[np.float64], space: Variables) -> NDArray[np.float64]:
        """Return the true value of a point up to rounding, NaN if it is not known."""
        here = space.to_unit_cube(x[None])
        distances = np.abs(space.to_unit_cube(self.X) - here).max(axis=1)
        nearest = int(np.argmin(distances))
        known = distances[nearest] < _ROUNDING
        return np.asarray(self.y[nearest] if known else self.y[nearest] * np.nan)

    def outcome(self, space: Variables, end: RunEndedError) -> OptimizeResult:
        """Return the best feasible row as the result of what a limit has ended."""
        result = OptimizeResult(nit=0, success=True, message=str(end))
        self._answer_by_best_row(result, space)
        return result

    def _answer_by_best_row(self, result: OptimizeResult, space: Variables) -> None:
        starts, best = space.best_rows(self.X, self.y)
        result.x, result.fun = starts[0], float(np.ravel(best)[0])
        if np.ndim(best):
            result.constraints = best[1:]

    def look_into_journal(self, result: OptimizeResult, space: Variables) -> None:
        """Let a row that the journal had before be the answer, if it is better."""
        if self.evaluator.journal is None:
            return
        self.keep_all_on_record()
        found = OptimizeResult()
        self._answer_by_best_row(found, space)
        both = [np.append(one.fun, one.get("constraints", [])) for one in (result, found)]
        if best_first(np.array(both).reshape(2, *self.y.shape[1:]))[0] == 1:
            result.update(found)
            result.message = f"The best row was in the journal before. {result.message}"

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
        self.X_failed = np.vstack([self.X_failed, failed[~are_seen(failed, self._bad)]])
        rows, values = rows[is_good], values[is_good]
        new = ~are_seen(rows, self._good)
        self.X = np.vstack([self.X, rows[new]])
        self.y = np.concatenate([self.y, values[new]])


def _lowest_of(y: NDArray[np.float64]) -> float:
    """Return the lowest value of rows that keep their constraints, infinity if there is none."""
    return float(np.fmin.reduce(feasible_values(y), initial=np.inf))


def nearest_feasible(X: NDArray[np.float64], space: Variables) -> NDArray[np.float64]:
    """Return the feasible rows nearest to some rows; NaN where there is none."""
    rows = space.snap(X)
    return np.where(space.is_feasible(rows)[:, None], rows, np.nan)
