"""Halton designs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from sklearn_proxyopt._utils._validation import check_option
from sklearn_proxyopt.samplers._base import UnitCubeSampler

__all__ = ["HaltonSampler"]


class HaltonSampler(UnitCubeSampler):
    """Draw the first points of a Halton sequence, which fills the box evenly.

    Parameters
    ----------
    n_samples : int, default=100
        Number of points.
    scramble : bool, default=True
        Whether the sequence is scrambled at random. Without, its first point is the lower corner
        of the box, and the design is always the same.
    random_state : None, int, RandomState or Generator, default=None
        Scrambles the sequence.

    Attributes
    ----------
    bounds_ : ndarray of shape (n_features, 2)
        The bounds read by `fit`, if it was called.

    References
    ----------
    .. [1] Owen, "A randomized Halton algorithm in R", :arxiv:`1706.02808`, 2017.

    Examples
    --------
    >>> from sklearn_proxyopt.samplers import HaltonSampler
    >>> HaltonSampler(8, random_state=0).sample([[0, 1], [-5, 5]]).shape
    (8, 2)
    """

    def __init__(
        self, n_samples: int = 100, *, scramble: bool = True, random_state: Any = None
    ) -> None:
        self.n_samples = n_samples
        self.scramble = scramble
        self.random_state = random_state

    def _sample_unit(
        self, n_samples: int, n_features: int, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        check_option(self.scramble, "scramble", (True, False))
        return qmc.Halton(n_features, scramble=self.scramble, rng=rng).random(n_samples)
