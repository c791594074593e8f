"""Infill at the lower confidence bound."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._validation import check_real
from sklearn_proxyopt.infill._acquisition import AcquisitionInfill

__all__ = ["LowerConfidenceBound"]


class LowerConfidenceBound(AcquisitionInfill):
    """Evaluate where the prediction less some standard deviations is lowest.

    Needs a proxy with `predict(X, return_std=True)`. The points of a round are chosen one after
    another, each raising the bound around it.

    Parameters
    ----------
    n_points : int, default=5
        Points per round.
    n_rounds : int, default=None
        Rounds at most. None makes 10, or with a budget as many as fit into half of what the design
        leaves.
    n_deviations : float, default=2.0
        Standard deviations that the bound lies below the prediction.

    Examples
    --------
    >>> from sklearn_proxyopt import ProxyOptimizer
    >>> from sklearn_proxyopt.infill import LowerConfidenceBound
    >>> from sklearn_proxyopt.problems import StyblinskiTang
    >>> from sklearn_proxyopt.samplers import SobolSampler
    >>> problem = StyblinskiTang(n_dims=2)
    >>> infill = LowerConfidenceBound(n_points=4, n_rounds=2)
    >>> optimizer = ProxyOptimizer(
    ...     proxy="gp", sampler=SobolSampler(16), infill=infill, refiner=None, verdict=False,
    ...     random_state=0)
    >>> result = optimizer.minimize(problem, problem.bounds)
    >>> result.nfev <= 16 + 2 * 4 + 1
    True
    """

    def __init__(
        self, n_points: int = 5, n_rounds: int | None = None, *, n_deviations: float = 2.0
    ) -> None:
        super().__init__(n_points, n_rounds)
        self.n_deviations = n_deviations

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        super().check_parameters()
        check_real(self.n_deviations, "n_deviations", minimum=0.0)

    def _gain(
        self, mean: NDArray[np.float64], deviation: NDArray[np.float64], lowest: float
    ) -> NDArray[np.float64]:
        bound = mean - self.n_deviations * deviation
        return np.maximum(lowest + float(np.ptp(mean)) - bound, 0.0)
