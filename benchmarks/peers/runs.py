"""One run of one solver on one problem, kept in a file of its own."""

from __future__ import annotations

import json
import math
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from peers.meter import BudgetSpent, Meter, TimeSpent, processor_limit
from peers.problems import make_problem
from peers.solvers import SOLVERS

__all__ = ["Cell", "Run", "load_run", "run_cell", "save_run", "warm_up"]


@dataclass(frozen=True)
class Cell:
    """A problem, a solver, the budget it is run with, and a seed."""

    problem: str
    dim: int
    solver: str
    budget: int
    seed: int

    def path(self, cache: Path) -> Path:
        """Return the file that keeps the run."""
        name = f"{self.problem}-{self.dim}-{self.solver}-{self.budget}-{self.seed}.json"
        return cache / name


@dataclass(frozen=True)
class Run:
    """What a run gave.

    Parameters
    ----------
    values : list of float
        The value of each evaluation, NaN where it failed.
    overhead : list of float
        The solver's own processor seconds by the time of each.
    total_overhead : float
        Those of the whole run.
    f_opt : float or None
        The lowest value there is.
    ended : str
        "budget", "time" (the limit in processor seconds), "early" (by itself, although evaluations
        were left) or the reason of its failure.
    """

    values: list[float]
    overhead: list[float]
    total_overhead: float
    f_opt: float | None
    ended: str

    @property
    def is_failed(self) -> bool:
        """Whether it ended by an error."""
        return self.ended not in ("budget", "time", "early")

    def best(self, budget: int) -> float:
        """Return the lowest value of the first evaluations, infinity if all failed."""
        values = [value for value in self.values[:budget] if not math.isnan(value)]
        return min(values, default=math.inf)

    def is_cut(self, budget: int) -> bool:
        """Whether it ended before so many evaluations."""
        return len(self.values) < budget

    def overhead_per_evaluation(self, budget: int) -> float:
        """Return the solver's own seconds for each of the first evaluations."""
        n_values = min(budget, len(self.values))
        if not n_values:
            return math.nan
        whole = n_values == len(self.values)
        return (self.total_overhead if whole else self.overhead[n_values]) / n_values


def warm_up(solver: str) -> None:
    """Run a solver on a small problem, so that its imports count in no cell."""
    meter = Meter(lambda x: float((x**2).sum()), [(-1.0, 2.0)] * 2, 30)
    with suppress(BudgetSpent, Exception):
        SOLVERS[solver].run(meter, 2, 30, 0)


def run_cell(cell: Cell, limit: float) -> Run:
    """Run a solver until its budget, or so many processor seconds, are used up."""
    problem = make_problem(cell.problem, cell.dim, cell.seed)
    meter = Meter(problem.fun, problem.bounds, cell.budget, problem.failure_value)
    try:
        with processor_limit(limit):
            SOLVERS[cell.solver].run(meter, cell.dim, cell.budget, cell.seed)
        ended = "early" if meter.left else "budget"
    except BudgetSpent:
        ended = "budget"
    except TimeSpent:
        ended = "time"
    except Exception as error:
        ended = f"{type(error).__name__}: {error}"
    return Run(meter.values, meter.overhead, meter.close(), problem.f_opt, ended)


def save_run(run: Run, path: Path) -> None:
    """Write a run; the file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {
        "values": [None if math.isnan(value) else value for value in run.values],
        "overhead": np.round(run.overhead, 5).tolist(),
        "total_overhead": round(run.total_overhead, 5),
        "f_opt": run.f_opt,
        "ended": run.ended,
    }
    partial = path.with_suffix(f".{os.getpid()}.part")
    partial.write_text(json.dumps(record))
    partial.replace(path)


def load_run(path: Path) -> Run | None:
    """Read a run, None if there is none."""
    if not path.exists():
        return None
    record = json.loads(path.read_text())
    record["values"] = [math.nan if value is None else value for value in record["values"]]
    return Run(**record)
