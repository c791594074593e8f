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
    best_known,
    check_optimizer,
    despine,
    goal_of,
    names_of,
    pyplot,
)

__all__ = ["LandscapeDisplay"]

_MAX_SLICES = 12


class LandscapeDisplay:
    """The proxy over one or two variables, or slices through its optimum along each.

    Two variables are drawn as levels, with the rows and the optima, and beside them the function
    where it is given. Otherwise each variable has a panel, the others held at the optimum, with
    the proxy, the band that proxies of half of the rows span, and the function where it is given.

    Parameters
    ----------
    grids : list of ndarray of shape (n_points,)
        The values of each variable drawn.
    proxy : ndarray of shape (n_points, n_points) or (n_slices, n_points)
        The proxy over the grid of two variables, or along each of them.
    band : ndarray of shape (2, n_slices, n_points) or None
        The lowest and the highest opinion of the proxies of half of the rows; slices only.
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
    ) -> None:
        self.grids = grids
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
        evidence, goal = evidence_of(estimator), goal_of(estimator)
        bounds, center = estimator.bounds_, estimator.x_proxy_
        grids = [np.linspace(low, high, n_points) for low, high in bounds[drawn]]
        if len(drawn) == 2:
            mesh = np.meshgrid(*grids, indexing="ij")
            points = np.tile(center, (n_points**2, 1))
            points[:, drawn] = np.column_stack([one.ravel() for one in mesh])
        else:
            points = np.tile(center, (len(drawn) * n_points, 1))
            for number, (index, grid) in enumerate(zip(drawn, grids, strict=True)):
                points[number * n_points : (number + 1) * n_points, index] = grid
        points = estimator.variables_.valid(points)
        shape = (-1, n_points)
        band = None
        if len(drawn) != 2:
            halves = goal.turned(evidence.predict_halves(points).T).T
            band = np.array([halves.min(axis=0), halves.max(axis=0)]).reshape(2, *shape)
        truth = None
        if objective is not None:
            form, space = estimator.input_format, estimator.variables_
            function = of_plain_rows(objective, space, input_format=form, vectorized=True)
            outputs = np.asarray(function(points), dtype=np.float64)
            judged = measured_merit(estimator._known, goal.turned(outputs))
            truth = goal.turned(judged).reshape(shape)
        return cls(
            grids,
            goal.turned(evidence.predict(points)).reshape(shape),
            band,
            truth,
            [all_names[index] for index in drawn],
            estimator.X_[: estimator.n_learned_][:, drawn],
            center[drawn],
            best_known(estimator)[drawn],
            direction=goal.directions[0],
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
        is_plane = len(self.grids) == 2
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
        panels = [("the proxy", self.proxy)]
        if self.truth is not None:
            panels.append(("the function", self.truth))
        everything = np.concatenate([values.ravel() for _, values in panels])
        # Good values matter, and a few bad ones would take all levels for themselves.
        goal = Goal.of(self.direction)
        shares = np.linspace(0.0, 1.0, 16) ** 1.5
        levels = np.unique(goal.turned(np.quantile(goal.turned(everything), shares)))
        for axis, (title, values) in zip(axes, panels, strict=True):
            if len(levels) > 1:
                axis.contourf(*self.grids, values.T, levels, cmap="gray", extend="both")
            if title == "the proxy":
                axis.plot(*self.rows.T, ".", color="tab:orange", markersize=2, label="row")
            marks = (("X", 11, self.optimum, "optimum of the proxy"), ("*", 15, self.best, "best"))
            for marker, size, place, label in marks:
                axis.plot(
                    *place,
                    marker,
                    markersize=size,
                    markerfacecolor="white",
                    markeredgecolor="black",
                    linestyle="none",
                    label="best true point" if label == "best" else label,
                )
            axis.set(title=title, xlabel=self.names[0])
        axes[0].set_ylabel(self.names[1])
        axes[0].legend(
            fontsize="small", loc="upper left", bbox_to_anchor=(0.0, -0.13), ncols=3, frameon=False
        )

    def _plot_slices(self, axes: NDArray[Any]) -> None:
        for number, axis in enumerate(axes):
            grid = self.grids[number]
            if self.band is not None:
                axis.fill_between(
                    grid,
                    self.band[0, number],
                    self.band[1, number],
                    color="0.85",
                    label="by half of the rows",
                )
            axis.plot(grid, self.proxy[number], color="black", label="the proxy")
            if self.truth is not None:
                axis.plot(grid, self.truth[number], "--", color="tab:blue", label="the function")
            axis.axvline(self.optimum[number], color="0.4", linewidth=0.8, linestyle=":")
            axis.set_xlabel(self.names[number])
            despine(axis)
        axes[0].set_ylabel("value")
        axes[0].legend(frameon=False, fontsize="small")


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
