"""What is known about an optimum: measured once, then read as numbers against a stated regret."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import qmc, spearmanr

from sklearn_proxyopt._proxy_search._mixed_search import MixedSearch
from sklearn_proxyopt._proxy_search._penalty import Merit, merit_of_rows
from sklearn_proxyopt._utils._distances import SAME_BASIN, SAME_OPTIMUM
from sklearn_proxyopt.diagnosis._band import errors_of_the_chosen, weighted_quantile
from sklearn_proxyopt.diagnosis._half_samples import HalfSampleEnsemble, judged_function
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.optimizers._candidates import lowest_apart
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import Variables
from sklearn_proxyopt.variables._design import Design

__all__ = ["Evidence", "EvidenceCollector", "best_of"]

# Points of the box at which all proxies are compared, and of them those kept as rivals.
_N_ELSEWHERE = 1024
_N_RIVALS = 10
# The best rows are a tenth of all, and at least so many.
_SHARE_OF_BEST = 0.1
_MIN_BEST = 10
_EDGE = 1e-6
_BAND = 0.9


@dataclass(frozen=True)
class Evidence:
    """What is known about an optimum.

    Attributes
    ----------
    place : ndarray of shape (n_features,)
        The optimum, in the unit cube.
    predicted : float
        What the proxy says there.
    measured : float
        What the function says there; NaN if unknown.
    lowest_predicted : float
        The lowest value of the proxy that any search has found.
    lowest_known : float
        The lowest true value known.
    rows : ndarray of shape (n_rows, n_features)
        What the proxy learned from, in the unit cube.
    values : ndarray of shape (n_rows,)
        Their values.
    unseen : ndarray of shape (n_rows,)
        What half-sample proxies that had not seen them say of the rows; NaN if all had.
    opinions : ndarray of shape (n_halves,)
        What each half-sample proxy says at the optimum.
    lows : ndarray of shape (n_halves,)
        The lowest value of each.
    low_points : ndarray of shape (n_halves, n_features)
        Where that is, in the unit cube.
    halves_at_lows : ndarray of shape (n_halves, n_halves)
        What each (row) says at the minimum of each (column).
    rivals : ndarray of shape (n_rivals, n_features)
        Other places, in the unit cube, that may be as good, the most likely first.
    rival_predictions : ndarray of shape (n_rivals,)
        What the proxy says there.
    check_predictions : ndarray of shape (n_checks,)
        What the proxy says at other places where it was checked.
    check_values : ndarray of shape (n_checks,)
        What the function says there.
    rival_lows : ndarray of shape (n_rivals,)
        The lowest that the proxy or a half-sample proxy says of each rival.
    noise : float
        Standard deviation of the noise of a value.
    """

    place: NDArray[np.float64]
    predicted: float
    measured: float
    lowest_predicted: float
    lowest_known: float
    rows: NDArray[np.float64]
    values: NDArray[np.float64]
    unseen: NDArray[np.float64]
    opinions: NDArray[np.float64]
    lows: NDArray[np.float64]
    low_points: NDArray[np.float64]
    halves_at_lows: NDArray[np.float64]
    rivals: NDArray[np.float64]
    rival_predictions: NDArray[np.float64]
    check_predictions: NDArray[np.float64]
    check_values: NDArray[np.float64]
    rival_lows: NDArray[np.float64]
    noise: float = 0.0

    @property
    def spread_of_values(self) -> float:
        """How far the middle row lies above the lowest value known."""
        return float(np.median(self.values) - min(self.lowest_known, self.values.min()))

    def checked(
        self, measured: float, predictions: NDArray[np.float64], values: NDArray[np.float64]
    ) -> Evidence:
        """Return the evidence with the value at the optimum, and predictions and values elsewhere.

        Values that are not finite, because their evaluation failed, are left out.
        """
        known = np.isfinite(values)
        lowest = np.nanmin([self.lowest_known, measured, *values[known]])
        return replace(
            self,
            measured=measured,
            check_predictions=predictions[known],
            check_values=values[known],
            lowest_known=float(lowest),
        )

    def band(self) -> tuple[float, float]:
        """Return where the truth at the optimum may lie, with a probability of 90 percent."""
        known = np.isfinite(self.unseen)
        errors, weights = errors_of_the_chosen(self.unseen[known], self.values[known])
        tail = (1.0 - _BAND) / 2.0
        return (
            self.predicted + weighted_quantile(errors, weights, tail),
            self.predicted + weighted_quantile(errors, weights, 1.0 - tail),
        )

    def numbers(self, regret: float) -> dict[str, float]:
        """Return the numbers of the evidence, those of values in units of the regret.

        Parameters
        ----------
        regret : float
            What is tolerated, in units of the values.

        Returns
        -------
        dict of str to float
            See the user guide for what each means. Those that take a true value which is not
            known are NaN.
        """
        return {
            **self._fidelity(regret),
            **self._agreement(regret),
            **self._support(regret),
            **self._checks(regret),
        }

    def _fidelity(self, regret: float) -> dict[str, float]:
        known = np.isfinite(self.unseen)
        unseen, values = self.unseen[known], self.values[known]
        errors, weights = errors_of_the_chosen(unseen, values)
        best = best_of(values)
        order = spearmanr(unseen[best], values[best]).statistic if np.ptp(unseen[best]) else 0.0
        variance = max(float(values.var()), np.finfo(float).tiny)
        return {
            "r2_unseen": 1.0 - float(np.square(values - unseen).mean()) / variance,
            "order_of_best": float(np.nan_to_num(order)),
            "error_of_best": float(np.sqrt(np.square(values - unseen)[best].mean())) / regret,
            "error_of_chosen": float(np.sqrt(weights @ errors**2)) / regret,
            "bias_of_chosen": float(weights @ errors) / regret,
            "share_misjudged": float(weights @ (np.abs(errors) > regret)),
        }

    def _agreement(self, regret: float) -> dict[str, float]:
        own_regret = np.maximum(self.opinions - self.lows, 0.0)
        n = len(self.lows)
        # What the other half says of a minimum, above what the half that found it promised.
        partner = np.minimum(np.arange(n) ^ 1, n - 1)
        crossed = self.halves_at_lows[partner, np.arange(n)] - self.lows
        distance = _distance(self.low_points, self.place)
        return {
            "regret_in_opinions": float(own_regret.mean()) / regret,
            "share_agreeing": float((own_regret <= regret).mean()),
            "spread_at_optimum": float(self.opinions.std(ddof=1)) / regret,
            "spread_of_lows": float(self.lows.std(ddof=1)) / regret,
            "optimism": float(self.opinions.mean() - self.predicted) / regret,
            "optimism_of_halves": float(crossed.mean()) / regret,
            "distance_of_lows": float(distance.mean()),
            "share_elsewhere": float((distance > SAME_BASIN).mean()),
            "search_error": max(self.predicted - self.lowest_predicted, 0.0) / regret,
        }

    def _support(self, regret: float) -> dict[str, float]:
        tree = cKDTree(self.rows)
        nearest = float(tree.query(self.place)[0])
        sample = self.rows[:: max(len(self.rows) // 500, 1)]
        typical = float(np.median(tree.query(sample, k=2)[0][:, 1]))
        gain = self.values.min() - self.predicted
        return {
            "distance_to_rows": nearest / max(typical, np.finfo(float).tiny),
            "n_on_edge": float(((self.place < _EDGE) | (self.place > 1.0 - _EDGE)).sum()),
            "gain_over_rows": max(float(gain), 0.0) / regret,
            "shortfall": max(-float(gain), 0.0) / regret,
            "rows_per_variable": len(self.rows) / self.rows.shape[1],
        }

    def _checks(self, regret: float) -> dict[str, float]:
        gaps, truth = self.check_values - self.check_predictions, self.measured
        has_checks = len(gaps) > 0
        error = float(np.sqrt(np.square(gaps).mean())) if has_checks else np.nan
        lead = float(self.check_values.min() - truth) if has_checks else np.nan
        left = truth - np.array([self.lows.mean(), self.lowest_predicted])
        left_in_opinions, left_in_proxy = np.maximum(left, 0.0) / regret
        return {
            "known_regret": (truth - self.lowest_known) / regret,
            "error_at_optimum": abs(truth - self.predicted) / regret,
            "left_in_opinions": float(left_in_opinions),
            "left_in_proxy": float(left_in_proxy),
            "error_at_checks": error / regret,
            "lead_over_checks": lead / regret,
        }


def best_of(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the places of the best rows, the lowest first."""
    n_best = max(int(_SHARE_OF_BEST * len(values)), _MIN_BEST)
    return np.argsort(values, kind="stable")[:n_best]


