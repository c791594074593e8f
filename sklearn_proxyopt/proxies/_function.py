"""A fitted proxy as the function that an optimizer searches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ProxyFunction"]


class ProxyFunction:
    """A fitted regressor seen as a vectorised function.

    It has `value_and_grad` and `torch_module` only where the regressor has them, so that an
    optimizer may ask by `hasattr`.

    Parameters
    ----------
    proxy : regressor
        Fitted, with one target.
    """

    def __init__(self, proxy: Any) -> None:
        self.proxy = proxy
        for name in ("value_and_grad", "torch_module"):
            if hasattr(proxy, name):
                setattr(self, name, getattr(proxy, name))

    def __call__(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return predictions of shape (n,)."""
        values = np.asarray(self.proxy.predict(X), dtype=np.float64)
        if values.shape == (len(X), 1):
            values = values[:, 0]
        if values.shape != (len(X),):
            raise ValueError(
                f"proxy must predict one value a row, of shape ({len(X)},); "
                f"got shape {values.shape}."
            )
        return values
