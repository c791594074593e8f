"""The Styblinski-Tang function."""

from __future__ import annotations

from typing import Any

from sklearn_proxyopt.problems._base import Problem

__all__ = ["StyblinskiTang"]


class StyblinskiTang(Problem):
    """Two basins along each axis, one of them a little lower.

    Half the sum over i of x_i^4 - 16 x_i^2 + 5 x_i on [-5, 5]^d, raised so that its minimum, at
    -2.9035 in each variable, is 0. It has 2^d minima.

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
    .. [1] Styblinski and Tang, "Experiments in Nonconvex Optimization", Neural Networks 3, 1990,
       :doi:`10.1016/0893-6080(90)90029-K`.

    Examples
    --------
    >>> from sklearn_proxyopt.problems import StyblinskiTang
    >>> StyblinskiTang()([[-2.903534, -2.903534], [2.746803, -2.903534]]).round(3)
    array([ 0.   , 14.138])
    """

    half_width = 5.0
    # The lowest root of 4 x^3 - 32 x + 5.
    optimum = -2.903534027771177

    def _evaluate(self, X: Any, xp: Any) -> Any:
        # The raised quartic has a double root at the minimum, so that no rounding takes it below.
        r = self.optimum
        return 0.5 * ((X - r) ** 2 * (X**2 + 2.0 * r * X + 3.0 * r**2 - 16.0)).sum(1)
