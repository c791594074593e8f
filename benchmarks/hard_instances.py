"""Burgers' and the Kuramoto-Sivashinsky equation where BFGS fails more often than not.

    python benchmarks/hard_instances.py burgers_pulse

runs one experiment, all seeds; `all` runs every one, `table` writes the table alone, and `choose`
says how often BFGS succeeds on each, and on the easier settings that were tried before them. Each
seed is kept in `--cache` and never computed twice.

In the settings of `landscapes.py` BFGS solves these equations from nearly every start. The
settings here were chosen by what BFGS does alone, before any proxy was trained: only the last state
is observed, viscosity is low, and where the start lies is unknown too. They are in
`INSTANCES`. An observation counts as solved when every unknown of its lowest end lies within 1 % of
the range of the truth, and BFGS has as many starts as the simulations of the two-step method, its
training included, pay for. The two-step method descends on one level and then on the simulator. The
graduated search follows the minimum from level to level, simulates where it began and where it
stood on each, and descends on the simulator from the lowest. Both begin that descent with a short
step, so that it stays where they led; that of BFGS alone is SciPy's, of length one.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_proxyopt.inverse import InverseProblem, LandscapeInverse
from sklearn_proxyopt.optimizers import batched_bfgs
from sklearn_proxyopt.problems.physics import BilliardBreak, Burgers, ForwardModel
from sklearn_proxyopt.problems.physics import KuramotoSivashinsky as Chaos

# A start has reached the true parameters when each is within this share of its range.
NEAR = 0.01
N_OBSERVATIONS, N_STARTS, N_SEEDS = 24, 4, 1
# Observations of earlier seeds were seen while the methods were chosen.
FIRST_SEED = 10
# First trial of a descent that is to stay in its basin, in half-widths of the box.
SHORT = 0.01
# Noise of the ladder, in widths of the box.
LADDER = (0.2, 0.1, 0.05, 0.025)


class BurgersPulses(Burgers):
    """Viscosity, and place and height of pulses, from what is left of them at the end."""

    def __init__(self, n_pulses: int, width: float, viscosity: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.n_pulses, self.width = n_pulses, width
        edges = np.linspace(5.0, 85.0, n_pulses + 1)
        places = np.column_stack([edges[:-1], edges[1:]])
        pulses = [side for place in places for side in (place, (2.0, 6.0))]
        self.bounds = np.array([[0.0, viscosity], *pulses])
        self.start = self.bounds.mean(axis=1)
        self.observation_shape, self.condition_shape = (self.n_points,), ()

    def _simulate(self, unknowns: Tensor, conditions: Tensor) -> Tensor:
        points = torch.arange(self.n_points, dtype=unknowns.dtype) * self.length / self.n_points
        start = torch.zeros(len(unknowns), self.n_points, dtype=unknowns.dtype)
        for pulse in unknowns[:, 1:].split(2, dim=1):
            place, height = pulse.split(1, dim=1)
            away = (points - place + self.length / 2).remainder(self.length) - self.length / 2
            start = start + height * torch.exp(-0.5 * (away / self.width) ** 2)
        return super()._simulate(unknowns[:, :1], start)[:, -1]

    def _draw(self, n_problems: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
        unknowns = self._draw_unknowns(n_problems, rng)
        return self._predict(unknowns), None, unknowns


class ChaosWithPlace(Chaos):
    """Forcing and advection, and where the start lies, from the state at the end."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        place = [0.1 * self.length, 0.9 * self.length]
        self.bounds = np.vstack([self.bounds, place])
        self.start = self.bounds.mean(axis=1)
        self.observation_shape, self.condition_shape = (self.n_points,), ()

    def _simulate(self, unknowns: Tensor, conditions: Tensor) -> Tensor:
        points = torch.arange(self.n_points, dtype=unknowns.dtype) / self.n_points
        turn = 2 * torch.pi * (points - unknowns[:, 2:] / self.length)
        start = torch.cos(turn) + 0.7 * torch.sin(2 * turn) + 0.5 * torch.cos(3 * turn + 1.0)
        return super()._simulate(unknowns[:, :2], start)[:, -1]

    def _draw(self, n_problems: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
        unknowns = self._draw_unknowns(n_problems, rng)
        return self._predict(unknowns), None, unknowns


class BreakAtEnd(BilliardBreak):
    """The opening shot of billiards, of which the last positions are observed alone."""

    def __init__(self, unknowns: str) -> None:
        super().__init__(unknowns, n_frames=2)
        self.observation_shape = (1, *self.observation_shape[1:])

    def _simulate(self, unknowns: Tensor, conditions: Tensor) -> Tensor:
        return super()._simulate(unknowns, conditions)[:, -1:]


INSTANCES: dict[str, ForwardModel] = {
    "burgers_pulse": BurgersPulses(1, width=2.0, viscosity=1.0, n_points=64, n_steps=6),
    "burgers_two_pulses": BurgersPulses(2, width=2.0, viscosity=1.0, n_points=64, n_steps=12),
    "kuramoto_sivashinsky": ChaosWithPlace(n_steps=100, frame_every=100),
    "billiards_2d": BreakAtEnd("angle_speed"),
    "billiards_4d": BilliardBreak("4d", n_frames=15),
    "billiards_6d": BilliardBreak("6d", n_frames=15),
}
# What else was tried, and left because BFGS succeeds from half of the starts or more.
EASIER: dict[str, ForwardModel] = {
    "burgers_pulse, wide": BurgersPulses(1, width=6.0, viscosity=10.0, n_steps=20),
    "burgers_pulse, later": BurgersPulses(1, width=3.0, viscosity=2.0, n_points=64, n_steps=12),
    "burgers_two_pulses, later": BurgersPulses(
        2, width=2.0, viscosity=1.0, n_points=64, n_steps=20
    ),
    "kuramoto_sivashinsky, whole path": Chaos(n_steps=200),
    "kuramoto_sivashinsky, last state": Chaos(frame_every=100),
    "kuramoto_sivashinsky, last state, later": Chaos(n_steps=200, frame_every=200),
    "kuramoto_sivashinsky, longer": Chaos(length=44.0, n_steps=200, frame_every=200),
}


class Trial:
    """Observations of a model and how often descents reach their true parameters."""

    def __init__(self, model: ForwardModel, seed: int, n_observations: int) -> None:
        self.problem = InverseProblem(model)
        self.X, unknowns = model.sample(n_observations, random_state=1000 + seed)
        self._truth = self.problem.to_box(torch.tensor(unknowns)).numpy()
        self._rows = torch.tensor(self.X)
        rng = np.random.default_rng(2000 + seed)
        with torch.no_grad():
            other = self.problem.from_box(torch.tensor(rng.permutation(self._truth)))
            self._scale = float(torch.nanmean(self.problem.losses(other, self._rows)))
        self._rng = rng

    def starts(self, n: int) -> NDArray[np.float64]:
        """Draw starts (n_observations, n, n_unknowns), in half-widths of the box."""
        return self._rng.uniform(-1.0, 1.0, (len(self.X), n, self.problem.n_unknowns))

    def lowest(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return of candidates (n, n_observations, n_starts, n_unknowns) the lowest, simulated."""
        flat = torch.tensor(places.reshape(-1, self.problem.n_unknowns))
        of_place = torch.arange(len(self.X)).repeat_interleave(places.shape[2])
        rows = self._rows[of_place.repeat(len(places))]
        with torch.no_grad():
            losses = self.problem.losses(self.problem.from_box(flat), rows)
        heights = np.nan_to_num(losses.numpy(), nan=np.inf).reshape(places.shape[:3])
        best = heights.argmin(axis=0)[None, :, :, None]
        return np.take_along_axis(places, best, axis=0)[0]

    def descend(self, places: NDArray[np.float64], first_step: float = 1.0) -> dict[str, float]:
        """Descend on the simulator; tell what is solved, at which cost."""
        n_observations, n_starts, n_unknowns = places.shape
        of_start = torch.arange(n_observations).repeat_interleave(n_starts)

        def losses(flat: Tensor, index: Tensor) -> Tensor:
            rows = self._rows[of_start[index]]
            return self.problem.losses(self.problem.from_box(flat), rows) / self._scale

        found = batched_bfgs(
            losses,
            places.reshape(-1, n_unknowns),
            tolerance=1e-8,
            max_iterations=200,
            first_step=first_step,
        )
        ends = found.x.reshape(places.shape)
        is_near = (np.abs(ends - self._truth[:, None]) / 2 < NEAR).all(axis=2)
        height = np.nan_to_num(found.fun.reshape(is_near.shape), nan=np.inf)
        lowest = height.argmin(axis=1)
        return {
            "starts": 100 * float(is_near.mean()),
            "solved": 100 * float(is_near[np.arange(n_observations), lowest].mean()),
            "calls": float(found.nfev.sum()),
        }


def run_instance(name: str, seed: int) -> dict[str, Any]:
    """Learn the landscapes once; descend on them and then on the simulator, and on it alone."""
    trial = Trial(INSTANCES[name], seed, N_OBSERVATIONS)
    starts = trial.starts(N_STARTS)
    begin = time.process_time()
    solver = LandscapeInverse(
        trial.problem,
        input_noise=LADDER,
        n_pairs=2048,
        n_places=4096,
        n_iterations=2000,
        refine=None,
        device="cpu",
        random_state=seed,
    ).fit(trial.X)
    seconds = time.process_time() - begin
    entries: dict[str, Any] = {"bfgs": trial.descend(starts)}

    def walked(levels: tuple[float, ...]) -> NDArray[np.float64]:
        inside = trial.problem.from_box(torch.tensor(starts.reshape(-1, starts.shape[2])))
        ends = solver.walk(trial.X, inside.numpy().reshape(starts.shape), levels)
        flat = torch.tensor(ends.reshape(-1, starts.shape[2]))
        return trial.problem.to_box(flat).numpy().reshape(ends.shape)

    for noise in LADDER:
        entries[f"two_step {noise:g}"] = trial.descend(walked((noise,))[0], SHORT)
    candidates = np.concatenate([walked(LADDER)[::-1], starts[None]])
    entries["graduated"] = trial.descend(trial.lowest(candidates), SHORT)
    entries["graduated"]["calls"] += candidates[..., 0].size
    simulations = solver.n_forward_calls_
    paid = simulations + entries["graduated"]["calls"]
    each = entries["bfgs"]["calls"] / starts[..., 0].size
    n_equal = round(paid / each / len(starts))
    entries["bfgs, equal calls"] = trial.descend(trial.starts(n_equal)) | {"n_starts": n_equal}
    return {"entries": entries, "simulations": simulations, "seconds": seconds}


def choose() -> None:
    """Say from how many starts BFGS succeeds; no proxy takes part."""
    for name, model in (EASIER | INSTANCES).items():
        trial = Trial(model, 77, 16)
        found = trial.descend(trial.starts(4))
        print(f"{name}: {found['starts']:.0f} % of 64 starts", flush=True)


def write_table(cache: Path, output: Path) -> None:
    """Write a row for each experiment, means over its seeds."""
    columns = (
        *("problem", "seeds", "unknowns", "BFGS, starts %", "two-step, starts % (noise)"),
        *("two-step / BFGS", "graduated, starts %", "graduated / BFGS"),
        *(
            "simulations of the training",
            "solved %: graduated",
            "solved %: BFGS, equal calls (its starts)",
        ),
    )
    lines: list[tuple[Any, ...]] = [columns]
    for name, model in INSTANCES.items():
        cells = [json.loads(path.read_text()) for path in sorted((cache / name).glob("*.json"))]
        if not cells:
            continue
        means: dict[str, dict[str, float]] = defaultdict(dict)
        for method in cells[0]["entries"]:
            for key in cells[0]["entries"][method]:
                own = [cell["entries"][method][key] for cell in cells]
                means[method][key] = float(np.mean(own))
        steps = [method for method in means if method.startswith("two_step")]
        best = max(steps, key=lambda method: means[method]["starts"])
        alone, walk, equal = (means[key] for key in ("bfgs", "graduated", "bfgs, equal calls"))
        lines.append(
            (
                name.replace("_", " "),
                len(cells),
                model.n_unknowns,
                f"{alone['starts']:.0f}",
                f"{means[best]['starts']:.0f} ({best.split()[1]})",
                f"{means[best]['starts'] / alone['starts']:.1f}",
                f"{walk['starts']:.0f}",
                f"{walk['starts'] / alone['starts']:.1f}",
                cells[0]["simulations"],
                f"{walk['solved']:.0f}",
                f"{equal['solved']:.0f} ({equal['n_starts']:.0f})",
            )
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


def main() -> None:
    """Run experiments and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", choices=[*INSTANCES, "all", "choose", "table"])
    parser.add_argument("--seeds", type=int, default=N_SEEDS)
    parser.add_argument("--cache", type=Path, default=Path(".cache/hard_instances"))
    parser.add_argument("--output", type=Path, default=Path("docs/results/landscapes/hard.csv"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.experiment == "choose":
        choose()
        return
    names = INSTANCES if options.experiment == "all" else [options.experiment]
    for name in names if options.experiment != "table" else ():
        for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
            path = options.cache / name / f"{seed}.json"
            if not path.exists():
                cell = run_instance(name, seed)
                path.parent.mkdir(parents=True, exist_ok=True)
                unfinished = path.with_suffix(".part")
                unfinished.write_text(json.dumps(cell))
                unfinished.rename(path)
    write_table(options.cache, options.output)


if __name__ == "__main__":
    main()
