"""One line that shows how far a run has come."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any, TextIO

import numpy as np

from sklearn_proxyopt._run._progress import as_clock, phase_in_words

__all__ = ["EvaluationProgress"]

_BAR = 16
# Seconds between two pictures of the line, and between two lines in a file.
_SHORT, _LONG = 0.1, 30.0


class EvaluationProgress:
    """One bar for the whole budget of a run.

    It has the phase, the evaluations, the best value and the run that found it, failures, and the
    time so far and left. In a terminal and in a notebook the line is written over; where the output
    goes into a file there is a line every half a minute. It needs no further package.

    Set it by `ProxyOptimizer.set_callbacks`. For bars of the training too, and of a grid search
    around the optimizer, set scikit-learn's `ProgressBar` beside it or in place of it.

    Parameters
    ----------
    file : file object, default=None
        Where to write, as of `print`; None for the standard output.

    See Also
    --------
    sklearn.callback.ProgressBar : A bar for each nested task, without the values.

    Examples
    --------
    >>> from sklearn_proxyopt import ProxyOptimizer
    >>> from sklearn_proxyopt.callbacks import EvaluationProgress
    >>> optimizer = ProxyOptimizer().set_callbacks(EvaluationProgress())
    """

    def __init__(self, file: TextIO | None = None) -> None:
        if file is not None and not hasattr(file, "write"):
            raise ValueError(f"file must be a file object or None; got {file!r}.")
        self.file = file

    def setup(self, estimator: Any, context: Any) -> None:
        """Begin the line.

        Parameters
        ----------
        estimator : estimator
            The one that runs.
        context : sklearn.callback.CallbackContext
            Its task.
        """
        self._phase, self._facts = "", dict[str, Any]()
        self._start, self._last, self._width = time.monotonic(), -np.inf, 0

    def teardown(self, estimator: Any, context: Any) -> None:
        """Leave the line as it is.

        Parameters
        ----------
        estimator : estimator
            The one that ran.
        context : sklearn.callback.CallbackContext
            Its task.
        """
        self._show(is_last=True)

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Show the phase that begins.

        Parameters
        ----------
        estimator : estimator
            The one that runs.
        context : sklearn.callback.CallbackContext
            The task that begins.
        """
        if context.parent is not None and context.task_name != "evaluation":
            self._phase = phase_in_words(context.task_name)
            self._show()

    def on_fit_task_end(self, estimator: Any, context: Any, *, metadata: Any = None) -> None:
        """Count an evaluation.

        Parameters
        ----------
        estimator : estimator
            The one that runs.
        context : sklearn.callback.CallbackContext
            The task that ends.
        metadata : dict, default=None
            Of an evaluation what the run has evaluated so far.
        """
        if context.parent is not None and context.task_name == "evaluation":
            self._facts = metadata
            self._show()

    def _show(self, is_last: bool = False) -> None:
        """Write the line, unless it was written just now."""
        now, file = time.monotonic(), self.file or sys.stdout
        is_live = _is_live(file)
        if not is_last and now - self._last < (_SHORT if is_live else _LONG):
            return
        self._last = now
        text = self._text(now - self._start)
        if not is_live:
            print(text, file=file, flush=True)
            return
        room = shutil.get_terminal_size().columns - 1
        text = f"{self._bar(room - len(text))}{text}"[:room]
        # Blanks cover what a longer line has left behind.
        end = "\n" if is_last else ""
        print(f"\r{text:<{self._width}}", end=end, file=file, flush=True)
        self._width = len(text)

    def _bar(self, room: int) -> str:
        """Return a bar of the budget, if there is one and room for it."""
        budget = self._facts.get("budget")
        if budget is None or room < _BAR + 3:
            return ""
        n_full = _BAR * self._facts["n_done"] // budget
        return f"[{'#' * n_full}{'.' * (_BAR - n_full)}] "

    def _text(self, seconds: float) -> str:
        """Return the line without its bar."""
        facts, parts = self._facts, [self._phase]
        if facts:
            budget = "" if facts["budget"] is None else f"/{facts['budget']}"
            parts.append(f"{facts['n_done']}{budget} runs")
            if np.isfinite(facts["best"]):
                parts.append(f"best {facts['best']:.6g} (run {facts['best_at']})")
            if facts["n_failed"]:
                parts.append(f"{facts['n_failed']} failed")
        return "  ".join([*parts, as_clock(seconds), *self._left(seconds)])

    def _left(self, seconds: float) -> list[str]:
        """Return how long the rest takes if it goes on as before."""
        budget = self._facts.get("budget")
        if budget is None:
            return []
        left = seconds * (budget - self._facts["n_done"]) / self._facts["n_done"]
        return [f"{as_clock(left)} left"]


def _is_live(file: Any) -> bool:
    """Tell whether a line can be written over: in a terminal, and in a notebook."""
    if getattr(file, "isatty", lambda: False)():
        return True
    return type(file).__module__.partition(".")[0] == "ipykernel"
