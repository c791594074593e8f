"""The four experiments on inverse problems: networks against BFGS on each problem alone.

    python benchmarks/inverse_problems.py wave_packet --quick

runs one of them on up to 32 problems in a few minutes on two cores; without `--quick` it takes up
to 256 problems and five seeds. Each combination of method, number of problems and seed is kept in
`--cache` and never computed twice, so that a run may be stopped and taken up again. At the end
`docs/results/inverse/table2.csv` is written from all that the cache holds of the same mode, and
with it the comparison to the paper and the picture that the documentation shows; `table` in place
of an experiment writes these alone.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress

from sklearn_proxyopt.inverse import (
    BaseInverse,
    ConvNet,
    DenseNet,
    DirectInverse,
    InverseProblem,
    NeuralAdjointInverse,
    ReparameterizedInverse,
    SearchPath,
    SupervisedInverse,
)
from sklearn_proxyopt.problems.physics import (
    BilliardShot,
    ForwardModel,
    KuramotoSivashinsky,
    NavierStokes,
    WavePacket,
)

MODELS: dict[str, ForwardModel] = {
    "wave_packet": WavePacket(width=50.0),
    "billiards": BilliardShot(),
    "kuramoto_sivashinsky": KuramotoSivashinsky(),
    "navier_stokes": NavierStokes(
        n_cells=24, n_steps=14, time_step=4.0, bounds=((10.0, 90.0), (-8.0, 8.0), (2.0, 12.0))
    ),
}
NETWORKS = {
    "wave_packet": ConvNet((16, 32, 64, 64, 64)),
    "billiards": DenseNet((64, 64, 64), activation="sigmoid", n_frequencies=4),
    "kuramoto_sivashinsky": ConvNet((16, 32, 32, 32, 32)),
    "navier_stokes": ConvNet((16, 32, 32, 64)),
}
# Steps of the joint training, and its rate, lowered from 0.01 until the loss falls steadily.
STEPS = {"wave_packet": 500, "billiards": 1000, "kuramoto_sivashinsky": 300, "navier_stokes": 200}
RATES = {
    "wave_packet": 1e-4,
    "billiards": 3e-3,
    "kuramoto_sivashinsky": 1e-3,
    "navier_stokes": 1e-3,
}
# Noise on the unknowns at the first step of a joint training that turns it down.
EXPLORATION = 0.5
# Networks one after another, steps of each, and rate: no more steps in all than the one training.
SEVERAL = {
    "wave_packet": (10, 50, 1e-3),
    "billiards": (2, 500, 3e-3),
    "kuramoto_sivashinsky": (3, 100, 1e-3),
    "navier_stokes": (4, 50, 3e-3),
}
# Of the search from two starts: the best guess and the best of so many candidates. After a few
# iterations the lower goes on, on Navier-Stokes within the simulations of the supervised solver.
N_CANDIDATES, KEEP_BEST_AFTER = 6, 4
# Starts and candidates of the search that learns nothing, within the simulations of the training.
SCREEN = {
    "wave_packet": (6, 128),
    "billiards": (6, 64),
    "kuramoto_sivashinsky": (5, 48),
    "navier_stokes": (3, 24),
}
METHODS = (
    "direct",
    "reparameterized",
    "supervised",
    "neural_adjoint",
    "with_exploration",
    "several_networks",
    "best_of_direct_and_networks",
    "raced_starts",
    "screened_multi_start",
)
# Follows from the cells of two others: the lower loss of each problem, at the cost of both.
DERIVED = "best_of_direct_and_networks"
SIZES = {True: (2, 8, 32), False: (2, 4, 8, 16, 32, 64, 128, 256)}
N_SEEDS = {True: 2, False: 5}
# Points of the way of each search that are kept for `inverse_figures.py`.
N_POINTS = 200
# Losses that differ by less, in relation to the larger, count as equal.
EQUAL = 1e-3
COLUMNS = (
    "experiment",
    "method",
    "refined",
    "n",
    "seeds",
    "better_percent",
    "equal_percent",
    "mean_loss",
    "forward_calls",
    "seconds",
    "lower_percent",
)


class Clock:
    """A callback that notes when each step of a training ended."""

    times: list[float] = []  # noqa: RUF012

    def setup(self, estimator: Any, context: Any) -> None:
        """Begin."""
        type(self).times = []

    def on_fit_task_begin(self, estimator: Any, context: Any, **_: Any) -> None:
        """Do nothing."""

    def on_fit_task_end(self, estimator: Any, context: Any, **_: Any) -> bool:
        """Note the time of a step."""
        if context.task_name == "step":
            type(self).times.append(time.process_time())
        return False

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing."""


