"""The training loop of the published study, cell by cell: what error it reaches, and when.

The loop of Albreiki, Belayouni and Gupta (2023): 10,000 uniform random rows, a fifth held out,
batches of 8, Adam at 1e-3, double precision, the weights of the lowest held-out loss. Batches are
slices here instead of a DataLoader's, which changes the time but not the training;
`time_to_paper_error.py` times the original beside this package. A run that is stopped goes on
with the cells that are missing from its CSV.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sklearn_proxyopt.problems import Ackley, Problem, Rastrigin, Rosenbrock
from sklearn_proxyopt.samplers import UniformSampler

RESULTS = Path("docs/results/performance/paper_loop.csv")
PROBLEMS: dict[str, type[Problem]] = {
    "rosenbrock": Rosenbrock,
    "rastrigin": Rastrigin,
    "ackley": Ackley,
}
BATCH_SIZE = 8


def paper_network(function: str, n_dims: int) -> nn.Sequential:
    """Build the network of a cell."""
    sizes = [20, 50, 120, 70, 20, 10]
    if function == "rosenbrock":
        sizes = [15, 50, 15] if n_dims == 2 else [15, 50, 15, 10]
    layers: list[nn.Module] = []
    width = n_dims
    for size in sizes:
        layers += [nn.Linear(width, size), nn.ReLU()]
        width = size
    layers.append(nn.Linear(width, 1))
    if function == "rosenbrock" and n_dims == 2:
        layers.append(nn.ReLU())
    return nn.Sequential(*layers).double()


def paper_epochs(function: str, n_dims: int) -> int:
    """Return the number of epochs of a cell."""
    return 100 if function == "rosenbrock" and n_dims < 10 else 500


def paper_data(function: str, n_dims: int, seed: int) -> dict[str, Any]:
    """Draw and split the rows of a cell; targets and losses are scaled as in the study."""
    problem = PROBLEMS[function](n_dims)
    X = UniformSampler(10_000, random_state=seed).sample(problem.bounds)
    y = problem(X)
    order = np.random.default_rng(seed).permutation(len(X))
    return {
        "problem": problem,
        "training": (X[order[2000:]], y[order[2000:]]),
        "held_out": (X[order[:2000]], y[order[:2000]]),
        "target_scale": 1000.0 if function == "rosenbrock" else 1.0,
        "loss_scale": {"rosenbrock": 1000.0, "rastrigin": 1.0, "ackley": 100.0}[function],
    }


def train(function: str, n_dims: int, seed: int) -> dict[str, Any]:
    """Train the network of a cell and return when it was best."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    data = paper_data(function, n_dims, seed)
    X, X_held_out = (torch.from_numpy(data[part][0]) for part in ("training", "held_out"))
    y, y_held_out = (
        torch.from_numpy(data[part][1])[:, None] / data["target_scale"]
        for part in ("training", "held_out")
    )
    network = paper_network(function, n_dims)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    best, best_epoch = np.inf, 0
    n_epochs = paper_epochs(function, n_dims)
    start = time.process_time()
    for epoch in range(1, n_epochs + 1):
        order = torch.randperm(len(X))
        for x, target in zip(X[order].split(BATCH_SIZE), y[order].split(BATCH_SIZE), strict=True):
            optimizer.zero_grad()
            loss = data["loss_scale"] * nn.functional.mse_loss(network(x), target)
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            error = float(nn.functional.mse_loss(network(X_held_out), y_held_out))
        if error < best:
            best, best_epoch = error, epoch
    mse = best * data["target_scale"] ** 2
    return {
        "function": function,
        "dim": n_dims,
        "seed": seed,
        "n_epochs": n_epochs,
        "best_epoch": best_epoch,
        "held_out_rmse": float(f"{mse**0.5:.5g}"),
        "held_out_r2": round(1 - mse / float(data["held_out"][1].var()), 4),
        "cpu_seconds": round(time.process_time() - start, 1),
    }


def main() -> None:
    """Train the cells that are missing and write each down when it is done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    done = set()
    if options.output.exists():
        with options.output.open(newline="") as file:
            done = {(row["function"], int(row["dim"])) for row in csv.DictReader(file)}
    for n_dims in (2, 4, 10):
        for function in PROBLEMS:
            if (function, n_dims) in done:
                continue
            row = train(function, n_dims, options.seed)
            print(row, flush=True)
            is_new = not options.output.exists()
            with options.output.open("a", newline="") as file:
                writer = csv.DictWriter(file, fieldnames=list(row))
                if is_new:
                    writer.writeheader()
                writer.writerow(row)


if __name__ == "__main__":
    main()
