"""Infill at the minima of functions that the samples allow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._seeding import seed_argument
from sklearn_proxyopt.infill._base import BaseInfill, Knowledge, members_of
from sklearn_proxyopt.optimizers._functions import offers_module

__all__ = ["ThompsonSampling"]


class ThompsonSampling(BaseInfill):
    """Evaluate the minima of random functions that agree with the samples (posterior draws).

    These are drawn from the Gaussian processes of a `ProxyRegressor` or `KernelProxyRegressor`, one
    for each point, or they are the members of a `NeuralProxyRegressor` that has several. Where they
    agree, points gather, where not, they spread.

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
    >>> from sklearn_proxyopt.infill import ThompsonSampling
    >>> from sklearn_proxyopt.problems import StyblinskiTang
    >>> from sklearn_proxyopt.samplers import SobolSampler
    >>> problem = StyblinskiTang(n_dims=2)
    >>> optimizer = ProxyOptimizer(
    ...     proxy="gp", sampler=SobolSampler(16), infill=ThompsonSampling(n_points=4, n_rounds=2),
    ...     refiner=None, verdict=False, random_state=0)
    >>> result = optimizer.minimize(problem, problem.bounds)
    >>> result.nfev <= 16 + 2 * 4 + 1
    True
    """

    def check_proxy(self, proxy: Any) -> None:
        """Raise an error unless the proxy has members or draws functions.

        Parameters
        ----------
        proxy : regressor
            Not fitted yet.
        """
        if hasattr(proxy, "draw_functions"):
            return
        if not offers_module(proxy) or (members_of(proxy) or 1) < 2:
            raise ValueError(
                "proxy must draw functions for ThompsonSampling, as ProxyRegressor() does, or have "
                f"members, as NeuralProxyRegressor(n_members=5) has; got {proxy!r}."
            )

    def _propose(self, known: Knowledge) -> NDArray[np.float64]:
        seed = seed_argument(known.optimizer, int(known.rng.integers(2**31 - 1)))
        options = {"bounds": known.bounds, "x0": known.best, **seed}
        proxy = known.proxy
        if known.draw is not None:
            proxy = known.draw(self.n_points, int(known.rng.integers(2**31 - 1)))
        if offers_module(proxy):
            found = known.optimizer.minimize_members(proxy, **options)
        else:
            # No torch module knows nonlinear constraints.
            found = [known.optimizer.minimize(one, **options) for one in proxy.members()]
        minima = np.array([one.x for one in found])
        others = [one.x_candidates[1:] for one in found]
        return np.vstack([known.rng.permutation(minima), *others])
