"""Infill by what a proxy predicts and how sure it is of it."""

from __future__ import annotations

from abc import abstractmethod
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from sklearn_proxyopt._utils._box import from_unit_cube, to_unit_cube
from sklearn_proxyopt.infill._base import BaseInfill, Knowledge, members_of

__all__ = ["AcquisitionInfill"]

_N_ANYWHERE, _N_NEAR = 2048, 512
# The pool is drawn anew around its best points this often, nearer each time.
_WIDTHS = (0.1, 0.03, 0.01)
_N_CENTERS = 16
# A point chosen lowers the gain of others within about this distance in the unit cube, in root
# mean square over the variables.
_CROWD = 0.1
# So many times the points wanted are picked where several of them may stand for one sample.
_SPARE = 8


class AcquisitionInfill(BaseInfill):
    """Base of the strategies that weigh the prediction against its standard deviation.

    A subclass implements `_gain(mean, deviation, lowest)` of all points of a pool, larger where an
    evaluation is worth more and never negative.
    """

    def check_proxy(self, proxy: Any) -> None:
        """Raise an error unless the proxy tells its standard deviation.

        Parameters
        ----------
        proxy : regressor
            Not fitted yet.
        """
        n_members = members_of(proxy)
        tells = "return_std" in signature(proxy.predict).parameters
        if not tells or (n_members is not None and n_members < 2):
            raise ValueError(
                f"proxy must predict a standard deviation for {type(self).__name__}, as "
                f"NeuralProxyRegressor(n_members=5) and GaussianProcessRegressor do; got {proxy!r}."
            )

    @abstractmethod
    def _gain(
        self, mean: NDArray[np.float64], deviation: NDArray[np.float64], lowest: float
    ) -> NDArray[np.float64]:
        """Return what an evaluation of each point is worth."""

    def gains(self, points: NDArray[np.float64], known: Knowledge) -> NDArray[np.float64]:
        """Return what an evaluation of some points is worth, also of known ones.

        Parameters
        ----------
        points : ndarray of shape (n, n_features)
            The points.
        known : Knowledge
            The proxy and the samples it learned from.

        Returns
        -------
        ndarray of shape (n,)
            Larger where an evaluation is worth more. Where values have noise it counts for less the
            less it tells beside the noise [1]_.

        References
        ----------
        .. [1] Huang, Allen, Notz and Zeng, "Global Optimization of Stochastic Black-Box Systems via
           Sequential Kriging Meta-Models", Journal of Global Optimization 34, 2006,
           :doi:`10.1007/s10898-005-2454-3`.
        """
        return self._worth(_predicted(to_unit_cube(points, known.bounds), known), known)

    def _worth(self, predicted: NDArray[np.float64], known: Knowledge) -> NDArray[np.float64]:
        mean, deviation, trust = predicted
        gains = trust * self._gain(mean, deviation, known.lowest)
        if known.noise_std:
            gains = gains * (1.0 - known.noise_std / np.hypot(deviation, known.noise_std))
        return gains

    def _propose(self, known: Knowledge) -> NDArray[np.float64]:
        n_features = len(known.bounds)
        near = to_unit_cube(np.vstack([known.best[None], known.minima]), known.bounds)
        sobol = qmc.Sobol(n_features, rng=known.rng)
        pool = np.vstack([near, sobol.random(_N_ANYWHERE)])
        predicted = _predicted(pool, known)
        gains = self._worth(predicted, known) * _room(pool, known)
        for width in _WIDTHS:
            centers = pool[np.argsort(-gains, kind="stable")[:_N_CENTERS]]
            centers = np.vstack([centers, near[:1]])
            picked = centers[known.rng.integers(len(centers), size=_N_NEAR)]
            moved = picked + width * known.rng.standard_normal(picked.shape)
            moved = np.clip(moved, 0.0, 1.0)
            pool = np.vstack([pool, moved])
            predicted = np.hstack([predicted, _predicted(moved, known)])
            # Gains compare only where they are of one pool.
            gains = self._worth(predicted, known) * _room(pool, known)
        n_picked = self.n_points if known.rows_at is None else _SPARE * self.n_points
        return from_unit_cube(pool[_spread(pool, gains, n_picked)], known.bounds)


def _predicted(units: NDArray[np.float64], known: Knowledge) -> NDArray[np.float64]:
    """Return mean, deviation and the trust that evaluations succeed, (3, n), of a unit cube."""
    points = from_unit_cube(units, known.bounds)
    mean, deviation = known.proxy.predict(points, return_std=True)
    trust = np.ones(len(points)) if known.caution is None else 1.0 - known.caution(points)
    return np.array([mean, deviation, trust])


def _room(units: NDArray[np.float64], known: Knowledge) -> NDArray[np.float64]:
    """Return what is left of the gain of points around those that are pending, from 0 to 1."""
    room = np.ones(len(units))
    if known.pending is not None:
        for place in to_unit_cube(known.pending, known.bounds):
            room *= _apart(units, place)
    return room


def _apart(units: NDArray[np.float64], place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what is left of the gain of points around one that will be evaluated."""
    left: NDArray[np.float64] = -np.expm1(
        -np.square(units - place).mean(axis=1) / (2.0 * _CROWD**2)
    )
    return left


def _spread(
    pool: NDArray[np.float64], gains: NDArray[np.float64], n_points: int
) -> NDArray[np.intp]:
    """Pick points one after another, each lowering the gain of those around it."""
    chosen = np.empty(min(n_points, len(pool)), dtype=np.intp)
    for i in range(len(chosen)):
        chosen[i] = np.argmax(gains)
        gains = gains * _apart(pool, pool[chosen[i]])
    return chosen
