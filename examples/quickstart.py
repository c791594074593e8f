"""Maximize the performance of a heat pump within 200 runs of a simulator, beside other tools.

The simulator in `heat_pump.py` computes the cycle from real fluid properties; some runs fail.
`ProxyOptimizer`, CMA-ES, TPE and restarts of COBYQA get the same number of runs. Run it with --help
to see what can be changed.
"""

from __future__ import annotations

import argparse
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from heat_pump import BOUNDS, NAMES, UNITS, simulate
from other_tools import OTHER_TOOLS, Recorder, values_found

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.exceptions import FailedEvaluationWarning

OURS = "ProxyOptimizer"
SPACE = dict(zip(NAMES, BOUNDS.tolist(), strict=True))
# A color, a dash and a line width for each tool; the colors differ for color-blind readers too.
STYLES = {
    OURS: ("#0072b2", "-", 2.6),
    "CMA-ES": ("#d55e00", "--", 1.6),
    "TPE (Optuna)": ("#009e73", "-.", 1.6),
    "COBYQA, restarts": ("#7f7f7f", ":", 2.0),
}


def performance(run):
    """Return the coefficient of performance less penalties of one run, given by names."""
    return _performance(np.array([run[name] for name in NAMES]))


def _performance(point):
    cycle = simulate(point)
    return cycle.cop - cycle.penalty


def main() -> None:
    """Run all tools, print the table and the verdict, and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200, help="simulator runs of each tool")
    parser.add_argument("--seeds", type=int, default=3, help="repetitions with other seeds")
    parser.add_argument("--small", action="store_true", help="small numbers, to try it quickly")
    parser.add_argument("--output", default="quickstart.png", help="where the picture goes")
    options = parser.parse_args()
    if options.small:
        options.runs, options.seeds = 60, 1

    print(
        f"Maximizing the heat pump's performance: 6 variables, {options.runs} runs, "
        f"{options.seeds} seed{'s' * (options.seeds > 1)} for each tool.\n"
    )
    values = {name: [] for name in STYLES}
    seconds = dict.fromkeys(STYLES, 0.0)
    answers = []
    for seed in range(options.seeds):
        start = time.perf_counter()
        optimizer = ProxyOptimizer(on_error="learn", random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FailedEvaluationWarning)
            result = optimizer.maximize(performance, SPACE, budget=options.runs)
        seconds[OURS] += time.perf_counter() - start
        values[OURS].append(optimizer.to_frame()["value"].to_numpy())
        answers.append((optimizer, result))
        for name in OTHER_TOOLS:
            start = time.perf_counter()
            recorder = Recorder(_performance, BOUNDS, options.runs)
            values[name].append(values_found(name, recorder, seed))
            seconds[name] += time.perf_counter() - start

    print_comparison(values, seconds, options.runs)
    optimizer, result = sorted(answers, key=lambda answer: answer[1].fun)[len(answers) // 2]
    print_answer(optimizer, result)
    draw(values, result, options.output)
    print(f"\nThe picture is in {options.output}.")


def best_so_far(values):
    """Return the best value after each run; NaN while all runs have failed."""
    return np.fmax.accumulate(np.asarray(values, dtype=float))


def print_comparison(values, seconds, n_runs) -> None:
    """Print the median over the seeds of what each tool has found, and its lowest."""
    checkpoints = [n_runs // 4, n_runs // 2, n_runs]
    print("Coefficient of performance (COP) less penalties, the best so far; median of the seeds")
    heads = "".join(f"{f'{n} runs':>11}" for n in checkpoints)
    print(f"{'':18}{heads}{'worst seed':>13}{'seconds a seed':>17}")
    for name, runs in values.items():
        curves = np.array([best_so_far(one) for one in runs])
        medians = "".join(f"{np.median(curves[:, n - 1]):11.3f}" for n in checkpoints)
        mean = seconds[name] / len(runs)
        print(f"{name:18}{medians}{curves[:, -1].min():13.3f}{mean:17.1f}")


def print_answer(optimizer, result) -> None:
    """Print the settings with their units, and the verdict in words."""
    cycle = simulate(result.x)
    print("\nThe settings of the median seed:")
    for name, value, unit in zip(NAMES, result.x, UNITS, strict=True):
        print(f"  {name:26}{value:8.3f} {unit}")
    print(
        f"They turn {cycle.electric_power / 1000:.2f} kW of electricity into "
        f"{cycle.heat_out / 1000:.0f} kW of heat (COP {cycle.cop:.3f}); limits of the machine "
        f"cost {cycle.penalty:.3f}, at 0.3 for each kelvin beyond one."
    )
    print(f"\nThe verdict on them:\n{result}")


def draw(values, result, output) -> None:
    """Draw the best value against the number of runs, with the verdict beside the last point."""
    figure, ax = plt.subplots(figsize=(5.6, 3.9), layout="constrained")
    ends = []
    for name, runs in values.items():
        color, dash, width = STYLES[name]
        curves = np.array([best_so_far(one) for one in runs])
        numbers = np.arange(1, curves.shape[1] + 1)
        if len(curves) > 1:
            ax.fill_between(
                numbers, curves.min(axis=0), curves.max(axis=0), color=color, alpha=0.08, lw=0
            )
        middle = np.median(curves, axis=0)
        ax.plot(numbers, middle, color=color, linestyle=dash, linewidth=width)
        ends.append((middle[-1], name, color, numbers[-1], middle[len(middle) // 4]))
    # The window holds what the tools reach in the last three quarters of their runs.
    low, high = min(end[-1] for end in ends), max(end[0] for end in ends)
    margin = 0.12 * (high - low)
    ax.set(ylim=(low - margin, high + 2.0 * margin), xlim=(1, ends[0][3]))
    ax.set(xlabel="simulator runs", ylabel="best COP less penalties so far")
    label_ends(ax, ends, apart=0.45 * margin)
    ax.plot(ends[0][3], ends[0][0], "o", ms=9, color=STYLES[OURS][0], clip_on=False, zorder=5)
    ax.annotate(
        f"{result.verdict} ({int(100 * result.probability)} %)",
        (ends[0][3], ends[0][0]),
        xytext=(-10, 12),
        textcoords="offset points",
        ha="right",
        weight="bold",
        color=STYLES[OURS][0],
    )
    ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(output, dpi=200)


def label_ends(ax, ends, apart) -> None:
    """Write the name of each line at its right end, pushed apart where they would overlap."""
    place = np.inf
    for value, name, color, n_runs, _ in sorted(ends, reverse=True):
        place = min(value, place - apart)
        ax.annotate(
            name,
            (n_runs, place),
            xytext=(12, 0),
            textcoords="offset points",
            va="center",
            color=color,
            annotation_clip=False,
        )


if __name__ == "__main__":
    main()
