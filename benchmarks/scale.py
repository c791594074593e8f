"""How time and memory of a fit grow with the number of rows, up to a million of 20 variables.

Each size is fitted in a process of its own, whose peak of resident memory is read at its end; the
rows themselves are told apart. The plot has lines of slope one to compare with.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from sklearn_proxyopt import NeuralProxyRegressor
from sklearn_proxyopt.problems import Ackley

N_FEATURES = 20


def fit_once(n_rows: int) -> dict[str, Any]:
    """Fit the default proxy and say what it took."""
    problem = Ackley(N_FEATURES).rotated_and_shifted(0)
    rng = np.random.default_rng(0)
    low, high = problem.bounds.T
    X = rng.uniform(low, high, (n_rows, N_FEATURES))
    y = np.concatenate([problem(part) for part in np.array_split(X, max(n_rows // 50_000, 1))])
    # Imports and the first call are not what grows.
    NeuralProxyRegressor(max_epochs=1).fit(X[:100], y[:100])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    proxy = NeuralProxyRegressor(random_state=0).fit(X, y)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    test = rng.uniform(low, high, (5000, N_FEATURES))
    return {
        "rows": n_rows,
        "seconds": round(seconds, 1),
        "seconds_per_million_row_epochs": round(seconds / (n_rows * proxy.n_iter_) * 1e6, 1),
        "rows_mib": round((X.nbytes + y.nbytes) / 2**20, 1),
        "fit_mib": round((after - before) / 2**10, 1),
        "times_the_rows": round((after - before) * 2**10 / (X.nbytes + y.nbytes), 1),
        "epochs": proxy.n_iter_,
        "r2": round(proxy.score(test, problem(test)), 4),
    }


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw time and memory against the number of rows."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sizes = np.array([row["rows"] for row in rows])
    figure, axes = plt.subplots(1, 2, figsize=(8.0, 3.2), layout="constrained")
    for axis, name, title in zip(
        axes,
        ("seconds", "fit_mib"),
        ("Time of a fit / s", "Memory beyond the rows / MiB"),
        strict=True,
    ):
        values = np.array([row[name] for row in rows])
        axis.loglog(sizes, values, "o-", color="#0072B2", label="default proxy")
        axis.loglog(sizes, values[-1] * sizes / sizes[-1], ":", color="0.4", label="slope one")
        axis.set_xlabel("Rows of 20 variables")
        axis.set_title(title, loc="left", fontsize="medium")
        axis.legend(frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Fit each size in a process of its own, print it, write it down, draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="*", type=int)
    parser.add_argument("--output", type=Path, default=Path("docs/results/performance"))
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(fit_once(options.one)))
        return
    rows = []
    for size in options.sizes or (10_000, 30_000, 100_000, 300_000, 1_000_000):
        command = [sys.executable, __file__, "--one", str(size)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows.append(json.loads(printed.splitlines()[-1]))
        print(rows[-1], flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    with (options.output / "scale.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    draw(rows, options.output / "scale.png")


if __name__ == "__main__":
    main()
