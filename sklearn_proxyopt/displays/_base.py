"""What all displays share: the drawing library, the axes, and a fitted optimizer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from sklearn.utils.validation import check_is_fitted

from sklearn_proxyopt._utils._feasibility import best_first
from sklearn_proxyopt._utils._goal import Goal

__all__ = [
    "COLORS",
    "DASHES",
    "MARKERS",
    "SMALL",
    "WIDTH",
    "Display",
    "check_optimizer",
    "check_searched",
    "despine",
    "drawn_labels",
    "drawn_text",
    "ink",
    "is_front",
    "label_ends",
    "legend_beside",
    "paper",
    "pyplot",
]

# Of Okabe and Ito, told apart by all readers also by their lightness; and marks for each.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
# Inches and points with which every letter is 9 pixels high on a screen 390 pixels wide, of which a
# scroll bar may take 15.
WIDTH, SMALL = 5.2, 9.0
# The least distance between two labels, as a share of the height of the axes.
_GAP = 0.075
# Letters of a name and of a label of a category that are drawn.
_MOST_LETTERS, _MOST_OF_LABEL = 24, 14


class Display(ABC):
    """Base of the displays, which find axes, or make them, and then draw what they keep."""

    axes_: Any
    ax_: Any
    figure_: Any

    @abstractmethod
    def _draw(self, axes: NDArray[Any]) -> None:
        """Draw on as many axes as there are panels."""

    @property
    def _n_panels(self) -> int:
        """How many axes are drawn on."""
        return 1

    def _new_axes(self) -> Any:
        """Return the axes of a new figure, one for each panel."""
        return pyplot().subplots(figsize=(WIDTH, 4.0), layout="constrained")[1]

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or array of them, default=None
            Where to draw, as many axes as there are panels. None makes a new figure.

        Returns
        -------
        self
            The display, with `figure_` and `ax_`, or `axes_` where there are several panels.
        """
        axes = np.ravel(np.asarray(self._new_axes() if ax is None else ax, dtype=object))
        if len(axes) != self._n_panels or not all(hasattr(one, "plot") for one in axes):
            n_panels = f"{self._n_panels} " if self._n_panels > 1 else ""
            raise ValueError(f"ax must be {n_panels}matplotlib axes or None; got {ax!r}.")
        self._draw(axes)
        # Of axes in a part of a figure, the whole.
        self.axes_, self.ax_, self.figure_ = axes, axes[0], axes[0].figure.figure
        return self


def pyplot() -> Any:
    """Return matplotlib.pyplot, or say how to install it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError(
            'Displays need matplotlib: pip install "sklearn_proxyopt[plot]".'
        ) from None
    return plt


def ink() -> Any:
    """Return the color of text and lines, which is light on a dark background."""
    return pyplot().rcParams["text.color"]


def paper() -> Any:
    """Return the color of the background of axes."""
    return pyplot().rcParams["axes.facecolor"]


def is_front(estimator: Any) -> bool:
    """Tell whether a fitted optimizer sought a front."""
    return len(goal_of(estimator).directions) > 1


def check_optimizer(estimator: Any) -> Any:
    """Return a fitted optimizer of one optimum, or say what is wrong with it."""
    if not hasattr(estimator, "diagnose"):
        instead, kind = "", type(estimator).__name__
        if hasattr(estimator, "ask"):
            instead = " A front has no single optimum: draw it by ParetoDisplay."
        raise ValueError(f"estimator must be a ProxyOptimizer; got a {kind}.{instead}")
    check_is_fitted(estimator, "proxy_")
    return estimator


def check_searched(estimator: Any) -> Any:
    """Return an optimizer that knows samples, or say what is wrong with it."""
    if not hasattr(estimator, "ask"):
        raise ValueError(
            "estimator must be a ProxyOptimizer or a ParetoOptimizer; got a "
            f"{type(estimator).__name__}."
        )
    check_is_fitted(estimator, "X_")
    return estimator


def goal_of(estimator: Any) -> Goal:
    """Return what a fitted optimizer sought."""
    goal: Goal = estimator._known.goal
    return goal


def best_known(estimator: Any) -> NDArray[np.float64]:
    """Return the best sample that a fitted optimizer knows."""
    best = best_first(goal_of(estimator).turned(estimator.y_))[0]
    return np.asarray(estimator.X_[best])


def drawn_text(text: Any, most: int = _MOST_LETTERS) -> str:
    """Return a name as it is drawn: cut where it is long, and never read as a formula."""
    words = " ".join(str(text).split())
    words = words if len(words) <= most else f"{words[: most - 3].rstrip()}..."
    return words.replace("$", r"\$")


def drawn_labels(labels: Sequence[Any], n_letters: int) -> list[str]:
    """Return labels as they are drawn in a line of some letters, empty for those left out."""
    texts = [drawn_text(label, _MOST_OF_LABEL) for label in labels]
    step = max(-(-sum(len(text) + 2 for text in texts) // n_letters), 1)
    return [text if place % step == 0 else "" for place, text in enumerate(texts)]


def despine(ax: Any) -> None:
    """Take away the sides of the frame that carry no scale."""
    ax.spines[["top", "right"]].set_visible(False)


def legend_beside(axis: Any, handles: list[Any], side: str = "lower") -> None:
    """Put a legend above or below the panels if the figure can grow, or else into one."""
    engine, style = axis.figure.get_layout_engine(), {"frameon": False, "fontsize": SMALL}
    if engine is None:
        axis.legend(handles=handles, **style)
        return
    longest = max(len(one.get_label()) for one in handles)
    width = 72.0 * axis.figure.get_figwidth() / (45.0 + 0.6 * SMALL * longest)
    columns = max(1, min(len(handles), int(width)))
    axis.figure.legend(handles=handles, loc=f"outside {side} left", ncols=columns, **style)


def label_ends(ax: Any, labels: Sequence[str], heights: Sequence[float]) -> None:
    """Write labels beside the right end of the axes at their heights, none over another."""
    if not labels:
        return
    ax.autoscale_view()
    points = np.column_stack([np.zeros(len(labels)), heights])
    places = ax.transAxes.inverted().transform(ax.transData.transform(points))[:, 1]
    for label, place in zip(labels, _apart(places), strict=True):
        ax.annotate(
            label,
            (1.02, float(place)),
            xycoords="axes fraction",
            va="center",
            fontsize=SMALL,
            annotation_clip=False,
        )


def _apart(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the nearest heights at which labels do not cover each other."""
    order = np.argsort(heights, kind="stable")
    steps = np.arange(len(heights)) * _GAP
    # Without the gaps the nearest heights in this order are an isotonic regression.
    spread = np.asarray(isotonic_regression(heights[order] - steps).x) + steps
    placed = np.empty_like(spread)
    placed[order] = spread
    return placed
