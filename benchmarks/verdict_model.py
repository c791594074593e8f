"""Learn to judge optima from the cases of `verdicts.py`, and try it on functions left out.

    python benchmarks/verdict_model.py

writes the weights of the package, `sklearn_proxyopt/diagnosis/credibility.json`, and the tables and
the picture of the page "When to believe a proxy". Every probability in the tables is that of a
model which saw no case of the function's family.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score, roc_curve

from sklearn_proxyopt.diagnosis._credibility import MODES, Credibility, scaled
from sklearn_proxyopt.diagnosis._evidence import Evidence

# Shares of the spread of values that are tolerated as regret; the tables are for the default.
SHARES = (0.005, 0.01, 0.02, 0.05, 0.1)
DEFAULT_SHARE = 0.02
N_RIVALS = 4
PENALTY = 3.0
LEAST_SPREAD = 0.3
# Which way each number may count, so that no weight contradicts its own sentence.
SIGNS = {
    "r2_unseen": 1,
    "order_of_best": 1,
    "error_of_best": -1,
    "error_of_chosen": -1,
    "bias_of_chosen": -1,
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
    "distance_to_rows": -1,
    "n_on_edge": -1,
    "gain_over_rows": -1,
    "shortfall": -1,
    "rows_per_variable": 1,
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
    # A refined optimum is the lowest value known. One that lies on a row was not improved at all;
    # one far below the proxy's other minima shows how little these promised.
    "refined": SIGNS
    | {
        "distance_to_rows": 1,
        "error_at_optimum": -1,
        "left_in_opinions": -1,
        "left_in_proxy": -1,
        "error_at_checks": -1,
        "lead_over_checks": -1,
    },
}


class Cases:
    """The cases of one mode at every regret.

    Attributes
    ----------
    numbers : list of dict
        The numbers of the evidence.
    is_good : ndarray of bool of shape (n,)
        Whether the optimum lies within the regret.
    family, share, other : ndarray of shape (n,)
        The function's family; the regret as a share; signals of other tools, by name.
    """

    def __init__(self, paths: list[Path], mode: str) -> None:
        self.numbers: list[dict[str, float]] = []
        good, family, share, proxies, orders = [], [], [], [], []
        for path in paths:
            with np.load(path) as case:
                facts = json.loads(str(case["case"]))
                evidence, value = _evidence_of(case, mode)
                order = float(case["in_sample_order"]) if "in_sample_order" in case else np.nan
                f_opt = float(case["f_opt"])
            for one in SHARES:
                regret = one * max(evidence.spread_of_values, np.finfo(float).tiny)
                self.numbers.append(evidence.numbers(regret))
                good.append(value - f_opt <= regret)
                family.append(facts["family"])
                proxies.append(facts["proxy"])
                share.append(one)
                orders.append(order)
        self.is_good, self.family = np.array(good), np.array(family)
        self.share, self.proxy, self.order = np.array(share), np.array(proxies), np.array(orders)

    def column(self, name: str) -> NDArray[np.float64]:
        """Return one number of all cases."""
        return np.array([numbers[name] for numbers in self.numbers])


def _evidence_of(case: Any, mode: str) -> tuple[Evidence, float]:
    name = "refined" if mode == "refined" else "proxy"
    stored = {field.name: case[f"{name}_{field.name}"] for field in fields(Evidence)}
    evidence = Evidence(**{k: float(v) if v.ndim == 0 else v for k, v in stored.items()})
    value = float(case[f"{name}_value"])
    if mode == "checks":
        truths = case["proxy_rival_truths"][:N_RIVALS]
        evidence = evidence.checked(value, evidence.rival_predictions[:N_RIVALS], truths)
    elif mode == "refined":
        evidence = evidence.checked(value, case["candidate_promises"], case["candidate_truths"])
    return evidence, value


def learned(cases: Cases, which: NDArray[np.bool_], signs: dict[str, int]) -> Credibility:
    """Learn a logistic model whose weights have given signs, with a quadratic penalty."""
    # What is proved false needs no weights.
    which = which & ~(cases.column("known_regret") > 1.0)
    columns = np.array(
        [[scaled(numbers[name]) for name in signs] for numbers in _those(cases.numbers, which)]
    )
    mean, spread = np.nanmean(columns, axis=0), np.nanstd(columns, axis=0)
    # A number that hardly varied in the cases must not decide where it does.
    spread = np.maximum(spread, LEAST_SPREAD)
    columns = np.nan_to_num((columns - mean) / spread)
    side = np.where(cases.is_good[which], 1.0, -1.0)
    # The regrets of one case are not independent.
    weight = 1.0 / PENALTY

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        odds = side * (columns @ theta[1:] + theta[0])
        slope = -side * weight / (1.0 + np.exp(np.clip(odds, -500.0, 500.0)))
        value = weight * np.logaddexp(0.0, -odds).sum() + 0.5 * float(theta[1:] @ theta[1:])
        return value, np.append(slope.sum(), columns.T @ slope + theta[1:])

    bounds = [(None, None), *((0.0, None) if s > 0 else (None, 0.0) for s in signs.values())]
    start = np.zeros(len(bounds))
    theta = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    weights = {
        name: (float(m), float(s), float(w))
        for name, m, s, w in zip(signs, mean, spread, theta[1:], strict=True)
        if w
    }
    return Credibility(weights, float(theta[0]))


def _those(numbers: list[dict[str, float]], which: NDArray[np.bool_]) -> list[dict[str, float]]:
    return [one for one, chosen in zip(numbers, which, strict=True) if chosen]


def probabilities_left_out(cases: Cases, signs: dict[str, int]) -> NDArray[np.float64]:
    """Return the probability of each case by a model that saw none of its family."""
    probabilities = np.empty(len(cases.numbers))
    for family in np.unique(cases.family):
        own = cases.family == family
        model = learned(cases, ~own, signs)
        probabilities[own] = [model.probability(one) for one in _those(cases.numbers, own)]
    return probabilities


def calibration_error(probability: NDArray[np.float64], is_good: NDArray[np.bool_]) -> float:
    """Return the expected calibration error over ten bins of as many cases each."""
    bins = np.array_split(np.argsort(probability, kind="stable"), 10)
    gaps = [abs(probability[one].mean() - is_good[one].mean()) * len(one) for one in bins]
    return float(sum(gaps) / len(probability))


SIGNALS: dict[str, Callable[[Cases], NDArray[np.float64]]] = {
    "held-out R2": lambda cases: cases.column("r2_unseen"),
    "standard deviation of the ensemble": lambda cases: -cases.column("spread_at_optimum"),
    "distance to the rows": lambda cases: -cases.column("distance_to_rows"),
    "R2 of cross-validation above 0.1 (Ax)": lambda cases: 1.0 * (cases.column("r2_unseen") > 0.1),
    "in-sample rank correlation (Nevergrad)": lambda cases: cases.order,
}


def auc_rows(
    cases: dict[str, Cases], probabilities: dict[str, NDArray[np.float64]]
) -> list[dict[str, Any]]:
    """Return the table: verdicts and single signals, over all cases and those of a high R2."""
    rows = []
    scores = {
        "verdict, 5 true calls": ("checks", probabilities["checks"]),
        "verdict, rows alone": ("rows", probabilities["rows"]),
        **{name: ("rows", signal(cases["rows"])) for name, signal in SIGNALS.items()},
        "verdict on the refined answer": ("refined", probabilities["refined"]),
    }
    for name, (mode, score) in scores.items():
        one = cases[mode]
        at_default = (one.share == DEFAULT_SHARE) & np.isfinite(score)
        fits_well = at_default & (one.column("r2_unseen") > 0.9)
        row: dict[str, Any] = {"signal": name, "n_cases": int(at_default.sum())}
        row["auc"] = _auc(one, score, at_default)
        row["auc_where_r2_above_0.9"] = _auc(one, score, fits_well)
        row["calibration_error"] = ""
        if name.startswith("verdict"):
            row["calibration_error"] = round(
                calibration_error(score[at_default], one.is_good[at_default]), 3
            )
        rows.append(row)
    return rows


def family_rows(
    cases: dict[str, Cases], probabilities: dict[str, NDArray[np.float64]]
) -> list[dict[str, Any]]:
    """Return the table of the verdicts by family and by proxy."""
    rows = []
    for column in ("family", "proxy"):
        for group in np.unique(getattr(cases["rows"], column)):
            row: dict[str, Any] = {"group": group}
            for mode in MODES:
                one = cases[mode]
                own = (getattr(one, column) == group) & (one.share == DEFAULT_SHARE)
                row["n_cases"] = int(own.sum())
                row[f"{mode}_good_percent"] = round(100 * one.is_good[own].mean())
                row[f"{mode}_auc"] = _auc(one, probabilities[mode], own)
            rows.append(row)
    return rows


def _auc(cases: Cases, score: NDArray[np.float64], which: NDArray[np.bool_]) -> Any:
    if not 0.0 < cases.is_good[which].mean() < 1.0:
        return ""
    return round(float(roc_auc_score(cases.is_good[which], score[which])), 3)


def draw(
    path: Path, cases: dict[str, Cases], probabilities: dict[str, NDArray[np.float64]]
) -> None:
    """Draw the ROC curves and the calibration."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11.0, 4.0), layout="constrained")
    curves = {
        "verdict, 5 true calls": ("checks", probabilities["checks"], "black", "-"),
        "verdict, rows alone": ("rows", probabilities["rows"], "tab:blue", "-"),
    }
    styles = (("0.45", "--"), ("0.45", ":"), ("0.45", "-."))
    for (name, signal), (color, line) in zip(list(SIGNALS.items())[:3], styles, strict=True):
        curves[name] = ("rows", signal(cases["rows"]), color, line)
    for name, (mode, score, color, line) in curves.items():
        one = cases[mode]
        which = one.share == DEFAULT_SHARE
        false_rate, true_rate, _ = roc_curve(one.is_good[which], score[which])
        label = f"{name}: {_auc(one, score, which):.2f}"
        left.plot(false_rate, true_rate, line, color=color, label=label)
    left.set(xlabel="false optima believed", ylabel="good optima believed", title="ROC")
    left.legend(
        frameon=False,
        fontsize="small",
        title="area under the curve",
        loc="upper left",
        bbox_to_anchor=(1.02, 1.0),
    )
    right.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
    for mode, marker, color in (("checks", "o", "black"), ("rows", "s", "tab:blue")):
        one = cases[mode]
        which = one.share == DEFAULT_SHARE
        probability, is_good = probabilities[mode][which], one.is_good[which]
        bins = np.array_split(np.argsort(probability, kind="stable"), 10)
        right.plot(
            [probability[own].mean() for own in bins],
            [is_good[own].mean() for own in bins],
            marker,
            color=color,
            markerfacecolor="none" if marker == "s" else color,
            label="5 true calls" if mode == "checks" else "rows alone",
        )
    right.set(xlabel="probability of the verdict", ylabel="share that is good", title="Calibration")
    right.legend(frameon=False, loc="upper left")
    for axis in (left, right):
        axis.set_aspect("equal")
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a table."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Learn, try on what was left out, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path(".cache/verdicts"))
    parser.add_argument("--output", type=Path, default=Path("docs/results/verdicts"))
    parser.add_argument(
        "--weights", type=Path, default=Path("sklearn_proxyopt/diagnosis/credibility.json")
    )
    options = parser.parse_args()
    paths = sorted(options.cache.glob("?????.npz"))
    if not paths:
        parser.error(
            f"--cache must hold cases, made by benchmarks/verdicts.py; got none in {options.cache}."
        )
    cases = {mode: Cases(paths, mode) for mode in MODES}
    probabilities = {mode: probabilities_left_out(cases[mode], SIGNS_OF[mode]) for mode in MODES}
    options.output.mkdir(parents=True, exist_ok=True)
    table = auc_rows(cases, probabilities)
    write(options.output / "auc.csv", table)
    write(options.output / "families.csv", family_rows(cases, probabilities))
    draw(options.output / "verdicts.png", cases, probabilities)
    models = {}
    for mode in MODES:
        everything = np.ones(len(cases[mode].numbers), dtype=bool)
        model = learned(cases[mode], everything, SIGNS_OF[mode])
        weights = {name: [round(n, 4) for n in w] for name, w in model.weights.items()}
        models[mode] = {"intercept": round(model.intercept, 4), "weights": weights}
    options.weights.write_text(json.dumps(models, indent=1) + "\n", encoding="utf-8")
    for row in table:
        print(row)


if __name__ == "__main__":
    main()
