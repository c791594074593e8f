"""How busy a run keeps its workers, and what it costs to choose rows before all results are known.

    python benchmarks/side_by_side.py             # all cells that the files lack
    python benchmarks/side_by_side.py regret      # of one file
    python benchmarks/side_by_side.py --tables    # the tables of the cells that are there

Writes docs/results/side_by_side/: utilisation.csv, on a clock that is simulated, on one that counts
the processor time of proposals too, and by real threads; regret.csv, with one row in flight, with
eight and by others in batches of eight; and the tables of the documentation. A program that was
stopped goes on where it was. Needs the packages of the extra `peers`.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from peers.meter import BudgetSpent, Meter
from peers.problems import BBOB, make_problem
from peers.ranks import SOLVED
from peers.solvers.classical import cma_es
from peers.solvers.turbo import turbo_1
from proxy_functions import REPORTING

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.exceptions import FalseOptimumWarning
from sklearn_proxyopt.proxies import NeuralProxyRegressor

FOLDER = Path(__file__).parents[1] / "docs" / "results" / "side_by_side"
FIRST_SEED = 20261128
SIX = (
    "Gaussian pits, 4",
    "Rosenbrock, turned, 4",
    "thrown ball, 5",
    "Hartmann, 6",
    "borehole, 8",
    "wing, 10",
)
# An evaluation takes some time between these, in units of a whole one.
DURATIONS = (0.05, 0.65)
# So often the durations are drawn of a list of evaluations that nothing has to be known for.
N_DRAWN = 500
# Of each function of BBOB: those of the comparison of peers are the first five.
INSTANCES = (31, 32, 33)


class SimulatedFuture:
    """A call that ends at some time of a simulated clock."""

    def __init__(self, executor: SimulatedExecutor, end: float, value: Any) -> None:
        self.executor, self.end, self.value = executor, end, value

    def done(self) -> bool:
        """Tell whether no other call ends earlier, and turn the clock to its end if so."""
        self.executor.charge()
        if self.end > min(one.end for one in self.executor.running):
            return False
        self.executor.running.remove(self)
        self.executor.now = max(self.executor.now, self.end)
        return True

    def result(self) -> Any:
        """Return what the call returned."""
        return self.value

    def cancel(self) -> bool:
        """Do nothing."""
        return False


class SimulatedExecutor:
    """Workers on a simulated clock, on which a function takes no time of its own.

    Parameters
    ----------
    n_workers : int
        How many there are.
    draw : callable
        Returns how long the next evaluation takes.
    per_second : float, default=0.0
        How far the clock moves in a second of processor time that a proposal takes; with 0 it
        stands still but for the ends of evaluations.
    """

    def __init__(self, n_workers: int, draw: Callable[[], float], per_second: float = 0.0) -> None:
        self._max_workers = n_workers
        self._draw, self._free_from = draw, [0.0] * n_workers
        self._per_second, self._charged = per_second, time.process_time()
        self.running: list[SimulatedFuture] = []
        self.spans: list[tuple[float, float]] = []
        self.now = 0.0

    def charge(self) -> None:
        """Let the clock go on by what was computed since."""
        seconds = time.process_time()
        self.now += self._per_second * (seconds - self._charged)
        self._charged = seconds

    def submit(self, function: Callable[..., Any], *arguments: Any) -> SimulatedFuture:
        """Begin a call as soon as a worker is free."""
        self.charge()
        worker = int(np.argmin(self._free_from))
        start = max(self.now, self._free_from[worker])
        self._free_from[worker] = start + self._draw()
        self.spans.append((start, self._free_from[worker]))
        future = SimulatedFuture(self, self._free_from[worker], function(*arguments))
        self._charged = time.process_time()
        self.running.append(future)
        return future


class Clocked:
    """A function of one row that takes its time, and notes when it began and ended.

    Parameters
    ----------
    problem : callable
        Takes rows.
    rng : numpy.random.Generator
        Draws the times.
    unit : float
        Seconds of a whole one.
    """

    def __init__(self, problem: Callable[..., Any], rng: np.random.Generator, unit: float) -> None:
        self.problem, self.rng, self.unit = problem, rng, unit
        self.began = time.perf_counter()
        self.spans: list[tuple[float, float]] = []

    def __call__(self, x: Any) -> float:
        """Return the value of a row, late."""
        start = time.perf_counter() - self.began
        time.sleep(self.unit * float(self.rng.uniform(*DURATIONS)))
        self.spans.append((start, time.perf_counter() - self.began))
        return float(self.problem(x[None])[0])


def utilisation(spans: list[tuple[float, float]], n_workers: int) -> dict[str, float]:
    """Return the share of the workers' time that they were busy, of the run and of a part of it.

    The part ends when the last evaluation begins: nothing can keep all workers busy after that.
    """
    starts, ends = np.array(spans).T

    def until(time: float) -> float:
        busy = np.clip(np.minimum(ends, time) - starts, 0.0, None)
        return round(float(busy.sum() / (n_workers * time)), 4)

    return {
        "utilisation": until(ends.max()),
        "until the last evaluation begins": until(starts.max()),
    }


def durations_of(n_workers: int, seed: int = 0) -> np.random.Generator:
    """Return what draws the durations of a run, with seed 0, or others as good."""
    return np.random.default_rng([FIRST_SEED, n_workers, *[seed] * (seed > 0)])


def without_a_rule(n_workers: int, budget: int, rng: np.random.Generator) -> float:
    """Return how busy workers are with evaluations that need no proposal, which is the most.

    Each worker that is free begins the next evaluation of a list.
    """
    executor = SimulatedExecutor(n_workers, lambda: float(rng.uniform(*DURATIONS)))
    for _ in range(budget):
        executor.submit(bool)
    return utilisation(executor.spans, n_workers)["utilisation"]


def optimizer_for(problem: Any, seed: int) -> ProxyOptimizer:
    """Return the optimizer of a run; its proxy is small, since its time is told apart."""
    return ProxyOptimizer(
        bounds=problem.bounds,
        proxy=NeuralProxyRegressor((32,), max_epochs=50),
        vectorized=False,
        verdict=False,
        random_state=seed,
    )


def simulated(
    name: str, n_workers: int, order: str, factor: int, budget: int, per_second: float = 0.0
) -> dict[str, Any]:
    """Run on a simulated clock; proposals take no time, or some of it."""
    problem = REPORTING[name]
    rng = durations_of(n_workers)
    executor = SimulatedExecutor(n_workers, lambda: float(rng.uniform(*DURATIONS)), per_second)
    optimizer_for(problem, FIRST_SEED).minimize(
        lambda x: float(problem(x[None])[0]),
        budget=budget,
        order=order,
        n_pending=factor * n_workers,
        executor=executor,
    )
    return utilisation(executor.spans, n_workers)


def charged(name: str, n_workers: int, order: str, factor: int, budget: int) -> dict[str, Any]:
    """Run on a simulated clock, an evaluation taking a hundred times a proposal."""
    seconds = seconds_of_proposal(name, factor * n_workers, budget, time.process_time)
    found = simulated(name, n_workers, order, factor, budget, np.mean(DURATIONS) / 100 / seconds)
    return {**found, "seconds a proposal": round(seconds, 4)}


def seconds_of_proposal(
    name: str, n_pending: int, budget: int, clock: Callable[[], float]
) -> float:
    """Return the mean time of a proposal in a run by itself."""
    problem, began = REPORTING[name], clock()
    optimizer_for(problem, FIRST_SEED).minimize(
        lambda x: float(problem(x[None])[0]), budget=budget, n_pending=n_pending
    )
    return (clock() - began) / budget


def threaded(name: str, n_workers: int, order: str, factor: int, budget: int) -> dict[str, Any]:
    """Run by threads, an evaluation taking a hundred times a proposal."""
    problem = REPORTING[name]
    seconds = seconds_of_proposal(name, factor * n_workers, budget, time.perf_counter)
    rng = durations_of(n_workers)
    fun = Clocked(problem, rng, 100.0 * seconds / np.mean(DURATIONS))
    with ThreadPoolExecutor(n_workers) as executor:
        optimizer_for(problem, FIRST_SEED).minimize(
            fun, budget=budget, order=order, n_pending=factor * n_workers, executor=executor
        )
    return {**utilisation(fun.spans, n_workers), "seconds a proposal": round(seconds, 4)}


def regret(name: str, n_features: int, instance: int, solver: str, budget: int) -> dict[str, Any]:
    """Return how far from the lowest value a run ends."""
    problem = make_problem(name, n_features, instance - 1)
    meter = Meter(problem.fun, problem.bounds, budget)
    with suppress(BudgetSpent):
        SOLVERS[solver](meter, n_features, budget, FIRST_SEED + instance)
    return {"regret": min(meter.values) - problem.f_opt}


def ours(dim: int, seed: int) -> ProxyOptimizer:
    """Return the optimizer with its defaults on the unit cube."""
    bounds = [(0.0, 1.0)] * dim
    return ProxyOptimizer(bounds=bounds, vectorized=False, verdict=False, random_state=seed)


def in_flight(n_pending: int) -> Callable[[Meter, int, int, int], Any]:
    """Return a solver that keeps so many samples in flight."""
    return lambda meter, dim, budget, seed: ours(dim, seed).minimize(
        meter, budget=budget, n_pending=n_pending
    )


def in_batches(meter: Meter, dim: int, budget: int, seed: int) -> None:
    """Ask for eight samples, tell their results, and so on."""
    optimizer = ours(dim, seed).set_params(budget=budget)
    while meter.left:
        X = optimizer.ask(min(N_TOGETHER, meter.left))
        optimizer.tell(X, [meter(x) for x in X])


N_TOGETHER = 8
OWN, OTHERS = ("one in flight", "eight in flight", "batches of eight"), ("TuRBO-1", "CMA-ES")
SOLVERS: dict[str, Callable[[Meter, int, int, int], Any]] = {
    "one in flight": in_flight(1),
    "eight in flight": in_flight(N_TOGETHER),
    "batches of eight": in_batches,
    "CMA-ES": partial(cma_es, population=N_TOGETHER),
    "TuRBO-1": partial(turbo_1, batch=N_TOGETHER),
}


CLOCKS: dict[str, Callable[..., dict[str, Any]]] = {
    "simulated": simulated,
    "simulated, with proposals": charged,
    "threads": threaded,
}


def cells() -> Iterator[tuple[str, dict[str, Any], Callable[..., dict[str, Any]]]]:
    """Yield the file, the key and the run of every cell."""
    ways = (("results", 1), ("seed", 1), ("seed", 2))
    for (clock, run), name, n_workers, (order, factor) in product(
        CLOCKS.items(), SIX, (4, 8), ways
    ):
        key = {
            "function": name,
            "n_workers": n_workers,
            "order": order,
            "factor": factor,
            "budget": 200,
            "clock": clock,
        }
        yield "utilisation", key, run
    for solver, instance, n_features, name in product(SOLVERS, INSTANCES, (5, 10), BBOB):
        key = {
            "function": name,
            "n_features": n_features,
            "instance": instance,
            "solver": solver,
            "budget": 170 if solver == "one in flight" else 200,
        }
        yield "regret", key, regret


FIELDS = {
    "utilisation": ("utilisation", "until the last evaluation begins", "seconds a proposal"),
    "regret": ("regret",),
}
TABLES = {"utilisation": "busy.csv", "regret": "ranks.csv"}


def fill(file: str, key: dict[str, Any], run: Callable[..., dict[str, Any]]) -> None:
    """Run a cell that its file lacks."""
    path = FOLDER / f"{file}.csv"
    if {name: str(value) for name, value in key.items()} in known_in(path, list(key)):
        return
    arguments = {name: value for name, value in key.items() if name != "clock"}
    found = {**run(*arguments.values()), **key}
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as stream:
        fields = [*key, *FIELDS[file]]
        writer = csv.DictWriter(stream, fields, extrasaction="ignore", lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(found)


def known_in(path: Path, names: list[str]) -> list[dict[str, str]]:
    """Return the keys of the cells that a file has."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return [{name: row[name] for name in names} for row in csv.DictReader(stream)]


