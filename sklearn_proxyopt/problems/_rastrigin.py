"""The Rastrigin function."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_proxyopt.problems._base import Problem

__all__ = ["Rastrigin"]


class Rastrigin(Problem):
    """A bowl covered with about ten traps along each axis.

    10 d plus the sum over i of x_i^2 - 10 cos(2 pi x_i) on [-5.12, 5.12]^d, with its minimum 0 at
    the origin.

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

    References
    ----------
    .. [1] Rastrigin, "Systems of Extremal Control", Nauka, 1974.

    Examples
    --------
    >>> from sklearn_proxyopt.problems import Rastrigin
    >>> Rastrigin()([[0.0, 0.0], [1.0, 0.0]])
    array([0., 1.])
    """

    half_width = 5.12
    optimum = 0.0

    def _evaluate(self, X: Any, xp: Any) -> Any:
        return (X**2 - 10.0 * xp.cos(2.0 * np.pi * X) + 10.0).sum(1)
