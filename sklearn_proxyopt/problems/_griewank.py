"""The Griewank function."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_proxyopt.problems._base import Problem

__all__ = ["Griewank"]


class Griewank(Problem):
    """A shallow bowl under waves that run in every direction.

    The sum over i of x_i^2 / 4000, less the product over i of cos(x_i / sqrt(i)), plus 1, with its
    minimum 0 at the origin. The box is [-10, 10]^d, where the waves are higher than the bowl; on
    the customary [-600, 600]^d they are hardly seen.

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
    .. [1] Griewank, "Generalized Descent for Global Optimization", Journal of Optimization Theory
       and Applications 34, 1981, :doi:`10.1007/BF00933356`.

    Examples
    --------
    >>> from sklearn_proxyopt.problems import Griewank
    >>> Griewank()([[0.0, 0.0], [10.0, 0.0]]).round(3)
    array([0.   , 1.864])
    """

    half_width = 10.0
    optimum = 0.0

    def _evaluate(self, X: Any, xp: Any) -> Any:
        roots = np.sqrt(np.arange(1.0, self.n_dims + 1.0))
        if xp is not np:
            roots = xp.tensor(roots, dtype=X.dtype, device=X.device)
        return (X**2).sum(1) / 4000.0 - xp.cos(X / roots).prod(1) + 1.0
