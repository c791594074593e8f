"""Learn to judge optima from the cases of `verdicts.py`, and try it on families never learned from.

    python benchmarks/verdict_model.py

learns the weights of the package from the families in `LEARNED`, and writes what they are worth on
those in `UNSEEN`: the tables and the picture of the page "When to believe a proxy", and a small set
of cases that the tests watch. `--weights` says where the weights go; without it they are tried and
not kept.
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score, roc_curve
from verdict_functions import SIMULATORS

from sklearn_proxyopt.diagnosis._credibility import MODES, Credibility, credibility_model, scaled
from sklearn_proxyopt.diagnosis._diagnosis import CREDIBLE
from sklearn_proxyopt.diagnosis._evidence import Evidence

# Regrets that are tolerated, in units of the default one; the tables are for the default.
FACTORS = (0.25, 0.5, 1.0, 2.5, 5.0)
WEIGHT_OF_DEFAULT = 3.0
# On the squares of weights; budget runs are few.
PENALTIES = {"rows": 10.0, "checks": 10.0, "refined": 30.0}
LEAST_SPREAD = 0.3
N_BOOTSTRAPS, N_BINS, N_WATCHED = 1000, 10, 100
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
    # A refined optimum is the lowest value known; what lies above it elsewhere is no merit.
    "refined": SIGNS | SIGNS_OF_CHECKS | {"lead_over_checks": -1},
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
                kept["factor"].append(factor)
                kept["value"].append(value)
                kept["band"].append(evidence.band())
                half = 1.645 * evidence.deviation
                kept["own_interval"].append((evidence.predicted - half, evidence.predicted + half))
        for name, values in kept.items():
            setattr(self, name, np.array(values))

    _KEPT = ("is_good", "family", "noise", "proxy", "is_unseen", "is_run", "factor", "value")
    _KEPT += ("band", "own_interval")
    is_good: NDArray[np.bool_]
    family: NDArray[np.str_]
    noise: NDArray[np.float64]
    proxy: NDArray[np.str_]
    is_unseen: NDArray[np.bool_]
    is_run: NDArray[np.bool_]
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
    cases: Cases, which: NDArray[np.bool_], signs: dict[str, int], penalty: float
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
    # How hard a function is, is not known: right and wrong optima count alike.
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


def calibration_error(probability: NDArray[np.float64], is_good: NDArray[np.bool_]) -> float:
    """Return the expected calibration error in ten bins of equal width."""
    bins = np.minimum((probability * N_BINS).astype(int), N_BINS - 1)
    error = 0.0
    for place in range(N_BINS):
        own = bins == place
        if own.any():
            error += own.mean() * abs(probability[own].mean() - is_good[own].mean())
    return float(error)


def auc(is_good: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve; NaN where all are good or none is."""
    known = np.isfinite(score)
    if len(np.unique(is_good[known])) < 2:
        return np.nan
    return float(roc_auc_score(is_good[known], score[known]))


