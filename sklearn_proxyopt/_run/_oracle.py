"""The objective as a run sees it: evaluated, counted, recorded, within the run's limits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._run._stopping import StoppingCriteria
from sklearn_proxyopt._utils._dataset import Dataset, are_seen, is_among, row_keys, succeeded
from sklearn_proxyopt._utils._distances import ROUNDING
from sklearn_proxyopt._utils._stopping import StopRun
from sklearn_proxyopt.evaluation import Evaluator
from sklearn_proxyopt.variables import Variables

__all__ = ["Oracle"]


class Oracle:
    """Evaluates the objective for a run and keeps its samples, each once, to be minimised.

    Parameters
    ----------
    evaluator : Evaluator
        Calls the objective; its values are in the user's sign.
    data : Dataset
        Samples that were evaluated before; they enter the evaluator's record.
    space : Variables
        The variables; rows outside of their box, or that miss their constraints, are no answer.
    stopping : StoppingCriteria
        What ends the run, and what is sought.

    Attributes
    ----------
    data : Dataset
        The samples given, as they were given, and those evaluated.
    """

    def __init__(
        self, evaluator: Evaluator, data: Dataset, space: Variables, stopping: StoppingCriteria
    ) -> None:
        self.evaluator, self.space, self.stopping = evaluator, space, stopping
        stopping.begin(data.y[space.counts(data.X)])
        self.data = data
        self._turned = stopping.goal.turned
        if evaluator.journal is not None:
            evaluator.journal.read_into(evaluator.record)
        # The keys of the rows that succeeded, and of those that failed.
        self._good, self._bad = set(row_keys(data.X)), set(row_keys(data.X_failed))
        X, y = data.results()
        for x, value in zip(X, self._turned(y), strict=True):
            evaluator.record.add(x, float(value) if value.ndim == 0 else value.copy())

    def check_given(self) -> None:
        """End the run at once if the samples given have reached a limit."""
        if len(self.data):
            self.stopping.count(0, self.data.y[:0])

    def evaluate(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate rows and keep them; return the value of each, NaN where it failed.

        Raises
        ------
        StopRun
            If the run has reached one of its limits; what was evaluated until then is kept.
        """
        is_new = self.are_new(rows)
        affordable = rows[np.cumsum(is_new) <= self.stopping.n_left]
        none = self.data.y[:0]
        values = none
        if len(affordable):
            values = self._turned(self.evaluator(affordable, self._goes_on))
        begun = np.array([self.evaluator.record.get(x) is not None for x in affordable], bool)
        self._keep(affordable[begun], values[begun])
        n_new = int(is_new[: len(affordable)][begun].sum())
        self.stopping.count(n_new, values, was_cut=len(affordable) < len(rows))
        return values

    def are_new(self, rows: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which rows are neither known nor stand earlier among these."""
        known = [key in self._good or key in self._bad for key in row_keys(rows)]
        return ~(np.array(known, dtype=bool) | is_among(rows, rows[:0]))

    def check_enough(self, end: StopRun) -> None:
        """Raise an error unless a run that has ended knows two samples to learn from."""
        if len(self.data) < 2:
            raise ValueError(
                f"objective must succeed on at least two rows before the run ends; got "
                f"{len(self.data)} of {len(self.data.evaluated)}. {end}"
            )

    def value_at(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the value of a point up to rounding, NaN if it is not known."""
        space, data = self.space, self.data
        distances = np.abs(space.places(data.X) - space.places(x[None])).max(axis=1)
        nearest = int(np.argmin(distances))
        known = distances[nearest] < ROUNDING
        return np.asarray(data.y[nearest] if known else data.y[nearest] * np.nan)

    def generator(self) -> np.random.Generator:
        """Return fresh randomness, the same in every run that goes on from one journal."""
        seed = int(np.random.default_rng().integers(2**31 - 1))
        if self.evaluator.journal is not None:
            seed = self.evaluator.journal.seed(seed)
        return np.random.default_rng(seed)

    def keep_all_on_record(self) -> None:
        """Keep also what was evaluated within a batch that failed, or by an earlier run."""
        X, y = self.evaluator.record.rows(self.data.X.shape[1])
        self._keep(X, self._turned(y))

    def _goes_on(self, values: list[Any]) -> bool:
        """Tell whether another row of a batch is to begin, of which these values are known."""
        known = np.array(values, dtype=np.float64).reshape(-1, *self.data.y.shape[1:])
        if len(self.data) + succeeded(known).sum() < 2:
            # Nothing can be learned from less.
            return True
        return self.stopping.lets_begin(self._turned(known))

    def _keep(self, rows: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        is_good = succeeded(values)
        failed = rows[~is_good]
        failed = np.vstack([self.data.X_failed, failed[~are_seen(failed, self._bad)]])
        rows, values = rows[is_good], values[is_good]
        new = ~are_seen(rows, self._good)
        X = np.vstack([self.data.X, rows[new]])
        self.data = Dataset(X, np.concatenate([self.data.y, values[new]]), failed)
