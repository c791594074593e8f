"""True evaluations against the best value."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._feasibility import feasible_values
from sklearn_proxyopt._utils._goal import Direction, Goal
from sklearn_proxyopt._utils._validation import check_real
from sklearn_proxyopt.displays._base import axes_for, check_optimizer, despine, goal_of

__all__ = ["ConvergenceDisplay"]


class ConvergenceDisplay:
    """How the best true value came closer with the evaluations, stage by stage.

    Parameters
    ----------
    values : ndarray of shape (n_evaluations,)
        True values in the order in which they were paid for.
    stages : dict of str to int
        The name of each stage and the evaluation that it begins with.
    f_opt : float, default=None
        The best value there is, where it is known; the regret is then drawn on a logarithmic
        scale.
    direction : {"minimize", "maximize"}, default="minimize"
        Whether the lowest value is the best, or the highest.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure it is part of.

    Examples
    --------
    >>> from sklearn_proxyopt.displays import ConvergenceDisplay
    >>> display = ConvergenceDisplay([3.0, 1.0, 2.0], {"design": 0})
    >>> display.best
    array([3., 1., 1.])
    """

    ax_: Any
    figure_: Any

    def __init__(
        self,
        values: Any,
        stages: dict[str, int],
        *,
        f_opt: float | None = None,
        direction: Direction = "minimize",
    ) -> None:
        self.values = np.asarray(values, dtype=np.float64)
        self.stages = stages
        self.f_opt = f_opt
        self.direction = direction

    @property
    def best(self) -> NDArray[np.float64]:
        """The best value up to each evaluation."""
        better = np.fmin if self.direction == "minimize" else np.fmax
        best: NDArray[np.float64] = better.accumulate(self.values)
        return best

    @classmethod
    def from_estimator(cls, estimator: Any, *, f_opt: float | None = None, ax: Any = None) -> Self:
        """Draw the run of an optimizer.

        Parameters
        ----------
        estimator : ProxyOptimizer
            Fitted, best by `minimize`.
        f_opt : float, default=None
            The best value there is, where it is known.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        ConvergenceDisplay
            The display, drawn.
        """
        estimator = check_optimizer(estimator)
        if f_opt is not None:
            check_real(f_opt, "f_opt")
        stages = {"rows learned from": 0}
        if len(estimator.y_) > estimator.n_learned_:
            stages["refinement"] = estimator.n_learned_
        direction = goal_of(estimator).directions[0]
        values = feasible_values(estimator.y_)
        return cls(values, stages, f_opt=f_opt, direction=direction).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        ConvergenceDisplay
            The display itself.
        """
        ax = axes_for(ax, (6.0, 3.6))
        number = np.arange(1, len(self.values) + 1)
        values, best = self.values, self.best
        if self.f_opt is not None:
            goal = Goal.of(self.direction)
            values, best = goal.turned(values - self.f_opt), goal.turned(best - self.f_opt)
            floor = np.finfo(float).eps * max(1.0, float(np.nanmax(np.abs(self.values))))
            values, best = np.maximum(values, floor), np.maximum(best, floor)
            ax.set_yscale("log")
        ax.plot(number, values, ".", color="0.7", markersize=3, label="one evaluation")
        ax.step(number, best, where="post", color="black", label="best so far")
        for name, start in self.stages.items():
            if start:
                ax.axvline(start + 0.5, color="0.4", linewidth=0.8, linestyle="--")
            ax.annotate(
                name,
                (start + 0.5, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(3, 3),
                textcoords="offset points",
                fontsize="small",
                color="0.3",
                ha="left" if start < 0.7 * len(values) else "right",
            )
        ylabel = "true value" if self.f_opt is None else "regret"
        ax.set(xlabel="true evaluations", ylabel=ylabel)
        ax.legend(frameon=False, fontsize="small", loc="lower left")
        despine(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self
