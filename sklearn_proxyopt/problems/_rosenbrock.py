"""The Rosenbrock function."""

from __future__ import annotations

from typing import Any

from sklearn_proxyopt._utils._validation import check_integer
from sklearn_proxyopt.problems._base import Problem

__all__ = ["Rosenbrock"]


class Rosenbrock(Problem):
    """A curved valley that is easy to find and slow to follow.

    The sum over i of 100 (x_{i+1} - x_i^2)^2 + (x_i - 1)^2 on [-2.048, 2.048]^d, with its minimum
    0 at (1, ..., 1). From four variables on there is a second, local minimum near (-1, 1, ..., 1).

    Parameters
    ----------
    n_dims : int, default=2
        Number of variables, at least 2.

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
    .. [1] Rosenbrock, "An Automatic Method for Finding the Greatest or Least Value of a Function",
       The Computer Journal 3 (3), 1960, :doi:`10.1093/comjnl/3.3.175`.

    Examples
    --------
    >>> from sklearn_proxyopt.problems import Rosenbrock
    >>> Rosenbrock()([[1.0, 1.0], [0.0, 0.0]])
    array([0., 1.])
    """

    half_width = 2.048
    optimum = 1.0

    def __init__(self, n_dims: int = 2) -> None:
        check_integer(n_dims, "n_dims", minimum=2)
        super().__init__(n_dims)

    def _evaluate(self, X: Any, xp: Any) -> Any:
        head, tail = X[:, :-1], X[:, 1:]
        return (100.0 * (tail - head**2) ** 2 + (head - 1.0) ** 2).sum(1)
