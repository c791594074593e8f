"""The results as the documentation shows them: a summary, tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from peers.figures import NAMES, draw_curves
from peers.problems import BBOB, DIMS, SIMULATORS
from peers.queue import all_cells
from peers.ranks import COLUMNS, SOLVED, load_runs, mean_ranks, summary
from peers.runs import Run, load_run
from peers.solvers import BUDGETS, SOLVERS

__all__ = ["write_report"]

OURS = "proxy_optimizer"
TITLES = {"heat_pump": "Heat pump (CoolProp)", "ignition": "Ignition delays (Cantera)"}
# Solvers with less than this share of the most results are not through yet and are left out.
LEAST_SHARE = 0.5


def write_report(cache: Path, results: Path) -> None:
    """Write `summary.csv`, the tables, the figures, and `results.inc`, which shows them."""
    results.mkdir(parents=True, exist_ok=True)
    for old in [*results.glob("*.csv"), *results.glob("*.png")]:
        old.unlink()
    rows, runs = summary(cache), load_runs(cache)
    _write(rows[COLUMNS], results / "summary.csv")
    ranks = [ranked(rows, dim, budget) for dim in DIMS for budget in BUDGETS]
    _write(pd.concat(ranks, ignore_index=True), results / "ranks.csv")
    page = ["Mean ranks", "----------", ""]
    for budget in BUDGETS:
        table = by_dim(rows, budget)
        page += _show(table, results, f"ranks_{budget}", f"Mean rank at {budget} evaluations")
    page += ["Who wins where", "--------------", ""]
    for budget in BUDGETS:
        page += _show(
            winners(rows, budget),
            results,
            f"winners_{budget}",
            f"Lowest median regret at {budget} evaluations",
        )
    for budget in BUDGETS:
        title = (
            f"Our median regret in ten variables and the best of the others, {budget} evaluations"
        )
        page += _show(beside_the_best(rows, budget), results, f"beside_{budget}", title)
    page += _show(
        pairs(rows),
        results,
        "pairs",
        "Cases in which ours is lower : higher than theirs, with as many evaluations",
    )
    page += ["Regret against evaluations", "--------------------------", ""]
    for dim in DIMS:
        if (rows["dim"].eq(dim) & rows["problem"].isin(BBOB)).any():
            draw_curves(runs, dim, results / f"curves_{dim}.png")
            page += [
                f".. figure:: /results/peers/curves_{dim}.png",
                f"   :alt: Median regret of each solver against evaluations, {dim} variables",
                "",
                f"   {dim} variables: median over the seeds of the lowest regret so far. Dots are",
                "   separate runs, one for each budget; the lines between them only guide the eye.",
                "",
            ]
    page += ["Two simulators", "--------------", ""]
    for problem, title in TITLES.items():
        table = simulator(rows, problem)
        page += _show(table, results, f"simulator_{problem}", f"Median regret, {title}")
    page += _show(lowest_found(runs), results, "lowest", "Lowest values that any run found")
    page += ["What was run", "------------", ""]
    title = "Cases (a function with a seed) that were run, and runs that were stopped or failed"
    page += _show(coverage(cache), results, "coverage", title)
    (results / "results.inc").write_text("\n".join(page))


def ranked(rows: pd.DataFrame, dim: int, budget: int) -> pd.DataFrame:
    """Return mean ranks of the solvers that are through with most of the cases there are."""
    here = _through(rows[(rows["dim"] == dim) & (rows["budget"] == budget)])
    table = mean_ranks(here, dim, budget).reset_index(names="solver")
    table.insert(0, "dim", dim)
    table.insert(1, "budget", budget)
    return table


def by_dim(rows: pd.DataFrame, budget: int) -> pd.DataFrame:
    """Return a row a solver: its mean rank in each dimension, best in ten variables first."""
    here = pd.concat([ranked(rows, dim, budget) for dim in DIMS])
    if here.empty:
        return here
    table = here.pivot_table("mean_rank", "solver", "dim")
    table = table.sort_values(10 if 10 in table else list(table))
    cases = here.groupby("dim")["cases"].max()
    table.columns = [f"{dim} variables ({cases[dim]} cases)" for dim in table.columns]
    overhead = here.set_index(["dim", "solver"])["overhead_ms"]
    own = [overhead.get((10, name), np.nan) for name in table.index]
    table["overhead in 10 variables, ms an evaluation"] = own
    return _labelled(table.reset_index())


def winners(rows: pd.DataFrame, budget: int) -> pd.DataFrame:
    """Return for each function and dimension the solver of the lowest median regret."""
    medians = _medians(rows, budget)
    table: list[dict[str, Any]] = []
    for problem in BBOB:
        row: dict[str, Any] = {"function": NAMES[problem]}
        for dim in DIMS:
            mine = medians[(medians["problem"] == problem) & (medians["dim"] == dim)]
            if not mine.empty:
                best = mine.loc[mine["regret"].idxmin()]
                row[f"{dim} variables"] = f"{_label(best['solver'])}: {best['regret']:.2g}"
        table.append(row)
    return pd.DataFrame(table) if len(medians) else pd.DataFrame()


def beside_the_best(rows: pd.DataFrame, budget: int, dim: int = 10) -> pd.DataFrame:
    """Return our median regret on each function and the lowest of all others."""
    medians = _medians(rows, budget)
    medians = medians[medians["dim"] == dim]
    table: list[dict[str, Any]] = []
    for problem in BBOB:
        mine = medians[medians["problem"] == problem].set_index("solver")["regret"]
        others = mine.drop(OURS, errors="ignore")
        if OURS in mine and len(others):
            table.append(
                {
                    "function": NAMES[problem],
                    "ProxyOptimizer": mine[OURS],
                    "best of the others": others.min(),
                    "which is": _label(others.idxmin()),
                    "better": "ours" if mine[OURS] < others.min() else "theirs",
                }
            )
    return pd.DataFrame(table)


def pairs(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how often our regret is lower and higher than that of each other solver.

    Here all that was run counts, but for runs that had ended before the budget.
    """
    rows = rows[rows["problem"].isin(BBOB) & ~rows["cut"]]
    regrets = rows.pivot_table("regret", ["dim", "budget", "problem", "seed"], "solver")
    regrets = regrets.clip(lower=SOLVED)
    table: list[dict[str, Any]] = []
    for solver in SOLVERS:
        if solver == OURS or solver not in regrets or OURS not in regrets:
            continue
        both = regrets[[OURS, solver]].dropna()
        for dim, here in both.groupby("dim"):
            row: dict[str, Any] = {"solver": _label(solver), "variables": dim}
            for budget in BUDGETS:
                mine, theirs = here[here.index.get_level_values("budget") == budget].values.T
                won, lost = int((mine < theirs).sum()), int((mine > theirs).sum())
                row[f"with {budget}"] = f"{won} : {lost}" if len(mine) else ""
            table.append(row)
    return pd.DataFrame(table)


