"""Find the best operating point of a heat pump through a neural proxy.

The simulator in `heat_pump.py` computes the cycle from real fluid properties. A design of runs
teaches the proxy; three optimizers search it; what each promises is checked on the simulator and
refined there. Run it with --help to see what can be changed.
"""

from __future__ import annotations

import argparse
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from heat_pump import BOUNDS, NAMES, UNITS, loss, simulate
from sklearn.frozen import FrozenEstimator

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt.evaluation import Evaluator
from sklearn_proxyopt.exceptions import FailedEvaluationWarning
from sklearn_proxyopt.optimizers import GeneticAlgorithm, MultiStartBFGS, ParticleSwarm
from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.samplers import SobolSampler

OPTIMIZERS = {
    "particle swarm": ParticleSwarm(),
    "genetic algorithm": GeneticAlgorithm(),
    "multi-start BFGS": MultiStartBFGS(),
}


def main() -> None:
    """Sample, train, search, verify, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=4000, help="runs in the design")
    parser.add_argument("--refine", type=int, default=200, help="runs to refine each optimum")
    parser.add_argument("--small", action="store_true", help="small numbers, to try it quickly")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="quickstart.png", help="where the picture goes")
    options = parser.parse_args()
    if options.small:
        options.samples, options.refine = 400, 60

    print(f"1. Running the simulator at {options.samples} points of a Sobol design.")
    start = time.perf_counter()
    design = SobolSampler(options.samples, random_state=options.seed).sample(BOUNDS)
    evaluate = Evaluator(loss, vectorized=False, on_error="drop")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FailedEvaluationWarning)
        values = evaluate(design)
    good = np.isfinite(values)
    X, y = design[good], values[good]
    print(
        f"   {evaluate.n_failed} runs failed inside CoolProp and are left out; the best of the "
        f"others has COP {-y.min():.3f}, less penalties. {time.perf_counter() - start:.1f} s"
    )

    print("2. Training the proxy.")
    start = time.perf_counter()
    n_test = len(X) // 10
    proxy = NeuralProxyRegressor(random_state=options.seed).fit(X[n_test:], y[n_test:])
    print(
        f"   R2 on {n_test} runs it has not seen: {proxy.score(X[:n_test], y[:n_test]):.4f}. "
        f"{time.perf_counter() - start:.1f} s"
    )

    print("3. Searching the proxy, and refining on the simulator.\n")
    results = {}
    print(f"{'COP less':20}{'proxy':>10}{'true value':>12}{'after':>12}{'best':>10}{'true':>8}")
    print(
        f"{'penalties, by':20}{'promises':>10}{'there':>12}{'refinement':>12}{'row':>10}{'runs':>8}"
        f"{'seconds':>10}"
    )
    for name, optimizer in OPTIMIZERS.items():
        start = time.perf_counter()
        search = ProxyOptimizer(
            proxy=FrozenEstimator(proxy),
            optimizer=optimizer,
            refiner=LocalRefinement(max_evaluations=options.refine),
            vectorized=False,
            on_error="drop",
            verdict=False,
            random_state=options.seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FailedEvaluationWarning)
            results[name] = result = search.minimize(loss, BOUNDS, X=X, y=y)
        print(
            f"{name:20}{-result.fun_proxy:10.3f}{-result.true_at_proxy:12.3f}{-result.fun:12.3f}"
            f"{-y.min():10.3f}{result.nfev:8d}{time.perf_counter() - start:10.1f}"
        )

    control, n_runs, seconds = refine_best_row(X, y, options.refine)
    print(
        f"{'no proxy':20}{'-':>10}{'-':>12}{-control.fun:12.3f}{-y.min():10.3f}{n_runs:8d}"
        f"{seconds:10.1f}"
    )
    print("\nThe last line is the control: the same refinement, from the best row alone.")
    print("A penalty is 0.3 of COP for each kelvin beyond a limit.")

    print(
        "\n4. Whether the proxy's optimum could have been believed. Values are minus those above.\n"
    )
    print(search.diagnose(of="proxy"))

    best = min(results.values(), key=lambda result: result.fun)
    cycle = simulate(best.x)
    print(
        f"\nBest operating point, {cycle.heat_out / 1000:.0f} kW of heat for "
        f"{cycle.electric_power / 1000:.2f} kW of electricity "
        f"(COP {cycle.cop:.3f}, {cycle.cop - cycle.penalty:.3f} less penalties):"
    )
    for name, value, unit in zip(NAMES, best.x, UNITS, strict=True):
        print(f"  {name:26}{value:8.3f} {unit}")
    tightest = max(cycle.excess, key=cycle.excess.__getitem__)
    print(f"  tightest limit: {tightest}, exceeded by {cycle.excess[tightest]:.2f} K")
    draw(proxy, best.x, results, -y.min(), options.output)
    print(f"\nThe picture is in {options.output}.")


def refine_best_row(X, y, n_evaluations):
    """Refine the best row without any proxy, by as many runs as each proxy's optimum got."""
    start = time.perf_counter()
    evaluate = Evaluator(loss, vectorized=False, on_error="drop")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FailedEvaluationWarning)
        result = LocalRefinement(max_evaluations=n_evaluations).refine(
            evaluate, X[[y.argmin()]], BOUNDS
        )
    return result, evaluate.n_calls, time.perf_counter() - start


