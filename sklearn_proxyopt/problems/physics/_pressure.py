"""The pressure that makes a flow on a staggered grid free of divergence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from sklearn_proxyopt._utils._constants import Constants

__all__ = ["Projection"]


class Projection:
    """The nearest flow without divergence that does not pass through solid cells.

    The grid is small enough for the inverse of the Laplacian to be kept as a dense matrix, which
    solves for the pressure of a whole batch exactly and in one product.

    Parameters
    ----------
    solid : ndarray of shape (n_cells, n_cells)
        True for the cells that hold no fluid.

    Attributes
    ----------
    open_u : ndarray of shape (n_cells + 1, n_cells)
        True for the vertical faces that let fluid through.
    open_v : ndarray of shape (n_cells, n_cells + 1)
        True for the horizontal faces that do.
    """

    def __init__(self, solid: NDArray[np.bool_]) -> None:
        self.n_cells = len(solid)
        fluid = np.pad(~solid, 1)
        self.open_u = fluid[1:, 1:-1] & fluid[:-1, 1:-1]
        self.open_v = fluid[1:-1, 1:] & fluid[1:-1, :-1]
        self._constants: Constants | None = None

    def __call__(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the flow without its divergence and without flow through solid faces."""
        if self._constants is None:
            self._constants = Constants(self.open_u, self.open_v, self._inverse())
        open_u, open_v, inverse = self._constants.on(u.device, u.dtype)
        u, v = u * open_u, v * open_v
        outflow = u.diff(dim=1) + v.diff(dim=2)
        pressure = (outflow.flatten(1) @ inverse).view_as(outflow)
        u = u - open_u * pad(pressure.diff(dim=1), (0, 0, 1, 1))
        v = v - open_v * pad(pressure.diff(dim=2), (1, 1))
        return u, v

    def _inverse(self) -> NDArray[np.float64]:
        """Return the pseudo-inverse of the Laplacian of the cells that are joined by faces."""
        n_cells = self.n_cells
        index = np.arange(n_cells**2).reshape(n_cells, n_cells)
        pairs = [
            (index[:-1][self.open_u[1:-1]], index[1:][self.open_u[1:-1]]),
            (index[:, :-1][self.open_v[:, 1:-1]], index[:, 1:][self.open_v[:, 1:-1]]),
        ]
        laplacian = np.zeros((n_cells**2, n_cells**2))
        for one, other in pairs:
            laplacian[one, other] = laplacian[other, one] = 1.0
        laplacian -= np.diag(laplacian.sum(axis=1))
        return np.asarray(np.linalg.pinv(laplacian, hermitian=True, rcond=1e-12), dtype=np.float64)

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_tensors": {}}
