"""The ellipsoid."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_proxyopt.problems._base import Problem

__all__ = ["Ellipsoid"]


class Ellipsoid(Problem):
    """A smooth valley that is a thousand times steeper along its last axis than along its first.

    The sum over i of 1000^((i - 1) / (d - 1)) x_i^2 on [-5, 5]^d, with its minimum 0 at the origin
    and no other.

    Parameters
    ----------
    n_dims : int, default=2
        Number of variables.

    Attributes
    ----------
    bounds : ndarray of shape (n_dims, 2)
        The box.
    x_opt : ndarray of shape (1, n_dims)
        The global minimum.
    f_opt : float
        The value there.

    Examples
    --------
    >>> from sklearn_proxyopt.problems import Ellipsoid
    >>> Ellipsoid()([[1.0, 0.0], [0.0, 1.0]])
    array([   1., 1000.])
    """

    half_width = 5.0
    optimum = 0.0

    def _evaluate(self, X: Any, xp: Any) -> Any:
        weights = np.logspace(0.0, 3.0, self.n_dims) if self.n_dims > 1 else np.ones(1)
        if xp is not np:
            weights = xp.tensor(weights, dtype=X.dtype, device=X.device)
        return (weights * X**2).sum(1)
