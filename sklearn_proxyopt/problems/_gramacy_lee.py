"""The function of Gramacy and Lee."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_proxyopt.problems._base import Problem

__all__ = ["GramacyLee"]


class GramacyLee(Problem):
    """A wave of falling amplitude on a rising curve, in one variable.

    sin(10 pi x) / (2 x) + (x - 1)^4 on [0.5, 2.5], with its minimum -0.8690 at 0.5486.

    Attributes
    ----------
    bounds : ndarray of shape (1, 2)
        The box.
    x_opt : ndarray of shape (1, 1)
        The global minimum.
    f_opt : float
        The value there.

    References
    ----------
    .. [1] Gramacy and Lee, "Cases for the nugget in modeling computer experiments", Statistics and
       Computing 22 (3), 2012, :doi:`10.1007/s11222-010-9224-x`.

    Examples
    --------
    >>> from sklearn_proxyopt.problems import GramacyLee
    >>> problem = GramacyLee()
    >>> problem(problem.x_opt).round(4)
    array([-0.869])
    """

    # The root of the derivative, found with forty digits.
    optimum = 0.5485634445276051840686
    f_opt = -0.8690111349894997698816
    middle = 1.5
    half_width = 1.0

    def __init__(self) -> None:
        super().__init__(1)

    def _evaluate(self, X: Any, xp: Any) -> Any:
        x = X[:, 0]
        return xp.sin(10.0 * np.pi * x) / (2.0 * x) + (x - 1.0) ** 4

    def __repr__(self) -> str:
        return "GramacyLee()"
