"""pandas, which is not needed but for tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["add_notes", "in_order_of_rows", "is_missing", "numbered", "pandas_for"]


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


def is_missing(value: Any) -> bool:
    """Tell whether an entry is None, or what pandas has in the place of one that is missing."""
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def in_order_of_rows(values: Any, n_rows: int) -> Any:
    """Return a Series or DataFrame in the order of rows 0, 1, ..., if its index names them.

    What has another index, or none, is returned as it is.
    """
    if not hasattr(values, "iloc"):
        return values
    labels = np.asarray(values.index)
    if labels.shape != (n_rows,) or labels.dtype.kind not in "iuf":
        return values
    order = np.argsort(labels, kind="stable")
    names_all = np.array_equal(labels[order], np.arange(n_rows))
    return values.iloc[order] if names_all else values
