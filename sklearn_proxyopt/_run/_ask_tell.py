"""Experiments run elsewhere: points asked for, results told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_array

from sklearn_proxyopt._run._components import warn_of_rows_outside
from sklearn_proxyopt._run._design import check_enough, far_points
from sklearn_proxyopt._run._engine import FAR, Engine, asked_run
from sklearn_proxyopt._run._pending_points import PendingPoints
from sklearn_proxyopt._run._phases import design_sampler
from sklearn_proxyopt._run._run import draw_seeds, writing_journal
from sklearn_proxyopt._run._settings import AskingSettings
from sklearn_proxyopt._run._state import FittedState, LearnedState
from sklearn_proxyopt._run._tables import check_form, read_rows
from sklearn_proxyopt._utils._dataset import N_LEAST, Dataset, is_among, numbered, succeeded
from sklearn_proxyopt._utils._distances import READING
from sklearn_proxyopt._utils._validation import check_width
from sklearn_proxyopt.evaluation._journal_problem import kinds_known
from sklearn_proxyopt.evaluation._journal_writer import JournalWriter
from sklearn_proxyopt.exceptions import JournalError
from sklearn_proxyopt.variables import Variables
from sklearn_proxyopt.variables._frames import is_frame
from sklearn_proxyopt.variables._kinds import Kinds, kinds_of_facts

__all__ = ["AskTell"]

# Seconds that results told wait for another who tells the same journal.
_PATIENCE = 60.0


class AskTell:
    """An optimizer that is asked for points and told results.

    It is always in one of six states:

    ========  ==========================================  =======================================
    state     what is known                               what comes next
    ========  ==========================================  =======================================
    fresh     nothing                                     `ask`: asked; `tell`: told
    asked     the box, pending points                     `tell`: told
    told      samples that are not learned yet            a look at the answer: learned
    learned   samples, a proxy, its optimum as answer     `tell`: told
    answered  the same, an answer of the objective        `tell`: told
    failed    samples of a run that failed, and its box   `tell`: told
    ========  ==========================================  =======================================

    Results are learned once somebody looks at the answer, if they are enough and lie inside the
    bounds. `minimize` and `fit` begin anew from any state; a run of `minimize` ends answered or
    failed.

    Parameters
    ----------
    optimizer : AskingSettings
        The optimizer.
    """

    def __init__(self, optimizer: AskingSettings) -> None:
        self._optimizer = optimizer

    @property
    def _state(self) -> FittedState:
        return self._optimizer._known

    def ask(
        self, n_points: int, explore: float | None = None
    ) -> tuple[Variables, NDArray[np.float64], list[str]]:
        """Return points that are neither known nor pending, and keep them as pending.

        The variables come before them, and the reason of each after them.
        """
        optimizer = self._optimizer
        self.recall()
        space, state = self._space_asked(), self._state
        if not (isinstance(state, LearnedState) or state.is_due):
            optimizer._publish(replace(state, bounds=space.bounds, variables=space))
        with writing_journal(optimizer, self._box(), space.kinds, _PATIENCE) as writer:
            pending = self.pending_points(space.n_features)
            known = self._evaluated(space, writer)
            if writer is not None:
                self._recall_others(writer, known, space)
            n_far = 0 if explore is None else _n_far(explore, n_points, known, pending.points)
            points, reasons = self._of_engine(space, n_points - n_far, known)
            if n_missing := n_points - len(points):
                taken = np.vstack([known.evaluated, pending.points, points])
                points = np.vstack([points, self._far_points(space, n_missing, taken)])
                reasons = reasons + [FAR] * n_missing
            optimizer._run_log.asked(points, reasons)
            pending.add(points, known.evaluated)
            if writer is not None:
                writer.set_pending_points(pending.points, pending.n_told)
                writer.set_asked(pending.asked)
        optimizer.X_pending_ = pending.points
        return space, points, reasons

    def _recall_others(self, writer: JournalWriter, known: Dataset, space: Variables) -> None:
        """Take in which points are pending by the journal, where others ask and withdraw too."""
        pending = self.pending_points(space.n_features)
        points, n_told = writer.pending_points(), writer.pending_repeats()
        is_own = ~is_among(pending.points, points)
        withdrawn = pending.points[is_own & is_among(pending.points, writer.withdrawn_points())]
        if len(withdrawn):
            pending.withdraw(withdrawn, self._data)
            is_own = ~is_among(pending.points, points)
        points = np.vstack([points, pending.points[is_own]])
        n_told = np.append(n_told, pending.n_told[is_own])
        pending.recall(points, n_told, known.evaluated, space)

    def _far_points(
        self, space: Variables, n_points: int, taken: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return points far from all that is taken, and from where evaluations fail."""
        optimizer, risk = self._optimizer, None
        if optimizer.on_error == "learn":
            optimizer._learn_if_due()
            state = self._state
            risk = state.failure_risk if isinstance(state, LearnedState) else None
        sampler = self.pending_points(space.n_features).sampler
        return check_enough(far_points(sampler, space, n_points, taken, risk), n_points, sampler)

    def _of_engine(
        self, space: Variables, n_points: int, known: Dataset
    ) -> tuple[NDArray[np.float64], list[str]]:
        """Return what the run proposes, fewer where it waits for results."""
        pending, data = self.pending_points(space.n_features), self._data
        engine = self._engine_for(space, data)
        strange = np.vstack([known.evaluated[len(data.evaluated) :], pending.points])
        chosen = engine.propose(n_points, strange[~is_among(strange, engine.pending)])
        if engine.has_begun_anew:
            # What was asked before need not be asked again to come here.
            pending.asked = [[len(data), len(data.X_failed), pending.n_asked]]
        pending.asked.append([len(data), len(data.X_failed), n_points])
        return chosen

    def _engine_for(self, space: Variables, data: Dataset) -> Engine:
        """Return the run that is asked for points, which has taken in all that is told."""
        pending = self.pending_points(space.n_features)
        engine: Engine | None = pending.engine
        if engine is None and pending.asked:
            engine = self._asked_again(space, data)
        if engine is None or not engine.suits(space, data):
            engine = self._engine_from(space, data, pending.n_asked)
            pending.asked = [[len(data), len(data.X_failed), pending.n_asked]]
        engine.take_in(data, pending.points)
        pending.engine = engine
        return engine

    def _engine_from(self, space: Variables, data: Dataset, n_asked: int) -> Engine:
        """Begin a run from samples, of which some points were asked for before."""
        optimizer, budget = self._optimizer, self._optimizer.budget
        if budget is not None:
            budget = budget // optimizer.n_repeats - n_asked
            budget = budget if budget >= 1 else None
        run = asked_run(optimizer, space, data, budget)
        sampler = self.pending_points(space.n_features).sampler
        return Engine(run, optimizer._plan(run), sampler, with_design=len(data) < N_LEAST)

    def _asked_again(self, space: Variables, data: Dataset) -> Engine | None:
        """Return a run asked the same as the one before, None where it answers otherwise."""
        pending = self.pending_points(space.n_features)
        (n_good, n_failed, n_before), *asked = pending.asked
        engine = self._engine_from(space, data.first(n_good, n_failed), n_before)
        lost = [x for _, _, _, *points in asked for x in points]
        lost_points = np.array(lost).reshape(-1, space.n_features)
        all_points = np.vstack([data.evaluated, pending.points, lost_points])
        for n_good, n_failed, n_points, *withdrawn in asked:
            if n_points > len(all_points):
                return None
            engine.take_in(data.first(n_good, n_failed))
            engine.withdraw(np.array(withdrawn).reshape(-1, space.n_features))
            points, _ = engine.propose(n_points, data.X[:0])
            if (space.answered(points, all_points) < 0).any():
                return None
        return engine

    @property
    def _data(self) -> Dataset:
        """The samples told."""
        state, optimizer = self._state, self._optimizer
        if state.data is None:
            return Dataset.empty(len(self.space_known().kinds), optimizer._n_outputs)
        return state.data

    def withdraw(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the pending points without some, also in the journal."""
        optimizer = self._optimizer
        self.recall()
        if optimizer._pending is None:
            raise ValueError("withdraw must come after points were asked for; got none.")
        space = self.space_known()
        rows, pending = read_rows(optimizer, X, space.kinds), self.pending_points(space.n_features)
        answers = space.answered(pending.points, rows)
        what = "points that were asked for and not told"
        self._check_known(space, rows, pending.points, answers, what)
        pending.withdraw(pending.points[answers >= 0], self._data)
        with writing_journal(optimizer, self._box(), space.kinds, _PATIENCE) as writer:
            if writer is not None:
                _close(writer, space, rows)
                writer.set_asked(pending.asked)
        return pending.points

    def forget(self, X: ArrayLike) -> Dataset:
        """Return the samples without those of some settings, also in the journal."""
        self.recall()
        data = self._state.data
        if data is None:
            raise ValueError("forget must come after samples were told; got none.")
        space = self.space_known()
        rows = read_rows(self._optimizer, X, space.kinds)
        answers = space.answered(data.evaluated, rows, READING)
        self._check_known(space, rows, data.evaluated, answers, "samples that were told")
        is_out = space.are_known(data.evaluated, data.evaluated[answers >= 0])
        with writing_journal(self._optimizer, self._box(), space.kinds, _PATIENCE) as writer:
            if writer is not None:
                writer.amend(data.evaluated[is_out])
        return data.without(is_out)

    def correct(
        self, X: ArrayLike, y: ArrayLike
    ) -> tuple[Dataset, NDArray[np.float64], NDArray[np.float64]]:
        """Return the samples without those of some settings, and the results that replace them."""
        optimizer = self._optimizer
        self.recall()
        data = self._state.data
        if data is None:
            X, y = self.record(X, y)
            return Dataset.of(X[:0], y[:0]), X, y
        X, y = optimizer._validate_samples(X, y, bounds=optimizer.bounds, reset=False)
        space = self.space_known()
        answers = space.answered(data.evaluated, X, READING)
        is_out = space.are_known(data.evaluated, data.evaluated[answers >= 0])
        with writing_journal(optimizer, self._box(), space.kinds, _PATIENCE) as writer:
            if writer is not None:
                writer.amend(data.evaluated[is_out & ~is_among(data.evaluated, X)])
                is_there = writer.amend(X, y)
                writer.tell(X[~is_there], y[~is_there])
                _close(writer, space, X)
        return data.without(is_out), X, y

    def _check_known(
        self,
        space: Variables,
        X: NDArray[np.float64],
        known: NDArray[np.float64],
        answers: NDArray[np.intp],
        what: str,
    ) -> None:
        is_other = ~(space.are_known(X, known) | np.isin(np.arange(len(X)), answers))
        if is_other.any():
            raise ValueError(
                f"X must hold {what}; got {int(is_other.sum())} of {len(X)} others, such as "
                f"{X[is_other][0].tolist()}."
            )

    def record(self, X: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Check results and write them into the journal; NaN stands for a failure."""
        optimizer = self._optimizer
        self.recall()
        bounds, is_first = self._state.bounds, self._state.data is None
        box = optimizer.bounds if bounds is None else bounds
        check_form(X)
        if is_first and box is not None and not is_frame(X):
            check_width(box, check_array(X, dtype=np.float64).shape[1])
        X, y = optimizer._validate_samples(X, y, bounds=optimizer.bounds, reset=is_first)
        kinds = optimizer._spec.kinds(X.shape[1])
        self._check_together(X, y, kinds)
        with writing_journal(optimizer, self._box(), kinds, _PATIENCE) as writer:
            if writer is not None:
                writer.tell(X, y)
                if bounds is not None:
                    _close(writer, self.space_known(), X)
        return X, y

    def recall(self) -> None:
        """Take in what the journal knows, if nothing is known here."""
        optimizer = self._optimizer
        if optimizer._goal != self._state.goal:
            raise ValueError(
                f"direction must be as it was when samples were told, "
                f"{self._state.goal.directions}; got {optimizer.direction!r}. To begin anew, fit "
                "X_ and y_."
            )
        if optimizer.journal is None or self._state.data is not None:
            return
        journal = optimizer._journal_at(optimizer.journal)
        if not journal.path.exists():
            return
        contents = journal.memory.contents()
        optimizer._settle_outputs(contents.n_outputs)
        none = Dataset.empty(0, optimizer._n_outputs)
        n_outputs = int(np.prod(none.y.shape[1:]))
        if contents.n_outputs != n_outputs:
            raise JournalError(
                f"journal must be of the same problem; the number of outputs is "
                f"{contents.n_outputs} in {journal.path}, got {n_outputs}. Another problem needs "
                "a journal of its own."
            )
        X, y = journal.memory.rows("done")
        y = optimizer._goal.turned(y.reshape(len(y), *none.y.shape[1:]))
        data = Dataset(X, y, journal.memory.rows("failed")[0])
        if len(data.evaluated):
            optimizer.n_features_in_ = X.shape[1]
            facts = kinds_known(contents, journal.path)
            self._recall_kinds(contents.names, facts, data.evaluated)
            optimizer._take_in(*data.results())
        self._recall_pending(contents.pending_points, contents.pending_repeats, data)
        if contents.asked:
            self.pending_points(X.shape[1]).asked = contents.asked

    def _recall_kinds(
        self, names: list[str] | None, facts: dict[str, Any] | None, rows: NDArray[np.float64]
    ) -> None:
        """Take names and kinds of the variables for seen that the journal knows of."""
        optimizer = self._optimizer
        known = None if names is None else tuple(names)
        if known is not None:
            optimizer._keep_names(known)
        box = np.column_stack([rows.min(axis=0), rows.max(axis=0)])
        optimizer._kinds_seen = None if facts is None else kinds_of_facts(facts, box, known)

    def _recall_pending(
        self, points: NDArray[np.float64], n_told: NDArray[np.intp], data: Dataset
    ) -> None:
        optimizer, bounds = self._optimizer, self._state.bounds
        if not len(points) or (bounds is None and optimizer.bounds is None):
            return
        if bounds is None:
            self._keep_stated_names()
            bounds = optimizer._spec.variables().bounds
            optimizer._publish(replace(self._state, bounds=bounds))
        pending = self.pending_points(len(bounds))
        pending.recall(points, n_told, data.evaluated, self.space_known())
        optimizer.X_pending_ = pending.points

    def pending_points(self, n_features: int) -> PendingPoints:
        """Return the pending points, and draw the design of further ones where there is none."""
        optimizer, pending = self._optimizer, self._optimizer._pending
        if pending is None:
            sampler = design_sampler(optimizer, draw_seeds(optimizer)["sampler"])
            pending = optimizer._pending = PendingPoints(sampler, n_features)
        return pending

    def _check_together(self, X: NDArray[np.float64], y: NDArray[np.float64], kinds: Kinds) -> None:
        """Raise an error where samples cannot be learned together with those known."""
        state = self._state
        if state.variables is not None:
            difference = kinds.difference(state.variables.kinds.facts())
            if difference:
                raise ValueError(
                    f"bounds must be of the kinds of the samples told before; {difference}."
                )
        known, new = X[:0] if state.data is None else state.data.X, X[succeeded(y)]
        rows = np.vstack([known, new])
        if (new != rows[:1]).any() or (known != rows[:1]).any():
            # Before they are written down: samples of which none can be the answer are a mistake.
            space = self.space_told(rows)
            if not space.any_counts(rows):
                space.rows_that_count(rows, rows)
            warn_of_rows_outside(new, space)

    def _evaluated(self, space: Variables, writer: JournalWriter | None) -> Dataset:
        """Return the samples known here, and those that others have told the journal."""
        data = self._state.data
        X = np.empty((0, space.n_features)) if data is None else data.evaluated
        if writer is not None:
            others = writer.evaluated()
            if not np.array_equal(X, others):
                X = np.vstack([X, others[~is_among(numbered(others), numbered(X))]])
        return Dataset.of(X, np.full(len(X), np.nan))

    def _box(self) -> NDArray[np.float64] | None:
        """Return the box that belongs to the problem, None where the samples tell it."""
        state, optimizer = self._state, self._optimizer
        if state.keeps_box:
            return state.bounds
        return None if optimizer.bounds is None else optimizer._spec.variables().bounds

    def _keep_stated_names(self) -> None:
        """Let the names be those of bounds, where nothing else has brought any."""
        optimizer = self._optimizer
        if not hasattr(optimizer, "feature_names_in_"):
            optimizer._keep_names(optimizer._spec.stated_names)

    def _space_asked(self) -> Variables:
        """Return the variables of points asked for, in the box that the user gives now."""
        optimizer, state, box = self._optimizer, self._state, self._optimizer.bounds
        if state.bounds is None:
            if box is None:
                raise ValueError("bounds must be given before samples tell the box; got None.")
            self._keep_stated_names()
        elif box is None or state.keeps_box:
            return self.space_known()
        else:
            check_width(box, len(state.bounds))
        return optimizer._spec.variables()

    def space_known(self) -> Variables:
        """Return the variables inside the box that is known, or that of the samples told."""
        state, spec = self._state, self._optimizer._spec
        if state.bounds is not None:
            return spec.inside(state.bounds)
        assert state.data is not None
        X = state.data.evaluated
        if spec.stated is None and (X[:1] == X).all():
            # A single setting tells no box.
            X = X if len(X) else np.zeros((1, X.shape[1]))
            width = 1.0 + np.abs(X)
            X = np.vstack([X - width, X + width])
        return spec.variables(X)

    def space_told(self, X: NDArray[np.float64]) -> Variables:
        """Return the variables of samples, in the user's box or one that grows with them."""
        optimizer, state = self._optimizer, self._state
        if state.keeps_box:
            return self.space_known()
        if optimizer.bounds is None and state.bounds is not None:
            X = np.vstack([X, state.bounds.T])
        return optimizer._spec.variables(X)


def _n_far(explore: float, n_points: int, known: Dataset, pending: NDArray[np.float64]) -> int:
    """Return how many of the next points explore, so that the share holds over several calls."""
    n_before = len(known.evaluated) + len(pending)
    return int(explore * (n_before + n_points)) - int(explore * n_before)


def _close(writer: JournalWriter, space: Variables, X: NDArray[np.float64]) -> None:
    """Take samples off the pending points of a journal."""
    pending, n_told = writer.pending_points(), writer.pending_repeats()
    is_open = space.answered(pending, X) < 0
    writer.set_pending_points(pending[is_open], n_told[is_open])