def simulator(rows: pd.DataFrame, problem: str) -> pd.DataFrame:
    """Return median regrets on one of the simulators, a row a solver."""
    here = rows[rows["problem"] == problem]
    if here.empty:
        return pd.DataFrame()
    table = here.pivot_table("regret", "solver", "budget", aggfunc="median")
    table = table.sort_values(table.columns[-1])
    table.columns = [f"{budget} evaluations" for budget in table.columns]
    return _labelled(table.reset_index())


def lowest_found(runs: dict[Any, Run]) -> pd.DataFrame:
    """Return the values that regrets on the simulators are taken from."""
    best: dict[str, float] = {}
    for cell, run in runs.items():
        if run.f_opt is None:
            title = TITLES[cell.problem]
            best[title] = min(best.get(title, np.inf), run.best(cell.budget))
    return pd.DataFrame({"simulator": best.keys(), "lowest value": best.values()})


def coverage(cache: Path) -> pd.DataFrame:
    """Return how many cases of each solver were run, and how many runs ended early."""
    rows = []
    for cell in all_cells():
        run = load_run(cell.path(cache))
        is_simulator = cell.problem in SIMULATORS
        rows.append(
            {
                "solver": cell.solver,
                "where": "simulators" if is_simulator else f"{cell.dim} variables",
                "case": (cell.problem, cell.seed),
                "is run": run is not None,
                "stopped": run is not None and run.ended == "time",
                "failed": run is not None and run.is_failed,
            }
        )
    cells = pd.DataFrame(rows)
    done = cells[cells["is run"]]
    if done.empty:
        return done
    counts = done.pivot_table("case", "solver", "where", aggfunc="nunique", fill_value=0)
    wanted = cells.groupby("where", sort=False)["case"].nunique()
    places = sorted(counts, key=lambda name: (name == "simulators", len(name), name))
    table = counts[places].rename(
        columns={name: f"{_short(name)} / {wanted[name]}" for name in places}
    )
    table.insert(0, "budget", [SOLVERS[name].largest_budget for name in table.index])
    ends = ["stopped", "failed"]
    table = table.join(done.groupby("solver")[ends].sum())
    order = [solver for solver in SOLVERS if solver in table.index]
    return _labelled(table.loc[order].reset_index())


def _short(where: str) -> str:
    return f"in {where.removesuffix(' variables')}" if where.endswith(" variables") else where


def _medians(rows: pd.DataFrame, budget: int) -> pd.DataFrame:
    here = rows[rows["budget"] == budget]
    here = pd.concat([_through(here[here["dim"] == dim]) for dim in DIMS])
    return here.groupby(["problem", "dim", "solver"])["regret"].median().reset_index()


def _through(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows on BBOB of solvers that have a result for most of the cases there are."""
    rows = rows[rows["problem"].isin(BBOB)]
    n_cases = rows.groupby("solver").size()
    return rows[rows["solver"].isin(n_cases[n_cases >= LEAST_SHARE * n_cases.max()].index)]


def _label(solver: str) -> str:
    return SOLVERS[solver].label


def _labelled(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(solver=table["solver"].map(_label))


def _show(table: pd.DataFrame, results: Path, name: str, title: str) -> list[str]:
    """Write a table and return the lines that show it; nothing for an empty one."""
    if table.empty:
        return []
    rounded = table.map(lambda value: f"{value:.3g}" if isinstance(value, float) else value)
    _write(rounded.replace("nan", ""), results / f"{name}.csv")
    return [
        f".. csv-table:: {title}",
        f"   :file: {name}.csv",
        "   :header-rows: 1",
        "",
    ]


def _write(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
