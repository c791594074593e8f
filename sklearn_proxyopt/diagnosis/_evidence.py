"""What is known about an optimum: measured once, then read as numbers against a stated regret."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import norm, spearmanr

from sklearn_proxyopt._utils._distances import SAME_BASIN
from sklearn_proxyopt.diagnosis._band import errors_of_the_chosen, weighted_quantile

__all__ = ["Evidence", "best_of", "distances"]

# The best samples are a tenth of all, and at least so many.
_SHARE_OF_BEST = 0.1
_MIN_BEST = 10
# The band, and standard deviations of a prediction that is the lowest of all which hold as much.
_BAND, _N_DEVIATIONS = 0.9, 2.0
# The share of noise in the variance of values up to which their order tells of the function.
_MOST_NOISE = 0.3
# The share of the samples, the last ones, whose gain tells whether a search still gains.
_SHARE_LATE = 0.25
# Standard deviations of a difference that may be noise.
_BEYOND_NOISE = 2.0
# Standard deviations from functions drawn from a proxy that contradict them.
_BEYOND_DRAWS = 3.0


@dataclass(frozen=True)
class Evidence:
    """What is known about an optimum.

    Samples at the same setting are one, with the mean of their values.

    Attributes
    ----------
    place : ndarray of shape (n_axes,)
        The optimum, in the unit cube.
    predicted : float
        What the proxy predicts there.
    deviation : float
        Its standard deviation there; NaN if it has none.
    measured : float
        The measured value there, with noise as estimated; NaN if unknown.
    measured_std : float
        The standard deviation of that, 0 without noise.
    lowest_predicted : float
        The lowest value of the proxy that any search has found.
    lowest_known : float
        The lowest measured value known, with noise as estimated.
    rows : ndarray of shape (n_samples, n_axes)
        The settings that the proxy learned from, in the unit cube, in the order in which they came.
    values : ndarray of shape (n_samples,)
        Their values.
    n_repeats : ndarray of shape (n_samples,)
        How many values each of these is the mean of.
    unseen : ndarray of shape (n_samples,)
        What models that had not seen the samples predict for them; NaN if all had.
    opinions : ndarray of shape (n_halves,)
        What each model refitted on half of the samples predicts at the optimum.
    lows : ndarray of shape (n_halves,)
        The lowest value of each.
    low_points : ndarray of shape (n_halves, n_axes)
        Where that is, in the unit cube.
    halves_at_lows : ndarray of shape (n_halves, n_halves)
        What each (row) predicts at the minimum of each (column).
    drawn, drawn_lows : ndarray of shape (n_draws,)
        The value of each function drawn from the proxy at the optimum, and its lowest value; empty
        if the proxy cannot draw any.
    drawn_points : ndarray of shape (n_draws, n_axes)
        The points of these lowest values, in the unit cube.
    sides : ndarray of int of shape (n_features,)
        At which bounds the optimum lies; see `sides_of`.
    low_sides : ndarray of int of shape (n_halves, n_features)
        At which the minimum of each half lies.
    rivals : ndarray of shape (n_rivals, n_axes)
        Alternative optima, in the unit cube, the most likely first.
    rival_lows : ndarray of shape (n_rivals,)
        The lowest prediction of the proxy and the refitted models there.
    elsewhere, elsewhere_std : ndarray of shape (n_elsewhere,)
        What the proxy predicts at points all over the search space, and its standard deviations, or
        those of the refitted models if it has none.
    check_predictions : ndarray of shape (n_checks,)
        What the proxy predicts at other points where it was checked.
    check_values : ndarray of shape (n_checks,)
        What was measured there.
    noise : float
        Standard deviation of the noise of a single value.
    is_noise_certain : bool
        Whether the noise was given or estimated from repeats. If not, it may be structure finer
        than the samples.
    """

    place: NDArray[np.float64]
    predicted: float
    deviation: float
    measured: float
    measured_std: float
    lowest_predicted: float
    lowest_known: float
    rows: NDArray[np.float64]
    values: NDArray[np.float64]
    n_repeats: NDArray[np.intp]
    unseen: NDArray[np.float64]
    opinions: NDArray[np.float64]
    lows: NDArray[np.float64]
    low_points: NDArray[np.float64]
    halves_at_lows: NDArray[np.float64]
    drawn: NDArray[np.float64]
    drawn_lows: NDArray[np.float64]
    drawn_points: NDArray[np.float64]
    sides: NDArray[np.intp]
    low_sides: NDArray[np.intp]
    rivals: NDArray[np.float64]
    rival_lows: NDArray[np.float64]
    elsewhere: NDArray[np.float64]
    elsewhere_std: NDArray[np.float64]
    check_predictions: NDArray[np.float64]
    check_values: NDArray[np.float64]
    noise: float
    is_noise_certain: bool

    @property
    def certain_noise(self) -> float:
        """The noise of a single value as far as there is no doubt that it is noise."""
        return self.noise if self.is_noise_certain else 0.0

    def checked(
        self,
        measured: float,
        predictions: NDArray[np.float64],
        values: NDArray[np.float64],
        measured_std: float = 0.0,
    ) -> Evidence:
        """Return the evidence with the value at the optimum, and predictions and values elsewhere.

        Values that are not finite, because their evaluation failed, are left out. Without noise
        each is a known value.
        """
        known = np.isfinite(values)
        lowest = self.lowest_known
        if not self.noise:
            lowest = float(np.nanmin([lowest, measured, *values[known]]))
        return replace(
            self,
            measured=measured,
            measured_std=measured_std,
            check_predictions=predictions[known],
            check_values=values[known],
            lowest_known=lowest,
        )

    def band(self) -> tuple[float, float]:
        """Return where the measured value at the optimum may lie, with a probability of 90 %.

        It holds the errors of samples that were chosen as the optimum was, the predictions of the
        refitted models, and the interval of the proxy itself.
        """
        errors, weights = self._errors_of_the_chosen()
        tail = (1.0 - _BAND) / 2.0
        of_rows = [weighted_quantile(errors, weights, share) for share in (tail, 1.0 - tail)]
        own = _N_DEVIATIONS * np.nan_to_num(self.deviation)
        ends = self.predicted + np.array([*of_rows, -own, own])
        both = np.concatenate([ends, self.opinions])
        return float(both.min()), float(both.max())

    def numbers(self, regret: float) -> dict[str, float]:
        """Return the numbers of the evidence, those of values in units of the regret.

        Parameters
        ----------
        regret : float
            What is tolerated, in units of the values.

        Returns
        -------
        dict of str to float
            See the user guide for what each means. Those for which a measurement is missing are
            NaN.
        """
        return {
            **self._fidelity(regret),
            **self._agreement(regret),
            **self._support(regret),
            **self._posterior(regret),
            **self._draws(regret),
            **self._checks(regret),
            **self._convergence(regret),
        }

    def _errors_of_the_chosen(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the errors of predictions where an optimizer goes, and their weights.

        The values have noise, which is no error of a prediction.
        """
        known = np.isfinite(self.unseen)
        errors, weights = errors_of_the_chosen(self.unseen[known], self.values[known])
        return errors * np.sqrt(self._share_of_errors(errors, weights, known)), weights

    def _share_of_errors(
        self,
        errors: NDArray[np.float64],
        weights: NDArray[np.float64],
        known: NDArray[np.bool_],
    ) -> float:
        """Return how much of the mean squared error is not noise."""
        mean = float(weights @ errors**2)
        noise = float((self.noise**2 / self.n_repeats[known]).mean())
        return max(mean - noise, 0.0) / mean if mean > 0.0 else 1.0

    def _fidelity(self, regret: float) -> dict[str, float]:
        known = np.isfinite(self.unseen)
        unseen, values = self.unseen[known], self.values[known]
        noise = float((self.noise**2 / self.n_repeats[known]).mean())
        errors, weights = self._errors_of_the_chosen()
        best = best_of(values)
        error = max(float(np.square(values - unseen).mean()) - noise, 0.0)
        of_best = max(float(np.square(values - unseen)[best].mean()) - noise, 0.0)
        variance = max(float(values.var()) - noise, error)
        return {
            "r2_unseen": 1.0 - error / variance if variance > 0.0 else 1.0,
            "order_of_best": _order(unseen[best], values[best], noise),
            "error_of_best": float(np.sqrt(of_best)) / regret,
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
        distance = distances(self.low_points, self.place)
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
        n_rows, n_axes = self.rows.shape
        nearest = float(cKDTree(self.rows).query(self.place)[0])
        gain = self.lowest_known - self.predicted
        on_edge = self.sides != 0
        return {
            # The spacing of as many samples on a grid; the samples themselves may coincide.
            "distance_to_rows": nearest * n_rows ** (1.0 / n_axes) / np.sqrt(n_axes),
            "n_on_edge": float(on_edge.sum()),
            "edges_in_doubt": float((self.low_sides != self.sides)[:, on_edge].mean(axis=0).sum()),
            "gain_over_rows": max(float(gain), 0.0) / regret,
            "shortfall": max(-float(gain), 0.0) / regret,
            "rows_per_variable": n_rows / n_axes,
            "n_variables": float(n_axes),
            "noise": self.certain_noise / regret,
            "noise_or_structure": (self.noise - self.certain_noise) / regret,
        }

    def _posterior(self, regret: float) -> dict[str, float]:
        """Return what the standard deviations say about the optimum and points elsewhere."""
        here = self.predicted if np.isnan(self.measured) else self.measured
        std = np.maximum(self._of_function(self.elsewhere_std), 1e-9 * regret)
        z = (here - self.elsewhere) / std
        gains = std * (z * norm.cdf(z) + norm.pdf(z))
        return {
            "deviation": float(self._of_function(self.deviation)) / regret,
            "gain_elsewhere": float(gains.max()) / regret,
            "chance_elsewhere": float(norm.cdf(z - regret / std).max()),
        }

    def _of_function(self, std: Any) -> NDArray[np.float64]:
        """Return standard deviations without scatter that may be noise, which is told by itself."""
        doubtful = self.noise - self.certain_noise
        return np.sqrt(np.maximum(np.square(std) - doubtful**2, 0.0))

    def _draws(self, regret: float) -> dict[str, float]:
        """Return what functions that the samples allow say of the optimum.

        Those that the value measured here contradicts say nothing.
        """
        if not len(self.drawn) or self._contradicts_draws(regret):
            return dict.fromkeys(("share_of_draws", "left_in_draws", "draws_elsewhere"), np.nan)
        here = self.drawn if np.isnan(self.measured) else self.measured
        left = np.maximum(here - np.minimum(self.drawn_lows, self.lowest_known), 0.0)
        is_far = distances(self.drawn_points, self.place) > SAME_BASIN
        return {
            "share_of_draws": float((left <= regret).mean()),
            "left_in_draws": float(left.mean()) / regret,
            "draws_elsewhere": float((is_far & (left > 0.0)).mean()),
        }

    def _contradicts_draws(self, regret: float) -> bool:
        gap = abs(self.measured - self.drawn.mean())
        return bool(gap > regret + _BEYOND_DRAWS * self.drawn.std())

    def _checks(self, regret: float) -> dict[str, float]:
        gaps, truth = self.check_values - self.check_predictions, self.measured
        has_checks = len(gaps) > 0
        error = float(np.sqrt(np.square(gaps).mean())) if has_checks else np.nan
        lead = float(self.check_values.min() - truth) if has_checks else np.nan
        left = truth - np.array([self.lows.mean(), self.lowest_predicted])
        left_in_opinions, left_in_proxy = np.maximum(left, 0.0) / regret
        return {
            "known_regret": self._known_regret / regret,
            "error_at_optimum": abs(truth - self.predicted) / regret,
            "left_in_opinions": float(left_in_opinions),
            "left_in_proxy": float(left_in_proxy),
            "error_at_checks": error / regret,
            "lead_over_checks": lead / regret,
        }

    def _convergence(self, regret: float) -> dict[str, float]:
        """Return what the values say of a search that has come to its answer step by step."""
        n_values, n_axes = self.rows.shape
        before = self.values[: max(int((1.0 - _SHARE_LATE) * n_values), 1)]
        lowest = np.sort(self.values)[: n_axes + 2]
        return {
            "gained_lately": float(before.min() - lowest[0]) / regret,
            "spread_of_best": float(np.ptp(lowest)) / regret,
        }

    @property
    def _known_regret(self) -> float:
        """How far the value lies above the lowest known one, beyond what may be noise."""
        gap = self.measured - self.lowest_known
        return gap - min(_BEYOND_NOISE * self.measured_std, max(gap, 0.0))


def best_of(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the indices of the best samples, the lowest first."""
    n_best = max(int(_SHARE_OF_BEST * len(values)), _MIN_BEST)
    return np.argsort(values, kind="stable")[:n_best]


def _order(predicted: NDArray[np.float64], values: NDArray[np.float64], noise: float) -> float:
    """Return the rank correlation of values with predictions; NaN where noise decides it."""
    if noise > _MOST_NOISE * values.var():
        return np.nan
    if not (np.ptp(predicted) and np.ptp(values)):
        return 0.0
    return float(np.nan_to_num(spearmanr(predicted, values).statistic))


def distances(places: NDArray[np.float64], place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return distances in root mean square over the variables."""
    return np.asarray(np.sqrt(np.square(places - place).mean(axis=-1)))
