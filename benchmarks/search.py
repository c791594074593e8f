"""How fast the minimum of a fitted proxy is found: swarms as one tensor, and BFGS beside them.

For each function and number of variables a proxy is fitted, then searched three ways in turn: ten
runs of pyswarms on the `predict` of a skorch net around the same network, ten restarts of
`ParticleSwarm` at once, and `MultiStartBFGS` with 256 starts. Swarms have 100 particles and make
1,000 moves with the weights of the published study.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skorch import NeuralNetRegressor

from sklearn_proxyopt import NeuralProxyRegressor
from sklearn_proxyopt._proxy_search._functions import RegressorFunction
from sklearn_proxyopt.optimizers import MultiStartBFGS, ParticleSwarm
from sklearn_proxyopt.optimizers._particle_swarm import _import_backend
from sklearn_proxyopt.problems import Ackley, Rastrigin, Rosenbrock
from sklearn_proxyopt.samplers import SobolSampler

WEIGHTS = {"inertia": 0.9, "cognitive": 0.5, "social": 0.3}
PAPER = {
    "hidden_layer_sizes": (20, 50, 120, 70, 20, 10),
    "activation": "relu",
    "trend": "constant",
    "features": None,
    "dtype": "float32",
}
NETWORKS: dict[str, dict[str, Any]] = {"paper": PAPER, "default": {}}
# The columns of the table under the names of what is measured.
HEADERS = {
    "network": "network",
    "problem": "function",
    "dim": "variables",
    "pyswarms_seconds": "ten swarms of pyswarms (s)",
    "swarms_seconds": "ten swarms at once (s)",
    "bfgs_seconds": "BFGS (s)",
    "swarms_faster": "times faster",
    "bfgs_share_of_swarms": "BFGS share of the swarms' time",
    "pyswarms_value": "lowest by pyswarms",
    "swarms_value": "lowest by swarms",
    "bfgs_value": "lowest by BFGS",
    "bfgs_at_least_as_low": "BFGS at least as low",
}


def fly_pyswarms(predict: Callable[[np.ndarray], np.ndarray], bounds: np.ndarray) -> float:
    """Run pyswarms once as a user would; return the lowest value."""
    _import_backend()
    from pyswarms.single import GlobalBestPSO

    swarm = GlobalBestPSO(
        100, len(bounds), {"w": 0.9, "c1": 0.5, "c2": 0.3}, bounds=(bounds[:, 0], bounds[:, 1])
    )
    return float(swarm.optimize(predict, 1000, verbose=False)[0])


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that a call takes, and what it returns."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def measure(network: str, problem: Any, n_rows: int) -> dict[str, Any]:
    """Fit one proxy and search it in each way."""
    X = SobolSampler(n_rows, random_state=0).sample(problem.bounds)
    proxy = NeuralProxyRegressor(random_state=0, **NETWORKS[network]).fit(X, problem(X))
    fun = RegressorFunction(proxy)
    net = NeuralNetRegressor(proxy.torch_module(), verbose=0).initialize()

    def predict(rows: np.ndarray) -> np.ndarray:
        return net.predict(rows)[:, 0]

    swarms = ParticleSwarm(
        100, 1000, n_restarts=10, n_iter_no_change=None, random_state=0, **WEIGHTS
    )
    descents = MultiStartBFGS(256, random_state=0)
    pyswarms_seconds, values = timed(
        lambda: [fly_pyswarms(predict, problem.bounds) for _ in range(10)]
    )
    swarm_seconds, flown = min(
        (timed(lambda: swarms.minimize(fun, problem.bounds)) for _ in range(3)),
        key=lambda pair: pair[0],
    )
    bfgs_seconds, descended = min(
        (timed(lambda: descents.minimize(fun, problem.bounds)) for _ in range(3)),
        key=lambda pair: pair[0],
    )
    return {
        "network": network,
        "problem": type(problem).__name__,
        "dim": problem.n_dims,
        "pyswarms_seconds": round(pyswarms_seconds, 2),
        "swarms_seconds": round(swarm_seconds, 3),
        "bfgs_seconds": round(bfgs_seconds, 3),
        "swarms_faster": round(pyswarms_seconds / swarm_seconds, 1),
        "bfgs_share_of_swarms": round(bfgs_seconds / swarm_seconds, 3),
        "pyswarms_value": min(values),
        "swarms_value": flown.fun,
        "bfgs_value": descended.fun,
        "bfgs_at_least_as_low": descended.fun <= min([flown.fun, *values]) + 1e-9,
    }


def write_table(rows: list[dict[str, Any]], output: Path) -> None:
    """Write what was measured as readers see it: the lowest values to five digits."""
    with output.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADERS.values())
        for row in rows:
            shown = [
                f"{row[name]:.5g}" if name.endswith("_value") else row[name] for name in HEADERS
            ]
            writer.writerow(shown)


def main() -> None:
    """Measure each cell, print it and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--dims", nargs="*", type=int, default=[2, 4, 10])
    parser.add_argument("--output", type=Path, default=Path("docs/results/performance/search.csv"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    output = options.output.resolve()
    output.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        # Every swarm of pyswarms writes a log file where it runs.
        os.chdir(folder)
        for network in options.networks:
            for problem_class in (Rosenbrock, Rastrigin, Ackley):
                for n_dims in options.dims:
                    rows.append(measure(network, problem_class(n_dims), options.rows))
                    print(rows[-1], flush=True)
        os.chdir(output.parent)
    write_table(rows, output)
    for name in ("swarms_faster", "bfgs_share_of_swarms"):
        print(f"median {name}: {np.median([row[name] for row in rows]):.3g}")
    print("bfgs at least as low:", all(row["bfgs_at_least_as_low"] for row in rows))


if __name__ == "__main__":
    main()
