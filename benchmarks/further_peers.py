"""All 24 functions of BBOB beside lq-CMA-ES, and thin coatings beside restarts of L-BFGS-B.

    python benchmarks/further_peers.py bbob --instances 81            # in ten variables
    python benchmarks/further_peers.py coatings --seeds 0

Writes docs/results/peers/all_bbob.csv and coatings.csv, and from each a table of mean ranks. Runs
that a file holds are not repeated. Needs `cma`, `optuna` and, for BBOB, `cocoex`.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from coatings import FAMILY
from numpy.typing import NDArray
from scipy.stats import rankdata

Point = NDArray[np.float64]
Solver = Callable[[Callable[[Point], float], int, int, int], None]
RESULTS = Path(__file__).parents[1] / "docs" / "results" / "peers"
FIELDS = ("problem", "seed", "solver", "budget", "lowest", "seconds per evaluation")
BUDGETS = {"bbob": (100, 200), "coatings": (150, 300, 600)}
# Regrets below this are equal.
EQUAL = 1e-8


class Spent(BaseException):
    """The budget is spent; no `Exception`, which solvers may catch."""


def starts(dim: int, rng: np.random.Generator) -> Any:
    """Yield the middle, then points at random."""
    yield np.full(dim, 0.5)
    while True:
        yield rng.uniform(size=dim)


def options(budget: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return options of cma."""
    seed = int(rng.integers(1, 2**31))
    quiet = {"verbose": -9, "verb_log": 0}
    return {"bounds": [0, 1], "seed": seed, "maxfevals": budget, **quiet}


def cma_es(fun: Callable[[Point], float], dim: int, budget: int, seed: int) -> None:
    """Run cma with BIPOP restarts."""
    import cma

    rng = np.random.default_rng(seed)
    for start in starts(dim, rng):
        cma.fmin2(fun, start, 0.3, options(budget, rng), restarts=9, bipop=True)


def lq_cma_es(fun: Callable[[Point], float], dim: int, budget: int, seed: int) -> None:
    """Run cma's surrogate-assisted CMA-ES."""
    import cma

    rng = np.random.default_rng(seed)
    for start in starts(dim, rng):
        cma.fmin_lq_surr2(fun, start, 0.3, options(budget, rng))


def l_bfgs_b(fun: Callable[[Point], float], dim: int, budget: int, seed: int) -> None:
    """Run SciPy's, with finite differences, from points at random."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    while True:
        minimize(fun, rng.uniform(size=dim), method="L-BFGS-B", bounds=[(0.0, 1.0)] * dim)


def tpe(fun: Callable[[Point], float], dim: int, budget: int, seed: int) -> None:
    """Run Optuna's multivariate TPE."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True))
    while True:
        trial = study.ask()
        point = np.array([trial.suggest_float(f"x{i}", 0.0, 1.0) for i in range(dim)])
        study.tell(trial, fun(point))


SOLVERS: dict[str, dict[str, Solver]] = {
    "bbob": {"CMA-ES": cma_es, "lq-CMA-ES": lq_cma_es, "TPE": tpe},
    "coatings": {"L-BFGS-B, restarts": l_bfgs_b, "CMA-ES": cma_es, "TPE": tpe},
}


def trace_of(solver: Solver, problem: Any, bounds: Point, budget: int, seed: int) -> list[float]:
    """Return the values that a solver of the unit cube asked for."""
    values: list[float] = []
    low, high = bounds.T

    def fun(unit: Point) -> float:
        if len(values) >= budget:
            raise Spent
        x = low + np.clip(np.asarray(unit, dtype=float).ravel(), 0.0, 1.0) * (high - low)
        values.append(float(problem(x[None])[0]))
        return values[-1]

    try:
        solver(fun, len(bounds), budget, seed)
    except Spent:
        return values
    return values


def trace_of_ours(problem: Any, bounds: Point, budget: int, seed: int) -> list[float]:
    """Return the values that a run of this package, without its verdict, asked for."""
    from sklearn_proxyopt import ProxyOptimizer

    values: list[float] = []

    def fun(X: Point) -> Point:
        y = np.asarray(problem(X))
        values.extend(y.tolist())
        return y

    optimizer = ProxyOptimizer(
        bounds=bounds, budget=budget, vectorized=True, verdict=False, random_state=seed
    )
    optimizer.minimize(fun)
    return values


