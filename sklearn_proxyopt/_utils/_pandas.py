"""pandas, which is not needed but for tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["add_notes", "numbered", "pandas_for"]


def pandas_for(name: str) -> Any:
    """Return pandas, or raise an error that names what needs it."""
    try:
        import pandas as pd
    except ImportError:
        raise ImportError(f"{name} needs pandas: pip install pandas.") from None
    return pd


def add_notes(frame: Any, notes: Mapping[str, Any]) -> None:
    """Add columns to a table; a name that it has already gets an underscore."""
    for name, column in notes.items():
        while name in frame.columns:
            name += "_"
        frame[name] = column


def numbered(name: str, output: int, n_outputs: int) -> str:
    """Return the name of a column about one of several outputs."""
    return name if n_outputs == 1 else f"{name}_{output}"
