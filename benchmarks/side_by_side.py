"""How busy a run keeps its workers, and what it costs to choose rows before all results are known.

Writes docs/results/side_by_side/utilisation.csv, on a clock that is simulated and by real threads,
and regret.csv: the same runs with one row in flight and with eight.
"""

from __future__ import annotations

import csv
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from proxy_functions import REPORTING
from scipy.stats import ortho_group

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


class SimulatedFuture:
    """A call that ends at some time of a simulated clock."""

    def __init__(self, executor: SimulatedExecutor, end: float, value: Any) -> None:
        self.executor, self.end, self.value = executor, end, value

    def done(self) -> bool:
        """Tell whether no other call ends earlier, and turn the clock to its end if so."""
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
    """Workers on a simulated clock, which stands still but for the ends of evaluations.

    Parameters
    ----------
    n_workers : int
        How many there are.
    draw : callable
        Returns how long the next evaluation takes.
    """

    def __init__(self, n_workers: int, draw: Callable[[], float]) -> None:
        self._max_workers = n_workers
        self._draw, self._free_from = draw, [0.0] * n_workers
        self.running: list[SimulatedFuture] = []
        self.now = self.busy = 0.0

    def submit(self, function: Callable[..., Any], *arguments: Any) -> SimulatedFuture:
        """Begin a call as soon as a worker is free."""
        worker = int(np.argmin(self._free_from))
        duration = self._draw()
        self.busy += duration
        self._free_from[worker] = max(self.now, self._free_from[worker]) + duration
        future = SimulatedFuture(self, self._free_from[worker], function(*arguments))
        self.running.append(future)
        return future

    @property
    def utilisation(self) -> float:
        """The share of the workers' time that they were busy until now."""
        return self.busy / (self._max_workers * self.now)


