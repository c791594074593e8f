"""The proxy's landscape, and the objective where it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._goal import Direction, Goal
from sklearn_proxyopt._utils._validation import check_integer
from sklearn_proxyopt.displays._base import (
    COLORS,
    WIDTH,
    Display,
    despine,
    drawn_labels,
    drawn_text,
    ink,
    legend_beside,
    pyplot,
)
from sklearn_proxyopt.displays._landscape_views import OF_HALVES, view_of

__all__ = ["LandscapeDisplay"]

_MAX_SLICES = 12
# Integers drawn as points of their own, letters of labels in a line, and those of slanted ones.
_MOST_APART, _MOST_LETTERS, _MOST_SLANTED = 24, 24, 60


class LandscapeDisplay(Display):
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
        Interval that holds the values with a probability of 90 %, if the model has one; otherwise
        what models refitted on half of the data span together with this one. Slices only.
    truth : ndarray of the shape of `proxy` or None
        The function.
    names : list of str
        The variables drawn.
    rows : ndarray of shape (n_samples, n_drawn)
        The samples, in these variables.
    optimum : ndarray of shape (n_drawn,)
        The proxy's optimum, in these variables.
    best : ndarray of shape (n_drawn,)
        The best measured point known.
    direction : {"minimize", "maximize"}, default="minimize"
        Whether low values are what matters, or high ones.
    kinds : list of {"number", "log", "integer", "category"}, default=None
        What each variable drawn is; None takes numbers.
    labels : dict of int to list of str, default=None
        The labels of categories, by their index among the variables drawn.
    band_label : str, default="models of half of the data"
        What the band is, for the legend.
    value_name : str, default="value"
        What is drawn, for the axis of slices.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure they are part of.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_proxyopt import ProxyOptimizer
    >>> from sklearn_proxyopt.displays import LandscapeDisplay
    >>> X = np.random.default_rng(0).uniform(-1.0, 1.0, (20, 2))
    >>> optimizer = ProxyOptimizer(proxy="gp", random_state=0).fit(X, (X**2).sum(axis=1))
    >>> display = LandscapeDisplay.from_estimator(optimizer, objective=lambda x: (x**2).sum())
    >>> display.names, len(display.axes_)
    (['x0', 'x1'], 2)
    """

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
        band_label: str = OF_HALVES,
        value_name: str = "value",
    ) -> None:
        self.grids = grids
        self.kinds = kinds or ["number"] * len(grids)
        self.labels = labels or {}
        self.band_label, self.value_name = band_label, value_name
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
        output: int = 0,
        n_points: int = 60,
        ax: Any = None,
    ) -> Self:
        """Draw the landscape of a fitted optimizer's surrogate model.

        Parameters
        ----------
        estimator : ProxyOptimizer or ParetoOptimizer
            Fitted. Of a front the slices run through the best predicted point of one objective.
        objective : callable, default=None
            A cheap function to be drawn too. It is called at every point of the picture, as the
            optimizer calls its objective: see `vectorized` and `input_format`. None draws the model
            alone.
        features : sequence of int or str, default=None
            The variables, by index or name. Two give levels; one, or more than two, slices. None
            takes all, up to 12.
        output : int, default=0
            Which objective of a `ParetoOptimizer` is drawn.
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
        view = view_of(estimator, output)
        check_integer(n_points, "n_points", minimum=2)
        if objective is not None and not callable(objective):
            raise ValueError(f"objective must be callable or None; got {objective!r}.")
        variables = estimator.variables_
        names = list(variables.kinds.shown_names)
        drawn = _places(features, names, variables.searched.tolist())
        kinds = [_kind(variables, place) for place in drawn]
        grids = [_grid(variables, place, n_points) for place in drawn]
        is_plane = len(drawn) == 2 and "category" not in kinds
        points = variables.valid((_plane if is_plane else _slices)(view.center, drawn, grids))
        shape, band, band_label = (-1, n_points), None, ""
        proxy = view.values(points)
        if not is_plane:
            band, band_label = view.band(points, proxy)
            band = None if band is None else band.reshape(2, *shape)
        levels = variables.kinds.levels
        return cls(
            grids,
            proxy.reshape(shape),
            band,
            None if objective is None else view.measured(objective, points).reshape(shape),
            [names[place] for place in drawn],
            estimator.X_[: estimator.n_learned_][:, drawn],
            view.center[drawn],
            view.best[drawn],
            direction=view.goal.directions[0],
            kinds=kinds,
            labels={
                number: [str(label) for label in levels[place]]
                for number, place in enumerate(drawn)
                if place in levels
            },
            band_label=band_label,
            value_name=view.value_name,
        ).plot(ax=ax)

    @property
    def _is_plane(self) -> bool:
        return len(self.grids) == 2 and "category" not in self.kinds

    @property
    def _n_panels(self) -> int:
        return (1 if self.truth is None else 2) if self._is_plane else len(self.grids)

    def _new_axes(self) -> Any:
        n_columns = min(self._n_panels, 2)
        n_rows = -(-self._n_panels // n_columns)
        height = 3.6 if self._is_plane and n_columns == 1 else 2.3
        figsize, style = (WIDTH, height * n_rows + 0.7), {"squeeze": False, "sharey": True}
        grid = pyplot().subplots(n_rows, n_columns, figsize=figsize, layout="constrained", **style)
        panels = grid[1].ravel()
        for unused in panels[self._n_panels :]:
            unused.set_visible(False)
        return panels[: self._n_panels]

    def _draw(self, axes: NDArray[Any]) -> None:
        (self._plot_levels if self._is_plane else self._plot_slices)(axes)

    def _plot_levels(self, axes: NDArray[Any]) -> None:
        panels = [("model", self.proxy)]
        if self.truth is not None:
            panels.append(("function", self.truth))
        everything = np.concatenate([values.ravel() for _, values in panels])
        # Good values matter, and a few bad ones would take all levels for themselves.
        goal = Goal.of(self.direction)
        shares = np.linspace(0.0, 1.0, 16) ** 1.5
        levels = np.unique(goal.turned(np.quantile(goal.turned(everything), shares)))
        levels = levels[np.isfinite(levels)]
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
                    clip_on=False,
                    label="best measured" if label == "best" else label,
                )
            axis.set(title=title, xlabel=drawn_text(self.names[0]))
            self._scale(axis.xaxis, 0)
            self._scale(axis.yaxis, 1)
        axes[0].set_ylabel(drawn_text(self.names[1]))
        legend_beside(axes[0], axes[0].get_legend_handles_labels()[0])

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
            axis.set_xlabel(drawn_text(self.names[number]))
            self._scale(axis.xaxis, number)
            despine(axis)
        for axis in axes[::2] if len(axes) > 1 else axes:
            axis.set_ylabel(self.value_name)
        shown = [_line([], [], color=ink(), label="model")]
        if self.band is not None:
            shown.append(_line([], [], color=COLORS[4], linewidth=5, label=self.band_label))
        if self.truth is not None:
            shown.append(_line([], [], color=COLORS[0], linestyle="--", label="function"))
        shown.append(_line([], [], color=COLORS[1], linestyle=":", label="optimum of the model"))
        legend_beside(axes[0], shown)

    def _scale(self, axis: Any, number: int) -> None:
        """Let an axis show labels, integers or powers of ten, as its variable has them."""
        kind = self.kinds[number]
        if kind == "log":
            (axis.axes.set_xscale if axis.axis_name == "x" else axis.axes.set_yscale)("log")
        elif kind == "integer":
            axis.get_major_locator().set_params(integer=True)
        elif kind == "category":
            labels = drawn_labels(self.labels[number], _MOST_SLANTED)
            slant = 30 if sum(map(len, labels)) > _MOST_LETTERS else 0
            axis.set_ticks(
                range(len(labels)), labels, rotation=slant, ha="right" if slant else "center"
            )
            axis.axes.set_xlim(-0.5, len(labels) - 0.5)


def _plane(
    center: NDArray[np.float64], drawn: list[int], grids: list[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return the points of a plane through a point."""
    mesh = np.meshgrid(*grids, indexing="ij")
    points = np.tile(center, (mesh[0].size, 1))
    points[:, drawn] = np.column_stack([one.ravel() for one in mesh])
    return points


def _slices(
    center: NDArray[np.float64], drawn: list[int], grids: list[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return the points of lines through a point, along each variable."""
    points = np.tile(center, (sum(map(len, grids)), 1))
    for number, (place, grid) in enumerate(zip(drawn, grids, strict=True)):
        points[number * len(grid) : (number + 1) * len(grid), place] = grid
    return points


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
    """Return the indices of the variables to draw."""
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
