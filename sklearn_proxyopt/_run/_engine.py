"""A run whose evaluations somebody else makes: what `ask` steps, and `tell` feeds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._run._design import OpenDesign
from sklearn_proxyopt._run._oracle import Oracle
from sklearn_proxyopt._run._phases import Phase, Plan
from sklearn_proxyopt._run._progress import Progress
from sklearn_proxyopt._run._run import PaidRun, State, draw_seeds
from sklearn_proxyopt._run._settings import AskingSettings
from sklearn_proxyopt._run._state import FittedState, LearnedState
from sklearn_proxyopt._utils._dataset import Dataset, is_among, row_keys, succeeded
from sklearn_proxyopt._utils._stopping import StopRun
from sklearn_proxyopt.evaluation import EvaluationRecord
from sklearn_proxyopt.variables import Variables

__all__ = ["FAR", "Engine", "asked_run"]

# Why points of a phase were chosen.
FAR = "far from all that is known"
_REASONS = {
    "design": "design",
    "infill": "infill",
    "repeat": "a repeat, to see whether values have noise",
    "verify": "proxy's front",
    "far": FAR,
}
_SEARCH, _OPTIMA = "search around the best", "proxy's optima"

Results = tuple[NDArray[np.float64], NDArray[np.float64]]


class Answers:
    """Takes the place of workers where somebody else evaluates, and tells the results.

    Parameters
    ----------
    record : EvaluationRecord
        What is known already is handed out at once.
    """

    def __init__(self, record: EvaluationRecord) -> None:
        self._record = record
        self._open: dict[bytes, int] = {}
        self._told: deque[tuple[NDArray[np.float64], int, Any]] = deque()

    def begin(self, x: NDArray[np.float64], repeat: int) -> None:
        """Wait for the result of a sample, unless it is known."""
        value = self._record.get(x, repeat)
        if value is None:
            self._open[row_keys(x[None])[0]] = repeat
        else:
            self._told.append((x, repeat, value))

    def tell(self, x: NDArray[np.float64], value: Any) -> None:
        """Take the result of a sample that is waited for."""
        repeat = self._open.pop(row_keys(x[None])[0])
        self._record.add(x, value, repeat)
        self._told.append((x, repeat, value))

    def lose(self, x: NDArray[np.float64]) -> None:
        """Wait for a sample no longer."""
        del self._open[row_keys(x[None])[0]]

    def are_open(self, X: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which samples are waited for."""
        return np.array([key in self._open for key in row_keys(X)], dtype=bool)

    @property
    def has_next(self) -> bool:
        """Whether a result can be handed out."""
        return bool(self._told)

    def next(self) -> tuple[NDArray[np.float64], int, Any]:
        """Return the sample, the repeat and the value of the result told first."""
        return self._told.popleft()


class AskedRun(PaidRun):
    """A run of `ask` and `tell`, which publishes nothing but what `tell` would."""

    optimizer: AskingSettings

    def publish(self, state: FittedState) -> None:
        """Do nothing: results are learned once somebody looks at the answer."""

    def learn(self, learn: Callable[[], State]) -> State:
        """Return what is learned of all samples, as the optimizer knows it if it does."""
        known, data = self.optimizer._known, self.oracle.data
        is_same = known.data is not None and _are_same(known.data, data)
        if is_same and isinstance(known, LearnedState) and known.n_learned == len(data):
            return cast(State, known)
        self.progress = Progress(self.optimizer, 2)
        state = learn()
        if is_same:
            assert isinstance(state, LearnedState)
            self.optimizer._publish(self.optimizer._settled(state))
        self.progress.end(f"Learned {len(data)} samples.")
        return state


def _are_same(data: Dataset, other: Dataset) -> bool:
    pairs = ((data.X, other.X), (data.y, other.y), (data.X_failed, other.X_failed))
    return all(np.array_equal(one, two) for one, two in pairs)


def asked_run(
    optimizer: AskingSettings, space: Variables, data: Dataset, budget: int | None
) -> AskedRun:
    """Return a run that begins with samples.

    Parameters
    ----------
    optimizer : AskingSettings
        Its parameters hold.
    space : Variables
        The variables.
    data : Dataset
        What is known.
    budget : int or None
        Settings that may be asked for; None for no limit.
    """
    goal = optimizer._known.goal
    stopping = optimizer._criteria(goal, budget=budget)
    oracle = Oracle(optimizer._evaluator(None), data, space, stopping)
    oracle.in_flight = Answers(oracle.evaluator.record)
    # It tells of phases only while something is learned.
    progress: Any = None
    return AskedRun(optimizer, space, draw_seeds(optimizer), progress, goal, oracle)


