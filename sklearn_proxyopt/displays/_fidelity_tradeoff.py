"""Whether surrogate models that predict better also lead to better optima."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr

from sklearn_proxyopt._utils._validation import check_option
from sklearn_proxyopt.displays._base import (
    COLORS,
    MARKERS,
    SMALL,
    Display,
    despine,
    drawn_text,
    ink,
)

__all__ = ["FidelityTradeoffDisplay"]

# Letters of what tells candidates apart that are drawn.
_MOST_LETTERS = 40
_FIDELITIES = ("fidelity", "r2", "score")
_OPTIMA = ("optimum", "optimum_error", "regret")


class FidelityTradeoffDisplay(Display):
    """The fidelity of surrogate models against the error of the optima that they lead to.

    Each candidate of a grid is a point with the spread over its folds. Candidates in the lower
    right predict well and lead to good optima. The title has their rank correlation: -1 where
    better predictions always mean better optima, 0 where fidelity says nothing about the optimum.

    Parameters
    ----------
    fidelity : array-like of shape (n_candidates,)
        Mean score of the predictions over the folds, greater is better.
    error : array-like of shape (n_candidates,)
        Mean error of the optimum over the folds, in its units.
    fidelity_spread : array-like of shape (n_candidates,), default=None
        Standard deviation of the score over the folds.
    error_spread : array-like of shape (n_candidates,), default=None
        Standard deviation of the error over the folds.
    groups : list of str, default=None
        What tells the candidates apart, for the legend; five are shown at most.
    names : tuple of str, default=("fidelity", "error of the optimum")
        What stands on the axes.
    group_name : str, default=None
        The parameter behind `groups`, over the legend.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure it is part of.
    correlation : float
        Rank correlation of fidelity and error; NaN for fewer than three candidates.

    Examples
    --------
    >>> from sklearn_proxyopt.displays import FidelityTradeoffDisplay
    >>> display = FidelityTradeoffDisplay([0.5, 0.8, 0.9], [1.0, 0.2, 0.3])
    >>> round(float(display.correlation), 2)
    -0.5
    """

    def __init__(
        self,
        fidelity: ArrayLike,
        error: ArrayLike,
        *,
        fidelity_spread: ArrayLike | None = None,
        error_spread: ArrayLike | None = None,
        groups: list[str] | None = None,
        names: tuple[str, str] = ("fidelity", "error of the optimum"),
        group_name: str | None = None,
    ) -> None:
        self.fidelity, self.error = _numbers(fidelity), _numbers(error)
        if self.fidelity.shape != self.error.shape:
            raise ValueError(
                f"error must have the shape of fidelity, {self.fidelity.shape}; got "
                f"{self.error.shape}."
            )
        self.fidelity_spread = None if fidelity_spread is None else _numbers(fidelity_spread)
        self.error_spread = None if error_spread is None else _numbers(error_spread)
        self.groups, self.names, self.group_name = groups, names, group_name
        known = np.isfinite(self.fidelity) & np.isfinite(self.error)
        if not known.any():
            raise ValueError(
                "fidelity and error must be known of at least one candidate; got none. Have all "
                "fits of the search failed? Its error_score='raise' tells why."
            )
        pairs = self.fidelity[known], self.error[known]
        differ = known.sum() >= 3 and all(np.ptp(values) > 0.0 for values in pairs)
        self.correlation = float(spearmanr(*pairs).statistic) if differ else np.nan

    @classmethod
    def from_cv_results(
        cls,
        search: Any,
        *,
        fidelity: str | None = None,
        optimum: str | None = None,
        group: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw the candidates of a fitted grid.

        Parameters
        ----------
        search : GridSearchCV, RandomizedSearchCV or dict
            Fitted with two scorers, one of the predictions and one of the optimum, such as
            ``scoring={"fidelity": "r2", "optimum": optimum_error_scorer(problem)}``; or its
            `cv_results_`.
        fidelity : str, default=None
            The name of the scorer of the predictions. None takes "fidelity", "r2" or "score".
        optimum : str, default=None
            The name of the scorer of the optimum, which returns minus an error. None takes
            "optimum", "optimum_error" or "regret".
        group : str, default=None
            The parameter by which candidates get their markers. None takes the one of the fewest
            values, if there are five at most.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        FidelityTradeoffDisplay
            The display, drawn.
        """
        results = getattr(search, "cv_results_", search)
        if not isinstance(results, dict) or "params" not in results:
            raise ValueError(
                f"search must be a fitted search with cv_results_; got {search!r:.80}."
            )
        first = _scorer(results, fidelity, "fidelity", _FIDELITIES)
        second = _scorer(results, optimum, "optimum", _OPTIMA)
        varied = _varied(results["params"])
        if group is not None:
            check_option(group, "group", varied)
        few = [name for name in varied if len(set(varied[name])) <= len(MARKERS)]
        chosen = group or min(few, key=lambda name: len(set(varied[name])), default=None)
        return cls(
            results[f"mean_test_{first}"],
            -np.asarray(results[f"mean_test_{second}"]),
            fidelity_spread=results[f"std_test_{first}"],
            error_spread=results[f"std_test_{second}"],
            groups=None if chosen is None else varied[chosen],
            names=(_title("fidelity", first), _title("error of the optimum", second)),
            group_name=chosen,
        ).plot(ax=ax)

    def _draw(self, axes: NDArray[Any]) -> None:
        ax = axes[0]
        groups = np.array(self.groups or [""] * len(self.error), dtype=object)
        labels = list(dict.fromkeys(groups))
        for number, label in enumerate(labels):
            chosen = groups == label
            ax.errorbar(
                self.fidelity[chosen],
                self.error[chosen],
                xerr=None if self.fidelity_spread is None else self.fidelity_spread[chosen],
                yerr=None if self.error_spread is None else self._below_and_above(chosen),
                fmt=MARKERS[number % len(MARKERS)],
                color=COLORS[number % len(COLORS)],
                markeredgecolor=ink(),
                markeredgewidth=0.6,
                markersize=7,
                elinewidth=0.8,
                label=drawn_text(label, _MOST_LETTERS),
            )
        best = int(np.nanargmin(self.error))
        ax.annotate(
            "best optimum",
            (self.fidelity[best], self.error[best]),
            xytext=(7, -14),
            textcoords="offset points",
            fontsize=SMALL,
        )
        ax.margins(0.12)
        is_wide = (self.error > 0.0).all() and self.error.max() > 30.0 * self.error.min()
        ax.set(xlabel=self.names[0], ylabel=self.names[1], yscale="log" if is_wide else "linear")
        if np.isfinite(self.correlation):
            ax.set_title(f"rank correlation {self.correlation:+.2f}", fontsize="medium")
        if len(labels) > 1:
            ax.legend(title=self.group_name, frameon=False, fontsize=SMALL)
        despine(ax)

    def _below_and_above(self, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the lengths of error bars, which never reach below zero."""
        assert self.error_spread is not None
        error, spread = self.error[chosen], self.error_spread[chosen]
        return np.array([np.minimum(spread, 0.95 * np.abs(error)), spread])


def _numbers(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _title(text: str, scorer: str) -> str:
    return text if scorer in text else f"{text} ({scorer})"


def _scorer(
    results: dict[str, Any], name: str | None, argument: str, usual: tuple[str, ...]
) -> str:
    """Return the name of a scorer in the results of a search, or say which there are."""
    known = [key[len("mean_test_") :] for key in results if key.startswith("mean_test_")]
    if name is None:
        name = next((one for one in usual if one in known), None)
    if name not in known:
        raise ValueError(
            f"{argument} must be a scorer of the search, one of {', '.join(known)}; got {name!r}. "
            "Search with two, such as scoring={'fidelity': 'r2', 'optimum': "
            "optimum_error_scorer(problem)}."
        )
    return name


def _varied(candidates: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return what each parameter is in the candidates, as a text, if it differs between them."""
    names = dict.fromkeys(name for one in candidates for name in one)
    texts = {name: [_text(one.get(name, "-")) for one in candidates] for name in names}
    return {name: values for name, values in texts.items() if len(set(values)) > 1}


def _text(value: Any) -> str:
    return " ".join(str(value).split())
