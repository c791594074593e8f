"""Constraints and fronts against what scipy and deap reach with as many true calls.

Writes docs/results/several_outputs/constraints.csv and fronts.csv. A call gives value and
constraints, or all objectives, at once; what is asked for twice is counted once for everyone.
"""

from __future__ import annotations

import argparse
import random
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
from deap import base, tools
from numpy.typing import NDArray
from scipy.optimize import NonlinearConstraint, differential_evolution, minimize

from sklearn_proxyopt import ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt.optimizers import hypervolume, nondominated
from sklearn_proxyopt.samplers import SobolSampler

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "several_outputs"
Array = NDArray[np.float64]
# scipy's solvers are content with constraints that hold nearly; ProxyOptimizer is not.
TOLERANCE = 1e-6


# Constrained problems: G4, G6, G7, G8 and G9 of the collection of Michalewicz and Schoenauer
# (1996), the weight of a spring under tension (Belegundu, 1982), and two of many local minima: the
# modified function of Gomez and Levy (1982), and that of Styblinski and Tang in a corner.
def g4(X: Array) -> Array:
    a, b, c, d, e = X.T
    value = 5.3578547 * c**2 + 0.8356891 * a * e + 37.293239 * a - 40792.141
    u = 85.334407 + 0.0056858 * b * e + 0.0006262 * a * d - 0.0022053 * c * e
    v = 80.51249 + 0.0071317 * b * e + 0.0029955 * a * b + 0.0021813 * c**2
    w = 9.300961 + 0.0047026 * c * e + 0.0012547 * a * c + 0.0019085 * c * d
    return np.column_stack([value, u - 92, -u, v - 110, 90 - v, w - 25, 20 - w])


def g6(X: Array) -> Array:
    x, y = X.T
    value = (x - 10) ** 3 + (y - 20) ** 3
    return np.column_stack(
        [value, 100 - (x - 5) ** 2 - (y - 5) ** 2, (x - 6) ** 2 + (y - 5) ** 2 - 82.81]
    )


def g7(X: Array) -> Array:
    a, b, c, d, e, f, g, h, i, j = X.T
    value = a**2 + b**2 + a * b - 14 * a - 16 * b + (c - 10) ** 2 + 4 * (d - 5) ** 2
    value += (e - 3) ** 2 + 2 * (f - 1) ** 2 + 5 * g**2 + 7 * (h - 11) ** 2
    value += 2 * (i - 10) ** 2 + (j - 7) ** 2 + 45
    return np.column_stack(
        [
            value,
            4 * a + 5 * b - 3 * g + 9 * h - 105,
            10 * a - 8 * b - 17 * g + 2 * h,
            -8 * a + 2 * b + 5 * i - 2 * j - 12,
            3 * (a - 2) ** 2 + 4 * (b - 3) ** 2 + 2 * c**2 - 7 * d - 120,
            5 * a**2 + 8 * b + (c - 6) ** 2 - 2 * d - 40,
            0.5 * (a - 8) ** 2 + 2 * (b - 4) ** 2 + 3 * e**2 - f - 30,
            a**2 + 2 * (b - 2) ** 2 - 2 * a * b + 14 * e - 6 * f,
            -3 * a + 6 * b + 12 * (i - 8) ** 2 - 7 * j,
        ]
    )


def g8(X: Array) -> Array:
    x, y = X.T
    value = -(np.sin(2 * np.pi * x) ** 3) * np.sin(2 * np.pi * y) / (x**3 * (x + y))
    return np.column_stack([value, x**2 - y + 1, 1 - x + (y - 4) ** 2])


def g9(X: Array) -> Array:
    a, b, c, d, e, f, g = X.T
    value = (a - 10) ** 2 + 5 * (b - 12) ** 2 + c**4 + 3 * (d - 11) ** 2 + 10 * e**6
    value += 7 * f**2 + g**4 - 4 * f * g - 10 * f - 8 * g
    return np.column_stack(
        [
            value,
            -127 + 2 * a**2 + 3 * b**4 + c + 4 * d**2 + 5 * e,
            -282 + 7 * a + 3 * b + 10 * c**2 + d - e,
            -196 + 23 * a + b**2 + 6 * f**2 - 8 * g,
            4 * a**2 + b**2 - 3 * a * b + 2 * c**2 + 5 * f - 11 * g,
        ]
    )


