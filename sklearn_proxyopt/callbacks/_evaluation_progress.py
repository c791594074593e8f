"""A bar that shows what was paid, and what for."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["EvaluationProgress"]


class EvaluationProgress:
    """A progress bar with the stage of the run, its true calls and the best true value.

    Set it by `ProxyOptimizer.set_callbacks`. For bars of the training too, and of a grid search
    around the optimizer, set scikit-learn's `ProgressBar` beside it or in place of it.

    Parameters
    ----------
    console : rich.console.Console, default=None
        Where to draw; None for the terminal.

    See Also
    --------
    sklearn.callback.ProgressBar : A bar for each nested task, without the values.

    Examples
    --------
    >>> from sklearn_proxyopt import ProxyOptimizer
    >>> from sklearn_proxyopt.callbacks import EvaluationProgress
    >>> optimizer = ProxyOptimizer().set_callbacks(EvaluationProgress())
    """

    def __init__(self, console: Any = None) -> None:
        try:
            import rich.progress  # noqa: F401
        except ImportError as error:
            raise ImportError(
                "EvaluationProgress needs rich; install it by sklearn_proxyopt[progress]."
            ) from error
        self.console = console

    def setup(self, estimator: Any, context: Any) -> None:
        """Draw the bar.

        Parameters
        ----------
        estimator : estimator
            The one that runs.
        context : sklearn.callback.CallbackContext
            Its task.
        """
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._lowest, self._n_calls = np.inf, 0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[paid]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
        )
        self._progress.start()

    def teardown(self, estimator: Any, context: Any) -> None:
        """Leave the bar as it is.

        Parameters
        ----------
        estimator : estimator
            The one that ran.
        context : sklearn.callback.CallbackContext
            Its task.
        """
        self._progress.stop()

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Begin a line for a stage.

        Parameters
        ----------
        estimator : estimator
            The one that runs.
        context : sklearn.callback.CallbackContext
            The task that begins.
        """
        if context.parent is not None and context.task_name != "evaluation":
            total = context.max_subtasks or None
            self._line = self._progress.add_task(context.task_name, total=total, paid=self._paid())

    def on_fit_task_end(self, estimator: Any, context: Any, *, metadata: Any = None) -> None:
        """Count an evaluation, or finish the line of a stage.

        Parameters
        ----------
        estimator : estimator
            The one that runs.
        context : sklearn.callback.CallbackContext
            The task that ends.
        metadata : dict, default=None
            Of an evaluation its "value" and the "n_calls" so far.
        """
        if context.parent is None:
            return
        if context.task_name == "evaluation":
            self._lowest = float(np.fmin(self._lowest, metadata["value"]))
            self._n_calls = metadata["n_calls"]
            self._progress.update(self._line, advance=1, paid=self._paid())
        else:
            done = self._progress.tasks[self._line].completed or 1
            self._progress.update(self._line, total=done, completed=done)

    def _paid(self) -> str:
        best = f", best {self._lowest:.6g}" if np.isfinite(self._lowest) else ""
        return f"{self._n_calls} calls{best}"
