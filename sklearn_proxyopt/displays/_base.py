"""What all displays share: the drawing library, the axes, and a fitted optimizer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from sklearn_proxyopt._utils._feasibility import best_first
from sklearn_proxyopt._utils._goal import Goal

__all__ = [
    "COLORS",
    "MARKERS",
    "axes_for",
    "check_optimizer",
    "despine",
    "ink",
    "names_of",
    "paper",
    "pyplot",
]

# Of Okabe and Ito, told apart by all readers also by their lightness; and a marker for each.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v")


def pyplot() -> Any:
    """Return matplotlib.pyplot, or say how to install it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError(
            'Displays need matplotlib: pip install "sklearn_proxyopt[plot]".'
        ) from None
    return plt


def axes_for(ax: Any, figsize: tuple[float, float] = (5.0, 4.0)) -> Any:
    """Return the axes passed in, or new ones."""
    if ax is None:
        return pyplot().subplots(figsize=figsize, layout="constrained")[1]
    if not hasattr(ax, "plot"):
        raise ValueError(f"ax must be matplotlib axes or None; got {ax!r}.")
    return ax


def ink() -> Any:
    """Return the color of text and lines, which is light on a dark background."""
    return pyplot().rcParams["text.color"]


def paper() -> Any:
    """Return the color of the background of axes."""
    return pyplot().rcParams["axes.facecolor"]


def check_optimizer(estimator: Any) -> Any:
    """Return a fitted optimizer, or say what is wrong with it."""
    if not hasattr(estimator, "diagnose"):
        raise ValueError(f"estimator must be a ProxyOptimizer; got {estimator!r}.")
    check_is_fitted(estimator, "proxy_")
    return estimator


def goal_of(estimator: Any) -> Goal:
    """Return what a fitted optimizer sought."""
    goal: Goal = estimator._known.goal
    return goal


def best_known(estimator: Any) -> NDArray[np.float64]:
    """Return the best row that a fitted optimizer knows."""
    best = best_first(goal_of(estimator).turned(estimator.y_))[0]
    return np.asarray(estimator.X_[best])


def names_of(estimator: Any) -> list[str]:
    """Return the names of the variables."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        return [str(name) for name in names]
    return [f"x{index}" for index in range(len(estimator.bounds_))]


def despine(ax: Any) -> None:
    """Take away the sides of the frame that carry no scale."""
    ax.spines[["top", "right"]].set_visible(False)
