"""Where repeated searches and refitted models put the optimum."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._run._diagnose import evidence_of
from sklearn_proxyopt.displays._base import (
    COLORS,
    WIDTH,
    Display,
    best_known,
    check_optimizer,
    despine,
    drawn_text,
    ink,
    legend_beside,
    paper,
    pyplot,
)

__all__ = ["OptimumSpreadDisplay"]


class OptimumSpreadDisplay(Display):
    """Where the proxy, refitted models and other starts put the optimum: one basin, or many.

    Each path is one optimum, over the variables from the top to the bottom, each of which goes from
    its lower to its upper bound.

    Parameters
    ----------
    optimum : array-like of shape (n_features,)
        The optimum in question, in the unit cube.
    halves : array-like of shape (n_halves, n_features)
        The minima of models refitted on half of the data.
    other_minima : array-like of shape (n_minima, n_features)
        Other minima of the proxy, where other starts of the search ended.
    best : array-like of shape (n_features,), default=None
        The best measured point known.
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
        """Draw where refitted models and other starts put the optimum.

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
        variables = check_optimizer(estimator).variables_
        inquiry = evidence_of(estimator)
        evidence = inquiry.about(estimator.x_proxy_)
        return cls(
            evidence.place,
            evidence.low_points,
            inquiry.minima,
            best=inquiry.place_of(best_known(estimator)),
            names=[variables.kinds.shown_names[place] for place in variables.searched],
        )

    def _new_axes(self) -> Any:
        figsize = (WIDTH, 1.6 + 0.42 * len(self.optimum))
        return pyplot().subplots(figsize=figsize, layout="constrained")[1]

    def _draw(self, axes: NDArray[Any]) -> None:
        ax, n_features = axes[0], len(self.optimum)
        rows = np.arange(n_features)
        kinds = [
            (self.other_minima, ":", ".", "0.55", 5, "other optimum of the model"),
            (self.halves, "-", "o", COLORS[0], 5, "optimum by half of the data"),
        ]
        if self.best is not None:
            kinds.append((self.best[None], "--", "D", COLORS[1], 7, "best measured"))
        kinds.append((self.optimum[None], "-", "*", ink(), 13, "optimum in question"))
        for row in rows:
            ax.axhline(row, color=ink(), alpha=0.25, linewidth=0.8, zorder=0)
        handles = []
        for places, line, marker, color, size, label in kinds:
            style = {"linestyle": line, "color": color, "markersize": size, "linewidth": 0.9}
            style |= {"marker": marker, "markerfacecolor": paper(), "markeredgecolor": color}
            lines = [ax.plot(place, rows, label=label, **style)[0] for place in places]
            handles += lines[:1]
        ax.set_yticks(rows, [drawn_text(name) for name in self.names])
        ax.set_xticks([0.0, 1.0], ["lower bound", "upper bound"])
        ax.set(ylim=(n_features - 0.5, -0.5), xlim=(-0.05, 1.05))
        despine(ax)
        legend_beside(ax, handles)
