"""What smooths learned landscapes of three simulators, and what 1 to 8 unknowns cost.

    python benchmarks/smoothing_settings.py sweep

`sweep` turns the noise in fine steps, with and without the penalty on high predictions.
`regularizers` compares both with dropout, bounds on the spectral norm and weight decay.
`dimensions` learns the landscapes of one simulator with more and more unknowns, from more and more
simulations. Each seed is kept in `--cache` and never computed twice; tables and pictures are
written from all that it holds, by `table` alone.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hard_instances import INSTANCES, SHORT, BurgersPulses, Trial
from landscapes import Times
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from sklearn_proxyopt.inverse import LandscapeInverse
from sklearn_proxyopt.inverse._landscape_network import LandscapeNetwork
from sklearn_proxyopt.problems.physics import BilliardBreak, ForwardModel

PROBLEMS: dict[str, ForwardModel] = {
    "burgers_pulse": INSTANCES["burgers_pulse"],
    "kuramoto_sivashinsky": INSTANCES["kuramoto_sivashinsky"],
    "billiards_2d": BilliardBreak("angle_speed", n_frames=15),
}
N_OBSERVATIONS, N_STARTS, N_SEEDS = 12, 2, 3
FINE = (0.28, 0.2, 0.14, 0.1, 0.07, 0.05, 0.025, 0.0125, 0.0)
LADDER = (0.2, 0.1, 0.05)
# The noise that stands beside other means to smooth.
SHOWN = 0.1
N_SIMULATIONS, DIMENSIONS = (256, 2048), range(1, 9)
LEARNING: dict[str, Any] = {
    "n_pairs": 512,
    "n_places": 2048,
    "n_iterations": 400,
    "hidden_layer_sizes": (64, 64),
    "refine": None,
    "device": "cpu",
}

Change = Callable[[LandscapeNetwork], None]


class Regularized(LandscapeInverse):
    """Landscapes whose network is changed before it is trained."""

    change: Change

    def _network(
        self, rows: Tensor, mean_loss: float, rng: np.random.Generator
    ) -> LandscapeNetwork:
        network = super()._network(rows, mean_loss, rng)
        self.change(network)
        return network


def leave(network: LandscapeNetwork) -> None:
    """Change nothing."""


def drop_out(network: LandscapeNetwork, share: float) -> None:
    """Put dropout behind each activation of the trunk."""
    layers: list[nn.Module] = []
    for layer in network.trunk:
        layers += [layer, nn.Dropout(share)] if isinstance(layer, nn.SiLU) else [layer]
    network.trunk = nn.Sequential(*layers)


def bound_norms(network: LandscapeNetwork, bound: float) -> None:
    """Bound the spectral norm of each layer of the trunk."""
    network.trunk = nn.Sequential(
        *(
            nn.Sequential(spectral_norm(layer), Times(bound))
            if isinstance(layer, nn.Linear)
            else layer
            for layer in network.trunk
        )
    )


def decay_weights(network: LandscapeNetwork, rate: float) -> None:
    """Add a multiple of each weight to its gradient."""

    def shrink(weight: Tensor) -> None:
        assert weight.grad is not None
        weight.grad.add_(weight.detach(), alpha=rate)

    for weight in network.parameters():
        weight.register_post_accumulate_grad_hook(shrink)


# What else smooths, with its setting; all without noise and penalty but for the last.
REGULARIZERS: list[tuple[str, float, Change]] = [
    ("none", 0.0, leave),
    ("dropout", 0.2, partial(drop_out, share=0.2)),
    ("spectral norm", 0.5, partial(bound_norms, bound=0.5)),
    ("weight decay", 0.01, partial(decay_weights, rate=0.01)),
    ("penalty", 30.0, leave),
]


class BurgersUnknowns(BurgersPulses):
    """Viscosity, and places and heights of four pulses, of which the first few are unknown."""

    def __init__(self, n_unknowns: int) -> None:
        super().__init__(4, width=2.0, viscosity=1.0, n_points=64, n_steps=6)
        self._fixed = self.start[n_unknowns:]
        self.bounds, self.start = self.bounds[:n_unknowns], self.start[:n_unknowns]

    def _simulate(self, unknowns: Tensor, conditions: Tensor) -> Tensor:
        fixed = torch.as_tensor(self._fixed, device="cpu").to(unknowns)
        full = torch.cat([unknowns, fixed.expand(len(unknowns), -1)], dim=1)
        return super()._simulate(full, conditions)


def learn(trial: Trial, seed: int, change: Change = leave, **settings: Any) -> LandscapeInverse:
    """Return the fitted landscapes of a trial."""
    torch.manual_seed(seed)
    solver = Regularized(trial.problem, random_state=seed, **{**LEARNING, **settings})
    solver.change = change
    return solver.fit(trial.X)


def walked(
    trial: Trial, solver: LandscapeInverse, starts: NDArray[np.float64], levels: Sequence[float]
) -> NDArray[np.float64]:
    """Return where walks end on each level, (n_levels, *starts.shape), in half-widths."""
    shape = (-1, starts.shape[-1])
    inside = trial.problem.from_box(torch.tensor(starts.reshape(shape))).numpy()
    ends = solver.walk(trial.X, inside.reshape(starts.shape), levels)
    flat = trial.problem.to_box(torch.tensor(ends.reshape(shape)))
    return flat.numpy().reshape(ends.shape)


def two_step(
    trial: Trial, solver: LandscapeInverse, starts: NDArray[np.float64], level: int
) -> dict[str, float]:
    """Descend on one level, then on the simulator."""
    report = solver.smoothing_report_
    ends = walked(trial, solver, starts, report["noise"][level : level + 1])[0]
    return {
        "basins": float(report["basins"][level]),
        "drift": float(report["drift"][level]),
        "success": trial.descend(ends, SHORT)["starts"],
    }


def run_sweep(name: str, seed: int) -> list[dict[str, Any]]:
    """Turn the noise finely, with and without the penalty."""
    trial = Trial(PROBLEMS[name], seed, N_OBSERVATIONS)
    starts = trial.starts(N_STARTS)
    entries: list[dict[str, Any]] = [
        {"dial": "BFGS", "setting": 0.0, "success": trial.descend(starts)["starts"]}
    ]
    for penalty in (1.0, 30.0):
        solver = learn(trial, seed, input_noise=FINE, over_prediction_penalty=penalty)
        for level, noise in enumerate(FINE):
            dial = f"noise, penalty {penalty:g}"
            found = two_step(trial, solver, starts, level)
            entries.append({"dial": dial, "setting": noise, **found})
    return entries


def run_regularizers(name: str, seed: int) -> list[dict[str, Any]]:
    """Learn without noise, by networks that are kept smooth by other means."""
    trial = Trial(PROBLEMS[name], seed, N_OBSERVATIONS)
    starts, entries = trial.starts(N_STARTS), []
    for dial, setting, change in REGULARIZERS:
        penalty = setting if dial == "penalty" else 1.0
        solver = learn(trial, seed, change, input_noise=0.0, over_prediction_penalty=penalty)
        found = two_step(trial, solver, starts, 0)
        entries.append({"dial": dial, "setting": setting, **found})
    return entries


def run_dimension(n_unknowns: int, seed: int) -> list[dict[str, Any]]:
    """Learn the landscapes of some unknowns from more and more simulations."""
    trial = Trial(BurgersUnknowns(n_unknowns), seed, N_OBSERVATIONS)
    starts, entries = trial.starts(N_STARTS), []
    alone = trial.descend(starts)
    for n_places in N_SIMULATIONS:
        begin = time.process_time()
        solver = learn(trial, seed, n_places=n_places, input_noise=LADDER)
        seconds = time.process_time() - begin
        level = int(np.argmin(solver.smoothing_report_["drift"]))
        entries.append(
            {
                "unknowns": n_unknowns,
                "simulations": solver.n_forward_calls_,
                "seconds": seconds,
                "calls": alone["calls"] / starts[..., 0].size,
                "bfgs": alone["starts"],
                **two_step(trial, solver, starts, level),
            }
        )
    return entries


CELLS: dict[str, dict[str, Callable[[int], list[dict[str, Any]]]]] = {
    "sweep": {name: partial(run_sweep, name) for name in PROBLEMS},
    "regularizers": {name: partial(run_regularizers, name) for name in PROBLEMS},
    "dimensions": {str(n): partial(run_dimension, n) for n in DIMENSIONS},
}


def run(experiment: str, names: Sequence[str], seeds: int, cache: Path) -> None:
    """Compute the cells that the cache lacks."""
    for seed in range(seeds):
        for name in names:
            path = cache / experiment / name / f"{seed}.json"
            if path.exists():
                continue
            cell = CELLS[experiment][name](seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".part")
            unfinished.write_text(json.dumps(cell))
            unfinished.rename(path)


def read(cache: Path, experiment: str, name: str) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """Return the entries of all seeds by what was set."""
    groups = defaultdict(list)
    for path in sorted((cache / experiment / name).glob("*.json")):
        for place, entry in enumerate(json.loads(path.read_text())):
            key = (entry["dial"], entry["setting"]) if "dial" in entry else (place,)
            groups[key].append(entry)
    return groups


def mean(entries: list[dict[str, Any]], key: str) -> float:
    """Return the mean of a number over seeds."""
    return float(np.mean([entry[key] for entry in entries]))


def with_spread(entries: list[dict[str, Any]]) -> str:
    """Return the mean success, with the lowest and the highest."""
    values = [entry["success"] for entry in entries]
    return f"{np.mean(values):.0f} ({min(values):.0f} to {max(values):.0f})"


def write_settings(cache: Path, output: Path) -> None:
    """Write a row for each setting of the noise and of the other regularizers."""
    lines: list[tuple[Any, ...]] = [
        ("problem", "by", "setting", "basins", "drift", "two-step, %", "seeds")
    ]
    for name in PROBLEMS:
        for experiment in ("sweep", "regularizers"):
            for (dial, setting), entries in read(cache, experiment, name).items():
                shape = () if dial == "BFGS" else ("basins", "drift")
                cells = [f"{mean(entries, key):.2g}" for key in shape] or ["", ""]
                title = name.replace("_", " ")
                success = with_spread(entries)
                lines.append((title, dial, f"{setting:g}", *cells, success, len(entries)))
    write(output / "settings.csv", lines)


def write_means_to_smooth(cache: Path, output: Path) -> None:
    """Write a row for each way to smooth, with a column for each problem."""
    shown = [("BFGS", 0.0), *((dial, setting) for dial, setting, _ in REGULARIZERS)]
    shown += [(f"noise, penalty {penalty}", SHOWN) for penalty in (1, 30)]
    lines: list[tuple[Any, ...]] = [
        ("by", "setting", *(name.replace("_", " ") for name in PROBLEMS))
    ]
    of_problem = {
        name: read(cache, "sweep", name) | read(cache, "regularizers", name) for name in PROBLEMS
    }
    for key in shown:
        cells = [
            with_spread(groups[key]) if key in groups else "" for groups in of_problem.values()
        ]
        lines.append((key[0], f"{key[1]:g}" if key[1] else "", *cells))
    write(output / "means_to_smooth.csv", lines)


def write_dimensions(cache: Path, output: Path) -> None:
    """Write a row for each number of unknowns and of simulations."""
    lines: list[tuple[Any, ...]] = [
        (
            *("unknowns", "simulations", "seconds", "BFGS, %", "two-step, %", "drift"),
            *("simulations of one BFGS", "seeds"),
        )
    ]
    for n_unknowns in DIMENSIONS:
        for entries in read(cache, "dimensions", str(n_unknowns)).values():
            lines.append(
                (
                    n_unknowns,
                    entries[0]["simulations"],
                    f"{mean(entries, 'seconds'):.0f}",
                    f"{mean(entries, 'bfgs'):.0f}",
                    f"{mean(entries, 'success'):.0f}",
                    f"{mean(entries, 'drift'):.3f}",
                    f"{mean(entries, 'calls'):.0f}",
                    len(entries),
                )
            )
    write(output / "dimensions.csv", lines)


def write(path: Path, lines: list[tuple[Any, ...]]) -> None:
    """Write a table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


