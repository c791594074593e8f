"""The phases of a run, as scikit-learn's callbacks and readers of the output are told of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from sklearn_proxyopt._run._stopping import StoppingCriteria
from sklearn_proxyopt._utils._stopping import StopRun
from sklearn_proxyopt.evaluation import Evaluator
from sklearn_proxyopt.variables import Variables

__all__ = ["Progress", "as_clock", "phase_in_words"]

_LOGGER = logging.getLogger("sklearn_proxyopt")
_WORDS = {
    "design": "initial design",
    "explore": "exploring",
    "infill": "infill",
    "refine": "refining",
    "repeat": "repeating a run",
    "search": "searching the model",
    "train": "learning the model",
    "verify": "verifying the front",
}
# Seconds after which a line is due, and within which lines of tenths would only follow each other.
_DUE, _TOO_SOON = 30.0, 1.0


def phase_in_words(name: str) -> str:
    """Return what readers call a phase."""
    return _WORDS.get(name, name)


def as_clock(seconds: float) -> str:
    """Return a time as hours, minutes and seconds."""
    return str(timedelta(seconds=int(seconds)))


@dataclass
class Tally:
    """What a run has evaluated so far.

    Parameters
    ----------
    stopping : StoppingCriteria
        What ends the run, and what is sought.
    """

    stopping: StoppingCriteria
    n_done: int = field(default=0, init=False)
    n_failed: int = field(default=0, init=False)
    best: float = field(default=np.nan, init=False)
    best_at: int = field(default=0, init=False)

    def begin_phase(self) -> None:
        """Count from what the run has counted, which leaves out samples that were known."""
        self.n_done = self.stopping.n_evaluated

    def count(self, value: float, failed: bool) -> None:
        """Count an evaluation, whose value is NaN where it has none that can be the best."""
        budget = self.stopping.budget
        self.n_done = self.n_done + 1 if budget is None else min(self.n_done + 1, budget)
        self.n_failed += failed
        turned = self.stopping.goal.value
        if np.isfinite(value) and not turned(self.best) <= turned(value):
            self.best, self.best_at = value, self.n_done

    @property
    def share(self) -> str:
        """The evaluations of the whole budget."""
        budget = self.stopping.budget
        return f"{self.n_done}" if budget is None else f"{self.n_done:>{len(str(budget))}}/{budget}"

    @property
    def tenths(self) -> int:
        """How many tenths of the budget are spent."""
        budget = self.stopping.budget
        return 0 if budget is None else 10 * self.n_done // budget

    def facts(self) -> dict[str, Any]:
        """Return what callbacks are told."""
        names = ("n_done", "n_failed", "best", "best_at")
        return {name: getattr(self, name) for name in names} | {"budget": self.stopping.budget}


class Progress:
    """Tells of the phases of a run as they begin and end, and of evaluations within them.

    Each line goes to the logger "sklearn_proxyopt", and is printed if the estimator is verbose and
    it is worth reading: once for a tenth of the budget, for half a minute and for the end of a
    phase.

    Parameters
    ----------
    estimator : estimator
        Holds the callbacks, and the parameter `verbose`.
    n_phases : int
        How many there will be.
    """

    def __init__(self, estimator: Any, n_phases: int) -> None:
        self._estimator = estimator
        self._tally: Tally | None = None
        self._start = self._last = time.monotonic()
        self._tenths, self._said = 0, set[str]()
        self._context = estimator._init_callback_context(max_subtasks=n_phases)
        self._context.call_on_fit_task_begin(estimator=estimator)

    def begin(
        self, objective: Callable[..., Any], space: Variables, stopping: StoppingCriteria
    ) -> None:
        """Say what is sought, of a run that may evaluate."""
        self._tally = Tally(stopping)
        names = {"minimize": "minimizing", "maximize": "maximizing"}
        verbs = {names[one] for one in stopping.goal.directions}
        what = verbs.pop() if len(verbs) == 1 else "optimizing"
        name = getattr(objective, "__name__", type(objective).__name__)
        plural = "" if space.n_axes == 1 else "s"
        runs = "" if stopping.budget is None else f", {stopping.budget} runs"
        self._write(f"sklearn_proxyopt: {what} {name} over {space.n_axes} variable{plural}{runs}")

    @contextmanager
    def phase(self, name: str, text: str, n_steps: int | None = 0) -> Iterator[Any]:
        """Run the block as a phase; yield its callback context."""
        if name not in self._said or self._is_due:
            self._said.add(name)
            self.say(text)
        else:
            _LOGGER.info(text)
        with self._task(name, n_steps) as context:
            yield context

    @contextmanager
    def evaluations(
        self, name: str, text: str, evaluator: Evaluator, n_rows: int | None
    ) -> Iterator[None]:
        """Run the block as a phase in which the evaluator's samples are steps."""
        tally = self._tally
        assert tally is not None
        tally.begin_phase()
        n_told = tally.n_done
        _LOGGER.info(text)
        with self._task(name, n_rows) as context:

            def tell(value: Any) -> None:
                nonlocal n_told
                row = context.subcontext(task_name="evaluation")
                row.call_on_fit_task_begin(estimator=self._estimator)
                shown = float(value) if np.ndim(value) == 0 else self._estimator._shown(value)
                tally.count(shown, failed=not np.isfinite(value).all())
                metadata = {"stage": name, "value": shown, "n_calls": evaluator.n_calls}
                metadata |= tally.facts()
                row.call_on_fit_task_end(estimator=self._estimator, metadata=metadata)
                is_new_tenth = tally.tenths > self._tenths and self._seconds >= _TOO_SOON
                if is_new_tenth or self._is_due:
                    n_told = tally.n_done
                    self._say_state(name)

            evaluator.on_row = tell
            try:
                yield
            finally:
                evaluator.on_row = None
                if tally.n_done > n_told:
                    self._say_state(name)

    @contextmanager
    def _task(self, name: str, n_steps: int | None) -> Iterator[Any]:
        """Tell the callbacks of a phase."""
        context = self._context.subcontext(task_name=name, max_subtasks=n_steps)
        context.call_on_fit_task_begin(estimator=self._estimator)
        try:
            yield context
        except StopRun:
            # A limit ends a phase as it is meant to end.
            context.call_on_fit_task_end(estimator=self._estimator)
            raise
        context.call_on_fit_task_end(estimator=self._estimator)

    def end(self, text: str) -> None:
        """End the run."""
        self._context.call_on_fit_task_end(estimator=self._estimator)
        tally, took = self._tally, f"done in {_as_span(time.monotonic() - self._start)}"
        if tally is not None and np.isfinite(tally.best):
            text = f"Best value {tally.best:.6g} (run {tally.best_at})."
        self._write(f"{took}. {text}")

    def conclude(self, result: Any) -> None:
        """Say what is thought of the answer, and where the evaluations are."""
        if result.get("verdict") is not None:
            self._write(f"Verdict: {result.verdict_in_words}.")
        if self._estimator.journal is not None:
            name = Path(self._estimator.journal).name
            self._write(f"{name} holds every run; start the program again to add more.")

    def say(self, text: str) -> None:
        """Say what happens, with the evaluations so far."""
        self._write(text if self._tally is None else f"{self._tally.share:>9}  {text}")

    def _write(self, text: str) -> None:
        """Log a line, and print it if the estimator is verbose."""
        _LOGGER.info(text)
        self._last = time.monotonic()
        if self._estimator.verbose:
            print(text, flush=True)

    @property
    def _seconds(self) -> float:
        """Seconds since the last line."""
        return time.monotonic() - self._last

    @property
    def _is_due(self) -> bool:
        return self._seconds >= _DUE

    def _say_state(self, name: str) -> None:
        """Say how far the run has come."""
        tally = self._tally
        assert tally is not None
        self._tenths = tally.tenths
        best = f"best {tally.best:<12.6g}" if np.isfinite(tally.best) else f"{'':<17}"
        clock = f"at {as_clock(time.monotonic() - self._start)}"
        gain = f"   last gain at run {tally.best_at}" if 0 < tally.best_at < tally.n_done else ""
        failed = f"   {tally.n_failed} failed" if tally.n_failed else ""
        self.say(f"{phase_in_words(name):<20}  {best} {clock}{gain}{failed}")


def _as_span(seconds: float) -> str:
    """Return how long something took, in the units in which it is read."""
    whole = int(seconds)
    if whole < 1:
        return "less than 1 s"
    hours, minutes = whole // 3600, whole // 60 % 60
    parts = ((hours, "h"), (minutes, "min"), (0 if hours else whole % 60, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)
