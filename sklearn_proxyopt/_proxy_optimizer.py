"""The meta-estimator: learn a proxy, find its minimum, make it real."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from os import PathLike
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils.validation import check_is_fitted

from sklearn_proxyopt._proxy_search._failure_model import risk_in_units
from sklearn_proxyopt._proxy_search._model import LearnedProxy, function_of, without_names
from sklearn_proxyopt._proxy_search._penalty import MeritFunction, merit_of_rows
from sklearn_proxyopt._proxy_search._smoothed_search import check_smoothing
from sklearn_proxyopt._run._ask_tell import AskTellMixin
from sklearn_proxyopt._run._components import (
    check_optimizer,
    check_parts,
    check_that_outputs_are_borne,
)
from sklearn_proxyopt._run._diagnose import DiagnosingMixin
from sklearn_proxyopt._run._oracle import Purchases
from sklearn_proxyopt._run._persistence import SavingAnswersMixin
from sklearn_proxyopt._run._phases import SpendingMixin, refinement_of
from sklearn_proxyopt._run._progress import Stages
from sklearn_proxyopt._run._run import BuyingMixin
from sklearn_proxyopt._run._space_spec import SpaceMixin
from sklearn_proxyopt._run._stopping import Limits, RunEndedError
from sklearn_proxyopt._utils._feasibility import say_whether_feasible, values_of
from sklearn_proxyopt._utils._seeding import seeded
from sklearn_proxyopt._utils._validation import (
    check_integer,
    check_option,
)
from sklearn_proxyopt.evaluation import Journal
from sklearn_proxyopt.refine._surrogate_cmaes import SurrogateSearch
from sklearn_proxyopt.variables import Variables
from sklearn_proxyopt.variables._design import Design

__all__ = ["ProxyOptimizer"]


class ProxyOptimizer(
    AskTellMixin,
    BuyingMixin,
    DiagnosingMixin,
    SavingAnswersMixin,
    SpaceMixin,
    SpendingMixin,
    CallbackSupportMixin,
    MetaEstimatorMixin,
    RegressorMixin,
    BaseEstimator,
):
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
    n_constraints : int, default=0
        How many constraints the objective returns beside its value, which are as expensive as the
        value itself: outputs then have shape (n, 1 + n_constraints), value first, and a row is
        feasible where each of the others is at most 0. The proxy learns them all; any regressor
        of several targets will do.
    smoothing : None, "auto", float or sequence of float, default=None
        Noise levels of smoother proxies, in widths of the box, from smooth to sharp: one more fit
        learns them all, the search begins on the smoothest, follows its minima down to the proxy,
        and what it finds there joins what a search of the proxy alone finds. "auto" learns
        seven and begins with the one that has the fewest basins among those whose minimum leads
        to the proxy's lowest. See `smoothing_report_`. Needs a `NeuralProxyRegressor`, whose
        `over_prediction_penalty` the levels share, or have 10 where it is 1.
    refiner : "auto", refiner or None, default="auto"
        Spends true evaluations on the proxy's best points in `minimize`: "auto" for a
        `LocalRefinement`, or with a budget for a `SurrogateCMAES`, which begins before the proxy
        learns; None to spend none but that of the proxy's optimum. One that is given keeps to its
        own `max_evaluations` within a budget too; that of a `SurrogateCMAES` is what the budget
        leaves where it is None.
    infill : infill strategy, default=None
        Chooses the points of further rounds of evaluations in `minimize`, between the first design
        and the refinement, from a proxy that learns anew each round; see
        `sklearn_proxyopt.infill`. None has no such rounds.
    n_rounds : int, default=None
        How many rounds of infill at most. None takes 10, or with a budget as many as half of what
        it leaves after the design pays for.
    vectorized : bool, default=True
        Whether the objective takes rows of shape (n, n_features) and returns (n,); otherwise it
        takes one row of shape (n_features,) and returns a number.
    on_error : {"raise", "drop", "learn"}, default="raise"
        What an evaluation that fails leads to: "raise" ends the run; "drop" leaves it out and
        counts it; "learn" does too, and learns where evaluations are likely to fail, so that
        search and infill keep away from there. No failure is given a value.
    n_jobs : int, default=None
        How many evaluations run side by side, through joblib; see `Evaluator`.
    time_limit : float, default=None
        Seconds that one evaluation may take, for a function of one row; longer is a failure.
    n_retries : int, default=0
        How often an evaluation that failed is tried again.
    journal : str or path-like, default=None
        A file where each evaluation is written before it is used. The same program started again
        goes on from it, however it ended. See `sklearn_proxyopt.evaluation.Journal`.
    feature_names : sequence of str, default=None
        Names of the variables; None takes those of a DataFrame, where rows come as one.
    integrality : array-like of shape (n_features,), default=None
        1 for a variable that is a whole number, 0 for another, as in SciPy; a scalar holds for
        all. Of its bounds the whole numbers between them count.
    categories : dict, default=None
        The labels of each variable that is a category, under its name or place. Rows hold the
        code 0, 1, ... of a label, its place among them; a DataFrame passed in holds the label. The
        bounds of a category may be None.
    log_scale : sequence of str or int, default=None
        Names or places of variables that are designed, learned and searched on a logarithmic
        axis. Their bounds must be above 0.
    constraints : LinearConstraint, NonlinearConstraint or sequence of them, default=()
        Known, cheap constraints of `scipy.optimize` on rows in the user's units, codes included.
        No row that misses one is evaluated or returned.
    named_rows : bool, default=False
        Whether the objective takes rows under the names of the variables, with labels for codes:
        a DataFrame, or a dict for one row.
    verdict : bool, default=True
        Whether `minimize` ends with a verdict on its answer, which takes about as long as the
        training and the search, and warns where it does not believe it. See `diagnose`.
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
        Its value, without constraints: true after `minimize`, promised by the proxy after `fit`
        and `tell`.
    x_proxy_ : ndarray of shape (n_features_in_,)
        The proxy's optimum.
    fun_proxy_ : float
        What the proxy promises there.
    x_best_row_ : ndarray of shape (n_features_in_,)
        The row with the lowest value inside the box, before any refinement; with constraints
        the best feasible one, or, if none is, that with the least violation.
    fun_best_row_ : float
        Its value.
    X_ : ndarray of shape (n_rows, n_features_in_)
        The evaluated rows. After an evaluation that failed, those paid for until then.
    y_ : ndarray of shape (n_rows,) or (n_rows, 1 + n_constraints)
        Their values, with constraints if there are any.
    n_learned_ : int
        How many of them, from the first on, the proxy learned from.
    X_failed_ : ndarray of shape (n_failed, n_features_in_)
        The rows whose evaluation failed.
    X_pending_ : ndarray of shape (n_pending, n_features_in_)
        The points handed out by `ask` and not told yet.
    failure_risk_ : callable or None
        With `on_error="learn"` and failures to learn from: takes rows and returns the probability
        that the evaluation of each fails.
    proxy_ : regressor
        The fitted proxy.
    ladder_ : NeuralProxyRegressor
        With `smoothing`: the smoother proxies, a member each.
    smoothing_report_ : dict
        With `smoothing`: what the dial does, with an entry for each level, the proxy's last:
        `noise`; `basins`, the number of distinct minima; `drift`, how far the lowest of them lies
        from where the walk from it ends on the proxy, as the root mean square over the variables
        in widths of the box; `promise`, the proxy's value there; `used`, whether the search went
        by it.
    bounds_ : ndarray of shape (n_features_in_, 2)
        The box.
    result_ : scipy.optimize.OptimizeResult
        What `minimize` returns; after `fit` and `tell`, the result of the search on the proxy.
    variables_ : Variables
        The variables: the box, their kinds and constraints. `variables_.to_frame` shows rows
        under their names, with labels; `variables_.snap` makes rows valid and feasible.
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
    are answered from it. A worker process has a record of its own, unless there is a journal,
    which they all share.

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

    _saved_class = "ProxyOptimizer"
    _seeded = ("sampler", "proxy", "optimizer", "diagnosis", "refiner", "infill")
    X_: NDArray[np.float64]
    y_: NDArray[np.float64]
    X_failed_: NDArray[np.float64]
    bounds_: NDArray[np.float64]
    variables_: Variables
    result_: OptimizeResult
    _candidates: NDArray[np.float64]

    def __init__(
        self,
        objective: Callable[..., Any] | None = None,
        bounds: Any = None,
        *,
        sampler: Any = None,
        proxy: Any = None,
        optimizer: Any = None,
        n_constraints: int = 0,
        smoothing: Any = None,
        refiner: Any = "auto",
        infill: Any = None,
        n_rounds: int | None = None,
        vectorized: bool = True,
        on_error: str = "raise",
        n_jobs: int | None = None,
        time_limit: float | None = None,
        n_retries: int = 0,
        journal: str | PathLike[str] | None = None,
        feature_names: Any = None,
        integrality: Any = None,
        categories: Any = None,
        log_scale: Any = None,
        constraints: Any = (),
        named_rows: bool = False,
        verdict: bool = True,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.objective = objective
        self.bounds = bounds
        self.sampler = sampler
        self.proxy = proxy
        self.optimizer = optimizer
        self.n_constraints = n_constraints
        self.smoothing = smoothing
        self.refiner = refiner
        self.infill = infill
        self.n_rounds = n_rounds
        self.vectorized = vectorized
        self.on_error = on_error
        self.n_jobs = n_jobs
        self.time_limit = time_limit
        self.n_retries = n_retries
        self.journal = journal
        self.feature_names = feature_names
        self.integrality = integrality
        self.categories = categories
        self.log_scale = log_scale
        self.constraints = constraints
        self.named_rows = named_rows
        self.verdict = verdict
        self.random_state = random_state
        self.verbose = verbose

    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike, **fit_params: Any) -> Self:
        """Learn a proxy and find its minimum.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows that were already evaluated; of a category the code, or the label in a DataFrame.
        y : array-like of shape (n_samples,) or (n_samples, 1 + n_constraints)
            Their values, to be minimised, with constraints if there are any.
        **fit_params : dict
            Passed on to the proxy's `fit`; not together with a sampler.

        Returns
        -------
        self
            The fitted optimizer.
        """
        self._check_n_constraints()
        X, y = self._validate_rows(X, y, n_least=2)
        self.check_parameters()
        space = self._space(self.bounds, X)
        if self.sampler is not None and fit_params:
            raise ValueError(
                f"sampler must be None together with parameters for the proxy's fit; got "
                f"{', '.join(fit_params)}."
            )
        failed, stages = X[:0], Stages(self, 3)
        if self.sampler is not None and self.objective is not None:
            # Folds and candidates of a grid search wait for one another, and share what is bought.
            with self._buying(
                self.objective, X[:0], y[:0], space, self.bounds, np.inf
            ) as purchases:
                self._begin_anew(keeps_box=False)
                seeds = self._draw_seeds(purchases)
                self._buy_design(purchases, space, seeds, stages)
            X, y, failed = purchases.X, purchases.y, purchases.X_failed
        else:
            self._begin_anew(keeps_box=False)
            seeds = self._draw_seeds()
            if self.sampler is not None:
                rows = Design(seeded(self.sampler, seeds["sampler"]), space).select(X)
                X, y = X[rows], y[rows]
        search = self._learn(X, y, failed, space, seeds, stages, **fit_params)
        self._answer_by_proxy(search)
        stages.end(f"The proxy promises {self.fun_proxy_:.6g}.")
        return self

    @with_callbacks
    def minimize(
        self,
        fun: Callable[..., Any] | None = None,
        bounds: Any = None,
        *,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        budget: int | None = None,
        target: float | None = None,
        max_seconds: float | None = None,
        patience: int | None = None,
    ) -> OptimizeResult:
        """Find the minimum of a function, refined on the function itself.

        With a budget and the defaults, a small design is followed by a search of the function
        itself that a local proxy guides (`SurrogateCMAES`); after half of the budget the proxy
        learns all rows, its minima are evaluated, and the search goes on from the best.

        Parameters
        ----------
        fun : callable, default=None
            The function; None takes the parameter `objective`.
        bounds : array-like of shape (n_features, 2) or scipy.optimize.Bounds, default=None
            The box; None takes the parameter `bounds`, or else the box of the rows `X`. The row
            of a category may be None.
        X : array-like of shape (n_samples, n_features), default=None
            Rows of the function that were already paid for. With them and no sampler, no design
            is bought; with a sampler, the points of its design that are among them are not bought
            again. Each run begins anew: what was told before is known to it where it is given
            here, as ``X=opt.X_, y=opt.y_``.
        y : array-like of shape (n_samples,) or (n_samples, 1 + n_constraints), default=None
            Their values, with constraints if there are any.
        budget : int, default=None
            Rows that the function may be asked for, at least 4; rows given do not count, those
            that an earlier run paid for do. None leaves it to the sampler, the infill and the
            refiner.
        target : float, default=None
            The run ends at a value as low as this. Evaluations that have begun side by side, or in
            the same call of a vectorised function, still count.
        max_seconds : float, default=None
            No evaluation begins after this many seconds, and no call of a vectorised function,
            but for those until two rows have succeeded; the proxy still learns.
        patience : int, default=None
            The run ends after this many evaluations in a row without a lower value, when a batch
            is over.

        Returns
        -------
        scipy.optimize.OptimizeResult
            `x` and `fun`, the best true point, never worse than the best row, also of the
            journal; `x_proxy` and `fun_proxy`, where the proxy alone would have sent you and what
            it promised; `true_at_proxy`, the true value there (NaN if it failed); `nfev`, the rows
            the function was really called on; `nfev_design` of them before the proxy learned;
            `n_failed`; `nit`, the descents of the refinement; `success` and `message`, which says
            what ended the run; `verdict` and `probability`, whether `x` can be believed (see
            `diagnose`); `x_named`, a dict of `x` with labels, where the variables have names.
            With constraints also `constraints`, those of `x`; `feasible`, whether
            all of them hold, without which `success` is False; `maxcv`, the largest violation;
            `constraints_proxy` and `constraints_at_proxy`, those promised and true at `x_proxy`.

        Raises
        ------
        EvaluationError
            If an evaluation fails and `on_error` is "raise". The rows paid for stay in `X_` and
            `y_`.
        """
        objective = self.objective if fun is None else fun
        if not callable(objective):
            raise ValueError(f"fun must be callable; got {objective!r}.")
        limits = Limits(budget, target, max_seconds, patience)
        limits.check_parameters()
        self.check_parameters()
        given = self.bounds if bounds is None else bounds
        rows, values, space = self._rows_given(X, y, given)
        with self._buying(objective, rows, values, space, given, 0.0, limits) as purchases:
            self._begin_anew(keeps_box=bounds is not None)
            stages, seeds = Stages(self, 5), self._draw_seeds(purchases)
            search_on_truth, end, n_design = None, None, None
            try:
                purchases.begin()
                if X is None or self.sampler is not None:
                    self._buy_design(purchases, space, seeds, stages)
                n_design = len(purchases.y)
                self._fill_in(purchases, space, seeds, stages)
                search_on_truth = self._explore(purchases, space, seeds, stages)
            except RunEndedError as reached:
                purchases.check_enough(reached)
                end = reached
            n_before = purchases.evaluator.n_calls
            search = self._learn(purchases.X, purchases.y, purchases.X_failed, space, seeds, stages)
            # Rows that a search has chosen lie low; what is usual is known from those before.
            self._typical = float(np.median(values_of(purchases.y[:n_design])))
            refined = self._refine(purchases, search_on_truth, end, stages)
            self._answer_by_truth(purchases, search, refined, n_before, stages)
        if self.verdict:
            self._doubt_the_answer()
        return self.result_

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict values of the function by the proxy.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to predict.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, 1 + n_constraints)
            Predictions, with constraints if there are any.
        """
        check_is_fitted(self, "proxy_")
        rows = self.variables_.features(self._read_rows(X, reset=False))
        if self._merit is not None:
            return MeritFunction(without_names(self.proxy_), self._merit).outputs(rows)
        return function_of(self.proxy_)(rows)

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits.

        The parts are asked too, wherever they lie inside one another, so that nothing is paid for
        before all of them are known to be in order.
        """
        if self.objective is not None and not callable(self.objective):
            raise ValueError(f"objective must be callable or None; got {self.objective!r}.")
        check_parts(self)
        check_optimizer(self.optimizer, finds_front=False)
        self._check_n_constraints()
        check_that_outputs_are_borne(self.proxy, 1 + self.n_constraints)
        check_smoothing(self.smoothing, self._new_proxy())
        self._check_spending()
        check_option(self.on_error, "on_error", ("raise", "drop", "learn"))
        check_option(self.verdict, "verdict", (True, False))
        check_option(self.named_rows, "named_rows", (True, False))
        self._evaluator(None).check_parameters()
        if self.journal is not None:
            Journal(self.journal)

    def _check_n_constraints(self) -> None:
        if not check_integer(self.n_constraints, "n_constraints", minimum=0):
            return
        if self.smoothing is not None:
            raise ValueError(
                f"smoothing must be None with n_constraints={self.n_constraints}; "
                f"got {self.smoothing!r}."
            )

    @property
    def _n_outputs(self) -> int | None:
        return 1 + self.n_constraints if self.n_constraints else None

    def _learn(
        self,
        X: NDArray[np.float64],
        y: NDArray[np.float64],
        failed: NDArray[np.float64],
        space: Variables,
        seeds: dict[str, int],
        stages: Stages,
        **fit_params: Any,
    ) -> OptimizeResult:
        """Fit the proxy and search it; keep both once they have succeeded."""
        starts, best = space.best_rows(X, y)
        learned = LearnedProxy(
            self._new_proxy(),
            self._new_optimizer(),
            seeds,
            self.smoothing,
            space,
        )
        text = f"Training {type(learned.proxy).__name__} on {len(X)} rows."
        with (
            stages.stage("train", text) as training,
            training.propagate_callback_context(learned.proxy),
        ):
            learned.fit(X, y, getattr(self, "feature_names_in_", None), **fit_params)
        with stages.stage("search", f"Searching the proxy by {type(learned.optimizer).__name__}."):
            risk = self._learn_risk(X, failed, space, seeds)
            merits = merit_of_rows(y, learned.merit)
            spread = float(np.median(merits) - merits.min())
            search = learned.search(space.bounds, starts, risk, float(merits.max()), spread)

        self.X_, self.y_, self.bounds_, self.X_failed_ = X, y, space.bounds, failed
        self.variables_ = space
        self.failure_risk_ = risk_in_units(risk, space)
        self.n_learned_, self._n_failed_learned = len(X), len(failed)
        self._seeds, self._diagnosis_seed, self._inquiry = seeds, seeds["diagnosis"], None
        self._typical = float(np.median(values_of(y)))
        self._merit, self._best_outputs = learned.merit, best
        self.x_best_row_, self.fun_best_row_ = starts[0].copy(), float(np.ravel(best)[0])
        self.proxy_, self.optimizer_ = learned.proxy, learned.optimizer
        for name in ("ladder_", "smoothing_report_"):
            self.__dict__.pop(name, None)
        if learned.smoothed is not None:
            self.ladder_, self.smoothing_report_ = learned.smoothed.ladder, learned.smoothed.report
        self.x_proxy_, self.fun_proxy_ = search.x, float(search.fun)
        self._candidates = np.atleast_2d(search.get("x_candidates", search.x))
        stages.say(f"The proxy promises {self.fun_proxy_:.6g}; best row {self.fun_best_row_:.6g}.")
        return search

    def _answer_by_proxy(self, search: OptimizeResult) -> None:
        """Let the proxy's optimum be the answer, where nothing true can be evaluated."""
        self.x_, self.fun_ = self.x_proxy_, self.fun_proxy_
        search.x_proxy, search.fun_proxy = self.x_proxy_, self.fun_proxy_
        if self.n_constraints:
            search.constraints_proxy = search.constraints
            search.feasible = bool((search.constraints <= 0.0).all())
        if self.variables_.names is not None:
            search.x_named = self.variables_.named(self.x_)
        self.result_ = search

    def _refine(
        self,
        purchases: Purchases,
        search_on_truth: SurrogateSearch | None,
        end: RunEndedError | None,
        stages: Stages,
    ) -> OptimizeResult:
        """Spend true evaluations on the proxy's best points, unless the run has ended."""
        incumbent, space = (self.x_best_row_, self._best_outputs), self.variables_
        if end is not None:
            return purchases.outcome(space, end)
        if search_on_truth is not None:
            n_rows = int(min(purchases.limits.n_left, search_on_truth.n_left))
            refinement = partial(search_on_truth.go_on, space.encode(self._candidates))
        else:
            refiner = self._make_refiner(purchases.limits)
            n_rows = getattr(refiner, "max_evaluations", None)
            refinement = refinement_of(refiner, purchases, self._candidates, space, incumbent)
        with stages.evaluations("refine", "Refining on the function.", purchases.evaluator, n_rows):
            return purchases.refine(refinement, space, incumbent)

    def _answer_by_truth(
        self,
        purchases: Purchases,
        search: OptimizeResult,
        refined: OptimizeResult,
        n_before: int,
        stages: Stages,
    ) -> None:
        """Let the best true point be the answer."""
        evaluator = purchases.evaluator
        purchases.look_into_journal(refined, self.variables_)
        self.X_, self.y_, self.X_failed_ = purchases.X, purchases.y, purchases.X_failed
        self.x_, self.fun_ = refined.x, float(refined.fun)
        at_proxy = np.ravel(purchases.value_at(self.x_proxy_, self.variables_))
        self.result_ = OptimizeResult(
            x=self.x_,
            fun=self.fun_,
            nfev=evaluator.n_calls,
            nit=refined.nit,
            success=bool(search.success and refined.success),
            message=f"{refined.message} Search on the proxy: {search.message}",
            x_proxy=self.x_proxy_,
            fun_proxy=self.fun_proxy_,
            true_at_proxy=float(at_proxy[0]),
            nfev_design=n_before,
            n_failed=evaluator.n_failed,
        )
        if self.variables_.names is not None:
            self.result_.x_named = self.variables_.named(self.x_)
        if self.n_constraints:
            say_whether_feasible(
                self.result_, refined.constraints, search.constraints, at_proxy[1:]
            )
        stages.end(f"Best true value {self.fun_:.6g} after {evaluator.n_calls} evaluations.")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = bool(self.n_constraints)
        tags.target_tags.single_output = not self.n_constraints
        return tags
