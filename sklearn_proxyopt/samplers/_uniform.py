"""Uniform random designs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.samplers._base import UnitCubeSampler

__all__ = ["UniformSampler"]


class UniformSampler(UnitCubeSampler):
    """Draw points independently and uniformly over the search space.

    Parameters
    ----------
    n_samples : int, default=100
        Number of points.
    random_state : None, int, RandomState or Generator, default=None
        Draws the points.

    Attributes
    ----------
    bounds_ : ndarray of shape (n_features, 2)
        The bounds read by `fit`, if it was called.

    Examples
    --------
    >>> from sklearn_proxyopt.samplers import UniformSampler
    >>> UniformSampler(8, random_state=0).sample([[0, 1], [-5, 5]]).shape
    (8, 2)
    """

    def __init__(self, n_samples: int = 100, *, random_state: Any = None) -> None:
        self.n_samples = n_samples
        self.random_state = random_state

    def _sample_unit(
        self, n_samples: int, n_features: int, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        return rng.random((n_samples, n_features))