def spring(X: Array) -> Array:
    wire, coil, turns = X.T
    return np.column_stack(
        [
            (turns + 2) * coil * wire**2,
            1 - coil**3 * turns / (71785 * wire**4),
            (4 * coil**2 - wire * coil) / (12566 * (coil * wire**3 - wire**4))
            + 1 / (5108 * wire**2)
            - 1,
            1 - 140.45 * wire / (coil**2 * turns),
            (wire + coil) / 1.5 - 1,
        ]
    )


def gomez_levy(X: Array) -> Array:
    x, y = X.T
    value = 4 * x**2 - 2.1 * x**4 + x**6 / 3 + x * y - 4 * y**2 + 4 * y**4
    return np.column_stack([value, -np.sin(4 * np.pi * x) + 2 * np.sin(2 * np.pi * y) ** 2 - 1.5])


def corner(X: Array) -> Array:
    value = (X**4 - 16 * X**2 + 5 * X).sum(axis=1) / 2
    return np.column_stack([value, -16.0 - X.sum(axis=1), (X**2).sum(axis=1) - 50.0])


CONSTRAINED: dict[str, tuple[Callable[[Array], Array], list[list[float]], float]] = {
    "G4": (g4, [[78, 102], [33, 45], [27, 45], [27, 45], [27, 45]], -30665.53867),
    "G6": (g6, [[13, 100], [0, 100]], -6961.81388),
    "G7": (g7, [[-10, 10]] * 10, 24.30620907),
    "G8": (g8, [[0.1, 10], [0.1, 10]], -0.09582504),
    "G9": (g9, [[-10, 10]] * 7, 680.6300574),
    "spring": (spring, [[0.05, 2.0], [0.25, 1.3], [2.0, 15.0]], 0.012665233),
    "Gomez-Levy": (gomez_levy, [[-1.0, 0.75], [-1.0, 1.0]], -1.031628453),
    "corner": (corner, [[-5.0, 5.0]] * 6, -229.6296296),
}


# Fronts: Zitzler, Deb and Thiele (2000), and Deb, Thiele, Laumanns and Zitzler (2002).
def zdt(X: Array, shape: Callable[[Array, Array], Array]) -> Array:
    g = 1 + 9 * X[:, 1:].mean(axis=1)
    return np.column_stack([X[:, 0], g * shape(X[:, 0], g)])


def zdt1(X: Array) -> Array:
    return zdt(X, lambda f, g: 1 - np.sqrt(f / g))


def zdt2(X: Array) -> Array:
    return zdt(X, lambda f, g: 1 - (f / g) ** 2)


def zdt3(X: Array) -> Array:
    return zdt(X, lambda f, g: 1 - np.sqrt(f / g) - f / g * np.sin(10 * np.pi * f))


def dtlz2(X: Array) -> Array:
    g = ((X[:, 2:] - 0.5) ** 2).sum(axis=1)
    a, b = np.pi / 2 * X[:, :2].T
    sides = [np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)]
    return (1 + g)[:, None] * np.column_stack(sides)


def zdt3_volume() -> float:
    """Return the volume below the front of ZDT3, from many points of it."""
    X = np.zeros((200_001, 2))
    X[:, 0] = np.linspace(0, 1, len(X))
    return hypervolume(zdt3(X), [1.1, 1.1])


# The function, its number of variables and of objectives, and the volume of its whole front below
# 1.1 in every objective.
FRONTS: dict[str, tuple[Callable[[Array], Array], int, int, float]] = {
    "ZDT1": (zdt1, 10, 2, 1.21 - 1 / 3),
    "ZDT2": (zdt2, 10, 2, 1.21 - 2 / 3),
    "ZDT3": (zdt3, 10, 2, zdt3_volume()),
    "DTLZ2": (dtlz2, 7, 3, 1.331 - np.pi / 6),
}


class SpentError(Exception):
    """All calls are spent."""


