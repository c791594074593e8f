"""The phases of a run that spend evaluations, each a strategy, and the loop that drives them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from sklearn_proxyopt._run._design import InitialDesign
from sklearn_proxyopt._run._infill_state import (
    InfillState,
    nearest_to_axes,
    rows_at_axes,
    warm_up,
)
from sklearn_proxyopt._run._learning import learn_risk, unfitted_model
from sklearn_proxyopt._run._noise import (
    NoiseWatch,
    NoisyRounds,
    OneRepeat,
    WatchedSearch,
    known_noise,
    noise_model,
)
from sklearn_proxyopt._run._oracle import Oracle
from sklearn_proxyopt._run._run import PaidRun, Run
from sklearn_proxyopt._run._settings import SearchSettings, Settings
from sklearn_proxyopt._run._short_names import SamplerName, sampler_of_size
from sklearn_proxyopt._strategies import NOBODY, Batches, LateResults, Routine, Strategy
from sklearn_proxyopt._utils._dataset import Dataset
from sklearn_proxyopt._utils._seeding import seeded
from sklearn_proxyopt._utils._stopping import StopRun
from sklearn_proxyopt.infill import BaseInfill
from sklearn_proxyopt.refine import SurrogateCMAES
from sklearn_proxyopt.refine._base import EarlySearch
from sklearn_proxyopt.samplers import BaseSampler
from sklearn_proxyopt.variables import Variables

__all__ = [
    "InfillRounds",
    "Phase",
    "SearchPlan",
    "begins_before_proxy",
    "design_phase",
    "design_sampler",
    "drive",
    "seeded_sampler",
]

# Rounds of infill without a budget that would say how many there can be.
_DEFAULT_N_ROUNDS = 10
# With a budget: rows of the first design for each variable and in all, and the share of what it
# leaves that is spent before the proxy learns and is searched.
_DESIGN_PER_VARIABLE = 2
_SMALLEST_DESIGN = 12
_SHARE_BEFORE_PROXY = 0.5
# Evaluations of the search that follows the proxy, where nothing says how many.
_N_REFINED = 200


@dataclass
class Phase:
    """A strategy with what is told of it while it is driven.

    Parameters
    ----------
    name : str
        Its name, as callbacks see it.
    text : str
        What is printed as it begins.
    strategy : Strategy
        Proposes the points.
    n_rows : int or None
        Most settings that are evaluated, None where that is not known.
    hands_on : bool, default=False
        Whether results that are pending at its end are left to the next phase.
    is_batch : bool, default=False
        Whether all that it proposes belongs together, and is evaluated before it goes on.
    """

    name: str
    text: str
    strategy: Strategy
    n_rows: int | None
    hands_on: bool = False
    is_batch: bool = False


def drive(run: PaidRun, phase: Phase) -> None:
    """Evaluate what a phase proposes until it or the run has ended.

    Raises
    ------
    StopRun
        If the run has ended.
    """
    oracle, strategy = run.oracle, phase.strategy
    n_rows = None if phase.n_rows is None else phase.n_rows * oracle.n_repeats
    is_side_by_side = oracle.in_flight is not None and not phase.is_batch
    if is_side_by_side:
        # Rows of one phase may end in the next.
        n_rows = None
    telling = run.progress.evaluations(phase.name, phase.text, oracle.evaluator, n_rows)
    oracle.log.stage = phase.name
    with telling, closing(strategy):
        if is_side_by_side:
            _drive_side_by_side(oracle, phase)
            return
        while True:
            data = oracle.data
            points = strategy.propose(None, data, data.X[:0])
            if strategy.has_ended:
                return
            strategy.observe(points, oracle.evaluate(points, anew=strategy.repeats_known))


def _drive_side_by_side(oracle: Oracle, phase: Phase) -> None:
    """Begin another evaluation for each that ends, until a phase or the run has ended."""
    strategy = phase.strategy
    try:
        while True:
            points = oracle.data.X[:0]
            if oracle.n_free > 0 and not strategy.has_ended:
                points = strategy.propose(oracle.n_free, oracle.data, oracle.pending)
            if len(points):
                oracle.begin(points, anew=strategy.repeats_known)
            elif strategy.has_ended and (phase.hands_on or not len(oracle.pending)):
                return
            else:
                row, outputs = oracle.collect()
                strategy.observe(row, outputs)
                oracle.count(outputs)
    except StopRun:
        # What has begun still counts.
        while len(oracle.pending):
            row, outputs = oracle.collect()
            strategy.observe(row, outputs)
            with suppress(StopRun):
                oracle.count(outputs)
        raise


def takes_late(run: PaidRun) -> LateResults | None:
    """Return who takes results that come late for a strategy that needs to be told of none."""
    return None if run.oracle.in_flight is None else NOBODY


def design_phase(run: PaidRun, sampler: BaseSampler) -> Phase:
    """Return the evaluation of an initial design, if the budget pays for more than that."""
    stopping = run.oracle.stopping
    is_limited = stopping.budget is not None
    goes_on = is_limited and run.optimizer.on_error != "raise"
    # Without a limit nothing is chosen by what is known of the first rows.
    late = takes_late(run) if is_limited else None
    done, evaluator = run.oracle.data.evaluated, run.oracle.evaluator
    design = InitialDesign(sampler, run.space, goes_on, done, late, lambda: evaluator.why_failed)
    rows = design.rows
    n_new = run.oracle.n_new(rows)
    if n_new >= stopping.n_left:
        raise ValueError(
            f"budget must exceed the {n_new} new rows of the sampler's design; "
            f"got {stopping.budget}."
        )
    text = f"Evaluating a design of {len(rows)} rows."
    n_rows = None if goes_on else len(rows)
    return Phase("design", text, design, n_rows, is_batch=not is_limited)


class LateRows:
    """Tells a search on the axes of rows whose results come late.

    Parameters
    ----------
    search : EarlySearch
        The search.
    space : Variables
        The variables.
    """

    def __init__(self, search: EarlySearch, space: Variables) -> None:
        self._search, self._space = search, space

    def expect(self, X: NDArray[np.float64]) -> None:
        """Take rows for pending."""
        self._search.expect(X, self._space.encode(X))

    def settle(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Take the results of rows that were pending."""
        self._search.settle(X, y)


