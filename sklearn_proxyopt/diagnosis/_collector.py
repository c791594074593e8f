"""Refitted models and low points of a proxy, from which evidence on any point is taken."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from sklearn_proxyopt._proxy_search._functions import RegressorFunction
from sklearn_proxyopt._proxy_search._mixed_search import MixedSearch
from sklearn_proxyopt._proxy_search._penalty import Merit, MeritFunction, merit_of_rows
from sklearn_proxyopt._proxy_search._turned import turned_proxy, unturned_proxy
from sklearn_proxyopt._utils._distances import SAME_BASIN, SAME_OPTIMUM
from sklearn_proxyopt.diagnosis._edges import sides_of
from sklearn_proxyopt.diagnosis._evidence import Evidence, distances
from sklearn_proxyopt.diagnosis._half_samples import HalfSampleEnsemble, judged_function
from sklearn_proxyopt.diagnosis._settings import Settings, noise_of, noise_of_each
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.optimizers._candidates import lowest_apart
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import Variables
from sklearn_proxyopt.variables._design import Design

__all__ = ["EvidenceCollector"]

# Points of the box at which all proxies are compared, and of them those kept as rivals.
_N_ELSEWHERE = 1024
_N_RIVALS = 10
# Functions that are drawn from the proxy.
_N_DRAWS = 32


class EvidenceCollector:
    """Models refitted on half of the data, and the low points that they and the proxy know of.

    Parameters
    ----------
    proxy : regressor
        The fitted proxy.
    X : ndarray of shape (n_samples, n_features)
        The samples it learned from.
    y : ndarray of shape (n_samples,)
        Their values.
    variables : Variables
        The space, of whose features the proxy is a function.
    minima : ndarray of shape (n_minima, n_features)
        Low points of the proxy.
    seed : int
        Seeds the half-sample proxies and the searches.
    merit : Merit, default=None
        What counts of values that come with constraints, those of the proxy and of the samples.

    Attributes
    ----------
    function : ProxyFunction
        The proxy, a function of features.
    opinions : HalfSampleEnsemble
        Models refitted on half of the samples.
    minima : ndarray of shape (n_minima, n_features)
        The low points of the proxy, in the unit cube.
    """

    def __init__(
        self,
        proxy: Any,
        X: NDArray[np.float64],
        y: NDArray[np.float64],
        variables: Variables,
        minima: NDArray[np.float64],
        seed: int,
        merit: Merit | None = None,
    ) -> None:
        self.function = judged_function(proxy, merit)
        self._variables = variables = variables.opened_at(minima[0])
        self.minima = variables.to_unit_cube(minima)
        self.settings = settings = Settings.of(X, y, variables)
        X, y = settings.X, settings.y
        self.noise, self.is_noise_certain = noise_of(proxy, settings, merit)
        self._merit, self._noise_of_each = merit, noise_of_each(proxy, settings)
        self._X, self._y = X, self.judged(X, y, settings.n_repeats)
        self.opinions = HalfSampleEnsemble(proxy, variables.features(X), y, seed, merit)
        lowest_rows, _ = variables.best_rows(X, self._y)
        points = np.vstack([minima, variables.snap(lowest_rows), _elsewhere(variables, seed)])
        self._low_places, self._lows = self.opinions.minima(variables, points, seed)
        self._unseen = self.opinions.predict_unseen(variables.features(X))
        self._pool = np.vstack([self._low_places, self._search_again(minima, seed), points])
        self._predictions = self.predict(self._pool)
        self._halves = self.predict_halves(self._pool)
        own, goal = unturned_proxy(proxy)
        self._proxy = own if merit is None else None
        deviations = self._deviations(self._pool)
        self._pool_std = self._halves.std(axis=0) if deviations is None else deviations
        self._drawn = None
        if hasattr(self._proxy, "draw_functions"):
            self._drawn = turned_proxy(own.draw_functions(_N_DRAWS, seed), goal)
        drawn = self._draws(self._pool)
        self._drawn_lows = drawn.min(axis=1)
        self._drawn_points = variables.to_unit_cube(self._pool[drawn.argmin(axis=1)])

    def place_of(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the position of a sample in the unit cube."""
        return np.asarray(self._variables.to_unit_cube(x[None])[0])

    def rows_at(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the valid samples at points of the unit cube."""
        return self._variables.from_unit_cube(places)

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the proxy's predictions for samples."""
        return self.function(self._variables.features(X))

    def predict_halves(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the predictions of each refitted model, of shape (n_halves, n)."""
        return self.opinions.predict(self._variables.features(X))

    def estimates(self) -> NDArray[np.float64]:
        """Return the values of the settings, with noise as the proxy sees them."""
        return self.predict(self._X) if self.is_noisy else self._y

    @property
    def is_noisy(self) -> bool:
        """Whether what is judged has noise, that of a value or of a constraint."""
        return bool(self.noise) or self._has_noisy_constraints

    @property
    def _has_noisy_constraints(self) -> bool:
        return self._merit is not None and bool(self._noise_of_each[1:].any())

    def judged(
        self, X: NDArray[np.float64], outputs: NDArray[np.float64], n_repeats: Any = 1
    ) -> NDArray[np.float64]:
        """Return what is judged of measured outputs: values, with a penalty for what is violated.

        Noise would make up violations: constraints that have any count as they are estimated.
        """
        if len(X) and self._has_noisy_constraints:
            estimated, _ = self.estimated(X, outputs, n_repeats)
            outputs = np.column_stack([outputs[:, 0], estimated[:, 1:]])
        return merit_of_rows(outputs, self._merit)

    def estimated(
        self, X: NDArray[np.float64], outputs: NDArray[np.float64], n_repeats: Any = 1
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what outputs with constraints are up to noise, and their standard deviations.

        Measured and predicted ones are weighed by what they are sure of.
        """
        function = self.function
        assert isinstance(function, MeritFunction)
        features, noise = self._variables.features(X), self._noise_of_each
        deviations = function.proxy.deviations(features)
        own = np.maximum(0.0 if deviations is None else deviations, noise)
        is_exact, n = noise == 0.0, np.reshape(n_repeats, (-1, 1))
        sure, by_proxy = (
            n / np.where(is_exact, 1.0, noise) ** 2,
            1.0 / np.where(own > 0.0, own, 1.0) ** 2,
        )
        mean = (sure * outputs + by_proxy * function.outputs(features)) / (sure + by_proxy)
        return np.where(is_exact, outputs, mean), np.where(is_exact, 0.0, (sure + by_proxy) ** -0.5)

    def agreed_point(self, x: NDArray[np.float64], margin: float) -> NDArray[np.float64] | None:
        """Return a point where each refitted model is lower than at another by a margin.

        It is the point of their lowest mean; None if they do not agree on it.
        """
        lowest = int(self._halves.mean(axis=0).argmin())
        gains = self.predict_halves(x[None])[:, 0] - self._halves[:, lowest]
        return self._pool[lowest] if (gains > margin).all() else None

    def _deviations(self, X: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Return standard deviations of the proxy's predictions; None if it has none."""
        if self._proxy is None:
            return None
        deviations = RegressorFunction(self._proxy).deviations(self._variables.features(X))
        return None if deviations is None else deviations[:, 0]

    def _draws(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what each function that the samples allow says of rows, of shape (n_draws, n).

        There is none if the proxy cannot draw any.
        """
        if self._drawn is None:
            return np.empty((0, len(X)))
        return np.asarray(self._drawn.predict_members(self._variables.features(X)))

    def _lowest_known(self) -> float:
        """Return the lowest value of the settings that may be the answer."""
        _, values = self._variables.rows_that_count(self._X, self.estimates())
        return float(values.min())

    def _search_again(self, minima: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
        """Search the proxy from what its halves found, to see whether the search was stuck."""
        if not self.function.has_module:
            return minima
        search = MultiStartBFGS(64, 60, n_rounds=1, n_candidates=1024, random_state=seed)
        starts = np.vstack([self._low_places, minima])
        if self._variables.is_continuous_box:
            found = search.minimize(self.function, self._variables.bounds, x0=starts)
        else:
            valid = MixedSearch(self.function, self._variables, float(np.ptp(self._y)))
            found = valid.finish(valid.run(search, starts, None), starts)
        return np.asarray(found.x_candidates, dtype=np.float64)

    def about(self, x: NDArray[np.float64]) -> Evidence:
        """Return what is known about an optimum, without its measured value.

        Parameters
        ----------
        x : ndarray of shape (n_features,)
            The optimum, in the user's units.

        Returns
        -------
        Evidence
            The evidence.
        """
        to_unit_cube, n_halves = self._variables.to_unit_cube, self.opinions.n_halves
        place, own = to_unit_cube(x[None])[0], self.predict_halves(x[None])[:, 0]
        predicted, deviation = float(self.predict(x[None])[0]), self._deviations(x[None])
        places = to_unit_cube(self._pool)
        sayings = np.vstack([self._predictions[None], self._halves])
        rivals = _rivals(places, sayings, place)
        drawn = self._draws(x[None])[:, 0]
        return Evidence(
            place=place,
            predicted=predicted,
            deviation=np.nan if deviation is None else float(deviation[0]),
            measured=np.nan,
            measured_std=0.0,
            lowest_predicted=min(predicted, float(self._predictions.min())),
            lowest_known=self._lowest_known(),
            rows=to_unit_cube(self._X),
            values=self._y,
            n_repeats=self.settings.n_repeats,
            unseen=self._unseen,
            opinions=own,
            lows=np.minimum(self._lows, own),
            low_points=to_unit_cube(self._low_places),
            halves_at_lows=self._halves[:, :n_halves],
            drawn=drawn,
            drawn_lows=np.minimum(self._drawn_lows, drawn),
            drawn_points=self._drawn_points,
            sides=sides_of(x[None], self._variables)[0],
            low_sides=sides_of(self._low_places, self._variables),
            rivals=places[rivals],
            rival_lows=sayings[:, rivals].min(axis=0),
            elsewhere=self._predictions,
            elsewhere_std=self._pool_std,
            check_predictions=np.empty(0),
            check_values=np.empty(0),
            noise=self.noise,
            is_noise_certain=self.is_noise_certain,
        )


def _elsewhere(variables: Variables, seed: int) -> NDArray[np.float64]:
    """Return valid, feasible samples spread over the search space."""
    if not variables.is_continuous_box:
        return Design(SobolSampler(_N_ELSEWHERE, random_state=seed), variables).sample()
    sobol = qmc.Sobol(variables.n_features, rng=np.random.default_rng(seed)).random(_N_ELSEWHERE)
    return variables.from_unit_cube(sobol)


def _rivals(
    places: NDArray[np.float64], opinions: NDArray[np.float64], place: NDArray[np.float64]
) -> list[int]:
    """Choose points that may be lower than the optimum: in other basins and in its own, in turn.

    They are taken in the order of the mean less one standard deviation over all proxies, whose
    scatter says where a lower value could hide.
    """
    bound = opinions.mean(axis=0) - opinions.std(axis=0)
    distance = distances(places, place)
    far = np.flatnonzero(distance > SAME_BASIN)
    near = np.flatnonzero((distance > SAME_OPTIMUM) & (distance <= SAME_BASIN))
    chosen = [
        group[lowest_apart(places[group], bound[group], reach, _N_RIVALS)]
        for group, reach in ((far, SAME_BASIN), (near, SAME_OPTIMUM))
    ]
    in_turn = [int(i) for pair in zip_longest(*chosen) for i in pair if i is not None]
    return in_turn[:_N_RIVALS]