class Counted:
    """A function of one row that remembers what it was asked for, up to a number of calls."""

    def __init__(self, fun: Callable[[Array], Array], limit: int) -> None:
        self.fun, self.limit = fun, limit
        self.known: dict[bytes, Array] = {}

    def __call__(self, x: Array) -> Array:
        key = np.asarray(x, dtype=np.float64).tobytes()
        if key not in self.known:
            if len(self.known) == self.limit:
                raise SpentError
            self.known[key] = self.fun(np.asarray(x)[None])[0]
        return self.known[key]

    def best_feasible(self) -> float:
        """Return the lowest value of a row that as good as keeps its constraints, or infinity."""
        table = np.array(list(self.known.values()))
        feasible = (table[:, 1:] <= TOLERANCE).all(axis=1)
        return float(table[feasible, 0].min(initial=np.inf))


def by_cobyqa(fun: Counted, bounds: Array, seed: int) -> None:
    """COBYQA in the unit cube from random starts, until the calls are spent."""
    rng = np.random.default_rng(seed)
    lower, width = bounds[:, 0], np.ptp(bounds, axis=1)

    def outputs(u: Array) -> Array:
        return fun(lower + width * u)

    while True:
        minimize(
            lambda u: outputs(u)[0],
            rng.random(len(bounds)),
            method="COBYQA",
            bounds=[(0.0, 1.0)] * len(bounds),
            constraints=NonlinearConstraint(lambda u: outputs(u)[1:], -np.inf, 0.0),
            options={"maxfev": fun.limit, "initial_tr_radius": 0.2},
        )


def by_differential_evolution(fun: Counted, bounds: Array, seed: int) -> None:
    """Differential evolution with constraints, until the calls are spent."""
    constraint = NonlinearConstraint(lambda x: fun(x)[1:], -np.inf, 0.0)
    while True:
        differential_evolution(
            lambda x: fun(x)[0],
            bounds,
            constraints=constraint,
            rng=seed,
            popsize=5,
            polish=False,
            maxiter=100_000,
        )
        seed += 1000


def run_constraints(seeds: range) -> list[str]:
    """Compare on constrained problems; return the lines of a table."""
    lines = ["problem,n_features,solver,seed,n_calls,gap,seconds"]
    for (name, (fun, box, lowest)), n_calls in product(CONSTRAINED.items(), (150, 400)):
        bounds = np.array(box, dtype=np.float64)
        n_constraints = fun(bounds.mean(axis=1)[None]).shape[1] - 1
        for seed in seeds:
            start = time.perf_counter()
            optimizer = ProxyOptimizer(
                n_constraints=n_constraints,
                verdict=False,
                random_state=seed,
                vectorized=True,
            )
            result = optimizer.minimize(fun, bounds, budget=n_calls)
            value = result.fun if result.feasible else np.inf
            gaps = {"ProxyOptimizer": (value - lowest, time.perf_counter() - start)}
            for solver, search in (
                ("COBYQA", by_cobyqa),
                ("differential evolution", by_differential_evolution),
            ):
                counted, start = Counted(fun, n_calls), time.perf_counter()
                with suppress(SpentError):
                    search(counted, bounds, seed)
                gaps[solver] = counted.best_feasible() - lowest, time.perf_counter() - start
            for solver, (gap, seconds) in gaps.items():
                lines.append(
                    f"{name},{len(bounds)},{solver},{seed},{n_calls},{gap:.4g},{seconds:.1f}"
                )
                print(lines[-1], flush=True)
    return lines


class TwoGoals(base.Fitness):
    """Two objectives, both minimised."""

    weights = (-1.0, -1.0)


class ThreeGoals(base.Fitness):
    """Three objectives, all minimised."""

    weights = (-1.0, -1.0, -1.0)


class Individual(list):
    """A point of the unit cube."""

    def __init__(self, values: list[float], n_objectives: int) -> None:
        super().__init__(values)
        self.fitness = TwoGoals() if n_objectives == 2 else ThreeGoals()


