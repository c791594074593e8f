"""The meta-estimator for several objectives: learn a proxy, find its front, verify it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._base import BaseProxyOptimizer
from sklearn_proxyopt._run._components import check_that_outputs_are_borne
from sklearn_proxyopt._run._pace import Pace
from sklearn_proxyopt._run._run import PaidRun, Run
from sklearn_proxyopt._run._settings import Regressor
from sklearn_proxyopt._run._short_names import ProxyName, SamplerName
from sklearn_proxyopt._run._state import FrontState
from sklearn_proxyopt._run._stopping import FrontCriteria
from sklearn_proxyopt._run._verification import FrontPlan, learn_front
from sklearn_proxyopt._utils._dataset import Dataset
from sklearn_proxyopt._utils._goal import Direction, Goal, check_directions
from sklearn_proxyopt._utils._types import (
    BoundsLike,
    Constraint,
    InputFormat,
    Order,
    RandomStateLike,
)
from sklearn_proxyopt._utils._validation import check_integer
from sklearn_proxyopt.optimizers import NSGA2
from sklearn_proxyopt.samplers import BaseSampler

__all__ = ["ParetoOptimizer"]

_DEFAULT_N_OBJECTIVES = 2


class ParetoOptimizer(BaseProxyOptimizer):
    """Find the Pareto front of an expensive function of several objectives through a proxy.

    `fit` learns a proxy from a table of past runs and finds the front of the proxy. `minimize`
    evaluates a function, does the same, and measures points spread along the predicted front, in
    rounds that learn from these values. `ask` and `tell` do that with experiments that are run
    elsewhere.

    Parameters
    ----------
    objective : callable, default=None
        The function, where there is one: it returns the objectives of each sample, and after them
        its constraints.
    bounds : array-like of shape (n_features, 2), scipy.optimize.Bounds, dict or list, default=None
        As of `ProxyOptimizer`.
    direction : {"minimize", "maximize"}, sequence of them or None, default=None
        As of `ProxyOptimizer`, one word for all objectives or one for each.
    n_objectives : int, default=None
        How many objectives there are. None takes as many as there are directions, or as `fit`,
        `tell`, a file or a journal has, and else 2.
    reference : array-like of shape (n_objectives,), default=None
        The corner that the hypervolume is measured from, worse than the front in every objective.
        None takes the worst value of each objective among the samples of the design.
    constraints : LinearConstraint, NonlinearConstraint or sequence of them, default=()
        As of `ProxyOptimizer`.
    n_constraints : int, default=0
        How many constraints the objective returns after its objectives; a sample is feasible where
        each of them is at most 0.
    budget : int, default=None
        As of `ProxyOptimizer`; None verifies up to 200 points beside the sampler's design.
    noise_std : "auto", None, float or array-like of shape (n_outputs,), default="auto"
        Standard deviation of the noise of each output, or one for all. As of `ProxyOptimizer`: with
        noise the answer is the front of the evaluated settings as estimated, and rounds repeat
        points of it.
    n_repeats : int, default=1
        As of `ProxyOptimizer`.
    sampler : sampler, {"halton", "lhs", "sobol", "uniform"} or None, default=None
        Makes the initial design, from which the proxy learns first: evaluated by the objective
        or, in `fit` without one, picked among the samples given. None takes every sample given;
        `minimize` without samples then evaluates a Sobol design of 256 points, or half of the
        budget. A name makes a design of that size too.
    proxy : regressor, {"gp", "neural"} or None, default=None
        As of `ProxyOptimizer`. It learns all outputs, so it has to bear several targets.
    optimizer : NSGA2, default=None
        Finds the front of the proxy; None for an `NSGA2`.
    n_rounds : int, default=5
        Rounds that share the evaluations after the design: each learns the proxy anew, and verifies
        no more points than the optimizer's front has.
    vectorized : bool, default=False
        As of `ProxyOptimizer`; the objective returns a sequence of n_objectives + n_constraints
        numbers for one sample, or (n, n_objectives + n_constraints).
    input_format : {"auto", "array", "named"}, default="auto"
        As of `ProxyOptimizer`.
    on_error : {"raise", "drop", "learn"}, default="raise"
        As of `ProxyOptimizer`.
    n_jobs : int, default=None
        As of `ProxyOptimizer`.
    time_limit : float, default=None
        As of `ProxyOptimizer`.
    n_retries : int, default=0
        As of `ProxyOptimizer`.
    journal : str or path-like, default=None
        As of `ProxyOptimizer`.
    random_state : None, int, RandomState or Generator, default=None
        As of `ProxyOptimizer`.
    verbose : int, default=0
        As of `ProxyOptimizer`.

    Attributes
    ----------
    X_front_ : ndarray of shape (n_points, n_features_in_)
        The answer, in the order of the first objective: the front of all samples where the run
        evaluated the objective to find it, which `result_.measured` says, and else the proxy's.
    F_front_ : ndarray of shape (n_points, n_objectives)
        Its objectives: measured, with noise estimated, or predicted by the proxy.
    X_front_proxy_ : ndarray of shape (n_predicted, n_features_in_)
        The proxy's front.
    F_front_proxy_ : ndarray of shape (n_predicted, n_objectives)
        The predictions of the proxy there.
    X_ : ndarray of shape (n_samples, n_features_in_)
        The evaluated samples.
    y_ : ndarray of shape (n_samples, n_objectives + n_constraints)
        Their objectives and constraints.
    n_evaluations_ : int
        As of `ProxyOptimizer`.
    n_learned_ : int
        How many of them, from the first on, the proxy learned from last.
    noise_std_ : float or ndarray of shape (n_outputs,)
        As of `ProxyOptimizer`.
    X_failed_ : ndarray of shape (n_failed, n_features_in_)
        As of `ProxyOptimizer`.
    X_pending_ : ndarray of shape (n_pending, n_features_in_)
        As of `ProxyOptimizer`.
    failure_risk_ : callable or None
        As of `ProxyOptimizer`.
    proxy_ : regressor
        As of `ProxyOptimizer`.
    n_objectives_ : int
        Number of objectives.
    bounds_ : ndarray of shape (n_features_in_, 2)
        As of `ProxyOptimizer`.
    variables_ : Variables
        As of `ProxyOptimizer`.
    result_ : scipy.optimize.OptimizeResult
        What `minimize` returns; after `fit` and `tell`, the result of the search on the proxy.
    n_features_in_ : int
        As of `ProxyOptimizer`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        As of `ProxyOptimizer`.

    See Also
    --------
    ProxyOptimizer : Finds the minimum of one objective, and says whether to believe it.
    sklearn_proxyopt.optimizers.NSGA2 : Finds the front of a function that is cheap.
    sklearn_proxyopt.optimizers.hypervolume : Measures a front.

    Examples
    --------
    >>> from sklearn_proxyopt import ParetoOptimizer
    >>> from sklearn_proxyopt.samplers import SobolSampler
    >>> def weight_and_bending(x):
    ...     radius, length = x
    ...     return [radius**2 * length, length**3 / radius**4]
    >>> optimizer = ParetoOptimizer(
    ...     sampler=SobolSampler(32), budget=48, n_rounds=1, random_state=0
    ... )
    >>> result = optimizer.minimize(weight_and_bending, [[1.0, 2.0], [1.0, 3.0]])
    >>> result.nfev, result.F.shape[1]
    (48, 2)
    >>> weight_and_bending(result.X[0]) == result.F[0].tolist()
    True
    """

    _state_class = FrontState
    _saved_class = "ParetoOptimizer"
    _default_n_samples = 256

    n_objectives_: int

    def __init__(
        self,
        objective: Callable[..., Any] | None = None,
        bounds: BoundsLike | None = None,
        *,
        direction: Direction | Sequence[Direction] | None = None,
        n_objectives: int | None = None,
        reference: ArrayLike | None = None,
        constraints: Constraint | Sequence[Constraint] = (),
        n_constraints: int = 0,
        budget: int | None = None,
        noise_std: Literal["auto"] | float | ArrayLike | None = "auto",
        n_repeats: int = 1,
        sampler: BaseSampler | SamplerName | None = None,
        proxy: Regressor | ProxyName | None = None,
        optimizer: NSGA2 | None = None,
        n_rounds: int = 5,
        vectorized: bool = False,
        input_format: InputFormat = "auto",
        on_error: str = "raise",
        n_jobs: int | None = None,
        time_limit: float | None = None,
        n_retries: int = 0,
        journal: str | PathLike[str] | None = None,
        random_state: RandomStateLike = None,
        verbose: int = 0,
    ) -> None:
        self.objective = objective
        self.bounds = bounds
        self.direction = direction
        self.n_objectives = n_objectives
        self.reference = reference
        self.constraints = constraints
        self.n_constraints = n_constraints
        self.budget = budget
        self.noise_std = noise_std
        self.n_repeats = n_repeats
        self.sampler = sampler
        self.proxy = proxy
        self.optimizer = optimizer
        self.n_rounds = n_rounds
        self.vectorized = vectorized
        self.input_format = input_format
        self.on_error = on_error
        self.n_jobs = n_jobs
        self.time_limit = time_limit
        self.n_retries = n_retries
        self.journal = journal
        self.random_state = random_state
        self.verbose = verbose

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits.

        The parts are checked too, so that nothing is evaluated before all of them are in order.
        """
        if self.n_objectives is not None:
            check_integer(self.n_objectives, "n_objectives")
        super().check_parameters()
        check_integer(self.n_rounds, "n_rounds")

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
        """Find the Pareto front of a function, verified on the function itself.

        See also `maximize`. Where `direction` has a word for each objective, it is followed.

        Parameters
        ----------
        fun : callable, default=None
            As of `ProxyOptimizer.minimize`.
        bounds : array-like of shape (n_features, 2), Bounds, dict or list, default=None
            As of `ProxyOptimizer.minimize`.
        X : array-like of shape (n_samples, n_features), default=None
            As of `ProxyOptimizer.minimize`.
        y : array-like of shape (n_samples, n_objectives + n_constraints), default=None
            Their objectives and constraints.
        budget : int, default=None
            As of `ProxyOptimizer.minimize`.
        target : float, default=None
            The run ends at a hypervolume as large as this, measured from the parameter `reference`.
        max_seconds : float, default=None
            As of `ProxyOptimizer.minimize`.
        patience : int, default=None
            The run ends after this many evaluations in a row that add nothing to the front, when a
            batch is over.
        n_pending : int, default=None
            As of `ProxyOptimizer.minimize`.
        order : {"seed", "results"}, default="seed"
            As of `ProxyOptimizer.minimize`.
        executor : concurrent.futures.Executor, default=None
            As of `ProxyOptimizer.minimize`.

        Returns
        -------
        scipy.optimize.OptimizeResult
            `X` of shape (n_points, n_features) and `F` of shape (n_points, n_objectives), the front
            of all samples evaluated, each of them feasible; with constraints `constraints` of shape
            (n_points, n_constraints). With noise, the front of all settings as estimated: `F_std`
            and `constraints_std` have the standard deviations of the estimates, 0 for exact values,
            and `probability_feasible`, of shape (n_points,), the probability that each point keeps
            its constraints. `X_proxy` and `F_proxy`, the front that the proxy predicted
            last. `X_verified`, `F_promised` and `F_verified`, the predictions at points that were
            verified and the values measured there (NaN where they failed). `hypervolume` of `F`
            beyond `reference`; `nfev`, the samples the function was really called on; `nfev_design`
            of them for the design; `n_failed`; `nit`, the rounds; `success` and `message`. Where no
            feasible sample was found, `success` is False, and `X` holds the sample that violates
            its constraints least.

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

    def _criteria(self, goal: Goal, **limits: Any) -> FrontCriteria:
        check_that_outputs_are_borne(self.proxy, self._n_outputs)
        self._check_reference(limits.get("target"))
        corner = None
        if self.reference is not None:
            corner = goal.turned(np.array([self.reference], dtype=np.float64))[0]
        return FrontCriteria(**limits, goal=goal, reference=corner)

    def _plan(self, run: PaidRun) -> FrontPlan:
        return FrontPlan(run, self)

    @property
    def _n_phases(self) -> int:
        # A repeat may have the proxy learn once more, and the last round may explore.
        return 6 + 3 * self.n_rounds

    @property
    def _n_outputs(self) -> int:
        return self._n_sought + self.n_constraints

    @property
    def _n_sought(self) -> int:
        """How many objectives there are, as far as is known."""
        if self.n_objectives is not None:
            return self.n_objectives
        if not isinstance(self.direction, str | None):
            return len(self.direction)
        return getattr(self, "n_objectives_", _DEFAULT_N_OBJECTIVES)

    def _check_direction(self) -> None:
        check_directions(self.direction, self.n_objectives)

    def _goal_of(self, method: Direction | None = None) -> Goal:
        direction = self.direction if self.direction is not None else method
        check_directions(direction, self._n_sought)
        return Goal.of(direction, self._n_sought)

    def _shown(self, outputs: NDArray[np.float64]) -> float:
        return np.nan

    def _validate_samples(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        bounds: Any = None,
        reset: bool = True,
        n_least: int = 1,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if reset:
            shape = np.shape(y) if hasattr(y, "__len__") else ()
            self._settle_n_objectives(shape[1] - self.n_constraints if len(shape) == 2 else 1)
        return super()._validate_samples(X, y, bounds=bounds, reset=reset, n_least=n_least)

    def _settle_n_objectives(self, n_known: int) -> None:
        settled = self.n_objectives
        if settled is None and not isinstance(self.direction, str | None):
            settled = len(self.direction)
        self.n_objectives_ = max(n_known, 1) if settled is None else settled

    def _settle_outputs(self, n_outputs: int | None) -> None:
        known = _DEFAULT_N_OBJECTIVES if n_outputs is None else n_outputs - self.n_constraints
        self._settle_n_objectives(known)

    def _learn(self, run: Run, data: Dataset, **fit_params: Any) -> FrontState:
        return learn_front(run, self, data, **fit_params)

    def _check_reference(self, target: float | None) -> None:
        if self.reference is None:
            if target is not None:
                raise ValueError(
                    "reference must be given with a target, which is a hypervolume measured from "
                    f"it; got target={target!r} and no reference."
                )
            return
        try:
            reference = np.asarray(self.reference, dtype=np.float64)
        except (TypeError, ValueError):
            reference = np.empty(0)
        if reference.shape != (self._n_sought,) or not np.isfinite(reference).all():
            raise ValueError(
                f"reference must be {self._n_sought} finite numbers, one for each objective; "
                f"got {self.reference!r}."
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        return tags
