"""Infill by expected improvement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from sklearn_proxyopt.infill._acquisition import AcquisitionInfill

__all__ = ["ExpectedImprovement"]

# Beyond this the normal density is zero in double precision.
_LARGEST_SCORE = 40.0


class ExpectedImprovement(AcquisitionInfill):
    """Evaluate where the lowest value is expected to fall the most [1]_.

    Needs a proxy with `predict(X, return_std=True)`. The points of a round are chosen one after
    another, each lowering the gain around it.

    Parameters
    ----------
    n_points : int, default=5
        Points per round.
    n_rounds : int, default=None
        Rounds at most. None makes 10, or with a budget as many as fit into half of what the design
        leaves.

    References
    ----------
    .. [1] Jones, Schonlau and Welch, "Efficient Global Optimization of Expensive Black-Box
       Functions", Journal of Global Optimization 13, 1998, equation 15,
       :doi:`10.1023/A:1008306431147`.

    Examples
    --------
    >>> from sklearn_proxyopt import ProxyOptimizer
    >>> from sklearn_proxyopt.infill import ExpectedImprovement
    >>> from sklearn_proxyopt.problems import StyblinskiTang
    >>> from sklearn_proxyopt.samplers import SobolSampler
    >>> problem = StyblinskiTang(n_dims=2)
    >>> infill = ExpectedImprovement(n_points=4, n_rounds=2)
    >>> optimizer = ProxyOptimizer(
    ...     proxy="gp", sampler=SobolSampler(16), infill=infill, refiner=None, verdict=False,
    ...     random_state=0)
    >>> result = optimizer.minimize(problem, problem.bounds)
    >>> result.nfev <= 16 + 2 * 4 + 1
    True
    """

    def _gain(
        self, mean: NDArray[np.float64], deviation: NDArray[np.float64], lowest: float
    ) -> NDArray[np.float64]:
        deviation = np.maximum(deviation, 1e-300)
        improvement = lowest - mean
        score = np.clip(improvement / deviation, -_LARGEST_SCORE, _LARGEST_SCORE)
        gain: NDArray[np.float64] = improvement * norm.cdf(score) + deviation * norm.pdf(score)
        return np.maximum(gain, 0.0)
