"""Regret at each budget, and who is ahead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from peers.queue import all_cells
from peers.runs import Cell, Run, load_run
from peers.solvers import BUDGETS, SOLVERS

__all__ = ["COLUMNS", "SOLVED", "load_runs", "mean_ranks", "summary"]

COLUMNS = [
    "problem",
    "dim",
    "solver",
    "budget",
    "seed",
    "regret",
    "overhead_seconds_per_evaluation",
]
# Regrets below this one are equal, as in BBOB.
SOLVED = 1e-8


def load_runs(cache: Path) -> dict[Cell, Run]:
    """Return the runs that the cache holds, without those that failed."""
    runs = ((cell, load_run(cell.path(cache))) for cell in all_cells())
    return {cell: run for cell, run in runs if run is not None and not run.is_failed}


def summary(cache: Path) -> pd.DataFrame:
    """Return the regret of each problem, solver, budget and seed.

    Where nobody knows the lowest value, the best that any run found takes its place. A run that
    its time limit ended has, at larger budgets, the regret that it had then, and is marked in the
    column "cut".
    """
    runs = load_runs(cache)
    found: dict[str, float] = {}
    for cell, run in runs.items():
        if run.f_opt is None:
            found[cell.problem] = min(found.get(cell.problem, np.inf), run.best(cell.budget))
    rows = []
    for cell, run in runs.items():
        lowest = found[cell.problem] if run.f_opt is None else run.f_opt
        solver = SOLVERS[cell.solver]
        for budget in BUDGETS:
            if budget > solver.largest_budget or solver.run_for(budget) != cell.budget:
                continue
            regret = max(run.best(budget) - lowest, 0.0)
            overhead = run.overhead_per_evaluation(budget)
            key = [cell.problem, cell.dim, cell.solver, budget, cell.seed]
            rows.append([*key, regret, overhead, run.is_cut(budget)])
    return pd.DataFrame(rows, columns=[*COLUMNS, "cut"])


def mean_ranks(
    rows: pd.DataFrame, dim: int | None, budget: int, solvers: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return the mean rank of each solver, 1 the best, over problems and seeds.

    Only problems and seeds count where all the solvers have a result; without `solvers`, all that
    have any at this budget are compared. Also the cases that each won, alone or with others, the
    median regret, the median overhead and how many runs the time limit cut short.
    """
    rows = rows[rows["budget"] == budget]
    rows = rows[rows["problem"].str.match(r"f\d") if dim is None else rows["dim"] == dim]
    if solvers is not None:
        rows = rows[rows["solver"].isin(solvers)]
    regrets = rows.pivot_table("regret", ["problem", "dim", "seed"], "solver").dropna()
    ranks = regrets.clip(lower=SOLVED).rank(axis=1)
    rows = rows.set_index(["problem", "dim", "seed"]).loc[regrets.index]
    by_solver = rows.groupby("solver")
    table = pd.DataFrame(
        {
            "mean_rank": ranks.mean(),
            "first": (ranks.eq(ranks.min(axis=1), axis=0)).sum(),
            "cases": len(ranks),
            "median_regret": regrets.median(),
            "overhead_ms": 1e3 * by_solver["overhead_seconds_per_evaluation"].median(),
            "cut": by_solver["cut"].sum(),
        }
    )
    return table.sort_values("mean_rank").round({"mean_rank": 2, "overhead_ms": 2})
