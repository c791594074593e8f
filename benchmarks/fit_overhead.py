"""What the conveniences of a fit cost beside a bare torch loop.

Both train the same network from the same random numbers with the same batches, epochs and rates on
10,000 rows of 10 variables; the two take turns, and the ratios of the pairs are printed. The fit
also validates, splits, scales, chooses and fits the trend, judges each epoch on held-out rows and
keeps the best weights.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from sklearn_proxyopt import NeuralProxyRegressor
from sklearn_proxyopt.problems import Ackley, Problem, Rastrigin, Rosenbrock
from sklearn_proxyopt.proxies._net import RateSchedule
from sklearn_proxyopt.proxies._network import DenseNetworks
from sklearn_proxyopt.proxies._recipe import Features
from sklearn_proxyopt.samplers import SobolSampler


def bare_loop(proxy: NeuralProxyRegressor, X: np.ndarray, y: np.ndarray) -> float:
    """Train the network that a fit has trained, for as many steps; return the seconds."""
    n_epochs, batch_size = proxy.n_iter_, proxy.net_.batch_size
    n_rows = len(X) - round(proxy.validation_fraction * len(X))
    rows = torch.from_numpy(2 * (X[:n_rows] - X.min(0)) / (X.max(0) - X.min(0)) - 1)
    targets = torch.from_numpy((y[:n_rows] - y.mean()) / y.std())[:, None]
    torch.manual_seed(0)
    features = Features(proxy.features_, proxy.spread_)
    network = DenseNetworks(
        X.shape[1],
        1,
        proxy.hidden_layer_sizes,
        proxy.activation,
        torch.tensor([proxy.spread_]),
        features.mask(X.shape[1], proxy.n_frequencies),
        generator=torch.default_generator,
    ).double()
    n_steps = n_epochs * -(-n_rows // batch_size)
    optimizer = torch.optim.Adam(network.parameters(), lr=proxy.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, RateSchedule("one-cycle", n_steps)._factor
    )
    start = time.perf_counter()
    for _ in range(n_epochs):
        order = torch.randperm(n_rows)
        batches = zip(rows[order].split(batch_size), targets[order].split(batch_size), strict=True)
        for x, target in batches:
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.mse_loss(network(x)[0], target).backward()
            optimizer.step()
            schedule.step()
    seconds = time.perf_counter() - start
    return seconds


def timed(function: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    """Take the turns, print the ratios, write them down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--output", type=Path, default=Path("docs/results/fit_overhead.csv"))
    options = parser.parse_args()
    problems: list[tuple[str, Problem, dict]] = [
        ("default, Rastrigin", Rastrigin(10), {}),
        ("default, rotated Rastrigin", Rastrigin(10).rotated_and_shifted(1), {}),
        ("default, Rosenbrock", Rosenbrock(10), {}),
        ("default, Ackley", Ackley(10), {}),
        ("all epochs, Rastrigin", Rastrigin(10), {"patience": None}),
        ("all epochs, one trend, Ackley", Ackley(10), {"patience": None, "trend": "quadratic"}),
    ]
    # Both on one thread, as a fit is.
    torch.set_num_threads(1)
    rows = []
    for name, problem, params in problems:
        X = SobolSampler(options.rows, random_state=0).sample(problem.bounds)
        y = problem(X)
        proxy = NeuralProxyRegressor(random_state=0, **params)
        fits, loops = [], []
        for _ in range(options.repeats):
            fits.append(timed(lambda proxy=proxy, X=X, y=y: proxy.fit(X, y)))
            loops.append(bare_loop(proxy, X, y))
        ratios = np.array(fits) / np.array(loops)
        row = {
            "case": name,
            "epochs": proxy.n_iter_,
            "fit_seconds": round(float(np.median(fits)), 2),
            "loop_seconds": round(float(np.median(loops)), 2),
            "ratio": round(float(np.median(ratios)), 2),
            "lowest_ratio": round(float(ratios.min()), 2),
            "highest_ratio": round(float(ratios.max()), 2),
        }
        rows.append(row)
        print(row, flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with options.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
