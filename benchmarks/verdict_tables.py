"""What verdicts are worth on families never learned from, as tables and a picture."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import roc_curve
from verdict_functions import SIMULATORS
from verdict_model import SIGNS_OF, Cases

from sklearn_proxyopt.diagnosis._credibility import MODES
from sklearn_proxyopt.diagnosis._diagnosis import CREDIBLE

N_BOOTSTRAPS, N_BINS, N_WATCHED = 1000, 10, 100
# Tables from this number of rows on are told by themselves.
LARGE = 400


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
    good, rank = is_good[known], rankdata(score[known])
    n_good = int(good.sum())
    n_pairs = n_good * (len(good) - n_good)
    if not n_pairs:
        return np.nan
    return float((rank[good].sum() - n_good * (n_good + 1) / 2) / n_pairs)


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
            f"{LARGE} rows and more": one.is_tried & (one.n_rows >= LARGE),
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
        one, names = cases[mode], list(SIGNS_OF["refined"])
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
