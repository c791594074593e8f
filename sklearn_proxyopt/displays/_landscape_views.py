"""What a landscape shows: the model around one optimum, or one output of a front."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from sklearn_proxyopt._inspect._subject import subject_of
from sklearn_proxyopt._run._diagnose import evidence_of, measured_merit
from sklearn_proxyopt._run._space_spec import of_plain_rows
from sklearn_proxyopt.displays._base import best_known, check_optimizer, goal_of

__all__ = ["OF_HALVES", "FrontView", "OptimumView", "view_of"]

_BAND = 0.9
_OF_MODEL, OF_HALVES = "90 % interval", "models of half of the data"


class OptimumView:
    """The landscape around the one optimum of a fitted optimizer, values as they are judged."""

    value_name = "value"

    def __init__(self, optimizer: Any) -> None:
        self._optimizer, self._subject = check_optimizer(optimizer), subject_of(optimizer)
        self._evidence = evidence_of(optimizer) if optimizer._known.can_be_judged else None
        self.goal = goal_of(optimizer)
        self.center, self.best = optimizer.x_proxy_, best_known(optimizer)

    def values(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the model predicts."""
        if self._evidence is None:
            return self._subject.values(points)
        return self.goal.turned(self._evidence.predict(points))

    def band(
        self, points: NDArray[np.float64], own: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64] | None, str]:
        """Return the ends of the interval, of shape (2, n_points), and what it is."""
        has_merit = self._optimizer._known.merit is not None
        interval = None if has_merit else self._subject.intervals(points, _BAND)
        if interval is not None:
            return interval.T, _OF_MODEL
        if self._evidence is None:
            return None, OF_HALVES
        halves = self.goal.turned(self._evidence.predict_halves(points).T).T
        every = np.vstack([halves, own])
        return np.array([every.min(axis=0), every.max(axis=0)]), OF_HALVES

    def measured(
        self, objective: Callable[..., Any], points: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the values of the function."""
        outputs = self.goal.turned(_outputs(self._optimizer, objective, points))
        return self.goal.turned(measured_merit(self._optimizer._known, outputs))


class FrontView:
    """The landscape of one objective, around the point of the front where it is best."""

    def __init__(self, optimizer: Any, output: int) -> None:
        check_is_fitted(optimizer, "proxy_")
        self._optimizer, self._output = optimizer, output
        self._subject = subject_of(optimizer, output=output)
        n_objectives = len(goal_of(optimizer).directions)
        is_objective = output < n_objectives
        number = output if is_objective else output - n_objectives
        self.value_name = f"{'objective' if is_objective else 'constraint'} {number}"
        self.goal, self.center = self._subject.goal, self._subject.optimum
        F = self.goal.turned(optimizer.F_front_[:, output])
        self.best = optimizer.X_front_[int(F.argmin())]

    def values(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the model predicts."""
        return self._subject.values(points)

    def band(
        self, points: NDArray[np.float64], own: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64] | None, str]:
        """Return the ends of the interval, of shape (2, n_points), and what it is."""
        interval = self._subject.intervals(points, _BAND)
        return None if interval is None else interval.T, _OF_MODEL

    def measured(
        self, objective: Callable[..., Any], points: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the values of the function."""
        return _outputs(self._optimizer, objective, points)[:, self._output]


def view_of(estimator: Any, output: int) -> OptimumView | FrontView:
    """Return what is drawn of an optimizer."""
    if hasattr(estimator, "ask") and not hasattr(estimator, "diagnose"):
        return FrontView(estimator, output)
    if output:
        raise ValueError(f"output must be 0 for a ProxyOptimizer; got {output!r}.")
    return OptimumView(check_optimizer(estimator))


def _outputs(
    estimator: Any, objective: Callable[..., Any], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return a function's values at samples, called as the optimizer calls it."""
    form, vectorized = estimator.input_format, estimator.vectorized
    space = estimator.variables_
    function = of_plain_rows(objective, space, input_format=form, vectorized=vectorized)
    values = function(points) if vectorized else [function(x) for x in points]
    return np.asarray(values, dtype=np.float64)
