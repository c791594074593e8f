"""Distinct settings of the samples, and the noise of their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.stats import chi2

from sklearn_proxyopt._proxy_search._penalty import Merit
from sklearn_proxyopt._proxy_search._turned import unturned_proxy
from sklearn_proxyopt._utils._distances import SAME_SAMPLE
from sklearn_proxyopt.variables import Variables

__all__ = ["Settings", "noise_of", "noise_of_each"]

# Repeats that differ by less than this share of the range of the values agree.
_AGREE = 1e-6
# Repeats scatter more than a stated noise if they would do so once in so many data sets.
_ONCE_IN = 1e6


@dataclass(frozen=True)
class Settings:
    """Samples with those at the same setting as one.

    Parameters
    ----------
    X : ndarray of shape (n_settings, n_features)
        The settings.
    y : ndarray of shape (n_settings,) or (n_settings, n_outputs)
        The mean outputs of each.
    n_repeats : ndarray of int of shape (n_settings,)
        How many samples each stands for.
    group : ndarray of int of shape (n_samples,)
        The setting of each sample.
    squares : ndarray of shape (n_outputs,)
        Sums of the squared deviations of outputs from these means.
    ranges : ndarray of shape (n_outputs,)
        The largest differences between outputs at the same setting.
    spread : ndarray of shape (n_outputs,)
        The ranges of all outputs.
    """

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    n_repeats: NDArray[np.intp]
    group: NDArray[np.intp]
    squares: NDArray[np.float64]
    ranges: NDArray[np.float64]
    spread: NDArray[np.float64]

    @classmethod
    def of(cls, X: NDArray[np.float64], y: NDArray[np.float64], variables: Variables) -> Self:
        """Return the settings of samples; those that lie together to rounding are the same."""
        group = _groups(variables.places(X))
        n_repeats = np.bincount(group)
        _, first = np.unique(group, return_index=True)
        outputs = y.reshape(len(y), -1)
        means = outputs[first]
        deviations = outputs - means[group]
        # As deviations from the first, so that means of equal values are these to the last bit.
        means = means + np.array([np.bincount(group, one) for one in deviations.T]).T / np.maximum(
            n_repeats[:, None], 1
        )
        deviations = outputs - means[group]
        squares = np.square(deviations).sum(axis=0)
        ranges = _ranges(deviations, group)
        means = means.reshape(len(first), *y.shape[1:])
        spread = np.ptp(outputs, axis=0)
        return cls(X[first], means, n_repeats, group, squares, ranges, spread)

    @property
    def n_degrees(self) -> int:
        """How many independent differences between repeats there are."""
        return int((self.n_repeats - 1).sum())

    @property
    def differ(self) -> bool:
        """Whether repeats have different values."""
        return bool(self._is_apart.any())

    @property
    def _is_apart(self) -> NDArray[np.bool_]:
        """Of which outputs repeats differ by more than rounding."""
        return np.asarray(self.ranges > _AGREE * self.spread)

    def contradicts(self, noise_std: Any) -> bool:
        """Tell whether repeats scatter more than noise of these standard deviations could.

        Parameters
        ----------
        noise_std : float or ndarray of shape (n_outputs,)
            The noise; 0 for values that are exact.
        """
        allowed = np.broadcast_to(np.asarray(noise_std, dtype=np.float64), self.squares.shape)
        limit = chi2.isf(1.0 / _ONCE_IN, max(self.n_degrees, 1)) * allowed**2
        return bool((self._is_apart & (self.squares > limit)).any())


def noise_of(proxy: Any, settings: Settings, merit: Merit | None) -> tuple[float, bool]:
    """Return the noise of a value, and whether it is certain that this is noise.

    It is what the proxy was given or what repeats show. What a proxy estimates without either may
    be structure that is finer than the samples.

    Parameters
    ----------
    proxy : regressor
        The fitted proxy.
    settings : Settings
        The distinct settings of the samples.
    merit : Merit or None
        What counts of several outputs, of which the value comes first.
    """
    own, _ = unturned_proxy(proxy)
    told = getattr(own, "noise_std_", None)
    if merit is not None or told is None or np.ndim(told):
        return float(noise_of_each(proxy, settings)[0]), True
    return float(told), _is_given(own) or settings.differ or not told


def noise_of_each(proxy: Any, settings: Settings) -> NDArray[np.float64]:
    """Return the noise of each output, (n_outputs,), 0 where it is not certain that there is any.

    Parameters
    ----------
    proxy : regressor
        The fitted proxy.
    settings : Settings
        The distinct settings of the samples.
    """
    own, _ = unturned_proxy(proxy)
    if not (_is_given(own) or settings.differ):
        return np.zeros_like(settings.squares)
    told = getattr(own, "noise_std_", None)
    if told is None:
        scatter = np.sqrt(settings.squares / max(settings.n_degrees, 1))
        return np.where(settings._is_apart, scatter, 0.0)
    return np.broadcast_to(np.asarray(told, dtype=np.float64), settings.squares.shape)


def _is_given(proxy: Any) -> bool:
    """Tell whether a proxy was given the noise of values."""
    return not isinstance(getattr(proxy, "noise_std", "auto"), str)


def _ranges(deviations: NDArray[np.float64], group: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the largest ranges of values within groups, of shape (n_outputs,)."""
    low = np.full((group.max() + 1, deviations.shape[1]), np.inf)
    high = -low
    np.minimum.at(low, group, deviations)
    np.maximum.at(high, group, deviations)
    return np.asarray((high - low).max(axis=0))


def _groups(places: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the number of the setting of each sample, in the order in which they come."""
    pairs = cKDTree(places).query_pairs(SAME_SAMPLE, output_type="ndarray")
    n = len(places)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    _, first, group = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[group])
