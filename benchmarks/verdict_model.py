"""Learn to judge optima from cases: part of `verdicts.py`."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from sklearn_proxyopt.diagnosis._credibility import Credibility, scaled
from sklearn_proxyopt.diagnosis._evidence import Evidence

# Regrets that are tolerated, in units of the default one; the tables are for the default.
FACTORS = (0.25, 0.5, 1.0, 2.5, 5.0)
WEIGHT_OF_DEFAULT = 3.0
# On the squares of weights; budget runs are few.
PENALTIES = {"rows": 30.0, "checks": 30.0, "refined": 60.0}
# How hard a function is, is not known: right and wrong optima of a model count alike. A search of
# the function itself finds the optimum more often than not, and its answers count as they are.
IS_BALANCED = {"rows": True, "checks": True, "refined": False}
LEAST_SPREAD = 0.3
# Within these quantiles of the cases a number counts in proportion, beyond as at them.
QUANTILES = (0.02, 0.98)
# Which way each number may count, so that no weight contradicts its own sentence.
SIGNS = {
    "r2_unseen": 1,
    "order_of_best": 1,
    "error_of_best": -1,
    "error_of_chosen": -1,
    "share_misjudged": -1,
    "regret_in_opinions": -1,
    "share_agreeing": 1,
    "spread_at_optimum": -1,
    "spread_of_lows": -1,
    "optimism": -1,
    "optimism_of_halves": -1,
    "distance_of_lows": -1,
    "share_elsewhere": -1,
    "search_error": -1,
    "edges_in_doubt": -1,
    "gain_over_rows": -1,
    "shortfall": -1,
    "rows_per_variable": 1,
    "n_variables": -1,
    "noise": -1,
    "noise_or_structure": -1,
    "deviation": -1,
    "gain_elsewhere": -1,
    "chance_elsewhere": -1,
    "share_of_draws": 1,
    "left_in_draws": -1,
    "draws_elsewhere": -1,
}
SIGNS_OF_CHECKS = {
    "known_regret": -1,
    "error_at_optimum": -1,
    "left_in_opinions": -1,
    "left_in_proxy": -1,
    "error_at_checks": -1,
    "lead_over_checks": 1,
}
SIGNS_OF = {
    "rows": SIGNS,
    "checks": SIGNS | SIGNS_OF_CHECKS,
    # A refined optimum is the lowest value known; what lies above it elsewhere is no merit. A
    # search has come to it, whose course tells more than that of a design.
    "refined": SIGNS
    | SIGNS_OF_CHECKS
    | {"lead_over_checks": -1, "gained_lately": -1, "spread_of_best": -1},
}


class Cases:
    """The cases of one mode at every regret.

    Attributes
    ----------
    numbers : list of dict
        The numbers of the evidence.
    is_good : ndarray of bool of shape (n,)
        Whether the optimum lies within the regret.
    family, factor, noise, proxy, is_unseen : ndarray of shape (n,)
        The function's family; the regret, in units of the default; the noise, as a share of the
        spread of the values; the proxy; whether nothing is learned from the family.
    band, own_interval : ndarray of shape (n, 2)
        Where the truth should lie, by the band and by the proxy's standard deviation.
    value : ndarray of shape (n,)
        The truth.
    """

    def __init__(self, paths: list[Path], mode: str) -> None:
        self.numbers: list[dict[str, float]] = []
        kept: dict[str, list[Any]] = {name: [] for name in self._KEPT}
        for path in paths:
            with np.load(path) as case:
                if f"{mode}_value" not in case or str(case[f"{mode}_asked_as"]) != mode:
                    continue
                facts, evidence = json.loads(str(case["case"])), _evidence_of(case, mode)
                value, regret = float(case[f"{mode}_value"]), float(case[f"{mode}_regret"])
                f_opt = float(case["f_opt"])
            for factor in FACTORS:
                self.numbers.append(evidence.numbers(factor * regret))
                kept["is_good"].append(value - f_opt <= factor * regret)
                for name in ("family", "noise", "proxy", "is_unseen", "is_run"):
                    kept[name].append(facts[name])
                kept["n_rows"].append(len(evidence.values))
                kept["factor"].append(factor)
                kept["value"].append(value)
                kept["band"].append(evidence.band())
                half = 1.645 * evidence.deviation
                kept["own_interval"].append((evidence.predicted - half, evidence.predicted + half))
        for name, values in kept.items():
            setattr(self, name, np.array(values))

    _KEPT = ("is_good", "family", "noise", "proxy", "is_unseen", "is_run", "factor", "value")
    _KEPT += ("n_rows", "band", "own_interval")
    is_good: NDArray[np.bool_]
    family: NDArray[np.str_]
    noise: NDArray[np.float64]
    proxy: NDArray[np.str_]
    is_unseen: NDArray[np.bool_]
    is_run: NDArray[np.bool_]
    n_rows: NDArray[np.intp]
    factor: NDArray[np.float64]
    value: NDArray[np.float64]
    band: NDArray[np.float64]
    own_interval: NDArray[np.float64]

    def column(self, name: str) -> NDArray[np.float64]:
        """Return one number of all cases."""
        return np.array([numbers[name] for numbers in self.numbers])

    @property
    def is_tried(self) -> NDArray[np.bool_]:
        """Which are of the default regret, and of families that nothing is learned from."""
        return self.is_unseen & (self.factor == 1.0)


def _evidence_of(case: Any, mode: str) -> Evidence:
    stored = {field.name: case[f"{mode}_{field.name}"] for field in fields(Evidence)}
    return Evidence(**{name: v if v.ndim else v.item() for name, v in stored.items()})


def learned(
    cases: Cases,
    which: NDArray[np.bool_],
    signs: dict[str, int],
    penalty: float,
    is_balanced: bool = True,
) -> Credibility:
    """Learn a model from some of the cases; weights of the wrong sign become zero."""
    raw = np.array([[scaled(one[name]) for name in signs] for one in cases.numbers])[which]
    low, high = np.nanquantile(raw, QUANTILES, axis=0)
    raw = np.clip(raw, low, high)
    mean, spread = np.nanmean(raw, axis=0), np.nanstd(raw, axis=0)
    spread = np.maximum(spread, LEAST_SPREAD)
    Z = np.nan_to_num((raw - mean) / spread)
    y = np.where(cases.is_good[which], 1.0, -1.0)
    share = np.where(cases.factor[which] == 1.0, WEIGHT_OF_DEFAULT, 1.0)
    if is_balanced:
        rate = cases.is_good[which & (cases.factor == 1.0)].mean()
        share *= np.where(y > 0, 0.5 / rate, 0.5 / (1.0 - rate))
    start = np.zeros(1 + Z.shape[1])
    limits = [(None, None), *((0, None) if sign > 0 else (None, 0) for sign in signs.values())]
    found = minimize(partial(_loss, Z, y, share, penalty), start, jac=True, bounds=limits)
    weights = {
        name: (mean[i], spread[i], found.x[1 + i], low[i], high[i])
        for i, name in enumerate(signs)
        if abs(found.x[1 + i]) > 1e-3
    }
    return Credibility(weights, float(found.x[0]))


def _loss(
    Z: NDArray[np.float64],
    y: NDArray[np.float64],
    share: NDArray[np.float64],
    penalty: float,
    parameters: NDArray[np.float64],
) -> tuple[float, NDArray[np.float64]]:
    margin = y * (parameters[0] + Z @ parameters[1:])
    pull = -share * y / (1.0 + np.exp(np.clip(margin, -500.0, 500.0)))
    gradient = np.append(pull.sum(), Z.T @ pull + penalty * parameters[1:])
    loss = share @ np.logaddexp(0.0, -margin) + 0.5 * penalty * parameters[1:] @ parameters[1:]
    return float(loss), gradient


def stored(model: Credibility) -> dict[str, Any]:
    """Return a model as the package keeps it."""
    weights = {name: [round(float(n), 4) for n in w] for name, w in model.weights.items()}
    return {"intercept": round(model.intercept, 4), "weights": weights}