class SearchPlan:
    """What a run evaluates before its proxy learns: a design, then infill, or a search.

    Parameters
    ----------
    run : PaidRun
        The run.
    optimizer : SearchSettings
        Its parameters hold.

    Attributes
    ----------
    early_search : EarlySearch or None
        The search of the objective that goes on after the proxy has learned.
    end : StopRun or None
        What ended the run, None where it goes on.
    watch : NoiseWatch
        Whether values have noise.
    """

    def __init__(self, run: PaidRun, optimizer: SearchSettings) -> None:
        self._run, self._optimizer = run, optimizer
        self.watch = NoiseWatch(optimizer.noise_std, optimizer._n_outputs)
        self.early_search: EarlySearch | None = None
        self.end: StopRun | None = None

    def drive(self, *, with_design: bool) -> None:
        """Drive all phases, until they or the run have ended."""
        run = self._run
        try:
            run.oracle.check_given()
            for phase in self._phases(with_design):
                drive(run, replace(phase, hands_on=True))
        except StopRun as reached:
            run.oracle.check_enough(reached)
            self.end = reached
        self.watch.settle(run.oracle.data)

    def repeat(self, proxy: Any) -> bool:
        """Evaluate a repeat if a fitted proxy suspects noise; tell whether that was done."""
        if self.end is not None or self._run.oracle.n_left < 1 or not self.watch.doubts(proxy):
            return False
        try:
            drive(self._run, Phase("repeat", "Repeating an evaluation.", OneRepeat(self.watch), 1))
        except StopRun as reached:
            self.end = reached
        self.watch.settle(self._run.oracle.data)
        return True

    @property
    def rounds_of_noise(self) -> Phase | None:
        """The search of noisy values; None where values are exact or another refiner is set."""
        run, optimizer = self._run, self._optimizer
        if not self.watch.is_noisy or optimizer.refiner != "auto" or run.oracle.n_left < 1:
            return None
        rounds = NoisyRounds(run, optimizer)
        text = f"Searching noisy values, {rounds.n_rows} evaluations."
        return Phase("infill", text, rounds, rounds.n_rows)

    def _phases(self, with_design: bool) -> Iterator[Phase]:
        """Yield the phases, each prepared once the one before has ended."""
        run, optimizer = self._run, self._optimizer
        if with_design:
            yield design_phase(run, _sampler_within(run, optimizer))
        run.n_initial = len(run.oracle.data)
        self.watch.begin(run.oracle.data)
        if optimizer.infill is not None:
            yield _infill_phase(run, optimizer, optimizer.infill)
        budget = run.oracle.budget
        if budget is None or not begins_before_proxy(optimizer.refiner):
            return
        if self.rounds_of_noise is None:
            search, n_rows = self.begin_search()
            if optimizer.infill is None:
                n_rows = int(_SHARE_BEFORE_PROXY * n_rows)
                text = f"Searching the function, {n_rows} evaluations."
                # A repeat may come in between.
                yield Phase("explore", text, self._watched(search.explore(n_rows)), n_rows + 1)
        phase = self.rounds_of_noise
        if phase is not None:
            yield phase

    def _watched(self, batches: Batches) -> Routine:
        """Return the search of the objective, which ends where values are found to have noise."""
        if self._optimizer.refiner != "auto":
            return self.search_routine(batches)
        model = noise_model(self._optimizer, self._run)
        return WatchedSearch(batches, self.watch, model, self._late_rows)

    def begin_search(self) -> tuple[EarlySearch, int]:
        """Begin the search of the objective; return it and how many evaluations it has."""
        self.early_search, n_rows = _begin_search(self._run, self._optimizer)
        return self.early_search, n_rows

    def search_routine(self, batches: Batches) -> Routine:
        """Return a part of the early search as a strategy."""
        return Routine(batches, self._late_rows)

    @property
    def _late_rows(self) -> LateRows | None:
        """Who tells the early search of results that come late; None where none do."""
        if self._run.oracle.in_flight is None:
            return None
        assert self.early_search is not None
        return LateRows(self.early_search, self._run.space)


