"""Proxies' optima on functions whose truth is known, and the evidence on each.

    python benchmarks/verdicts.py
    python benchmarks/verdict_model.py

The first draws combinations of function, number of variables, sampling scheme, number of rows,
proxy and optimizer, fits each, and keeps the evidence on its optimum in `--cache`; it may be
stopped and goes on. The second learns from them.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from scipy.stats import spearmanr
from sklearn.ensemble import RandomForestRegressor

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt.diagnosis._evidence import Evidence, EvidenceCollector
from sklearn_proxyopt.optimizers import GeneticAlgorithm, ParticleSwarm
from sklearn_proxyopt.problems import (
    Ackley,
    Ellipsoid,
    GaussianPits,
    Griewank,
    Levy,
    Problem,
    Rastrigin,
    RippledBowl,
    Rosenbrock,
    StyblinskiTang,
)
from sklearn_proxyopt.samplers import GaussianSampler, SobolSampler, UniformSampler
from sklearn_proxyopt.variables import Variables

FAMILIES = (
    Ackley,
    Ellipsoid,
    GaussianPits,
    Griewank,
    Levy,
    Rastrigin,
    Rosenbrock,
    StyblinskiTang,
)
# The first cases go round the families, the last are all of one whose ripples R2 does not notice
# and whose deepest trough is not at the bottom of the bowl.
N_ROUND = 720
LAST_FAMILY = RippledBowl
N_DIMS = (2, 3, 5, 10)
N_ROWS = (60, 200, 600, 2000)
SAMPLERS = ("uniform", "sobol", "gaussian")
PROXIES = ("default", "default", "study", "forest")
OPTIMIZERS = ("descents", "descents", "descents", "swarm", "genetic")


def draw_case(index: int) -> dict[str, Any]:
    """Draw a case by its number."""
    rng = np.random.default_rng(index)
    family = FAMILIES[index % len(FAMILIES)] if index < N_ROUND else LAST_FAMILY
    return {
        "index": index,
        "family": family.__name__,
        "n_dims": int(rng.choice(N_DIMS)),
        "is_turned": bool(rng.random() < 0.67),
        "sampler": str(rng.choice(SAMPLERS)),
        "n_rows": int(rng.choice(N_ROWS)),
        "proxy": str(rng.choice(PROXIES)),
        "seed": int(rng.integers(2**31 - 1)),
        "optimizer": str(rng.choice(OPTIMIZERS)),
    }


def problem_of(case: dict[str, Any]) -> Problem:
    """Return the function of a case."""
    (family,) = (one for one in (*FAMILIES, LAST_FAMILY) if one.__name__ == case["family"])
    more: dict[str, Any] = {}
    if family is GaussianPits:
        more = {"random_state": case["seed"]}
    elif family is RippledBowl:
        rng = np.random.default_rng(case["seed"])
        height, n_ripples = 10.0 ** rng.uniform(-1.5, 0.8), rng.uniform(3.0, 15.0)
        more = {"random_state": case["seed"], "height": height, "n_ripples": n_ripples}
    problem = family(case["n_dims"], **more)
    return problem.rotated_and_shifted(case["seed"]) if case["is_turned"] else problem


def optimizer_of(case: dict[str, Any], problem: Problem) -> ProxyOptimizer:
    """Return the optimizer of a case, not fitted."""
    n_rows = case["n_rows"]
    samplers = {
        "uniform": UniformSampler(n_rows),
        "sobol": SobolSampler(n_rows),
        "gaussian": GaussianSampler(n_rows, center=problem.x_opt[0]),
    }
    proxies = {
        "default": None,
        "study": NeuralProxyRegressor(
            (15, 50, 15, 10), activation="relu", trend="constant", features=None
        ),
        "forest": RandomForestRegressor(50),
    }
    # Short runs, so that some searches are stuck.
    optimizers = {
        "descents": None,
        "swarm": ParticleSwarm(20, 50),
        "genetic": GeneticAlgorithm(20, 30),
    }
    return ProxyOptimizer(
        problem,
        problem.bounds,
        sampler=samplers[case["sampler"]],
        proxy=proxies[case["proxy"]],
        optimizer=optimizers[case["optimizer"]],
        verdict=False,
        random_state=case["seed"],
    )


def run_case(case: dict[str, Any]) -> dict[str, np.ndarray]:
    """Fit, refine, and gather the evidence on the proxy's optimum and on the refined point."""
    problem = problem_of(case)
    optimizer = optimizer_of(case, problem)
    start = time.process_time()
    result = optimizer.minimize(problem, problem.bounds)
    seconds = time.process_time() - start
    n_rows = case["n_rows"]
    X, y, bounds = optimizer.X_[:n_rows], optimizer.y_[:n_rows], optimizer.bounds_
    start = time.process_time()
    inquiry = EvidenceCollector(
        optimizer.proxy_, X, y, Variables(bounds), optimizer._known.candidates, case["seed"]
    )
    kept: dict[str, Any] = {}
    for name, x in (("proxy", result.x_proxy), ("refined", result.x)):
        evidence = inquiry.about(x)
        for field in fields(Evidence):
            kept[f"{name}_{field.name}"] = getattr(evidence, field.name)
        rivals = bounds[:, 0] + evidence.rivals * (bounds[:, 1] - bounds[:, 0])
        kept[f"{name}_rival_truths"] = problem(rivals)
        kept[f"{name}_value"] = problem(x[None])[0]
    candidates = optimizer._known.candidates[:5]
    kept["candidate_promises"] = optimizer.predict(candidates)
    kept["candidate_truths"] = problem(candidates)
    kept["in_sample_order"] = spearmanr(optimizer.predict(X), y).statistic
    kept["f_opt"], kept["fit_seconds"] = problem.f_opt, seconds
    kept["inquiry_seconds"] = time.process_time() - start
    optima = np.atleast_2d(problem.x_opt)
    kept["distance"] = np.linalg.norm(optima - result.x_proxy, axis=1).min()
    return kept


def make_cases(cache: Path, first: int, n_cases: int) -> None:
    """Run the cases that are missing."""
    cache.mkdir(parents=True, exist_ok=True)
    with Progress() as progress:
        for index in progress.track(range(first, n_cases), description="cases"):
            path = cache / f"{index:05d}.npz"
            if path.exists():
                continue
            case = draw_case(index)
            kept = run_case(case)
            part = path.with_suffix(".part.npz")
            np.savez(part, case=json.dumps(case), **kept)
            part.rename(path)


def main() -> None:
    """Make the cases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--n-cases", type=int, default=840)
    parser.add_argument("--cache", type=Path, default=Path(".cache/verdicts"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    make_cases(options.cache, options.first, options.n_cases)


if __name__ == "__main__":
    main()
