"""Whether the walk of the study helps where the optimum is not in the middle of the box.

Functions of ten variables, from 2,500 rows of Sobol's sequence: in a box moved by up to a quarter
of its width along every axis, and turned with their optimum elsewhere. Every proxy is searched with
and without the walk, and the answer refined as in the study.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paper1.cells import PROBLEMS
from paper1.protocols import refiner_for
from paper1.searches import ThenDescent
from paper1.shelf import Shelf, ShelvedProxy
from paper1.smoother import ThenWalk
from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt.optimizers import MultiStartBFGS, ParticleSwarm
from sklearn_proxyopt.problems import Problem
from sklearn_proxyopt.samplers import SobolSampler

__all__ = ["run"]

FUNCTIONS = ("rosenbrock", "rastrigin", "ackley")
_N_DIMS, _N_ROWS = 10, 2_500
_LARGEST_MOVE = 0.25


def moved_bounds(problem: Problem, seed: int) -> Any:
    """Return the box of a problem, moved by up to a quarter of its width along every axis."""
    width = problem.bounds[:, 1] - problem.bounds[:, 0]
    moves = np.random.default_rng(seed).uniform(-_LARGEST_MOVE, _LARGEST_MOVE, len(width))
    return problem.bounds + (moves * width)[:, None]


def study(function: str, kind: str, seed: int, shelf: Shelf) -> pd.DataFrame:
    """Return the errors of each search of a proxy, with the walk and without it."""
    problem = PROBLEMS[function](_N_DIMS)
    bounds = moved_bounds(problem, seed)
    if kind == "turned":
        problem = problem.rotated_and_shifted(random_state=seed)
        bounds = problem.bounds
    searches = {
        "pso": ThenDescent(ParticleSwarm(random_state=0)),
        "bfgs": MultiStartBFGS(random_state=0),
    }
    rows = []
    for name, search in searches.items():
        for walks in (False, True):
            optimizer = ProxyOptimizer(
                sampler=SobolSampler(_N_ROWS, random_state=seed),
                proxy=ShelvedProxy(NeuralProxyRegressor(random_state=seed), shelf),
                optimizer=ThenWalk(search) if walks else search,
                refiner=refiner_for(_N_DIMS),
                verdict=False,
                vectorized=True,
            )
            result = optimizer.minimize(problem, bounds)
            errors = [
                float(np.linalg.norm(x - problem.x_opt, axis=1).min())
                for x in (result.x_proxy, result.x)
            ]
            about = {"function": function, "kind": kind, "seed": seed, "search": name}
            rows.append({**about, "walk": walks, "error": errors[0], "refined": errors[1]})
    return pd.DataFrame(rows)


def run(cache: Path, results: Path, n_replicates: int = 3) -> None:
    """Run what the cache lacks and write the table."""
    folder = cache / "elsewhere"
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(n_replicates):
        for function in FUNCTIONS:
            for kind in ("moved", "turned"):
                path = folder / f"{function}-{kind}-{seed}.csv"
                if not path.exists():
                    study(function, kind, seed, Shelf(cache / "shelf")).to_csv(path, index=False)
                frame = pd.concat([pd.read_csv(part) for part in sorted(folder.glob("*.csv"))])
                frame.to_csv(
                    results / "elsewhere.csv", index=False, float_format="%.4g", lineterminator="\n"
                )
