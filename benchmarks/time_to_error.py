"""How soon the default proxy has the error that other regressors end with.

For each function, number of rows and of variables, each competitor is fitted once and its error
at new rows and its time are taken; then the default proxy is fitted with more and more epochs
until it has that error. The ratio of the times says how many times sooner it has it; where it
never has it, the cell says so. All run on one thread and are measured in seconds of the
processor. A run that is stopped goes on with the cells that are missing from its CSV.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.compose import TransformedTargetRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetRegressor

from sklearn_proxyopt import NeuralProxyRegressor
from sklearn_proxyopt.problems import Ackley, Problem, Rastrigin, Rosenbrock
from sklearn_proxyopt.samplers import SobolSampler

MAX_ROWS_OF_A_PROCESS = 2000
# The published loop and the proxy go on for so long at most.
MOST_SECONDS = 20.0
BUDGETS = (1, 3, 10, 30, 100, None)


def problems(n_dims: int) -> dict[str, Problem]:
    """Return the functions, most of them rotated and shifted."""
    return {
        "rosenbrock rotated": Rosenbrock(n_dims).rotated_and_shifted(1),
        "ackley rotated": Ackley(n_dims).rotated_and_shifted(1),
        "rastrigin rotated": Rastrigin(n_dims).rotated_and_shifted(1),
        "rastrigin": Rastrigin(n_dims),
    }


def network(n_dims: int, sizes: tuple[int, ...]) -> torch.nn.Sequential:
    """Build a network of rectified linear units."""
    layers: list[torch.nn.Module] = []
    width = n_dims
    for size in sizes:
        layers += [torch.nn.Linear(width, size), torch.nn.ReLU()]
        width = size
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, 1))


class PaperLoop:
    """The loop of the published study: batches of 8, Adam at 1e-3, the best of 500 epochs."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> PaperLoop:
        """Train until the epochs or the seconds are over."""
        torch.manual_seed(0)
        rows, targets = torch.from_numpy(X), torch.from_numpy(y)[:, None]
        n_held_out = len(X) // 5
        self.network = network(X.shape[1], (20, 50, 120, 70, 20, 10)).double()
        optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3, fused=True)
        best, start = np.inf, time.process_time()
        for _ in range(500):
            order = n_held_out + torch.randperm(len(X) - n_held_out)
            for x, target in zip(rows[order].split(8), targets[order].split(8), strict=True):
                optimizer.zero_grad()
                torch.nn.functional.mse_loss(self.network(x), target).backward()
                optimizer.step()
            error = self.predict(X[:n_held_out]) - y[:n_held_out]
            if np.square(error).mean() < best:
                best = np.square(error).mean()
                weights = {k: v.clone() for k, v in self.network.state_dict().items()}
            if time.process_time() - start > MOST_SECONDS:
                break
        self.network.load_state_dict(weights)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predict values of shape (n,)."""
        with torch.no_grad():
            return self.network(torch.from_numpy(X))[:, 0].numpy()


def skorch_default(n_dims: int) -> Any:
    """Return a net with skorch's own settings, between scalers in the type it needs."""
    torch.manual_seed(0)
    net = NeuralNetRegressor(network(n_dims, (128, 128)).double(), verbose=0)
    return TransformedTargetRegressor(
        make_pipeline(StandardScaler(), net), transformer=StandardScaler()
    )


def competitors(n_dims: int, n_rows: int) -> dict[str, Callable[[], Any]]:
    """Return how to make each competitor."""
    made: dict[str, Callable[[], Any]] = {
        "published loop": PaperLoop,
        "skorch": lambda: skorch_default(n_dims),
        "MLPRegressor": lambda: TransformedTargetRegressor(
            make_pipeline(StandardScaler(), MLPRegressor(random_state=0)),
            transformer=StandardScaler(),
        ),
    }
    if n_rows <= MAX_ROWS_OF_A_PROCESS:
        kernel = ConstantKernel() * RBF(np.ones(n_dims)) + WhiteKernel(1e-4, (1e-10, 1.0))
        made["Gaussian process"] = lambda: make_pipeline(
            StandardScaler(), GaussianProcessRegressor(kernel, normalize_y=True)
        )
    return made


def fitted(model: Any, X: np.ndarray, y: np.ndarray) -> tuple[float, Any]:
    """Return the seconds of a fit, and the model."""
    start = time.process_time()
    model.fit(X, y)
    return time.process_time() - start, model


