"""The verdict on an optimum on one page."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.diagnosis import Diagnosis
from sklearn_proxyopt.diagnosis._card import SYMBOLS
from sklearn_proxyopt.diagnosis._diagnosis import CREDIBLE, FALSE
from sklearn_proxyopt.diagnosis._wording import chance_in_words, number, point_in_words
from sklearn_proxyopt.displays._base import (
    COLORS,
    SMALL,
    WIDTH,
    Display,
    check_optimizer,
    despine,
    drawn_text,
    ink,
    paper,
    pyplot,
)

__all__ = ["DiagnosisDisplay"]

# Characters in a line and of a word, and inches of a line.
_LINE, _WORD, _LINE_HEIGHT = 70, 40, 0.172
_FAINT = 0.4
# Of each part of the scale of chances its color; red and green are not told apart by all readers.
_PARTS = {"false": COLORS[1], "doubtful": "0.6", "credible": COLORS[0]}


class DiagnosisDisplay(Display):
    """A diagnosis on one page.

    At the top: the verdict as a word and a symbol, and its probability on a scale with the limits
    between the verdicts. In the middle: the predicted value with its interval, the measured value,
    the best value known, and the tolerance. At the bottom: the settings, the facts for and against
    the optimum, and what to do next.

    Parameters
    ----------
    diagnosis : Diagnosis
        What `ProxyOptimizer.diagnose` returned.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (3,)
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure they are part of.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_proxyopt import ProxyOptimizer
    >>> from sklearn_proxyopt.displays import DiagnosisDisplay
    >>> X = np.random.default_rng(0).uniform(-1.0, 1.0, (20, 2))
    >>> optimizer = ProxyOptimizer(proxy="gp", random_state=0).fit(X, (X**2).sum(axis=1))
    >>> display = DiagnosisDisplay.from_estimator(optimizer)
    >>> display.diagnosis.verdict, len(display.axes_)
    ('credible', 3)
    """

    def __init__(self, diagnosis: Diagnosis) -> None:
        self.diagnosis = diagnosis

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        objective: Callable[..., Any] | None = None,
        *,
        n_checks: int = 5,
        regret: float | None = None,
        of: Literal["answer", "proxy"] | None = None,
        ax: Any = None,
    ) -> Self:
        """Diagnose a fitted optimizer and draw the diagnosis.

        Parameters
        ----------
        estimator : ProxyOptimizer
            Fitted.
        objective : callable, default=None
            The objective, evaluated to check the verdict; None uses no evaluation.
        n_checks : int, default=5
            Most evaluations of it.
        regret : float, default=None
            What is tolerated; see `ProxyOptimizer.diagnose`.
        of : {"answer", "proxy"} or None, default=None
            Which optimum is judged; see `ProxyOptimizer.diagnose`.
        ax : array of 3 matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        DiagnosisDisplay
            The display, drawn.
        """
        estimator = check_optimizer(estimator)
        found = estimator.diagnose(objective, n_checks=n_checks, regret=regret, of=of)
        return cls(found).plot(ax=ax)

    @property
    def values(self) -> dict[str, float]:
        """What is drawn on the axis of values, by its name; what is not known is left out."""
        found = self.diagnosis
        values = {"predicted": found.promise, "measured": found.truth, "best known": found.best}
        return {name: value for name, value in values.items() if np.isfinite(value)}

    @property
    def text(self) -> str:
        """What stands under the pictures."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        found = self.diagnosis
        yield from _wrapped(f"At {found.subject}: {point_in_words(found.settings)}", "")
        yield ""
        for reason in found.reasons:
            yield from _wrapped(reason, "  ")
        yield ""
        for place, step in enumerate(found.next_steps):
            yield from _wrapped(("Next: " if not place else "      ") + step, "      ")

    @property
    def _n_panels(self) -> int:
        return 3

    def _new_axes(self) -> Any:
        heights = [0.35, 0.55 + 0.2 * len(self.values), _LINE_HEIGHT * len(list(self._lines()))]
        figure = pyplot().figure(figsize=(WIDTH, sum(heights) + 1.7), layout="constrained")
        # Parts of a figure, since the labels of one panel would make the others narrow.
        parts = figure.subfigures(
            3, 1, height_ratios=[heights[0] + 0.8, heights[1] + 0.7, heights[2]]
        )
        return [part.subplots() for part in parts]

    def _draw(self, axes: NDArray[Any]) -> None:
        self._draw_scale(axes[0])
        self._draw_values(axes[1])
        axes[2].set_axis_off()
        style = {"va": "top", "fontsize": SMALL, "transform": axes[2].transAxes}
        axes[2].text(0.0, 1.0, self.text, **style).set_in_layout(False)

    def _draw_scale(self, ax: Any) -> None:
        """Draw the chance on a scale with the limits between the verdicts."""
        found, edges = self.diagnosis, [0.0, FALSE, CREDIBLE, 1.0]
        for (name, color), low, high in zip(_PARTS.items(), edges[:-1], edges[1:], strict=True):
            is_it = name == found.verdict
            style = {"color": color, "alpha": 0.9 if is_it else 0.3, "edgecolor": paper()}
            ax.barh(0.0, high - low, 1.0, low, linewidth=1.5, **style)
            style = {"ha": "center", "va": "bottom", "fontsize": SMALL}
            ax.text((low + high) / 2.0, 0.6, name, weight="bold" if is_it else "normal", **style)
        title = "no verdict"
        if found.verdict is not None:
            chance = chance_in_words(found.probability)
            title = f"{SYMBOLS[found.verdict]} {found.verdict} ({chance})"
            style = {"markeredgecolor": paper(), "clip_on": False}
            ax.plot(found.probability, 0.0, "D", color=ink(), markersize=11, **style)
        ax.set_title(title, loc="left", weight="bold", fontsize="large")
        ax.set(xlim=(0.0, 1.0), ylim=(-0.5, 1.3), yticks=[])
        ax.set_xticks(edges, [f"{100 * edge:.0f} %" for edge in edges], fontsize=SMALL)
        ax.set_xlabel(f"chance that no value is better by more than {number(found.regret)}")
        ax.spines[["top", "right", "left", "bottom"]].set_visible(False)

    def _draw_values(self, ax: Any) -> None:
        """Draw what is predicted, measured and known, each on its line."""
        found, values = self.diagnosis, self.values
        sign = 1.0 if found.direction == "minimize" else -1.0
        ends = sorted((found.best, found.best + sign * found.regret))
        ax.axvspan(*ends, color=COLORS[2], alpha=_FAINT, linewidth=0)
        markers = {"predicted": "o", "measured": "*", "best known": "D"}
        for row, (name, value) in enumerate(values.items()):
            if name == "predicted" and np.isfinite(found.band).all():
                ax.plot(found.band, [row, row], color=COLORS[0], linewidth=5, alpha=0.5)
            style = {"color": COLORS[1] if row else COLORS[0], "markeredgecolor": ink()}
            size = 12 if name == "measured" else 8
            ax.plot(value, row, markers[name], markersize=size, **style)
        line = pyplot().Line2D
        handles = [
            line([], [], color=COLORS[0], linewidth=5, alpha=0.5, label="90 % interval"),
            line([], [], color=COLORS[2], linewidth=8, alpha=_FAINT, label="tolerated"),
        ]
        # Beside what is tolerated so little is nothing.
        least = 1e-6 * found.regret
        labels = [
            f"{name}  {number(value if abs(value) > least else 0.0)}"
            for name, value in values.items()
        ]
        ax.set_yticks(range(len(values)), labels)
        ax.set(ylim=(len(values) - 0.4, -0.6), xlabel="value")
        ax.margins(x=0.08)
        ax.locator_params("x", nbins=5)
        despine(ax)
        style = {"frameon": False, "fontsize": SMALL, "ncols": 2, "borderaxespad": 0.0}
        ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(-0.02, 1.0), **style)


def _wrapped(text: str, indent: str) -> list[str]:
    cut = re.sub(r"\S+", lambda word: drawn_text(word[0], _WORD), text)
    return textwrap.wrap(cut, _LINE, subsequent_indent=indent) or [""]
