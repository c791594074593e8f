"""Scorers that judge an estimator by where it says the minimum is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_proxyopt._utils._goal import MINIMUM, Goal
from sklearn_proxyopt._utils._validation import check_integer, check_option, check_real

__all__ = ["credibility_scorer", "optimum_error_scorer", "optimum_of", "regret_scorer"]


def optimum_error_scorer(problem: Any, of: str = "x") -> _OptimumErrorScorer:
    """Make a scorer from the distance between an estimator's optimum and the true one.

    Parameters
    ----------
    problem : problem
        A function with known optima: callable on (n, n_features), with `x_opt` of shape
        (n_optima, n_features) and `f_opt`, in the direction of the estimator. See
        `sklearn_proxyopt.problems`.
    of : {"x", "fun"}, default="x"
        What is compared: the Euclidean distance from `x_` to the nearest optimum, in the user's
        units, or how far the objective at `x_` misses `f_opt`.

    Returns
    -------
    callable
        ``scorer(estimator, X, y)`` for `scoring=`; greater is better, so it returns minus the
        error. X and y are not looked at.

    Examples
    --------
    >>> from sklearn_proxyopt import ProxyOptimizer
    >>> from sklearn_proxyopt.model_selection import optimum_error_scorer
    >>> from sklearn_proxyopt.problems import Rosenbrock
    >>> from sklearn_proxyopt.samplers import SobolSampler
    >>> problem = Rosenbrock(n_dims=2)
    >>> X = SobolSampler(128, random_state=0).sample(problem.bounds)
    >>> optimizer = ProxyOptimizer(random_state=0).fit(X, problem(X))
    >>> bool(optimum_error_scorer(problem)(optimizer, X, problem(X)) > -0.01)
    True
    """
    check_option(of, "of", ("x", "fun"))
    missing = [name for name in ("x_opt", "f_opt") if not hasattr(problem, name)]
    if missing or not callable(problem):
        raise ValueError(
            f"problem must be callable and have known optima x_opt and f_opt; got {problem!r}."
        )
    return _OptimumErrorScorer(problem, of)


def regret_scorer(n_picks: int = 1) -> _RegretScorer:
    """Make a scorer from the regret of following an estimator among samples held out.

    The estimator picks the samples that it predicts best: the lowest, or the highest where it is an
    optimizer that maximizes. The regret is how far the best of them misses the best sample there
    is.

    Parameters
    ----------
    n_picks : int, default=1
        How many samples it may pick.

    Returns
    -------
    callable
        ``scorer(estimator, X, y)`` for `scoring=`; it returns minus the regret, in the units of
        `y`, for any fitted regressor.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklearn_proxyopt.model_selection import regret_scorer
    >>> X, y = np.array([[0.0], [1.0], [2.0]]), np.array([3.0, 1.0, 2.0])
    >>> regret_scorer()(LinearRegression().fit(X, y), X, y)
    -1.0
    """
    check_integer(n_picks, "n_picks")
    return _RegretScorer(n_picks)


def credibility_scorer(
    objective: Any = None, *, n_checks: int = 5, regret: float | None = None
) -> _CredibilityScorer:
    """Make a scorer from the probability that the optimum of a proxy is reliable.

    Parameters
    ----------
    objective : callable, default=None
        The objective, evaluated to check each optimum; None uses no evaluation.
    n_checks : int, default=5
        Most evaluations for each optimum.
    regret : float, default=None
        Tolerated gap between the objective at the optimum and its lowest value, in units of `y`.
        Compare probabilities only for the same regret: None tolerates a share of what the samples
        of each estimator span.

    Returns
    -------
    callable
        ``scorer(estimator, X, y)`` for `scoring=`; it returns the probability of the diagnosis. X
        and y are not looked at.

    See Also
    --------
    sklearn_proxyopt.ProxyOptimizer.diagnose : Makes the diagnosis.

    Examples
    --------
    >>> from sklearn_proxyopt import ProxyOptimizer
    >>> from sklearn_proxyopt.model_selection import credibility_scorer
    >>> from sklearn_proxyopt.problems import Rosenbrock
    >>> from sklearn_proxyopt.samplers import SobolSampler
    >>> problem = Rosenbrock(n_dims=2)
    >>> X = SobolSampler(128, random_state=0).sample(problem.bounds)
    >>> optimizer = ProxyOptimizer(random_state=0).fit(X, problem(X))
    >>> bool(credibility_scorer(problem)(optimizer, X, problem(X)) > 0.8)
    True
    """
    if objective is not None and not callable(objective):
        raise ValueError(f"objective must be callable or None; got {objective!r}.")
    check_integer(n_checks, "n_checks")
    if regret is not None:
        check_real(regret, "regret", minimum=0.0, include_minimum=False)
    return _CredibilityScorer(objective, n_checks, regret)


class _CredibilityScorer:
    """See `credibility_scorer`."""

    def __init__(self, objective: Any, n_checks: int, regret: float | None) -> None:
        self.objective = objective
        self.n_checks = n_checks
        self.regret = regret

    def __call__(self, estimator: Any, X: Any = None, y: Any = None) -> float:
        if hasattr(estimator, "best_estimator_"):
            return self(estimator.best_estimator_)
        if not hasattr(estimator, "diagnose"):
            raise ValueError(
                "estimator must be a ProxyOptimizer, which can diagnose itself; got "
                f"{type(estimator).__name__}."
            )
        diagnosis = estimator.diagnose(self.objective, n_checks=self.n_checks, regret=self.regret)
        return float(diagnosis.probability)

    def __repr__(self) -> str:
        return (
            f"credibility_scorer({self.objective!r}, n_checks={self.n_checks}, "
            f"regret={self.regret!r})"
        )


class _OptimumErrorScorer:
    """See `optimum_error_scorer`."""

    def __init__(self, problem: Any, of: str) -> None:
        self.problem = problem
        self.of = of

    def __call__(self, estimator: Any, X: Any = None, y: Any = None) -> float:
        x = optimum_of(estimator)
        n_features = np.atleast_2d(self.problem.x_opt).shape[1]
        if x.shape != (n_features,):
            raise ValueError(
                f"estimator must have an optimum of the problem's {n_features} variables; got "
                f"shape {x.shape}."
            )
        if self.of == "fun":
            value = np.asarray(self.problem(x[None]), dtype=np.float64)
            missed = float(value.reshape(-1)[0] - self.problem.f_opt)
            return -goal_of(estimator).value(missed)
        optima = np.atleast_2d(self.problem.x_opt)
        return -float(np.linalg.norm(optima - x, axis=1).min())

    def __repr__(self) -> str:
        return f"optimum_error_scorer({self.problem!r}, of={self.of!r})"


class _RegretScorer:
    """See `regret_scorer`."""

    def __init__(self, n_picks: int) -> None:
        self.n_picks = n_picks

    def __call__(self, estimator: Any, X: ArrayLike, y: ArrayLike) -> float:
        if np.size(y) != np.shape(y)[0]:
            raise ValueError(
                f"y must have one value a sample for a regret; got shape {np.shape(y)}."
            )
        predicted = np.asarray(estimator.predict(X), dtype=np.float64).reshape(-1)
        if not np.isfinite(predicted).all():
            raise ValueError("estimator must predict finite values; got NaN or infinity.")
        truth = np.asarray(y, dtype=np.float64).reshape(-1)
        goal = goal_of(estimator)
        predicted, truth = goal.turned(predicted), goal.turned(truth)
        picks = np.argsort(predicted, kind="stable")[: self.n_picks]
        return -float(truth[picks].min() - truth.min())

    def __repr__(self) -> str:
        return f"regret_scorer(n_picks={self.n_picks})"


def goal_of(estimator: Any) -> Goal:
    """Return what a fitted estimator seeks, also inside a search or a pipeline; else a minimum."""
    for name in ("best_estimator_", "regressor_"):
        if hasattr(estimator, name):
            return goal_of(getattr(estimator, name))
    if isinstance(estimator, Pipeline):
        return goal_of(estimator[-1])
    goal: Goal = getattr(estimator, "_goal", MINIMUM)
    return goal


def optimum_of(estimator: Any) -> NDArray[np.float64]:
    """Return the optimum of a fitted estimator in the units of the samples that it was fitted on.

    Behind transformers, `x_` of an optimizer is in the units of the transformed samples; here they
    are inverted.

    Parameters
    ----------
    estimator : estimator
        A `ProxyOptimizer`, or a pipeline, a search or a `TransformedTargetRegressor` with one
        inside; fitted. Transformers need `inverse_transform`.

    Returns
    -------
    ndarray of shape (n_features,)
        The optimum.

    Raises
    ------
    ValueError
        If there is no optimum inside.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_proxyopt import ProxyOptimizer
    >>> from sklearn_proxyopt.model_selection import optimum_of
    >>> from sklearn_proxyopt.problems import Rosenbrock
    >>> from sklearn_proxyopt.samplers import SobolSampler
    >>> problem = Rosenbrock(n_dims=2)
    >>> X = SobolSampler(128, random_state=0).sample(problem.bounds)
    >>> pipeline = make_pipeline(StandardScaler(), ProxyOptimizer(random_state=0))
    >>> optimum_of(pipeline.fit(X, problem(X))).round(2)
    array([1., 1.])
    """
    if hasattr(estimator, "best_estimator_"):
        return optimum_of(estimator.best_estimator_)
    if isinstance(estimator, TransformedTargetRegressor):
        check_is_fitted(estimator)
        return optimum_of(estimator.regressor_)
    if isinstance(estimator, Pipeline):
        x = optimum_of(estimator[-1])
        if len(estimator) > 1:
            x = np.asarray(estimator[:-1].inverse_transform(x[None]), dtype=np.float64)[0]
        return x
    if not hasattr(estimator, "x_"):
        raise ValueError(
            f"estimator must be fitted and have an optimum x_; got {type(estimator).__name__}."
        )
    return np.asarray(estimator.x_, dtype=np.float64)
