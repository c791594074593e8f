"""What both optimizers share: to learn, to be asked and told, to be saved and cloned."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from os import PathLike
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils.metadata_routing import MetadataRouter
from sklearn.utils.validation import check_is_fitted

from sklearn_proxyopt._run._ask_tell import AskTell
from sklearn_proxyopt._run._components import (
    check_components,
    check_optimizer,
    check_that_outputs_are_borne,
    warn_of_constants,
    warn_of_fitted,
    warn_of_rows_outside,
)
from sklearn_proxyopt._run._metadata import metadata_of_rows, metadata_router, routed_to_proxy
from sklearn_proxyopt._run._pace import Pace
from sklearn_proxyopt._run._pending_points import PendingPoints
from sklearn_proxyopt._run._persistence import read_knowledge, write_knowledge
from sklearn_proxyopt._run._phases import design_phase, design_sampler, drive, pursue
from sklearn_proxyopt._run._progress import Progress
from sklearn_proxyopt._run._run import PaidRun, Run, draw_seeds, open_run
from sklearn_proxyopt._run._run_log import History, RunLog, frame_of_samples
from sklearn_proxyopt._run._settings import Regressor
from sklearn_proxyopt._run._short_names import (
    OptimizerName,
    ProxyName,
    SamplerName,
    check_short_names,
)
from sklearn_proxyopt._run._space_spec import SpaceSpec
from sklearn_proxyopt._run._state import FittedState, FrontState, LearnedState, ModelState
from sklearn_proxyopt._run._stopping import StoppingCriteria
from sklearn_proxyopt._run._tables import (
    check_form,
    read_rows,
    read_samples,
    read_values,
    with_notes,
)
from sklearn_proxyopt._utils._dataset import Dataset, succeeded
from sklearn_proxyopt._utils._feasibility import feasible_values
from sklearn_proxyopt._utils._goal import Direction, Goal, check_direction
from sklearn_proxyopt._utils._types import (
    BoundsLike,
    Constraint,
    InputFormat,
    Order,
    RandomStateLike,
)
from sklearn_proxyopt._utils._validation import (
    check_integer,
    check_option,
    check_real,
    check_verbose,
)
from sklearn_proxyopt._utils._warning import warn_user
from sklearn_proxyopt.evaluation import Evaluator, Journal, RecordBook
from sklearn_proxyopt.exceptions import FailedEvaluationWarning
from sklearn_proxyopt.optimizers import BaseOptimizer
from sklearn_proxyopt.proxies._noise_std import check_noise_std
from sklearn_proxyopt.samplers import BaseSampler
from sklearn_proxyopt.variables import Variables
from sklearn_proxyopt.variables._design import Design
from sklearn_proxyopt.variables._kinds import Kinds

__all__ = ["BaseProxyOptimizer"]

# What a component with parameters of its own may be.
_INSTANCES = {
    "sampler": "SobolSampler(1024)",
    "proxy": "NeuralProxyRegressor()",
    "optimizer": "MultiStartBFGS()",
    "refiner": "LocalRefinement()",
    "infill": "ExpectedImprovement()",
}
# What a run has settled before it forgets the one before.
_SETTLED = {"n_features_in_", "feature_names_in_", "n_objectives_"}


class BaseProxyOptimizer(
    CallbackSupportMixin, MetaEstimatorMixin, RegressorMixin, BaseEstimator, ABC
):
    """Base of the optimizers: parameters in common, and all that does not depend on the answer.

    A subclass owes `_learn`, which turns samples into what is learned of them, `_plan`, what a run
    evaluates, with the `_criteria` that end it, and the method `minimize`, which says
    what it returns.
    What is known is one value, `_state`; the public attributes are read from it.
    """

    # Which state a subclass learns, and under what name it saves itself.
    _state_class: type[LearnedState]
    _saved_class: str
    _seeded: tuple[str, ...] = ("sampler", "proxy", "optimizer")
    _default_n_samples: int

    objective: Callable[..., Any] | None
    bounds: BoundsLike | None
    sampler: BaseSampler | SamplerName | None
    proxy: Regressor | ProxyName | None
    optimizer: BaseOptimizer | OptimizerName | None
    direction: Direction | Sequence[Direction] | None
    n_constraints: int
    budget: int | None
    noise_std: Any
    n_repeats: int
    vectorized: bool
    on_error: str
    n_jobs: int | None
    time_limit: float | None
    n_retries: int
    journal: str | PathLike[str] | None
    constraints: Constraint | Sequence[Constraint]
    input_format: InputFormat
    random_state: RandomStateLike
    verbose: int

    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    X_pending_: NDArray[np.float64]
    result_: OptimizeResult
    _pending: PendingPoints | None = None
    # What the columns of a table, a file or a journal have told of the variables.
    _kinds_seen: Kinds | None = None
    # The journal as it was read before.
    _journal: Journal | None = None
    _log: RunLog | None = None

    @abstractmethod
    def _learn(self, run: Run, data: Dataset, **fit_params: Any) -> LearnedState:
        """Fit the proxy to samples and search it; return what was learned, with its answer."""

    @abstractmethod
    def _criteria(self, goal: Goal, **limits: Any) -> StoppingCriteria:
        """Return what ends a run; nothing of its arguments is checked yet."""

    @abstractmethod
    def _plan(self, run: PaidRun) -> Any:
        """Return what a run evaluates, and what it learns in between."""

    def _spend(self, run: PaidRun, *, with_design: bool) -> Any:
        """Evaluate the objective until the run ends, and return what it found."""
        plan = self._plan(run)
        pursue(run, plan, with_design=with_design)
        return plan.answer()

    @abstractmethod
    def minimize(
        self, fun: Callable[..., Any] | None = None, bounds: BoundsLike | None = None
    ) -> OptimizeResult:
        """Find the best points of a function whose lowest values are sought.

        Parameters
        ----------
        fun : callable, default=None
            The function; None takes the parameter `objective`.
        bounds : array-like of shape (n_features, 2) or scipy.optimize.Bounds, default=None
            The box; None takes the parameter `bounds`.

        Returns
        -------
        scipy.optimize.OptimizeResult
            What was found.
        """

    def maximize(
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
        """Find the best points of a function whose highest values are sought.

        Arguments, values and results all have the function's own sign.

        Parameters
        ----------
        fun : callable, default=None
            As in `minimize`.
        bounds : array-like of shape (n_features, 2) or scipy.optimize.Bounds, default=None
            As in `minimize`.
        X : array-like of shape (n_samples, n_features), default=None
            As in `minimize`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            As in `minimize`.
        budget : int, default=None
            As in `minimize`.
        target : float, default=None
            As in `minimize`: a value as good as this ends the run.
        max_seconds : float, default=None
            As in `minimize`.
        patience : int, default=None
            As in `minimize`.
        n_pending : int, default=None
            As in `minimize`.
        order : {"seed", "results"}, default="seed"
            As in `minimize`.
        executor : concurrent.futures.Executor, default=None
            As in `minimize`.

        Returns
        -------
        scipy.optimize.OptimizeResult
            What `minimize` returns.
        """
        return self._optimize(
            "maximize",
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

    @with_callbacks
    def _optimize(
        self,
        method: Direction,
        fun: Callable[..., Any] | None,
        bounds: BoundsLike | None,
        X: ArrayLike | None,
        y: ArrayLike | None,
        *,
        pace: Pace,
        **limits: Any,
    ) -> OptimizeResult:
        """Find the best points of a function, for `minimize` or `maximize`."""
        self.check_parameters()
        self._check_method(method)
        objective = self.objective if fun is None else fun
        if not callable(objective):
            raise ValueError(f"fun must be callable; got {objective!r}.")
        box = self.bounds if bounds is None else bounds
        data, space = self._samples_given(X, y, box)
        stopping = self._stopping(self._goal_of(method), **limits)
        pace.check_parameters()
        data = replace(data, y=stopping.goal.turned(data.y))
        warn_of_fitted(self.proxy)
        opened = open_run(
            self,
            objective,
            data,
            space,
            stopping,
            box_is_given=box is not None,
            keeps_box=bounds is not None,
            pace=pace,
        )
        with opened as run:
            self._publish(self._spend(run, with_design=X is None or self.sampler is not None))
        self._conclude()
        run.progress.conclude(self.result_)
        return self.result_

    def _stopping(self, goal: Goal, **limits: Any) -> StoppingCriteria:
        """Return what ends a run, checked; a budget that is None is the parameter's."""
        if limits.get("budget") is None:
            limits["budget"] = self.budget
        stopping = self._criteria(goal, **limits)
        stopping.check_parameters()
        return stopping

    def _conclude(self) -> None:
        """Add what is said of an answer once the run has ended."""

    def _settled(self, state: LearnedState) -> LearnedState:
        """Return what was learned as the answer where nothing can be evaluated."""
        return state

    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike, **fit_params: Any) -> Self:
        """Learn a proxy and find its optimum, or its front.

        Without an `objective`, the proxy learns the samples `X` and `y`. With an `objective` and a
        `budget`, the objective is evaluated as in `minimize`. With an `objective` and a `sampler`,
        it is evaluated on the sampler's design. In these two cases the samples only give the
        bounds, unless `bounds` does; `n_evaluations_` counts the evaluations.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples that were already evaluated. A category is its code, or its label in a
            DataFrame.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their values: one objective, or objectives and then constraints. Unless `on_error` is
            "raise", NaN or infinity marks an experiment that failed.
        **fit_params : dict
            Metadata for the proxy's `fit`, as `sample_weight`. A sampler that picks samples picks
            their metadata too; where the objective is evaluated there can be none. It holds for
            this fit: `tell` learns all samples without it. With scikit-learn's metadata routing
            enabled, the proxy must request it by its `set_fit_request`; a proxy by a short name, or
            None, requests `sample_weight`.

        Returns
        -------
        self
            The fitted optimizer.
        """
        self.check_parameters()
        fit_params = routed_to_proxy(self, "fit", fit_params)
        X, y = self._validate_samples(X, y, bounds=self.bounds, n_least=2)
        check_that_outputs_are_borne(self.proxy, self._n_outputs or 1)
        space = SpaceSpec.of(self, self.bounds).variables(X)
        if fit_params and self._evaluates_in_fit:
            raise ValueError(
                "objective must be None, or sampler and budget None, together with metadata of the "
                f"samples given; got {', '.join(fit_params)}."
            )
        warn_of_rows_outside(X, space)
        warn_of_fitted(self.proxy)
        if self._evaluates_in_fit:
            self._fit_on_objective(Dataset.empty(X.shape[1], self._n_outputs), space)
            return self
        data = self._given(X, self._goal_of().turned(y))
        is_fixed = space.kinds.is_fixed if self.bounds is not None else np.zeros(X.shape[1], bool)
        warn_of_constants(data.X, data.y, is_fixed)
        fit_params = metadata_of_rows(fit_params, len(X), np.flatnonzero(succeeded(y)))
        self._begin_anew(keeps_box=False, goal=self._goal_of())
        run = Run(self, space, draw_seeds(self), Progress(self, self._n_phases), self._goal_of())
        if self.sampler is not None:
            design = Design(design_sampler(self, run.seeds["sampler"]), space)
            picked = design.select(data.X)
            fit_params = metadata_of_rows(fit_params, len(data), picked)
            data = data[picked]
        state = self._settled(self._learn(run, data, **fit_params))
        self._publish(state)
        run.progress.end(state.summary)
        return self

    @property
    def _evaluates_in_fit(self) -> bool:
        pays = self.sampler is not None or self.budget is not None
        return self.objective is not None and pays

    def _fit_on_objective(self, nothing: Dataset, space: Variables) -> None:
        """Learn from the design, or run as `minimize` does where there is a budget."""
        assert self.objective is not None
        opened = open_run(
            self,
            self.objective,
            nothing,
            space,
            self._stopping(self._goal_of()),
            box_is_given=self.bounds is not None,
            # Folds and candidates of a grid search wait for one another, and share evaluations.
            patience=np.inf,
        )
        with opened as run:
            if self.budget is not None:
                self._publish(self._spend(run, with_design=True))
                return
            drive(run, design_phase(run, design_sampler(self, run.seeds["sampler"])))
            state = self._settled(self._learn(run, run.oracle.data))
            self._publish(state)
            run.progress.end(state.summary)

    def predict(self, X: ArrayLike, **predict_params: Any) -> Any:
        """Predict values of the function by the proxy.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples to predict.
        **predict_params : dict
            Passed to the proxy's `predict`, as ``return_std=True``. With scikit-learn's metadata
            routing enabled, the proxy must request them by its `set_predict_request`.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions, of all outputs if there are several. With parameters, what the proxy's
            `predict` returns.
        """
        check_is_fitted(self, "proxy_")
        options = routed_to_proxy(self, "predict", predict_params)
        state: LearnedState = self._learned
        rows = read_rows(self, X, state.variables.kinds)
        return state.predict(rows, **options)

    def get_metadata_routing(self) -> MetadataRouter:
        """Tell scikit-learn which metadata goes to the proxy.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRouter
            The requests of the proxy for `fit` and `predict`, and of the optimizer for `score`.
        """
        return metadata_router(self)

    @with_callbacks
    def ask(self, n_points: int = 1, *, explore: float | None = None) -> Any:
        """Propose experiments.

        With the parameter `budget` the points are those of a run of `minimize` with that budget: if
        you ask for one at a time and tell each result before the next, they are its very samples.
        Otherwise pending points are taken into account, and results are used in the order in which
        you tell them. Withdrawn points leave their share of the budget to others.

        Without a budget, or when it is spent, there is no last point to plan for. After a small
        design, and whenever the number of samples has doubled, a `ProxyOptimizer` asks for the
        proxy's optima; in between it searches around the best. One with a refiner or an infill of
        its own goes through infill and refinement again and again, and a third of its points lie
        far from all that is known. With noise the rounds of a run go on. A `ParetoOptimizer` asks
        for points of the proxy's front far from the known one, and as many far from all that is
        known. While a search waits for results, further points lie far from all that is known.

        Parameters
        ----------
        n_points : int, default=1
            Number of points.
        explore : float, default=None
            Share of the points, from 0 to 1, that lie as far as possible from all known and pending
            samples; it holds over several calls if they are few. None leaves it to the search.

        Returns
        -------
        DataFrame or ndarray of shape (n_points, n_features)
            Points inside the box, that of the parameter `bounds` as it is now unless `minimize`
            was given one; none of them known or asked for before; valid samples that meet the
            constraints. With a journal the box stays that of the journal. Where the variables have
            names, and pandas is installed, a DataFrame with labels and further columns, which
            `tell` leaves aside: `predicted`, what the proxy says there; `lower` and `upper`, its
            90 % interval; and `reason`, why the point was chosen. Of several outputs these are
            `predicted_0`, `lower_0`, `upper_0`, `predicted_1`, ...; what no proxy tells is NaN.
            Else an array, in which labels are codes; `to_frame` tells the reasons then. With noise
            a point is asked for again where that tells more than a new one.
        """
        n_points = check_integer(n_points, "n_points")
        if explore is not None:
            check_real(explore, "explore", minimum=0.0, maximum=1.0)
        self.check_parameters()
        space, points, reasons = AskTell(self).ask(n_points, explore)
        if space.names is None or find_spec("pandas") is None:
            return points
        self._learn_if_due()
        state = self._known
        predicted = state.interval(points) if isinstance(state, LearnedState) else None
        return with_notes(space, points, predicted, reasons)

    def withdraw(self, X: ArrayLike) -> Self:
        """Take back points that were asked for and will not be told.

        Parameters
        ----------
        X : array-like of shape (n_points, n_features)
            The points, as `ask` handed them out or as they came back.

        Returns
        -------
        self
            The optimizer, without these points in `X_pending_`. They may be asked for again.

        Raises
        ------
        ValueError
            If one of them is not pending.
        """
        self.check_parameters()
        self.X_pending_ = AskTell(self).withdraw(X)
        return self

    def forget(self, X: ArrayLike) -> Self:
        """Remove samples that were told by mistake, and learn from the others.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The settings whose results are removed, all repeats of them. A journal keeps them and
            marks them as invalid.

        Returns
        -------
        self
            The optimizer, fitted on the samples that are left if these are at least two.

        Raises
        ------
        ValueError
            If one of them was not told.
        """
        self.check_parameters()
        data = AskTell(self).forget(X)
        self._know(data, data.X[:0])
        return self

    def tell(self, X: ArrayLike, y: ArrayLike, *, replace: bool = False) -> Self:
        """Add evaluated samples, learn anew and find the proxy's minimum or front again.

        If it raises an error, the optimizer stays as it was, and you can tell the same samples
        again. A sample told twice with the same value is one experiment, unless `ask` proposed it
        once more.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples, asked for or not. A category is its code, or its label in a DataFrame. If
            neither the parameter `bounds` nor `minimize` gave bounds, the search space grows to
            hold them.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their values. Unless `on_error` is "raise", NaN or infinity tells that the experiment
            failed: it is kept in `X_failed_` until a value is told, and not asked for again.
        replace : bool, default=False
            Whether these results replace earlier ones at the same settings, for example to correct
            a value.

        Returns
        -------
        self
            The optimizer, fitted on all samples told so far if these are at least two.

        Raises
        ------
        ValueError
            If there are two samples or more, and none of them lies inside the box and meets the
            known constraints.
        """
        self.check_parameters()
        check_option(replace, "replace", (True, False))
        if replace:
            data, X, y = AskTell(self).correct(X, y)
            self._know(data.told(X, self._goal.turned(y)), X)
        else:
            X, y = AskTell(self).record(X, y)
            self._take_in(X, self._goal.turned(y))
        self._run_log.told(X)
        return self

    def _take_in(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Learn from results to be minimized, and those known; if that raises, nothing changes."""
        known = Dataset.of(X[:0], y[:0]) if self._known.data is None else self._known.data
        repeats = None if self._pending is None else self._pending.repeats
        self._know(known.told(X, y, repeats), X)

    def _know(self, data: Dataset, answered: NDArray[np.float64]) -> None:
        """Take samples for known, which answer some pending points.

        The proxy learns them as soon as somebody looks at what it has learned.
        """
        state = self._known.unlearned(data)
        space = AskTell(self).space_told(data.X) if len(data) >= 2 else None
        if space is None or not space.any_counts(data.X):
            self._publish(state)
        else:
            self._publish(replace(state, bounds=space.bounds, variables=space, is_due=True))
        if self._pending is not None:
            self._pending.answer(answered, AskTell(self).space_known())
            self.X_pending_ = self._pending.points

    @with_callbacks
    def _learn_if_due(self) -> None:
        """Learn what was told, if that was not done yet; if that raises, it is due again."""
        state = self._known
        if not state.is_due:
            return
        assert state.data is not None
        assert state.variables is not None
        run = Run(self, state.variables, draw_seeds(self), Progress(self, 2), state.goal)
        self._publish(self._settled(self._learn(run, state.data)))
        run.progress.end(f"Learned {len(state.data)} samples.")

    def to_frame(self) -> Any:
        """Return every sample that is known as a table, in the order in which they came.

        Returns
        -------
        pandas.DataFrame
            The variables, under their names and with labels; `value`, NaN for a failure; `lower`
            and `upper`, between which the surrogate model expects the value, without its noise,
            with a probability of 90 %, of several outputs `value_0`, `lower_0`, `upper_0`,
            `value_1`, ...; `round`, the batch it was evaluated in; `stage`, the phase of the run,
            or "told", "given" or "journal" for samples that came from there; `reason`, why `ask`
            proposed it; `seconds` that it took; and `failure`, what went wrong. What is not known
            is missing. A variable that has one of these names keeps it, and the note gets an
            underscore.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        self._learn_if_due()
        history, state = self._history, self._known
        interval = None
        if isinstance(state, LearnedState):
            interval = state.interval(history.X)[:, :, 1:]
        return frame_of_samples(history, self._variables_known, interval)

    @property
    def _variables_known(self) -> Variables:
        """The variables of the samples that are known, also before anything is learned."""
        state = self._known
        return AskTell(self).space_known() if state.variables is None else state.variables

    @property
    def _history(self) -> History:
        """Every sample that is known, in the order in which they came."""
        state = self._known
        if state.data is None:
            check_is_fitted(self, "X_")
        assert state.data is not None
        journal = None if self.journal is None else Journal(self.journal)
        if journal is not None and not journal.path.exists():
            journal = None
        return History.of(self._run_log, state.data, state.goal.turned(state.data.y), journal)

    def save(self, path: str | PathLike[str]) -> None:
        """Save samples, answer and proxy into a file that contains no code.

        The file holds plain arrays, and text in JSON: samples, values, failures, pending points and
        the box. A `ProxyOptimizer` adds its answer, with the numbers and texts of `result_`, and a
        proxy of `sklearn_proxyopt.proxies` with all that it needs to predict. Other proxies,
        networks of a module of your own, and proxies of other variables than plain numbers or with
        known constraints are learned again by `load`. Parameters are not in the file: they are in
        the program.

        Parameters
        ----------
        path : str or path-like
            The file; one that is there is replaced.
        """
        self._learn_if_due()
        write_knowledge(self, path)

    def load(self, path: str | PathLike[str]) -> Self:
        """Go on from a file that `save` wrote.

        The answer is the saved one where the file has one. A proxy in the file
        predicts to the last bit as it did, without training and whatever the parameters of this
        optimizer are; these hold for what comes after. Any other proxy is learned again, and is as
        it was with the parameters of the optimizer that wrote the file.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        self
            The optimizer, fitted if at least two samples were told.

        Raises
        ------
        ValueError
            If the file is damaged, of another kind, class or number of constraints, or of a format
            that is not known. The optimizer stays as it was.
        """
        self.check_parameters()
        saved = read_knowledge(self, path)
        self._settle_outputs(saved.n_outputs)
        self._begin_anew(keeps_box=saved.keeps_box, goal=saved.goal)
        self._kinds_seen = saved.kinds
        self._keep_names(saved.kinds.names)
        self.n_features_in_ = saved.n_features
        if saved.state is not None:
            self._publish(saved.state if saved.has_proxy else self._learn_again(saved.state))
        else:
            bounds = None if saved.space is None else saved.space.bounds
            self._publish(replace(self._known, bounds=bounds, variables=saved.space))
            if len(saved.data.evaluated):
                self._take_in(*saved.data.results())
        if len(saved.pending) or saved.asked:
            self._pending = AskTell(self).pending_points(saved.n_features)
            self._pending.add(saved.pending, saved.data.evaluated)
            self._pending.asked = saved.asked
        if len(saved.pending):
            self.X_pending_ = saved.pending
        return self

    @with_callbacks
    def _learn_again(self, saved: ModelState) -> ModelState:
        """Return a saved state whose proxy has learned the samples again that it had learned."""
        run = Run(self, saved.variables, saved.seeds, Progress(self, 2), saved.goal)
        again = self._learn(run, saved.learned)
        assert isinstance(again, ModelState)
        names = ("proxy", "optimizer", "failure_risk", "merit", "ladder", "smoothing_report")
        return replace(saved, **{name: getattr(again, name) for name in names})

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits.

        The parts are asked too, wherever they lie inside one another, so that nothing is evaluated
        before all of them are known to be in order.
        """
        if self.objective is not None and not callable(self.objective):
            raise ValueError(f"objective must be callable or None; got {self.objective!r}.")
        self._check_direction()
        if self.budget is not None:
            check_integer(self.budget, "budget", minimum=4)
        check_integer(self.n_repeats, "n_repeats")
        check_short_names(self)
        check_components(self)
        check_optimizer(self.optimizer, finds_front=issubclass(self._state_class, FrontState))
        check_integer(self.n_constraints, "n_constraints", minimum=0)
        check_noise_std(self.noise_std, self._n_outputs or 1)
        check_option(self.on_error, "on_error", ("raise", "drop", "learn"))
        check_option(self.input_format, "input_format", ("auto", "array", "named"))
        check_verbose(self.verbose)
        self._evaluator(None).check_parameters()
        if self.journal is not None:
            Journal(self.journal)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Say of a result that is missing what brings it."""
            kind = type(self).__name__
            if hasattr(type(self), name):
                # A property has raised, and does so again.
                return object.__getattribute__(self, name)
            if not name.endswith("_") or name.startswith("_"):
                raise AttributeError(f"{kind!r} object has no attribute {name!r}")
            if name in self._state_class.attributes() and self._known.is_due:
                self._learn_if_due()
                return getattr(self, name)
            what_brings_it = (
                "It is there after ask."
                if name == "X_pending_"
                else "The results of an optimizer are there after fit, minimize or maximize, or "
                "once enough samples were told."
            )
            raise AttributeError(f"{kind!r} object has no attribute {name!r} now. {what_brings_it}")

    def set_params(self, **params: Any) -> Self:
        """Set parameters; those of a component under its name, such as ``proxy__max_epochs``.

        Parameters
        ----------
        **params : dict
            The parameters.

        Returns
        -------
        self
            The optimizer.

        Raises
        ------
        ValueError
            If a parameter does not exist, or belongs to a component that is None or a name.
        """
        for name in params:
            component = name.partition("__")[0]
            value = params.get(component, getattr(self, component, None))
            if component != name and component in _INSTANCES and isinstance(value, str | None):
                raise ValueError(
                    f"{component} must be an instance for {name} to be set, such as "
                    f"{component}={_INSTANCES[component]}; got {value!r}."
                )
        super().set_params(**params)
        return self

    @property
    @abstractmethod
    def _n_phases(self) -> int:
        """How many phases a run has at most."""

    @property
    def _n_outputs(self) -> int | None:
        """How many numbers the function returns for a sample; None for one that is no array."""
        return None

    def _settle_outputs(self, n_outputs: int | None) -> None:
        """Settle how many outputs there are where no parameter says so; None if nothing does."""

    def _shown(self, outputs: NDArray[np.float64]) -> float:
        """Return the value of a sample of several outputs as callbacks show it; NaN for none."""
        return float(feasible_values(outputs[None])[0])

    def _check_direction(self) -> None:
        """Raise an error if the direction is none."""
        check_direction(self.direction)

    def _goal_of(self, method: Direction | None = None) -> Goal:
        """Return what is sought by the parameter, or by the method called where it is None."""
        return Goal.of(self.direction if self.direction is not None else method)

    def _check_method(self, method: Direction) -> None:
        """Raise an error if a method contradicts the parameter."""
        other = "maximize" if method == "minimize" else "minimize"
        sought = self._goal_of(method).directions
        if set(sought) == {other} or (method == "maximize" and other in sought):
            raise ValueError(
                f"direction must be None or {method!r} for {method}; got {self.direction!r}. Call "
                f"{other}, which follows it."
            )

    @property
    def _goal(self) -> Goal:
        """What is sought of the values: by the parameter, or else by the run before."""
        return self._known.goal if self.direction is None else self._goal_of()

    @property
    def _known(self) -> FittedState:
        """What is known before and after a run."""
        state: FittedState | None = vars(self).get("_state")
        return FittedState(goal=self._goal_of()) if state is None else state

    @property
    def _learned(self) -> Any:
        """What is known where the proxy has learned."""
        check_is_fitted(self, "proxy_")
        return self._known

    def _publish(self, state: FittedState) -> None:
        """Let a state be what is known, and its public part the attributes."""
        for name in self._known.published():
            self.__dict__.pop(name, None)
        self._state = state
        self.__dict__.update(state.published())

    def _begin_anew(self, keeps_box: bool, goal: Goal) -> None:
        """Forget what was learned and asked before; note whether `tell` must keep the box to come.

        A run that fails then leaves what it evaluated, and nothing of another problem.
        """
        for name in [name for name in vars(self) if name.endswith("_") and name not in _SETTLED]:
            self.__dict__.pop(name, None)
        for name in ("_pending", "_log"):
            self.__dict__.pop(name, None)
        self._state = FittedState(keeps_box=keeps_box, goal=goal)

    @property
    def _spec(self) -> SpaceSpec:
        """The variables as bounds and the samples seen state them."""
        return SpaceSpec.in_force(self)

    @property
    def _names_seen(self) -> NDArray[np.object_] | None:
        """The names of the variables, None where there are none."""
        return getattr(self, "feature_names_in_", None)

    def _keep_names(self, names: tuple[str, ...] | None) -> None:
        """Let the names be those of bounds, where no samples bring any."""
        self.__dict__.pop("feature_names_in_", None)
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)

    def _validate_samples(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        bounds: Any = None,
        reset: bool = True,
        n_least: int = 1,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return samples and their values, NaN for a failure, or say what is wrong with them."""
        outputs, failed = read_values(y), None
        if self.on_error != "raise" and outputs is not None:
            failed = ~succeeded(outputs)
            outputs[failed] = 0.0
        X, y = read_samples(
            self,
            X,
            outputs,
            SpaceSpec.of(self, bounds) if reset else self._spec,
            reset=reset,
            y_numeric=True,
            multi_output=self._n_outputs is not None,
            ensure_min_samples=n_least,
            order="C",
            copy=True,
        )
        values = np.array(y, dtype=np.float64)
        if values.shape[1:] != Dataset.empty(1, self._n_outputs).y.shape[1:]:
            raise ValueError(
                f"y must have shape (n_samples, {self._n_outputs}), a column for each output; got "
                f"shape {values.shape}."
            )
        if failed is not None:
            values[failed] = np.nan
        return X, values

    def _given(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> Dataset:
        """Return samples evaluated before, those of them that failed apart."""
        data = Dataset.of_results(X, y)
        n_failed = len(data.X_failed)
        if len(data) < 2:
            raise ValueError(
                f"y must have a finite value for at least two samples; got {len(data)} of {len(X)}."
            )
        if n_failed:
            warn_user(
                f"{n_failed} of {len(X)} samples given have failed and are left out.",
                FailedEvaluationWarning,
            )
        return data

    def _samples_given(
        self, X: ArrayLike | None, y: ArrayLike | None, bounds: Any
    ) -> tuple[Dataset, Variables]:
        """Return the samples a run was given, if any, in the user's sign; and the variables."""
        if (X is None) != (y is None):
            raise ValueError("X and y must be given together; got only one of them.")
        if X is not None and y is not None:
            check_form(X)
            shape = np.shape(X)
            if shape and shape[0] < 2:
                raise ValueError(
                    f"X must hold at least two samples; got {shape[0]}. Go on from fewer by tell "
                    "and ask, with the parameter budget, or leave X and y out."
                )
            X, y = self._validate_samples(X, y, bounds=bounds, n_least=2)
            data, space = self._given(X, y), SpaceSpec.of(self, bounds).variables(X)
            warn_of_rows_outside(X, space)
            return data, space
        if bounds is None:
            raise ValueError("bounds must be given where no samples X tell the box; got None.")
        self._kinds_seen = None
        self._keep_names(None)
        space = SpaceSpec.of(self, bounds).variables()
        self._keep_names(space.names)
        self.n_features_in_ = space.n_features
        self._settle_outputs(None)
        return Dataset.empty(space.n_features, self._n_outputs), space

    def _evaluator(self, objective: Any) -> Evaluator:
        """Return what calls the objective."""
        return Evaluator(
            objective,
            vectorized=self.vectorized,
            on_error="raise" if self.on_error == "raise" else "drop",
            n_jobs=self.n_jobs,
            time_limit=self.time_limit,
            n_retries=self.n_retries,
            n_outputs=self._n_outputs,
        )

    def _journal_at(self, path: str | PathLike[str]) -> Journal:
        """Return the journal of a path, which reads what is new if the path was read before."""
        journal = Journal(path)
        if self._journal is None or self._journal.path != journal.path:
            self._journal = journal
        return self._journal

    @property
    def _run_log(self) -> RunLog:
        """When and why each sample came to be known, as far as that was noted."""
        if self._log is None:
            self._log = RunLog()
        return self._log

    @_run_log.setter
    def _run_log(self, log: RunLog) -> None:
        self._log = log

    @property
    def _records(self) -> RecordBook:
        """The records of what was evaluated, which clones share."""
        if "_record_book" not in vars(self):
            self._record_book = RecordBook()
        return self._record_book

    def __getstate__(self) -> dict[str, Any]:
        # The record of a function that is no parameter would drag that function along.
        state: dict[str, Any] = dict(BaseEstimator.__getstate__(self))
        state.pop("_journal", None)
        state.pop("_record_book", None)
        if self.objective is not None and "_record_book" in vars(self):
            state["_record_book"] = self._record_book.only(self.objective, self._n_outputs)
        return state

    def __sklearn_clone__(self) -> Self:
        # The objective is handed on as it is: a simulator is no parameter to be copied. So is
        # the record of what was evaluated.
        bare = copy.copy(self)
        bare.objective = None
        cloned = BaseEstimator.__sklearn_clone__(bare)
        cloned.objective = self.objective
        if self.objective is not None:
            cloned._record_book = self._records.only(self.objective, self._n_outputs)
        return cloned