def make_solver(experiment: str, method: str, quick: bool, seed: int) -> Any:
    """Return the solver of a method with the settings of an experiment."""
    problem = InverseProblem(MODELS[experiment])
    steps, rate = STEPS[experiment] // (5 if quick else 1), RATES[experiment]
    n_starts, n_candidates = SCREEN[experiment]
    n_networks, short, fast = SEVERAL[experiment]
    # BFGS as the paper has it ends by its gradient only.
    as_published = {"loss_tolerance": 0.0, "device": "cpu"}
    common = {"dtype": "float32", "random_state": seed, **as_published}
    alone = {"random_state": seed, "device": "cpu"}
    joint = {"network": NETWORKS[experiment], "learning_rate": rate, **common}
    solvers: dict[str, Any] = {
        "direct": DirectInverse(problem, **as_published),
        "reparameterized": ReparameterizedInverse(
            problem, keep="last", n_iterations=steps, **joint
        ),
        "with_exploration": ReparameterizedInverse(
            problem, exploration=EXPLORATION, n_iterations=steps, **joint
        ),
        "supervised": SupervisedInverse(problem, n_iterations=steps, **joint),
        "neural_adjoint": NeuralAdjointInverse(problem, n_iterations=steps, **common),
        "screened_multi_start": DirectInverse(
            problem,
            n_starts=n_starts,
            n_candidates=n_candidates // (2 if quick else 1),
            loss_tolerance=1e-6,
            **alone,
        ),
        "several_networks": ReparameterizedInverse(
            problem,
            n_networks=n_networks,
            n_iterations=short // (5 if quick else 1),
            **{**joint, "learning_rate": fast},
        ),
        "raced_starts": DirectInverse(
            problem,
            n_starts=2,
            n_candidates=N_CANDIDATES,
            keep_best_after=KEEP_BEST_AFTER,
            loss_tolerance=1e-5,
            **alone,
        ),
    }
    return solvers[method]


def run_cell(
    experiment: str, method: str, n: int, seed: int, quick: bool
) -> tuple[dict[str, Any], SearchPath]:
    """Solve n problems by a method; return losses and cost, and the way of the search.

    Costs and losses are those before and after refinement, times those of the processor.
    """
    X, _ = MODELS[experiment].sample(n, random_state=1000 * seed + n)
    solver = make_solver(experiment, method, quick, seed).set_params(path_length=N_POINTS)
    learns = isinstance(solver, BaseInverse) and not isinstance(solver, DirectInverse)
    if learns:
        solver.set_callbacks(Clock())
    start = time.process_time()
    solver.fit(X)
    cell = {
        "loss": solver.loss_.tolist(),
        "forward_calls": int(solver.n_forward_calls_),
        "seconds": time.process_time() - start,
    }
    if learns:
        simulated_each_step = isinstance(solver, ReparameterizedInverse)
        cell["estimate_loss"] = solver.estimate_loss_.tolist()
        cell["estimate_calls"] = n * solver.n_iter_ if simulated_each_step else n
        cell["estimate_seconds"] = Clock.times[solver.n_iter_ - 1] - start
    return cell, solver.path_


def run(experiment: str, methods: list[str], sizes: list[int], seeds: int, options: Any) -> None:
    """Compute the cells that the cache lacks."""
    methods = [method for method in methods if method != DERIVED]
    cells = [(seed, n, method) for seed in range(seeds) for n in sizes for method in methods]
    with Progress() as progress:
        for seed, n, method in progress.track(cells, description=experiment):
            mode = "quick" if options.quick else "full"
            path = options.cache / mode / experiment / f"{method}-{n}-{seed}.json"
            if path.exists():
                continue
            cell, way = run_cell(experiment, method, n, seed, options.quick)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(
                path.with_suffix(".npz"),
                unknowns=way.unknowns,
                loss=way.loss,
                calls=way.n_forward_calls,
            )
            unfinished = path.with_suffix(".part")
            unfinished.write_text(json.dumps(cell))
            unfinished.rename(path)


def shares(loss: np.ndarray, direct: np.ndarray) -> tuple[float, float]:
    """Return the percentages of problems with a lower and with an equal loss."""
    loss, direct = (np.where(np.isfinite(part), part, np.inf) for part in (loss, direct))
    with np.errstate(invalid="ignore"):
        equal = (loss == direct) | (np.abs(loss - direct) <= EQUAL * np.maximum(loss, direct))
    return 100 * float(np.mean((loss < direct) & ~equal)), 100 * float(np.mean(equal))