def measure(function: str, n_rows: int, n_dims: int) -> list[dict[str, Any]]:
    """Fit everything on one cell."""
    problem = problems(n_dims)[function]
    X = SobolSampler(n_rows, random_state=0).sample(problem.bounds)
    X_new = SobolSampler(4000, random_state=1).sample(problem.bounds)
    y, y_new = problem(X), problem(X_new)

    def error(model: Any) -> float:
        return float(np.sqrt(np.square(model.predict(X_new) - y_new).mean()) / y_new.std())

    ladder: list[tuple[float, float]] = []

    def proxy_until(goal: float) -> tuple[float, float]:
        for step, budget in enumerate(BUDGETS):
            if step == len(ladder):
                params = {} if budget is None else {"max_epochs": budget}
                seconds, proxy = fitted(NeuralProxyRegressor(random_state=0, **params), X, y)
                ladder.append((seconds, error(proxy)))
            if ladder[step][1] <= goal or ladder[step][0] > MOST_SECONDS:
                break
        return ladder[step]

    rows = []
    for name, make in competitors(n_dims, n_rows).items():
        seconds, model = fitted(make(), X, y)
        goal = error(model)
        proxy_seconds, proxy_error = proxy_until(goal)
        rows.append(
            {
                "function": function,
                "rows": n_rows,
                "dim": n_dims,
                "competitor": name,
                "error": float(f"{goal:.3g}"),
                "seconds": round(seconds, 2),
                "proxy_error": float(f"{proxy_error:.3g}"),
                "proxy_seconds": round(proxy_seconds, 2),
                "reached": proxy_error <= goal,
                "times_sooner": float(f"{seconds / proxy_seconds:.3g}"),
            }
        )
        print(rows[-1], flush=True)
    return rows


def draw(path: Path) -> None:
    """Draw how many times sooner the proxy has each competitor's error."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = list(dict.fromkeys(row["competitor"] for row in rows))
    sizes = sorted({int(row["rows"]) for row in rows})
    figure, axes = plt.subplots(
        1, len(names), figsize=(9.0, 3.0), sharey=True, layout="constrained"
    )
    for axis, name in zip(axes, names, strict=True):
        own = [row for row in rows if row["competitor"] == name]
        reached = [row["reached"] == "True" for row in own]
        for hit, marker, label in ((True, "o", "error reached"), (False, "x", "never reached")):
            points = [row for row, was in zip(own, reached, strict=True) if was is hit]
            # Cells of one size lie side by side, by their number of variables.
            places = [
                sizes.index(int(row["rows"])) + 0.15 * (np.log2(int(row["dim"])) - 2.7)
                for row in points
            ]
            axis.semilogy(
                places,
                [float(row["times_sooner"]) for row in points],
                marker,
                markersize=5,
                color="#0072B2" if hit else "black",
                markerfacecolor="none" if hit else None,
                linestyle="none",
                label=label,
            )
        axis.axhline(1.0, color="0.5", linewidth=0.8)
        axis.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes], fontsize="small")
        axis.set_xlabel("rows")
        axis.set_title(f"{name}: {sum(reached)} of {len(own)}", loc="left", fontsize="small")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("times sooner")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower right", ncols=2, frameon=False
    )
    figure.savefig(path.with_suffix(".png"), dpi=120)


def main() -> None:
    """Measure the cells that are missing, then draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="*", type=int, default=[200, 1000, 10_000, 100_000])
    parser.add_argument("--dims", nargs="*", type=int, default=[2, 4, 10, 20])
    parser.add_argument(
        "--output", type=Path, default=Path("docs/results/performance/time_to_error.csv")
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    warm_up = np.random.default_rng(0).random((60, 2))
    NeuralProxyRegressor(max_epochs=1).fit(warm_up, warm_up[:, 0])
    done = set()
    if options.output.exists():
        with options.output.open(newline="") as file:
            done = {
                (row["function"], int(row["rows"]), int(row["dim"])) for row in csv.DictReader(file)
            }
    for n_rows in options.rows:
        for n_dims in options.dims:
            for function in problems(n_dims):
                if (function, n_rows, n_dims) in done:
                    continue
                rows = measure(function, n_rows, n_dims)
                is_new = not options.output.exists()
                with options.output.open("a", newline="") as file:
                    writer = csv.DictWriter(file, fieldnames=list(rows[0]))
                    if is_new:
                        writer.writeheader()
                    writer.writerows(rows)
    draw(options.output)


if __name__ == "__main__":
    main()
