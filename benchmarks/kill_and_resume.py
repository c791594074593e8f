"""Kill a run at random moments, start it again, and see whether anything was lost or paid twice.

Each attempt is a process of its own that minimises a function of one row with a journal, and is
killed by SIGKILL after a random time. When an attempt gets to its end, its answer is compared with
that of a run nobody killed, and a new journal is begun, until all kills are spent. Needs a system
that forks.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt.exceptions import FailedEvaluationWarning
from sklearn_proxyopt.problems import Rosenbrock
from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.samplers import SobolSampler

PROBLEM = Rosenbrock(n_dims=2)


class Simulator:
    """A function of one row that takes its time, fails at some rows, and notes each call."""

    def __init__(self, calls: Path, seconds: float) -> None:
        self.calls = calls
        self.seconds = seconds

    def __call__(self, x: np.ndarray) -> float:
        with self.calls.open("a") as file:
            file.write(json.dumps(x.tolist()) + "\n")
        time.sleep(self.seconds)
        if x[0] > 1.8:
            raise ArithmeticError("no state")
        return float(PROBLEM(x[None])[0])


def run(folder: Path, seconds: float, n_samples: int, has_budget: bool) -> None:
    """Minimise, with the journal in the folder, and write the answer there."""
    optimizer = ProxyOptimizer(
        sampler=None if has_budget else SobolSampler(n_samples),
        proxy=NeuralProxyRegressor((16,), max_epochs=5),
        refiner="auto" if has_budget else LocalRefinement(max_evaluations=n_samples),
        vectorized=False,
        on_error="drop",
        journal=folder / "runs.sqlite",
        random_state=0,
    )
    budget = 2 * n_samples if has_budget else None
    simulator = Simulator(folder / "calls.txt", seconds)
    result = optimizer.minimize(simulator, PROBLEM.bounds, budget=budget)
    answer = {"x": result.x.tolist(), "fun": result.fun, "n_failed": result.n_failed}
    answer["rows"] = np.column_stack([optimizer.X_, optimizer.y_]).tolist()
    (folder / "answer.json").write_text(json.dumps(answer))


def attempt(
    folder: Path, seconds: float, n_samples: int, has_budget: bool, limit: float | None
) -> bool:
    """Run in a process of its own, killed at the limit; tell whether it came to its end."""
    (folder / "calls.txt").write_text("")
    process = os.fork()
    if not process:
        status = 1
        try:
            run(folder, seconds, n_samples, has_budget)
            status = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(status)
    if limit is not None:
        time.sleep(limit)
        os.kill(process, signal.SIGKILL)
    status = os.waitpid(process, 0)[1]
    if status not in (0, signal.SIGKILL):
        raise SystemExit(f"An attempt ended by itself with status {status}.")
    return status == 0


def rows_on_disk(folder: Path) -> list[str]:
    """Read the journal by plain SQL."""
    if not (folder / "runs.sqlite").exists():
        return []
    connection = sqlite3.connect(folder / "runs.sqlite")
    try:
        rows = connection.execute("SELECT x0, x1 FROM evaluations ORDER BY id").fetchall()
    except sqlite3.OperationalError:  # killed before the tables were made
        rows = []
    connection.close()
    return [json.dumps(list(row)) for row in rows]


def main() -> None:
    """Spend the kills and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--samples", type=int, default=48, help="rows of the design")
    parser.add_argument("--seconds", type=float, default=0.005, help="time of one evaluation")
    parser.add_argument("--budget", action="store_true", help="spend twice as many by a budget")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore", FailedEvaluationWarning)
    draw = random.Random(options.seed).uniform

    with tempfile.TemporaryDirectory() as top:
        clean = Path(top, "clean")
        clean.mkdir()
        start = time.perf_counter()
        attempt(clean, options.seconds, options.samples, options.budget, None)
        duration = time.perf_counter() - start
        wanted = (clean / "answer.json").read_text()

        n_kills = n_ends = n_paid_twice = n_lost = n_other_answers = n_in_flight = 0
        while n_kills < options.kills:
            folder = Path(top, f"run{n_ends}")
            folder.mkdir(exist_ok=True)
            known = rows_on_disk(folder)
            limit = draw(0.0, duration)
            has_ended = attempt(folder, options.seconds, options.samples, options.budget, limit)
            calls = (folder / "calls.txt").read_text().splitlines()
            found = rows_on_disk(folder)
            n_paid_twice += len(set(calls) & set(known)) + len(found) - len(set(found))
            n_lost += len(set(known) - set(found))
            n_in_flight += len(set(calls) - set(found))
            n_kills += not has_ended
            if has_ended or n_kills == options.kills:
                if not has_ended:
                    attempt(folder, options.seconds, options.samples, options.budget, None)
                n_ends += 1
                n_other_answers += (folder / "answer.json").read_text() != wanted
    print(
        f"kills {n_kills}, runs brought to their end {n_ends}, rows paid twice {n_paid_twice}, "
        f"rows lost {n_lost}, answers unlike that of the run without kills {n_other_answers}; "
        f"in flight when killed, and so begun again: {n_in_flight}."
    )
    if n_paid_twice or n_lost or n_other_answers:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
