"""Infill at the proxy's minima."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.infill._base import BaseInfill, Knowledge

__all__ = ["ProxyMinima"]


class ProxyMinima(BaseInfill):
    """Evaluate the proxy's distinct minima, the lowest first.

    Parameters
    ----------
    n_points : int, default=5
        Points per round.
    n_rounds : int, default=None
        Rounds at most. None makes 10, or with a budget as many as fit into half of what the design
        leaves.

    Examples
    --------
    >>> from sklearn_proxyopt import ProxyOptimizer
    >>> from sklearn_proxyopt.infill import ProxyMinima
    >>> from sklearn_proxyopt.problems import StyblinskiTang
    >>> from sklearn_proxyopt.samplers import SobolSampler
    >>> problem = StyblinskiTang(n_dims=2)
    >>> optimizer = ProxyOptimizer(
    ...     sampler=SobolSampler(32), infill=ProxyMinima(4, n_rounds=3), refiner=None,
    ...     verdict=False, random_state=0)
    >>> result = optimizer.minimize(problem, problem.bounds)
    >>> result.nfev
    45
    """

    def _propose(self, known: Knowledge) -> NDArray[np.float64]:
        return known.minima
