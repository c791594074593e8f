"""How far each variable may move."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._inspect._near_optimal import NearOptimal, near_optimal
from sklearn_proxyopt.displays._base import (
    COLORS,
    SMALL,
    WIDTH,
    Display,
    despine,
    drawn_text,
    ink,
    pyplot,
)

__all__ = ["NearOptimalDisplay"]

# Samples that are drawn.
_MOST_SAMPLES = 120


class NearOptimalDisplay(Display):
    """The settings that are as good as the best, variable by variable.

    Each variable has a line from its lower to its upper bound. The bar is the range in which it is
    near-optimal if the others are adapted, the marks in it are examples of such settings, and the
    diamond is the optimum. A category has its labels beside the line.

    Parameters
    ----------
    near : NearOptimal
        What `sklearn_proxyopt.inspection.near_optimal` returns.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure it is part of.

    Examples
    --------
    >>> from sklearn_proxyopt.displays import NearOptimalDisplay
    >>> from sklearn_proxyopt.inspection import near_optimal
    >>> bounds = [(-1.0, 1.0), (-1.0, 1.0)]
    >>> found = near_optimal(lambda X: (X**2).sum(axis=1), within=0.25, bounds=bounds)
    >>> [label.get_text() for label in NearOptimalDisplay(found).plot().ax_.get_yticklabels()]
    ['x0', 'x1']
    """

    def __init__(self, near: NearOptimal) -> None:
        self.near = near

    @classmethod
    def from_estimator(
        cls, estimator: Any, within: float | None = None, *, ax: Any = None, **params: Any
    ) -> Self:
        """Draw the near-optimal settings of a fitted optimizer or regressor.

        Parameters
        ----------
        estimator : ProxyOptimizer or regressor
            Fitted.
        within : float, default=None
            As of `near_optimal`.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure.
        **params : dict
            Passed to `near_optimal`, such as `bounds` for a regressor.

        Returns
        -------
        NearOptimalDisplay
            The display, drawn.
        """
        return cls(near_optimal(estimator, within, **params)).plot(ax=ax)

    def _new_axes(self) -> Any:
        height = 1.0 + 0.5 * self.near.variables.n_axes
        return pyplot().subplots(figsize=(WIDTH, height), layout="constrained")[1]

    def _draw(self, axes: NDArray[Any]) -> None:
        near, variables = self.near, self.near.variables
        searched = variables.searched
        ax = axes[0]
        ends = variables.to_unit_cube(np.vstack([near.lower, near.upper, near.optimum]))
        samples = variables.to_unit_cube(near.samples[:_MOST_SAMPLES])
        texts = self._texts()
        for row, (axis, place) in enumerate(zip(range(len(searched)), searched, strict=True)):
            low, high, best = ends[:, axis]
            ax.plot([0.0, 1.0], [row, row], color=ink(), alpha=0.3, linewidth=0.8)
            is_category = variables.kinds.is_category[place]
            if not is_category:
                ax.plot(
                    [low, high], [row, row], color=COLORS[0], linewidth=8, solid_capstyle="butt"
                )
            marks = np.unique(samples[:, axis]) if is_category else samples[:, axis]
            style = {"markersize": 9 if is_category else 5, "color": ink()}
            ax.plot(marks, np.full(len(marks), row), "|", alpha=0.6, **style)
            ax.plot(best, row, "D", color=COLORS[1], markeredgecolor=ink(), markersize=7)
            ax.annotate(
                texts[place],
                (1.0, row),
                xytext=(10, 0),
                textcoords="offset points",
                va="center",
                fontsize=SMALL,
                annotation_clip=False,
            )
        names = variables.kinds.shown_names
        ax.set_yticks(range(len(searched)), [drawn_text(names[place]) for place in searched])
        ax.set_xticks([0.0, 1.0], ["lower bound", "upper bound"])
        ax.set(ylim=(len(searched) - 0.5, -0.5), xlim=(-0.03, 1.03))
        ax.set_title(f"as good as the best to within {near.within:.3g}", fontsize="medium")
        despine(ax)

    def _texts(self) -> list[str]:
        """Return the range of each variable as a text."""
        near, domains = self.near, self.near.variables.kinds.domains
        texts = []
        for place, one in enumerate(domains):
            if near.variables.kinds.is_category[place]:
                text = ", ".join(map(str, near.labels(place)))
            else:
                low, high = (one.value(end) for end in (near.lower[place], near.upper[place]))
                ends = [f"{end:.3g}" if isinstance(end, float) else str(end) for end in (low, high)]
                text = " to ".join(dict.fromkeys(ends))
            texts.append(drawn_text(text))
        return texts
