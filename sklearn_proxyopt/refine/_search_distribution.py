"""The search distribution of CMA-ES: a normal distribution that follows what was good."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["SearchDistribution"]

# Eigenvalues below this share of the largest are lifted to it.
_SMALLEST_SHARE = 1e-20
# The width along an axis that is fixed, as a share of that along the others.
_FIXED = 1e-3
# How often a point drawn outside of the cube is drawn again before it is moved to the border.
_N_REDRAWS = 10


class SearchDistribution:
    """A normal distribution in the unit cube, adapted generation by generation [1]_.

    Parameters
    ----------
    mean : ndarray of shape (n_features,)
        Where it begins.
    step_size : float
        Its standard deviation along every axis at the beginning.
    population : int
        Points a generation.
    is_fixed : ndarray of bool of shape (n_features,), default=None
        Along which axes it begins with hardly any width, and so keeps its place.

    Attributes
    ----------
    mean : ndarray of shape (n_features,)
        The mean, m.
    step_size : float
        The step size, sigma.
    axes : ndarray of shape (n_features, n_features)
        The principal axes of the covariance, B, as columns.
    scales : ndarray of shape (n_features,)
        The standard deviations along them, D, in units of the step size.

    References
    ----------
    .. [1] Hansen, "The CMA Evolution Strategy: A Tutorial", :arxiv:`1604.00772`, 2016. Constants
       are those of its table 1, equation numbers those of its version of 2023.
    """

    def __init__(
        self,
        mean: NDArray[np.float64],
        step_size: float,
        population: int,
        is_fixed: NDArray[np.bool_] | None = None,
    ) -> None:
        d = len(mean)
        self.mean, self.step_size, self.population = mean.copy(), step_size, population
        self.axes, self.scales = np.eye(d), np.ones(d)
        if is_fixed is not None:
            self.scales[is_fixed] = _FIXED
        self._covariance = np.diag(self.scales**2)
        self._path, self._step_path = np.zeros(d), np.zeros(d)
        self._n_generations = 0

        raw = np.log((population + 1) / 2) - np.log(np.arange(1, population + 1))
        self._n_parents = mu = population // 2
        good, bad = raw[:mu] / raw[:mu].sum(), raw[mu:]
        self._mass = mass = 1.0 / (good**2).sum()
        self._path_rate = (4 + mass / d) / (d + 4 + 2 * mass / d)
        self._step_rate = (mass + 2) / (d + mass + 5)
        self._damping = 1 + 2 * max(0.0, np.sqrt((mass - 1) / (d + 1)) - 1) + self._step_rate
        self._rank_one = 2 / ((d + 1.3) ** 2 + mass)
        self._rank_mu = min(
            1 - self._rank_one, 2 * (0.25 + mass - 2 + 1 / mass) / ((d + 2) ** 2 + mass)
        )
        # Equations 50 to 53: what was bad counts against, within limits.
        bad_mass = bad.sum() ** 2 / (bad**2).sum()
        limit = min(
            1 + self._rank_one / self._rank_mu,
            1 + 2 * bad_mass / (mass + 2),
            (1 - self._rank_one - self._rank_mu) / (d * self._rank_mu),
        )
        self._weights = np.concatenate([good, limit * bad / np.abs(bad.sum())])
        self._expected_norm = np.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d**2))

    @property
    def size(self) -> float:
        """The largest standard deviation along any direction."""
        return float(self.step_size * self.scales.max())

    @property
    def elongation(self) -> float:
        """The ratio of the largest standard deviation to the smallest."""
        return float(self.scales.max() / self.scales.min())

    @property
    def deviations(self) -> NDArray[np.float64]:
        """The standard deviation of each variable."""
        deviations: NDArray[np.float64] = self.step_size * np.sqrt(np.diag(self._covariance))
        return deviations

    def sample(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw a generation inside the cube, of shape (population, n_features)."""
        points = self._draw(self.population, rng)
        for _ in range(_N_REDRAWS):
            outside = ((points < 0.0) | (points > 1.0)).any(axis=1)
            if not outside.any():
                break
            points[outside] = self._draw(int(outside.sum()), rng)
        return np.clip(points, 0.0, 1.0)

    def _draw(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        steps = rng.standard_normal((n, len(self.mean))) * self.scales
        return self.mean + self.step_size * steps @ self.axes.T

    def whiten(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points in coordinates in which the distribution is standard normal."""
        return (points - self.mean) @ self.axes / self.scales / self.step_size

    def whitening(self) -> NDArray[np.float64]:
        """Return the matrix that turns a row of differences into white coordinates."""
        return self.axes / self.scales / self.step_size

    def update(self, points: NDArray[np.float64]) -> None:
        """Move towards the first half of a generation that is sorted, the best point first."""
        d = len(self.mean)
        steps = (points - self.mean) / self.step_size
        norms = np.linalg.norm(steps @ self.axes / self.scales, axis=1)
        # A point that was not drawn from the distribution may lie far out: its step is shortened.
        shorter = np.minimum(1.0, (np.sqrt(d) + 2 * d / (d + 2)) / np.maximum(norms, 1e-300))
        steps, norms = steps * shorter[:, None], norms * shorter
        step = self._weights[: self._n_parents] @ steps[: self._n_parents]
        self.mean = self.mean + self.step_size * step
        self._n_generations += 1

        # Step size, equations 43 and 44.
        white_step = self.axes @ ((step @ self.axes) / self.scales)
        rate = self._step_rate
        self._step_path = (1 - rate) * self._step_path
        self._step_path += np.sqrt(rate * (2 - rate) * self._mass) * white_step
        length = np.linalg.norm(self._step_path) / self._expected_norm
        self.step_size *= float(np.exp(min(1.0, rate / self._damping * (length - 1))))

        # Covariance, equations 45 to 47.
        rate = self._path_rate
        settled = np.sqrt(1 - (1 - self._step_rate) ** (2 * self._n_generations))
        is_steady = length / settled < 1.4 + 2 / (d + 1)
        self._path = (1 - rate) * self._path
        if is_steady:
            self._path += np.sqrt(rate * (2 - rate) * self._mass) * step
        weights = self._weights.copy()
        bad = weights < 0
        weights[bad] *= d / np.maximum(norms[bad] ** 2, 1e-12)
        kept = 1 - self._rank_one - self._rank_mu * self._weights.sum()
        if not is_steady:
            kept += self._rank_one * rate * (2 - rate)
        covariance = kept * self._covariance
        covariance += self._rank_one * np.outer(self._path, self._path)
        covariance += self._rank_mu * (steps.T * weights) @ steps
        self._covariance = (covariance + covariance.T) / 2
        variances, self.axes = np.linalg.eigh(self._covariance)
        self.scales = np.sqrt(np.maximum(variances, _SMALLEST_SHARE * variances.max()))
