"""The objective as a run sees it: evaluated, counted, recorded, within the run's limits."""

from __future__ import annotations

from collections import Counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._run._run_log import RunLog
from sklearn_proxyopt._run._stopping import StoppingCriteria
from sklearn_proxyopt._utils._dataset import N_LEAST, Dataset, occurrences, row_keys, succeeded
from sklearn_proxyopt._utils._distances import ROUNDING
from sklearn_proxyopt._utils._stopping import StopRun
from sklearn_proxyopt.evaluation import Evaluator
from sklearn_proxyopt.evaluation._call import Outcome
from sklearn_proxyopt.variables import Variables

__all__ = ["Flight", "Oracle"]


class Flight(Protocol):
    """Evaluations that have begun, and are handed out as they are known."""

    def begin(self, x: NDArray[np.float64], repeat: int) -> None:
        """Begin an evaluation of a sample that is not in flight."""

    def next(self) -> tuple[NDArray[np.float64], int, Any]:
        """Wait for a result; return its sample, its repeat and its value, NaN if it failed."""


class Oracle:
    """Evaluates the objective for a run and keeps its samples, each once, to be minimized.

    Parameters
    ----------
    evaluator : Evaluator
        Calls the objective; its values are in the user's sign.
    data : Dataset
        Samples that were evaluated before; they enter the evaluator's record.
    space : Variables
        The variables; samples outside of their box, or that miss their constraints, are no answer.
    stopping : StoppingCriteria
        What ends the run, and what is sought.
    n_repeats : int, default=1
        How often each setting is evaluated; its value is the mean.

    Attributes
    ----------
    data : Dataset
        The samples given, as they were given, and those evaluated, each repeat a sample.
    log : RunLog
        When and why each was evaluated, and what that took.
    in_flight : Flight or None
        What is evaluated side by side, None where whole batches are evaluated.
    n_pending : int
        How many evaluations may be in flight.
    """

    in_flight: Flight | None = None
    n_pending: int = 1

    def __init__(
        self,
        evaluator: Evaluator,
        data: Dataset,
        space: Variables,
        stopping: StoppingCriteria,
        n_repeats: int = 1,
    ) -> None:
        self.evaluator, self.space, self.stopping = evaluator, space, stopping
        self.n_repeats = n_repeats
        stopping.begin(data.y[space.counts(data.X)])
        self.data = data
        self._turned = stopping.goal.turned
        self.log = RunLog()
        evaluator.on_outcome = self._log
        if evaluator.journal is not None:
            evaluator.journal.read_into(evaluator.record)
        # The settings in flight; and each of their evaluations, with whether it is new.
        self._in_flight: dict[bytes, NDArray[np.float64]] = {}
        self._begun: dict[tuple[bytes, int], bool] = {}
        self._n_collected = 0
        X, y = data.results()
        repeats = occurrences(X)
        # The keys of the evaluations that are known, and the values of each setting.
        self._known = set(_keys(X, repeats))
        self._counts = Counter(row_keys(X))
        self._values: dict[bytes, list[NDArray[np.float64]]] = {}
        self._note(data.X, data.y)
        self._put_on_record(X, y, repeats)

    def _log(self, x: NDArray[np.float64], n_round: int, outcome: Outcome) -> None:
        self.log.evaluated(x, n_round, outcome.duration, outcome.error)

    def check_given(self) -> None:
        """End the run at once if the samples given have reached a limit."""
        if len(self.data):
            self.stopping.count(0, self.data.y[:0])

    def take_up(self) -> bool:
        """Take up what runs with smaller budgets have evaluated; tell whether that is a beginning.

        It counts in the budget.

        Raises
        ------
        StopRun
            If it has reached a limit of the run.
        """
        budget, journal = self.stopping.budget, self.evaluator.journal
        if budget is None or journal is None:
            return False
        X, repeats = journal.taken_up(budget)
        y = self._turned(self.evaluator.record.values(X, repeats))
        self._keep(X, y, repeats)
        self.stopping.n_evaluated += len(X)
        self.stopping.count(0, y, was_cut=len(X) >= budget)
        return len(X) > 0 and len(self.data) >= N_LEAST

    def evaluate(self, rows: NDArray[np.float64], anew: bool = False) -> NDArray[np.float64]:
        """Evaluate samples and keep them; return the value of each, NaN where it failed.

        Of a setting that was evaluated several times the value is the mean. What is known is
        evaluated once more only if that is said by `anew`.

        Raises
        ------
        StopRun
            If the run has reached one of its limits; what was evaluated until then is kept.
        """
        is_new = self._are_new(rows, anew)
        affordable = rows[np.cumsum(is_new.sum(axis=1)) <= self.stopping.n_left]
        values, n_new = self.data.y[:0], 0
        if len(affordable):
            asked, repeats = self._asked(affordable, anew)
            found = self._turned(self.evaluator(asked, self._goes_on, repeats))
            pairs = zip(asked, repeats, strict=True)
            begun = np.array([self.evaluator.record.get(x, n) is not None for x, n in pairs], bool)
            self._keep(asked[begun], found[begun], repeats[begun])
            n_new = int(is_new[: len(affordable)].ravel()[begun].sum())
            values = self.means(affordable)
        self.stopping.count(n_new, values, was_cut=len(affordable) < len(rows))
        return values

    @property
    def pending(self) -> NDArray[np.float64]:
        """The settings in flight."""
        return np.array(list(self._in_flight.values())).reshape(-1, self.data.X.shape[1])

    @property
    def n_free(self) -> int:
        """How many further settings may be begun."""
        return -(-(self.n_pending - len(self._begun)) // self.n_repeats)

    def begin(self, rows: NDArray[np.float64], anew: bool = False) -> None:
        """Begin the evaluation of settings, as far as the budget goes, of known ones anew if asked.

        Raises
        ------
        StopRun
            If it does not go as far.
        """
        assert self.in_flight is not None
        are_new = self._are_new(rows, anew)
        for row, key, is_new in zip(rows, row_keys(rows), are_new, strict=True):
            if key in self._in_flight:
                continue
            n_begun = sum(self._begun.values())
            if is_new.any() and is_new.sum() > self.stopping.n_left - n_begun:
                raise StopRun(self.stopping.budget_is_spent)
            self._in_flight[key] = row
            first = self._counts[key] if anew else 0
            for repeat, one in enumerate(is_new.tolist(), first):
                self._begun[key, repeat] = one
                self.in_flight.begin(row, repeat)

    def collect(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Wait for the next result; return its setting and the mean of its outputs.

        The setting is left out where others of its repeats are in flight. What the limits of the
        run say of it is told by `count`.
        """
        assert self.in_flight is not None
        x, repeat, value = self.in_flight.next()
        row, outputs = x[None], self._turned(np.asarray(value)[None])
        self._keep(row, outputs, np.array([repeat]))
        key = row_keys(row)[0]
        self._n_collected = int(self._begun.pop((key, repeat)))
        if any(other == key for other, _ in self._begun):
            return row[:0], outputs[:0]
        del self._in_flight[key]
        return row, self.means(row)

    def lose(self, x: NDArray[np.float64]) -> None:
        """Give up a setting in flight, whose results will never come."""
        [key] = row_keys(x[None])
        del self._in_flight[key]
        self._begun = {one: is_new for one, is_new in self._begun.items() if one[0] != key}

    def note(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Keep samples evaluated elsewhere, NaN for those that failed; none is counted."""
        repeats = self._numbers(X)
        self._keep(X, y, repeats)
        self._put_on_record(X, y, repeats)

    def _put_on_record(
        self, X: NDArray[np.float64], y: NDArray[np.float64], repeats: NDArray[np.intp]
    ) -> None:
        for x, value, repeat in zip(X, self._turned(y), repeats, strict=True):
            plain = float(value) if value.ndim == 0 else value.copy()
            self.evaluator.record.add(x, plain, int(repeat))

    def count(self, outputs: NDArray[np.float64]) -> None:
        """Count the result that was collected last.

        Raises
        ------
        StopRun
            If the run has reached one of its limits.
        """
        self.stopping.count(self._n_collected, outputs)

    def allow(self, n_settings: int | None) -> None:
        """Let the budget be what is evaluated or in flight, and so many settings; None for none."""
        self.stopping.budget = None
        if n_settings is not None:
            n_begun = self.stopping.n_evaluated + sum(self._begun.values())
            self.stopping.budget = n_begun + n_settings * self.n_repeats

    @property
    def n_asked(self) -> int:
        """How many samples are known or in flight."""
        return len(self.data) + len(self.data.X_failed) + len(self._begun)

    @property
    def n_calls(self) -> int:
        """Calls of the objective, those in flight among them."""
        get = self.evaluator.record.get
        flying = [
            (self._in_flight[key], repeat) for (key, repeat), new in self._begun.items() if new
        ]
        return self.evaluator.n_calls + sum(get(x, repeat) is None for x, repeat in flying)

    @property
    def n_left(self) -> float:
        """Settings that may still be begun."""
        n_left = self.stopping.n_left - sum(self._begun.values())
        return n_left if np.isinf(n_left) else n_left // self.n_repeats

    @property
    def budget(self) -> int | None:
        """Settings that fit into the budget; None without a budget."""
        budget = self.stopping.budget
        return None if budget is None else budget // self.n_repeats

    def n_new(self, rows: NDArray[np.float64]) -> int:
        """Return how many evaluations samples take that are not known."""
        return int(self._are_new(rows).sum())

    def _asked(
        self, rows: NDArray[np.float64], anew: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Return every repeat of some samples, and its number."""
        asked = np.repeat(rows, self.n_repeats, axis=0)
        numbers = np.tile(np.arange(self.n_repeats), len(rows))
        return asked, self._numbers(asked) if anew else numbers

    def _numbers(self, rows: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the numbers that repeats of samples have, if they are evaluated once more."""
        n_known = np.array([self._counts[key] for key in row_keys(rows)], dtype=np.intp)
        return n_known + occurrences(rows)

    def _are_new(self, rows: NDArray[np.float64], anew: bool = False) -> NDArray[np.bool_]:
        """Tell which repeats are neither known nor of an earlier sample, (n_samples, n_repeats)."""
        seen: set[tuple[bytes, int]] = set()
        keys = _keys(*self._asked(rows, anew))
        is_new = [key not in self._known and not _seen_before(key, seen) for key in keys]
        return np.array(is_new, dtype=bool).reshape(len(rows), self.n_repeats)

    def means(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean of what is known of each sample, NaN where nothing is."""
        means = np.full((len(rows), *self.data.y.shape[1:]), np.nan)
        for place, key in enumerate(row_keys(rows)):
            values = self._values.get(key)
            if values:
                means[place] = values[0] if len(values) == 1 else np.mean(values, axis=0)
        return means

    def check_enough(self, end: StopRun) -> None:
        """Raise an error unless a run that has ended knows two samples to learn from."""
        if len(self.data) < N_LEAST:
            raise ValueError(
                f"objective must succeed on at least two samples before the run ends; got "
                f"{len(self.data)} of {len(self.data.evaluated)}.{self.evaluator.why_failed} {end}"
            )

    def value_at(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the value of a point up to rounding, NaN if it is not known."""
        space, data = self.space, self.data
        distances = np.abs(space.places(data.X) - space.places(x[None])).max(axis=1)
        nearest = int(np.argmin(distances))
        known = distances[nearest] < ROUNDING
        return self.means(data.X[[nearest]])[0] if known else np.asarray(data.y[nearest] * np.nan)

    def generator(self) -> np.random.Generator:
        """Return fresh randomness, the same in every run that goes on from one journal."""
        seed = int(np.random.default_rng().integers(2**31 - 1))
        if self.evaluator.journal is not None:
            seed = self.evaluator.journal.seed(seed)
        return np.random.default_rng(seed)

    def keep_all_on_record(self) -> None:
        """Keep also what was evaluated within a batch that failed, or by an earlier run."""
        X, y = self.evaluator.record.rows(self.data.X.shape[1])
        self._keep(X, self._turned(y), occurrences(X))

    def _goes_on(self, values: list[Any]) -> bool:
        """Tell whether another sample of a batch is to begin, of which these values are known."""
        known = np.array(values, dtype=np.float64).reshape(-1, *self.data.y.shape[1:])
        if len(self.data) + succeeded(known).sum() < N_LEAST:
            # Nothing can be learned from less.
            return True
        # A single repeat reaches no target.
        known = known if self.n_repeats == 1 else known[:0]
        return self.stopping.lets_begin(self._turned(known))

    def _keep(
        self, rows: NDArray[np.float64], values: NDArray[np.float64], repeats: NDArray[np.intp]
    ) -> None:
        keys = _keys(rows, repeats)
        new = np.array([not _seen_before(key, self._known) for key in keys], dtype=bool)
        self._counts.update(row_keys(rows[new]))
        found = Dataset.of_results(rows[new], values[new])
        self._note(found.X, found.y)
        data = self.data
        y, failed = np.concatenate([data.y, found.y]), np.vstack([data.X_failed, found.X_failed])
        self.data = Dataset(np.vstack([data.X, found.X]), y, failed)

    def _note(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Take values into account, each beside others of its setting."""
        for key, value in zip(row_keys(X), y, strict=True):
            self._values.setdefault(key, []).append(value)


def _keys(X: NDArray[np.float64], repeats: NDArray[np.intp]) -> list[tuple[bytes, int]]:
    return list(zip(row_keys(X), repeats.tolist(), strict=True))


def _seen_before(key: tuple[bytes, int], seen: set[tuple[bytes, int]]) -> bool:
    """Tell whether a key is in a set, and add it."""
    if key in seen:
        return True
    seen.add(key)
    return False