def read_cells(folder: Path) -> Iterator[tuple[str, str, int, str, dict[str, Any], dict[str, Any]]]:
    """Yield experiment, method, problems, seed, cell and that of `direct` for all cached cells."""
    for experiment in MODELS:
        for path in sorted((folder / experiment).glob("*.json")):
            method, n, seed = path.stem.split("-")
            direct_path = path.with_name(f"direct-{n}-{seed}.json")
            if method not in METHODS or not direct_path.exists():
                continue
            cell, direct = json.loads(path.read_text()), json.loads(direct_path.read_text())
            yield experiment, method, int(n), seed, cell, direct
            if method == "several_networks":
                losses = np.array([direct["loss"], cell["loss"]], dtype=float)
                both = {"loss": np.fmin(*losses).tolist()}
                both |= {key: direct[key] + cell[key] for key in ("forward_calls", "seconds")}
                yield experiment, DERIVED, int(n), seed, both, direct


def summarize(cache: Path, mode: str, output: Path) -> None:
    """Write a row for each method and number of problems, and one over all numbers."""
    groups: dict[tuple[str, str, bool, Any], list[dict[str, Any]]] = defaultdict(list)
    for experiment, method, n, seed, cell, direct in read_cells(cache / mode):
        for refined in (False, True):
            prefix = "" if refined else "estimate_"
            if f"{prefix}loss" not in cell:
                continue
            loss = np.array(cell[f"{prefix}loss"], dtype=float)
            reference = np.array(direct["loss"], dtype=float)
            calls = cell["forward_calls" if refined else "estimate_calls"]
            better, equal = shares(loss, reference)
            entry = {
                "seed": seed,
                "better": better,
                "equal": equal,
                "loss": float(np.nanmean(loss)),
                "calls": calls / len(loss),
                "seconds": cell[f"{prefix}seconds"],
                "lower": 100 * float(np.mean(loss < reference)),
            }
            for size in (n, "all"):
                groups[experiment, method, refined, size].append(entry)
    order = list(MODELS)
    keys = sorted(
        groups,
        key=lambda k: (
            order.index(k[0]),
            METHODS.index(k[1]),
            k[2],
            1e9 if k[3] == "all" else k[3],
        ),
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for key in keys:
            entries = groups[key]

            def mean(name: str, entries: list[dict[str, Any]] = entries) -> float:
                return float(np.mean([entry[name] for entry in entries]))

            writer.writerow(
                [
                    *key[:2],
                    str(key[2]).lower(),
                    key[3],
                    len({entry["seed"] for entry in entries}),
                    f"{mean('better'):.1f}",
                    f"{mean('equal'):.1f}",
                    f"{mean('loss'):.6g}",
                    f"{mean('calls'):.1f}",
                    f"{mean('seconds'):.2f}",
                    f"{mean('lower'):.1f}",
                ]
            )


# Better and equal percentages of the paper's Table 2, all refined.
PAPER = {
    ("wave_packet", "reparameterized"): (86.0, 1.8),
    ("wave_packet", "supervised"): (65.1, 14.4),
    ("wave_packet", "neural_adjoint"): (40.2, 47.4),
    ("billiards", "reparameterized"): (61.7, 9.0),
    ("billiards", "supervised"): (27.0, 27.2),
    ("billiards", "neural_adjoint"): (1.6, 98.4),
    ("kuramoto_sivashinsky", "reparameterized"): (62.3, 0.0),
    ("kuramoto_sivashinsky", "supervised"): (57.7, 0.0),
    ("kuramoto_sivashinsky", "neural_adjoint"): (23.9, 62.2),
    ("navier_stokes", "reparameterized"): (64.1, 0.0),
    ("navier_stokes", "supervised"): (66.2, 0.1),
    ("navier_stokes", "neural_adjoint"): (56.9, 0.1),
}


def compare_with_paper(table: Path) -> None:
    """Write the refined shares over all numbers of problems beside those of the paper."""
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["n"] == "all"]
    lines = [
        (
            *("experiment", "method", "better %", "equal %", "lower %", "paper", "mean loss"),
            *("calls", "seeds"),
        )
    ]
    for row in rows:
        if row["refined"] == "true":
            paper = PAPER.get((row["experiment"], row["method"]))
            lines.append(
                (
                    row["experiment"].replace("_", " "),
                    row["method"].replace("_", " "),
                    row["better_percent"],
                    row["equal_percent"],
                    row["lower_percent"],
                    "" if paper is None else f"{paper[0]} + {paper[1]}",
                    f"{float(row['mean_loss']):.3g}",
                    f"{float(row['forward_calls']):.0f}",
                    row["seeds"],
                )
            )
    with table.with_name(f"{table.stem}_and_paper.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


# How many times longer the paper's joint training takes than BFGS.
PAPER_FACTORS = {
    "wave_packet": "3 to 6",
    "billiards": "3 to 6",
    "kuramoto_sivashinsky": "3 to 6",
    "navier_stokes": "22",
}


def write_factors(table: Path) -> None:
    """Write how many times as long, and as many simulations, trainings need as BFGS."""
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["refined"] == "true"]
    cost = {(row["experiment"], row["method"], row["n"]): row for row in rows}
    lines = [("experiment", "method", "time / BFGS", "paper", "simulations / BFGS")]
    for (experiment, method, n), row in cost.items():
        if method not in ("reparameterized", "with_exploration", "several_networks"):
            continue
        if n != "all":
            continue
        alone = cost[experiment, "direct", n]
        ratios = [float(row[key]) / float(alone[key]) for key in ("seconds", "forward_calls")]
        paper = PAPER_FACTORS[experiment] if method == "reparameterized" else ""
        names = experiment.replace("_", " "), method.replace("_", " ")
        time_factor, call_factor = (f"{one:.{0 if one >= 10 else 1}f}" for one in ratios)
        lines.append((*names, time_factor, paper, call_factor))
    with table.with_name(f"{table.stem}_factors.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


# Mean losses below this are drawn there: all of the problems are solved.
_SOLVED = 1e-4
_MARKERS = "osD^v<P*X"
# Of Okabe and Ito, with black and grays: told apart by color-blind readers too.
_COLORS = (
    "#000000",
    "#0072B2",
    "#56B4E9",
    "#E69F00",
    "#CC79A7",
    "#009E73",
    "#D55E00",
    "#7F7F7F",
    "#BBBBBB",
)


def draw(table: Path) -> None:
    """Draw mean loss and share of better or equal problems against the number of problems."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with table.open(newline="") as file:
        rows = [
            row for row in csv.DictReader(file) if row["n"] != "all" and row["refined"] == "true"
        ]
    names = [name for name in MODELS if any(row["experiment"] == name for row in rows)]
    figure, axes = plt.subplots(
        2, len(names), figsize=(3.2 * len(names), 5.6), sharex=True, layout="constrained"
    )
    for column, name in zip(axes.reshape(2, -1).T, names, strict=True):
        for method, marker, color in zip(METHODS, _MARKERS, _COLORS, strict=True):
            mine = [row for row in rows if (row["experiment"], row["method"]) == (name, method)]
            n = [int(row["n"]) for row in mine]
            loss = [max(float(row["mean_loss"]), _SOLVED) for row in mine]
            share = [float(row["better_percent"]) + float(row["equal_percent"]) for row in mine]
            style = {"color": color, "marker": marker, "markersize": 5, "alpha": 0.85}
            column[0].plot(n, loss, label=method.replace("_", " "), **style)
            column[1].plot(n, share, **style)
        column[0].set(title=name.replace("_", " "), xscale="log", yscale="log")
        column[1].set(xlabel="problems", ylim=(0, 104))
    axes.reshape(2, -1)[0, 0].set_ylabel("mean loss, refined")
    axes.reshape(2, -1)[1, 0].set_ylabel("better or equal, %")
    handles, labels = axes.reshape(2, -1)[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    figure.savefig(table.with_suffix(".png"), dpi=110)


def main() -> None:
    """Run an experiment and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", choices=[*MODELS, "table"])
    parser.add_argument("--quick", action="store_true", help="few problems, short trainings")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--sizes", nargs="+", type=int, help="numbers of problems")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--cache", type=Path, default=Path(".cache/inverse_problems"))
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    mode = "quick" if options.quick else "full"
    name = "table2_quick.csv" if options.quick else "table2.csv"
    output = options.output or Path("docs/results/inverse") / name
    if options.experiment != "table":
        sizes = options.sizes or list(SIZES[options.quick])
        seeds = options.seeds or N_SEEDS[options.quick]
        run(options.experiment, options.methods, sizes, seeds, options)
    summarize(options.cache, mode, output)
    compare_with_paper(output)
    write_factors(output)
    draw(output)
    print(f"written: {output}")


if __name__ == "__main__":
    main()
