"""Infill in a region around the best sample, which grows and shrinks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._box import to_unit_cube
from sklearn_proxyopt._utils._validation import check_real
from sklearn_proxyopt.infill._base import BaseInfill, Knowledge

__all__ = ["TrustRegion"]

_GROWS, _SHRINKS = 1.5, 0.6
# The proxy of a region learns from at least this many samples for each variable.
_ROWS_PER_VARIABLE = 10
# Samples up to this many half widths from the best one matter.
_REACH = 1.5


class TrustRegion(BaseInfill):
    """Evaluate the minima of a proxy of the best sample's neighborhood.

    The proxy is learned anew from the samples in and near the region, and at least from the nearest
    10 for each variable. After a round that found a lower value the region grows, otherwise it
    shrinks.

    Parameters
    ----------
    n_points : int, default=5
        Points per round.
    n_rounds : int, default=None
        Rounds at most. None makes 10, or with a budget as many as fit into half of what the design
        leaves.
    initial_width : float, default=0.4
        Width of the first region as a share of the box's.
    min_width : float, default=1e-4
        Below this width the region begins anew with its first one.

    Attributes
    ----------
    width_ : float
        Width of the region of the last round.

    Examples
    --------
    >>> from sklearn_proxyopt import ProxyOptimizer
    >>> from sklearn_proxyopt.infill import TrustRegion
    >>> from sklearn_proxyopt.problems import StyblinskiTang
    >>> from sklearn_proxyopt.samplers import SobolSampler
    >>> problem = StyblinskiTang(n_dims=2)
    >>> optimizer = ProxyOptimizer(
    ...     proxy="gp", sampler=SobolSampler(16), infill=TrustRegion(n_points=4, n_rounds=2),
    ...     refiner=None, verdict=False, random_state=0)
    >>> result = optimizer.minimize(problem, problem.bounds)
    >>> result.nfev <= 16 + 2 * 4 + 1
    True
    """

    width_: float
    _lowest: float

    def __init__(
        self,
        n_points: int = 5,
        n_rounds: int | None = None,
        *,
        initial_width: float = 0.4,
        min_width: float = 1e-4,
    ) -> None:
        super().__init__(n_points, n_rounds)
        self.initial_width = initial_width
        self.min_width = min_width

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        super().check_parameters()
        for name in ("initial_width", "min_width"):
            check_real(getattr(self, name), name, minimum=0.0, maximum=1.0, include_minimum=False)
        if self.min_width > self.initial_width:
            raise ValueError(
                f"min_width must not exceed initial_width={self.initial_width!r}; "
                f"got {self.min_width!r}."
            )

    def _begin_round(self, known: Knowledge) -> None:
        lowest = float(known.y.min())
        if not hasattr(self, "width_"):
            self.width_ = self.initial_width
        else:
            self.width_ *= _GROWS if lowest < self._lowest else _SHRINKS
            if self.width_ < self.min_width:
                self.width_ = self.initial_width
            self.width_ = min(self.width_, 1.0)
        self._lowest = lowest

    def _region(self, known: Knowledge) -> NDArray[np.float64]:
        lower, upper = known.bounds.T
        half = self.width_ * (upper - lower) / 2
        center = np.clip(known.best, lower + half, upper - half)
        # The last bits of the sides may leave out the best sample at the border of the box.
        low, high = np.minimum(center - half, known.best), np.maximum(center + half, known.best)
        return np.clip(np.column_stack([low, high]), lower[:, None], upper[:, None])

    def _propose(self, known: Knowledge) -> NDArray[np.float64]:
        units = to_unit_cube(known.X, known.bounds)
        distance = np.abs(units - to_unit_cube(known.best, known.bounds)).max(axis=1)
        n_least = _ROWS_PER_VARIABLE * units.shape[1]
        n_near = max(int((distance <= _REACH * self.width_ / 2).sum()), n_least)
        near = np.sort(np.argsort(distance, kind="stable")[:n_near])
        _, minima = known.learn(near, self._region(known))
        return minima
