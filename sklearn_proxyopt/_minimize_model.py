"""The minimum of a model that exists already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._proxy_search._model_function import ModelFunction, checked_model
from sklearn_proxyopt._proxy_search._model_search import search_model
from sklearn_proxyopt._run._learning import in_users_sign
from sklearn_proxyopt._run._short_names import OptimizerName, check_short_name, resolved
from sklearn_proxyopt._utils._goal import Direction, Goal, check_direction
from sklearn_proxyopt._utils._seeding import seeded
from sklearn_proxyopt._utils._types import BoundsLike, Constraint, RandomStateLike
from sklearn_proxyopt._utils._validation import as_generator
from sklearn_proxyopt.optimizers import BaseOptimizer
from sklearn_proxyopt.variables import Variables

__all__ = ["minimize_model"]


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
    """Find the minimum or maximum of a model that is fitted already, without samples to learn.

    The model is called as it is, and never fitted. Whether you can rely on its optimum is another
    question, which needs the samples it learned from: see `ProxyOptimizer.diagnose`, and pass the
    model as ``proxy=FrozenEstimator(model)``.

    Parameters
    ----------
    model : regressor or callable
        A fitted regressor or pipeline, or a function of samples, (n, n_features) to (n,). A
        regressor that was fitted on a table with names gets one, with labels; a function does where
        the variables have names.
    bounds : array-like of shape (n_features, 2), Bounds, dict or list
        The variables, as of `ProxyOptimizer`.
    constraints : LinearConstraint, NonlinearConstraint or sequence of them, default=()
        Known, cheap constraints of `scipy.optimize` on samples in the user's units, codes included.
    direction : {"minimize", "maximize"}, default="minimize"
        Which optimum is sought.
    optimizer : optimizer, {"bfgs", "de", "ga", "pso"} or None, default=None
        Searches the model; None for a `MultiStartBFGS`, which goes by the model's gradient where
        it has one.
    x0 : array-like of shape (n_starts, n_features), default=None
        Samples to start from, such as those the model learned from, in numbers; the best of a
        design are taken too.
    random_state : None, int, RandomState or Generator, default=None
        Seeds the design and an optimizer that has no seed of its own.

    Returns
    -------
    scipy.optimize.OptimizeResult
        `x` of shape (n_features,), a valid sample that meets the constraints; `fun`, what the model
        says there to the last bit, in its own sign; `x_named`, a dict of `x` with labels, where the
        variables have names; `x_candidates` and `fun_candidates`, the best distinct optima, the
        first of them `x`; `success` and `message`.

    Raises
    ------
    ValueError
        If the model is none, is not fitted, or predicts no finite number a sample anywhere.

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
    function = ModelFunction(checked_model(model), variables, goal)
    seed = int(as_generator(random_state).integers(2**31 - 1))
    search = seeded(resolved("optimizer", "bfgs" if optimizer is None else optimizer), seed)
    found = search_model(function, variables, search, x0, seed)
    if not np.isfinite(found.fun):
        raise ValueError(
            f"model must predict finite values inside the box; got none from {model!r}."
        )
    found.fun = float(function(found.x[None])[0])
    result = in_users_sign(found, goal)
    if variables.names is not None:
        result.x_named = variables.named(result.x)
    return result
