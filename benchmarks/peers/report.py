"""The results as the documentation shows them: a summary, tables and figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from peers.figures import draw_curves
from peers.problems import BBOB, DIMS, SIMULATORS
from peers.ranks import COLUMNS, load_runs, mean_ranks, summary
from peers.solvers import BUDGETS, SOLVERS

__all__ = ["write_report"]

TITLES = {"heat_pump": "Heat pump (CoolProp)", "ignition": "Ignition delays (Cantera)"}


def write_report(cache: Path, results: Path) -> None:
    """Write `summary.csv`, tables of mean ranks, of wins and of regrets, figures and notes."""
    results.mkdir(parents=True, exist_ok=True)
    rows, runs = summary(cache), load_runs(cache)
    _write(rows[COLUMNS], results / "summary.csv")
    ranks = [_ranked(rows, dim, budget) for dim in DIMS for budget in BUDGETS]
    ranked = pd.concat(ranks, ignore_index=True)
    _write(ranked, results / "ranks.csv")
    for budget in BUDGETS:
        _write(_by_dim(ranked, budget), results / f"ranks_{budget}.csv")
        _write(_winners(rows, budget), results / f"winners_{budget}.csv")
    _write(_simulators(rows), results / "simulators.csv")
    for old in results.glob("curves_*.png"):
        old.unlink()
    for dim in DIMS:
        if (rows["dim"].eq(dim) & rows["problem"].isin(BBOB)).any():
            draw_curves(runs, dim, results / f"curves_{dim}.png")
    (results / "notes.json").write_text(json.dumps(_notes(runs, rows), indent=1) + "\n")


def _ranked(rows: pd.DataFrame, dim: int, budget: int) -> pd.DataFrame:
    """Return mean ranks among the solvers that have a result for each case there is."""
    here = rows[(rows["dim"] == dim) & (rows["budget"] == budget) & rows["problem"].isin(BBOB)]
    n_cases = here.groupby("solver").size()
    # One solver that is not through yet must not take the cases of all others away.
    whole = list(n_cases[n_cases == n_cases.max()].index) if len(n_cases) else []
    table = mean_ranks(here, dim, budget, whole).reset_index(names="solver")
    table.insert(0, "dim", dim)
    table.insert(1, "budget", budget)
    return table


def _by_dim(ranked: pd.DataFrame, budget: int) -> pd.DataFrame:
    """Return a row a solver: its mean rank in each dimension, best in ten variables first."""
    here = ranked[ranked["budget"] == budget]
    table = here.pivot_table("mean_rank", "solver", "dim")
    table = table.sort_values(10 if 10 in table else list(table))
    cases = here.groupby("dim")["cases"].max()
    table.columns = [f"{dim} variables ({cases[dim]} cases)" for dim in table.columns]
    overhead = here.set_index(["dim", "solver"])["overhead_ms"]
    if not table.empty and 10 in cases:
        table["overhead in 10, ms"] = [overhead.get((10, name), np.nan) for name in table.index]
    return _labelled(table.reset_index())


def _winners(rows: pd.DataFrame, budget: int) -> pd.DataFrame:
    """Return for each function and dimension the solver of the lowest median regret."""
    here = rows[(rows["budget"] == budget) & rows["problem"].isin(BBOB)]
    medians = here.groupby(["problem", "dim", "solver"])["regret"].median().reset_index()
    rows_out: list[dict[str, Any]] = []
    for problem in BBOB:
        row: dict[str, Any] = {"function": problem}
        for dim in DIMS:
            mine = medians[(medians["problem"] == problem) & (medians["dim"] == dim)]
            if not mine.empty:
                best = mine.loc[mine["regret"].idxmin()]
                row[f"{dim} variables"] = f"{_label(best['solver'])} ({best['regret']:.2g})"
        rows_out.append(row)
    return pd.DataFrame(rows_out)


def _simulators(rows: pd.DataFrame) -> pd.DataFrame:
    """Return median regrets on the simulators, a row a solver."""
    here = rows[rows["problem"].isin(SIMULATORS)]
    if here.empty:
        return pd.DataFrame({"solver": []})
    table = here.pivot_table("regret", "solver", ["problem", "budget"], aggfunc="median")
    table = table.sort_values(table.columns[-1])
    table.columns = [f"{TITLES[problem]}, {budget}" for problem, budget in table.columns]
    return _labelled(table.reset_index())


def _notes(runs: dict[Any, Any], rows: pd.DataFrame) -> dict[str, Any]:
    """Return what the tables do not say: lowest values found, and runs that ended otherwise."""
    best: dict[str, float] = {}
    ended: dict[str, dict[str, int]] = {}
    for cell, run in runs.items():
        if run.f_opt is None:
            best[cell.problem] = min(best.get(cell.problem, np.inf), run.best(cell.budget))
        if run.ended != "budget":
            counts = ended.setdefault(cell.solver, {})
            counts[run.ended] = counts.get(run.ended, 0) + 1
    seeds = rows.groupby(["solver", "dim"])["seed"].nunique().unstack(fill_value=0)
    return {
        "lowest_value_found": best,
        "runs_that_ended_before_their_budget": ended,
        "seeds": {name: {str(d): int(n) for d, n in row.items()} for name, row in seeds.iterrows()},
    }


def _label(solver: str) -> str:
    return SOLVERS[solver].label


def _labelled(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(solver=table["solver"].map(_label))


def _write(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
