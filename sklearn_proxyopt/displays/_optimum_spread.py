"""Where searches and retrained proxies land."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from sklearn_proxyopt._run._diagnose import evidence_of
from sklearn_proxyopt.displays._base import (
    axes_for,
    best_known,
    check_optimizer,
    despine,
    names_of,
)

__all__ = ["OptimumSpreadDisplay"]


class OptimumSpreadDisplay:
    """Where the optimum is, by every proxy that was asked: one basin, or many.

    Each line is one place, drawn over the variables from the lower to the upper bound of the box.

    Parameters
    ----------
    optimum : array-like of shape (n_features,)
        The optimum in question, in the unit cube.
    halves : array-like of shape (n_halves, n_features)
        The minima of proxies that learned from half of the rows.
    other_minima : array-like of shape (n_minima, n_features)
        Other minima of the proxy, where other starts of the search ended.
    best : array-like of shape (n_features,), default=None
        The best true point known.
    names : list of str, default=None
        Names of the variables.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure it is part of.

    Examples
    --------
    >>> from sklearn_proxyopt.displays import OptimumSpreadDisplay
    >>> OptimumSpreadDisplay([0.5, 0.5], [[0.4, 0.5]], [[0.9, 0.1]]).names
    ['x0', 'x1']
    """

    ax_: Any
    figure_: Any

    def __init__(
        self,
        optimum: Any,
        halves: Any,
        other_minima: Any,
        *,
        best: Any = None,
        names: list[str] | None = None,
    ) -> None:
        self.optimum = np.asarray(optimum, dtype=np.float64)
        self.halves = np.atleast_2d(np.asarray(halves, dtype=np.float64))
        self.other_minima = np.asarray(other_minima, dtype=np.float64).reshape(
            -1, len(self.optimum)
        )
        self.best = None if best is None else np.asarray(best, dtype=np.float64)
        self.names = names or [f"x{index}" for index in range(len(self.optimum))]

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw where proxies of halves of the rows, and other starts, put the optimum.

        Parameters
        ----------
        estimator : ProxyOptimizer
            Fitted.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        OptimumSpreadDisplay
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
        OptimumSpreadDisplay
            The display, not drawn.
        """
        estimator = check_optimizer(estimator)
        inquiry = evidence_of(estimator)
        evidence = inquiry.about(estimator.x_proxy_)
        return cls(
            evidence.place,
            evidence.low_points,
            inquiry.minima,
            best=inquiry.place_of(best_known(estimator)),
            names=[names_of(estimator)[place] for place in estimator.variables_.searched],
        )

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        OptimumSpreadDisplay
            The display itself.
        """
        n_features = len(self.optimum)
        ax = axes_for(ax, (max(4.0, min(0.7 * n_features + 2.5, 12.0)), 3.8))
        columns = np.arange(n_features)
        kinds = [
            (self.other_minima, ":", ".", "0.7", 4, "other minimum of the proxy"),
            (self.halves, "-", "o", "tab:blue", 5, "minimum by half of the rows"),
        ]
        if self.best is not None:
            kinds.append((self.best[None], "--", "D", "black", 6, "best true point"))
        kinds.append((self.optimum[None], "-", "*", "black", 13, "the optimum in question"))
        for places, line, marker, color, size, label in kinds:
            for place in places:
                ax.plot(
                    columns,
                    place,
                    marker,
                    linestyle=line,
                    color=color,
                    markersize=size,
                    linewidth=0.8,
                    markerfacecolor="white",
                    label=label,
                )
                label = "_nolegend_"
        ax.set_xticks(columns, self.names)
        if n_features > 6:
            ax.tick_params("x", rotation=60)
        ax.set_yticks([0.0, 0.5, 1.0], ["lower\nbound", "middle", "upper\nbound"])
        ax.set_ylim(-0.05, 1.05)
        ax.set_xlim(-0.4, n_features - 0.6)
        ax.legend(frameon=False, fontsize="small", loc="lower left", bbox_to_anchor=(0.0, 1.0))
        despine(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self
