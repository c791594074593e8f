"""The figures of the four experiments on inverse problems, from the ways that searches took.

    python benchmarks/inverse_problems.py wave_packet --sizes 32 --seeds 1
    python benchmarks/inverse_figures.py wave_packet

draws, from the cache of the first command, examples and fits, the loss along a line, losses against
simulations and the ways of the unknowns. `shares` draws the shares of better,
equal and worse problems against their number from `table2.csv`.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inverse_problems import METHODS, MODELS
from numpy.typing import NDArray

from sklearn_proxyopt.inverse import InverseProblem

SEED = 0
# Those that are drawn: none is made of two others.
DRAWN = tuple(method for method in METHODS if method != "best_of_direct_and_networks")
# Of Okabe and Ito, and a dash for each, so that lines can be told apart in gray too.
COLORS = ("#000000", "#0072B2", "#56B4E9", "#E69F00", "#CC79A7", "#009E73", "#D55E00", "#7F7F7F")
DASHES = ("-", "-", "--", "-.", ":", "--", "-.", ":")
# The unknown along which the loss is drawn, and those whose ways are drawn.
LINES = {"wave_packet": 0, "billiards": 1, "kuramoto_sivashinsky": 0, "navier_stokes": 0}
NAMES = {
    "wave_packet": ("place, samples",),
    "billiards": ("velocity along x", "velocity along y"),
    "kuramoto_sivashinsky": ("forcing alpha", "advection beta"),
    "navier_stokes": ("place x", "push along x", "push along y"),
}


def draw_problems(experiment: str, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return problems of an experiment, those of its tables, and their true unknowns."""
    return MODELS[experiment].sample(n, random_state=1000 * SEED + n)


