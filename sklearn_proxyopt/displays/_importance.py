"""Which variables matter."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._inspect._importances import Importances, importances
from sklearn_proxyopt.displays._base import (
    COLORS,
    WIDTH,
    Display,
    despine,
    drawn_text,
    ink,
    legend_beside,
    pyplot,
)

__all__ = ["ImportanceDisplay"]


class ImportanceDisplay(Display):
    """How much each variable matters, in the whole search space and at the optimum.

    On the left the share of the variance, together with other variables and alone, with intervals
    of 95 %; on the right how much worse the value gets beside the optimum. The variable that
    matters most stands on top.

    Parameters
    ----------
    importances : Importances
        What `sklearn_proxyopt.inspection.importances` returns.

    Attributes
    ----------
    axes_ : ndarray of shape (2,) of matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure they are part of.

    Examples
    --------
    >>> from sklearn_proxyopt.displays import ImportanceDisplay
    >>> from sklearn_proxyopt.inspection import importances
    >>> bounds = [(-1.0, 1.0), (-1.0, 1.0)]
    >>> found = importances(lambda X: 3.0 * X[:, 0] ** 2 + X[:, 1], bounds=bounds, n_samples=64)
    >>> ImportanceDisplay(found).plot().axes_.shape
    (2,)
    """

    def __init__(self, importances: Importances) -> None:
        self.importances = importances

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None, **params: Any) -> Self:
        """Draw the importances of a fitted optimizer or regressor.

        Parameters
        ----------
        estimator : ProxyOptimizer, ParetoOptimizer or regressor
            Fitted.
        ax : array of two matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure.
        **params : dict
            Passed to `importances`, such as `bounds` for a regressor.

        Returns
        -------
        ImportanceDisplay
            The display, drawn.
        """
        return cls(importances(estimator, **params)).plot(ax=ax)

    @property
    def _n_panels(self) -> int:
        return 2

    def _new_axes(self) -> Any:
        figsize = (WIDTH, 1.1 + 0.42 * len(self.importances.names))
        style = {"sharey": True, "layout": "constrained", "width_ratios": (3, 2)}
        return pyplot().subplots(1, 2, figsize=figsize, **style)[1]

    def _draw(self, axes: NDArray[Any]) -> None:
        found = self.importances
        order = np.argsort(found.total_order, kind="stable")
        places = np.arange(len(order))
        kinds = (
            ("with others", found.total_order, found.total_order_interval, COLORS[0], 0.17),
            ("alone", found.first_order, found.first_order_interval, COLORS[1], -0.17),
        )
        for label, share, interval, color, shift in kinds:
            own, ends = share[order].clip(0.0, 1.0), interval[order]
            bars = np.array([own - ends[:, 0], ends[:, 1] - own]).clip(0.0)
            axes[0].barh(places + shift, own, 0.32, color=color, label=label)
            axes[0].errorbar(own, places + shift, xerr=bars, fmt="none", ecolor=ink(), capsize=2)
        axes[0].set(xlabel="share of the variance", xlim=(0.0, 1.0))
        axes[0].set_yticks(places, [drawn_text(found.names[index]) for index in order])
        legend_beside(axes[0], axes[0].get_legend_handles_labels()[0])
        axes[1].barh(places, found.local_change[order], 0.5, color=COLORS[2])
        axes[1].set(xlabel="change at\nthe optimum")
        for one in axes:
            despine(one)