def draw(cache: Path, output: Path) -> None:
    """Draw success against the noise and against the number of unknowns."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(11, 3.2), sharey=True, layout="constrained")
    ticks = np.arange(len(FINE))
    for axis, name in zip(axes, PROBLEMS, strict=False):
        groups = read(cache, "sweep", name)
        if ("BFGS", 0.0) in groups:
            axis.axhline(mean(groups["BFGS", 0.0], "success"), color="0.45", ls=":", label="BFGS")
        for penalty, style, color in ((1, "o-", "#0072B2"), (30, "s--", "#E69F00")):
            own = [groups[f"noise, penalty {penalty}", noise] for noise in FINE]
            if not all(own):
                continue
            axis.plot(ticks, [mean(one, "success") for one in own], style, color=color, ms=4)
            low, high = (
                [fold([entry["success"] for entry in one]) for one in own] for fold in (min, max)
            )
            label = f"two-step, penalty {penalty}"
            axis.fill_between(ticks, low, high, color=color, alpha=0.15, lw=0, label=label)
        labels = [f"{noise:g}".replace("0.", ".") for noise in FINE]
        axis.set(title=name.replace("_", " "), xlabel="noise", ylim=(-4, 104))
        axis.set_xticks(ticks, labels, fontsize=8, rotation=60)
    axes[0].set_ylabel("starts that succeed, %")
    by_size: dict[int, list[tuple[int, float, float]]] = defaultdict(list)
    for n_unknowns in DIMENSIONS:
        for (place,), entries in read(cache, "dimensions", str(n_unknowns)).items():
            point = (n_unknowns, mean(entries, "success"), mean(entries, "bfgs"))
            by_size[N_SIMULATIONS[place]].append(point)
    styles = zip(("s--", "o-"), ("#E69F00", "#0072B2"), strict=True)
    for (n_simulations, points), (style, color) in zip(by_size.items(), styles, strict=False):
        number, success, alone = zip(*points, strict=True)
        axes[3].plot(number, success, style, color=color, ms=4, label=f"from {n_simulations:,}")
    if by_size:
        axes[3].plot(number, alone, color="0.45", ls=":")
        axes[3].legend(fontsize=8, frameon=False)
    axes[3].set(title="burgers, more unknowns", xlabel="unknowns", xticks=list(DIMENSIONS))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    figure.savefig(output / "settings.png", dpi=110)


def main() -> None:
    """Run an experiment and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", choices=[*CELLS, "table"])
    parser.add_argument("--only", nargs="+", help="problems, or numbers of unknowns")
    parser.add_argument("--seeds", type=int, default=N_SEEDS)
    parser.add_argument("--cache", type=Path, default=Path(".cache/smoothing_settings"))
    parser.add_argument("--output", type=Path, default=Path("docs/results/landscapes"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.experiment != "table":
        names = options.only or list(CELLS[options.experiment])
        run(options.experiment, names, options.seeds, options.cache)
    write_settings(options.cache, options.output)
    write_means_to_smooth(options.cache, options.output)
    write_dimensions(options.cache, options.output)
    draw(options.cache, options.output)


if __name__ == "__main__":
    main()
