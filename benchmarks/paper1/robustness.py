"""Beyond the paper: the optimum error against the number of rows, for many designs and functions.

Each function is taken as it is, and turned with its optimum elsewhere. Every number of rows is a
`GridSearchCV` over designs; the proxy and the search are the package's defaults, nothing is
refined.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.progress import Progress
from sklearn.model_selection import GridSearchCV

from paper1.cells import PROBLEMS
from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.model_selection import optimum_error_scorer
from sklearn_proxyopt.problems import Problem
from sklearn_proxyopt.samplers import (
    GaussianSampler,
    GridSampler,
    HaltonSampler,
    LatinHypercubeSampler,
    SobolSampler,
    UniformSampler,
)

__all__ = ["run"]

SCHEMES = ("uniform", "grid", "gaussian", "latin hypercube", "halton", "sobol")
FUNCTIONS = ("rosenbrock", "rastrigin", "ackley")
DIMS = (2, 6, 20)
COUNTS = (100, 1_000, 10_000, 100_000)
# Of the largest designs, which take most of the time, not all kinds.
_SCHEMES_OF_MANY_ROWS = ("gaussian", "sobol")
# Errors below are drawn there.
_FLOOR = 1e-7
_COLORS = ("#000000", "#999999", "#d55e00", "#0072b2", "#009e73", "#cc79a7")
_MARKERS = "os^Dv*"
_N_HELD_OUT = 1000


def sampler_of(scheme: str, n_samples: int, problem: Problem) -> Any:
    """Return a design; the Gaussian one lies around the optimum, as in the paper."""
    kinds = {
        "uniform": UniformSampler,
        "grid": GridSampler,
        "latin hypercube": LatinHypercubeSampler,
        "halton": HaltonSampler,
        "sobol": SobolSampler,
    }
    if scheme == "gaussian":
        return GaussianSampler(n_samples, center=problem.x_opt[0])
    return kinds[scheme](n_samples)


def study_designs(problem: Problem, n_samples: int, seed: int) -> pd.DataFrame:
    """Compare designs of a size on a function; return a row for each."""
    X = UniformSampler(_N_HELD_OUT, random_state=seed).sample(problem.bounds)
    every = np.arange(len(X))
    schemes = _SCHEMES_OF_MANY_ROWS if n_samples == COUNTS[-1] else SCHEMES
    samplers = [sampler_of(scheme, n_samples, problem) for scheme in schemes]
    search = GridSearchCV(
        ProxyOptimizer(problem, problem.bounds, random_state=seed, vectorized=True),
        {"sampler": samplers},
        scoring={"fidelity": "r2", "optimum": optimum_error_scorer(problem)},
        # Designs are bought, so no row is needed for training.
        cv=[(every[:2], every)],
        refit=False,
        error_score="raise",
    ).fit(X, problem(X))
    results = search.cv_results_
    half_diagonal = np.linalg.norm(problem.bounds[:, 1] - problem.bounds[:, 0]) / 2
    return pd.DataFrame(
        {
            "scheme": schemes,
            "error": -results["mean_test_optimum"],
            "relative_error": -results["mean_test_optimum"] / half_diagonal,
            "r2": results["mean_test_fidelity"],
            "seconds": results["mean_fit_time"],
        }
    )


def run(cache: Path, results: Path, n_replicates: int = 1) -> None:
    """Run what the cache lacks, few rows first; write the table and the figure as they come."""
    studies = [
        (count, function, dim, turned, seed)
        for seed in range(n_replicates)
        for count in COUNTS
        for dim in DIMS
        for function in FUNCTIONS
        for turned in (False, True)
    ]
    cache.mkdir(parents=True, exist_ok=True)
    with Progress() as progress:
        for count, function, dim, turned, seed in progress.track(studies, description="designs"):
            path = cache / f"{count}-{function}-{dim}-{'turned' if turned else 'plain'}-{seed}.csv"
            if path.exists():
                continue
            problem = PROBLEMS[function](dim)
            if turned:
                problem = problem.rotated_and_shifted(random_state=seed)
            frame = study_designs(problem, count, seed)
            about = {"n_samples": count, "function": function, "dim": dim, "turned": turned}
            unfinished = path.with_suffix(".part")
            frame.assign(**about, seed=seed).to_csv(unfinished, index=False)
            unfinished.rename(path)
            write(cache, results)


def write(cache: Path, results: Path) -> None:
    """Write the table from all that the cache holds, and draw it."""
    frame = pd.concat([pd.read_csv(path) for path in sorted(cache.glob("*.csv"))])
    names = ["function", "dim", "turned", "scheme", "n_samples", "seed"]
    frame = frame.sort_values(names)[[*names, "error", "relative_error", "r2", "seconds"]]
    path = results / "robustness.csv"
    frame.to_csv(path, index=False, float_format="%.4g", lineterminator="\n")
    draw(frame, path.with_suffix(".png"))


def draw(frame: pd.DataFrame, path: Path) -> None:
    """Draw the optimum error against the number of rows, a line for each design."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    frame = frame.assign(logarithm=np.log10(frame["relative_error"].clip(lower=_FLOOR)))
    columns = [(dim, turned) for turned in (False, True) for dim in DIMS]
    figure, axes = plt.subplots(
        len(FUNCTIONS), len(columns), figsize=(13, 6.8), sharex=True, sharey=True
    )
    figure.subplots_adjust(left=0.075, right=0.99, top=0.88, bottom=0.14, wspace=0.06, hspace=0.08)
    for row, function in zip(axes, FUNCTIONS, strict=True):
        for ax, (dim, turned) in zip(row, columns, strict=True):
            mine = frame[
                (frame["function"] == function)
                & (frame["dim"] == dim)
                & (frame["turned"] == turned)
            ]
            for scheme, color, marker in zip(SCHEMES, _COLORS, _MARKERS, strict=True):
                means = mine[mine["scheme"] == scheme].groupby("n_samples")["logarithm"].mean()
                ax.plot(
                    means.index,
                    10**means,
                    marker=marker,
                    markersize=7 if marker == "*" else 4.5,
                    linewidth=1.3,
                    color=color,
                    linestyle="--" if scheme == "gaussian" else "-",
                    label=scheme,
                )
            ax.set(xscale="log", yscale="log", ylim=(_FLOOR / 2, 2), xlim=(60, 170_000))
            ax.set_yticks([1e-6, 1e-4, 1e-2, 1])
            ax.set_xticks([1e2, 1e3, 1e4, 1e5])
            ax.minorticks_off()
            ax.grid(color="#dddddd", linewidth=0.6)
            ax.spines[["top", "right"]].set_visible(False)
            if function == FUNCTIONS[0]:
                ax.set_title(f"{dim} variables", fontsize="medium")
        row[0].set_ylabel(function.capitalize())
    for place, title in ((0.305, "as it is"), (0.765, "rotated and shifted")):
        figure.text(place, 0.955, title, ha="center", weight="bold")
    figure.supylabel("optimum error, in half diagonals of the box", x=0.005, fontsize="medium")
    figure.text(0.53, 0.072, "rows of the design", ha="center")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(SCHEMES), frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
