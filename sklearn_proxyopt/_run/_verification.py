"""Verify the front that a proxy predicts, and answer by the front of what was evaluated."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._proxy_search._failure_model import risk_in_units
from sklearn_proxyopt._proxy_search._front import FrontSearch, front_of_rows
from sklearn_proxyopt._run._known_noise import has_noise
from sklearn_proxyopt._run._learning import learn_risk, proxy_of
from sklearn_proxyopt._run._noise import NoiseWatch, Repeat, estimates_of, noise_proxy
from sklearn_proxyopt._run._phases import (
    Phase,
    design_phase,
    design_sampler,
    far_phase,
    seeded_sampler,
    takes_late,
)
from sklearn_proxyopt._run._result import RunResult
from sklearn_proxyopt._run._run import PaidRun, Run
from sklearn_proxyopt._run._settings import FrontSettings, Settings
from sklearn_proxyopt._run._state import FrontState
from sklearn_proxyopt._run._stopping import FrontCriteria
from sklearn_proxyopt._strategies import Batches, LateResults, Routine
from sklearn_proxyopt._utils._dataset import Dataset, is_among, row_keys
from sklearn_proxyopt._utils._stopping import StopRun
from sklearn_proxyopt.optimizers import NSGA2, hypervolume
from sklearn_proxyopt.optimizers._pareto import spread_out
from sklearn_proxyopt.samplers import BaseSampler

__all__ = ["FrontPlan", "Verification", "learn_front"]

# With noise, a known point of the front is evaluated once more after so many new ones.
_REPEATED_AFTER = 3
# Points of fronts that are verified where no budget says how many.
_N_VERIFIED = 200


class Verification(Routine):
    """Evaluate points of a predicted front.

    Parameters
    ----------
    points : ndarray of shape (n_points, n_features)
        The points.
    predicted : ndarray of shape (n_points, n_outputs)
        What the proxy says there.
    late : LateResults, default=None
        As of `Routine`.
    repeats_known : bool, default=False
        Whether known points are evaluated once more.
    """

    def __init__(
        self,
        points: NDArray[np.float64],
        predicted: NDArray[np.float64],
        late: LateResults | None = None,
        repeats_known: bool = False,
    ) -> None:
        super().__init__(late=late)
        self.points, self.predicted, self.repeats_known = points, predicted, repeats_known

    def _run(self) -> Batches:
        yield self.points


def learn_front(run: Run, optimizer: Settings, data: Dataset, **fit_params: Any) -> FrontState:
    """Fit the proxy to samples and find its front, the answer until one is verified."""
    space, progress = run.space, run.progress
    search_by = NSGA2() if optimizer.optimizer is None else optimizer.optimizer
    front = FrontSearch(
        proxy_of(optimizer),
        search_by,
        run.seeds,
        optimizer.n_constraints,
        space,
        run.goal,
        is_noisy=has_noise(optimizer.noise_std, data),
    )
    text = f"Training {type(front.learner).__name__} on {len(data)} samples."
    with (
        progress.phase("train", text) as training,
        training.propagate_callback_context(front.learner),
    ):
        front.fit(data.X, data.y, run.names, **fit_params)
    with progress.phase("search", f"Searching the proxy by {type(front.optimizer).__name__}."):
        risk = risk_in_units(learn_risk(optimizer, data, space, run.seeds), space)
        search = front.search(data.X, data.y, risk)
    # Those that tell most come first: `ask` hands them out in this order.
    known = front.known(data)
    result = RunResult(search)
    result.F = result.F_proxy = run.goal.turned(search.F)
    result.X_proxy, result.measured = search.X, False
    return FrontState(
        data=data,
        bounds=space.bounds,
        variables=space,
        goal=run.goal,
        keeps_box=optimizer._known.keeps_box,
        failure_risk=risk,
        n_learned=len(data),
        n_evaluations=run.n_evaluated,
        candidates=search.X[spread_out(search.F, known.F, len(search.F))],
        noise_std=getattr(front.learner, "noise_std_", None),
        proxy=front.learner,
        optimizer=front.optimizer,
        front_search=front,
        X_front_proxy=search.X,
        F_front_proxy=search.F,
        X_front=search.X,
        F_front=search.F,
        search=search,
        result=result,
    )


class FrontPlan:
    """What a run for a front evaluates: a design, then points of the proxy's front, in rounds.

    Parameters
    ----------
    run : PaidRun
        The run.
    optimizer : FrontSettings
        Its parameters hold.

    Attributes
    ----------
    rounds : list of Verification
        What was verified.
    n_stages : int
        How many further rounds have begun.
    end : StopRun or None
        What ended the run, None where the rounds came to their end. Whoever drives the phases sets
        it.
    state : FrontState or None
        What the proxy has learned last.
    """

    def __init__(self, run: PaidRun, optimizer: FrontSettings) -> None:
        self._run, self._optimizer = run, optimizer
        self.rounds: list[Verification] = []
        self.n_stages = 0
        self.end: StopRun | None = None
        self.state: FrontState | None = None
        self._n_design, self._X_design = 0, run.oracle.data.X
        self._watch = NoiseWatch(optimizer.noise_std)
        if self._watch.is_noisy:
            run.oracle.stopping.read_estimates()

    def phases(self, *, with_design: bool) -> Iterator[Phase]:
        """Yield the design, if there is to be one; then learn and yield points of the front.

        As long as no sample is feasible, what the front leaves of the budget explores.
        """
        oracle = self._run.oracle
        if with_design and self.end is None:
            yield replace(design_phase(self._run, self._sampler()), hands_on=True)
        self._n_design, self._X_design = oracle.n_calls, np.vstack([oracle.data.X, oracle.pending])
        state = yield from self._learned()
        explorer = self._sampler()
        while self.end is None and (n_points := self._n_of_round) > 0:
            points, n_far = self._points_by_worth(state)[:n_points], 0
            goes_on = len(self.rounds) + 1 < self._optimizer.n_rounds
            if self._lacks_feasible(state) and not (len(points) and goes_on):
                n_far = n_points - len(points)
            if not (len(points) or n_far):
                break
            self.rounds.append(self._verification(state, points))
            if len(points):
                strategy, hands_on = self.rounds[-1], goes_on or n_far > 0
                yield Phase("verify", "Verifying the front.", strategy, len(points), hands_on)
            if self.end is None and n_far:
                yield far_phase(self._run, explorer, n_far)
            if self.end is None and goes_on:
                state = yield from self._learned()
        if len(oracle.pending):
            yield Phase("verify", "Waiting for the last results.", Routine(_nothing()), 0)

    def further(self, sampler: BaseSampler) -> Iterator[Phase]:
        """Yield rounds of points of the front, and as many far from all, until there are none."""
        oracle, n_before = self._run.oracle, -1
        oracle.allow(None)
        while oracle.n_asked > n_before:
            n_before, self.end = oracle.n_asked, None
            self.n_stages += 1
            n_points = max(len(oracle.data) // (2 * self._optimizer.n_rounds), 1)
            state = yield from self._learned()
            points = self._points_by_worth(state)[:n_points]
            if len(points):
                strategy = self._verification(state, points)
                yield Phase("verify", "Verifying the front.", strategy, len(points), hands_on=True)
            yield far_phase(self._run, sampler, n_points)

    @property
    def candidates(self) -> NDArray[np.float64]:
        """The front that the proxy found last."""
        return self._run.oracle.data.X[:0] if self.state is None else self.state.candidates

    def note(self, data: Dataset) -> None:
        """Do nothing: the proxy learns all samples anyway."""

    def withdraw(self, X: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Do nothing: no point is remembered."""
        return np.ones(len(X), dtype=bool)

    def answer(self) -> FrontState:
        """Return what was found, once all phases have ended."""
        assert self.state is not None
        self._watch.settle(self._run.oracle.data)
        return _answered_by_front(
            self._run,
            self.state,
            self,
            self._front(),
            self._n_design,
            self._X_design,
        )

    def _front(self) -> OptimizeResult:
        """Return the front of all samples, or with noise of all settings as estimated."""
        if self._run.oracle.evaluator.journal is not None:
            self._run.oracle.keep_all_on_record()
        data, space, optimizer = self._run.oracle.data, self._run.space, self._optimizer
        if not self._watch.is_noisy:
            return _with_nothing_uncertain(
                front_of_rows(data.X, data.y, space, optimizer.n_constraints)
            )
        return _estimated_front(self._run, optimizer, data)

    def _first_of_front(self, data: Dataset) -> NDArray[np.float64]:
        n_constraints = self._optimizer.n_constraints
        front: NDArray[np.float64] = front_of_rows(data.X, data.y, self._run.space, n_constraints).X
        return front[:1]

    def _sampler(self) -> BaseSampler:
        """Return the sampler of the design; half of a budget where it is no instance."""
        budget, seed = self._run.oracle.budget, self._run.seeds["sampler"]
        if budget is None:
            return design_sampler(self._optimizer, seed)
        return seeded_sampler(self._optimizer, "sobol", max(budget // 2, 2), seed)

    def _learned(self) -> Generator[Phase, None, FrontState]:
        """Let the proxy learn, and once more after a repeat where it suspects noise."""
        state = self._learn()
        if self._watch.doubts(state.proxy) and self.end is None and self._run.oracle.n_left >= 1:
            repeat = Repeat(self._watch, self._first_of_front)
            yield Phase("repeat", "Repeating an evaluation.", repeat, repeat.n_rows)
            state = self._learn()
        return state

    def _learn(self) -> FrontState:
        run = self._run
        self._watch.settle(run.oracle.data)
        self.state = run.learn(partial(learn_front, run, self._optimizer, run.oracle.data))
        self._run.publish(self.state.unanswered())
        if self._watch.is_noisy:
            self._note_estimates(self.state)
        return self.state

    def _note_estimates(self, state: FrontState) -> None:
        """Let the front as estimated tell whether the run has reached its end."""
        stopping = self._run.oracle.stopping
        assert isinstance(stopping, FrontCriteria)
        known = state.front_search.known(self._run.oracle.data)
        try:
            stopping.estimate_front(known.F[: len(known.F) * known.success])
        except StopRun as reached:
            self.end = self.end or reached

    @property
    def _n_of_round(self) -> int:
        """How many points the next round may evaluate, 0 where there is none."""
        n_left, n_rounds = self._n_left, self._optimizer.n_rounds - len(self.rounds)
        return -(-n_left // n_rounds) if n_rounds > 0 else 0

    def _lacks_feasible(self, state: FrontState) -> bool:
        """Tell whether there is a budget, and no feasible sample yet."""
        oracle = self._run.oracle
        return oracle.budget is not None and not state.front_search.known(oracle.data).success

    def _points_by_worth(self, state: FrontState) -> NDArray[np.float64]:
        """Return new points of the front, under noise with the least certain known ones between."""
        new = self._new_points_of(state)
        if not self._watch.is_noisy or self._run.oracle.n_repeats > 1:
            return new
        again = state.front_search.least_certain(self._run.oracle.data)
        again = again[~is_among(again, self._run.oracle.pending)]
        return _interleaved(new, again, _REPEATED_AFTER)

    def _new_points_of(self, state: FrontState) -> NDArray[np.float64]:
        """Return points of the front far from those known, and from the pending as predicted."""
        data, pending, points = self._run.oracle.data, self._run.oracle.pending, state.candidates
        if len(pending):
            F, known = state.F_front_proxy, state.front_search.known(data).F
            believed = state.front_search.outputs(pending)[:, : F.shape[1]]
            points = state.X_front_proxy[spread_out(F, np.vstack([known, believed]), len(F))]
        return points[~is_among(points, np.vstack([data.evaluated, pending]))]

    def _verification(self, state: FrontState, points: NDArray[np.float64]) -> Verification:
        predicted = self._run.oracle.data.y[:0]
        if len(points):
            predicted = state.front_search.outputs(points)
        late = takes_late(self._run)
        return Verification(points, predicted, late, repeats_known=self._watch.is_noisy)

    @property
    def _n_left(self) -> int:
        n_left = self._run.oracle.n_left
        if np.isfinite(n_left):
            return int(n_left)
        return _N_VERIFIED - sum(len(one.points) for one in self.rounds)


def _nothing() -> Batches:
    yield from ()


def _interleaved(
    new: NDArray[np.float64], again: NDArray[np.float64], n_between: int
) -> NDArray[np.float64]:
    """Return points with one of the others after every so many of them, and all that is left."""
    points = list(new)
    for place, x in enumerate(again):
        points.insert((place + 1) * (n_between + 1) - 1, x)
    return np.array(points).reshape(-1, new.shape[1])


def _estimated_front(run: Run, optimizer: Settings, data: Dataset) -> OptimizeResult:
    """Return the front of the evaluated settings by what is estimated of noisy outputs."""
    n_constraints = optimizer.n_constraints
    model = FrontSearch(
        noise_proxy(optimizer), None, run.seeds, n_constraints, run.space, run.goal, is_noisy=True
    )
    estimates = estimates_of(model, data, run.space, run.names)
    front = front_of_rows(estimates.X, estimates.mean, run.space, n_constraints)
    place_of = {key: place for place, key in enumerate(row_keys(estimates.X))}
    places = [place_of[key] for key in row_keys(front.X)]
    n_objectives = front.F.shape[1]
    front.F_std = estimates.std[places, :n_objectives]
    if n_constraints:
        front.constraints_std = estimates.std[places, n_objectives:]
        front.probability_feasible = estimates.probability_feasible(n_objectives)[places]
    return front


def _with_nothing_uncertain(front: OptimizeResult) -> OptimizeResult:
    """Return a front of exact outputs with their standard deviations, which are 0."""
    front.F_std = np.zeros_like(front.F)
    if "constraints" in front:
        front.constraints_std = np.zeros_like(front.constraints)
        front.probability_feasible = (front.constraints <= 0.0).all(axis=1).astype(np.float64)
    return front


def _answered_by_front(
    run: PaidRun,
    state: FrontState,
    plan: FrontPlan,
    front: OptimizeResult,
    n_design: int,
    X_design: NDArray[np.float64],
) -> FrontState:
    """Let a front of all samples be the answer.

    Parameters
    ----------
    run : PaidRun
        The run, which has ended.
    state : FrontState
        What was learned last.
    plan : FrontPlan
        What was verified.
    front : OptimizeResult
        The front.
    n_design : int
        The calls of the objective before the proxy learned.
    X_design : ndarray of shape (n_samples, n_features)
        The samples asked for until then, whose worst outputs are the reference where none is given.
    """
    oracle, evaluator, rounds = run.oracle, run.oracle.evaluator, plan.rounds
    data = oracle.data
    message = f"A front of {len(front.F)} points after {len(rounds)} rounds of verification."
    if not front.success:
        message = "No feasible point was found: X has the one with the least violation."
    elif plan.end is not None:
        message = f"{message} {plan.end}"
    if plan.end is None and 1 <= oracle.n_left < np.inf:
        message = f"{message} {int(oracle.stopping.n_left)} evaluations of the budget are left."
    goal, nothing = state.goal, data.y[:0]
    n_objectives = len(goal.directions)
    stopping = oracle.stopping
    assert isinstance(stopping, FrontCriteria)
    reference = stopping.reference
    if reference is None:
        of_design = set(row_keys(X_design))
        y_design = data.y[[key in of_design for key in row_keys(data.X)]]
        reference = y_design[:, :n_objectives].max(axis=0)
    promised = np.vstack([nothing, *(one.predicted for one in rounds)])[:, :n_objectives]
    X_verified = np.vstack([data.X[:0], *(one.points for one in rounds)])
    verified = oracle.means(X_verified)[:, :n_objectives]
    result = RunResult(
        front,
        F=goal.turned(front.F),
        X_proxy=state.X_front_proxy,
        F_proxy=goal.turned(state.F_front_proxy),
        X_verified=X_verified,
        F_promised=goal.turned(promised),
        F_verified=goal.turned(verified),
        nit=len(rounds),
        hypervolume=hypervolume(front.F, reference) if front.success else 0.0,
        reference=goal.turned(reference[None])[0],
        nfev=evaluator.n_calls,
        nfev_design=n_design,
        n_failed=evaluator.n_failed,
        message=message,
        measured=True,
    )
    run.progress.end(message)
    return replace(
        state,
        data=data,
        X_front=front.X,
        F_front=front.F,
        result=result,
        n_evaluations=stopping.n_evaluated,
    )