def problem_of(kind: str, name: str, seed: int) -> tuple[Any, Point, float]:
    """Return a problem, its bounds and the lowest value, 0 where that is not known."""
    if kind == "coatings":
        return *FAMILY[name], 0.0
    import cocoex

    one = cocoex.BareProblem("bbob", int(name[1:]), 10, seed)
    return lambda X: np.array([one(x) for x in X]), np.array([[-5.0, 5.0]] * 10), one.best_value()


def work_through(kind: str, seeds: list[int]) -> None:
    """Run what the file lacks."""
    path = RESULTS / f"{'all_bbob' if kind == 'bbob' else kind}.csv"
    if not path.exists():
        path.write_text(",".join(FIELDS) + "\n")
    with open(path, newline="") as file:
        done = {tuple(row[name] for name in FIELDS[:4]) for row in csv.DictReader(file)}
    names = list(FAMILY) if kind == "coatings" else [f"f{i}" for i in range(1, 25)]
    cells = [
        (name, seed, solver, budget)
        for seed in seeds
        for name in names
        for solver in [*SOLVERS[kind], "ProxyOptimizer"]
        for budget in (BUDGETS[kind] if solver == "ProxyOptimizer" else BUDGETS[kind][-1:])
    ]
    for name, seed, solver, budget in cells:
        if (name, str(seed), solver, str(budget)) in done:
            continue
        fun, bounds, lowest = problem_of(kind, name, seed)
        began = time.process_time()
        if solver == "ProxyOptimizer":
            values, read_at = trace_of_ours(fun, bounds, budget, seed), (budget,)
        else:
            values = trace_of(SOLVERS[kind][solver], fun, bounds, budget, seed)
            read_at = BUDGETS[kind]
        seconds = (time.process_time() - began) / len(values)
        with open(path, "a", newline="") as file:
            for at in read_at:
                best = min(values[:at]) - lowest
                csv.writer(file).writerow([name, seed, solver, at, best, f"{seconds:.3g}"])
    write_ranks(kind, path)


def write_ranks(kind: str, path: Path) -> None:
    """Write mean ranks over the cases that every solver has."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    solvers = ["ProxyOptimizer", *SOLVERS[kind]]
    table: list[list[str]] = [["solver", *solvers]]
    for budget in map(str, BUDGETS[kind]):
        lowest = {
            (row["problem"], row["seed"], row["solver"]): float(row["lowest"])
            for row in rows
            if row["budget"] == budget
        }
        cases = {key[:2] for key in lowest if key[2] == solvers[0]}
        # One that lacks more than half of the cases has empty cells.
        n_of = {one: sum((*case, one) in lowest for case in cases) for one in solvers}
        shown = [one for one in solvers if 2 * n_of[one] >= len(cases)]
        cases = {case for case in cases if all((*case, one) in lowest for one in shown)}
        values = np.array([[lowest[*case, one] for one in shown] for case in sorted(cases)])
        ranks = dict(zip(shown, rankdata(np.maximum(values, EQUAL), axis=1).mean(0), strict=True))
        table.append([f"mean rank, {budget} evaluations", *_cells(ranks, solvers, 2)])
        if kind == "coatings":
            medians = dict(zip(shown, np.median(values, axis=0), strict=True))
            table.append([f"median, {budget} evaluations (%)", *_cells(medians, solvers, 1)])
    with open(path.with_name(f"{path.stem}_ranks.csv"), "w", newline="") as file:
        csv.writer(file).writerows(zip(*table, strict=True))


def _cells(numbers: dict[str, float], solvers: list[str], digits: int) -> list[str]:
    return [f"{numbers[one]:.{digits}f}" if one in numbers else "" for one in solvers]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="kind", required=True)
    commands.add_parser("bbob").add_argument("--instances", nargs="+", type=int, default=[81])
    commands.add_parser("coatings").add_argument("--seeds", nargs="+", type=int, default=[0])
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    work_through(chosen.kind, chosen.instances if chosen.kind == "bbob" else chosen.seeds)


if __name__ == "__main__":
    main()
