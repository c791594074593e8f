"""Warnings that point at the line of the user's program."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn_user"]

# Modules between the user's line and the place that warns.
_BETWEEN = ("sklearn_proxyopt", "sklearn", "contextlib", "joblib")


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn at the innermost line that is not of this package, nor of what calls it."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and _is_between(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _is_between(module: str) -> bool:
    return module.partition(".")[0] in _BETWEEN
