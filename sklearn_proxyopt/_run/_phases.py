"""The phases of a run that spend evaluations, each a strategy, and the loop that drives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from sklearn_proxyopt._run._design import FarPoints, InitialDesign
from sklearn_proxyopt._run._infill_state import (
    InfillState,
    rows_at_axes,
)
from sklearn_proxyopt._run._learning import learn_risk, unfitted_model
from sklearn_proxyopt._run._noise import (
    known_noise,
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
from sklearn_proxyopt.samplers import BaseSampler

__all__ = [
    "InfillRounds",
    "Phase",
    "Plan",
    "begins_before_proxy",
    "design_phase",
    "design_sampler",
    "drive",
    "far_phase",
    "infill_phase",
    "pursue",
    "sampler_within",
    "seeded_sampler",
]

# Rounds of infill without a budget that would say how many there can be.
_DEFAULT_N_ROUNDS = 10
# With a budget: samples of the first design for each variable and in all.
_DESIGN_PER_VARIABLE = 2
_SMALLEST_DESIGN = 12


@dataclass
class Phase:
    """A strategy with its name and limits while it is driven.

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
    on_results : callable, optional
        Called without arguments whenever results have come.
    """

    name: str
    text: str
    strategy: Strategy
    n_rows: int | None
    hands_on: bool = False
    is_batch: bool = False
    on_results: Callable[[], None] = lambda: None


class Plan(Protocol):
    """What a run evaluates, and what it learns in between.

    Attributes
    ----------
    end : StopRun or None
        What ended the run, None where it goes on; set by whoever drives the phases.
    n_stages : int
        How many further stages have begun that depend on nothing but the samples known.
    """

    end: StopRun | None
    n_stages: int

    @property
    def candidates(self) -> NDArray[np.float64]:
        """The points that the proxy found last."""

    def phases(self, *, with_design: bool) -> Iterator[Phase]:
        """Yield the phases, each prepared once the one before has ended, or what has ended it."""

    def further(self, sampler: BaseSampler) -> Iterator[Phase]:
        """Yield phases for as long as somebody asks for more, once the others have ended.

        Points that explore are those of a sampler.
        """

    def withdraw(self, X: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Forget points whose results will never come; tell which of them need no mention more."""

    def note(self, data: Dataset) -> None:
        """Take samples into account that were evaluated elsewhere."""


def pursue(run: PaidRun, plan: Plan, *, with_design: bool) -> None:
    """Drive all phases of a plan; a limit of the run that ends one is the end of the plan."""
    is_begun = False
    with _ending(run, plan):
        run.oracle.check_given()
        is_begun = run.oracle.take_up()
    for phase in plan.phases(with_design=with_design and not is_begun):
        with _ending(run, plan):
            drive(run, phase)


@contextmanager
def _ending(run: PaidRun, plan: Plan) -> Iterator[None]:
    """Tell a plan that the run has ended, if it ends in the block."""
    try:
        yield
    except StopRun as reached:
        run.oracle.check_enough(reached)
        plan.end = reached


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
        # Samples of one phase may end in the next.
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
            phase.on_results()


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
                phase.on_results()
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
    """Return the evaluation of an initial design, if the budget is larger than that."""
    stopping = run.oracle.stopping
    is_limited = stopping.budget is not None
    goes_on = is_limited and run.optimizer.on_error != "raise"
    # Without a limit nothing is chosen by what is known of the first samples.
    late = takes_late(run) if is_limited else None
    done, evaluator = run.oracle.data.evaluated, run.oracle.evaluator
    design = InitialDesign(sampler, run.space, goes_on, done, late, lambda: evaluator.why_failed)
    rows = design.rows
    n_new = run.oracle.n_new(rows)
    if n_new >= stopping.n_left:
        raise ValueError(
            f"budget must exceed the {n_new} new samples of the sampler's design; "
            f"got {stopping.budget}."
        )
    text = f"Evaluating a design of {len(rows)} samples."
    n_rows = None if goes_on else len(rows)
    return Phase("design", text, design, n_rows, is_batch=not is_limited)


def far_phase(run: PaidRun, sampler: BaseSampler, n_points: int) -> Phase:
    """Return points of a design far from all that is known."""
    points = FarPoints(sampler, run.space, n_points, takes_late(run))
    return Phase("far", "Exploring far from all that is known.", points, n_points, hands_on=True)


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


def sampler_within(run: PaidRun, optimizer: SearchSettings) -> BaseSampler:
    """Return the sampler of the initial design, a small one if it counts in a budget."""
    budget, seed = run.oracle.budget, run.seeds["sampler"]
    if budget is None or not isinstance(optimizer.sampler, str | None):
        return design_sampler(optimizer, seed)
    n_samples = max(_DESIGN_PER_VARIABLE * run.space.n_axes, _SMALLEST_DESIGN)
    n_samples = max(min(n_samples, budget // 3), 2)
    if optimizer.infill is None and optimizer.refiner is None:
        # Nothing follows but the proxy's minimum.
        n_samples = budget - 1
    elif optimizer.infill is not None or not begins_before_proxy(optimizer.refiner):
        # Nothing but the design tells the proxy of the whole box.
        n_samples = max(budget // 3, 2)
    return seeded_sampler(optimizer, "lhs", n_samples, seed)


def infill_phase(
    run: PaidRun, optimizer: SearchSettings, infill: BaseInfill, share: float
) -> Phase:
    """Return rounds of infill, which spend at most a share of what is left of a budget.

    Without a refiner they leave one evaluation for the proxy's minimum.
    """
    n_left = run.oracle.n_left
    n_rounds = _DEFAULT_N_ROUNDS if infill.n_rounds is None else infill.n_rounds
    if np.isfinite(n_left):
        n_most = int(n_left) - 1 if optimizer.refiner is None else int(share * n_left)
        n_affordable = max(n_most // infill.n_points, 1)
        n_rounds = n_affordable if infill.n_rounds is None else min(n_rounds, n_affordable)
    text = f"Infill by {type(infill).__name__}, {n_rounds} rounds."
    rounds = InfillRounds(run, optimizer, clone(infill), n_rounds, takes_late(run))
    return Phase("infill", text, rounds, n_rounds * infill.n_points, hands_on=True)


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
            if n_round and hasattr(model.learner, "warm_up"):
                model.learner.warm_up()
            model.fit(self.known.X, self.known.y, run.names)
            risk = learn_risk(self._optimizer, self.known, space, run.seeds)
            noise = known_noise(self._optimizer, self.known, model.learner)
            state = InfillState(model, self.known, space, run.names, rng, risk, noise)
            points = self._infill.propose(state.knowledge(self.pending))
            yield rows_at_axes(space, points)
