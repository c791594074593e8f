"""What an infill strategy is told after a round."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from sklearn_proxyopt._proxy_search._failure_model import FailureRisk
from sklearn_proxyopt._proxy_search._functions import RegressorFunction, without_names
from sklearn_proxyopt._proxy_search._model import ProxyModel
from sklearn_proxyopt._proxy_search._on_axes import AxesProxy
from sklearn_proxyopt._proxy_search._penalty import (
    PENALTY,
    MeritFunction,
    ValueOfOutputs,
    merit_of_rows,
)
from sklearn_proxyopt._run._known_noise import with_doubt
from sklearn_proxyopt._run._state import DEVIATIONS_IN_INTERVAL
from sklearn_proxyopt._utils._dataset import Dataset, best_rows
from sklearn_proxyopt._utils._feasibility import probability_kept, violations
from sklearn_proxyopt.diagnosis._half_samples import HalfSampleEnsemble
from sklearn_proxyopt.infill import Knowledge
from sklearn_proxyopt.variables import Variables

__all__ = ["InfillState", "nearest_feasible", "nearest_to_axes"]


class InfillState:
    """A proxy that has learned the samples of a round, asked on the axes, where the box is plain.

    Values that come with constraints count by their merit, in the samples and in the proxy alike.
    Minima are looked for away from where evaluations fail.

    Parameters
    ----------
    model : ProxyModel
        Has learned the samples.
    data : Dataset
        The samples.
    space : Variables
        The variables.
    names : ndarray of shape (n_features,) or None
        Their names.
    rng : numpy.random.Generator
        Randomness of the rounds.
    risk : FailureRisk or None
        Where evaluations fail, of features.
    noise_std : float, default=0.0
        Standard deviation of the noise, where values are known to have any.
    """

    def __init__(
        self,
        model: ProxyModel,
        data: Dataset,
        space: Variables,
        names: NDArray[np.object_] | None,
        rng: np.random.Generator,
        risk: FailureRisk | None,
        noise_std: float = 0.0,
    ) -> None:
        self._model, self._data, self._names = model, data, names
        self._risk, self._noise_std = risk, noise_std
        settings = data.by_setting
        self._X, self._y = space.rows_that_count(settings.X, settings.y)
        self._starts = space.snap(space.best_rows(self._X, self._y)[0])
        self._space = space.opened_at(self._starts[0])
        self._values = merit_of_rows(self._y, model.merit)
        self._spread = float(np.median(self._values) - self._values.min())
        self._minima = self._minima_of(model, space.bounds, self._starts)
        self._rng, self._seed = rng, int(rng.integers(2**31 - 1))

    def knowledge(self, pending: NDArray[np.float64]) -> Knowledge:
        """Return what a strategy is told, with points that are pending beside those known."""
        space = self._space
        return Knowledge(
            proxy=self._proxy,
            optimizer=self._model.optimizer,
            X=space.encode(self._X),
            y=self._values,
            bounds=space.axes,
            minima=space.encode(self._minima),
            taken=space.encode(np.vstack([self._data.evaluated, pending])),
            rng=self._rng,
            learn=self.learn,
            doubts=self.doubts,
            rows_at=None if space.is_continuous_box else self.rows_at,
            caution=None if self._risk is None else self.caution,
            noise_std=self._noise_std,
            draw=self._draw if hasattr(self._model.proxy, "draw_functions") else None,
            pending=space.encode(pending) if len(pending) else None,
        )

    def knowledge_of_feasible(self, pending: NDArray[np.float64]) -> Knowledge:
        """Return what a strategy is told of noisy values; with constraints, of values alone.

        Evaluations are then trusted as far as constraints are likely to be kept [1]_. As long as no
        sample is estimated to be feasible, values count by their merit.

        References
        ----------
        .. [1] Gelbart, Snoek and Adams, "Bayesian Optimization with Unknown Constraints", 2014,
           :doi:`10.48550/arXiv.1403.5607`, equation 2.
        """
        known = self.knowledge(pending)
        if self._model.merit is None or np.isinf(self.lowest_estimate[0]):
            return known
        proxy: Any = ValueOfOutputs(RegressorFunction(self._model.proxy))
        if not self._space.is_continuous_box:
            proxy = AxesProxy(proxy, self._space, PENALTY * self._spread)
        estimates = self._feasible_estimates
        return replace(known, proxy=proxy, estimates=estimates, caution=self._caution_of_outcomes)

    @property
    def lowest_estimate(self) -> tuple[float, float]:
        """The lowest value estimated at a sample, and the upper end of its 90 % interval.

        With constraints that of a sample which is feasible as estimated, infinity if none is.
        """
        values, (_, std) = self._feasible_estimates, self._estimated
        place = int(np.argmin(values))
        own = float(with_doubt(std[place, 0], self._noise_std, self._data))
        return float(values[place]), float(values[place] + DEVIATIONS_IN_INTERVAL * own)

    @cached_property
    def _feasible_estimates(self) -> NDArray[np.float64]:
        """The values estimated at the samples, infinity where a constraint is missed."""
        mean = self._estimated[0]
        return np.where(violations(mean) > 0.0, np.inf, mean[:, 0])

    @cached_property
    def _estimated(self) -> NDArray[np.float64]:
        """The outputs estimated at the samples and their deviations, (2, n_samples, n_outputs)."""
        if self._model.merit is None and not self._noise_std:
            return np.array([self._y[:, None], 0.0 * self._y[:, None]])
        return self._outputs_at(self._X)

    def _outputs_at(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what is predicted and its deviations, (2, n, n_outputs)."""
        proxy, features = RegressorFunction(self._model.proxy), self._space.features(X)
        return np.reshape(proxy.predict(features, return_std=True), (2, len(X), -1))

    def _caution_of_outcomes(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far points are to be avoided, since they may fail or miss a constraint."""
        mean, std = self._outputs_at(self._space.decode(points))[:, :, 1:]
        trust = 1.0 if self._risk is None else 1.0 - self.caution(points)
        return np.asarray(1.0 - trust * probability_kept(mean, std))

    @cached_property
    def _proxy(self) -> Any:
        """The proxy as one of points on the axes, of one value a sample."""
        return self._on_axes(self._model.proxy)

    def _draw(self, n_functions: int, seed: int) -> Any:
        """Draw functions that the samples allow, as one proxy with members."""
        return self._on_axes(self._model.proxy.draw_functions(n_functions, seed))

    def _on_axes(self, regressor: Any) -> Any:
        merit, proxy = self._model.merit, without_names(regressor)
        if merit is not None:
            proxy = MeritFunction(RegressorFunction(regressor), merit)
        if self._space.is_continuous_box:
            return proxy
        return AxesProxy(proxy, self._space, PENALTY * self._spread)

    def learn(
        self, rows: NDArray[np.intp], region: NDArray[np.float64]
    ) -> tuple[Any, NDArray[np.float64]]:
        """Learn some of the samples anew; return the proxy and its minima in a region."""
        space, X, y = self._space, self._X[rows], self._y[rows]
        local = _learned_anew(self._model, X, y, self._names)
        if space.is_continuous_box:
            return local.proxy, self._minima_of(local, region, best_rows(X, y, region)[0])
        starts = space.snap(space.best_rows(X, y)[0])
        found = space.encode(self._minima_of(local, space.bounds, starts))
        return local.proxy, np.clip(found, *region.T)

    def doubts(self) -> NDArray[np.float64]:
        """Return where models refitted on half of the samples have their minima."""
        space, data, seed = self._space, self._data, self._seed
        halves = HalfSampleEnsemble(
            self._model.proxy, space.features(data.X), data.y, seed, self._model.merit
        )
        points = np.vstack([self._minima, self._starts])
        return space.encode(halves.minima(space, points, seed)[0])

    def rows_at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the feasible samples nearest to points, on the axes; NaN where there is none."""
        return self._space.encode(nearest_to_axes(self._space, points))

    def caution(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far the samples that points on the axes stand for are to be avoided."""
        assert self._risk is not None
        return self._risk.caution(self._space.features(self._space.decode(points)))

    def _minima_of(
        self, model: ProxyModel, box: NDArray[np.float64], starts: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        worst = float(self._values.max())
        search = model.search(box, starts, self._risk, worst, self._spread)
        return np.atleast_2d(search.get("x_candidates", search.x))


def nearest_feasible(X: NDArray[np.float64], space: Variables) -> NDArray[np.float64]:
    """Return the feasible samples nearest to some samples; NaN where there is none."""
    rows = space.snap(X)
    return np.where(space.is_feasible(rows)[:, None], rows, np.nan)


def nearest_to_axes(space: Variables, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the feasible samples nearest to points on the axes; NaN where there is none."""
    return nearest_feasible(space.decode(points), space)


def rows_at_axes(space: Variables, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the feasible samples nearest to points on the axes, where there are any."""
    if space.is_continuous_box:
        return points
    rows = nearest_to_axes(space, points)
    return rows[~np.isnan(rows).any(axis=1)]


def _learned_anew(
    model: ProxyModel,
    X: NDArray[np.float64],
    y: NDArray[np.float64],
    names: NDArray[np.object_] | None,
) -> ProxyModel:
    """Return a copy of a proxy that has learned other samples, from weights of its own."""
    space, goal = model.variables, model.goal
    local = ProxyModel(
        clone(model.learner), model.optimizer, model.seeds, variables=space, goal=goal
    )
    local.fit(X, y, names)
    return local
