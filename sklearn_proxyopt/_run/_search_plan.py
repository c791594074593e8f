"""What a run for one minimum evaluates, phase by phase, and what it learns in between."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._run._infill_state import nearest_to_axes
from sklearn_proxyopt._run._learning import learn_model, proxy_of, takes_noise
from sklearn_proxyopt._run._noise import (
    ByOthers,
    NoiseWatch,
    NoisyRounds,
    Repeat,
    WatchedSearch,
    noise_model,
)
from sklearn_proxyopt._run._phases import (
    Phase,
    begins_before_proxy,
    design_phase,
    far_phase,
    infill_phase,
    sampler_within,
    takes_late,
)
from sklearn_proxyopt._run._refinement import (
    answered_by_objective,
    best_row,
    not_worse,
    refined,
    refinement_by,
)
from sklearn_proxyopt._run._run import PaidRun
from sklearn_proxyopt._run._settings import SearchSettings
from sklearn_proxyopt._run._state import ModelState
from sklearn_proxyopt._strategies import Batches, Routine
from sklearn_proxyopt._utils._box import to_unit_cube
from sklearn_proxyopt._utils._dataset import Dataset, is_among
from sklearn_proxyopt._utils._distances import SAME_BASIN, along_farthest_axis
from sklearn_proxyopt._utils._feasibility import values_of
from sklearn_proxyopt._utils._seeding import seeded
from sklearn_proxyopt._utils._stopping import StopRun
from sklearn_proxyopt.diagnosis._diagnosis import SHARE_TOLERATED
from sklearn_proxyopt.diagnosis._wording import check_in_words
from sklearn_proxyopt.refine import SurrogateCMAES
from sklearn_proxyopt.refine._base import EarlySearch
from sklearn_proxyopt.samplers import BaseSampler
from sklearn_proxyopt.variables import Variables

__all__ = ["SearchPlan"]

# The share of what the design leaves of a budget that is spent before the proxy learns. Where that
# leaves fewer evaluations than this, each of them matters: the proxy learns later, and one of them
# at most goes to a minimum of it, whose predicted gain is reliable. Among integers and categories
# the minima of a proxy are how a search of few evaluations leaves those that it began with.
_SHARE_BEFORE_PROXY = 0.5
_FEW_LEFT, _SHARE_OF_FEW_BEFORE_PROXY = 50, 0.9
# Evaluations of the search that follows the proxy, where nothing says how many.
_N_REFINED = 200
# Evaluations between two looks at the proxy where nothing says when the run ends, at the least.
_LEAST_FURTHER = 8


class LateRows:
    """Tells a search on the axes of samples whose results come late.

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
        """Take samples for pending."""
        self._search.expect(X, self._space.encode(X))

    def settle(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Take the results of samples that were pending."""
        self._search.settle(X, y)


class ModelCheck:
    """Says once what is measured at the model's optimum.

    Parameters
    ----------
    run : PaidRun
        The run.
    state : ModelState
        What was learned.
    """

    def __init__(self, run: PaidRun, state: ModelState) -> None:
        self._run, self._state, self._is_said = run, state, False

    def __call__(self) -> None:
        """Say it, if it is known by now."""
        if self._is_said:
            return
        state = self._state
        measured, *constraints = np.ravel(self._run.oracle.value_at(state.x_proxy))
        self._is_said = bool(np.isfinite(measured))
        if self._is_said:
            predicted, measured = state.shown("fun_proxy"), state.goal.value(float(measured))
            missed = max([0.0, *constraints])
            text = check_in_words(predicted, measured, SHARE_TOLERATED * state.spread, missed)
            self._run.progress.say(f"model optimum checked {text}")


class SearchPlan:
    """What a run evaluates: a design, infill or a search, what the proxy finds, and a search on.

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
    n_stages : int
        How many further stages have begun that depend on nothing but the samples known.
    end : StopRun or None
        What ended the run, None where it goes on. Whoever drives the phases sets it.
    state : ModelState or None
        What the proxy has learned.
    """

    def __init__(self, run: PaidRun, optimizer: SearchSettings) -> None:
        self._run, self._optimizer = run, optimizer
        self._watch = NoiseWatch(optimizer.noise_std)
        if self._is_search_of_noise:
            run.oracle.stopping.read_estimates()
        self.early_search: EarlySearch | None = None
        self.n_stages = 0
        self.end: StopRun | None = None
        self.state: ModelState | None = None
        self._n_design = 0
        # Whether the proxy learns when few evaluations are left.
        self._learns_late = False
        # The last phase, which searches on from what the proxy has found.
        self._last: Phase | None = None

    def phases(self, *, with_design: bool) -> Iterator[Phase]:
        """Yield the phases, each prepared once the one before has ended."""
        run, before = self._run, self._before_proxy(with_design)
        while self.end is None and (phase := next(before, None)) is not None:
            yield phase
        self._watch.settle(self._data)
        self._n_design = run.oracle.n_calls
        state = yield from self._learned()
        run.publish(state.unanswered())
        self._last = self._search_on(state) if self.end is None else None
        if self._last is not None:
            was_noisy = self._is_search_of_noise
            yield replace(self._last, on_results=ModelCheck(run, state))
            # A repeat may have come late.
            self._watch.settle(self._data)
            if self._is_search_of_noise and not was_noisy and self.end is None:
                yield from self._search_as_noisy()
        # A search of few discrete settings may end before there is anything to look at.
        if self._target_may_be_luck or self._finds_that_noise_may_hide(is_last=True):
            yield from self._repeat(is_last=True)
            if self._is_search_of_noise and self.end is None:
                yield from self._search_as_noisy()

    def _search_as_noisy(self) -> Iterator[Phase]:
        """Let the proxy learn that values have noise, and yield the search of them."""
        self._learn()
        self._last = self._rounds_of_noise
        if self._last is not None:
            yield self._last

    def answer(self) -> ModelState:
        """Return what was found, once all phases have ended."""
        state, watch = self.state, self._watch
        assert state is not None
        model = noise_model(self._optimizer, self._run) if watch.is_noisy else None
        found = self._found(state)
        found.undone = self._undone(state)
        return answered_by_objective(self._run, state, found, self._n_design, model)

    def _undone(self, state: ModelState) -> str:
        """Return in words what the search of the objective could still gain."""
        if self.early_search is None or self._watch.is_noisy:
            return ""
        n_settings = self._run.space.n_exhausted(self._data.evaluated)
        if n_settings:
            return f"All {n_settings} settings are known."
        return self.early_search.left_undone(state.spread, state.goal.value)

    def further(self, sampler: BaseSampler) -> Iterator[Phase]:
        """Yield stages, each as long as all before, until one finds nothing new to evaluate."""
        oracle, n_before = self._run.oracle, -1
        while oracle.n_asked > n_before:
            n_before, self.end = oracle.n_asked, None
            self._watch.settle(self._data)
            n_more = max(len(self._data), _LEAST_FURTHER)
            if self._is_one_search:
                yield from self._search_further(n_more)
            else:
                yield from self._run_further(n_more, sampler)

    @property
    def _is_one_search(self) -> bool:
        """Whether the same search goes on for as long as somebody asks."""
        goes_on = begins_before_proxy(self._optimizer.refiner) and self._optimizer.infill is None
        return goes_on and not self._is_search_of_noise

    def _search_further(self, n_more: int) -> Iterator[Phase]:
        """Yield what the proxy finds, and the search around it."""
        self._run.oracle.allow(None)
        state = yield from self._learned()
        if not self._is_search_of_noise:
            search = self.early_search or self._begin_search()[0]
            search.allow(n_more)
            yield replace(self._refinement(search, state), hands_on=True)

    def _run_further(self, n_more: int, sampler: BaseSampler) -> Iterator[Phase]:
        """Yield a run with a budget; points far from all make up a third, except under noise."""
        self.n_stages += 1
        oracle, is_noisy = self._run.oracle, self._is_search_of_noise
        n_before = oracle.n_asked
        oracle.allow(n_more if is_noisy else n_more - n_more // 3)
        yield from self.phases(with_design=False)
        oracle.allow(None)
        self.end = None
        if not is_noisy:
            yield far_phase(self._run, sampler, max(1, (oracle.n_asked - n_before) // 2))

    @property
    def candidates(self) -> NDArray[np.float64]:
        """The minima that the proxy found last."""
        return self._data.X[:0] if self.state is None else self.state.candidates

    def note(self, data: Dataset) -> None:
        """Take samples into account that were evaluated elsewhere."""
        if self.early_search is not None:
            _note(self.early_search, self._run.space, data)

    def withdraw(self, X: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Forget points whose results will never come; tell which of them need no mention more."""
        if self.early_search is None:
            return np.ones(len(X), dtype=bool)
        return self.early_search.withdraw(X)

    @property
    def _data(self) -> Dataset:
        return self._run.oracle.data

    def _before_proxy(self, with_design: bool) -> Iterator[Phase]:
        """Yield the phases before the proxy learns."""
        run, optimizer = self._run, self._optimizer
        if with_design:
            yield replace(design_phase(run, sampler_within(run, optimizer)), hands_on=True)
        if run.n_initial is None:
            run.n_initial = len(self._data)
        self._watch.begin(self._data)
        if optimizer.infill is not None:
            yield infill_phase(run, optimizer, optimizer.infill, _SHARE_BEFORE_PROXY)
        if run.oracle.budget is None or not begins_before_proxy(optimizer.refiner):
            return
        if not self.n_stages or self._rounds_of_noise is None:
            search, n_rows = self._begin_search()
            if optimizer.infill is None:
                n_half = int(_SHARE_BEFORE_PROXY * n_rows)
                n_late = int(_SHARE_OF_FEW_BEFORE_PROXY * n_rows) - n_half
                few_left = n_rows - n_half < _FEW_LEFT
                self._learns_late = few_left and not run.space.is_discrete_axis.any()
                yield self._exploration(search, n_half)
        if self._finds_that_noise_may_hide():
            yield from self._repeat()
        if self._learns_late and not self._is_search_of_noise:
            yield self._exploration(search, n_late)
            self._watch.settle(self._data)
        phase = self._rounds_of_noise
        if phase is not None:
            yield phase

    def _exploration(self, search: EarlySearch, n_rows: int) -> Phase:
        """Return a search of the function without the proxy."""
        text = f"Searching the function, {n_rows} evaluations."
        return Phase("explore", text, self._routine(search.explore(n_rows)), n_rows, hands_on=True)

    def _learned(self) -> Generator[Phase, None, ModelState]:
        """Let the proxy learn, and once more after a repeat where that tells of noise."""
        state = self._learn()
        doubts = self._is_worth_a_repeat(state) and not self._waits_for_repeat
        if doubts or self._target_may_be_luck:
            yield from self._repeat()
            if not self._waits_for_repeat:
                state = self._learn()
        return state

    def _learn(self) -> ModelState:
        """Let the proxy learn all samples."""
        run = self._run
        # Samples that a search has chosen lie low; what is usual is known from those before.
        usual = values_of(self._data.y[: run.n_initial])
        learned = run.learn(partial(learn_model, run, self._optimizer, self._data))
        self.state = replace(learned, usual=usual)
        return self.state

    def _is_worth_a_repeat(self, state: ModelState) -> bool:
        """Tell whether a fitted proxy suspects noise, which a repeat would tell."""
        return self._goes_on and self._watch.doubts(state.proxy)

    def _finds_that_noise_may_hide(self, is_last: bool = False) -> bool:
        """Look for noise, where it would change the search; tell whether a repeat has to tell."""
        oracle, optimizer = self._run.oracle, self._optimizer
        # Whoever asks for one point after another is not asked for a known one without a reason.
        if self.n_stages or not self._goes_on or optimizer.refiner != "auto":
            return False
        if is_last and (oracle.budget is None or not self._run.space.is_discrete_axis.all()):
            return False
        return self._watch.suspects(self._data, noise_model(optimizer, self._run), is_last)

    @property
    def _goes_on(self) -> bool:
        return self.end is None and self._run.oracle.n_left >= 1

    @property
    def _target_may_be_luck(self) -> bool:
        """Whether the target was reached by a value that the other samples do not predict."""
        oracle, optimizer = self._run.oracle, self._optimizer
        stopping, is_searched = oracle.stopping, optimizer.refiner == "auto"
        is_open = self._watch.is_open and is_searched and takes_noise(proxy_of(optimizer))
        if self.end is None or not is_open or oracle.n_left < 1 or not stopping.n_evaluated:
            return False
        if not stopping.reaches_target:
            return False
        others = ByOthers.of(noise_model(optimizer, self._run), self._data, self._run.names)
        return others is None or not stopping.would_reach(others.highest)

    def _repeat(self, is_last: bool = False) -> Iterator[Phase]:
        """Yield a repeat of the best setting, which settles whether the run ends with a target."""
        end, self.end = self.end, None
        if end is not None:
            self._run.oracle.stopping.read_estimates()
        # The search goes on meanwhile, unless it has ended.
        late = None if is_last or end is not None else takes_late(self._run)
        repeat = Repeat(self._watch, late=late)
        text, hands_on = "Repeating an evaluation.", late is not None
        yield Phase("repeat", text, repeat, repeat.n_rows, hands_on=hands_on)
        self._watch.settle(self._data)
        if not self._watch.is_noisy:
            self.end = end

    @property
    def _waits_for_repeat(self) -> bool:
        """Whether a sample that is known is being evaluated once more."""
        data = self._data
        return bool(is_among(self._run.oracle.pending, data.evaluated).any())

    def _search_on(self, state: ModelState) -> Phase | None:
        """Return the search from the proxy's best points; None where nothing is left for it."""
        run, optimizer = self._run, self._optimizer
        if self._is_search_of_noise:
            return self._rounds_of_noise
        is_side_by_side = run.oracle.in_flight is not None and optimizer.refiner == "auto"
        if is_side_by_side and self.early_search is None:
            # The local search would ask for one sample after another.
            self._begin_search()
        if self.early_search is None:
            return refinement_by(run, optimizer, state)
        return self._refinement(self.early_search, state)

    def _refinement(self, search: EarlySearch, state: ModelState) -> Phase:
        """Return the search on from the proxy's best points."""
        candidates = _reliable(state) if self._learns_late else state.candidates
        routine = self._routine(search.refine_from(self._run.space.encode(candidates)))
        n_rows = int(min(self._run.oracle.n_left, search.n_left))
        return Phase("refine", "Refining on the function.", routine, n_rows)

    def _found(self, state: ModelState) -> OptimizeResult:
        """Return the result of the search, never worse than the best sample before it."""
        oracle, last = self._run.oracle, self._last
        if last is None or self._is_search_of_noise:
            spent = f"Noisy values: {oracle.stopping.n_evaluated} evaluations."
            return best_row(oracle, spent if self.end is None else str(self.end))
        if self.end is not None:
            return not_worse(best_row(oracle, str(self.end)), state)
        assert isinstance(last.strategy, Routine)
        # The search tells, once all results are there.
        early = self.early_search
        found = last.strategy.result if early is None else early.result()
        return not_worse(refined(self._run, found), state)

    @property
    def _is_search_of_noise(self) -> bool:
        return self._watch.is_noisy and self._optimizer.refiner == "auto"

    @property
    def _rounds_of_noise(self) -> Phase | None:
        """The search of noisy values; None where values are exact or another refiner is set."""
        run, optimizer = self._run, self._optimizer
        if not self._is_search_of_noise or run.oracle.n_left < 1:
            return None
        rounds = NoisyRounds(run, optimizer, takes_late(run))
        text = f"Searching noisy values, {rounds.n_rows} evaluations."
        # It spends all that is left: nobody would wait for its last results.
        return Phase("infill", text, rounds, rounds.n_rows)

    def _begin_search(self) -> tuple[EarlySearch, int]:
        """Begin the search of the objective; return it and how many evaluations it has."""
        self.early_search, n_rows = _search_begun(self._run, self._optimizer)
        return self.early_search, n_rows

    def _routine(self, batches: Batches) -> Routine:
        """Return a part of the early search as a strategy; a pending repeat may end it."""
        if self._waits_for_repeat:
            return WatchedSearch(batches, self._watch, self._late_rows)
        return Routine(batches, self._late_rows)

    @property
    def _late_rows(self) -> LateRows | None:
        """Who tells the early search of results that come late; None where none do."""
        if self._run.oracle.in_flight is None:
            return None
        assert self.early_search is not None
        return LateRows(self.early_search, self._run.space)


def _reliable(state: ModelState) -> NDArray[np.float64]:
    """Return the first candidate whose predicted gain is reliable, if there is any.

    It is if it is at most what the median lies above the best sample, and if the candidate lies in
    the basin of that or the gain is larger than its standard deviation. Of constraints nothing is
    known here: with them all candidates are returned.
    """
    candidates, space = state.candidates, state.variables
    if state.merit is not None:
        return candidates
    values = values_of(state.data.y)
    gains = values.min() - state.predict(candidates)
    units = to_unit_cube(space.encode(np.vstack([state.x_best_row, candidates])), space.axes)
    is_sure = along_farthest_axis(units[1:], units[0]) <= SAME_BASIN
    deviations = state.deviations(candidates)
    if deviations is not None:
        is_sure |= gains >= np.ravel(deviations)
    is_gain = (gains > 0.0) & (gains <= np.median(values) - values.min())
    return candidates[is_sure & is_gain][:1]


def _opened_at_best(space: Variables, data: Dataset) -> Variables:
    """Return the variables so that a search of the best sample may pass the end of a period."""
    if not (space.kinds.is_periodic.any() and space.any_counts(data.X)):
        return space
    return space.opened_at(space.best_rows(data.X, data.y)[0][0])


def _moved_to(
    space: Variables, points: NDArray[np.float64], rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return points on the axes, moved to where their samples lie on those that are continuous."""
    return np.where(space.is_discrete_axis, points, space.encode(rows))


def _search_begun(run: PaidRun, optimizer: SearchSettings) -> tuple[EarlySearch, int]:
    """Begin the search of the objective; return it and how many evaluations it has."""
    data = run.oracle.data.by_setting
    space = run.space = _opened_at_best(run.space, data)
    is_default = optimizer.refiner == "auto"
    refiner = seeded(SurrogateCMAES() if is_default else optimizer.refiner, run.seeds["refiner"])
    # Where not every point of the box is a sample, the search works on the axes.
    rows_of = None if space.is_continuous_box else partial(nearest_to_axes, space)
    moved_to = None if space.constraints is None else partial(_moved_to, space)
    search = refiner.begin(
        space.axes, rows_of, space.is_category_axis, moved_to, space.limits_on_axes
    )
    _note(search, space, data)
    n_left, n_most = run.oracle.n_left, refiner.max_evaluations
    if n_most is None and np.isinf(n_left):
        n_most = _N_REFINED
    n_allowed = int(n_left if n_most is None else min(n_left, n_most))
    search.allow(n_allowed)
    return search, n_allowed


def _note(search: EarlySearch, space: Variables, data: Dataset) -> None:
    """Let a search take samples into account."""
    counts = space.counts(data.X)
    search.note(space.encode(space.snap(data.X[counts])), data.y[counts])
    failed = space.encode(data.X_failed)
    search.note(failed, np.full((len(failed), *data.y.shape[1:]), np.nan))
