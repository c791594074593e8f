"""Infill where models refitted on half of the samples have their minima."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.infill._base import BaseInfill, Knowledge

__all__ = ["DoubtfulMinima"]


class DoubtfulMinima(BaseInfill):
    """Evaluate the minima that a diagnosis would doubt.

    The first point is the minimum of the proxy. Then come the minima, elsewhere, of models refitted
    on half of the samples, which `ProxyOptimizer.diagnose` uses too. If they disagree about where
    the minimum lies, an evaluation decides.

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
    >>> from sklearn_proxyopt.infill import DoubtfulMinima
    >>> from sklearn_proxyopt.problems import StyblinskiTang
    >>> from sklearn_proxyopt.samplers import SobolSampler
    >>> problem = StyblinskiTang(n_dims=2)
    >>> optimizer = ProxyOptimizer(
    ...     proxy="gp", sampler=SobolSampler(16), infill=DoubtfulMinima(n_points=4, n_rounds=2),
    ...     refiner=None, verdict=False, random_state=0)
    >>> result = optimizer.minimize(problem, problem.bounds)
    >>> result.nfev <= 16 + 2 * 4 + 1
    True
    """

    def _propose(self, known: Knowledge) -> NDArray[np.float64]:
        return np.vstack([known.minima[:1], known.doubts(), known.minima[1:]])
