"""What ends a run, or a search within it."""

from __future__ import annotations

__all__ = ["TOO_FEW_LEFT", "StopRun"]

TOO_FEW_LEFT = "too few evaluations were left for the next step"


class StopRun(Exception):  # noqa: N818 - it steers, and is no error
    """A run, or a search with a limit of its own, goes no further; the message says why."""