def by_deap(
    fun: Callable[[Array], Array], n_features: int, n_objectives: int, n_calls: int, size: int
) -> Array:
    """NSGA-II as deap's own example has it; return the objectives of all rows evaluated."""

    def evaluate(population: list[Individual]) -> None:
        outputs = fun(np.array(population))
        seen.append(outputs)
        for one, values in zip(population, outputs, strict=True):
            one.fitness.values = tuple(values)

    seen: list[Array] = []
    population = [
        Individual([random.random() for _ in range(n_features)], n_objectives) for _ in range(size)
    ]
    evaluate(population)
    population = tools.selNSGA2(population, size)
    while sum(map(len, seen)) + size <= n_calls:
        parents = tools.selTournamentDCD(population, size)
        children = [Individual(list(parent), n_objectives) for parent in parents]
        for first, second in zip(children[::2], children[1::2], strict=True):
            if random.random() <= 0.9:
                tools.cxSimulatedBinaryBounded(first, second, 20.0, 0.0, 1.0)
            tools.mutPolynomialBounded(first, 20.0, 0.0, 1.0, 1.0 / n_features)
            tools.mutPolynomialBounded(second, 20.0, 0.0, 1.0, 1.0 / n_features)
        evaluate(children)
        population = tools.selNSGA2(population + children, size)
    return np.vstack(seen)


def run_fronts(seeds: range) -> list[str]:
    """Compare on fronts; return the lines of a table."""
    lines = ["problem,n_features,solver,seed,n_calls,share_of_hypervolume,seconds"]
    for name, (fun, n_features, n_objectives, volume) in FRONTS.items():
        reference = np.full(n_objectives, 1.1)
        for n_calls in (300, 500):
            for seed in seeds:
                start = time.perf_counter()
                optimizer = ParetoOptimizer(
                    n_objectives=n_objectives,
                    sampler=SobolSampler(128),
                    budget=n_calls,
                    reference=reference,
                    random_state=seed,
                    vectorized=True,
                )
                found = optimizer.minimize(fun, [[0.0, 1.0]] * n_features)
                rows = [
                    ("ParetoOptimizer", found.nfev, found.hypervolume, time.perf_counter() - start)
                ]
                for size in (20, 40):
                    random.seed(seed)
                    start = time.perf_counter()
                    F = by_deap(fun, n_features, n_objectives, n_calls, size)
                    reached = hypervolume(F[nondominated(F)], reference)
                    seconds = time.perf_counter() - start
                    rows.append((f"NSGA-II of {size}", len(F), reached, seconds))
                for solver, nfev, reached, seconds in rows:
                    share = reached / volume
                    lines.append(
                        f"{name},{n_features},{solver},{seed},{nfev},{share:.4f},{seconds:.1f}"
                    )
                    print(lines[-1], flush=True)
    return lines


def summarize(name: str) -> None:
    """Write the medians over seeds, a row a problem and a column a solver."""
    lines = (RESULTS / f"{name}.csv").read_text(encoding="utf-8").split("\n")[1:-1]
    table: dict[tuple[str, ...], dict[str, list[float]]] = {}
    solvers: list[str] = []
    for line in lines:
        problem, n_features, solver, _, n_calls, figure, _ = line.split(",")
        # NSGA-II stops where its populations do.
        calls = str(round(int(n_calls) / 100) * 100) if name == "fronts" else n_calls
        row = table.setdefault((problem, n_features, calls), {})
        row.setdefault(solver, []).append(float(figure))
        solvers += [solver] if solver not in solvers else []
    head = ["problem", "variables", "calls", *solvers]
    rows = [
        [*group, *(f"{median(figures[solver]):.3g}" for solver in solvers)]
        for group, figures in table.items()
    ]
    text = "\n".join(",".join(row) for row in [head, *rows]) + "\n"
    (RESULTS / f"{name}_summary.csv").write_text(text, encoding="utf-8")
    print(text)


def main() -> None:
    """Run both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=["constraints", "fronts"])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name, run in (("constraints", run_constraints), ("fronts", run_fronts)):
        if arguments.only in (None, name):
            lines = run(range(arguments.seeds))
            (RESULTS / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
            summarize(name)


if __name__ == "__main__":
    main()
