"""What is found of functions with noise, and whether the interval at the answer holds the truth.

    python benchmarks/noise.py run                               # all cells, in their order
    python benchmarks/noise.py run --dim 2 4 --noise 0.2 --budget 60 --seed 0
    python benchmarks/noise.py report                            # docs/results/noise/

The standard deviation of the noise is a share of the span between the best decile of the values in
the box and the optimum. What counts is the true value at the answer: less the optimum, in spans, it
is the regret. Solvers that estimate are asked for the evaluated point of their best estimate and
its 90 % interval; the others for what they recommend. Each run is kept in a file under `--cache`
and never repeated: a program that was stopped goes on where it was. Runs of other tools are taken
from the published ones; those of this package, which change with its code, are not. Needs optuna,
cma, botorch and baybe; the cells of a package that is not there stay empty.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklearn_proxyopt import ProxyOptimizer, problems
from sklearn_proxyopt.samplers import SobolSampler

RESULTS = Path("docs/results/noise")
FUNCTIONS = (
    "Ackley",
    "Ellipsoid",
    "Griewank",
    "Levy",
    "Rastrigin",
    "Rosenbrock",
    "StyblinskiTang",
    "Zakharov",
    "DixonPrice",
    "Sphere",
)
DIMS, NOISES, BUDGETS, SEEDS = (2, 4, 8), (0.05, 0.2, 0.5), (60, 100), (0, 1, 2)
# Standard deviations on either side that hold nine tenths of a normal distribution.
NINETY = 1.645

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Cell:
    """A function, how noisy it is, a solver, its budget and a seed."""

    function: str
    dim: int
    noise: float
    budget: int
    seed: int
    solver: str

    def path(self, cache: Path) -> Path:
        """Return the file that keeps the run."""
        return cache / ("-".join(str(value) for value in asdict(self).values()) + ".json")


@dataclass(frozen=True)
class Answer:
    """What a solver recommends, and what it says of the value there, where it does."""

    x: NDArray[np.float64]
    fun: float = np.nan
    std: float = np.nan


class Problem:
    """A function on the unit cube with its optimum at 0.2 to 0.8, and noise."""

    def __init__(self, cell: Cell) -> None:
        self.f_opt, self._fun = _function(cell.function, cell.dim)
        sample = SobolSampler(4096, random_state=0).sample([(0.0, 1.0)] * cell.dim)
        self.span = float(np.quantile(self._fun(sample), 0.1) - self.f_opt)
        self._std = cell.noise * self.span
        self._rng = np.random.default_rng([cell.seed, cell.dim, cell.budget])
        self.left = cell.budget

    def true(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values without noise."""
        return self._fun(np.atleast_2d(X))

    def __call__(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values of points (n, dim) with noise, and count them."""
        X = np.atleast_2d(X)
        self.left -= len(X)
        if self.left < 0:
            raise RuntimeError("more was evaluated than the budget allows")
        return self.true(X) + self._std * self._rng.standard_normal(len(X))


def _function(name: str, dim: int) -> tuple[float, Function]:
    """Return the lowest value and a function of the unit cube."""
    steps = np.arange(1, dim + 1)
    # Off the middle and off simple fractions, where designs have their points.
    place = 0.3 + 0.4 * ((0.618034 * steps) % 1.0)

    def zakharov(U: NDArray[np.float64]) -> NDArray[np.float64]:
        z = 10.0 * (U - place)
        line = 0.5 * (z @ steps)
        return np.square(z).sum(axis=1) + line**2 + line**4

    def dixon_price(U: NDArray[np.float64]) -> NDArray[np.float64]:
        z = 8.0 * U - 2.0
        first = (z[:, 0] - 1.0) ** 2
        return first + (steps[1:] * (2.0 * z[:, 1:] ** 2 - z[:, :-1]) ** 2).sum(axis=1)

    own: dict[str, Function] = {
        "Zakharov": zakharov,
        "DixonPrice": dixon_price,
        "Sphere": lambda U: np.square(10.0 * (U - place)).sum(axis=1),
    }
    if name in own:
        return 0.0, own[name]
    problem = getattr(problems, name)(n_dims=dim)
    low, high = problem.bounds.T
    middle = (problem.x_opt[0] - low) / (high - low)
    shift = 0.0 if np.ptp(problem.x_opt[0]) else (middle - place) * (np.abs(middle - 0.5) < 0.2)

    def moved(U: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(problem(low + (U + shift) * (high - low)))

    return float(problem.f_opt), moved


def ours(problem: Problem, cell: Cell, noise_std: Any = "auto") -> Answer:
    """Run this package."""
    optimizer = ProxyOptimizer(
        noise_std=noise_std, verdict=False, random_state=cell.seed, vectorized=True
    )
    result = optimizer.minimize(problem, [(0.0, 1.0)] * cell.dim, budget=cell.budget)
    return Answer(result.x, result.fun, result.fun_std)


def ours_exact(problem: Problem, cell: Cell) -> Answer:
    """Run this package, told that values are exact."""
    answer = ours(problem, cell, None)
    return Answer(answer.x)


def tpe(problem: Problem, cell: Cell) -> Answer:
    """Run Optuna's tree-structured Parzen estimator."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=cell.seed, multivariate=True)
    study = optuna.create_study(sampler=sampler)
    names = [f"x{i}" for i in range(cell.dim)]
    study.optimize(
        lambda trial: float(
            problem(np.array([trial.suggest_float(name, 0.0, 1.0) for name in names]))[0]
        ),
        n_trials=cell.budget,
    )
    return Answer(np.array([study.best_params[name] for name in names]))


def cma_es(problem: Problem, cell: Cell) -> Answer:
    """Run CMA-ES; the mean of its distribution is what it recommends under noise."""
    import cma

    options = {"seed": cell.seed + 1, "bounds": [0, 1], "verbose": -9}
    search = cma.CMAEvolutionStrategy(cell.dim * [0.5], 0.25, options)
    while problem.left >= search.popsize and not search.stop():
        points = search.ask()
        search.tell(points, problem(np.array(points)).tolist())
    return Answer(np.clip(search.result.xfavorite, 0.0, 1.0))


def botorch_nei(problem: Problem, cell: Cell) -> Answer:
    """Run BoTorch by its noisy expected improvement, one point after another."""
    import torch
    from botorch.acquisition import qLogNoisyExpectedImprovement
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Standardize
    from botorch.optim import optimize_acqf
    from gpytorch.mlls import ExactMarginalLogLikelihood

    torch.manual_seed(cell.seed)
    box = torch.tensor([[0.0] * cell.dim, [1.0] * cell.dim], dtype=torch.float64)
    n_design = max(2 * cell.dim, 12)
    design = SobolSampler(n_design, random_state=cell.seed).sample(box.T.numpy())
    X, y = torch.from_numpy(design), torch.from_numpy(-problem(design))[:, None]

    def fitted() -> Any:
        model = SingleTaskGP(X, y, outcome_transform=Standardize(1))
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        return model

    while problem.left:
        gain = qLogNoisyExpectedImprovement(fitted(), X_baseline=X, prune_baseline=True)
        point, _ = optimize_acqf(gain, bounds=box, q=1, num_restarts=5, raw_samples=128)
        X = torch.cat([X, point])
        y = torch.cat([y, torch.from_numpy(-problem(point.numpy()))[:, None]])
    posterior = fitted().posterior(X)
    best = int(posterior.mean.argmax())
    std = float(posterior.variance[best].detach().sqrt())
    return Answer(X[best].numpy(), -float(posterior.mean[best].detach()), std)


def baybe_default(problem: Problem, cell: Cell) -> Answer:
    """Run BayBE's default recommender; it recommends the measurement with the lowest value."""
    from baybe import Campaign
    from baybe.parameters import NumericalContinuousParameter
    from baybe.searchspace import SearchSpace
    from baybe.targets import NumericalTarget
    from baybe.utils.random import set_random_seed

    set_random_seed(cell.seed)
    names = [f"x{i}" for i in range(cell.dim)]
    inputs = [NumericalContinuousParameter(name, bounds=(0, 1)) for name in names]
    target = NumericalTarget("y", minimize=True)
    campaign = Campaign(SearchSpace.from_product(inputs), target.to_objective())
    while problem.left:
        frame = campaign.recommend(batch_size=1)
        frame["y"] = problem(frame[names].to_numpy(dtype=np.float64))
        campaign.add_measurements(frame)
    told = campaign.measurements
    return Answer(told.loc[told["y"].idxmin(), names].to_numpy(dtype=np.float64))


SOLVERS: dict[str, Callable[[Problem, Cell], Answer]] = {
    "cma_es": cma_es,
    "tpe": tpe,
    "ours_exact": ours_exact,
    "ours": ours,
    "botorch_nei": botorch_nei,
    "baybe": baybe_default,
}


OWN = ("ours_exact", "ours")


def cells(options: argparse.Namespace) -> Iterator[Cell]:
    """Yield the cells that are wanted, those of one run of every solver together."""
    orders = (options.seed, options.budget, options.noise, options.dim, options.function)
    for seed, budget, noise, dim, function in product(*orders):
        for solver in options.solver:
            yield Cell(function, dim, noise, budget, seed, solver)


def run_cell(cell: Cell) -> dict[str, Any]:
    """Return what came of a run."""
    problem = Problem(cell)
    start = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = SOLVERS[cell.solver](problem, cell)
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}
    truth = float(problem.true(answer.x)[0])
    return {
        "regret": (truth - problem.f_opt) / problem.span,
        "error": (truth - answer.fun) / problem.span,
        "std": answer.std / problem.span,
        "seconds": time.process_time() - start,
    }


