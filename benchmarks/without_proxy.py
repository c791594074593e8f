"""What the proxy adds to a run of minimize with a budget.

Writes docs/results/proxies/without_proxy.csv: the same runs with the default proxy, with a network
alone and with a constant in place of a proxy, on the functions that `proxies.py` reports; and from
it without_proxy_summary.csv.
"""

from __future__ import annotations

import csv
import time
import warnings
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from proxy_functions import REPORTING
from sklearn.dummy import DummyRegressor

from sklearn_proxyopt import ProxyOptimizer

PATH = Path(__file__).parents[1] / "docs" / "results" / "proxies" / "without_proxy.csv"
FIELDS = ("function", "seed", "proxy", "best value", "verdict", "probability", "own seconds")
# Values that differ by less than this share are equal.
EQUAL = 1e-6
N_SEEDS, BUDGET, FIRST_SEED = 3, 100, 20261128
PROXIES = {"default": None, "network": "neural", "constant": DummyRegressor()}


def run(name: str, proxy: str, seed: int) -> dict[str, Any]:
    """Minimize a function and return what came of it."""
    problem = REPORTING[name]
    optimizer = ProxyOptimizer(
        bounds=problem.bounds,
        proxy=PROXIES[proxy],
        budget=BUDGET,
        random_state=FIRST_SEED + seed,
    )
    began = time.process_time()
    result = optimizer.minimize(problem)
    seconds = time.process_time() - began
    answers = (result.fun, result.verdict, result.probability, round(seconds, 2))
    return dict(zip(FIELDS, (name, seed, proxy, *answers), strict=True))


def write_summary() -> None:
    """Write how often the best value is lower than with a constant, and what a run costs."""
    with open(PATH, newline="") as file:
        rows = list(csv.DictReader(file))
    values = {(r["function"], r["seed"], r["proxy"]): float(r["best value"]) for r in rows}
    header = ["proxy", "lower", "equal", "higher", "credible", "doubtful", "false", "own seconds"]
    with open(PATH.with_name("without_proxy_summary.csv"), "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for proxy in PROXIES:
            own = [row for row in rows if row["proxy"] == proxy]
            verdicts = Counter(row["verdict"] for row in own)
            found = Counter(
                _compared(values[function, seed, proxy], values[function, seed, "constant"])
                for function, seed, kind in values
                if kind == proxy
            )
            counts = [found[name] for name in header[1:4]] if proxy != "constant" else [""] * 3
            seconds = median(float(row["own seconds"]) for row in own)
            writer.writerow([proxy, *counts, *(verdicts[name] for name in header[4:7]), seconds])


def _compared(value: float, other: float) -> str:
    if abs(value - other) <= EQUAL * max(abs(value), abs(other), 1e-9):
        return "equal"
    return "lower" if value < other else "higher"


def main() -> None:
    """Run the command; results that the file holds are not computed again."""
    warnings.simplefilter("ignore")
    PATH.parent.mkdir(parents=True, exist_ok=True)
    done = set()
    if PATH.exists():
        with open(PATH, newline="") as file:
            done = {(row["function"], row["seed"], row["proxy"]) for row in csv.DictReader(file)}
    else:
        PATH.write_text(",".join(FIELDS) + "\n")
    for seed in range(N_SEEDS):
        for name in REPORTING:
            for proxy in PROXIES:
                if (name, str(seed), proxy) not in done:
                    row = run(name, proxy, seed)
                    with open(PATH, "a", newline="") as file:
                        csv.DictWriter(file, FIELDS).writerow(row)
    write_summary()


if __name__ == "__main__":
    main()
