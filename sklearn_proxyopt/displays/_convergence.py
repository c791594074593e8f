"""Evaluations against the best value, of one run or of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_proxyopt._utils._feasibility import feasible_values
from sklearn_proxyopt._utils._goal import Direction, Goal
from sklearn_proxyopt._utils._validation import check_real
from sklearn_proxyopt.displays._base import (
    COLORS,
    DASHES,
    SMALL,
    WIDTH,
    Display,
    check_optimizer,
    despine,
    drawn_text,
    goal_of,
    ink,
    label_ends,
    legend_beside,
    pyplot,
)

__all__ = ["ConvergenceDisplay"]

_QUARTILES = (0.25, 0.5, 0.75)


class ConvergenceDisplay(Display):
    """The best measured value against the number of evaluations.

    One run is drawn with each of its values and the stages it went through; several with a line for
    each name, of its median and between the quartiles where a name has several runs.

    Parameters
    ----------
    values : array-like of shape (n_evaluations,), or dict of str to one or a list of such
        Measured values in the order in which they came, NaN for evaluations that failed. A dict has
        them by the name of a method, in a list for runs with several seeds.
    stages : dict of str to int, default=None
        Of one run: the name of each stage and the evaluation that it begins with.
    f_opt : float, default=None
        The best value there is, where it is known; the gap to it is then drawn on a logarithmic
        scale.
    direction : {"minimize", "maximize"}, default="minimize"
        Whether the lowest value is the best, or the highest.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure it is part of.

    Examples
    --------
    >>> from sklearn_proxyopt.displays import ConvergenceDisplay
    >>> display = ConvergenceDisplay([3.0, 1.0, 2.0], {"design": 0})
    >>> display.best
    array([3., 1., 1.])
    >>> ConvergenceDisplay({"ours": [[3.0, 1.0], [4.0, 2.0]], "theirs": [5.0, 5.0]}).quartiles(
    ...     "ours"
    ... )
    array([[3.25, 1.25],
           [3.5 , 1.5 ],
           [3.75, 1.75]])
    """

    def __init__(
        self,
        values: Any,
        stages: dict[str, int] | None = None,
        *,
        f_opt: float | None = None,
        direction: Direction = "minimize",
    ) -> None:
        self.runs = _by_name(values)
        self.stages = stages or {}
        self.f_opt = f_opt
        self.direction = direction

    @property
    def values(self) -> NDArray[np.float64]:
        """The values of the first run."""
        return next(iter(self.runs.values()))[0]

    @property
    def best(self) -> NDArray[np.float64]:
        """The best value up to each evaluation, of the first run."""
        return self._best_of(self.values)

    def quartiles(self, name: str) -> NDArray[np.float64]:
        """Return what the runs of a name have reached after each evaluation.

        Parameters
        ----------
        name : str
            The name.

        Returns
        -------
        ndarray of shape (3, n_evaluations)
            The lower quartile, the median and the upper quartile of the best values; a run that has
            ended keeps its last.
        """
        n_most = max(map(len, self.runs[name]))
        best = [self._best_of(values) for values in self.runs[name]]
        padded = [np.pad(one, (0, n_most - len(one)), mode="edge") for one in best]
        return np.asarray(np.quantile(padded, _QUARTILES, axis=0))

    def _best_of(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        better = np.fmin if self.direction == "minimize" else np.fmax
        return np.asarray(better.accumulate(values))

    @classmethod
    def from_estimator(cls, estimator: Any, *, f_opt: float | None = None, ax: Any = None) -> Self:
        """Draw the run of an optimizer.

        Parameters
        ----------
        estimator : ProxyOptimizer
            Fitted, best by `minimize`.
        f_opt : float, default=None
            The best value there is, where it is known.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        ConvergenceDisplay
            The display, drawn.
        """
        estimator = check_optimizer(estimator)
        if f_opt is not None:
            check_real(f_opt, "f_opt")
        stages = {"samples learned from": 0}
        if len(estimator.y_) > estimator.n_learned_:
            stages["refinement"] = estimator.n_learned_
        direction = goal_of(estimator).directions[0]
        values = feasible_values(estimator.y_)
        return cls(values, stages, f_opt=f_opt, direction=direction).plot(ax=ax)

    @classmethod
    def from_estimators(
        cls, estimators: Mapping[str, Any], *, f_opt: float | None = None, ax: Any = None
    ) -> Self:
        """Draw the runs of several optimizers in one picture.

        Parameters
        ----------
        estimators : dict of str to ProxyOptimizer or list of them
            Fitted optimizers by the names that stand at their lines; a list for runs of one method
            with several seeds. All of them minimize, or all maximize.
        f_opt : float, default=None
            The best value there is, where it is known.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        ConvergenceDisplay
            The display, drawn.
        """
        if not isinstance(estimators, Mapping) or not estimators:
            raise ValueError(
                "estimators must be a dict of names to fitted optimizers or lists of them; got "
                f"{estimators!r:.80}."
            )
        if f_opt is not None:
            check_real(f_opt, "f_opt")
        listed = {
            str(name): list(one) if isinstance(one, list | tuple) else [one]
            for name, one in estimators.items()
        }
        every = [check_optimizer(one) for runs in listed.values() for one in runs]
        directions = {goal_of(one).directions[0] for one in every}
        if len(directions) != 1:
            raise ValueError(
                "estimators must all minimize or all maximize; got runs that do either."
            )
        values = {name: [feasible_values(one.y_) for one in runs] for name, runs in listed.items()}
        return cls(values, f_opt=f_opt, direction=directions.pop()).plot(ax=ax)

    def _new_axes(self) -> Any:
        return pyplot().subplots(figsize=(WIDTH, 3.4), layout="constrained")[1]

    def _draw(self, axes: NDArray[Any]) -> None:
        ax = axes[0]
        if self.f_opt is not None:
            ax.set_yscale("log")
        if len(self.runs) == 1 and sum(map(len, self.runs.values())) == 1:
            self._draw_one(ax)
        else:
            self._draw_several(ax)
        ylabel = "best measured value" if self.f_opt is None else "gap to the best value there is"
        ax.set(xlabel="evaluations", ylabel=ylabel)
        ax.get_xaxis().get_major_locator().set_params(integer=True)
        despine(ax)

    def _draw_one(self, ax: Any) -> None:
        number = np.arange(1, len(self.values) + 1)
        points = self._shown(self.values)
        ax.plot(number, points, ".", color="0.55", markersize=4, label="one evaluation")
        ax.step(number, self._shown(self.best), where="post", color=ink(), label="best so far")
        for name, start in self.stages.items():
            if start:
                ax.axvline(start + 0.5, color="0.5", linewidth=0.8, linestyle="--")
            is_left = start < 0.7 * len(number)
            ax.annotate(
                name,
                (start + 0.5, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(3 if is_left else -3, 3),
                textcoords="offset points",
                fontsize=SMALL,
                ha="left" if is_left else "right",
            )
        legend_beside(ax, ax.get_legend_handles_labels()[0])

    def _draw_several(self, ax: Any) -> None:
        ends = []
        for place, name in enumerate(self.runs):
            low, middle, high = self._shown(self.quartiles(name))
            number = np.arange(1, len(middle) + 1)
            style = {
                "color": COLORS[place % len(COLORS)],
                "linestyle": DASHES[place % len(DASHES)],
            }
            ax.step(number, middle, where="post", label=name, **style)
            if len(self.runs[name]) > 1:
                ax.fill_between(
                    number, low, high, step="post", color=style["color"], alpha=0.2, linewidth=0
                )
            ends.append(float(middle[-1]))
        label_ends(ax, [drawn_text(name) for name in self.runs], ends)

    def _shown(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values as they are drawn: gaps to the best value there is where it is known."""
        if self.f_opt is None:
            return values
        gaps = Goal.of(self.direction).turned(np.ravel(values) - self.f_opt).reshape(values.shape)
        every = np.concatenate([one for runs in self.runs.values() for one in runs])
        largest = float(np.nanmax(np.abs(every), initial=0.0))
        return np.maximum(gaps, np.finfo(float).eps * max(1.0, largest))


def _by_name(values: Any) -> dict[str, list[NDArray[np.float64]]]:
    """Return runs by name, each as a list of arrays."""
    if not isinstance(values, Mapping):
        return {"": [_numbers(values)]}
    empty = next((name for name, runs in values.items() if not len(runs)), None)
    if empty is not None:
        raise ValueError(f"values must have a run for each name; got none for {empty!r}.")
    return {
        name: [_numbers(one) for one in runs] if np.ndim(runs[0]) else [_numbers(runs)]
        for name, runs in values.items()
    }


def _numbers(values: ArrayLike | Sequence[float]) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)
