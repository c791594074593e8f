"""Words in a line."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["some_of"]


def some_of(words: Sequence[str], most: int) -> str:
    """Return the first of some words, with commas between them, and how many more there are."""
    n_more = len(words) - most
    return ", ".join([*words[:most], *([f"and {n_more} more"] if n_more > 0 else [])])
