"""Everything about a run on one page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from html import escape
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from sklearn_proxyopt._inspect._near_optimal import near_optimal
from sklearn_proxyopt._utils._feasibility import best_first
from sklearn_proxyopt._utils._html import folded, table
from sklearn_proxyopt.displays import (
    ConvergenceDisplay,
    ImportanceDisplay,
    LandscapeDisplay,
    ParallelCoordinatesDisplay,
    ParetoDisplay,
)
from sklearn_proxyopt.displays._base import check_searched, goal_of, is_front
from sklearn_proxyopt.inspection._pictures import Pictures
from sklearn_proxyopt.optimizers import nondominated
from sklearn_proxyopt.variables._words import rows_in_words

__all__ = ["report"]

_N_BEST, _MOST_REASONS = 10, 5
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50em; margin: 0 auto; padding: 1em;
    color: #1a1a1a; background: #fff; overflow-wrap: break-word; }
h1 { line-height: 1.2; } h2 { margin: 1.8em 0 .4em; }
figure { margin: 1em 0; } figcaption { opacity: .75; font-size: .9em; }
svg { width: 100%; max-width: 40em; height: auto; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .2em 1em .2em 0; font-weight: normal; vertical-align: top;
    border-bottom: 1px solid rgba(128, 128, 128, .4); }
.runs th, .runs td { white-space: nowrap; } pre { overflow-x: auto; }
th { opacity: .75; } td { font-variant-numeric: tabular-nums; }
@media (max-width: 30em) {
    body { padding: .5em; } svg { margin: 0 -.5em; width: calc(100% + 1em); }
}
@media (prefers-color-scheme: dark) { body { color: #e6e6e6; background: #161616; } }
"""


def report(
    estimator: Any,
    path: str | PathLike[str],
    *,
    title: str = "Report of an optimization",
    within: float | None = None,
) -> Path:
    """Write all there is to know of a run into one file of HTML.

    The page needs no network and has no script. It has the verdict with its reasons and what to do
    next, the best settings and how far each may move, the best ten runs, how the best value was
    reached, slices through the surrogate model, what matters, and how it was run. A front has its
    points, its picture and its trials in their place.

    Parameters
    ----------
    estimator : ProxyOptimizer or ParetoOptimizer
        Fitted. It spends no evaluation.
    path : str or path-like
        The file; one that is there is replaced.
    title : str, default="Report of an optimization"
        Stands at the top.
    within : float, default=None
        How much worse than the best a value may be where it is told how far the variables may move;
        None for what `near_optimal` takes.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ValueError
        If the optimizer has learned nothing, or the path is none.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn_proxyopt import ProxyOptimizer
    >>> from sklearn_proxyopt.inspection import report
    >>> from sklearn_proxyopt.problems import Rosenbrock
    >>> problem = Rosenbrock(n_dims=2)
    >>> optimizer = ProxyOptimizer(bounds=problem.bounds, budget=30, random_state=0)
    >>> result = optimizer.minimize(problem)
    >>> report(optimizer, os.path.join(tempfile.mkdtemp(), "run.html")).name
    'run.html'
    """
    check_searched(estimator)
    if not hasattr(estimator, "proxy_"):
        raise ValueError(
            "estimator must have learned from at least two samples; got one that knows "
            f"{len(estimator.X_)}."
        )
    if not isinstance(path, str | PathLike):
        raise ValueError(f"path must be a path, such as 'report.html'; got {path!r}.")
    if not isinstance(title, str):
        raise ValueError(f"title must be a text; got {title!r}.")
    file = Path(path)
    if not file.parent.is_dir():
        raise ValueError(f"path must lie in a folder that exists; got {str(path)!r}.")
    if file.is_dir():
        raise ValueError(
            f"path must be a file, such as 'report.html'; got the folder {str(file)!r}."
        )
    kind = _FrontReport if is_front(estimator) else _OptimumReport
    file.write_text(_page(title, kind(estimator, within).sections()), encoding="utf-8")
    return file


def _page(title: str, sections: Iterator[tuple[str, str]]) -> str:
    """Return a whole page."""
    parts = [f"<h2>{escape(name)}</h2>{body}" for name, body in sections]
    made = f"{datetime.now():%Y-%m-%d %H:%M}, sklearn_proxyopt {version('sklearn_proxyopt')}"
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1><p>{made}</p>{''.join(parts)}</body></html>"
    )


