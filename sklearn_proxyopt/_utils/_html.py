"""HTML for notebooks and reports: one style, no script, readable in light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from html import escape
from typing import Any

__all__ = ["card", "folded", "listed", "table", "text_of"]

# Letters and lines take the color of what is around them, so that a card is light where a notebook
# is dark, whatever switches that.
_STYLE = """
@ { max-width: 46em; padding: .6em .9em; line-height: 1.45; overflow-wrap: break-word;
    border: 1px solid color-mix(in srgb, currentColor 30%, transparent); border-radius: .4em; }
@ h4 { margin: .9em 0 .2em; font-size: 1em; }
@ p, @ ul, @ ol { margin: .3em 0; }
@ ul, @ ol { padding-left: 1.4em; }
@ table { border-collapse: collapse; margin: .4em 0; display: block; overflow-x: auto; }
@ th, @ td { text-align: left; padding: .15em .9em .15em 0; font-weight: normal; border: 0;
    background: none; vertical-align: top;
    border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); }
@ th { opacity: .75; }
@ td { font-variant-numeric: tabular-nums; }
@ summary { cursor: pointer; margin-top: .6em; opacity: .8; }
"""


def card(*parts: str, style: str = "") -> str:
    """Return parts as one element with its own style.

    Parameters
    ----------
    *parts : str
        HTML.
    style : str, default=""
        Further rules of CSS, in which "@" stands for the card.

    Returns
    -------
    str
        A `div`, whose style holds for nothing else.
    """
    body = "".join(parts)
    name = f"proxyopt-{sha256(body.encode()).hexdigest()[:10]}"
    rules = (_STYLE + style).replace("@", f"#{name}")
    return f'<div id="{name}"><style>{rules}</style>{body}</div>'


def table(rows: Iterable[Sequence[Any]], header: Sequence[str] = ()) -> str:
    """Return a table; the first cell of each row is its name, unless there is a header."""
    head = "".join(f"<th>{escape(one)}</th>" for one in header)
    first = "td" if header else "th"
    lines = [
        f"<tr><{first}>{text_of(name)}</{first}>"
        + "".join(f"<td>{text_of(cell)}</td>" for cell in cells)
        + "</tr>"
        for name, *cells in rows
    ]
    return f"<table>{f'<tr>{head}</tr>' if head else ''}{''.join(lines)}</table>"


def listed(items: Iterable[str], kind: str = "ul") -> str:
    """Return texts as a list."""
    return f"<{kind}>{''.join(f'<li>{escape(item)}</li>' for item in items)}</{kind}>"


def folded(summary: str, *parts: str) -> str:
    """Return parts that are shown once their summary is clicked."""
    return f"<details><summary>{escape(summary)}</summary>{''.join(parts)}</details>"


def text_of(value: Any) -> str:
    """Return a value as escaped text, numbers with six digits."""
    return escape(f"{value:.6g}" if isinstance(value, float) else str(value))
