"""A diagnosis as a card of HTML."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from sklearn_proxyopt._utils._html import card, folded, listed, table
from sklearn_proxyopt.diagnosis._wording import chance_in_words, number

__all__ = ["SYMBOLS", "card_of"]

SYMBOLS = {"credible": "\N{CHECK MARK}", "doubtful": "?", "false": "\N{BALLOT X}"}
_MODES = {
    "rows": "By the samples alone; nothing was measured at this point.",
    "checks": "By the samples and by what was measured at this point.",
    "refined": "By the samples and by the search on the objective that ended at this point.",
}
# The parts of the scale in the colors of Okabe and Ito, which all readers tell apart.
_STYLE = """
@ .scale { position: relative; display: flex; height: 1.5em; max-width: 26em; margin: 1em 0 1.6em;
    font-size: .8em; text-align: center; white-space: nowrap; }
@ .scale span { opacity: .45; color: #000; overflow: hidden; line-height: 1.75em; }
@ .scale span.it { opacity: 1; font-weight: bold; }
@ .scale .false { background: #E69F00; } @ .scale .doubtful { background: #999; }
@ .scale .credible { background: #56B4E9; }
@ .scale i { position: absolute; top: 1.7em; transform: translateX(-50%); font-style: normal;
    line-height: 1; opacity: .75; }
@ .scale b { position: absolute; top: -1.05em; line-height: 1; transform: translateX(-50%); }
@ ul.reasons { list-style: none; padding-left: 0; }
@ .verdict { font-size: 1.15em; }
"""


def card_of(found: Any, limits: tuple[float, float]) -> str:
    """Return a diagnosis as HTML.

    Parameters
    ----------
    found : Diagnosis
        What was found.
    limits : tuple of two floats
        The probabilities up to which an optimum is false, and from which on it is credible.

    Returns
    -------
    str
        One element, without a script.
    """
    reasons = listed(found.reasons).replace("<ul>", '<ul class="reasons">')
    parts = [f"<p>{escape(found.headline)}</p>", _values(found), reasons]
    if found.verdict is not None:
        chance = chance_in_words(found.probability)
        word = f"{SYMBOLS[found.verdict]} {found.verdict} ({chance})"
        parts = [f'<p class="verdict"><b>{escape(word)}</b></p>', _scale(found, limits), *parts]
    steps = listed(found.next_steps, "ol") if found.next_steps else ""
    after = f"<h4>What to do next</h4>{steps}" if steps else ""
    return card(*parts, after, _how(found), style=_STYLE)


def _scale(found: Any, limits: tuple[float, float]) -> str:
    """Return the chance on a scale with the limits between the verdicts."""
    edges = [0.0, *limits, 1.0]
    spans = [
        f'<span class="{name}{" it" if name == found.verdict else ""}" '
        f'style="width:{100.0 * (high - low):.0f}%">{name}</span>'
        for name, low, high in zip(
            ("false", "doubtful", "credible"), edges[:-1], edges[1:], strict=True
        )
    ]
    marks = [f'<i style="left:{100 * edge:.0f}%">{100 * edge:.0f} %</i>' for edge in limits]
    here = f'<b style="left:{100.0 * found.probability:.1f}%">\N{BLACK DOWN-POINTING TRIANGLE}</b>'
    label = f"chance {chance_in_words(found.probability)}"
    return (
        f'<div class="scale" role="img" aria-label="{label}">{"".join(spans + marks)}{here}</div>'
    )


def _values(found: Any) -> str:
    """Return the settings, and what was predicted and measured there."""
    low, high = (number(end) for end in found.band)
    rows = list(found.settings.items())
    rows.append(("predicted", f"{number(found.promise)} ({low} to {high} in 90 % of cases)"))
    is_known = np.isfinite(found.truth)
    rows.append(("measured", number(found.truth) if is_known else "not yet"))
    rows.append(("best known", number(found.best)))
    if found.model_check:
        rows.append(("model's optimum", found.model_check))
    return table(rows)


def _how(found: Any) -> str:
    """Return how it was judged, folded away."""
    order = sorted(found.contributions, key=lambda name: -abs(found.contributions[name]))
    rows = [
        (name.replace("_", " "), number(found.evidence[name]), f"{found.contributions[name]:+.2f}")
        for name in order
        if np.isfinite(found.evidence[name])
    ]
    settled = found.n_to_settle
    about = f" About {settled} evaluations would settle it." if settled else ""
    return folded(
        "How it was judged",
        f"<p>{escape(_MODES[found.mode] + about)} A gap of up to {number(found.regret)} to the "
        "best value there is counts as good; numbers of values below are in units of it.</p>",
        table(rows, ("evidence", "number", "adds to the log-odds")),
    )
