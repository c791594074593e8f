"""Displays as pictures within a page, whose lines and letters have the color of its text."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape
from itertools import count
from typing import Any

from sklearn_proxyopt.displays._base import pyplot

__all__ = ["Pictures"]

# The color that stands for that of the text, and is found again in the picture.
_INK = "#010203"
_INKED = (
    "text.color",
    "axes.edgecolor",
    "axes.labelcolor",
    "axes.titlecolor",
    "xtick.color",
    "ytick.color",
)
_CLEAR = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")


class Pictures:
    """Draws pictures for one page, in which no two parts have the same name."""

    def __init__(self) -> None:
        self._numbers = count()

    def drawn(self, draw: Callable[[], Any], caption: str) -> str:
        """Return a display as a picture of HTML.

        Parameters
        ----------
        draw : callable
            Returns a display, drawn.
        caption : str
            What it shows.

        Returns
        -------
        str
            A figure with an SVG inside.
        """
        plt = pyplot()
        colors = dict.fromkeys(_INKED, _INK) | dict.fromkeys(_CLEAR, "none")
        with plt.rc_context(colors | {"svg.fonttype": "path", "figure.max_open_warning": 0}):
            figure, file = draw().figure_, io.StringIO()
            figure.savefig(file, format="svg", metadata={"Date": None})
            plt.close(figure)
        picture = self._as_part(file.getvalue(), caption)
        return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"

    def _as_part(self, svg: str, caption: str) -> str:
        """Return a file of SVG as a part of a page."""
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
        svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg).replace(_INK, "currentColor")
        name = f"picture{next(self._numbers)}-"
        svg = re.sub(r'\bid="', f'id="{name}', svg)
        svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}", svg)
        label = f'role="img" aria-label="{escape(caption)}"'
        return re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', rf"<svg {label} \g<1>>", svg, count=1)
