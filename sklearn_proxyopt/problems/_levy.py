"""The Levy function."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_proxyopt.problems._base import Problem

__all__ = ["Levy"]


class Levy(Problem):
    """A bowl with waves that grow towards its rim.

    With w_i = 1 + (x_i - 1) / 4: sin^2(pi w_1), plus the sum over i < d of (w_i - 1)^2
    (1 + 10 sin^2(pi w_i + 1)), plus (w_d - 1)^2 (1 + sin^2(2 pi w_d)), on [-10, 10]^d, with its
    minimum 0 at (1, ..., 1).

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
    .. [1] Laguna and Marti, "Experimental Testing of Advanced Scatter Search Designs for Global
       Optimization of Multimodal Functions", Journal of Global Optimization 33, 2005,
       :doi:`10.1007/s10898-004-1936-z`.

    Examples
    --------
    >>> from sklearn_proxyopt.problems import Levy
    >>> Levy()([[1.0, 1.0], [1.0, 5.0]]).round(3)
    array([0., 1.])
    """

    half_width = 10.0
    optimum = 1.0

    def _evaluate(self, X: Any, xp: Any) -> Any:
        step = (X - 1.0) / 4.0
        # With w = 1 + step, sin(pi w) = -sin(pi step), and that vanishes exactly at the minimum.
        first = xp.sin(np.pi * step[:, 0]) ** 2
        inner = step[:, :-1] ** 2 * (1.0 + 10.0 * xp.sin(np.pi * (step[:, :-1] + 1.0) + 1.0) ** 2)
        last = step[:, -1] ** 2 * (1.0 + xp.sin(2.0 * np.pi * step[:, -1]) ** 2)
        return first + inner.sum(1) + last