class Engine:
    """Hands out the points of a plan, and takes results in any order.

    Parameters
    ----------
    run : AskedRun
        The run.
    plan : Plan
        What is evaluated, and what is learned in between.
    sampler : sampler
        The design where no budget says how large one should be, and points that explore, seeded.
    with_design : bool
        Whether there is a design with a budget.
    """

    def __init__(self, run: AskedRun, plan: Plan, sampler: Any, *, with_design: bool) -> None:
        # The run may open its own on the way.
        self.space = run.space
        self._run, self._plan, self._oracle = run, plan, run.oracle
        assert isinstance(run.oracle.in_flight, Answers)
        self._answers = run.oracle.in_flight
        # What has been taken in of the samples told.
        self._seen = run.oracle.data
        self._lost = self._seen.X[:0]
        self._phases = self._phases_of(sampler, with_design)
        self._phase: Phase | None = None
        # Whether the points proposed last depend on nothing but the samples told.
        self.has_begun_anew = False
        self._go_on()

    @property
    def pending(self) -> NDArray[np.float64]:
        """The points handed out whose results are not known."""
        return self._oracle.pending

    def suits(self, space: Variables, data: Dataset) -> bool:
        """Tell whether variables are its own, and samples those taken in and further ones."""
        seen = self._seen
        before = data.first(len(seen), len(seen.X_failed))
        return space.kinds == self.space.kinds and _are_same(before, seen)

    def take_in(self, data: Dataset, open_points: NDArray[np.float64] | None = None) -> None:
        """Take in the results told since, and which points are still waited for.

        Parameters
        ----------
        data : Dataset
            All samples told, those taken in first.
        open_points : ndarray of shape (n_open, n_features), default=None
            The points of `ask` that were neither told nor withdrawn; None if none was withdrawn.
        """
        seen, self._seen = self._seen, data
        new = Dataset(data.X[len(seen) :], data.y[len(seen) :], data.X_failed[len(seen.X_failed) :])
        X, y = new.results()
        pending = self.pending
        rows = self.space.answered(pending, X)
        for place in np.argsort(rows, kind="stable"):
            if rows[place] >= 0:
                self._observe(pending[place], y[rows[place]])
        is_foreign = ~np.isin(np.arange(len(X)), rows)
        self._note(X[is_foreign], y[is_foreign])
        if open_points is not None:
            left = self.pending
            self._lose(left[~is_among(left, open_points)])

    def withdraw(self, points: NDArray[np.float64]) -> None:
        """Wait no longer for some of the points handed out."""
        left = self.pending
        self._lose(left[is_among(left, points)])

    def propose(
        self, n_points: int, others: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], list[str]]:
        """Return the next points and why each was chosen.

        There are fewer where the plan waits for results, and none once it has ended.

        Parameters
        ----------
        n_points : int
            How many.
        others : ndarray of shape (n_others, n_features)
            Points that are evaluated or pending elsewhere.
        """
        oracle, points, reasons = self._oracle, self._seen.X[:0], []
        self.has_begun_anew = False
        while len(points) < n_points and self._phase is not None:
            strategy = self._phase.strategy
            taken = np.vstack([oracle.pending, self._lost, others])
            new = strategy.propose(n_points - len(points), oracle.data, taken)
            self._forget_lost()
            if len(new):
                new = self._begin(new)
                points = np.vstack([points, new])
                reasons += self._reasons_of(new)
            elif strategy.has_ended:
                n_stages = self._plan.n_stages
                self._go_on()
                is_bare = not (len(points) or len(oracle.pending))
                self.has_begun_anew |= self._plan.n_stages > n_stages and is_bare
            else:
                break
        return points, reasons

    def _phases_of(self, sampler: Any, with_design: bool) -> Iterator[Phase]:
        """Yield the phases of the plan, or without a budget a design; then what follows."""
        if self._oracle.budget is not None:
            yield from self._plan.phases(with_design=with_design)
        else:
            design = OpenDesign(sampler, self.space, self.space.n_axes + 1)
            yield Phase("design", "Handing out a design.", design, None, hands_on=True)
        yield from self._plan.further(sampler)

    def _go_on(self) -> None:
        """Begin the next phase."""
        if self._phase is not None:
            self._phase.strategy.close()
        self._phase = next(self._phases, None)

    def _begin(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Begin to wait for points; return those that are not known already."""
        assert self._phase is not None
        was_open = self._answers.are_open(points)
        try:
            self._oracle.begin(points, anew=self._phase.strategy.repeats_known)
        except StopRun as end:
            self._plan.end = end
        self._collect()
        new = points[self._answers.are_open(points) & ~was_open]
        new = new[~self._are_answered(new)]
        if self._plan.end is not None:
            self._go_on()
        return new

    def _are_answered(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which points are known up to the decimals stated, and take what is known of them."""
        data = self._oracle.data
        if not self.space.kinds.tolerances.any() or not len(points):
            return np.zeros(len(points), dtype=bool)
        X, y = data.results()
        rows = self.space.answered(points, X)
        for point, row in zip(points[rows >= 0], rows[rows >= 0], strict=True):
            self._observe(point, y[row])
        return rows >= 0

    def _collect(self) -> None:
        """Let the strategy have the results that are there."""
        while self._answers.has_next:
            row, outputs = self._oracle.collect()
            if self._phase is not None:
                self._phase.strategy.observe(row, outputs)
            self._oracle.count(outputs)

    def _observe(self, point: NDArray[np.float64], outputs: NDArray[np.float64]) -> None:
        value = self._run.goal.turned(outputs)
        self._answers.tell(point, float(value) if np.ndim(value) == 0 else value.copy())
        self._collect()

    def _note(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Take in samples that nobody was asked for."""
        if len(X):
            self._oracle.note(X, y)
            self._plan.note(Dataset.of_results(X, y))

    def _lose(self, points: NDArray[np.float64]) -> None:
        """Wait for points no longer.

        A repeat whose value was told before is no new sample: it has that value.
        """
        values = self._oracle.means(points)
        is_repeat = succeeded(values)
        for point, outputs in zip(points[is_repeat], values[is_repeat], strict=True):
            self._observe(point, outputs)
        for point in points[~is_repeat]:
            self._answers.lose(point)
            self._oracle.lose(point)
        self._lost = np.vstack([self._lost, points[~is_repeat]])

    def _forget_lost(self) -> None:
        """Let the plan forget points that were lost; those that it cannot yet, later."""
        self._lost = self._lost[~self._plan.withdraw(self._lost)]

    def _reasons_of(self, points: NDArray[np.float64]) -> list[str]:
        assert self._phase is not None
        candidates = self.space.snap(self._plan.candidates)
        is_optimum = self.space.are_known(points, candidates)
        usual = _REASONS.get(self._phase.name, _SEARCH)
        return [_OPTIMA if one and usual == _SEARCH else usual for one in is_optimum]
