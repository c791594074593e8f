"""Latin hypercube designs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from sklearn_proxyopt._utils._validation import check_option
from sklearn_proxyopt.samplers._base import UnitCubeSampler

__all__ = ["LatinHypercubeSampler"]


class LatinHypercubeSampler(UnitCubeSampler):
    """Draw a Latin hypercube: along each variable, one point in each of n equal slices.

    Parameters
    ----------
    n_samples : int, default=100
        Number of points.
    optimization : {"random-cd", "lloyd"} or None, default=None
        Whether the design is then improved, see `scipy.stats.qmc.LatinHypercube`. "lloyd" needs
        at least two variables and more points than variables, and moves points out of their
        slices.
    random_state : None, int, RandomState or Generator, default=None
        Draws the design.

    Attributes
    ----------
    bounds_ : ndarray of shape (n_features, 2)
        The bounds read by `fit`, if it was called.

    References
    ----------
    .. [1] McKay, Beckman and Conover, "A Comparison of Three Methods for Selecting Values of Input
       Variables", Technometrics 21 (2), 1979, :doi:`10.1080/00401706.1979.10489755`.

    Examples
    --------
    >>> from sklearn_proxyopt.samplers import LatinHypercubeSampler
    >>> LatinHypercubeSampler(8, random_state=0).sample([[0, 1], [-5, 5]]).shape
    (8, 2)
    """

    def __init__(
        self, n_samples: int = 100, *, optimization: str | None = None, random_state: Any = None
    ) -> None:
        self.n_samples = n_samples
        self.optimization = optimization
        self.random_state = random_state

    def _sample_unit(
        self, n_samples: int, n_features: int, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        check_option(self.optimization, "optimization", (None, "random-cd", "lloyd"))
        if self.optimization == "lloyd" and not 2 <= n_features < n_samples:
            raise ValueError(
                'optimization="lloyd" must have at least two variables and more points than '
                f"variables; got n_samples={n_samples} and {n_features} variables."
            )
        design = qmc.LatinHypercube(n_features, optimization=self.optimization, rng=rng)
        return np.clip(design.random(n_samples), 0.0, 1.0)
