"""One line that shows how far a run has come."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_proxyopt._run._progress import phase_in_words
from sklearn_proxyopt.callbacks._line import LineCallback

__all__ = ["EvaluationProgress"]


class EvaluationProgress(LineCallback):
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
            self._facts["phase"] = phase_in_words(context.task_name)
            self._line.show()

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
            self._facts.update(metadata)
            self._line.show()

    def _parts(self) -> list[str]:
        """Return the phase, and what the run has evaluated so far."""
        facts = self._facts
        parts = [facts.get("phase", "")]
        if "n_done" in facts:
            budget = "" if facts["budget"] is None else f"/{facts['budget']}"
            parts.append(f"{facts['n_done']}{budget} runs")
            if np.isfinite(facts["best"]):
                parts.append(f"best {facts['best']:.6g} (run {facts['best_at']})")
            if facts["n_failed"]:
                parts.append(f"{facts['n_failed']} failed")
        return parts

    def _share(self) -> float | None:
        """Return how much of the budget is spent, if there is one."""
        budget = self._facts.get("budget")
        return None if budget is None else self._facts["n_done"] / budget
