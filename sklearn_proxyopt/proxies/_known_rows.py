"""Samples with all that is told of them, for a kernel proxy and for a network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.proxies._kernel._preparing import merged
from sklearn_proxyopt.proxies._noise_std import GivenNoise, check_noise_std

__all__ = ["KnownRows"]


@dataclass(frozen=True)
class KnownRows:
    """Samples, their values, weights and noise.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Samples.
    y : ndarray of shape (n,) or (n, n_outputs)
        Their values.
    weight : ndarray of shape (n,)
        Their positive weights.
    noise_std : ndarray of shape (n,) or (n, n_outputs), or None
        Standard deviations of the noise of the values, where they are known.
    """

    X: NDArray[np.float64]
    y: NDArray[Any]
    weight: NDArray[np.float64]
    noise_std: NDArray[np.float64] | None

    @cached_property
    def _setting(self) -> NDArray[np.intp]:
        """Which of the distinct samples each sample is."""
        distinct, setting = np.unique(self.X, axis=0, return_inverse=True)
        is_each_alone = len(distinct) == len(self.X)
        return np.arange(len(self.X)) if is_each_alone else setting.reshape(-1)

    @property
    def n_distinct(self) -> int:
        """Number of distinct samples."""
        return int(self._setting.max()) + 1

    @property
    def are_repeated(self) -> bool:
        """Whether any sample repeats another."""
        return self.n_distinct < len(self.X)

    def split(self, fraction: float, rng: np.random.Generator) -> tuple[KnownRows, KnownRows]:
        """Return the samples kept, and others drawn to be held out with all their repeats."""
        order = rng.permutation(self.n_distinct)
        n_held_out = max(round(fraction * len(order)), 1)
        place = order.argsort()[self._setting]
        by_place = place.argsort(kind="stable")
        held_out = place[by_place] < n_held_out
        return self._part(np.sort(by_place[~held_out])), self._part(by_place[held_out])

    def _part(self, which: NDArray[np.intp]) -> KnownRows:
        noise_std = None if self.noise_std is None else self.noise_std[which]
        return KnownRows(self.X[which], self.y[which], self.weight[which], noise_std)

    def teach_kernel(self, kernel: Any) -> None:
        """Fit a kernel proxy."""
        kernel.fit(self.X, self.y, sample_weight=self.weight, noise_std=self.noise_std)

    def teach_network(self, network: Any) -> None:
        """Fit a network, which learns the means of repeats, the more exact the more they count."""
        y, weight = self.y.reshape(len(self.X), -1), self.weight
        if self.noise_std is not None:
            weight = GivenNoise.of(None, self.noise_std, weight, y.shape[1]).weight.mean(axis=1)
        if not self.are_repeated:
            network.fit(self.X, self.y, sample_weight=weight)
            return
        X, means, total, _ = merged(self.X, y, np.repeat(weight[:, None], y.shape[1], axis=1))
        values = means[0] if self.y.ndim == 1 else means.T
        network.fit(X, values, sample_weight=total[0])

    def noise_variance(self, kernel: Any, has_met_repeats: bool) -> NDArray[np.float64]:
        """Return the variance (n, n_outputs) of the noise that a kernel proxy knows of.

        It counts none that only the likelihood has told, which its standard deviations hold.
        """
        shape = self.y.reshape(len(self.X), -1).shape
        if self.noise_std is not None:
            return np.square(self.noise_std).reshape(shape)
        is_known = check_noise_std(kernel.noise_std) is not None or has_met_repeats
        stds = np.atleast_1d(kernel.noise_std_ if is_known else 0.0)
        return np.square(stds) * (self.weight.mean() / self.weight)[:, None] * np.ones(shape)