def restore(cache: Path) -> None:
    """Take the published runs of other tools into the cache."""
    published = pd.read_csv(RESULTS / "runs.csv")
    names = list(Cell.__dataclass_fields__)
    for record in published[~published["solver"].isin(OWN)].to_dict("records"):
        path = Cell(**{name: record[name] for name in names}).path(cache)
        if not path.exists():
            path.write_text(json.dumps(record))


def run(options: argparse.Namespace) -> None:
    """Run what the cache lacks."""
    options.cache.mkdir(parents=True, exist_ok=True)
    restore(options.cache)
    for cell in cells(options):
        path = cell.path(options.cache)
        if path.exists():
            continue
        record = asdict(cell) | run_cell(cell)
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(record))
        partial.replace(path)
        print(record, flush=True)


def interval_score(error: pd.Series, std: pd.Series) -> pd.Series:
    """Return the score of 90 % intervals: their width, and twenty times what they miss by."""
    half = NINETY * std
    return 2.0 * half + 20.0 * np.maximum(error.abs() - half, 0.0)


def coverage(complete: pd.MultiIndex) -> pd.DataFrame:
    """Return of how many cells every solver has a run, for each noise, dimension and budget."""
    cells = complete.to_frame(index=False)
    counts = cells.groupby(["noise", "dim", "budget"]).size()
    n_cells = len(FUNCTIONS) * len(SEEDS)
    rows = []
    for noise, dim in product(NOISES, DIMS):
        shares = [f"{counts.get((noise, dim, budget), 0)} of {n_cells}" for budget in BUDGETS]
        names = [f"{budget} evaluations" for budget in BUDGETS]
        rows.append({"noise": noise, "variables": dim, **dict(zip(names, shares, strict=True))})
    return pd.DataFrame(rows)


