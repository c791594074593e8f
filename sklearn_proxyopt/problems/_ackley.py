"""The Ackley function."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_proxyopt.problems._base import Problem

__all__ = ["Ackley"]


class Ackley(Problem):
    """A funnel with ripples, and a cusp at its bottom.

    -20 exp(-0.2 sqrt(mean of x_i^2)) - exp(mean of cos(2 pi x_i)) + 20 + e on [-5, 5]^d, with its
    minimum 0 at the origin, where it has no gradient. The usual box is [-32.768, 32.768]^d; this
    one is that of the published study [2]_.

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
    .. [1] Ackley, "A Connectionist Machine for Genetic Hillclimbing", Kluwer, 1987.
    .. [2] Albreiki, Belayouni and Gupta, "On Using Deep Learning Proxies as Forward Models in
       Optimization Problems", 2023, equation 3, :arxiv:`2301.07102`.

    Examples
    --------
    >>> from sklearn_proxyopt.problems import Ackley
    >>> Ackley()([[0.0, 0.0], [1.0, 1.0]]).round(3)
    array([0.   , 3.625])
    """

    half_width = 5.0
    optimum = 0.0

    def _evaluate(self, X: Any, xp: Any) -> Any:
        radius = xp.sqrt((X**2).mean(1))
        ripple = xp.cos(2.0 * np.pi * X).mean(1)
        # In this order of terms the value at the optimum is zero without rounding.
        return 20.0 * (1.0 - xp.exp(-0.2 * radius)) + (np.exp(1.0) - xp.exp(ripple))
