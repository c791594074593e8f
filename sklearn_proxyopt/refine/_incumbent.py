"""The best sample known before a refinement begins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._distances import ROUNDING

__all__ = ["read_incumbent"]


def read_incumbent(
    incumbent: Any, bounds: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return an incumbent's sample and outputs, or raise an error that says what is wrong with it.

    Moved into the box, a sample from outside of it would be another one, with another value.
    """
    row, outputs = (np.asarray(part, dtype=np.float64) for part in incumbent)
    slack = ROUNDING * (bounds[:, 1] - bounds[:, 0])
    is_inside = row.shape == (len(bounds),) and bool(
        ((bounds[:, 0] - slack <= row) & (row <= bounds[:, 1] + slack)).all()
    )
    if not is_inside:
        raise ValueError(
            f"incumbent must be a row inside bounds, {bounds.tolist()}, and its value; got "
            f"{row.tolist()}."
        )
    if outputs.ndim > 1 or outputs.shape == (1,):
        raise ValueError(
            "incumbent must be a row and its value, or an array of value and constraints; "
            f"got an array of shape {outputs.shape}."
        )
    return row, outputs
