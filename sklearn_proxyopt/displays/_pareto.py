"""A front, predicted and measured, and how it grew."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._goal import Goal
from sklearn_proxyopt.displays._base import (
    COLORS,
    WIDTH,
    Display,
    check_searched,
    despine,
    goal_of,
    ink,
    is_front,
    legend_beside,
    paper,
    pyplot,
)
from sklearn_proxyopt.optimizers import hypervolume, nondominated

__all__ = ["ParetoDisplay"]


class ParetoDisplay(Display):
    """The front of several objectives, measured and predicted, and how it grew.

    Above are two of the objectives: every sample, the front of those measured, and the front that
    the surrogate model predicts, with intervals where it tells them. Below is the hypervolume that
    the samples dominate, over the evaluations.

    Parameters
    ----------
    outputs : array-like of shape (n_samples, n_outputs)
        Objectives of the samples and any constraints after them, in the order in which they came;
        NaN where an evaluation failed.
    predicted : array-like of shape (n_points, n_objectives) or None
        The front that the surrogate model predicts.
    reference : array-like of shape (n_objectives,), default=None
        The corner that the hypervolume is measured from; None takes the worst value of each
        objective.
    directions : tuple of {"minimize", "maximize"}, default=("minimize", "minimize")
        What is sought of each objective.
    shown : tuple of two int, default=(0, 1)
        Which objectives are drawn against each other.
    intervals : array-like of shape (n_points, n_objectives, 2), default=None
        Where the values at the predicted points lie with a probability of 90 %, NaN where that is
        not known.

    Attributes
    ----------
    axes_ : ndarray of shape (2,) of matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure they are part of.
    is_front : ndarray of bool of shape (n_samples,)
        Which samples are on the measured front.
    hypervolumes : ndarray of shape (n_samples,)
        What is dominated after each evaluation.

    Examples
    --------
    >>> from sklearn_proxyopt.displays import ParetoDisplay
    >>> display = ParetoDisplay([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], None, reference=[2.0, 2.0])
    >>> display.is_front
    array([ True,  True, False])
    >>> display.hypervolumes
    array([2., 3., 3.])
    """

    def __init__(
        self,
        outputs: Any,
        predicted: Any,
        *,
        reference: Any = None,
        directions: tuple[Any, ...] = ("minimize", "minimize"),
        shown: tuple[int, int] = (0, 1),
        intervals: Any = None,
    ) -> None:
        n = len(directions)
        if len(shown) != 2 or not all(place in range(n) for place in shown):
            raise ValueError(f"shown must be two places from 0 to {n - 1}; got {shown!r}.")
        self.outputs = np.asarray(outputs, dtype=np.float64)
        self.predicted = None if predicted is None else np.asarray(predicted, dtype=np.float64)
        self.intervals = None if intervals is None else np.asarray(intervals, dtype=np.float64)
        self.directions, self.shown = directions, shown
        goal = Goal(tuple(directions))
        turned = goal.turned(self.outputs)
        known = np.asarray(np.isfinite(turned).all(axis=1) & (turned[:, n:] <= 0.0).all(axis=1))
        F = np.where(known[:, None], turned[:, :n], np.inf)
        self.is_front = np.zeros(len(F), dtype=bool)
        self.is_front[known] = nondominated(F[known])
        corner = _corner(F[known], n) if reference is None else np.asarray(reference, np.float64)
        corner = corner if reference is None else goal.turned(corner[None])[0]
        self.hypervolumes = _grown(F, corner)

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, shown: tuple[int, int] = (0, 1), ax: Any = None
    ) -> Self:
        """Draw the front of an optimizer.

        Parameters
        ----------
        estimator : ParetoOptimizer
            Fitted.
        shown : tuple of two int, default=(0, 1)
            Which objectives are drawn against each other.
        ax : array of two matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        ParetoDisplay
            The display, drawn.
        """
        if not is_front(check_searched(estimator)):
            raise ValueError(
                f"estimator must be a ParetoOptimizer; got a {type(estimator).__name__}. One "
                "objective has no front: draw its run by ConvergenceDisplay."
            )
        result, predicted, intervals = getattr(estimator, "result_", {}), None, None
        directions = goal_of(estimator).directions
        if hasattr(estimator, "proxy_"):
            predicted = estimator.F_front_proxy_
            told = estimator._known.interval(estimator.X_front_proxy_)
            intervals = told[:, : len(directions), 1:]
        return cls(
            estimator._history.outputs,
            predicted,
            reference=result.get("reference", estimator.reference),
            directions=directions,
            shown=shown,
            intervals=intervals,
        ).plot(ax=ax)

    @property
    def _n_panels(self) -> int:
        return 2

    def _new_axes(self) -> Any:
        figsize, style = (WIDTH, 6.0), {"layout": "constrained", "height_ratios": (5, 3)}
        return pyplot().subplots(2, 1, figsize=figsize, **style)[1]

    def _draw(self, axes: NDArray[Any]) -> None:
        front, growth = axes
        first, second = self.shown
        F = self.outputs[:, [first, second]]
        rest = ~self.is_front
        front.plot(*F[rest].T, ".", color="0.55", markersize=5, label="sample")
        self._draw_predicted(front)
        ends = F[self.is_front][np.argsort(F[self.is_front, 0], kind="stable")]
        style = {"color": COLORS[1], "markeredgecolor": ink(), "markeredgewidth": 0.6}
        line = ":" if len(self.directions) == 2 else "none"
        front.plot(*ends.T, "D", markersize=6, linestyle=line, label="measured front", **style)
        for axis, place in ((front.xaxis, first), (front.yaxis, second)):
            axis.set_label_text(f"objective {place} ({self.directions[place]}d)")
        number = np.arange(1, len(self.hypervolumes) + 1)
        growth.step(number, self.hypervolumes, where="post", color=ink())
        growth.set(xlabel="evaluations", ylabel="hypervolume", ylim=(0.0, None))
        growth.xaxis.get_major_locator().set_params(integer=True)
        for one in axes:
            despine(one)
        legend_beside(front, front.get_legend_handles_labels()[0], "upper")

    def _draw_predicted(self, ax: Any) -> None:
        """Draw the front that the model predicts, with its intervals where it tells them."""
        if self.predicted is None:
            return
        shown = list(self.shown)
        points, label = self.predicted[:, shown], "predicted"
        if self.intervals is not None and np.isfinite(self.intervals).any():
            label = "predicted, 90 % interval"
            for point, ends in zip(points, self.intervals[:, shown], strict=True):
                style = {"color": COLORS[0], "alpha": 0.45, "linewidth": 1.5}
                ax.plot(ends[0], [point[1]] * 2, **style)
                ax.plot([point[0]] * 2, ends[1], **style)
        style = {"markerfacecolor": paper(), "markeredgecolor": COLORS[0]}
        ax.plot(*points.T, "o", markersize=6, linestyle="none", label=label, **style)


def _corner(F: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the worst value of each objective."""
    return F.max(axis=0) if len(F) else np.zeros(n)


def _grown(F: NDArray[np.float64], corner: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the hypervolume of the first sample, of the first two, and so on."""
    grown, front = np.zeros(len(F)), F[:0]
    for place, point in enumerate(F):
        is_new = np.isfinite(point).all() and not (front <= point).all(axis=1).any()
        if is_new:
            front = np.vstack([front, point])
            front = front[nondominated(front)]
        before = grown[place - 1] if place else 0.0
        grown[place] = hypervolume(front, corner) if is_new else before
    return grown
