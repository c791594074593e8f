"""Sobol designs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from sklearn_proxyopt._utils._validation import check_option
from sklearn_proxyopt.samplers._base import UnitCubeSampler

__all__ = ["SobolSampler"]


class SobolSampler(UnitCubeSampler):
    """Draw the first points of a Sobol sequence, which fills the box evenly.

    A Sobol sequence is balanced at powers of two; for other numbers of points the first ones of
    the next power are taken.

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
    .. [1] Owen, "Scrambling Sobol and Niederreiter-Xing Points", Journal of Complexity 14 (4),
       1998, :doi:`10.1006/jcom.1998.0487`.

    Examples
    --------
    >>> from sklearn_proxyopt.samplers import SobolSampler
    >>> SobolSampler(8, random_state=0).sample([[0, 1], [-5, 5]]).shape
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
        sequence = qmc.Sobol(n_features, scramble=self.scramble, rng=rng)
        return sequence.random_base2(int(n_samples - 1).bit_length())[:n_samples]
