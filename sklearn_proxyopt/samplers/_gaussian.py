"""Gaussian designs around a guess."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import truncnorm

from sklearn_proxyopt._utils._validation import check_option
from sklearn_proxyopt.samplers._base import BaseSampler

__all__ = ["GaussianSampler"]


class GaussianSampler(BaseSampler):
    """Draw points from a normal distribution around a guess of where the minimum lies.

    Parameters
    ----------
    n_samples : int, default=100
        Number of points.
    center : array-like of shape (n_features,), default=None
        The guess, in the user's units, inside the bounds. None takes the middle of the bounds.
    spread : float or array-like of shape (n_features,), default=1/3
        Standard deviation of each variable as a share of half the width of the bounds.
    outside : {"reject", "clip"}, default="reject"
        What becomes of draws outside the bounds: drawn again, or moved to the nearest side, where
        points then pile up.
    random_state : None, int, RandomState or Generator, default=None
        Draws the points.

    Attributes
    ----------
    bounds_ : ndarray of shape (n_features, 2)
        The bounds read by `fit`, if it was called.

    Notes
    -----
    The default spread is that of the published study [1]_, which does not keep its points inside
    the box.

    References
    ----------
    .. [1] Albreiki, Belayouni and Gupta, "On Using Deep Learning Proxies as Forward Models in
       Optimization Problems", 2023, :arxiv:`2301.07102`.

    Examples
    --------
    >>> from sklearn_proxyopt.samplers import GaussianSampler
    >>> design = GaussianSampler(500, center=[1.0], random_state=0).sample([[-2, 2]])
    >>> bool(abs(design.mean() - 1.0) < 0.2), bool(design.max() <= 2.0)
    (True, True)
    """

    def __init__(
        self,
        n_samples: int = 100,
        *,
        center: ArrayLike | None = None,
        spread: float | ArrayLike = 1 / 3,
        outside: str = "reject",
        random_state: Any = None,
    ) -> None:
        self.n_samples = n_samples
        self.center = center
        self.spread = spread
        self.outside = outside
        self.random_state = random_state

    def _sample_box(
        self, n_samples: int, bounds: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        check_option(self.outside, "outside", ("reject", "clip"))
        lower, upper = bounds.T
        center = self._center(bounds)
        try:
            spread = np.broadcast_to(np.asarray(self.spread, dtype=np.float64), center.shape)
        except (TypeError, ValueError):
            raise ValueError(
                f"spread must be a number or have shape ({len(bounds)},); got {self.spread!r}."
            ) from None
        if not (np.isfinite(spread).all() and (spread > 0).all()):
            raise ValueError(f"spread must be positive and finite; got {self.spread!r}.")
        deviation = spread * (upper - lower) / 2
        shape = (n_samples, len(bounds))
        if self.outside == "clip":
            points = center + deviation * rng.standard_normal(shape)
        else:
            # Redrawing what falls outside is drawing from the truncated distribution.
            left, right = (lower - center) / deviation, (upper - center) / deviation
            draws = truncnorm.rvs(left, right, size=shape, random_state=rng)
            points = center + deviation * draws
        return np.clip(points, lower, upper)

    def _center(self, bounds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the center, checked."""
        if self.center is None:
            return bounds.mean(axis=1)
        try:
            center = np.asarray(self.center, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(
                f"center must be numbers of shape ({len(bounds)},); got {self.center!r}."
            ) from None
        if center.shape != (len(bounds),):
            raise ValueError(f"center must have shape ({len(bounds)},); got {center.shape}.")
        if not ((bounds[:, 0] <= center) & (center <= bounds[:, 1])).all():
            raise ValueError(f"center must lie inside the box; got {center.tolist()}.")
        return center
