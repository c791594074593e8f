"""A hundred thousand inverse problems in batches: time, memory and answers against their number.

    python benchmarks/many_problems.py

Each number of problems runs in a process of its own, whose time on the processor and whose highest
memory are written with the share of problems solved to `docs/results/inverse/many_problems.csv`.
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

import torch

from sklearn_proxyopt.inverse import (
    BaseInverse,
    DirectInverse,
    InverseProblem,
    ReparameterizedInverse,
)
from sklearn_proxyopt.problems.physics import BilliardShot

SIZES, BATCH = (10_000, 30_000, 100_000), 4096
# Losses below this are those of a solved problem.
SOLVED = 1e-6


def solvers() -> dict[str, BaseInverse]:
    """Return the solvers that are measured."""
    problem, shared = InverseProblem(BilliardShot()), {"batch_size": BATCH, "random_state": 0}
    return {
        "direct": DirectInverse(problem, n_starts=2, n_candidates=6, **shared),
        "joint": ReparameterizedInverse(problem, n_iterations=20, **shared),
    }


def measure(name: str, n_problems: int) -> dict[str, Any]:
    """Solve some billiards in this process."""
    torch.set_num_threads(1)
    X, _ = BilliardShot().sample(n_problems, random_state=0)
    begin = time.process_time()
    solver: Any = solvers()[name].fit(X)
    return {
        "solver": name,
        "problems": n_problems,
        "seconds": round(time.process_time() - begin, 1),
        "GiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "solved, %": round(100 * float((solver.loss_ < SOLVED).mean()), 1),
        "simulations each": round(solver.n_forward_calls_ / n_problems, 1),
    }


def main() -> None:
    """Measure all, each in a new process, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", nargs=2, metavar=("SOLVER", "PROBLEMS"))
    parser.add_argument("--output", type=Path, default=Path("docs/results/inverse"))
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], int(options.one[1]))))
        return
    rows = []
    for name in solvers():
        for size in SIZES:
            command = [sys.executable, __file__, "--one", name, str(size)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print(rows[-1], flush=True)
    with (options.output / "many_problems.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