class EvidenceCollector:
    """Second opinions on a fitted proxy, and the low points that it and they know of.

    Parameters
    ----------
    proxy : regressor
        The fitted proxy.
    X : ndarray of shape (n_rows, n_features)
        The rows it learned from.
    y : ndarray of shape (n_rows,)
        Their values.
    variables : Variables
        The space, of whose features the proxy is a function.
    minima : ndarray of shape (n_minima, n_features)
        Low points of the proxy.
    seed : int
        Seeds the half-sample proxies and the searches.
    merit : Merit, default=None
        What counts of values that come with constraints, those of the proxy and of the rows.

    Attributes
    ----------
    function : ProxyFunction
        The proxy, a function of features.
    opinions : HalfSampleEnsemble
        Proxies of half of the rows.
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
        variables = variables.opened_at(minima[0])
        self._X, self._y, self._variables = X, merit_of_rows(y, merit), variables
        self.minima = variables.to_unit_cube(minima)
        self.opinions = HalfSampleEnsemble(proxy, variables.features(X), y, seed, merit)
        lowest_rows, _ = variables.best_rows(X, self._y)
        points = np.vstack([minima, variables.snap(lowest_rows), _elsewhere(variables, seed)])
        self._low_places, self._lows = self.opinions.minima(variables, points, seed)
        self._unseen = self.opinions.predict_unseen(variables.features(X))
        self._pool = np.vstack([self._low_places, self._search_again(minima, seed), points])
        self._predictions = self.predict(self._pool)
        self._halves = self.predict_halves(self._pool)

    def place_of(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where a row lies in the unit cube."""
        return np.asarray(self._variables.to_unit_cube(x[None])[0])

    def rows_at(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the valid rows at places of the unit cube."""
        return self._variables.from_unit_cube(places)

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the proxy says of rows."""
        return self.function(self._variables.features(X))

    def predict_halves(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what each second opinion says of rows, of shape (n_halves, n)."""
        return self.opinions.predict(self._variables.features(X))

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
        """Return what is known about an optimum, without its true value.

        Parameters
        ----------
        x : ndarray of shape (n_features,)
            The optimum, in the user's units.

        Returns
        -------
        Evidence
            The evidence.
        """
        to_unit_cube = self._variables.to_unit_cube
        place, own = to_unit_cube(x[None])[0], self.predict_halves(x[None])[:, 0]
        predicted = float(self.predict(x[None])[0])
        places = to_unit_cube(self._pool)
        rivals = _rivals(places, np.vstack([self._predictions[None], self._halves]), place)
        n_halves = self.opinions.n_halves
        return Evidence(
            place=place,
            predicted=predicted,
            measured=np.nan,
            lowest_predicted=min(predicted, float(self._predictions.min())),
            lowest_known=float(self._y.min()),
            rows=to_unit_cube(self._X),
            values=self._y,
            unseen=self._unseen,
            opinions=own,
            lows=np.minimum(self._lows, own),
            low_points=to_unit_cube(self._low_places),
            halves_at_lows=self._halves[:, :n_halves],
            rivals=places[rivals],
            rival_predictions=self._predictions[rivals],
            check_predictions=np.empty(0),
            check_values=np.empty(0),
            rival_lows=np.vstack([self._predictions, self._halves])[:, rivals].min(axis=0),
        )


def _elsewhere(variables: Variables, seed: int) -> NDArray[np.float64]:
    """Return valid, feasible rows spread over the box."""
    if not variables.is_continuous_box:
        return Design(SobolSampler(_N_ELSEWHERE, random_state=seed), variables).sample()
    sobol = qmc.Sobol(variables.n_features, rng=np.random.default_rng(seed)).random(_N_ELSEWHERE)
    return variables.from_unit_cube(sobol)


def _rivals(
    places: NDArray[np.float64], opinions: NDArray[np.float64], place: NDArray[np.float64]
) -> list[int]:
    """Choose places that may be lower than the optimum: in other basins and in its own, in turn.

    They are taken in the order of the mean less one standard deviation over all proxies, whose
    scatter says where a lower value could hide.
    """
    bound = opinions.mean(axis=0) - opinions.std(axis=0)
    distance = _distance(places, place)
    far = np.flatnonzero(distance > SAME_BASIN)
    near = np.flatnonzero((distance > SAME_OPTIMUM) & (distance <= SAME_BASIN))
    chosen = [
        group[lowest_apart(places[group], bound[group], reach, _N_RIVALS)]
        for group, reach in ((far, SAME_BASIN), (near, SAME_OPTIMUM))
    ]
    in_turn = [int(i) for pair in zip_longest(*chosen) for i in pair if i is not None]
    return in_turn[:_N_RIVALS]


def _distance(places: NDArray[np.float64], place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return distances in root mean square over the variables."""
    return np.sqrt(np.square(places - place).mean(axis=-1))
