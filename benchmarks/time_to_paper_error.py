"""How much sooner the default proxy has the error that the published training loop ends with.

For each of the nine cells the goal is the lowest held-out error that the loop reached (see
`paper_loop.py`). The proxy is fitted on the same rows, with more and more epochs, until it is as
good on the same held-out rows; its whole fit is timed. Beside each fit an epoch of the original
loop, with its DataLoader, is timed, and taken as often as the loop needed to its best epoch. Both
run on one thread and are measured in seconds of the processor.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).parent))
from paper_loop import BATCH_SIZE, RESULTS, paper_data, paper_network

from sklearn_proxyopt import NeuralProxyRegressor

BUDGETS = (1, 2, 4, 8, 16, 32, 64, None)


def original_epoch(function: str, n_dims: int, data: dict[str, Any]) -> float:
    """Return the seconds of an epoch of the loop as it was published."""
    X, y = (torch.from_numpy(part) for part in data["training"])
    loader = DataLoader(
        TensorDataset(X, y[:, None] / data["target_scale"]),
        batch_size=BATCH_SIZE,
        shuffle=True,
        drop_last=True,
    )
    network = paper_network(function, n_dims)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    start = time.process_time()
    for x, target in loader:
        optimizer.zero_grad()
        loss = data["loss_scale"] * torch.nn.functional.mse_loss(network(x), target)
        loss.backward()
        optimizer.step()
    return time.process_time() - start


def reach(goal: float, data: dict[str, Any], seed: int) -> dict[str, Any]:
    """Fit with more and more epochs until the held-out error is reached."""
    for budget in BUDGETS:
        params = {} if budget is None else {"max_epochs": budget}
        proxy = NeuralProxyRegressor(random_state=seed, **params)
        start = time.process_time()
        proxy.fit(*data["training"])
        seconds = time.process_time() - start
        X, y = data["held_out"]
        error = float(np.sqrt(np.square(proxy.predict(X) - y).mean()))
        if error <= goal:
            break
    return {
        "reached": error <= goal,
        "proxy_rmse": float(f"{error:.4g}"),
        "proxy_epochs": proxy.n_iter_,
        "proxy_seconds": round(seconds, 2),
    }


def main() -> None:
    """Measure each cell that the loop was run on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loop", type=Path, default=RESULTS)
    parser.add_argument(
        "--output", type=Path, default=Path("docs/results/performance/time_to_paper_error.csv")
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    # What is loaded at the first fit is not what is measured.
    warm_up = np.random.default_rng(0).random((60, 2))
    NeuralProxyRegressor(max_epochs=1).fit(warm_up, warm_up[:, 0])
    with options.loop.open(newline="") as file:
        cells = list(csv.DictReader(file))
    rows = []
    for cell in cells:
        function, n_dims, seed = cell["function"], int(cell["dim"]), int(cell["seed"])
        data = paper_data(function, n_dims, seed)
        goal = float(cell["held_out_rmse"])
        reached = reach(goal, data, seed)
        epoch_seconds = original_epoch(function, n_dims, data)
        loop_seconds = epoch_seconds * int(cell["best_epoch"])
        whole_seconds = epoch_seconds * int(cell["n_epochs"])
        row = {
            "function": function,
            "dim": n_dims,
            "loop_rmse": goal,
            "loop_r2": float(cell["held_out_r2"]),
            "loop_epochs": int(cell["best_epoch"]),
            "loop_seconds": round(loop_seconds, 1),
            **reached,
            "times_faster": round(loop_seconds / reached["proxy_seconds"]),
            "times_faster_than_all_epochs": round(whole_seconds / reached["proxy_seconds"]),
        }
        rows.append(row)
        print(row, flush=True)
    with options.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for name in ("times_faster", "times_faster_than_all_epochs"):
        print(f"median {name}:", np.median([row[name] for row in rows]))


if __name__ == "__main__":
    main()
