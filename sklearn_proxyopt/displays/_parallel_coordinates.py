"""All trials at once: their settings, variable by variable, and what came of them."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._feasibility import best_first
from sklearn_proxyopt._utils._goal import Direction, Goal
from sklearn_proxyopt._utils._validation import check_real
from sklearn_proxyopt.displays._base import (
    COLORS,
    SMALL,
    WIDTH,
    Display,
    check_searched,
    despine,
    drawn_labels,
    drawn_text,
    goal_of,
    ink,
    legend_beside,
    paper,
    pyplot,
)
from sklearn_proxyopt.optimizers import nondominated
from sklearn_proxyopt.variables import Variables

__all__ = ["ParallelCoordinatesDisplay"]

# Lines drawn of each kind at most, the latest first.
_MOST_LINES = 400
# Letters on the line of a variable.
_LETTERS_IN_LINE = 46
# How far lines of one label or integer lie apart, as a share of its cell.
_JITTER = 0.5


class ParallelCoordinatesDisplay(Display):
    """The settings of all trials, variable by variable, and their values.

    Each variable has a line from its lower to its upper bound, and each objective one from its
    lowest to its highest value; a trial is a path from the top to the bottom. The best trials are
    drawn in color, of several objectives those that no other dominates, and trials that failed as
    dotted paths without a value.

    Parameters
    ----------
    X : array-like of shape (n_trials, n_features)
        The settings, in the units of the variables.
    y : array-like of shape (n_trials,) or (n_trials, n_outputs)
        Their values, objectives first and then constraints; NaN where a trial failed.
    variables : Variables
        Names, bounds and kinds of the variables.
    best : float, default=0.1
        Which share of the trials counts as the best ones, of one objective.
    directions : tuple of {"minimize", "maximize"}, default=("minimize",)
        What is sought of each objective.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure it is part of.
    is_best : ndarray of bool of shape (n_trials,)
        Which trials are drawn in color.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_proxyopt.displays import ParallelCoordinatesDisplay
    >>> from sklearn_proxyopt.variables import Variables
    >>> X = np.random.default_rng(0).uniform(size=(20, 2))
    >>> display = ParallelCoordinatesDisplay(X, X.sum(axis=1), Variables([(0, 1)] * 2))
    >>> int(display.is_best.sum())
    2
    """

    def __init__(
        self,
        X: Any,
        y: Any,
        variables: Variables,
        *,
        best: float = 0.1,
        directions: tuple[Direction, ...] = ("minimize",),
    ) -> None:
        check_real(best, "best", minimum=0.0, maximum=1.0, include_minimum=False)
        self.X, self.y = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
        self.variables, self.directions = variables, directions
        self.is_best = _best_trials(self.y, Goal(directions), best)

    @classmethod
    def from_estimator(cls, estimator: Any, *, best: float = 0.1, ax: Any = None) -> Self:
        """Draw the trials of an optimizer.

        Parameters
        ----------
        estimator : ProxyOptimizer or ParetoOptimizer
            One that knows samples.
        best : float, default=0.1
            Which share of the trials counts as the best ones, of one objective.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        ParallelCoordinatesDisplay
            The display, drawn.
        """
        history = check_searched(estimator)._history
        directions = goal_of(estimator).directions
        variables = estimator._variables_known
        display = cls(history.X, history.outputs, variables, best=best, directions=directions)
        return display.plot(ax=ax)

    @property
    def objectives(self) -> list[str]:
        """What stands at the lines of the values."""
        n = len(self.directions)
        return ["value"] if n == 1 else [f"objective {place}" for place in range(n)]

    def _new_axes(self) -> Any:
        height = 1.3 + 0.55 * (self.variables.n_axes + len(self.directions))
        return pyplot().subplots(figsize=(WIDTH, height), layout="constrained")[1]

    def _draw(self, axes: NDArray[Any]) -> None:
        ax = axes[0]
        paths, n_rows = self._paths(), self.variables.n_axes + len(self.directions)
        for row in range(n_rows):
            ax.plot([0.0, 1.0], [row, row], color=ink(), linewidth=0.8, alpha=0.5)
        failed = np.isnan(paths).any(axis=1)
        best = self.is_best & ~failed
        self._lines(ax, paths[~failed & ~best], color="0.55", linewidth=0.6, alpha=0.45)
        self._lines(ax, paths[failed], color=COLORS[3], linewidth=1.0, linestyle=":")
        self._lines(ax, paths[best], color=COLORS[0], linewidth=1.3)
        top = self._top()
        if top is not None:
            self._lines(ax, paths[[top]], color=COLORS[1], linewidth=2.6, marker="D")
        self._label_rows(ax)
        ax.set(ylim=(n_rows - 0.45, -0.55), xlim=(-0.04, 1.04))
        ax.set_xticks([])
        ax.spines[["bottom", "left"]].set_visible(False)
        ax.tick_params("y", length=0)
        despine(ax)
        legend_beside(ax, self._handles(bool(failed.any()), top is not None))

    def _paths(self) -> NDArray[np.float64]:
        """Return the place of each trial on each line, NaN on those of the values of a failure."""
        cube = self.variables.to_unit_cube(self.X)
        rng = np.random.default_rng(0)
        is_whole = (self.variables.kinds.is_whole | self.variables.kinds.is_category)[
            self.variables.searched
        ]
        cells = 1.0 / np.maximum(np.ptp(self.variables.axes, axis=1), 1.0)
        shift = np.where(is_whole, _JITTER * cells, 0.0)
        cube = (cube + shift * (rng.random(cube.shape) - 0.5)).clip(0.0, 1.0)
        values, (low, high) = self._objectives(), self._ends_of_values()
        width = np.where(high > low, high - low, 1.0)
        return np.hstack([cube, (values - low) / width])

    def _ends_of_values(self) -> NDArray[np.float64]:
        """Return the lowest and the highest value of each objective, 0 where all have failed."""
        values = self._objectives()
        known = values[np.isfinite(values).all(axis=1)]
        return np.array(
            [known.min(axis=0), known.max(axis=0)] if len(known) else [0.0 * values[0]] * 2
        )

    def _objectives(self) -> NDArray[np.float64]:
        outputs = self.y.reshape(len(self.y), -1)
        return outputs[:, : len(self.directions)]

    def _top(self) -> int | None:
        """Return the best trial of one objective."""
        if len(self.directions) > 1 or not self.is_best.any():
            return None
        known = np.flatnonzero(np.isfinite(self._objectives()).all(axis=1))
        return int(known[best_first(Goal(self.directions).turned(self.y[known]))[0]])

    def _lines(self, ax: Any, paths: NDArray[np.float64], **style: Any) -> None:
        """Draw paths, each from the top to the bottom."""
        heights = np.arange(paths.shape[1], dtype=np.float64)
        for path in paths[-_MOST_LINES:]:
            ax.plot(path, heights, **style)

    def _label_rows(self, ax: Any) -> None:
        """Write the name of each line, and what its ends or its labels are."""
        variables, searched = self.variables, self.variables.searched
        names = variables.kinds.shown_names
        shown = [drawn_text(names[place]) for place in searched] + self.objectives
        ax.set_yticks(range(len(shown)), shown)
        for row, place in enumerate(searched):
            for at, text in self._marks(int(place)):
                _write(ax, at, row, text)
        if np.isnan(self._objectives()).all():
            return
        for row, (low, high) in enumerate(self._ends_of_values().T.tolist(), len(searched)):
            for at, end in ((0.0, low), (1.0, high)):
                is_zero = abs(end) < 1e-6 * (high - low)
                _write(ax, at, row, "0" if is_zero else f"{end:.3g}")

    def _marks(self, place: int) -> list[tuple[float, str]]:
        """Return the texts along the line of a variable, and where they stand."""
        kinds, bounds = self.variables.kinds, self.variables.bounds[place]
        if place in kinds.levels:
            labels = drawn_labels(kinds.levels[place], _LETTERS_IN_LINE)
            return [((i + 0.5) / len(labels), label) for i, label in enumerate(labels)]
        ends = [kinds.domains[place].value(end) for end in bounds]
        texts = [f"{end:.3g}" if isinstance(end, float) else str(end) for end in ends]
        return [(0.0, texts[0]), (1.0, texts[1])]

    def _handles(self, has_failed: bool, has_top: bool) -> list[Any]:
        line = pyplot().Line2D
        share = "front" if len(self.directions) > 1 else "best trials"
        handles = [line([], [], color=COLORS[0], label=share)]
        if has_top:
            handles.append(line([], [], color=COLORS[1], linewidth=2.6, marker="D", label="best"))
        handles.append(line([], [], color="0.55", label="other trials"))
        if has_failed:
            handles.append(line([], [], color=COLORS[3], linestyle=":", label="failed"))
        return handles


def _write(ax: Any, at: float, row: int, text: str) -> None:
    side = {0.0: "left", 1.0: "right"}.get(at, "center")
    style = {"xytext": (0, -3), "textcoords": "offset points", "va": "top", "ha": side}
    behind = {"facecolor": paper(), "edgecolor": "none", "alpha": 0.75, "pad": 0.6}
    ax.annotate(text, (at, row), fontsize=SMALL, bbox=behind, annotation_clip=False, **style)


def _best_trials(y: NDArray[np.float64], goal: Goal, share: float) -> NDArray[np.bool_]:
    """Tell which trials are among the best."""
    outputs = goal.turned(y)
    known = np.flatnonzero(np.isfinite(outputs.reshape(len(y), -1)).all(axis=1))
    is_best = np.zeros(len(y), dtype=bool)
    n_objectives = len(goal.directions)
    if n_objectives > 1:
        over = np.maximum(outputs[known, n_objectives:], 0.0).sum(axis=1)
        is_best[known] = nondominated(outputs[known, :n_objectives], over)
    else:
        n_best = int(np.ceil(share * len(known)))
        is_best[known[best_first(outputs[known])[:n_best]]] = True
    return is_best
