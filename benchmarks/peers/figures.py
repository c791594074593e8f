"""Curves of median regret against evaluations."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from peers.problems import BBOB
from peers.queue import N_SEEDS
from peers.ranks import SOLVED
from peers.runs import Cell, Run
from peers.solvers import SOLVERS

__all__ = ["NAMES", "draw_curves", "median_curves"]

NAMES = {
    "f1": "f1 sphere",
    "f3": "f3 Rastrigin, separable",
    "f6": "f6 attractive sector",
    "f8": "f8 Rosenbrock",
    "f10": "f10 ellipsoid, rotated",
    "f12": "f12 bent cigar",
    "f15": "f15 Rastrigin, rotated",
    "f17": "f17 Schaffer F7",
    "f21": "f21 Gallagher, 101 peaks",
    "f24": "f24 Lunacek bi-Rastrigin",
}
# A line a solver, told apart in grey too; this package's is the thick one.
STYLES = {
    "random": ("0.6", ":"),
    "differential_evolution": ("#000000", "-."),
    "cma_es": ("#0072B2", "-"),
    "by_hand": ("#56B4E9", "--"),
    "optuna_tpe": ("#56B4E9", "-"),
    "turbo_1": ("#E69F00", "-"),
    "optuna_gp": ("#009E73", "--"),
    "log_ei": ("#009E73", "-"),
    "smt_ego": ("#CC79A7", "--"),
    "skopt_gp": ("#7F7F7F", "-"),
    "proxy_optimizer": ("#D55E00", "-"),
}


def median_curves(
    runs: dict[Cell, Run], problem: str, dim: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return for each solver evaluations and the median over the seeds of the regret by then.

    A solver that is told its budget has a point for each budget.
    """
    by_solver: dict[str, dict[Cell, Run]] = {}
    for cell, run in runs.items():
        if (cell.problem, cell.dim) == (problem, dim):
            by_solver.setdefault(cell.solver, {})[cell] = run
    curves = {}
    for name, mine in by_solver.items():
        if SOLVERS[name].is_any_time:
            traces = []
            for cell, run in mine.items():
                regret = np.array(run.values) - run.f_opt
                best = np.fmin.accumulate(regret)
                traces.append(np.pad(best, (0, cell.budget - len(best)), mode="edge"))
            curves[name] = np.arange(1, len(traces[0]) + 1), np.median(traces, axis=0)
        else:
            budgets = sorted({cell.budget for cell in mine})
            medians = [
                np.median([r.best(b) - r.f_opt for cell, r in mine.items() if cell.budget == b])
                for b in budgets
            ]
            curves[name] = np.array(budgets), np.array(medians)
    return curves


def _label(runs: dict[Cell, Run], solver: str, dim: int) -> str:
    """Return the label of a solver, with the number of its seeds where not all were run."""
    seeds = {one.seed for one in runs if (one.solver, one.dim) == (solver, dim)}
    n_seeds = f", {len(seeds)} of {N_SEEDS} seeds" if len(seeds) < N_SEEDS else ""
    return SOLVERS[solver].label + n_seeds


def draw_curves(runs: dict[Cell, Run], dim: int, path: Path) -> None:
    """Draw a panel a function, with a line a solver."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 5, figsize=(15, 6.4), layout="constrained", sharex=True)
    lines = {}
    for axis, problem in zip(axes.flat, BBOB, strict=True):
        for name, (evaluations, regret) in median_curves(runs, problem, dim).items():
            color, style = STYLES[name]
            is_told = not SOLVERS[name].is_any_time
            (lines[name],) = axis.plot(
                evaluations,
                np.maximum(regret, SOLVED),
                style,
                color=color,
                marker="o" if is_told else None,
                markersize=4,
                linewidth=2.5 if name == "proxy_optimizer" else 1.4,
            )
        axis.set(title=NAMES[problem], xscale="log", yscale="log", xlim=(10, 1000))
        axis.grid(alpha=0.3)
    for axis in axes[-1]:
        axis.set_xlabel("evaluations")
    for axis in axes[:, 0]:
        axis.set_ylabel("median regret")
    order = [name for name in SOLVERS if name in lines]
    figure.legend(
        [lines[name] for name in order],
        [_label(runs, name, dim) for name in order],
        loc="outside lower center",
        ncols=6,
        frameon=False,
    )
    figure.savefig(path, dpi=90)
    plt.close(figure)
