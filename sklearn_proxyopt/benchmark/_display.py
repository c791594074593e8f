"""The picture of a comparison of regressors."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from sklearn_proxyopt.benchmark._comparison import Comparison

__all__ = ["ComparisonDisplay"]

# Of Okabe and Ito, with black and a gray: told apart by color-blind readers too.
_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#7F7F7F")
_MARKERS = "osD^vPX*<>"
# The least distance between two labels, as a share of the ranks there are.
_GAP = 0.05


class ComparisonDisplay:
    """Mean ranks of regressors over the number of samples that they learned.

    Parameters
    ----------
    ranks : dict
        Mean ranks, as of `Comparison.mean_ranks`.
    measure : str
        What is ranked.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure around it.

    See Also
    --------
    Comparison : What is drawn.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.neighbors import KNeighborsRegressor
    >>> from sklearn_proxyopt.benchmark import ComparisonDisplay, compare_regressors
    >>> from sklearn_proxyopt.problems import Levy
    >>> result = compare_regressors(
    ...     {"line": Ridge(), "neighbors": KNeighborsRegressor()},
    ...     {"Levy": Levy(2)},
    ...     n_rows=(20, 40),
    ...     n_repeats=1,
    ... )
    >>> display = ComparisonDisplay.from_comparison(result, "error")
    >>> [label.get_text() for label in display.ax_.get_xticklabels()]
    ['20', '40']
    """

    def __init__(self, ranks: dict[tuple[str, int], float], measure: str) -> None:
        self.ranks = ranks
        self.measure = measure

    @classmethod
    def from_comparison(
        cls, comparison: Comparison, measure: str = "error", *, ax: Any = None
    ) -> Self:
        """Draw the mean ranks of a comparison.

        Parameters
        ----------
        comparison : Comparison
            The results.
        measure : str, default="error"
            As of `Comparison.values`.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes new axes.

        Returns
        -------
        ComparisonDisplay
            The display, drawn.
        """
        return cls(comparison.mean_ranks(measure), measure).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw a line for each regressor.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes new axes.

        Returns
        -------
        ComparisonDisplay
            The display itself.
        """
        if ax is None:
            try:
                import matplotlib.pyplot as plt
            except ImportError:
                raise ImportError(
                    'Displays need matplotlib: pip install "sklearn_proxyopt[plot]".'
                ) from None
            ax = plt.subplots(figsize=(5.0, 4.0), layout="constrained")[1]
        numbers = sorted({n_rows for _, n_rows in self.ranks})
        places = np.arange(len(numbers))
        names = list(dict.fromkeys(name for name, _ in self.ranks))
        ranks = np.array(
            [[self.ranks.get((name, n_rows), np.nan) for n_rows in numbers] for name in names]
        )
        lasts = np.array([np.flatnonzero(np.isfinite(own))[-1] for own in ranks])
        labels, goes_on = ranks[np.arange(len(names)), lasts], lasts == places[-1]
        labels[goes_on] = _apart(labels[goes_on])
        gap = 0.05 * max(places[-1], 1)
        for index, (name, height) in enumerate(zip(names, labels, strict=True)):
            marker = _MARKERS[index % len(_MARKERS)]
            color = _COLORS[index % len(_COLORS)]
            ax.plot(places, ranks[index], color=color, marker=marker, label=name)
            ax.text(lasts[index] + gap, height, name, va="center")
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_xticks(places, [f"{n_rows:,}" for n_rows in numbers])
        ax.set_xlabel("samples learned")
        ax.set_ylabel(f"mean rank by {self.measure.replace('_', ' ')} (1 is best)")
        ax.invert_yaxis()
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _apart(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where labels stand that would cover each other at their heights."""
    least = _GAP * max(len(heights) - 1, 1)
    order = np.argsort(heights, kind="stable")
    steps = np.arange(len(heights)) * least
    # The nearest heights in this order with such gaps: without the gaps, an isotonic regression.
    spread = np.asarray(isotonic_regression(heights[order] - steps).x) + steps
    placed = np.empty_like(spread)
    placed[order] = spread
    return placed
