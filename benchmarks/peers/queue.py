"""All runs, in the order in which their results are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from peers.problems import BBOB, DIMS, SIMULATORS
from peers.runs import Cell, load_run, run_cell, save_run, warm_up
from peers.solvers import SOLVERS

__all__ = ["N_SEEDS", "all_cells", "cells_of", "work_through"]

N_SEEDS = 5
# First the solvers that need seconds a run, then those that need minutes.
QUICK = ("random", "differential_evolution", "cma_es", "by_hand", "optuna_tpe", "turbo_1")
SLOW = ("optuna_gp", "log_ei", "smt_ego", "skopt_gp")


def all_cells() -> list[Cell]:
    """Return every run once: ten variables and three seeds first, the slow solvers late."""
    rest = [dim for dim in DIMS if dim != 10]
    first, last = range(3), range(3, N_SEEDS)
    own = ("proxy_optimizer",)
    blocks = [
        _block(BBOB, [10], QUICK, first),
        _block(BBOB, [10], SLOW[:2], first),
        _block(SIMULATORS, [], QUICK, range(N_SEEDS)),
        _block(BBOB, rest, QUICK, first),
        _block(BBOB, [10], SLOW[2:], first),
        _block(SIMULATORS, [], SLOW, range(N_SEEDS)),
        _block(BBOB, DIMS, QUICK, last),
        _block(BBOB, rest, SLOW, first),
        _block(BBOB, DIMS, SLOW, last),
        _block([*BBOB], DIMS, own, range(N_SEEDS)),
        _block(SIMULATORS, [], own, range(N_SEEDS)),
    ]
    return [cell for block in blocks for cell in block]


def _block(
    problems: Iterable[str], dims: Iterable[int], solvers: Iterable[str], seeds: Iterable[int]
) -> list[Cell]:
    """Return runs ordered by solver, then by seed, so that few seeds are whole early."""
    dims, seeds = list(dims), list(seeds)
    return [
        Cell(problem, dim, solver, budget, seed)
        for solver in solvers
        for budget in reversed(SOLVERS[solver].runs)
        for seed in seeds
        for problem in problems
        for dim in ([SIMULATORS[problem]] if problem in SIMULATORS else dims)
    ]


def cells_of(wanted: Mapping[str, Any]) -> list[Cell]:
    """Return the runs whose fields are among those wanted; None wants all.

    A budget wants the runs from which it is read. This package's own runs, which change with it,
    are among them only if they are named.
    """
    cells = []
    for cell in all_cells():
        solver = SOLVERS[cell.solver]
        if wanted.get("solver") is None and solver.why_not is not None:
            continue
        budgets = wanted.get("budget")
        if budgets and cell.budget not in {solver.run_for(budget) for budget in budgets}:
            continue
        others = ("problem", "dim", "solver", "seed")
        if all(not wanted.get(n) or getattr(cell, n) in wanted[n] for n in others):
            cells.append(cell)
    return cells


def work_through(cells: list[Cell], cache: Path, limit: float, again: bool = False) -> None:
    """Run the cells that the cache lacks, under a bar; say what failed."""
    import torch
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    torch.set_num_threads(1)
    refused = {name: SOLVERS[name].why_not for name in {cell.solver for cell in cells}}
    reasons = {name: ask() for name, ask in refused.items() if ask is not None}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns) as progress:
        for name, reason in reasons.items():
            if reason is not None:
                progress.console.print(f"{name} is left out: {reason}.")
        cells = [cell for cell in cells if reasons.get(cell.solver) is None]
        task = progress.add_task("runs", total=len(cells))
        warm = set()
        for cell in cells:
            path = cell.path(cache)
            known = load_run(path)
            if known is None or (again and known.is_failed):
                progress.update(task, description=path.stem)
                if cell.solver not in warm:
                    warm_up(cell.solver)
                    warm.add(cell.solver)
                run = run_cell(cell, limit)
                save_run(run, path)
                if run.ended != "budget":
                    progress.console.print(f"{path.stem} ended: {run.ended}")
            progress.advance(task)
