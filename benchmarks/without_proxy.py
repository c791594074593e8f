"""What the proxy adds to a run of minimize with a budget.

Writes docs/results/proxies/without_proxy.csv: the same runs with the default proxy and with a
constant in its place, on functions that nothing was tuned on; and from it
without_proxy_summary.csv.
"""

from __future__ import annotations

import csv
import time
import warnings
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from sklearn.dummy import DummyRegressor
from unseen_functions import UNSEEN

from sklearn_proxyopt import ProxyOptimizer

PATH = Path(__file__).parents[1] / "docs" / "results" / "proxies" / "without_proxy.csv"
FIELDS = ("function", "budget", "seed", "proxy", "best value", "own seconds")
# Values that differ by less than this share of the spread are equal.
EQUAL = 1e-6
N_SEEDS, BUDGETS, FIRST_SEED = 3, (60, 200, 1000), 20261129
PROXIES = {"default": None, "constant": DummyRegressor()}


def run(name: str, budget: int, seed: int, proxy: str) -> dict[str, Any]:
    """Minimize a function and return what came of it."""
    problem = UNSEEN[name]
    optimizer = ProxyOptimizer(
        bounds=problem.bounds,
        proxy=PROXIES[proxy],
        budget=budget,
        verdict=False,
        random_state=FIRST_SEED + seed,
        vectorized=True,
    )
    began = time.process_time()
    result = optimizer.minimize(problem)
    seconds = round(time.process_time() - began, 2)
    values = (name, budget, seed, proxy, result.fun, seconds)
    return dict(zip(FIELDS, values, strict=True))


def write_summary() -> None:
    """Write how often the best value is lower than with a constant, and what a run costs."""
    with open(PATH, newline="") as file:
        rows = list(csv.DictReader(file))
    spreads = {name: _spread(name, rows) for name in UNSEEN}
    values = {(r["function"], r["budget"], r["seed"], r["proxy"]): r for r in rows}
    header = ["evaluations", "lower", "equal", "higher", "seconds", "seconds with a constant"]
    with open(PATH.with_name("without_proxy_summary.csv"), "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for budget in BUDGETS:
            pairs = [
                (row, values[name, budget_of, seed, "constant"])
                for (name, budget_of, seed, proxy), row in values.items()
                if proxy == "default"
                and budget_of == str(budget)
                and (name, budget_of, seed, "constant") in values
            ]
            if pairs:
                found = Counter(_compared(*pair, spreads) for pair in pairs)
                seconds = [
                    median(float(pair[place]["own seconds"]) for pair in pairs) for place in (0, 1)
                ]
                writer.writerow([budget, *(found[name] for name in header[1:4]), *seconds])


def _spread(name: str, rows: list[dict[str, str]]) -> float:
    """Return how far the median of a function lies above the lowest value that any run found."""
    problem = UNSEEN[name]
    X = np.random.default_rng(0).random((1000, len(problem.bounds)))
    lowest = min(float(row["best value"]) for row in rows if row["function"] == name)
    return float(np.median(problem(X))) - lowest


def _compared(row: dict[str, str], other: dict[str, str], spreads: dict[str, float]) -> str:
    difference = float(row["best value"]) - float(other["best value"])
    if abs(difference) <= EQUAL * spreads[row["function"]]:
        return "equal"
    return "lower" if difference < 0 else "higher"


def main() -> None:
    """Run the command; results that the file holds are not computed again."""
    warnings.simplefilter("ignore")
    PATH.parent.mkdir(parents=True, exist_ok=True)
    done = set()
    if PATH.exists():
        with open(PATH, newline="") as file:
            done = {tuple(row[name] for name in FIELDS[:4]) for row in csv.DictReader(file)}
    else:
        PATH.write_text(",".join(FIELDS) + "\n")
    cells = [
        (name, budget, seed, proxy)
        for budget in BUDGETS
        for seed in range(N_SEEDS)
        for name in UNSEEN
        for proxy in PROXIES
    ]
    for cell in cells:
        if tuple(map(str, cell)) not in done:
            row = run(*cell)
            with open(PATH, "a", newline="") as file:
                csv.DictWriter(file, FIELDS).writerow(row)
    write_summary()


if __name__ == "__main__":
    main()
