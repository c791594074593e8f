"""Numbers and points as a diagnosis writes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_proxyopt._utils._words import some_of

__all__ = ["chance_in_words", "check_in_words", "number", "point_in_words"]

# Settings of a point that are named.
_MOST_SETTINGS = 4
# The share of a value that rounding may change.
_ROUNDING = 1e-9


def number(value: float) -> str:
    """Return a number with three significant digits."""
    return f"{float(f'{value:.3g}'):g}"


def chance_in_words(probability: float) -> str:
    """Return a probability in percent; none is certain."""
    percent = 100.0 * probability
    if percent < 1.0:
        return "below 1 %"
    return "above 99 %" if percent > 99.0 else f"{int(percent)} %"


def check_in_words(predicted: float, measured: float, tolerated: float, missed: float = 0.0) -> str:
    """Return what came of measuring at the optimum of a model.

    Parameters
    ----------
    predicted, measured : float
        The values there.
    tolerated : float
        By how much they may differ, NaN where that is not known.
    missed : float, default=0.0
        By how much a constraint is violated there.
    """
    text = f"predicted {predicted:.5g}, measured {measured:.5g}"
    if missed > 0.0:
        return f"{text}, a constraint violated by {number(missed)}"
    if np.isnan(tolerated):
        return text
    is_right = abs(predicted - measured) <= max(tolerated, _ROUNDING * abs(measured))
    return f"{text}: the model is {'right' if is_right else 'wrong'} there"


def point_in_words(settings: dict[str, Any]) -> str:
    """Return the settings of a point, the first of them where they are many."""
    return some_of([f"{name} {_text(value)}" for name, value in settings.items()], _MOST_SETTINGS)


def _text(value: Any) -> str:
    return number(float(value)) if isinstance(value, float | np.floating) else str(value)
