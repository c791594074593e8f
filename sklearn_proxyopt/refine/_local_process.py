"""A local proxy: a Gaussian process whose smooth part is a quadratic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotrs, dtrtrs

from sklearn_proxyopt._utils._matern import matern52

__all__ = ["LocalProcess", "Settings"]

# The settings that a search of them steps through.
_NOISES = (1e-4, 1e-2, 1e-1)
_ROUGHNESSES = (0.0, 1e-3, 1e-2, 1e-1, 1.0)
_LENGTHS = (1.0, 2.0, 4.0)
# How much the product of two variables counts, in place of the square of each.
_CROSSINGS = (1.0, 1e-2, 1e-4)
_STEPS = ("warp", "crossing", "roughness", "noise", "length")
_N_ROUNDS = 2
# Heights beyond this many times that of the upper quartile tell no more.
_HIGHEST = 1e3
_SMALLEST_NOISE = 1e-10


def _root(height: NDArray[np.float64]) -> NDArray[np.float64]:
    return 2.0 * (np.sqrt(height + 0.25) - 0.5)


def _root_back(warped: NDArray[np.float64]) -> NDArray[np.float64]:
    return (warped / 2.0 + 0.5) ** 2 - 0.25


_LOG_OF_11 = float(np.log(11.0))

# How heights over the lowest value are warped, the way back, and the logarithm of the slope: not
# at all, by a root, and by a logarithm. All leave 0 where it is, and 1 about where it is.
_Map = Callable[[NDArray[np.float64]], NDArray[np.float64]]
_WARPS: tuple[tuple[_Map, _Map, _Map], ...] = (
    (lambda t: t, lambda v: v, np.zeros_like),
    (_root, _root_back, lambda t: -0.5 * np.log(t + 0.25)),
    (
        lambda t: np.log1p(10.0 * t) / _LOG_OF_11,
        lambda v: np.expm1(np.minimum(v, _HIGHEST_WARPED) * _LOG_OF_11) / 10.0,
        lambda t: np.log(10.0 / ((1.0 + 10.0 * t) * _LOG_OF_11)),
    ),
)
# Predictions below the lowest value are warped back along a straight line from here on.
_LOWEST_WARPED = -0.4
# Up to here the way back from a logarithm does not overflow.
_HIGHEST_WARPED = 100.0


@dataclass(frozen=True)
class Settings:
    """What a process assumes of a function, as places in the tables of this module."""

    noise: int = 1
    roughness: int = 0
    length: int = 1
    warp: int = 0
    crossing: int = 0
    # Whether the coordinates are the variables, so that some may add up without crossing.
    along_variables: bool = False

    def neighbors(self) -> list[Settings]:
        """Return the settings one step away."""
        sizes = {
            "warp": len(_WARPS),
            "crossing": len(_CROSSINGS) if self.along_variables else 0,
            "roughness": len(_ROUGHNESSES),
            "noise": len(_NOISES),
            "length": len(_LENGTHS) if self.roughness else 0,
        }
        return [
            replace(self, **{name: place})
            for name in _STEPS
            for place in (getattr(self, name) - 1, getattr(self, name) + 1)
            if 0 <= place < sizes[name]
        ]


class LocalProcess:
    """A Gaussian process of values near a minimum.

    Its covariance is that of a random quadratic plus a rough part (Matern, 5/2), so that a
    quadratic is learned exactly from enough samples and bent where the samples say so. Along
    variables the quadratic may be nearly a sum of one for each, which few samples determine. The
    noise of a sample grows with its height over the lowest one: high up, only the outline matters.
    Heights may be warped. What fits best is chosen by the likelihood.

    Of a constraint what matters is where it turns: heights are then counted from 0 and not warped,
    and the noise grows with their size.

    Parameters
    ----------
    Z : ndarray of shape (n, n_features)
        Samples, in coordinates in which the function is about as steep along every axis.
    y : ndarray of shape (n,)
        Their values.
    settings : Settings
        Where the choice begins, or what is taken.
    chooses : bool, default=True
        Whether settings are chosen, those near to the ones given.
    turns_at_zero : bool, default=False
        Whether the values are those of a constraint.

    Notes
    -----
    Its covariance is the one of `KernelProxyRegressor`, its likelihood is not: a descent learns
    anew after each evaluation, so that a fit has to take a fraction of a millisecond. Settings are
    steps of a table rather than what gradients lead to, noise hangs on the height, and the factors
    come straight from LAPACK.
    """

    def __init__(
        self,
        Z: NDArray[np.float64],
        y: NDArray[np.float64],
        settings: Settings,
        chooses: bool = True,
        turns_at_zero: bool = False,
    ) -> None:
        self._Z, self._n_features = Z, Z.shape[1]
        self._turns_at_zero = turns_at_zero
        self._lowest = 0.0 if turns_at_zero else float(y.min())
        self._height = _typical_height(np.append(np.abs(y), 0.0) if turns_at_zero else y)
        self._heights = np.clip((y - self._lowest) / self._height, -_HIGHEST, _HIGHEST)
        self._squares = np.square(Z)
        self._quadratics = self._quadratic_parts(Z)
        squares = self._squares.sum(axis=1)
        squared = squares[:, None] + squares - 2.0 * Z @ Z.T
        self._distances = np.sqrt(np.maximum(squared, 0.0) / self._n_features)
        self._rough: dict[int, NDArray[np.float64]] = {}
        self.settings = settings
        score = self._learn(settings)
        if not np.isfinite(score):
            # Samples that lie together need noise to be told apart.
            noisy = Settings(noise=len(_NOISES) - 1)
            self.settings = replace(noisy, along_variables=settings.along_variables)
            score = self._learn(self.settings)
        if not np.isfinite(score):
            # Nothing can be learned of them but what is usual.
            self._weights = np.zeros(len(Z))
            return
        if chooses:
            self._choose(score)

    def _choose(self, score: float) -> None:
        """Walk from settings to better neighbors."""
        tried, best = {self.settings}, (score, self.settings)
        for _ in range(_N_ROUNDS):
            before = best
            for name in _STEPS:
                if name == "warp" and self._turns_at_zero:
                    continue
                for settings in best[1].neighbors():
                    is_step = getattr(settings, name) != getattr(best[1], name)
                    if is_step and settings not in tried:
                        tried.add(settings)
                        best = max(best, (self._learn(settings), settings), key=lambda b: b[0])
            if best is before:
                break
        self.settings = best[1]
        self._learn(self.settings)

    def _learn(self, settings: Settings) -> float:
        """Learn the samples with the settings; return the logarithm of the likelihood."""
        warp, _, log_slope = _WARPS[settings.warp]
        warped = warp(self._heights)
        self._offset = float(np.median(warped))
        centered = warped - self._offset
        kernel = _mixed(self._quadratics, settings) + self._rough_kernel(settings)
        noise = (_NOISES[settings.noise] * warped) ** 2 + _SMALLEST_NOISE
        kernel[np.diag_indices_from(kernel)] += noise
        root, failed = dpotrf(kernel, lower=1)
        if failed:
            return -np.inf
        self._weights = dpotrs(root, centered, lower=1)[0]
        white = dtrtrs(root, centered, lower=1)[0]
        likelihood = -0.5 * white @ white - np.log(np.diag(root)).sum()
        return float(likelihood + log_slope(self._heights).sum())

    def _quadratic_parts(
        self, Z: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the covariance of a random quadratic, and of a sum over single variables."""
        line = 1.0 + Z @ self._Z.T / self._n_features
        return line**2, 2.0 * line - 1.0 + np.square(Z) @ self._squares.T / self._n_features

    def _rough_kernel(self, settings: Settings) -> NDArray[np.float64]:
        if not settings.roughness:
            return np.zeros_like(self._distances)
        if settings.length not in self._rough:
            self._rough[settings.length] = _matern(self._distances / _LENGTHS[settings.length])
        return _ROUGHNESSES[settings.roughness] * self._rough[settings.length]

    def predict(self, Z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the predicted value of each sample."""
        kernel = _mixed(self._quadratic_parts(Z), self.settings)
        if self.settings.roughness:
            squares = np.square(Z).sum(axis=1)[:, None] + np.square(self._Z).sum(axis=1)
            squared = np.maximum(squares - 2.0 * Z @ self._Z.T, 0.0)
            distances = np.sqrt(squared / self._n_features)
            rough = _matern(distances / _LENGTHS[self.settings.length])
            kernel += _ROUGHNESSES[self.settings.roughness] * rough
        warped = kernel @ self._weights + self._offset
        unwarp = _WARPS[self.settings.warp][1]
        within = np.maximum(warped, _LOWEST_WARPED)
        return (unwarp(within) + (warped - within)) * self._height + self._lowest

    def constraint_and_gradient(self, z: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the prediction of a constraint as a share of `size`, and its gradient."""
        value, gradient = self.warped_and_gradient(z)
        return value + self._offset, gradient

    @property
    def size(self) -> float:
        """How large the values are, or how far they lie above the lowest."""
        return self._height

    def warped_and_gradient(self, z: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the prediction of a sample up to a growing function, and its gradient."""
        line = 1.0 + self._Z @ z / self._n_features
        share = _CROSSINGS[self.settings.crossing]
        value = share * line**2
        gradient = share * (2.0 * line * self._weights) @ self._Z
        if share < 1.0:
            sums = 2.0 * line - 1.0 + self._squares @ z**2 / self._n_features
            value = value + (1.0 - share) * sums
            slopes = self._weights @ self._Z + (self._weights @ self._squares) * z
            gradient = gradient + 2.0 * (1.0 - share) * slopes
        if self.settings.roughness:
            share = _ROUGHNESSES[self.settings.roughness]
            length = _LENGTHS[self.settings.length]
            differences = z - self._Z
            squared = np.square(differences).sum(axis=1) / self._n_features
            scaled = np.sqrt(5.0 * squared) / length
            decay = np.exp(-scaled)
            value = value + share * (1.0 + scaled + scaled**2 / 3.0) * decay
            slope = -(5.0 / 3.0) / length**2 * share * (1.0 + scaled) * decay
            gradient = gradient + (slope * self._weights) @ differences
        return float(value @ self._weights), gradient / self._n_features


def _mixed(
    parts: tuple[NDArray[np.float64], NDArray[np.float64]], settings: Settings
) -> NDArray[np.float64]:
    """Return the covariance of a quadratic whose products of two variables count so much."""
    share = _CROSSINGS[settings.crossing]
    return share * parts[0] + (1.0 - share) * parts[1]


def _matern(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Matern covariance of smoothness 5/2."""
    scaled = np.sqrt(5.0) * distances
    return np.asarray(matern52(scaled, np.exp(-scaled)))


def _typical_height(y: NDArray[np.float64]) -> float:
    """Return how far values lie above the lowest, never zero."""
    least = max(1e-14 * abs(float(y.min())), 1e-300)
    for height in (float(np.quantile(y, 0.75) - y.min()), float(y.max() - y.min())):
        if height > least:
            return height
    return least
