"""The proxy's landscape, and the truth where it is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._run._diagnose import evidence_of, measured_merit
from sklearn_proxyopt._run._space_spec import of_plain_rows
from sklearn_proxyopt._utils._goal import Direction, Goal
from sklearn_proxyopt._utils._validation import check_integer
from sklearn_proxyopt.displays._base import (
    COLORS,
    best_known,
    check_optimizer,
    despine,
    goal_of,
    ink,
    names_of,
    pyplot,
)
from sklearn_proxyopt.inspection._subject import subject_of

__all__ = ["LandscapeDisplay"]

_MAX_SLICES = 12
_BAND = 0.9
# Integers drawn as points of their own, and letters of labels in a line.
_MOST_APART, _MOST_LETTERS = 24, 24


class LandscapeDisplay:
    """The surrogate model over one or two variables, or slices through its optimum along each.

    Two numbers are drawn as levels, with the samples and the optima, and beside them the function
    where it is given. Otherwise each variable has a panel, the others held at the optimum, with
    the model, its interval, and the function where it is given; marks at the lower edge are the
    settings of samples. Labels, integers and logarithmic scales are drawn as such.

    Parameters
    ----------
    grids : list of ndarray of shape (n_points,)
        The values of each variable drawn.
    proxy : ndarray of shape (n_points, n_points) or (n_slices, n_points)
        The proxy over the grid of two variables, or along each of them.
    band : ndarray of shape (2, n_slices, n_points) or None
        Where the values lie with a probability of 90 %, as far as the model tells, or else what
        models of half of the data span together with this one; slices only.
    truth : ndarray of the shape of `proxy` or None
        The function.
    names : list of str
        The variables drawn.
    rows : ndarray of shape (n_rows, n_drawn)
        The rows, in these variables.
    optimum : ndarray of shape (n_drawn,)
        The proxy's optimum, in these variables.
    best : ndarray of shape (n_drawn,)
        The best true point known.
    direction : {"minimize", "maximize"}, default="minimize"
        Whether low values are what matters, or high ones.
    kinds : list of {"number", "log", "integer", "category"}, default=None
        What each variable drawn is; None takes numbers.
    labels : dict of int to list of str, default=None
        The labels of categories, by their place among the variables drawn.
    band_label : str, default="models of half of the data"
        What the band is, for the legend.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure they are part of.
    """

    axes_: Any
    figure_: Any

    def __init__(
        self,
        grids: list[NDArray[np.float64]],
        proxy: NDArray[np.float64],
        band: NDArray[np.float64] | None,
        truth: NDArray[np.float64] | None,
        names: list[str],
        rows: NDArray[np.float64],
        optimum: NDArray[np.float64],
        best: NDArray[np.float64],
        *,
        direction: Direction = "minimize",
        kinds: list[str] | None = None,
        labels: dict[int, list[str]] | None = None,
        band_label: str = "models of half of the data",
    ) -> None:
        self.grids = grids
        self.kinds = kinds or ["number"] * len(grids)
        self.labels = labels or {}
        self.band_label = band_label
        self.direction = direction
        self.proxy = proxy
        self.band = band
        self.truth = truth
        self.names = names
        self.rows = rows
        self.optimum = optimum
        self.best = best

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        objective: Callable[..., Any] | None = None,
        features: Sequence[int | str] | None = None,
        n_points: int = 60,
        ax: Any = None,
    ) -> Self:
        """Draw the landscape of a fitted optimizer's proxy.

        Parameters
        ----------
        estimator : ProxyOptimizer
            Fitted.
        objective : callable, default=None
            A cheap function, (n, n_features) to (n,), to be drawn too; it is called at every
            point of the picture, with a DataFrame where the optimizer calls its objective by
            names. None draws the proxy alone.
        features : sequence of int or str, default=None
            The variables, by place or name. Two give levels; one, or more than two, slices. None
            takes all, up to 12.
        n_points : int, default=60
            Points along each variable.
        ax : matplotlib.axes.Axes or array of them, default=None
            Where to draw: for levels one, or two with an objective; one a slice. None makes a new
            figure.

        Returns
        -------
        LandscapeDisplay
            The display, drawn.
        """
        estimator = check_optimizer(estimator)
        check_integer(n_points, "n_points", minimum=2)
        if objective is not None and not callable(objective):
            raise ValueError(f"objective must be callable or None; got {objective!r}.")
        all_names = names_of(estimator)
        drawn = _places(features, all_names, estimator.variables_.searched.tolist())
        subject, goal = subject_of(estimator), goal_of(estimator)
        variables, center = estimator.variables_, estimator.x_proxy_
        grids = [_grid(variables, place, n_points) for place in drawn]
        kinds = [_kind(variables, place) for place in drawn]
        shape = (-1, n_points)
        if len(drawn) == 2 and "category" not in kinds:
            mesh = np.meshgrid(*grids, indexing="ij")
            points = np.tile(center, (n_points**2, 1))
            points[:, drawn] = np.column_stack([one.ravel() for one in mesh])
        else:
            points = np.tile(center, (len(drawn) * n_points, 1))
            for number, (index, grid) in enumerate(zip(drawn, grids, strict=True)):
                points[number * n_points : (number + 1) * n_points, index] = grid
        points = variables.valid(points)
        evidence = evidence_of(estimator)
        proxy = goal.turned(evidence.predict(points))
        band, band_label = None, "models of half of the data"
        if len(points) == len(drawn) * n_points:
            interval = None if estimator._known.merit else subject.intervals(points, _BAND)
            if interval is not None:
                band, band_label = interval.T, f"{100 * _BAND:.0f} % interval"
            else:
                halves = np.vstack([goal.turned(evidence.predict_halves(points).T).T, proxy])
                band = np.array([halves.min(axis=0), halves.max(axis=0)])
            band = band.reshape(2, *shape)
        truth = None
        if objective is not None:
            form = estimator.input_format
            function = of_plain_rows(objective, variables, input_format=form, vectorized=True)
            outputs = np.asarray(function(points), dtype=np.float64)
            judged = measured_merit(estimator._known, goal.turned(outputs))
            truth = goal.turned(judged).reshape(shape)
        levels = variables.kinds.levels
        return cls(
            grids,
            proxy.reshape(shape),
            band,
            truth,
            [all_names[index] for index in drawn],
            estimator.X_[: estimator.n_learned_][:, drawn],
            center[drawn],
            best_known(estimator)[drawn],
            direction=goal.directions[0],
            kinds=kinds,
            labels={
                number: [str(label) for label in levels[index]]
                for number, index in enumerate(drawn)
                if index in levels
            },
            band_label=band_label,
        ).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or array of them, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        LandscapeDisplay
            The display itself.
        """
        is_plane = len(self.grids) == 2 and "category" not in self.kinds
        n_panels = (1 if self.truth is None else 2) if is_plane else len(self.grids)
        axes = self._panels(ax, n_panels, 4.4 if is_plane else 3.0)
        if is_plane:
            self._plot_levels(axes)
        else:
            self._plot_slices(axes)
        self.axes_, self.figure_ = axes, axes[0].figure
        return self

    def _panels(self, ax: Any, n_panels: int, width: float) -> NDArray[Any]:
        if ax is not None:
            axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
            if len(axes) != n_panels or not all(hasattr(one, "plot") for one in axes):
                raise ValueError(f"ax must be {n_panels} matplotlib axes or None; got {ax!r}.")
            return axes
        n_columns = min(n_panels, 4)
        n_rows = -(-n_panels // n_columns)
        grid = pyplot().subplots(
            n_rows,
            n_columns,
            figsize=(max(width * n_columns, 4.5), 0.85 * width * n_rows + 0.5),
            squeeze=False,
            sharey=True,
            layout="constrained",
        )[1]
        panels: NDArray[Any] = grid.ravel()
        for unused in panels[n_panels:]:
            unused.set_visible(False)
        return panels[:n_panels]

    def _plot_levels(self, axes: NDArray[Any]) -> None:
        panels = [("model", self.proxy)]
        if self.truth is not None:
            panels.append(("function", self.truth))
        everything = np.concatenate([values.ravel() for _, values in panels])
        # Good values matter, and a few bad ones would take all levels for themselves.
        goal = Goal.of(self.direction)
        shares = np.linspace(0.0, 1.0, 16) ** 1.5
        levels = np.unique(goal.turned(np.quantile(goal.turned(everything), shares)))
        for axis, (title, values) in zip(axes, panels, strict=True):
            if len(levels) > 1:
                axis.contourf(*self.grids, values.T, levels, cmap="gray", extend="both")
            if title == "model":
                axis.plot(
                    *self.rows.T,
                    "o",
                    color=COLORS[1],
                    markersize=4,
                    markeredgewidth=0.5,
                    markeredgecolor="black",
                    linestyle="none",
                    label="sample",
                )
            marks = (("X", 11, self.optimum, "optimum of the model"), ("*", 15, self.best, "best"))
            for marker, size, place, label in marks:
                axis.plot(
                    *place,
                    marker,
                    markersize=size,
                    markerfacecolor="white",
                    markeredgecolor="black",
                    linestyle="none",
                    label="best measured" if label == "best" else label,
                )
            axis.set(title=title, xlabel=self.names[0])
            self._scale(axis.xaxis, 0)
            self._scale(axis.yaxis, 1)
        axes[0].set_ylabel(self.names[1])
        self._legend(axes[0], axes[0].get_legend_handles_labels()[0], "lower")

    def _legend(self, axis: Any, handles: list[Any], side: str) -> None:
        """Put a legend beside the panels where the figure makes room, or else into a panel."""
        engine = axis.figure.get_layout_engine()
        if engine is None:
            axis.legend(handles=handles, frameon=False, fontsize="small")
            return
        columns = max(1, min(len(handles), int(axis.figure.get_figwidth() / 1.9)))
        style: dict[str, Any] = {"frameon": False, "fontsize": "small", "ncols": columns}
        axis.figure.legend(handles=handles, loc=f"outside {side} left", **style)

    def _plot_slices(self, axes: NDArray[Any]) -> None:
        for number, axis in enumerate(axes):
            grid, first = np.unique(self.grids[number], return_index=True)
            is_discrete = self.kinds[number] in ("category", "integer") and len(grid) <= _MOST_APART
            style = {"category": "o", "integer": "o-"}.get(self.kinds[number], "-")
            style = style if is_discrete else "-"
            own = self.proxy[number][first]
            if self.band is not None:
                low, high = self.band[:, number, first]
                if is_discrete:
                    axis.vlines(grid, low, high, color=COLORS[4], linewidth=5, alpha=0.6)
                else:
                    axis.fill_between(grid, low, high, color=COLORS[4], alpha=0.35, linewidth=0)
            axis.plot(grid, own, style, color=ink(), label="model", markersize=5, linewidth=1.2)
            if self.truth is not None:
                truth = self.truth[number][first]
                dashed = "s" if style == "o" else "--"
                hollow = {"markerfacecolor": "none", "markersize": 9}
                axis.plot(grid, truth, dashed, color=COLORS[0], label="function", **hollow)
            axis.axvline(self.optimum[number], color=COLORS[1], linewidth=1.2, linestyle=":")
            settings = self.rows[:, number]
            axis.plot(
                settings,
                np.zeros(len(settings)),
                "|",
                color=ink(),
                alpha=0.35,
                markersize=7,
                transform=axis.get_xaxis_transform(),
                clip_on=False,
            )
            axis.set_xlabel(self.names[number])
            self._scale(axis.xaxis, number)
            despine(axis)
        axes[0].set_ylabel("value")
        shown = [_line([], [], color=ink(), label="model")]
        if self.band is not None:
            shown.append(_line([], [], color=COLORS[4], linewidth=5, label=self.band_label))
        if self.truth is not None:
            shown.append(_line([], [], color=COLORS[0], linestyle="--", label="function"))
        shown.append(_line([], [], color=COLORS[1], linestyle=":", label="optimum of the model"))
        self._legend(axes[0], shown, "upper")

    def _scale(self, axis: Any, number: int) -> None:
        """Let an axis show labels, integers or powers of ten, as its variable has them."""
        kind = self.kinds[number]
        if kind == "log":
            (axis.axes.set_xscale if axis.axis_name == "x" else axis.axes.set_yscale)("log")
        elif kind == "integer":
            axis.get_major_locator().set_params(integer=True)
        elif kind == "category":
            labels = self.labels[number]
            slant = 30 if sum(map(len, labels)) > _MOST_LETTERS else 0
            axis.set_ticks(
                range(len(labels)), labels, rotation=slant, ha="right" if slant else "center"
            )
            axis.axes.set_xlim(-0.5, len(labels) - 0.5)


def _line(*args: Any, **style: Any) -> Any:
    """Return a line for a legend."""
    return pyplot().Line2D(*args, **style)


def _kind(variables: Any, place: int) -> str:
    """Return how a variable is drawn."""
    kinds = variables.kinds
    if place in kinds.levels:
        return "category"
    if kinds.is_log[place]:
        return "log"
    return "integer" if kinds.is_whole[place] else "number"


def _grid(variables: Any, place: int, n_points: int) -> NDArray[np.float64]:
    """Return settings of a variable from one end to the other, evenly on its axis."""
    axis = (
        int(np.flatnonzero(variables.searched == place)[0]) if place in variables.searched else -1
    )
    if axis < 0:
        return np.full(n_points, variables.bounds[place, 0])
    # From the first to the last value, so that enough points meet every step.
    first, last = variables.axis_limits
    points = np.tile((first + last) / 2.0, (n_points, 1))
    points[:, axis] = np.linspace(first[axis], last[axis], n_points)
    return np.asarray(variables.decode(points)[:, place])


def _places(
    features: Sequence[int | str] | None, names: list[str], searched: list[int]
) -> list[int]:
    """Return the places of the variables to draw."""
    if features is None:
        return searched[:_MAX_SLICES]
    places = []
    for feature in features:
        place = names.index(feature) if feature in names else feature
        if not isinstance(place, int | np.integer) or not 0 <= place < len(names):
            raise ValueError(
                f"features must be places or names among {', '.join(names)}; got {feature!r}."
            )
        places.append(int(place))
    if not places:
        raise ValueError("features must name at least one variable; got none.")
    return places
