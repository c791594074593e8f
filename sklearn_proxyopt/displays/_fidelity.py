"""Predictions of unseen samples against their values."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._run._diagnose import evidence_of, measured_merit
from sklearn_proxyopt._utils._goal import Direction, Goal
from sklearn_proxyopt.diagnosis._evidence import best_of
from sklearn_proxyopt.displays._base import (
    COLORS,
    Display,
    check_optimizer,
    despine,
    goal_of,
    ink,
    legend_beside,
    paper,
)

__all__ = ["FidelityDisplay"]


class FidelityDisplay(Display):
    """Predictions for unseen samples, by models refitted on half of the data, against their values.

    The best tenth of the samples is marked, because a search goes there. So is the optimum, with
    the interval of its predicted value.

    Parameters
    ----------
    truth : array-like of shape (n_samples,)
        Values of the samples.
    predicted : array-like of shape (n_samples,)
        Predictions by models that had not seen them.
    promise : float, default=None
        The predicted value at the proxy's optimum.
    band : tuple of two floats, default=None
        Interval that holds the measured value there with a probability of 90 %.
    truth_at_optimum : float, default=None
        The measured value there.
    direction : {"minimize", "maximize"}, default="minimize"
        Whether the lowest samples are the best, or the highest.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure it is part of.

    Examples
    --------
    >>> from sklearn_proxyopt.displays import FidelityDisplay
    >>> display = FidelityDisplay([1.0, 2.0, 3.0], [1.1, 2.2, 2.9])
    >>> display.is_best.sum()
    np.int64(3)
    """

    def __init__(
        self,
        truth: Any,
        predicted: Any,
        *,
        promise: float | None = None,
        band: tuple[float, float] | None = None,
        truth_at_optimum: float | None = None,
        direction: Direction = "minimize",
    ) -> None:
        self.truth = np.asarray(truth, dtype=np.float64)
        self.predicted = np.asarray(predicted, dtype=np.float64)
        if self.truth.shape != self.predicted.shape:
            raise ValueError(
                f"predicted must have the shape of truth, {self.truth.shape}; got "
                f"{self.predicted.shape}."
            )
        if not self.truth.size:
            raise ValueError("truth must hold at least one value; got none.")
        self.promise = promise
        self.band = band
        self.truth_at_optimum = truth_at_optimum
        self.is_best = np.zeros(len(self.truth), dtype=bool)
        self.is_best[best_of(Goal.of(direction).turned(self.truth))] = True

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw the fidelity of a fitted optimizer's proxy.

        Parameters
        ----------
        estimator : ProxyOptimizer
            Fitted.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        FidelityDisplay
            The display, drawn.
        """
        return cls.of(estimator).plot(ax=ax)

    @classmethod
    def of(cls, estimator: Any) -> Self:
        """Compute what is shown of a fitted optimizer, without drawing it.

        Parameters
        ----------
        estimator : ProxyOptimizer
            Fitted.

        Returns
        -------
        FidelityDisplay
            The display, not drawn.
        """
        estimator = check_optimizer(estimator)
        evidence, goal = evidence_of(estimator).about(estimator.x_proxy_), goal_of(estimator)
        known = np.isfinite(evidence.unseen)
        return cls(
            goal.turned(evidence.values[known]),
            goal.turned(evidence.unseen[known]),
            promise=goal.value(evidence.predicted),
            band=goal.interval(evidence.band()),
            truth_at_optimum=_truth_at_proxy(estimator),
            direction=goal.directions[0],
        )

    def _draw(self, axes: NDArray[Any]) -> None:
        ax = axes[0]
        both = np.concatenate([self.truth, self.predicted])
        ends = [float(both.min()), float(both.max())]
        ax.plot(ends, ends, color=ink(), linewidth=0.8, alpha=0.5)
        rest = ~self.is_best
        ax.plot(self.predicted[rest], self.truth[rest], ".", color="0.55", label="sample")
        ax.plot(
            self.predicted[self.is_best],
            self.truth[self.is_best],
            "^",
            color=COLORS[0],
            markersize=5,
            linestyle="none",
            label="one of the best samples",
        )
        if self.promise is not None and self.band is not None:
            low, high = self.band
            ax.errorbar(
                self.promise,
                (low + high) / 2.0,
                yerr=(high - low) / 2.0,
                fmt="none",
                ecolor=COLORS[1],
                capsize=4,
                linewidth=2.0,
                label="90 % interval at the model's optimum",
            )
        if self.promise is not None and self.truth_at_optimum is not None:
            style = {"markerfacecolor": paper(), "markeredgecolor": ink(), "linestyle": "none"}
            where = (self.promise, self.truth_at_optimum)
            ax.plot(*where, "*", markersize=14, label="measured at the model's optimum", **style)
        ax.set(xlabel="predicted by models of the other half of the data", ylabel="measured value")
        despine(ax)
        legend_beside(ax, ax.get_legend_handles_labels()[0])


def _truth_at_proxy(estimator: Any) -> float | None:
    """Return the measured value at the proxy's optimum, if it is known."""
    result = estimator.result_
    if "true_at_proxy" not in result:
        return None
    if "constraints_at_proxy" not in result:
        return float(result.true_at_proxy)
    goal = goal_of(estimator)
    outputs = np.append(result.true_at_proxy, result.constraints_at_proxy)
    judged = measured_merit(estimator._known, goal.turned(outputs[None]))
    return goal.value(float(judged[0]))