def intervals_by_family(
    cases: Cases,
    which: NDArray[np.bool_],
    scores: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return 95 % intervals of the AUC of a score, and of its lead over another.

    Families are drawn with replacement.
    """
    rng, places = np.random.default_rng(0), np.flatnonzero(which)
    families = np.unique(cases.family[places])
    own = {family: places[cases.family[places] == family] for family in families}
    drawn = []
    for _ in range(N_BOOTSTRAPS):
        some = np.concatenate([own[family] for family in rng.choice(families, len(families))])
        drawn.append([auc(cases.is_good[some], score[some]) for score in scores])
    areas = np.array(drawn)
    quantiles = np.nanquantile(areas, [0.025, 0.975], axis=0)
    lead = np.nanquantile(areas[:, 0] - areas[:, 1], [0.025, 0.975])
    return quantiles[:, 0], lead


def auc_rows(
    cases: dict[str, Cases], probabilities: dict[str, NDArray[np.float64]]
) -> list[dict[str, Any]]:
    """Return the table of the verdicts, and of held-out R2 on the same cases."""
    rows = []
    for mode in MODES:
        one, score = cases[mode], probabilities[mode]
        r2 = one.column("r2_unseen")
        subsets = {
            "all": one.is_tried,
            "exact": one.is_tried & (one.noise == 0.0),
            "noisy": one.is_tried & (one.noise > 0.0),
            "simulators": one.is_tried & np.isin(one.family, SIMULATORS),
        }
        for name, which in subsets.items():
            if not which.any():
                continue
            good, probability = one.is_good[which], score[which]
            area, lead = intervals_by_family(one, which, (score, r2))
            is_credible = probability >= CREDIBLE
            rows.append(
                {
                    "verdict from": mode,
                    "cases": name,
                    "n": int(which.sum()),
                    "good, %": round(100 * good.mean()),
                    "AUC": _rounded(auc(good, probability)),
                    "AUC, 95 %": _interval(area),
                    "AUC of R2": _rounded(auc(good, r2[which])),
                    "lead, 95 %": _interval(lead),
                    "calibration error": _rounded(calibration_error(probability, good)),
                    "credible of good, %": _percent(is_credible[good]),
                    "wrong of credible, %": _percent(~good[is_credible]),
                }
            )
    return rows


def family_rows(
    cases: dict[str, Cases], probabilities: dict[str, NDArray[np.float64]]
) -> list[dict[str, Any]]:
    """Return the table of the verdicts by family that nothing was learned from."""
    rows = []
    tried = np.concatenate([cases[mode].family[cases[mode].is_tried] for mode in MODES])
    for family in np.unique(tried):
        row: dict[str, Any] = {"family": family}
        for mode in MODES:
            one = cases[mode]
            own = (one.family == family) & one.is_tried
            row[f"n, {mode}"] = int(own.sum())
            row[f"good %, {mode}"] = _percent(one.is_good[own])
            row[f"AUC, {mode}"] = _rounded(auc(one.is_good[own], probabilities[mode][own]))
        rows.append(row)
    return rows


def band_rows(cases: Cases) -> list[dict[str, Any]]:
    """Return the table of bands: how often they hold the truth, and their interval score."""
    rows = []
    known = cases.is_tried & np.isfinite(cases.own_interval).all(axis=1)
    for name in ("band", "own_interval"):
        for subset, which in {
            "exact": known & (cases.noise == 0.0),
            "noisy": known & (cases.noise > 0.0),
        }.items():
            low, high = getattr(cases, name)[which].T
            truth = cases.value[which]
            beyond = np.maximum(low - truth, 0.0) + np.maximum(truth - high, 0.0)
            # In units of what the same case is best told with, so that none outweighs the others.
            unit = np.maximum(np.ptp(cases.band[which], axis=1), 1e-12 + 1e-9 * np.abs(truth))
            score = (high - low + 20.0 * beyond) / unit
            slack = 1e-9 * np.maximum(np.abs(truth), 1.0)
            rows.append(
                {
                    "interval": "band" if name == "band" else "standard deviation of the proxy",
                    "cases": subset,
                    "n": int(which.sum()),
                    "holds the truth, %": _percent(beyond <= slack),
                    "interval score": _rounded(float(np.mean(score))),
                }
            )
    return rows


def _interval(ends: NDArray[np.float64]) -> str:
    return "" if np.isnan(ends).any() else f"{ends[0]:.2f} to {ends[1]:.2f}"


def _rounded(value: float) -> Any:
    return "" if np.isnan(value) else round(value, 3)


def _percent(flags: NDArray[np.bool_]) -> Any:
    return round(100.0 * float(flags.mean()), 1) if len(flags) else ""


def draw(
    path: Path, cases: dict[str, Cases], probabilities: dict[str, NDArray[np.float64]]
) -> None:
    """Draw the ROC curves and the calibration."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8.3, 4.2), layout="constrained")
    right.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
    colors = ("#0072B2", "#E69F00", "#009E73")
    for mode, marker, line, color in zip(MODES, "so^", ("-", "--", ":"), colors, strict=True):
        one = cases[mode]
        which = one.is_tried
        score, is_good = probabilities[mode][which], one.is_good[which]
        false_rate, true_rate, _ = roc_curve(is_good, score)
        label = f"{mode}: {auc(is_good, score):.2f}"
        left.plot(false_rate, true_rate, line, color=color, label=label)
        bins = np.array_split(np.argsort(score, kind="stable"), N_BINS)
        means = [(score[own].mean(), is_good[own].mean()) for own in bins if len(own)]
        right.plot(
            *zip(*means, strict=True), marker, color=color, label=mode, markerfacecolor="none"
        )
    left.set(xlabel="false optima believed", ylabel="good optima believed", title="ROC")
    left.legend(frameon=False, title="area under the curve", loc="lower right")
    right.set(xlabel="probability of the verdict", ylabel="share that is good", title="Calibration")
    right.legend(frameon=False, loc="upper left")
    for axis in (left, right):
        axis.set_aspect("equal")
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def watched_rows(cases: dict[str, Cases]) -> list[dict[str, Any]]:
    """Return some cases for the tests: numbers, and whether the optimum was good."""
    rows = []
    for mode in MODES:
        one, names = cases[mode], list(SIGNS | SIGNS_OF_CHECKS)
        places = np.flatnonzero(one.is_tried)
        for place in np.random.default_rng(0).permutation(places)[:N_WATCHED]:
            numbers = {name: f"{one.numbers[place][name]:.4g}" for name in names}
            good = int(one.is_good[place])
            rows.append({"mode": mode, "family": one.family[place], "is_good": good, **numbers})
    return rows


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a table."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Learn, try on families never learned from, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path(".cache/verdicts"))
    parser.add_argument("--output", type=Path, default=Path("docs/results/verdicts"))
    parser.add_argument("--watched", type=Path, default=Path("tests/diagnosis/verdict_cases.csv"))
    parser.add_argument("--weights", type=Path, default=None)
    options = parser.parse_args()
    paths = sorted(options.cache.glob("?????.npz"))
    if not paths:
        parser.error(
            f"--cache must hold cases, made by benchmarks/verdicts.py; got none in {options.cache}."
        )
    cases = {mode: Cases(paths, mode) for mode in MODES}
    models = {
        mode: learned(cases[mode], ~cases[mode].is_unseen, SIGNS_OF[mode], PENALTIES[mode])
        for mode in MODES
    }
    probabilities = {
        mode: np.array([models[mode].probability(one) for one in cases[mode].numbers])
        for mode in MODES
    }
    options.output.mkdir(parents=True, exist_ok=True)
    table, bands = auc_rows(cases, probabilities), band_rows(cases["rows"])
    write(options.output / "auc.csv", table)
    write(options.output / "families.csv", family_rows(cases, probabilities))
    write(options.output / "bands.csv", bands)
    write(options.watched, watched_rows(cases))
    draw(options.output / "verdicts.png", cases, probabilities)
    if options.weights is not None:
        stored = {
            mode: {
                "intercept": round(model.intercept, 4),
                "weights": {
                    name: [round(float(n), 4) for n in w] for name, w in model.weights.items()
                },
            }
            for mode, model in models.items()
        }
        options.weights.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        credibility_model.cache_clear()
    for row in (*table, *bands):
        print(row)


if __name__ == "__main__":
    main()
