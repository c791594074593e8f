"""The minimum of a model that exists already."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from sklearn_proxyopt._proxy_search._functions import RegressorFunction
from sklearn_proxyopt._proxy_search._mixed_search import MixedSearch
from sklearn_proxyopt._proxy_search._turned import turned_proxy
from sklearn_proxyopt._run._learning import in_users_sign
from sklearn_proxyopt._run._short_names import OptimizerName, check_short_name, resolved
from sklearn_proxyopt._utils._goal import Direction, Goal, check_direction
from sklearn_proxyopt._utils._seeding import seed_argument, seeded
from sklearn_proxyopt._utils._types import BoundsLike, Constraint, RandomStateLike
from sklearn_proxyopt._utils._validation import as_generator
from sklearn_proxyopt.optimizers import BaseOptimizer
from sklearn_proxyopt.optimizers._functions import ProxyFunction
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import NamedFunction, Variables
from sklearn_proxyopt.variables._design import Design

__all__ = ["minimize_model"]

# Rows of the design that a search begins with, and those that it starts from.
_N_SAMPLED, _N_STARTS = 1024, 10


def minimize_model(
    model: Any,
    bounds: BoundsLike,
    *,
    constraints: Constraint | Sequence[Constraint] = (),
    direction: Direction = "minimize",
    optimizer: BaseOptimizer | OptimizerName | None = None,
    x0: ArrayLike | None = None,
    random_state: RandomStateLike = None,
) -> OptimizeResult:
    """Find the minimum or maximum of a model that is fitted already, without rows to learn.

    The model is called as it is, and never fitted. Whether its optimum can be believed is another
    question, which needs the rows it learned from: see `ProxyOptimizer.diagnose`, and pass the
    model as ``proxy=FrozenEstimator(model)``.

    Parameters
    ----------
    model : regressor or callable
        A fitted regressor or pipeline, or a function of rows, (n, n_features) to (n,). A regressor
        that was fitted on a table with names gets one, with labels; a function does where the
        variables have names.
    bounds : array-like of shape (n_features, 2), Bounds, dict or list
        The variables, as of `ProxyOptimizer`.
    constraints : LinearConstraint, NonlinearConstraint or sequence of them, default=()
        Known, cheap constraints of `scipy.optimize` on rows in the user's units, codes included.
    direction : {"minimize", "maximize"}, default="minimize"
        Which optimum is sought.
    optimizer : optimizer, {"bfgs", "de", "ga", "pso"} or None, default=None
        Searches the model; None for a `MultiStartBFGS`, which goes by the model's gradient where
        it has one.
    x0 : array-like of shape (n_starts, n_features), default=None
        Rows to start from, such as those the model learned from, in numbers; the best of a design
        are taken too.
    random_state : None, int, RandomState or Generator, default=None
        Seeds the design and an optimizer that has no seed of its own.

    Returns
    -------
    scipy.optimize.OptimizeResult
        `x` of shape (n_features,), a valid row that meets the constraints; `fun`, what the model
        says there to the last bit, in its own sign; `x_named`, a dict of `x` with labels, where the
        variables have names; `x_candidates` and `fun_candidates`, the best distinct optima, the
        first of them `x`; `success` and `message`.

    Raises
    ------
    ValueError
        If the model is none, is not fitted, or predicts no finite number a row anywhere.

    See Also
    --------
    ProxyOptimizer : Learns the model too, and says whether to believe it.

    Examples
    --------
    >>> from scipy.optimize import LinearConstraint
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from sklearn_proxyopt import minimize_model
    >>> from sklearn_proxyopt.problems import Rosenbrock
    >>> from sklearn_proxyopt.samplers import SobolSampler
    >>> problem = Rosenbrock(n_dims=2)
    >>> X = SobolSampler(64, random_state=0).sample(problem.bounds)
    >>> model = GaussianProcessRegressor(normalize_y=True).fit(X, problem(X))
    >>> sum_of_one = LinearConstraint([[1, 1]], ub=1)
    >>> result = minimize_model(model, problem.bounds, constraints=sum_of_one, random_state=0)
    >>> bool(result.x.sum() <= 1.0)
    True
    >>> bool(result.fun == model.predict(result.x[None])[0])
    True
    """
    check_direction(direction)
    check_short_name("optimizer", optimizer)
    goal, variables = Goal.of(direction), Variables(bounds, constraints=constraints)
    function = _ModelFunction(_checked(model), variables, goal)
    seed = int(as_generator(random_state).integers(2**31 - 1))
    search = seeded(resolved("optimizer", "bfgs" if optimizer is None else optimizer), seed)
    starts = _starts(function, variables, x0, seed)
    if variables.is_continuous_box:
        seeding = seed_argument(search, seed)
        found = search.minimize(function, variables.bounds, x0=starts, **seeding)
    else:
        spread = float(np.ptp(function(starts)))
        mixed = MixedSearch(function, _as_rows(variables), spread)
        found = mixed.finish(mixed.run(search, starts, seed), starts)
    if not np.isfinite(found.fun):
        raise ValueError(
            f"model must predict finite values inside the box; got none from {model!r}."
        )
    found.fun = float(function(found.x[None])[0])
    result = in_users_sign(found, goal)
    if variables.names is not None:
        result.x_named = variables.named(result.x)
    return result


class _ModelFunction(ProxyFunction):
    """A model as the function of rows that is minimised.

    Parameters
    ----------
    model : regressor or callable
        Fitted.
    variables : Variables
        Gives names and labels.
    goal : Goal
        What is sought.
    """

    def __init__(self, model: Any, variables: Variables, goal: Goal) -> None:
        self._goal, self._searched = goal, None
        names = getattr(model, "feature_names_in_", None)
        if not hasattr(model, "predict"):
            is_named = variables.names is not None
            self._call = NamedFunction(model, variables) if is_named else model
            return
        if names is not None and variables.names is not None:
            self._call = NamedFunction(_with_columns(model, list(names), variables), variables)
            return
        self._call = RegressorFunction(model).predict
        if variables.is_continuous_box:
            # Its own gradient, or its torch module.
            self._searched = RegressorFunction(turned_proxy(model, goal))
            self.has_gradient = self._searched.has_gradient
            self.has_module = self._searched.has_module

    def __call__(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values of shape (n,)."""
        values = np.asarray(self._call(X), dtype=np.float64)
        if values.size != len(X):
            raise ValueError(
                f"model must predict one value a row, of shape ({len(X)},); got shape "
                f"{values.shape}."
            )
        return self._goal.turned(values.reshape(len(X)))

    def value_and_grad(
        self, X: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return values of shape (n,) and gradients of shape (n, n_features)."""
        assert self._searched is not None
        return self._searched.value_and_grad(X)

    def torch_module(self) -> Any:
        """Return the model as a module."""
        assert self._searched is not None
        return self._searched.torch_module()


def _checked(model: Any) -> Any:
    """Return a model that can be asked, or raise an error that says why it cannot."""
    if isinstance(model, type) or not hasattr(model, "predict"):
        if not callable(model) or isinstance(model, type):
            raise ValueError(f"model must be a fitted regressor or a callable; got {model!r}.")
        return model
    if hasattr(model, "__sklearn_tags__"):
        kind = get_tags(model).estimator_type
        if kind not in (None, "regressor"):
            raise ValueError(f"model must be a regressor; got {model!r}, a {kind}.")
        check_is_fitted(model)
    return model


def _with_columns(model: Any, columns: list[str], variables: Variables) -> Callable[[Any], Any]:
    """Return a model's predictions of tables, in the columns in which it was fitted."""
    if sorted(columns) != sorted(variables.names or ()):
        raise ValueError(
            f"bounds must name the columns that model was fitted on, {columns}; got "
            f"{list(variables.names or ())}."
        )
    return lambda table: model.predict(table[columns])


def _as_rows(variables: Variables) -> Variables:
    """Return variables of which a model is told the rows as they are."""

    class Rows(Variables):
        def features(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
            return X

    told = copy.copy(variables)
    told.__class__ = Rows
    return told


def _starts(
    function: ProxyFunction, variables: Variables, x0: ArrayLike | None, seed: int
) -> NDArray[np.float64]:
    """Return the lowest feasible rows of a design and of those given."""
    rows = Design(SobolSampler(_N_SAMPLED, random_state=seed), variables).sample()
    if x0 is not None:
        given = np.atleast_2d(np.asarray(x0, dtype=np.float64))
        if given.shape[1] != variables.n_features:
            raise ValueError(
                f"x0 must have a column for each of the {variables.n_features} variables; got "
                f"shape {given.shape}."
            )
        rows = np.vstack([variables.snap(given), rows])
    rows = rows[variables.is_feasible(rows)]
    values = np.where(np.isfinite(found := function(rows)), found, np.inf)
    return rows[np.argsort(values, kind="stable")[:_N_STARTS]]
