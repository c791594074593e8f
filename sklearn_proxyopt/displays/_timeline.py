"""What was evaluated when, what failed, and how busy the workers were."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_proxyopt.displays._base import (
    COLORS,
    WIDTH,
    Display,
    check_searched,
    despine,
    ink,
    legend_beside,
    paper,
    pyplot,
)

__all__ = ["TimelineDisplay"]

_HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\")
# The share of the time from which on a bar has hatches, and workers that are numbered at most.
_WIDE, _MOST_LABELS = 0.01, 8
# Seconds in each unit, and from how many of them on it is the one to read.
_UNITS = ((86400.0, "days", 2.0), (3600.0, "hours", 2.0), (60.0, "minutes", 2.0), (1.0, "s", 0.0))


class TimelineDisplay(Display):
    """When each evaluation ran, on which worker, and which of them failed.

    Above, each worker has a line, and each evaluation is a bar on it, in the color of its phase;
    one that failed has a cross at its end. Below is how many evaluations ran at a time.

    Parameters
    ----------
    started : array-like of shape (n_evaluations,)
        When each began, in seconds.
    ended : array-like of shape (n_evaluations,)
        When each ended.
    stages : sequence of str
        The phase of the run of each.
    failed : array-like of bool of shape (n_evaluations,)
        Which of them failed.

    Attributes
    ----------
    axes_ : ndarray of shape (2,) of matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure they are part of.
    workers : ndarray of int of shape (n_evaluations,)
        The line of each: the first on which nothing else ran.

    Examples
    --------
    >>> from sklearn_proxyopt.displays import TimelineDisplay
    >>> display = TimelineDisplay([0, 0, 2], [2, 3, 4], ["design"] * 3, [False, True, False])
    >>> display.workers
    array([0, 1, 0])
    >>> display.utilization
    0.875
    """

    def __init__(
        self, started: ArrayLike, ended: ArrayLike, stages: Sequence[str], failed: ArrayLike
    ) -> None:
        self.started = np.asarray(started, dtype=np.float64)
        self.ended = np.asarray(ended, dtype=np.float64)
        self.stages, self.failed = list(stages), np.asarray(failed, dtype=bool)
        shapes = {len(self.started), len(self.ended), len(self.stages), len(self.failed)}
        if len(shapes) > 1 or not len(self.started):
            raise ValueError(
                "started, ended, stages and failed must have one entry for each evaluation; got "
                f"{len(self.started)}, {len(self.ended)}, {len(self.stages)}, {len(self.failed)}."
            )
        if not (self.ended >= self.started).all():
            place = int(np.argmin(self.ended >= self.started))
            raise ValueError(
                "ended must be no earlier than started, both finite; got "
                f"{self.started[place]:g} and {self.ended[place]:g} for evaluation {place}."
            )
        self.workers = _lines(self.started, self.ended)

    @property
    def utilization(self) -> float:
        """The share of the time, from the first to the last, in which a worker was busy."""
        span = float(self.ended.max() - self.started.min()) * (int(self.workers.max()) + 1)
        return float((self.ended - self.started).sum()) / span if span > 0.0 else 1.0

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw when the evaluations of an optimizer ran.

        Parameters
        ----------
        estimator : ProxyOptimizer or ParetoOptimizer
            One that called its objective, by `minimize`, `maximize` or `fit`; with a journal the
            evaluations of earlier programs are drawn too.
        ax : array of two matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        TimelineDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If no evaluation has a time.
        """
        history = check_searched(estimator)._history
        known = np.flatnonzero(np.isfinite(history.ended) & np.isfinite(history.seconds))
        if not len(known):
            raise ValueError(
                "estimator must have called its objective, which tells the times; got one whose "
                "samples were given or told."
            )
        outputs = history.outputs.reshape(len(history.X), -1)
        failed = np.isnan(outputs).any(axis=1)
        ended, seconds = history.ended[known], history.seconds[known]
        started, ended = _of_calls(ended, seconds)
        zero = started.min()
        stages = [history.stages[place] for place in known]
        return cls(started - zero, ended - zero, stages, failed[known]).plot(ax=ax)

    @property
    def _n_panels(self) -> int:
        return 2

    def _new_axes(self) -> Any:
        height = 2.4 + 0.28 * min(int(self.workers.max()) + 1, 16)
        n_lines = max(int(self.workers.max()) + 1, 3)
        return pyplot().subplots(
            2,
            1,
            figsize=(WIDTH, height),
            sharex=True,
            layout="constrained",
            height_ratios=(min(n_lines, 16), 4),
        )[1]

    def _draw(self, axes: NDArray[Any]) -> None:
        lines, busy = axes
        size, unit = _unit_of(float(self.ended.max() - self.started.min()))
        start, end = self.started / size, self.ended / size
        handles = []
        for place, stage in enumerate(dict.fromkeys(self.stages)):
            chosen = np.array(self.stages) == stage
            color, width = COLORS[place % len(COLORS)], end[chosen] - start[chosen]
            # An edge in another color would hide bars that are too narrow for it.
            is_wide = width > _WIDE * (end.max() - start.min())
            edges = [paper() if one else color for one in is_wide]
            style = {"facecolor": color, "edgecolor": edges, "linewidth": 0.5}
            style |= {"hatch": _HATCHES[place % len(_HATCHES)], "label": stage}
            lines.barh(self.workers[chosen], width, 0.8, start[chosen], **style)
            style |= {"edgecolor": paper()}
            handles.append(pyplot().Rectangle((0.0, 0.0), 1.0, 1.0, **style))
        if self.failed.any():
            style = {"color": ink(), "markersize": 7, "linestyle": "none", "label": "failed"}
            marks = lines.plot(end[self.failed], self.workers[self.failed], "X", **style)
            handles.append(marks[0])
        n_workers = int(self.workers.max()) + 1
        lines.set(ylabel="worker", ylim=(n_workers - 0.4, -0.6))
        shown = range(0, n_workers, -(-n_workers // _MOST_LABELS))
        lines.set_yticks(shown, [str(place + 1) for place in shown])
        times, running = _running(start, end)
        busy.fill_between(times, running, step="post", color=COLORS[4], linewidth=0.3)
        busy.set(xlabel=f"time ({unit})", ylabel="running", ylim=(0.0, None))
        busy.yaxis.get_major_locator().set_params(integer=True)
        lines.set_title(self._summary(), fontsize="medium", loc="left")
        for one in axes:
            despine(one)
        legend_beside(busy, handles)

    def _summary(self) -> str:
        n_failed, n_workers = int(self.failed.sum()), int(self.workers.max()) + 1
        failures = f", {n_failed} failed" if n_failed else ""
        workers = "1 worker" if n_workers == 1 else f"{n_workers} workers"
        share = f"{100.0 * self.utilization:.0f} %"
        return f"{len(self.failed)} runs{failures}; {workers}, busy {share} of the time"


def _lines(started: NDArray[np.float64], ended: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the first line that is free for each evaluation, in the order in which they began."""
    span = max(float(ended.max() - started.min()), 0.0)
    free: list[int] = []
    running: list[tuple[float, int]] = []
    lines = np.zeros(len(started), dtype=np.intp)
    for place in np.argsort(started, kind="stable"):
        # What ends as another begins does not overlap it, to what a clock tells.
        while running and running[0][0] <= started[place] + 1e-3 * span:
            heapq.heappush(free, heapq.heappop(running)[1])
        line = heapq.heappop(free) if free else len(running)
        heapq.heappush(running, (float(ended[place]), line))
        lines[place] = line
    return lines


def _of_calls(
    ended: NDArray[np.float64], seconds: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return when samples began and ended, those of one call of many one after another.

    Samples of one vectorized call are drawn one after another, each with an equal share of the
    time.
    """
    started, stopped = ended - seconds, ended.copy()
    first = 0
    for place in range(1, len(ended) + 1):
        if place < len(ended) and seconds[place] == seconds[first]:
            continue
        n = place - first
        if n > 1:
            share = seconds[first] * np.arange(n, -1, -1)
            edges = ended[place - 1] - share
            started[first:place], stopped[first:place] = edges[:-1], edges[1:]
        first = place
    return started, stopped


def _running(
    started: NDArray[np.float64], ended: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the times at which something begins or ends, and how many run from then on."""
    times = np.unique(np.concatenate([started, ended]))
    begun = np.searchsorted(np.sort(started), times, side="right")
    done = np.searchsorted(np.sort(ended), times, side="right")
    return times, (begun - done).astype(np.float64)


def _unit_of(seconds: float) -> tuple[float, str]:
    """Return the unit of time in which a span is read, and its name."""
    size, unit, _ = next(one for one in _UNITS if seconds >= one[2] * one[0])
    return size, unit