def draw(proxy, x_best, results, best_row, output) -> None:
    """Draw slices of proxy and simulator through the best point, and promise against truth."""
    figure = plt.figure(figsize=(12, 6.2), layout="constrained")
    slices, bars = figure.subfigures(1, 2, width_ratios=[2.4, 1])
    slices.suptitle("COP less penalties, through the best point", fontsize=12)
    axes = slices.subplots(2, 3, sharey=True).ravel()
    for j, ax in enumerate(axes):
        line = np.repeat(x_best[None], 81, axis=0)
        line[:, j] = np.linspace(*BOUNDS[j], 81)
        truth = np.array([_cop_or_nan(x) for x in line])
        failed = np.isnan(truth)
        ax.plot(line[:, j], truth, color="black", linewidth=2, label="simulator")
        ax.plot(line[:, j], -proxy.predict(line), color="#d55e00", linestyle="--", label="proxy")
        ax.axvline(x_best[j], color="0.6", linewidth=1, linestyle=":", zorder=0)
        if failed.any():
            ax.axvspan(
                line[failed, j].min(),
                line[failed, j].max(),
                facecolor="0.9",
                edgecolor="0.6",
                hatch="//",
                linewidth=0,
                label="run fails",
            )
        ax.set_xlabel(f"{NAMES[j]} [{UNITS[j]}]")
        ax.set_xlim(*BOUNDS[j])
    axes[0].set_ylim(-4.0, best_row + 1.0)
    axes[0].set_ylabel("COP less penalties")
    axes[3].set_ylabel("COP less penalties")
    handles = {
        label: h for ax in axes for h, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    slices.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)

    ax = bars.subplots()
    bars.suptitle("Promise and truth", fontsize=12)
    kinds = {
        "proxy promises": ("fun_proxy", "white", "//"),
        "true there": ("true_at_proxy", "#56b4e9", ""),
        "refined": ("fun", "#0072b2", ""),
    }
    for k, (label, (key, color, hatch)) in enumerate(kinds.items()):
        heights = [-result[key] for result in results.values()]
        places = np.arange(len(results)) + 0.27 * (k - 1)
        drawn = ax.bar(
            places, heights, 0.25, label=label, color=color, hatch=hatch, edgecolor="black"
        )
        ax.bar_label(drawn, fmt="%.2f", fontsize=8, padding=2)
    ax.axhline(best_row, color="black", linestyle="--", linewidth=1, label="best row of the design")
    ax.set_xticks(range(len(results)), [name.replace(" ", "\n") for name in results])
    ax.set_ylabel("COP less penalties")
    ax.margins(y=0.12)
    bars.legend(loc="outside lower center", ncols=2)
    figure.savefig(output, dpi=120)


def _cop_or_nan(x) -> float:
    try:
        return -loss(x)
    except ValueError:
        return np.nan


if __name__ == "__main__":
    main()