def report(options: argparse.Namespace) -> None:
    """Write the runs, and a summary of those cells that every solver has."""
    records = [json.loads(path.read_text()) for path in sorted(options.cache.glob("*.json"))]
    runs = pd.DataFrame(records)
    RESULTS.mkdir(parents=True, exist_ok=True)
    keys = ["function", "dim", "noise", "budget", "seed"]
    done = runs[runs["regret"].notna()] if "regret" in runs else runs[:0]
    shown = [*keys, "solver", "regret", "error", "std", "seconds"]
    done[shown].sort_values(shown[:6]).round(5).to_csv(RESULTS / "runs.csv", index=False)
    solvers = [name for name in SOLVERS if (done["solver"] == name).sum() >= options.least]
    regrets = done.pivot_table(index=keys, columns="solver", values="regret")[solvers].dropna()
    coverage(regrets.index).to_csv(RESULTS / "coverage.csv", index=False)
    # Regrets that differ by less than a thousandth of a span are equal.
    ranks = regrets.round(3).rank(axis=1)
    rows = done.set_index([*keys, "solver"])
    summary = []
    for (noise, dim), group in ranks.groupby(level=["noise", "dim"]):
        for solver in solvers:
            own = rows.loc[[(*key, solver) for key in group.index]]
            known = own.dropna(subset=["std"])
            known = known[known["std"] > 0.0]
            summary.append(
                {
                    "noise": noise,
                    "dim": dim,
                    "solver": solver,
                    "n_runs": len(group),
                    "mean_rank": group[solver].mean(),
                    "median_regret": own["regret"].median(),
                    "n_intervals": len(known),
                    "held": (known["error"].abs() <= NINETY * known["std"]).mean(),
                    "interval_score": interval_score(known["error"], known["std"]).mean(),
                    "median_seconds": own["seconds"].median(),
                }
            )
    table = pd.DataFrame(summary).round(3)
    table.to_csv(RESULTS / "summary.csv", index=False)
    print(table.to_string(index=False))
    print(ranks.mean().round(2).to_string())
    if "failed" in runs:
        failed = runs[runs["failed"].notna()]
        print(failed.groupby("solver")["failed"].agg(["size", "first"]).to_string())


def main() -> None:
    """Run, or write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["run", "report"])
    parser.add_argument("--cache", type=Path, default=Path(".cache/noise"))
    parser.add_argument("--function", nargs="+", choices=FUNCTIONS, default=FUNCTIONS)
    parser.add_argument("--dim", nargs="+", type=int, default=DIMS)
    parser.add_argument("--noise", nargs="+", type=float, default=NOISES)
    parser.add_argument("--budget", nargs="+", type=int, default=BUDGETS)
    parser.add_argument("--seed", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--solver", nargs="+", choices=SOLVERS, default=list(SOLVERS))
    parser.add_argument("--least", type=int, default=1, help="runs of a solver that is reported")
    options = parser.parse_args()
    (run if options.command == "run" else report)(options)


if __name__ == "__main__":
    main()
