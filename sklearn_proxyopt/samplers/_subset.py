"""A part of another design."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from sklearn_proxyopt._utils._validation import check_integer, check_real
from sklearn_proxyopt.samplers._base import BaseSampler
from sklearn_proxyopt.samplers._uniform import UniformSampler

__all__ = ["SubsetSampler"]


class SubsetSampler(BaseSampler):
    """Keep a random share of the points of another design.

    With a quarter of a dense design this is the "sparse" one of the published study [1]_.

    Parameters
    ----------
    sampler : sampler, default=None
        The other design; None for a `UniformSampler`.
    fraction : float, default=0.25
        The share to keep, in (0, 1].
    random_state : None, int, RandomState or Generator, default=None
        Draws the points to keep, and the design where that has no seed of its own.

    Attributes
    ----------
    bounds_ : ndarray of shape (n_features, 2)
        The bounds read by `fit`, if it was called.

    References
    ----------
    .. [1] Albreiki, Belayouni and Gupta, "On Using Deep Learning Proxies as Forward Models in
       Optimization Problems", 2023, :arxiv:`2301.07102`.

    Examples
    --------
    >>> from sklearn_proxyopt.samplers import GridSampler, SubsetSampler
    >>> SubsetSampler(GridSampler(100), 0.25, random_state=0).sample([[0, 1], [0, 1]]).shape
    (25, 2)
    """

    def __init__(
        self, sampler: Any = None, fraction: float = 0.25, *, random_state: Any = None
    ) -> None:
        self.sampler = sampler
        self.fraction = fraction
        self.random_state = random_state

    @property
    def n_samples(self) -> int:  # type: ignore[override]
        """Number of points that are kept."""
        sampler = UniformSampler() if self.sampler is None else self.sampler
        if not hasattr(sampler, "sample") or isinstance(sampler, type):
            raise ValueError(f"sampler must be an instance of a sampler; got {sampler!r}.")
        fraction = check_real(
            self.fraction, "fraction", minimum=0.0, maximum=1.0, include_minimum=False
        )
        return max(round(fraction * check_integer(sampler.n_samples, "n_samples")), 1)

    def _sample_box(
        self, n_samples: int, bounds: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        sampler = UniformSampler() if self.sampler is None else clone(self.sampler)
        if sampler.get_params().get("random_state", 0) is None:
            sampler.set_params(random_state=int(rng.integers(2**31 - 1)))
        design = sampler.sample(bounds)
        kept = rng.choice(len(design), size=n_samples, replace=False)
        return design[np.sort(kept)]
