"""pandas, which is not needed but for tables."""

from __future__ import annotations

from typing import Any

__all__ = ["pandas_for"]


def pandas_for(name: str) -> Any:
    """Return pandas, or raise an error that names what needs it."""
    try:
        import pandas as pd
    except ImportError:
        raise ImportError(f"{name} needs pandas: pip install pandas.") from None
    return pd
