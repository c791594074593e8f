"""The meta-estimator: learn a proxy, find its minimum, make it real."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._base import BaseProxyOptimizer
from sklearn_proxyopt._proxy_search._smoothed_search import check_smoothing
from sklearn_proxyopt._run._agreement import agreed
from sklearn_proxyopt._run._components import (
    check_infill,
    check_refiner,
    check_that_outputs_are_borne,
    warn_of_constants,
)
from sklearn_proxyopt._run._diagnose import add_verdict, diagnose
from sklearn_proxyopt._run._learning import learn_model, proxy_of
from sklearn_proxyopt._run._pace import Pace
from sklearn_proxyopt._run._run import PaidRun, Run, open_oracle
from sklearn_proxyopt._run._search_plan import SearchPlan
from sklearn_proxyopt._run._settings import Regressor
from sklearn_proxyopt._run._short_names import OptimizerName, ProxyName, SamplerName
from sklearn_proxyopt._run._state import LearnedState, ModelState
from sklearn_proxyopt._run._stopping import StoppingCriteria
from sklearn_proxyopt._utils._dataset import Dataset
from sklearn_proxyopt._utils._goal import Direction, Goal
from sklearn_proxyopt._utils._types import (
    BoundsLike,
    Constraint,
    InputFormat,
    Order,
    RandomStateLike,
)
from sklearn_proxyopt._utils._validation import check_integer, check_option, check_real
from sklearn_proxyopt.diagnosis import Diagnosis
from sklearn_proxyopt.infill import BaseInfill
from sklearn_proxyopt.optimizers import BaseOptimizer
from sklearn_proxyopt.refine import BaseRefiner
from sklearn_proxyopt.samplers import BaseSampler

__all__ = ["ProxyOptimizer"]


class ProxyOptimizer(BaseProxyOptimizer):
    """Find the minimum or maximum of an expensive function through a surrogate model, a proxy.

    `fit` learns a proxy from a table of past runs and finds the optimum of the proxy. `minimize`
    and `maximize` evaluate a function, learn a proxy of it, and refine the optimum on the function.
    `ask` and `tell` do that with experiments that are run elsewhere.

    Parameters
    ----------
    objective : callable, default=None
        The function, if there is one. With a budget, `fit` then runs as `minimize` does; with a
        sampler, it learns from the design of the sampler, evaluated by the objective, in place of
        the samples passed to it.
    bounds : array-like of shape (n_features, 2), scipy.optimize.Bounds, dict or list, default=None
        What each variable may be, in the user's units: a pair (low, high), a kind such as
        ``Integer(1, 8)`` of `sklearn_proxyopt.variables`, a list of labels, or a single value for
        a variable that is fixed. A dict has them by name. None takes the smallest box that holds
        the rows, with integers and labels as the columns of a DataFrame tell.
    direction : {"minimize", "maximize"} or None, default=None
        Which optimum is sought. None leaves it to the method called; `fit` and `tell` then
        minimize. In both cases all values have the sign of the function.
    constraints : LinearConstraint, NonlinearConstraint or sequence of them, default=()
        Known, cheap constraints of `scipy.optimize` on samples in the user's units, codes included.
        No sample that misses one is evaluated or returned.
    n_constraints : int, default=0
        How many constraints the objective returns after its value (outcome constraints): outputs
        then have shape (n, 1 + n_constraints), value first, and a sample is feasible if each of the
        others is at most 0. The proxy learns them all; any regressor of several targets will do.
    budget : int, default=None
        How many evaluations `minimize` and `maximize` may use, at least 4. Samples passed as `X` do
        not count; those that an earlier run evaluated do. With a `journal` a run goes on from all
        that runs with smaller budgets have evaluated. None leaves it to the sampler, the infill and
        the refiner.
    noise_std : "auto", None, float or array-like of shape (1 + n_constraints,), default="auto"
        Standard deviation of the noise of a value, in its units. None says that values are exact.
        "auto" learns it by the proxy, believes repeats, and lets `minimize` evaluate its best
        setting once more, unless the others leave no doubt that values are exact. With noise the
        answer is the evaluated setting of the lowest estimated value, and a budget is spent by
        expected improvement. Constraints have noise of their own, and the answer keeps them as
        estimated. A proxy with a parameter `noise_std` is given what is not "auto".
    n_repeats : int, default=1
        How often each setting is evaluated. Its value is the mean, for the search and as the
        answer; each repeat counts in a budget, and is a sample of `X_` and `y_`. Samples given
        several times are repeats too. With 1, values that are found to have noise are repeated
        where that pays; a larger number is kept to.
    sampler : sampler, {"halton", "lhs", "sobol", "uniform"} or None, default=None
        Makes the initial design, from which the proxy learns: evaluated by the objective or,
        without one, picked among the samples given. None takes every sample given; `minimize`
        without samples then evaluates a Sobol design of 1,024 points. A name makes a design of that
        size too, or of what a budget allows.
    proxy : regressor, {"gp", "neural"} or None, default=None
        Learns the function. None takes a `ProxyRegressor`, which is Gaussian processes, a network
        or both, whichever the data favors; with `smoothing` a `NeuralProxyRegressor`. "gp" stands
        for a `KernelProxyRegressor`, "neural" for a `NeuralProxyRegressor`.
    optimizer : optimizer, {"bfgs", "de", "ga", "pso"} or None, default=None
        Searches the proxy: "bfgs" and None for a `MultiStartBFGS`, "de" for a
        `DifferentialEvolution`, "ga" for a `GeneticAlgorithm`, "pso" for a `ParticleSwarm`.
    smoothing : None, "auto", float or sequence of float, default=None
        Noise levels of smoother proxies, in widths of the box, from smooth to sharp: one more fit
        learns them all, the search begins on the smoothest, follows its minima down to the proxy,
        and what it finds there joins what a search of the proxy alone finds. "auto" learns
        seven and begins with the one that has the fewest basins among those whose minimum leads
        to the proxy's lowest. See `smoothing_report_`. The levels of a `NeuralProxyRegressor` share
        its `over_prediction_penalty`, or have 10 where it is 1; those of Gaussian processes are in
        closed form and need no fit. Other proxies have none.
    refiner : "auto", refiner or None, default="auto"
        Improves the best points of the proxy by evaluations of the function, in `minimize`.
        "auto": without a budget, a `LocalRefinement` after the proxy has learned; with a budget, a
        `SurrogateCMAES`, which also explores the function before the proxy learns. None: only the
        optimum of the proxy is evaluated. An instance keeps to its own `max_evaluations`, within a
        budget too; ``SurrogateCMAES(max_evaluations=None)`` uses what the budget leaves.
    infill : infill strategy, default=None
        Evaluates further samples in rounds, in `minimize`, between the initial design and the
        refinement; the proxy learns after each round. See `sklearn_proxyopt.infill`. None has no
        such rounds.
    vectorized : bool, default=False
        Whether the objective takes samples of shape (n, n_features) and returns (n,); otherwise it
        takes one sample of shape (n_features,) and returns a number.
    input_format : {"auto", "array", "named"}, default="auto"
        How the objective takes samples: "array" as plain numbers, with codes for labels; "named" by
        the names of the variables, with labels: a DataFrame, or a dict for one row. "auto" is
        "named" where the variables have names.
    on_error : {"raise", "drop", "learn"}, default="raise"
        What an evaluation that fails leads to: "raise" ends the run; "drop" leaves it out and
        counts it; "learn" does too, and learns where evaluations are likely to fail, so that
        search and infill keep away from there. No failure is given a value.
    n_jobs : int, default=None
        How many evaluations run side by side, through joblib; see `Evaluator`.
    time_limit : float, default=None
        Seconds that one evaluation may take, for a function of one sample; longer is a failure.
    n_retries : int, default=0
        How often an evaluation that failed is tried again.
    journal : str or path-like, default=None
        A file where each evaluation is written before it is used. The same program started again
        goes on from it, however it ended. See `sklearn_proxyopt.evaluation.Journal`.
    verdict : bool, default=True
        Whether `minimize` ends with a verdict on its answer, which takes about as long as the
        training and the search, and warns where it does not believe it. See `diagnose`.
    random_state : None, int, RandomState or Generator, default=None
        Seeds the sampler, the proxy and the optimizer where they have no seed of their own. No
        global generator is touched.
    verbose : int, default=0
        At 1 and above, prints how far the run has come: a line at every tenth of the budget, every
        half a minute and at the end of each phase.

    Attributes
    ----------
    x_ : ndarray of shape (n_features_in_,)
        The answer: the best point evaluated where the run evaluated the objective to find it, which
        `result_.measured` says, and else the proxy's optimum.
    x_named_ : dict
        The same by the names of the variables, with labels, where there are names.
    fun_ : float
        Its value, without constraints: measured, or predicted by the proxy.
    x_proxy_ : ndarray of shape (n_features_in_,)
        The optimum of the proxy, always.
    fun_proxy_ : float
        The prediction of the proxy there, always.
    x_best_row_ : ndarray of shape (n_features_in_,)
        The sample with the best value inside the box, before any refinement; with constraints
        the best feasible one, or, if none is, that with the least violation.
    fun_best_row_ : float
        Its value.
    X_ : ndarray of shape (n_samples, n_features_in_)
        The evaluated samples. After a failure that ended a run, those evaluated until then.
    y_ : ndarray of shape (n_samples,) or (n_samples, 1 + n_constraints)
        Their values, with constraints if there are any.
    n_evaluations_ : int
        How many samples the last run asked the objective for; those on record, which are answered
        without a call, count.
    noise_std_ : float or ndarray of shape (1 + n_constraints,)
        Standard deviation of the noise of a value, as the proxy has found or was told it; 0 for
        exact values. Only with a proxy that knows of noise.
    n_learned_ : int
        How many of them, from the first on, the proxy learned from.
    X_failed_ : ndarray of shape (n_failed, n_features_in_)
        The samples whose evaluation failed.
    X_pending_ : ndarray of shape (n_pending, n_features_in_)
        The points handed out by `ask` and not told yet.
    failure_risk_ : callable or None
        With `on_error="learn"` and failures to learn from: takes samples and returns the
        probability that the evaluation of each fails.
    proxy_ : regressor
        The fitted proxy.
    ladder_ : NeuralProxyRegressor or MemberFunctions
        With `smoothing`: the smoother proxies, a member each.
    smoothing_report_ : dict
        With `smoothing`: an entry for each level, from the smoothest to the proxy: `noise`;
        `basins`, the number of distinct minima; `drift`, how far the lowest of them lies from the
        minimum of the proxy that it leads to, as the root mean square over the variables in widths
        of the bounds; `promise`, the prediction of the proxy there; `used`, whether the search used
        the level.
    bounds_ : ndarray of shape (n_features_in_, 2)
        The box.
    result_ : scipy.optimize.OptimizeResult
        What `minimize` returns; after a `fit` or `tell` that only learned, the result of the search
        on the proxy. `measured` tells the two apart.
    variables_ : Variables
        The variables: the box, their kinds and constraints. `variables_.to_frame` shows rows
        under their names, with labels; `variables_.snap` makes samples valid and feasible.
    n_features_in_ : int
        Number of variables.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the variables, if `bounds` or `X` had any.

    See Also
    --------
    sklearn_proxyopt.proxies.ProxyRegressor : The default proxy.
    NeuralProxyRegressor : A network on a closed-form trend.
    sklearn_proxyopt.model_selection : Scorers on the optimum, for a grid search.

    Notes
    -----
    The parameters come in four groups: the problem, up to `n_repeats`; the method, from `sampler`
    to `infill`; the evaluation of the objective, from `vectorized` to `journal`; and the rest.

    A sample is evaluated once; a repeat is a new evaluation. The record of what was evaluated, by
    setting and number of its repeat, belongs to the objective. An estimator and its clones share
    it, so that folds and refits find known points. A worker process has its own record, unless
    there is a journal, which they all share.

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

    _state_class = ModelState
    _saved_class = "ProxyOptimizer"
    _seeded = ("sampler", "proxy", "optimizer", "diagnosis", "refiner", "infill")
    _default_n_samples = 1024
    # With noise a repeat may have the proxy learn once more, and more rounds follow.
    _n_phases = 9

    def __init__(
        self,
        objective: Callable[..., Any] | None = None,
        bounds: BoundsLike | None = None,
        *,
        direction: Direction | None = None,
        constraints: Constraint | Sequence[Constraint] = (),
        n_constraints: int = 0,
        budget: int | None = None,
        noise_std: Literal["auto"] | float | ArrayLike | None = "auto",
        n_repeats: int = 1,
        sampler: BaseSampler | SamplerName | None = None,
        proxy: Regressor | ProxyName | None = None,
        optimizer: BaseOptimizer | OptimizerName | None = None,
        smoothing: Literal["auto"] | float | Sequence[float] | None = None,
        refiner: BaseRefiner | Literal["auto"] | None = "auto",
        infill: BaseInfill | None = None,
        vectorized: bool = False,
        input_format: InputFormat = "auto",
        on_error: str = "raise",
        n_jobs: int | None = None,
        time_limit: float | None = None,
        n_retries: int = 0,
        journal: str | PathLike[str] | None = None,
        verdict: bool = True,
        random_state: RandomStateLike = None,
        verbose: int = 0,
    ) -> None:
        self.objective = objective
        self.bounds = bounds
        self.direction = direction
        self.constraints = constraints
        self.n_constraints = n_constraints
        self.budget = budget
        self.noise_std = noise_std
        self.n_repeats = n_repeats
        self.sampler = sampler
        self.proxy = proxy
        self.optimizer = optimizer
        self.smoothing = smoothing
        self.refiner = refiner
        self.infill = infill
        self.vectorized = vectorized
        self.input_format = input_format
        self.on_error = on_error
        self.n_jobs = n_jobs
        self.time_limit = time_limit
        self.n_retries = n_retries
        self.journal = journal
        self.verdict = verdict
        self.random_state = random_state
        self.verbose = verbose

    def minimize(
        self,
        fun: Callable[..., Any] | None = None,
        bounds: BoundsLike | None = None,
        *,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        budget: int | None = None,
        target: float | None = None,
        max_seconds: float | None = None,
        patience: int | None = None,
        n_pending: int | None = None,
        order: Order = "seed",
        executor: Any = None,
    ) -> OptimizeResult:
        """Find the minimum of a function, refined on the function itself; see also `maximize`.

        With a budget and the defaults, a small design is followed by a search of the function
        itself that a local proxy guides (`SurrogateCMAES`); after half of the budget the proxy
        learns all samples, its minima are evaluated, and the search goes on from the best.

        Parameters
        ----------
        fun : callable, default=None
            The function; None takes the parameter `objective`.
        bounds : array-like of shape (n_features, 2), Bounds, dict or list, default=None
            What each variable may be; None takes the parameter `bounds`, or else the box of the
            samples `X`.
        X : array-like of shape (n_samples, n_features), default=None
            Past samples of the function. With them and no sampler, no initial design is evaluated;
            with a sampler, the points of its design that are among them are not evaluated again.
            Each run begins anew: to use what was told before, pass ``X=opt.X_, y=opt.y_``.
        y : array-like of shape (n_samples,) or (n_samples, 1 + n_constraints), default=None
            Their values, with constraints if there are any.
        budget : int, default=None
            How many evaluations may be used; None takes the parameter `budget`.
        target : float, default=None
            The run ends at a value as good as this. Evaluations that are running in parallel, or in
            the same call of a vectorized function, still count. With ``noise_std="auto"`` a sample
            that reaches it against what the others predict is evaluated once more. With noise
            the upper end of the 90 % interval has to reach it.
        max_seconds : float, default=None
            No evaluation begins after this many seconds, nor a call of a vectorized function,
            except until two samples have succeeded; the proxy still learns.
        patience : int, default=None
            The run ends after this many evaluations in a row without a better value, when a
            batch is over.
        n_pending : int, default=None
            How many samples may be evaluated or wait for a worker at once. None takes as many as
            there are workers, those of `n_jobs` or of `executor`; 1 asks for whole batches, one
            after another.
        order : {"seed", "results"}, default="seed"
            With samples pending: "seed" uses results in the order of asking, so that the samples
            depend on the seed and on `n_pending` alone; "results" uses each as soon as it is there,
            so that no worker waits for a slow one. With "seed", an `n_pending` of twice the workers
            keeps most of them busy.
        executor : concurrent.futures.Executor, default=None
            Where the function is evaluated, such as the `get_executor()` of a client of Dask or a
            pool of mpi4py; None takes joblib's backend of the moment. It is not shut down. With an
            executor `n_jobs` says how many workers it has, where it does not say so itself.

        Returns
        -------
        scipy.optimize.OptimizeResult
            `x` and `fun`, the best measured point, never worse than the best sample, also of the
            journal, or with noise the evaluated setting of the lowest estimated value and that
            estimate; `fun_std`, the standard deviation of `fun`, 0 for exact values, and with noise
            `interval`, that of 90 %; `x_lowest` and `fun_lowest`, the best single value, with noise
            the luckiest; `x_proxy` and `fun_proxy`, where the proxy alone would have sent you and
            what it predicted; `true_at_proxy`, the measured value there (NaN if it failed, or with
            noise was not evaluated); `nfev`, the samples that the function was really called on;
            `nfev_design` of them before the proxy learned; `n_failed`; `nit`, the descents of the
            refinement; `success` and `message`, which says what ended the run; `measured`, True;
            `verdict` and `probability`, whether `x` is reliable, `next_steps`, what to do next, and
            `n_to_settle`, about how many evaluations that takes (see `diagnose`), or `no_verdict`,
            why samples are too few for that; `x_named`, a dict of `x` with labels, where the
            variables have names.
            With constraints also `constraints`, those of `x`; `feasible`, whether all of them hold,
            without which `success` is False; `maxcv`, the largest violation; `constraints_proxy`
            and `constraints_at_proxy`, those predicted and measured at `x_proxy`. With noise
            `constraints` are estimates, and `feasible` goes by them; `constraints_std` has their
            standard deviations, 0 for exact values, and `probability_feasible` is the probability
            that all constraints hold at `x`.

        Raises
        ------
        EvaluationError
            If an evaluation fails and `on_error` is "raise". All values measured until then stay in
            `X_` and `y_`.
        """
        return self._optimize(
            "minimize",
            fun,
            bounds,
            X,
            y,
            budget=budget,
            target=target,
            max_seconds=max_seconds,
            patience=patience,
            pace=Pace(n_pending, order, executor),
        )

    def _criteria(self, goal: Goal, **limits: Any) -> StoppingCriteria:
        return StoppingCriteria(**limits, goal=goal)

    def _plan(self, run: PaidRun) -> SearchPlan:
        return SearchPlan(run, self)

    def _settled(self, state: LearnedState) -> LearnedState:
        assert isinstance(state, ModelState)
        return agreed(state)

    def _conclude(self) -> None:
        state: ModelState = self._learned
        warn_of_constants(state.data.X, state.data.y, np.ones(state.variables.n_features, bool))
        if self.verdict:
            add_verdict(state, self.noise_std)

    def diagnose(
        self,
        objective: Callable[..., Any] | None = None,
        *,
        n_checks: int = 5,
        regret: float | None = None,
        of: Literal["answer", "proxy"] | None = None,
    ) -> Diagnosis:
        """Judge whether the optimum is reliable.

        Models of the same kind are refitted on halves of the samples. Their minima, and their
        predictions of this optimum and of unseen samples, are weighed against the tolerance by a
        model that was learned on functions with known optima.

        Parameters
        ----------
        objective : callable, default=None
            The function, called to check the optimum and alternative optima. None spends no
            evaluation: what is known from `minimize` is used, or else the samples alone.
        n_checks : int, default=5
            How many times it is called, at most.
        regret : float, default=None
            The tolerance: how far the value at the optimum may lie from the best value within the
            bounds, in units of `y`. None tolerates 2 % of the distance between the median and the
            best known value; if a search chose further samples, the median of the initial design.
        of : {"answer", "proxy"} or None, default=None
            Which optimum is judged: `x_`, as `result_.verdict` does, or that of the proxy, which
            differs from it after `minimize`. None judges the answer.

        Returns
        -------
        Diagnosis
            Verdict, probability, reasons, evidence, and what to do next.

        Raises
        ------
        ValueError
            If fewer than 10 samples were learned from, or an argument is out of its limits.

        Notes
        -----
        What the checks evaluate stays on record: `minimize` does not evaluate it again.
        """
        state: ModelState = self._learned
        if objective is not None and not callable(objective):
            raise ValueError(f"objective must be callable or None; got {objective!r}.")
        check_integer(n_checks, "n_checks")
        if regret is not None:
            check_real(regret, "regret", minimum=0.0, include_minimum=False)
        if of is not None:
            check_option(of, "of", ("answer", "proxy"))
        if objective is None:
            return diagnose(state, regret=regret, of=of, noise_std=self.noise_std)
        limits = StoppingCriteria(goal=state.goal)
        with open_oracle(self, objective, state.data, state.variables, limits) as oracle:
            return diagnose(
                state,
                oracle.evaluate,
                n_checks=n_checks,
                regret=regret,
                of=of,
                noise_std=self.noise_std,
            )

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits.

        The parts are asked too, wherever they lie inside one another, so that nothing is evaluated
        before all of them are known to be in order.
        """
        super().check_parameters()
        if self.n_constraints and self.smoothing is not None:
            raise ValueError(
                f"smoothing must be None with n_constraints={self.n_constraints}; "
                f"got {self.smoothing!r}."
            )
        proxy = proxy_of(self)
        check_that_outputs_are_borne(self.proxy, 1 + self.n_constraints)
        check_smoothing(self.smoothing, proxy)
        check_refiner(self.refiner, self.n_constraints)
        check_infill(self.infill, proxy)
        check_option(self.verdict, "verdict", (True, False))

    @property
    def _n_outputs(self) -> int | None:
        return 1 + self.n_constraints if self.n_constraints else None

    def _learn(self, run: Run, data: Dataset, **fit_params: Any) -> ModelState:
        return learn_model(run, self, data, **fit_params)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = bool(self.n_constraints)
        tags.target_tags.single_output = not self.n_constraints
        return tags