def begins_before_proxy(refiner: Any) -> bool:
    """Tell whether a refiner begins its search before the proxy learns, where there is a budget."""
    return refiner == "auto" or getattr(refiner, "begins_before_proxy", False)


def design_sampler(optimizer: Settings, seed: int) -> BaseSampler:
    """Return the sampler of the initial design, seeded."""
    return seeded_sampler(optimizer, "sobol", optimizer._default_n_samples, seed)


def seeded_sampler(
    optimizer: Settings, default: SamplerName, n_samples: int, seed: int
) -> BaseSampler:
    """Return the sampler of an optimizer, seeded; a name or None takes this number of samples."""
    sampler = default if optimizer.sampler is None else optimizer.sampler
    if isinstance(sampler, str):
        sampler = sampler_of_size(sampler, n_samples)
    sampler = seeded(sampler, seed)
    return sampler


def _sampler_within(run: PaidRun, optimizer: SearchSettings) -> BaseSampler:
    """Return the sampler of the initial design, a small one where a budget has to pay for it."""
    budget, seed = run.oracle.budget, run.seeds["sampler"]
    if budget is None or not isinstance(optimizer.sampler, str | None):
        return design_sampler(optimizer, seed)
    n_samples = max(_DESIGN_PER_VARIABLE * run.space.n_axes, _SMALLEST_DESIGN)
    n_samples = max(min(n_samples, budget // 3), 2)
    if optimizer.infill is not None or not begins_before_proxy(optimizer.refiner):
        # Nothing but the design tells the proxy of the whole box.
        n_samples = max(budget // 3, 2)
    return seeded_sampler(optimizer, "lhs", n_samples, seed)


def _infill_phase(run: PaidRun, optimizer: SearchSettings, infill: BaseInfill) -> Phase:
    n_left = run.oracle.n_left
    n_rounds = _DEFAULT_N_ROUNDS if infill.n_rounds is None else infill.n_rounds
    if np.isfinite(n_left):
        n_affordable = max(int(_SHARE_BEFORE_PROXY * n_left) // infill.n_points, 1)
        n_rounds = n_affordable if infill.n_rounds is None else min(n_rounds, n_affordable)
    text = f"Infill by {type(infill).__name__}, {n_rounds} rounds."
    rounds = InfillRounds(run, optimizer, clone(infill), n_rounds, takes_late(run))
    return Phase("infill", text, rounds, n_rounds * infill.n_points)


class InfillRounds(Routine):
    """Rounds in which a proxy learns what is known, and an infill strategy proposes points.

    Parameters
    ----------
    run : Run
        The run.
    optimizer : SearchSettings
        Its parameters hold.
    infill : BaseInfill
        The strategy, which may remember earlier rounds.
    n_rounds : int
        How many.
    late : LateResults, default=None
        Takes results that come late.
    """

    def __init__(
        self,
        run: Run,
        optimizer: SearchSettings,
        infill: BaseInfill,
        n_rounds: int,
        late: LateResults | None = None,
    ) -> None:
        super().__init__(late=late)
        self._of_run, self._optimizer, self._infill = run, optimizer, infill
        self._n_rounds = n_rounds

    def _run(self) -> Batches:
        run, space = self._of_run, self._of_run.space
        rng = np.random.default_rng(run.seeds["infill"])
        model = unfitted_model(self._optimizer, run)
        for n_round in range(self._n_rounds):
            if n_round:
                warm_up(model.learner)
            model.fit(self.known.X, self.known.y, run.names)
            risk = learn_risk(self._optimizer, self.known, space, run.seeds)
            noise = known_noise(self._optimizer, self.known, model.learner)
            state = InfillState(model, self.known, space, run.names, rng, risk, noise)
            points = self._infill.propose(state.knowledge(self.pending))
            yield rows_at_axes(space, points)


def _opened_at_best(space: Variables, data: Dataset) -> Variables:
    """Return the variables so that a search of the best sample may pass the end of a period."""
    if not (space.kinds.is_periodic.any() and space.counts(data.X).any()):
        return space
    return space.opened_at(space.best_rows(data.X, data.y)[0][0])


def _moved_to(
    space: Variables, points: NDArray[np.float64], rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return points on the axes, moved to where their rows lie on those that are continuous."""
    return np.where(space.is_discrete_axis, points, space.encode(rows))


def _begin_search(run: PaidRun, optimizer: SearchSettings) -> tuple[EarlySearch, int]:
    """Begin the search of the objective; return it and how many evaluations it has."""
    data = run.oracle.data.by_setting
    space = run.space = _opened_at_best(run.space, data)
    is_default = optimizer.refiner == "auto"
    refiner = seeded(SurrogateCMAES() if is_default else optimizer.refiner, run.seeds["refiner"])
    # Where not every point of the box is a row, the search works on the axes.
    rows_of = None if space.is_continuous_box else partial(nearest_to_axes, space)
    moved_to = None if space.constraints is None else partial(_moved_to, space)
    search = refiner.begin(space.axes, rows_of, space.is_category_axis, moved_to)
    counts = space.counts(data.X)
    search.note(space.encode(space.snap(data.X[counts])), data.y[counts])
    failed = space.encode(data.X_failed)
    search.note(failed, np.full((len(failed), *data.y.shape[1:]), np.nan))
    n_left, n_most = run.oracle.n_left, refiner.max_evaluations
    if n_most is None and np.isinf(n_left):
        n_most = _N_REFINED
    n_allowed = int(n_left if n_most is None else min(n_left, n_most))
    search.allow(n_allowed)
    return search, n_allowed