class Clocked:
    """A function of one row that takes its time, and notes how much.

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
        self.seconds: list[float] = []

    def __call__(self, x: Any) -> float:
        """Return the value of a row, late."""
        seconds = self.unit * float(self.rng.uniform(*DURATIONS))
        time.sleep(seconds)
        self.seconds.append(seconds)
        return float(self.problem(x[None])[0])


def optimizer_for(problem: Any, seed: int) -> ProxyOptimizer:
    """Return the optimizer of a run; its proxy is small, since its time is told apart."""
    return ProxyOptimizer(
        bounds=problem.bounds,
        proxy=NeuralProxyRegressor((32,), max_epochs=50),
        vectorized=False,
        verdict=False,
        random_state=seed,
    )


def simulated(name: str, n_workers: int, order: str, factor: int, budget: int) -> dict[str, Any]:
    """Run on a simulated clock; proposals take no time."""
    problem = REPORTING[name]
    rng = np.random.default_rng([FIRST_SEED, n_workers])
    executor = SimulatedExecutor(n_workers, lambda: float(rng.uniform(*DURATIONS)))
    optimizer_for(problem, FIRST_SEED).minimize(
        lambda x: float(problem(x[None])[0]),
        budget=budget,
        order=order,
        n_pending=factor * n_workers,
        executor=executor,
    )
    return {"clock": "simulated", "utilisation": round(executor.utilisation, 4)}


def threaded(name: str, n_workers: int, order: str, factor: int, budget: int) -> dict[str, Any]:
    """Run by threads, an evaluation taking a hundred times a proposal."""
    problem = REPORTING[name]
    began = time.perf_counter()
    optimizer_for(problem, FIRST_SEED).minimize(
        lambda x: float(problem(x[None])[0]), budget=budget, n_pending=factor * n_workers
    )
    proposal = (time.perf_counter() - began) / budget
    rng = np.random.default_rng([FIRST_SEED, n_workers])
    fun = Clocked(problem, rng, 100.0 * proposal / np.mean(DURATIONS))
    began = time.perf_counter()
    with ThreadPoolExecutor(n_workers) as executor:
        optimizer_for(problem, FIRST_SEED).minimize(
            fun, budget=budget, order=order, n_pending=factor * n_workers, executor=executor
        )
    spent = time.perf_counter() - began
    busy = sum(fun.seconds) / (n_workers * spent)
    return {
        "clock": "threads",
        "utilisation": round(busy, 4),
        "seconds a proposal": round(proposal, 4),
    }


def turned(name: str, n_features: int) -> tuple[Callable[[Any], float], Any]:
    """Return a function of one row, turned and shifted, and its box."""
    place = list(SHAPES).index(name)
    frame = ortho_group.rvs(n_features, random_state=FIRST_SEED + 100 * place + n_features)
    shift = np.random.default_rng([FIRST_SEED, place, n_features]).uniform(-3, 3, n_features)
    shape = SHAPES[name]
    return lambda x: float(shape(frame @ (x - shift))), [(-5.0, 5.0)] * n_features


def _spread(z: Any) -> Any:
    return np.arange(len(z)) / (len(z) - 1.0)


# Ten shapes like those of the BBOB suite, lowest at 0 with a value of 0.
SHAPES: dict[str, Callable[[Any], Any]] = {
    "ellipsoid": lambda z: (10 ** (6 * _spread(z)) * z**2).sum(),
    "attractive sector": lambda z: (np.where(z > 0, 100 * z, z) ** 2).sum() ** 0.9,
    "Rosenbrock": lambda z: (100 * ((z[:-1] + 1) ** 2 - z[1:] - 1) ** 2 + z[:-1] ** 2).sum(),
    "discus": lambda z: 1e6 * z[0] ** 2 + (z[1:] ** 2).sum(),
    "bent cigar": lambda z: z[0] ** 2 + 1e6 * (z[1:] ** 2).sum(),
    "sharp ridge": lambda z: z[0] ** 2 + 100 * np.sqrt((z[1:] ** 2).sum()),
    "different powers": lambda z: np.sqrt((np.abs(z) ** (2 + 4 * _spread(z))).sum()),
    "Rastrigin": lambda z: 10 * len(z) + (z**2 - 10 * np.cos(2 * np.pi * z)).sum(),
    "Schaffer": lambda z: (
        np.mean((s := np.sqrt(z[:-1] ** 2 + z[1:] ** 2)) ** 0.5 * (1 + np.sin(50 * s**0.2) ** 2))
        ** 2
    ),
    "Griewank": lambda z: 1 + (z**2).sum() / 40 - np.cos(z / np.sqrt(1 + np.arange(len(z)))).prod(),
}


def regret(name: str, n_features: int, seed: int, n_pending: int, budget: int) -> dict[str, Any]:
    """Return how far from the lowest value a run ends."""
    fun, bounds = turned(name, n_features)
    optimizer = ProxyOptimizer(
        vectorized=False, verdict=False, bounds=bounds, random_state=FIRST_SEED + seed
    )
    return {"regret": optimizer.minimize(fun, budget=budget, n_pending=n_pending).fun}


def cells() -> Iterator[tuple[str, dict[str, Any], Callable[..., dict[str, Any]]]]:
    """Yield the file, the key and the run of every cell."""
    ways = (("results", 1), ("seed", 1), ("seed", 2))
    for run in (simulated, threaded):
        for name in SIX:
            for n_workers in (4, 8):
                for order, factor in ways:
                    # By threads a third of the evaluations, which take real time.
                    budget = 200 if run is simulated else 66
                    key = {
                        "function": name,
                        "n_workers": n_workers,
                        "order": order,
                        "factor": factor,
                        "budget": budget,
                        "clock": run.__name__,
                    }
                    yield "utilisation.csv", key, run
    for n_features in (5, 10):
        for name in SHAPES:
            for seed in range(3):
                for n_pending, budget in ((1, 170), (1, 200), (8, 200)):
                    key = {
                        "function": name,
                        "n_features": n_features,
                        "seed": seed,
                        "n_pending": n_pending,
                        "budget": budget,
                    }
                    yield "regret.csv", key, regret


FIELDS = {
    "utilisation.csv": ("utilisation", "seconds a proposal"),
    "regret.csv": ("regret",),
}


def main() -> None:
    """Fill in the cells that are missing."""
    warnings.simplefilter("ignore", FalseOptimumWarning)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file, key, run in cells():
        path = FOLDER / file
        fields = [*key, *FIELDS[file]]
        is_new = not path.exists()
        with path.open("a+", newline="", encoding="utf-8") as stream:
            stream.seek(0)
            known = [{name: row[name] for name in key} for row in csv.DictReader(stream)]
            writer = csv.DictWriter(stream, fields, extrasaction="ignore", lineterminator="\n")
            if is_new:
                writer.writeheader()
            if {name: str(value) for name, value in key.items()} not in known:
                arguments = {name: value for name, value in key.items() if name != "clock"}
                writer.writerow({**run(*arguments.values()), **key})


if __name__ == "__main__":
    main()