class _Report:
    """What both kinds of reports have.

    Parameters
    ----------
    optimizer : ProxyOptimizer or ParetoOptimizer
        Fitted.
    within : float or None
        What is tolerated where it is told how far the variables may move.
    """

    def __init__(self, optimizer: Any, within: float | None) -> None:
        self.optimizer, self.within = optimizer, within
        self.history, self.goal = optimizer._history, goal_of(optimizer)
        self.pictures = Pictures()
        outputs = self.history.outputs
        self.known = np.flatnonzero(np.isfinite(outputs.reshape(len(outputs), -1)).all(axis=1))

    def runs(self, places: Any) -> str:
        """Return runs as a table, by their place in the history."""
        variables, outputs = self.optimizer.variables_, self.history.outputs
        outputs = outputs.reshape(len(outputs), -1)
        n = len(self.goal.directions)
        names = ["value"] if n == 1 else [f"objective {place}" for place in range(n)]
        names += [f"constraint {place}" for place in range(outputs.shape[1] - n)]
        rows = [
            (int(place) + 1, *variables.named(self.history.X[place]).values(), *outputs[place])
            for place in places
        ]
        rows = [(*row, self.history.stages[place]) for row, place in zip(rows, places, strict=True)]
        header = ["run", *variables.named(self.history.X[0]), *names, "phase"]
        shown = table([[_short(cell) for cell in row] for row in rows], header)
        return f'<div class="runs">{shown}</div>'

    def how(self) -> str:
        """Return how it was run."""
        optimizer, history = self.optimizer, self.history
        phases = Counter(history.stages)
        rows = [
            ("direction", ", ".join(self.goal.directions)),
            ("runs", f"{len(history.X)}: {', '.join(f'{n} {s}' for s, n in phases.items())}"),
            ("surrogate model", type(optimizer.proxy_).__name__),
            ("learned from", f"{optimizer.n_learned_} samples"),
            ("random_state", optimizer.random_state),
        ]
        ended = getattr(optimizer, "result_", {}).get("message")
        rows += [("ended", ended)] if ended else []
        space = table(rows_in_words(optimizer.variables_.kinds), ("variable", "kind", "may be"))
        parameters = folded("Parameters", f"<pre>{escape(repr(optimizer))}</pre>")
        return table(rows) + space + self._failures() + parameters

    def _failures(self) -> str:
        reasons = Counter(one.error for one in self.history.entries if one.error)
        if not reasons:
            return ""
        rows = [(text, n) for text, n in reasons.most_common(_MOST_REASONS)]
        return "<h3>Failures</h3>" + table(rows, ("reason", "runs"))


class _OptimumReport(_Report):
    """The report of one optimum."""

    def sections(self) -> Iterator[tuple[str, str]]:
        """Yield the title and the content of each part."""
        optimizer, draw = self.optimizer, self.pictures.drawn
        if optimizer._known.can_be_judged:
            yield "Verdict", optimizer.diagnose()._repr_html_()
        yield "Answer", optimizer.result_._repr_html_()
        if optimizer.result_.get("feasible", True):
            yield "How far you may move", self._ranges()
        places = self.known[best_first(self.goal.turned(self.history.outputs[self.known]))]
        yield f"The best {min(_N_BEST, len(places))} runs", self.runs(places[:_N_BEST])
        yield (
            "How the best value was reached",
            draw(lambda: ConvergenceDisplay.from_estimator(optimizer), "Best value by evaluations"),
        )
        caption = "The model along each variable, the others at its optimum"
        yield (
            "The model around its optimum",
            draw(lambda: LandscapeDisplay.from_estimator(optimizer), caption),
        )
        caption = "Share of the variance of the model, and change of the value at the optimum"
        yield "What matters", draw(lambda: ImportanceDisplay.from_estimator(optimizer), caption)
        yield "How it was run", self.how()

    def _ranges(self) -> str:
        """Return how far each variable may move."""
        near = near_optimal(self.optimizer, self.within)
        variables = near.variables
        best, low, high = (variables.named(row) for row in (near.optimum, near.lower, near.upper))
        rows = []
        for place, name in enumerate(best):
            ends = " to ".join(dict.fromkeys([_short(low[name]), _short(high[name])]))
            if variables.kinds.is_category[place]:
                ends = ", ".join(map(str, near.labels(place)))
            is_fixed = variables.kinds.is_fixed[place]
            rows.append((name, _short(best[name]), "fixed" if is_fixed else ends))
        said = f"As good as the best to within {near.within:.3g}, if the others are adapted:"
        return f"<p>{said}</p>" + table(rows, ("variable", "best", "may be"))


class _FrontReport(_Report):
    """The report of a front."""

    def sections(self) -> Iterator[tuple[str, str]]:
        """Yield the title and the content of each part."""
        optimizer, draw = self.optimizer, self.pictures.drawn
        yield "Answer", optimizer.result_._repr_html_()
        caption = "The front, measured and predicted, and the hypervolume by evaluations"
        yield "Front", draw(lambda: ParetoDisplay.from_estimator(optimizer), caption)
        yield "Points of the front", self.runs(self._front())
        caption = "All trials, those of the front in color"
        yield "Trials", draw(lambda: ParallelCoordinatesDisplay.from_estimator(optimizer), caption)
        pictures = [
            draw(
                partial(ImportanceDisplay.from_estimator, optimizer, output=place),
                f"Objective {place}: share of the variance, and change beside its best point",
            )
            for place in range(len(self.goal.directions))
        ]
        yield "What matters", "".join(pictures)
        yield "How it was run", self.how()

    def _front(self) -> Any:
        """Return the places of the runs on the measured front, by the first objective."""
        n = len(self.goal.directions)
        outputs = self.goal.turned(self.history.outputs)[self.known]
        over = np.maximum(outputs[:, n:], 0.0).sum(axis=1)
        chosen = np.flatnonzero(nondominated(outputs[:, :n], over))
        return self.known[chosen[np.argsort(outputs[chosen, 0], kind="stable")]]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
