"""Infill at the minima of an ensemble's members."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._seeding import seed_argument
from sklearn_proxyopt.infill._base import BaseInfill, Knowledge, members_of
from sklearn_proxyopt.optimizers._functions import offers_module

__all__ = ["ThompsonSampling"]


class ThompsonSampling(BaseInfill):
    """Evaluate the minimum of each member of an ensemble.

    Each member stands for a function that the rows allow; where they agree, points gather, where
    not, they spread. Needs a `NeuralProxyRegressor` of several members.

    Parameters
    ----------
    n_points : int, default=5
        Points per round.
    n_rounds : int, default=None
        Rounds at most. None makes 10, or with a budget as many as fit into half of what the design
        leaves.
    """

    def check_proxy(self, proxy: Any) -> None:
        """Raise an error unless the proxy has members.

        Parameters
        ----------
        proxy : regressor
            Not fitted yet.
        """
        if not offers_module(proxy) or (members_of(proxy) or 1) < 2:
            raise ValueError(
                "proxy must have members for ThompsonSampling, as NeuralProxyRegressor("
                f"n_members=5) has; got {proxy!r}."
            )

    def _propose(self, known: Knowledge) -> NDArray[np.float64]:
        seed = seed_argument(known.optimizer, int(known.rng.integers(2**31 - 1)))
        options = {"bounds": known.bounds, "x0": known.best, **seed}
        if offers_module(known.proxy):
            found = known.optimizer.minimize_members(known.proxy, **options)
        else:
            # No torch module knows nonlinear constraints.
            found = [known.optimizer.minimize(one, **options) for one in known.proxy.members()]
        minima = np.array([one.x for one in found])
        others = [one.x_candidates[1:] for one in found]
        return np.vstack([known.rng.permutation(minima), *others])
