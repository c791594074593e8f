"""Functions that follow from a proxy, as a proxy with members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_proxyopt._utils._threads import threads_for
from sklearn_proxyopt._utils._torch_modes import plain_torch

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MemberFunctions"]

_ROWS_PER_BLOCK = 1024


class MemberFunctions:
    """Functions that follow from a fitted proxy; each is a member.

    Parameters
    ----------
    module : torch.nn.Module
        The functions.
    single_output : bool
        Whether they return one value a sample.
    """

    def __init__(self, module: Any, single_output: bool) -> None:
        self._module, self._single_output = module, single_output

    def predict_members(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the value of each, (n_members, n) or (n_members, n, n_outputs)."""
        import torch

        center = self._module.center
        rows = torch.tensor(np.asarray(X), dtype=center.dtype, device=center.device)
        with plain_torch(), torch.no_grad(), threads_for(len(rows)):
            blocks = [self._module.members(block) for block in rows.split(_ROWS_PER_BLOCK)]
        values: NDArray[np.float64] = torch.cat(blocks, dim=1).cpu().double().numpy()
        return values[:, :, 0] if self._single_output else values

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the mean of all, (n,) or (n, n_outputs)."""
        mean: NDArray[np.float64] = self.predict_members(X).mean(axis=0)
        return mean

    def torch_module(self, *, member: int | None = None) -> nn.Module:
        """Return one of them, or all, as a module like that of a proxy."""
        module: nn.Module = self._module if member is None else self._module.member(member)
        return module.eval()
