"""The meta-estimator: learn a proxy, find its minimum, make it real."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult
from scipy.spatial import cKDTree
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from sklearn_proxyopt._box import bounds_of_rows, to_unit_cube
from sklearn_proxyopt._validation import (
    as_generator,
    check_bounds,
    check_integer,
    check_option,
)
from sklearn_proxyopt.evaluation import EvaluationRecord, Evaluator
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.proxies import NeuralProxyRegressor
from sklearn_proxyopt.proxies._function import ProxyFunction
from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.samplers import SobolSampler

__all__ = ["ProxyOptimizer"]

_DEFAULT_N_SAMPLES = 1024
# Best rows handed to the search as starting points.
_N_STARTING_ROWS = 10
# Points nearer to one another than this, in the unit cube, are the same experiment.
_SAME_POINT = 1e-9


class ProxyOptimizer(CallbackSupportMixin, MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Find the minimum of an expensive function through a proxy.

    `fit` learns a proxy from rows that were already paid for and finds the proxy's minimum.
    `minimize` buys the rows from a function, does the same, and then refines the proxy's best
    points on the function. `ask` and `tell` do it with experiments that are run elsewhere.

    Parameters
    ----------
    objective : callable, default=None
        The function to be minimised, where there is one. With an objective and a sampler, `fit`
        learns from the sampler's design, evaluated by the objective, in place of its rows.
    bounds : array-like of shape (n_features, 2) or scipy.optimize.Bounds, default=None
        The box, in the user's units. None takes the smallest box that holds the rows.
    sampler : sampler, default=None
        Decides which rows the proxy learns from: those of its design, bought from the objective
        or, without one, picked among the rows given. None takes every row given; `minimize`
        without rows then buys a Sobol design of 1,024.
    proxy : regressor, default=None
        Learns the function; None for a `NeuralProxyRegressor`.
    optimizer : optimizer, default=None
        Searches the proxy; None for a `MultiStartBFGS`.
    refiner : "auto", refiner or None, default="auto"
        Spends true evaluations on the proxy's best points in `minimize`: "auto" for a
        `LocalRefinement`, None to spend none but that of the proxy's optimum.
    vectorized : bool, default=True
        Whether the objective takes rows of shape (n, n_features) and returns (n,); otherwise it
        takes one row of shape (n_features,) and returns a number.
    on_error : {"raise", "drop"}, default="raise"
        Whether an evaluation that fails ends the run, or is left out and counted.
    random_state : None, int, RandomState or Generator, default=None
        Seeds the sampler, the proxy and the optimizer where they have no seed of their own. No
        global generator is touched.
    verbose : int, default=0
        At 1 and above, prints a line a stage.

    Attributes
    ----------
    x_ : ndarray of shape (n_features_in_,)
        The answer: the best true point after `minimize`, the proxy's optimum after `fit` and
        `tell`.
    fun_ : float
        Its value: true after `minimize`, promised by the proxy after `fit` and `tell`.
    x_proxy_ : ndarray of shape (n_features_in_,)
        The proxy's optimum.
    fun_proxy_ : float
        What the proxy promises there.
    x_best_row_ : ndarray of shape (n_features_in_,)
        The row with the lowest value inside the box, before any refinement.
    fun_best_row_ : float
        Its value.
    X_ : ndarray of shape (n_rows, n_features_in_)
        The evaluated rows. After an evaluation that failed, those paid for until then.
    y_ : ndarray of shape (n_rows,)
        Their values.
    proxy_ : regressor
        The fitted proxy.
    bounds_ : ndarray of shape (n_features_in_, 2)
        The box.
    result_ : scipy.optimize.OptimizeResult
        What `minimize` returns; after `fit` and `tell`, the result of the search on the proxy.
    n_features_in_ : int
        Number of variables.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the variables, if `X` had any.

    See Also
    --------
    NeuralProxyRegressor : The default proxy.
    sklearn_proxyopt.model_selection : Scorers on the optimum, for a grid search.

    Notes
    -----
    An evaluation is paid for once. The record of what was evaluated belongs to the objective and
    is shared by an estimator and its clones, so that folds and refits that ask for the same point
    are answered from it; a worker process has a record of its own.

    Examples
    --------
    >>> from sklearn_proxyopt import ProxyOptimizer
    >>> from sklearn_proxyopt.problems import Rosenbrock
    >>> from sklearn_proxyopt.samplers import SobolSampler
    >>> problem = Rosenbrock(n_dims=2)
    >>> optimizer = ProxyOptimizer(sampler=SobolSampler(128), random_state=0)
    >>> result = optimizer.minimize(problem, problem.bounds)
    >>> bool(result.fun < 1e-6)
    True
    """

    X_: NDArray[np.float64]
    y_: NDArray[np.float64]
    bounds_: NDArray[np.float64]
    result_: OptimizeResult
    _candidates: NDArray[np.float64]
    _pending: NDArray[np.float64]

    def __init__(
        self,
        objective: Callable[..., Any] | None = None,
        bounds: Any = None,
        *,
        sampler: Any = None,
        proxy: Any = None,
        optimizer: Any = None,
        refiner: Any = "auto",
        vectorized: bool = True,
        on_error: str = "raise",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.objective = objective
        self.bounds = bounds
        self.sampler = sampler
        self.proxy = proxy
        self.optimizer = optimizer
        self.refiner = refiner
        self.vectorized = vectorized
        self.on_error = on_error
        self.random_state = random_state
        self.verbose = verbose

    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike, **fit_params: Any) -> Self:
        """Learn a proxy and find its minimum.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows that were already evaluated.
        y : array-like of shape (n_samples,)
            Their values, to be minimised.
        **fit_params : dict
            Passed on to the proxy's `fit`; not together with a sampler.

        Returns
        -------
        self
            The fitted optimizer.
        """
        X, y = validate_data(
            self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2, order="C"
        )
        y = y.astype(np.float64)
        self.check_parameters()
        bounds = self._box_of(X)
        self._forget_questions()
        if self.sampler is not None and fit_params:
            raise ValueError(
                f"sampler must be None together with parameters for the proxy's fit; got "
                f"{', '.join(fit_params)}."
            )
        seeds = self._draw_seeds()
        if self.sampler is not None and self.objective is not None:
            evaluator = self._evaluator(self.objective)
            with self._keeping_paid_rows(evaluator, X[:0], y[:0]):
                X, y = self._buy_design(evaluator, bounds, seeds["sampler"])
        elif self.sampler is not None:
            rows = _seeded(self.sampler, seeds["sampler"]).select(X, bounds)
            X, y = X[rows], y[rows]
        search = self._learn(X, y, bounds, seeds, **fit_params)
        self._answer_by_proxy(search)
        return self

    @with_callbacks
    def minimize(
        self,
        fun: Callable[..., Any] | None = None,
        bounds: Any = None,
        *,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
    ) -> OptimizeResult:
        """Find the minimum of a function, refined on the function itself.

        Parameters
        ----------
        fun : callable, default=None
            The function; None takes the parameter `objective`.
        bounds : array-like of shape (n_features, 2) or scipy.optimize.Bounds, default=None
            The box; None takes the parameter `bounds`, or else the box of the rows `X`.
        X : array-like of shape (n_samples, n_features), default=None
            Rows of the function that were already paid for. With them and no sampler, no design
            is bought.
        y : array-like of shape (n_samples,), default=None
            Their values.

        Returns
        -------
        scipy.optimize.OptimizeResult
            `x` and `fun`, the best true point, never worse than the best row; `x_proxy` and
            `fun_proxy`, where the proxy alone would have sent you and what it promised;
            `true_at_proxy`, the true value there (NaN if it failed); `nfev`, the rows the
            function was really called on; `nfev_design` of them for the design; `n_failed`;
            `nit`, the descents of the refinement; `success` and `message`.

        Raises
        ------
        EvaluationError
            If an evaluation fails and `on_error` is "raise". The rows paid for stay in `X_` and
            `y_`.
        """
        objective = self.objective if fun is None else fun
        if not callable(objective):
            raise ValueError(f"fun must be callable; got {objective!r}.")
        self.check_parameters()
        if (X is None) != (y is None):
            raise ValueError("X and y must be given together; got only one of them.")
        rows, values = np.empty((0, 0)), np.empty(0)
        if X is not None:
            rows, values = validate_data(
                self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2, order="C"
            )
        given = self.bounds if bounds is None else bounds
        if given is None and X is None:
            raise ValueError("bounds must be given where no rows X tell the box; got None.")
        box = bounds_of_rows(rows) if given is None else check_bounds(given)
        if X is not None:
            check_bounds(box, rows.shape[1])
        else:
            self.__dict__.pop("feature_names_in_", None)
            self.n_features_in_ = len(box)
            rows = np.empty((0, len(box)))

        self._forget_questions()
        seeds = self._draw_seeds()
        evaluator = self._evaluator(objective)
        with self._keeping_paid_rows(evaluator, rows, values):
            learned, targets = rows, values
            if X is None or self.sampler is not None:
                design, design_values = self._buy_design(evaluator, box, seeds["sampler"])
                learned = np.vstack([rows, design])
                targets = np.concatenate([values, design_values])
            n_design = evaluator.n_calls
            search = self._learn(learned, targets, box, seeds)
            self._refine(evaluator, search, n_design)
        return self.result_

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict values of the function by the proxy.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray of shape (n_samples,)
            Predictions.
        """
        check_is_fitted(self, "proxy_")
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return ProxyFunction(self.proxy_)(X)

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
        pending = getattr(self, "_pending", np.empty((0, len(self.bounds_))))
        known = getattr(self, "X_", np.empty((0, len(self.bounds_))))
        taken = to_unit_cube(np.vstack([known, pending]), self.bounds_)
        has_proxy = hasattr(self, "proxy_")
        chosen = np.empty((0, len(self.bounds_)))
        if has_proxy:
            chosen = _new_points(self._candidates, taken, self.bounds_)[: -(-n_points // 2)]
        n_missing = n_points - len(chosen)
        if n_missing:
            taken = np.vstack([taken, to_unit_cube(chosen, self.bounds_)])
            pool = self._design_points(taken, n_missing)
            if has_proxy:
                pool = _farthest_points(pool, taken, self.bounds_, n_missing)
            chosen = np.vstack([chosen, pool[:n_missing]])
        self._pending = np.vstack([pending, chosen])
        return chosen

    def tell(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Add evaluated rows, learn anew and find the proxy's minimum again.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, asked for or not.
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
        X, y = validate_data(
            self, X, y, dtype=np.float64, y_numeric=True, reset=not has_rows, order="C"
        )
        self.check_parameters()
        known, known_values = (self.X_, self.y_) if has_rows else (X[:0], y[:0])
        self.X_ = np.vstack([known, X])
        self.y_ = np.concatenate([known_values, y]).astype(np.float64)
        if hasattr(self, "_pending"):
            self._pending = self._pending[~_is_near(self._pending, X, self.bounds_)]
        if len(self.X_) < 2:
            return self
        keeps_box = self.bounds is None and hasattr(self, "bounds_")
        bounds = self.bounds_ if keeps_box else self._box_of(self.X_)
        search = self._learn(self.X_, self.y_, bounds, self._draw_seeds())
        self._answer_by_proxy(search)
        return self

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits.

        The parts are asked too, wherever they lie inside one another, so that nothing is paid for
        before all of them are known to be in order.
        """
        if self.objective is not None and not callable(self.objective):
            raise ValueError(f"objective must be callable or None; got {self.objective!r}.")
        for name, methods in (
            ("sampler", ("sample", "select")),
            ("proxy", ("fit", "predict")),
            ("optimizer", ("minimize",)),
            ("refiner", ("refine",)),
        ):
            part = getattr(self, name)
            if part is None or (name == "refiner" and isinstance(part, str) and part == "auto"):
                continue
            missing = [method for method in methods if not hasattr(part, method)]
            if missing or isinstance(part, type):
                raise ValueError(
                    f"{name} must be an instance with the methods {', '.join(methods)}; "
                    f"got {part!r}."
                )
        check_option(self.vectorized, "vectorized", (True, False))
        check_option(self.on_error, "on_error", ("raise", "drop"))
        for part in self.get_params(deep=True).values():
            if hasattr(part, "check_parameters") and not isinstance(part, type):
                part.check_parameters()

    def _forget_questions(self) -> None:
        """Drop what `ask` handed out before: a fit anew starts from its own rows alone."""
        for name in ("_pending", "_design_sampler"):
            self.__dict__.pop(name, None)

    def _box_of(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.bounds is None:
            return bounds_of_rows(X)
        return check_bounds(self.bounds, X.shape[1])

    def _draw_seeds(self) -> dict[str, int]:
        """Draw a seed for each part, in an order that does not depend on which are used."""
        rng = as_generator(self.random_state)
        names = ("sampler", "proxy", "optimizer")
        return {name: int(rng.integers(2**31 - 1)) for name in names}

    def _evaluator(self, objective: Callable[..., Any]) -> Evaluator:
        return Evaluator(
            objective,
            vectorized=self.vectorized,
            on_error=self.on_error,
            record=self._record_of(objective),
        )

    def _record_of(self, objective: Callable[..., Any]) -> EvaluationRecord:
        """Return the record of an objective, a new one if it is not the one known."""
        owner, record = self.__dict__.get("_record", (None, None))
        same = owner is objective or (type(owner) is type(objective) and owner == objective)
        if record is None or not same:
            record = EvaluationRecord()
            self._record = (objective, record)
        return record

    def _buy_design(
        self, evaluator: Evaluator, bounds: NDArray[np.float64], seed: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sample a design and evaluate it."""
        sampler = SobolSampler(_DEFAULT_N_SAMPLES) if self.sampler is None else self.sampler
        design = _seeded(sampler, seed).sample(bounds)
        self._say(f"Evaluating a design of {len(design)} rows.")
        values = evaluator(design)
        good = np.isfinite(values)
        if good.sum() < 2:
            raise ValueError(
                f"objective must succeed on at least two rows of the design; got {good.sum()} of "
                f"{len(design)}."
            )
        return design[good], values[good]

    @contextmanager
    def _keeping_paid_rows(
        self, evaluator: Evaluator, X: NDArray[np.float64], y: NDArray[np.float64]
    ) -> Iterator[None]:
        """Leave every evaluated row in `X_` and `y_` if the block fails, those given first."""
        try:
            yield
        except BaseException:
            paid, values = evaluator.record.rows(X.shape[1])
            self.X_, self.y_ = np.vstack([X, paid]), np.concatenate([y, values])
            raise

    def _design_points(self, taken: NDArray[np.float64], n_points: int) -> NDArray[np.float64]:
        """Return the points of the sampler's design that are not taken, at least `n_points`."""
        if not hasattr(self, "_design_sampler"):
            sampler = SobolSampler(_DEFAULT_N_SAMPLES) if self.sampler is None else self.sampler
            self._design_sampler = _seeded(sampler, self._draw_seeds()["sampler"])
        points = _new_points(self._design_sampler.sample(self.bounds_), taken, self.bounds_)
        while len(points) < n_points and "n_samples" in self._design_sampler.get_params():
            self._design_sampler.set_params(n_samples=2 * self._design_sampler.n_samples)
            points = _new_points(self._design_sampler.sample(self.bounds_), taken, self.bounds_)
        if len(points) < n_points:
            raise ValueError(
                f"n_points must not exceed the {len(points)} points that the sampler's design has "
                f"left; got {n_points}."
            )
        return points

    def _learn(
        self,
        X: NDArray[np.float64],
        y: NDArray[np.float64],
        bounds: NDArray[np.float64],
        seeds: dict[str, int],
        **fit_params: Any,
    ) -> OptimizeResult:
        """Fit the proxy and search it."""
        self.X_, self.y_, self.bounds_ = X, y, bounds
        inside = ((bounds[:, 0] <= X) & (bounds[:, 1] >= X)).all(axis=1)
        order = np.argsort(np.where(inside, y, np.inf), kind="stable")
        best_rows = X[order[: min(_N_STARTING_ROWS, int(inside.sum()))]]
        if not len(best_rows):
            raise ValueError("bounds must hold at least one of the rows; got none inside.")
        self.x_best_row_, self.fun_best_row_ = best_rows[0].copy(), float(y[order[0]])

        proxy = NeuralProxyRegressor() if self.proxy is None else self.proxy
        optimizer = MultiStartBFGS() if self.optimizer is None else self.optimizer
        self.proxy_ = _seeded(proxy, seeds["proxy"])
        self.optimizer_ = _seeded(optimizer, seeds["optimizer"])
        self._say(f"Training {type(self.proxy_).__name__} on {len(X)} rows.")
        context = self._init_callback_context(max_subtasks=2)
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        training = context.subcontext(task_name="train")
        with training.propagate_callback_context(self.proxy_):
            training.call_on_fit_task_begin(estimator=self, X=X, y=y)
            self.proxy_.fit(X, y, **fit_params)
            training.call_on_fit_task_end(estimator=self, X=X, y=y)
        self._say(f"Searching the proxy by {type(self.optimizer_).__name__}.")
        searching = context.subcontext(task_name="search")
        searching.call_on_fit_task_begin(estimator=self, X=X, y=y)
        search = self.optimizer_.minimize(ProxyFunction(self.proxy_), bounds, x0=best_rows)
        searching.call_on_fit_task_end(estimator=self, X=X, y=y)
        if not np.isfinite(search.fun):
            raise ValueError(
                f"proxy must predict finite values inside the box; got none from "
                f"{type(self.proxy_).__name__}."
            )
        self.x_proxy_, self.fun_proxy_ = search.x, float(search.fun)
        self._candidates = np.atleast_2d(search.get("x_candidates", search.x))
        context.call_on_fit_task_end(estimator=self, X=X, y=y)
        self._say(f"The proxy promises {self.fun_proxy_:.6g}; best row {self.fun_best_row_:.6g}.")
        return search

    def _answer_by_proxy(self, search: OptimizeResult) -> None:
        """Let the proxy's optimum be the answer, where nothing true can be evaluated."""
        self.x_, self.fun_ = self.x_proxy_, self.fun_proxy_
        search.x_proxy, search.fun_proxy = self.x_proxy_, self.fun_proxy_
        self.result_ = search

    def _refine(self, evaluator: Evaluator, search: OptimizeResult, n_design: int) -> None:
        """Spend true evaluations on the proxy's best points."""
        if self.refiner is None:
            refiner = LocalRefinement(max_evaluations=1, n_candidates=1)
        else:
            refiner = LocalRefinement() if isinstance(self.refiner, str) else clone(self.refiner)
        asked: list[NDArray[np.float64]] = []
        values: list[NDArray[np.float64]] = []

        def evaluate(rows: NDArray[np.float64]) -> NDArray[np.float64]:
            result = evaluator(rows)
            asked.append(rows)
            values.append(result)
            return result

        refined = refiner.refine(
            evaluate,
            self._candidates,
            self.bounds_,
            incumbent=(self.x_best_row_, self.fun_best_row_),
        )
        if asked:
            good = np.isfinite(np.concatenate(values))
            self.X_ = np.vstack([self.X_, np.vstack(asked)[good]])
            self.y_ = np.concatenate([self.y_, np.concatenate(values)[good]])
        best_seen = self.fun_best_row_ <= refined.fun
        self.x_ = self.x_best_row_ if best_seen else refined.x
        self.fun_ = float(min(self.fun_best_row_, refined.fun))
        self.result_ = OptimizeResult(
            x=self.x_,
            fun=self.fun_,
            nfev=evaluator.n_calls,
            nit=refined.nit,
            success=bool(search.success and refined.success),
            message=f"{refined.message} Search on the proxy: {search.message}",
            x_proxy=self.x_proxy_,
            fun_proxy=self.fun_proxy_,
            true_at_proxy=float(refined.get("candidate_values", [np.nan])[0]),
            nfev_design=n_design,
            n_failed=evaluator.n_failed,
        )
        self._say(f"Best true value {self.fun_:.6g} after {evaluator.n_calls} evaluations.")

    def _say(self, text: str) -> None:
        if self.verbose:
            print(f"[ProxyOptimizer] {text}")

    def __getstate__(self) -> dict[str, Any]:
        # The record of a function that is no parameter would drag that function along.
        state = super().__getstate__()
        if state.get("_record", (None,))[0] is not self.objective:
            state = {name: value for name, value in state.items() if name != "_record"}
        return state

    def __sklearn_clone__(self) -> Self:
        # The objective is handed on as it is: a simulator is no parameter to be copied. So is
        # the record of what was paid for.
        bare = copy.copy(self)
        bare.objective = None
        bare.__dict__.pop("_record", None)
        cloned = BaseEstimator.__sklearn_clone__(bare)
        cloned.objective = self.objective
        if self.objective is not None:
            self._record_of(self.objective)
            cloned._record = self._record
        return cloned

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = False
        return tags


def _seeded(estimator: Any, seed: int) -> Any:
    """Return a clone in which every random_state that was None has a seed."""
    estimator = clone(estimator)
    rng = np.random.default_rng(seed)
    params = estimator.get_params(deep=True)
    names = sorted(
        name for name in params if name == "random_state" or name.endswith("__random_state")
    )
    seeds = {name: int(rng.integers(2**31 - 1)) for name in names}
    missing = {name: seeds[name] for name in names if params[name] is None}
    if missing:
        estimator.set_params(**missing)
    return estimator


def _is_near(
    rows: NDArray[np.float64], others: NDArray[np.float64], bounds: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tell which rows are among the others."""
    distance = cKDTree(to_unit_cube(others, bounds)).query(to_unit_cube(rows, bounds))[0]
    return distance < _SAME_POINT


def _new_points(
    points: NDArray[np.float64], taken: NDArray[np.float64], bounds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the points that are not taken."""
    if not len(taken):
        return points
    distance = cKDTree(taken).query(to_unit_cube(points, bounds))[0]
    return points[distance >= _SAME_POINT]


def _farthest_points(
    pool: NDArray[np.float64],
    taken: NDArray[np.float64],
    bounds: NDArray[np.float64],
    n_points: int,
) -> NDArray[np.float64]:
    """Pick from a pool, one after another, the point farthest from all that are taken."""
    units = to_unit_cube(pool, bounds)
    distance = cKDTree(taken).query(units)[0]
    chosen = np.empty(n_points, dtype=np.intp)
    for i in range(n_points):
        chosen[i] = np.argmax(distance)
        distance = np.minimum(distance, np.linalg.norm(units - units[chosen[i]], axis=1))
    return pool[chosen]