def as_line(experiment: str, observed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return observations (n, ...) as lines: the last frame, or the velocity across the flow."""
    if experiment == "kuramoto_sivashinsky":
        return observed[:, -1]
    if experiment == "navier_stokes":
        return observed[:, 0, :, 0]
    return observed


def draw_examples(axes: Any, experiment: str, ways: dict[str, Any]) -> None:
    """Draw two observations, and what the answers of three methods predict."""
    problem = InverseProblem(MODELS[experiment])
    rows = torch.tensor(draw_problems(experiment, ways["direct"]["loss"].shape[1])[0])
    observed, conditions = problem.split(rows)
    # The problems on which the joint search gains most on BFGS alone.
    gains = ways["direct"]["loss"][-1] - ways["with_exploration"]["loss"][-1]
    shown = np.argsort(-np.nan_to_num(gains))[:2]
    for place, number in enumerate(shown):
        lines = {"observed": observed[number : number + 1]}
        for method in ("direct", "with_exploration"):
            unknowns = torch.tensor(ways[method]["unknowns"][-1][number : number + 1])
            with torch.no_grad():
                lines[method] = problem.simulate(unknowns, conditions[number : number + 1])
        for (name, values), color, dash in zip(
            lines.items(), ("0.6", COLORS[0], COLORS[2]), ("-", ":", "--"), strict=True
        ):
            line = as_line(experiment, values.numpy())[0]
            label = name.replace("_", " ") if place == 0 else None
            if experiment == "billiards":
                marker = {"observed": "o", "direct": "x", "with_exploration": "+"}[name]
                axes.plot(*line, marker, color=color, ms=9, label=label)
            else:
                axes.plot(line + place * _height(observed), dash, color=color, label=label)
    axes.set_title("two observations and fits", fontsize=10)
    if experiment == "billiards":
        axes.set(xlabel="x of the ball at rest", ylabel="y")
    else:
        axes.set(xlabel="grid point", ylabel="observed (shifted)")
        axes.margins(y=0.15)
    if experiment == "billiards":
        axes.legend(fontsize=9, loc="upper left")
    else:
        axes.legend(fontsize=8, loc="upper left", ncols=3, columnspacing=1.0)


def _height(observed: torch.Tensor) -> float:
    return float(observed.max() - observed.min())


def draw_line(axes: Any, experiment: str) -> None:
    """Draw the loss and its slope along one unknown, the others being the true ones."""
    model = MODELS[experiment]
    problem = InverseProblem(model)
    X, truth = draw_problems(experiment, 8)
    along = LINES[experiment]
    places = np.linspace(*model.bounds[along], 301)
    unknowns = np.tile(truth[0], (len(places), 1))
    unknowns[:, along] = places
    at = torch.tensor(unknowns, requires_grad=True)
    loss = problem.losses(at, torch.tensor(X[:1]).expand(len(places), -1))
    (slope,) = torch.autograd.grad(loss.sum(), at)
    axes.plot(places, loss.detach().numpy(), color=COLORS[1])
    axes.axvline(truth[0, along], color="0.6", lw=1)
    axes.set(xlabel=NAMES[experiment][along])
    axes.set_ylabel("loss", color=COLORS[1])
    second = axes.twinx()
    second.plot(places, slope[:, along].numpy(), ":", color=COLORS[6], lw=1)
    second.set_ylabel("its slope (dotted)", color=COLORS[6])
    axes.set_title("one problem, along one unknown", fontsize=10)


def draw_curves(axes: Any, ways: dict[str, Any]) -> None:
    """Draw the mean of the lowest losses so far against the simulations of a problem."""
    for method, color, dash in zip(DRAWN, COLORS, DASHES, strict=True):
        if method in ways:
            lowest = np.fmin.accumulate(ways[method]["loss"], axis=0)
            calls = ways[method]["calls"] / lowest.shape[1]
            mean = np.maximum(np.nanmean(lowest, axis=1), 1e-12)
            axes.plot(calls, mean, color=color, ls=dash, label=method.replace("_", " "))
    axes.set(xscale="log", yscale="log", xlabel="simulations a problem", ylabel="mean lowest loss")
    axes.set_title("mean loss", fontsize=10)
    axes.figure.legend(fontsize=9, loc="outside lower center", ncols=4)


def draw_ways(axes: Any, experiment: str, ways: dict[str, Any]) -> None:
    """Draw the ways of the first unknown of two problems, by three methods."""
    _, truth = draw_problems(experiment, ways["direct"]["loss"].shape[1])
    along = LINES[experiment]
    for method in ("direct", "reparameterized", "with_exploration"):
        index = DRAWN.index(method)
        calls = ways[method]["calls"] / ways[method]["loss"].shape[1]
        for number in range(3):
            label = method.replace("_", " ") if number == 0 else None
            style = {"color": COLORS[index], "ls": DASHES[index], "lw": 1, "alpha": 0.7}
            style["label"] = label
            axes.plot(calls, ways[method]["unknowns"][:, number, along], **style)
    axes.set(xscale="log", xlabel="simulations a problem", ylabel=NAMES[experiment][along])
    if experiment != "billiards":
        right = axes.get_xlim()[1]
        axes.plot(np.full(3, right), truth[:3, along], "<", color="0.4", clip_on=False)
        axes.set_xlim(right=right)
    axes.set_title("ways of an unknown, three problems", fontsize=10)
    axes.legend(fontsize=9)


def draw_experiment(experiment: str, n: int, cache: Path, output: Path) -> None:
    """Draw the four panels of an experiment."""
    plt = pyplot()
    paths = {method: cache / experiment / f"{method}-{n}-{SEED}.npz" for method in DRAWN}
    ways = {name: dict(np.load(path)) for name, path in paths.items() if path.exists()}
    figure, axes = plt.subplots(2, 2, figsize=(9.0, 7.0), layout="constrained")
    draw_curves(axes[1, 0], ways)
    draw_examples(axes[0, 0], experiment, ways)
    draw_line(axes[0, 1], experiment)
    draw_ways(axes[1, 1], experiment, ways)
    figure.savefig(output / f"{experiment}.png", dpi=100)
    plt.close(figure)


def draw_shares(table: Path, output: Path) -> None:
    """Draw better, equal and worse shares against the number of problems, stacked."""
    plt = pyplot()
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["n"] != "all"]
    methods = ("reparameterized", "supervised", "neural_adjoint", "several_networks")
    figure, axes = plt.subplots(
        len(methods),
        len(MODELS),
        figsize=(9.0, 8.0),
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    for line, method in zip(axes, methods, strict=True):
        for panel, experiment in zip(line, MODELS, strict=True):
            mine = [r for r in rows if (r["experiment"], r["method"]) == (experiment, method)]
            for refined, dash in (("false", "--"), ("true", "-")):
                own = [row for row in mine if row["refined"] == refined]
                n = [int(row["n"]) for row in own]
                better = np.array([float(row["better_percent"]) for row in own])
                equal = better + [float(row["equal_percent"]) for row in own]
                panel.plot(n, better, dash, color=COLORS[1])
                panel.plot(n, equal, dash, color=COLORS[3])
            panel.set(xscale="log", ylim=(0, 100))
        line[0].set_ylabel(f"{method.replace('_', ' ')}\n% of problems", fontsize=9)
    for panel, experiment in zip(axes[0], MODELS, strict=True):
        panel.set_title(experiment.replace("_", " "), fontsize=9)
    for panel in axes[-1]:
        panel.set_xlabel("problems")
    figure.savefig(output / "shares.png", dpi=100)
    plt.close(figure)


def pyplot() -> Any:
    """Return the drawing library, without a screen."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def main() -> None:
    """Draw an experiment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", choices=[*MODELS, "shares"])
    parser.add_argument("--problems", type=int, default=32)
    parser.add_argument("--cache", type=Path, default=Path(".cache/inverse_problems/full"))
    parser.add_argument("--output", type=Path, default=Path("docs/results/inverse"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    if options.experiment == "shares":
        draw_shares(options.output / "table2.csv", options.output)
        return
    draw_experiment(options.experiment, options.problems, options.cache, options.output)


if __name__ == "__main__":
    main()
