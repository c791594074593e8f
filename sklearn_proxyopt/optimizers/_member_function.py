"""A member of an ensemble as a function by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._threads import one_thread

__all__ = ["MemberFunction"]


class MemberFunction:
    """One member of a proxy as a function by itself.

    Parameters
    ----------
    proxy : regressor
        Fitted, with `torch_module(member=...)`.
    member : int
        Which.
    """

    def __init__(self, proxy: Any, member: int) -> None:
        self._module = proxy.torch_module(member=member)

    def __call__(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values of shape (n,)."""
        import torch

        first = next(self._module.buffers())
        rows = np.ascontiguousarray(X)
        with torch.no_grad(), one_thread():
            values = self._module(torch.as_tensor(rows, dtype=first.dtype, device=first.device))
        return values[:, 0].cpu().double().numpy()

    def torch_module(self) -> Any:
        """Return the member as a torch module."""
        return self._module
