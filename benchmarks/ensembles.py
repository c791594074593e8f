"""What training ten networks as one stack saves, and what share of the machine it uses.

The network of the published study on 10,000 rows of 10 variables: ten members in one fit beside
ten default fits of skorch, one after another, with the same epochs and batches; the two take
turns. skorch is timed with torch's own number of threads and with one.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skorch import NeuralNetRegressor

from sklearn_proxyopt import NeuralProxyRegressor
from sklearn_proxyopt.problems import Rastrigin
from sklearn_proxyopt.proxies._network import DenseNetworks
from sklearn_proxyopt.samplers import SobolSampler

SIZES = (20, 50, 120, 70, 20, 10)
N_MEMBERS = 10
N_ROWS = 10_000
# A fifth is held out, by skorch and by the ensemble.
N_TRAINED = 8_000


def timed(function: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def paper_network() -> torch.nn.Sequential:
    """Build the network of the study as a user of torch would."""
    layers: list[torch.nn.Module] = []
    width = 10
    for size in SIZES:
        layers += [torch.nn.Linear(width, size), torch.nn.ReLU()]
        width = size
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, 1))


def fit_skorch(X: np.ndarray, y: np.ndarray, batch_size: int, n_epochs: int) -> None:
    """Train one network with skorch's defaults."""
    net = NeuralNetRegressor(
        paper_network(),
        optimizer=torch.optim.Adam,
        lr=1e-3,
        batch_size=batch_size,
        max_epochs=n_epochs,
        verbose=0,
    )
    net.fit(X.astype(np.float32), y.astype(np.float32)[:, None])


def ten_members(batch_size: int, n_epochs: int, **params: Any) -> NeuralProxyRegressor:
    """Return an ensemble of the same networks, trained for as long on as many rows."""
    return NeuralProxyRegressor(
        **{
            "hidden_layer_sizes": SIZES,
            "activation": "relu",
            "trend": "constant",
            "features": None,
            "schedule": "constant",
            "learning_rate": 1e-3,
            "validation_fraction": 0.2,
            "patience": None,
            "dtype": "float32",
            "n_members": N_MEMBERS,
            "batch_size": batch_size,
            "max_epochs": n_epochs,
            "random_state": 0,
            **params,
        }
    )


def matmul_rate(dtype: torch.dtype, n_threads: int) -> float:
    """Measure the floating point operations a second of large matrix products."""
    matrix = torch.randn(1024, 1024, dtype=dtype)
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    seconds = min(timed(lambda: matrix @ matrix) for _ in range(20))
    torch.set_num_threads(before)
    return 2 * 1024**3 / seconds


def training_rate(proxy: NeuralProxyRegressor) -> float:
    """Return the floating point operations a second of the fastest epoch of a fit.

    A multiply-add counts as two, and a step costs three times its forward pass.
    """
    groups: list[DenseNetworks] = list(proxy.net_.module_.groups)
    products = sum(
        group.n_members * n_in * n_out
        for group in groups
        for n_in, n_out in group.shapes
        if n_in > 1
    )
    # The last row of history holds the time of the epoch, validation included.
    seconds = min(row["dur"] for row in proxy.history_)
    return 6 * products * N_TRAINED / seconds


def time_ensembles(X: np.ndarray, y: np.ndarray, repeats: int) -> list[dict[str, Any]]:
    """Let the stack and skorch take turns at each batch size."""
    n_threads = torch.get_num_threads()
    rows = []
    for batch_size, n_epochs in ((8, 2), (64, 10), (512, 25)):
        stacked, alone, one_thread = [], [], []
        for _ in range(repeats):
            proxy = ten_members(batch_size, n_epochs)
            stacked.append(timed(lambda proxy=proxy: proxy.fit(X, y)))
            for seconds, threads in ((alone, n_threads), (one_thread, 1)):
                torch.set_num_threads(threads)
                seconds.append(
                    timed(
                        lambda size=batch_size, epochs=n_epochs: [
                            fit_skorch(X, y, size, epochs) for _ in range(N_MEMBERS)
                        ]
                    )
                )
            torch.set_num_threads(n_threads)
        row = {
            "batch_size": batch_size,
            "stacked_seconds_per_epoch": round(float(np.median(stacked)) / n_epochs, 3),
            "skorch_seconds_per_epoch": round(float(np.median(alone)) / n_epochs, 3),
            "skorch_one_thread_seconds_per_epoch": round(
                float(np.median(one_thread)) / n_epochs, 3
            ),
            "times_faster": round(float(np.median(np.divide(alone, stacked))), 1),
            "times_faster_than_one_thread": round(
                float(np.median(np.divide(one_thread, stacked))), 1
            ),
        }
        rows.append(row)
        print(row, flush=True)
    return rows


def measure_rates(X: np.ndarray, y: np.ndarray) -> list[dict[str, Any]]:
    """Take the rate of training beside that of matrix products on all threads."""
    n_threads = torch.get_num_threads()
    rates = []
    for dtype in ("float32", "float64"):
        for n_members in (1, N_MEMBERS):
            proxy = ten_members(
                512,
                6,
                hidden_layer_sizes=(128, 128),
                activation="silu",
                dtype=dtype,
                n_members=n_members,
            ).fit(X, y)
            peak = matmul_rate(getattr(torch, dtype), n_threads)
            rate = training_rate(proxy)
            rates.append(
                {
                    "dtype": dtype,
                    "n_members": n_members,
                    "threads": n_threads,
                    "matmul_gflops": round(peak / 1e9, 1),
                    "training_gflops": round(rate / 1e9, 1),
                    "share": round(rate / peak, 2),
                }
            )
            print(rates[-1], flush=True)
    return rates


def main() -> None:
    """Measure, print the ratios, write them down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tables", nargs="*", default=["ensembles", "training_rate"])
    parser.add_argument("--output", type=Path, default=Path("docs/results/performance"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    X = SobolSampler(N_ROWS, random_state=0).sample(Rastrigin(10).bounds)
    y = Rastrigin(10)(X)
    if "training_rate" in options.tables:
        write(options.output / "training_rate.csv", measure_rates(X, y))
    if "ensembles" in options.tables:
        write(options.output / "ensembles.csv", time_ensembles(X, y, options.repeats))


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
