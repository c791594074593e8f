"""The phases of a run, as scikit-learn's callbacks and readers of the output are told of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from sklearn_proxyopt._utils._stopping import StopRun
from sklearn_proxyopt.evaluation import Evaluator

__all__ = ["Progress"]


class Progress:
    """Tells of the phases of a run as they begin and end, and of evaluations within them.

    Parameters
    ----------
    estimator : estimator
        Holds the callbacks, and the parameter `verbose`.
    n_phases : int
        How many there will be.
    """

    def __init__(self, estimator: Any, n_phases: int) -> None:
        self._estimator = estimator
        self._context = estimator._init_callback_context(max_subtasks=n_phases)
        self._context.call_on_fit_task_begin(estimator=estimator)

    @contextmanager
    def phase(self, name: str, text: str, n_steps: int | None = 0) -> Iterator[Any]:
        """Run the block as a phase; yield its callback context."""
        self.say(text)
        context = self._context.subcontext(task_name=name, max_subtasks=n_steps)
        context.call_on_fit_task_begin(estimator=self._estimator)
        try:
            yield context
        except StopRun:
            # A limit ends a phase as it is meant to end.
            context.call_on_fit_task_end(estimator=self._estimator)
            raise
        context.call_on_fit_task_end(estimator=self._estimator)

    @contextmanager
    def evaluations(
        self, name: str, text: str, evaluator: Evaluator, n_rows: int | None
    ) -> Iterator[None]:
        """Run the block as a phase in which the evaluator's rows are steps."""
        with self.phase(name, text, n_rows) as context:

            def tell(value: Any) -> None:
                row = context.subcontext(task_name="evaluation")
                row.call_on_fit_task_begin(estimator=self._estimator)
                shown = float(value) if np.ndim(value) == 0 else self._estimator._shown(value)
                metadata = {"stage": name, "value": shown, "n_calls": evaluator.n_calls}
                row.call_on_fit_task_end(estimator=self._estimator, metadata=metadata)

            evaluator.on_row = tell
            try:
                yield
            finally:
                evaluator.on_row = None

    def end(self, text: str) -> None:
        """End the run."""
        self._context.call_on_fit_task_end(estimator=self._estimator)
        self.say(text)

    def say(self, text: str) -> None:
        """Print a line if the estimator is verbose."""
        if self._estimator.verbose:
            print(f"[{type(self._estimator).__name__}] {text}")