def busy_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Return how busy workers are in each way, as the median of all functions and the lowest."""
    ways = cells.groupby(["clock", "n_workers", "order", "factor"], as_index=False)
    table = ways.agg(
        functions=("utilisation", "size"),
        median=("utilisation", "median"),
        lowest=("utilisation", "min"),
        before_the_end=("until the last evaluation begins", "median"),
    )
    table["pending"] = table.pop("factor") * table["n_workers"]
    budget = int(cells["budget"].max())
    possible = {
        n: [without_a_rule(n, budget, durations_of(n, seed)) for seed in range(N_DRAWN)]
        for n in table["n_workers"].unique()
    }
    table["possible"] = table["n_workers"].map(lambda n: possible[n][0])
    table["possible, drawn again"] = table["n_workers"].map(lambda n: np.median(possible[n]))
    return table.round(3)


def rank_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the median regret of each own way, and mean ranks of it and the others in batches."""
    index = ["function", "n_features", "instance"]
    regrets = cells.pivot_table("regret", index, "solver").clip(lower=SOLVED)
    rows = []
    for own in [way for way in OWN if way in regrets]:
        compared = regrets[[own, *OTHERS]].dropna()
        ranks, medians = compared.rank(axis=1).mean(), regrets.median()
        rows.append({"way": own, "runs": int(regrets[own].count()), "compared": len(compared)})
        for solver in (own, *OTHERS):
            name = "own" if solver == own else solver
            rows[-1] |= {
                f"mean rank, {name}": round(ranks[solver], 2),
                f"median regret, {name}": float(f"{medians[solver]:.4g}"),
            }
    return pd.DataFrame(rows)


def write_tables() -> None:
    """Write the tables that the documentation shows, of the cells that are there."""
    for file, table in (("utilisation", busy_table), ("regret", rank_table)):
        path = FOLDER / f"{file}.csv"
        if path.exists():
            target = FOLDER / TABLES[file]
            table(pd.read_csv(path)).to_csv(target, index=False, lineterminator="\n")


def main() -> None:
    """Fill in the cells that are missing, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", choices=FIELDS, help="default: both")
    parser.add_argument("--of", nargs="*", default=[], help="values that a cell must have")
    parser.add_argument("--tables", action="store_true", help="run nothing, write the tables")
    options = parser.parse_args()
    warnings.simplefilter("ignore", FalseOptimumWarning)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file, key, run in [] if options.tables else cells():
        is_wanted = set(options.of) <= {str(value) for value in key.values()}
        if options.file in (None, file) and is_wanted:
            fill(file, key, run)
    write_tables()


if __name__ == "__main__":
    main()
