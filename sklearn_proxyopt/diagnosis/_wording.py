"""Numbers and points as a diagnosis writes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_proxyopt._utils._words import some_of

__all__ = ["chance_in_words", "number", "point_in_words"]

# Settings of a point that are named.
_MOST_SETTINGS = 4


def number(value: float) -> str:
    """Return a number with three significant digits."""
    return f"{float(f'{value:.3g}'):g}"


def chance_in_words(probability: float) -> str:
    """Return a probability in percent; none is certain."""
    percent = 100.0 * probability
    if percent < 1.0:
        return "below 1 %"
    return "above 99 %" if percent > 99.0 else f"{int(percent)} %"


def point_in_words(settings: dict[str, Any]) -> str:
    """Return the settings of a point, the first of them where they are many."""
    return some_of([f"{name} {_text(value)}" for name, value in settings.items()], _MOST_SETTINGS)


def _text(value: Any) -> str:
    return number(float(value)) if isinstance(value, float | np.floating) else str(value)
