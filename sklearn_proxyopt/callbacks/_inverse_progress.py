"""One line that shows how far a fit of many inverse problems has come."""

from __future__ import annotations

from typing import Any

from sklearn_proxyopt.callbacks._line import LineCallback

__all__ = ["InverseProgress"]

_WORDS = {"train": "training", "descend": "descending"}
_UNITS = {"train": "steps", "descend": "descents"}


class InverseProgress(LineCallback):
    """One line for the fit of an inverse solver.

    It has the phase, the steps of a training or the descents that have ended, the simulations, and
    the time so far and left until the phase ends. In a terminal and in a notebook the line is
    written over; where the output goes into a file there is a line every half a minute. It needs no
    further package.

    Set it by the `set_callbacks` of a solver. With its `batch_size` descents end batch by batch;
    without, most end towards the end of the phase, and so much time is not left as the line says.

    Parameters
    ----------
    file : file object, default=None
        Where to write, as of `print`; None for the standard output.

    See Also
    --------
    EvaluationProgress : The same for the runs of an optimizer.

    Examples
    --------
    >>> from sklearn_proxyopt.callbacks import InverseProgress
    >>> from sklearn_proxyopt.inverse import DirectInverse
    >>> solver = DirectInverse(batch_size=1000).set_callbacks(InverseProgress())
    """

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Wait for the first step.

        Parameters
        ----------
        estimator : estimator
            The solver.
        context : sklearn.callback.CallbackContext
            The task that begins.
        """

    def on_fit_task_end(self, estimator: Any, context: Any, *, metadata: Any = None) -> None:
        """Show a step.

        Parameters
        ----------
        estimator : estimator
            The solver.
        context : sklearn.callback.CallbackContext
            The task that ends.
        metadata : dict, default=None
            How far the fit has come.
        """
        if context.parent is None or context.task_name != "step":
            return
        before = self._facts
        is_new = bool(before) and (
            metadata["phase"] != before["phase"] or metadata["n_done"] < before["n_done"]
        )
        if is_new:
            self._line.begin_part()
        self._facts = metadata
        self._line.show()

    def _parts(self) -> list[str]:
        """Return the phase, how much of it is done, and the simulations so far."""
        facts = self._facts
        if not facts:
            return []
        phase = facts["phase"]
        return [
            _WORDS[phase],
            f"{facts['n_done']:,}/{facts['n_all']:,} {_UNITS[phase]}",
            f"{facts['n_forward_calls']:,} simulations",
        ]

    def _share(self) -> float | None:
        """Return how much of the phase is done."""
        return self._facts["n_done"] / self._facts["n_all"] if self._facts else None
