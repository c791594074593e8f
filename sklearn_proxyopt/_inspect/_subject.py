"""What is inspected: a fitted optimizer, or a model with bounds, as a function of settings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.utils.validation import check_is_fitted

from sklearn_proxyopt._proxy_search._functions import RegressorFunction
from sklearn_proxyopt._proxy_search._model_function import ModelFunction, checked_model
from sklearn_proxyopt._proxy_search._model_search import search_model
from sklearn_proxyopt._run._diagnose import evidence_of
from sklearn_proxyopt._run._state import FrontState, LearnedState, ModelState
from sklearn_proxyopt._run._tables import read_rows
from sklearn_proxyopt._utils._goal import Direction, Goal, check_direction
from sklearn_proxyopt._utils._types import BoundsLike
from sklearn_proxyopt._utils._validation import check_integer
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.variables import Variables
from sklearn_proxyopt.variables._frames import is_frame, rows_of_frame

__all__ = ["Subject", "subject_of"]

# Points predicted at once.
_BATCH = 4096


class Subject(ABC):
    """A surrogate model as a function of settings, in the user's units and sign.

    Attributes
    ----------
    variables : Variables
        What settings may be.
    goal : Goal
        What is sought of the values.
    n_outputs : int
        How many outputs there are, one of which is looked at.
    """

    variables: Variables
    goal: Goal
    n_outputs: int = 1

    @property
    @abstractmethod
    def optimum(self) -> NDArray[np.float64]:
        """The optimum, of shape (n_features,)."""

    @property
    def unexplained(self) -> float:
        """The share of the variance that the model misses at samples it has not seen."""
        return 0.0

    @property
    def spread(self) -> float:
        """How far a usual value lies from the best one known, NaN where no values are known."""
        return np.nan

    @abstractmethod
    def values(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return predictions of shape (n,)."""

    def intervals(self, X: NDArray[np.float64], level: float) -> NDArray[np.float64] | None:
        """Return where the values lie with a probability, of shape (n, 2); None if unknown."""
        return None

    @abstractmethod
    def rows(self, X: Any) -> NDArray[np.float64]:
        """Return settings, as a table or as an array, as plain numbers."""

    def is_allowed(self, X: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which settings meet all constraints, as far as the model knows."""
        return self.variables.is_feasible(X)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the variables, x0, x1, ... where they have none."""
        return self.variables.kinds.shown_names

    def losses(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return predictions to be minimized, infinite where a constraint is violated."""
        parts = np.array_split(X, -(-len(X) // _BATCH)) if len(X) else []
        values = np.concatenate([self.values(part) for part in parts]) if parts else np.empty(0)
        return np.where(self.is_allowed(X), self.goal.turned(values), np.inf)


class _Optimized(Subject):
    """A fitted optimizer, one of whose outputs is looked at."""

    def __init__(self, optimizer: Any, output: int) -> None:
        self._optimizer, self._output = optimizer, output
        self._state: LearnedState = optimizer._known
        self.variables = self._state.variables
        directions = self._state.goal.directions
        self.goal = Goal((directions[output],)) if output < len(directions) else Goal()
        self.n_outputs = self._outputs(self._state.candidates[:1]).shape[1]
        if output >= self.n_outputs:
            raise ValueError(f"output must be below {self.n_outputs}, their number; got {output}.")

    @cached_property
    def optimum(self) -> NDArray[np.float64]:
        state = self._state
        if isinstance(state, ModelState):
            return state.x_proxy if state.x is None else state.x
        assert isinstance(state, FrontState)
        front = state.X_front_proxy
        return np.asarray(front[np.argmin(self.goal.turned(self.values(front)))])

    @property
    def unexplained(self) -> float:
        state = self._state
        if not isinstance(state, ModelState) or not state.can_be_judged or self._output:
            return 0.0
        numbers = evidence_of(self._optimizer).about(state.x_proxy).numbers(1.0)
        return float(np.clip(1.0 - numbers["r2_unseen"], 0.0, 1.0))

    @property
    def spread(self) -> float:
        return self._state.spread if isinstance(self._state, ModelState) else np.nan

    def values(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._outputs(X)[:, self._output]

    def _outputs(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self._state.predict(X), dtype=np.float64).reshape(len(X), -1)

    def intervals(self, X: NDArray[np.float64], level: float) -> NDArray[np.float64] | None:
        features = self.variables.features(X)
        deviations = RegressorFunction(self._state.proxy).deviations(features)
        if deviations is not None:
            return _normal(self.values(X), deviations[:, self._output], level)
        state = self._state
        if not isinstance(state, ModelState) or not state.can_be_judged or state.merit:
            return None
        halves = evidence_of(self._optimizer).predict_halves(X)
        return _normal(self.values(X), halves.std(axis=0, ddof=1), level)

    def rows(self, X: Any) -> NDArray[np.float64]:
        return read_rows(self._optimizer, X, self.variables.kinds)

    def is_allowed(self, X: NDArray[np.float64]) -> NDArray[np.bool_]:
        allowed = super().is_allowed(X)
        n_objectives = len(self._state.goal.directions)
        constraints = self._outputs(X)[:, n_objectives:]
        return allowed & (constraints <= 0.0).all(axis=1)


class _Model(Subject):
    """A fitted regressor, or a function, inside bounds."""

    def __init__(self, model: Any, variables: Variables, goal: Goal, seed: int) -> None:
        self._model, self._seed = checked_model(model), seed
        self.variables, self.goal = variables, goal
        self._function = ModelFunction(self._model, variables, goal)

    @cached_property
    def optimum(self) -> NDArray[np.float64]:
        search = MultiStartBFGS(random_state=self._seed)
        found = search_model(self._function, self.variables, search, None, self._seed)
        return np.asarray(found.x)

    def values(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.goal.turned(self._function(X))

    def intervals(self, X: NDArray[np.float64], level: float) -> NDArray[np.float64] | None:
        if not hasattr(self._model, "predict"):
            return None
        deviations = RegressorFunction(self._model).deviations(X)
        return None if deviations is None else _normal(self.values(X), deviations[:, 0], level)

    def rows(self, X: Any) -> NDArray[np.float64]:
        kinds = self.variables.kinds
        if is_frame(X):
            rows = rows_of_frame(X[list(self.names)], kinds)
        else:
            rows = np.atleast_2d(np.asarray(X, dtype=np.float64))
        if rows.shape[1] != len(kinds):
            raise ValueError(
                f"rows must have a column for each of the {len(kinds)} variables; got shape "
                f"{rows.shape}."
            )
        kinds.check_rows(rows)
        return rows


def subject_of(
    estimator: Any,
    bounds: BoundsLike | None = None,
    direction: Direction | None = None,
    output: int = 0,
    seed: int = 0,
) -> Subject:
    """Return what is inspected, or raise an error that says what is missing.

    Parameters
    ----------
    estimator : ProxyOptimizer, ParetoOptimizer, regressor or callable
        Fitted.
    bounds : bounds or None
        The variables of a regressor; None of an optimizer.
    direction : {"minimize", "maximize"} or None
        Which optimum of a regressor is meant; None of an optimizer.
    output : int
        Which output of an optimizer with several.
    seed : int
        Seeds the search for the optimum of a regressor.

    Returns
    -------
    Subject
        The function of settings.
    """
    check_integer(output, "output", minimum=0)
    if hasattr(estimator, "ask") and hasattr(estimator, "tell"):
        check_is_fitted(estimator, "proxy_")
        if bounds is not None or direction is not None:
            given = "bounds" if bounds is not None else "direction"
            raise ValueError(f"{given} must be None for an optimizer, which knows it; got a value.")
        return _Optimized(estimator, output)
    if bounds is None:
        raise ValueError(
            "bounds must be given for a regressor, such as {'speed': (0, 10)}; got None. A fitted "
            "optimizer needs none."
        )
    if output:
        raise ValueError(f"output must be 0 for a regressor; got {output}.")
    check_direction(direction)
    return _Model(estimator, Variables(bounds), Goal.of(direction), seed)


def _normal(
    values: NDArray[np.float64], deviations: NDArray[np.float64], level: float
) -> NDArray[np.float64]:
    half = norm.ppf(0.5 + 0.5 * level) * deviations
    return np.column_stack([values - half, values + half])
