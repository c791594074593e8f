"""Infill where proxies of half of the rows see their minima."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.infill._base import BaseInfill, Knowledge

__all__ = ["DoubtfulMinima"]


class DoubtfulMinima(BaseInfill):
    """Evaluate the minima that a diagnosis would doubt.

    After the proxy's own minimum come those that proxies of half of the rows have elsewhere, the
    ones that `ProxyOptimizer.diagnose` asks for second opinions: where they disagree on the place
    of the minimum, an evaluation settles it.

    Parameters
    ----------
    n_points : int, default=5
        Points a round.
    n_rounds : int, default=None
        Rounds at most. None makes 10, or with a budget as many as half of what it leaves after the
        design pays for.
    """

    def _propose(self, known: Knowledge) -> NDArray[np.float64]:
        return np.vstack([known.minima[:1], known.doubts(), known.minima[1:]])
