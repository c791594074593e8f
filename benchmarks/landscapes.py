"""Smoothed landscapes: how many random starts reach the true parameters, and what the dial costs.

    python benchmarks/landscapes.py billiards_2d

runs one experiment, all seeds; `all` runs every one, `fine` and `regularizers` the follow-ups on
the Gramacy and Lee function. Each seed of each experiment is kept in `--cache` and never computed
twice, so that a run may be stopped and taken up again. At the end the tables in
`docs/results/landscapes` and their pictures are written from all that the cache holds; `table` in
place of an experiment writes these alone.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import landscape_tables
import numpy as np
import torch
from rich.progress import Progress
from skorch.callbacks import Callback
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt.inverse import ConvNet, InverseProblem, LandscapeInverse
from sklearn_proxyopt.optimizers import Ladder, batched_bfgs, descend
from sklearn_proxyopt.optimizers._candidates import distinct_minima
from sklearn_proxyopt.problems import GramacyLee
from sklearn_proxyopt.problems.physics import (
    BilliardBreak,
    Burgers,
    ForwardModel,
    KuramotoSivashinsky,
    WavePacket,
)

# Noise of the ladder, in widths of the box; the last one is the plain proxy.
LADDER = (0.28, 0.2, 0.14, 0.1, 0.07, 0.05, 0.025, 0.0)
# A start has reached the true parameters when each is within this share of its range.
NEAR = 0.01
# Observations and random starts of each, for a seed.
N_OBSERVATIONS, N_STARTS = 24, 8
N_SEEDS = 2
# Steps of gradient descent, and its rate in half-widths of the box per mean loss.
N_STEPS, RATE = 100, 0.05


@dataclass
class Physics:
    """An inverse problem and how its landscapes are learned."""

    model: ForwardModel
    n_pairs: int = 2048
    n_places: int | None = None
    n_iterations: int = 2000
    network: Any = None


PHYSICS = {
    "burgers": Physics(Burgers(), n_iterations=1500),
    "kuramoto_sivashinsky": Physics(
        KuramotoSivashinsky(), n_iterations=1500, network=ConvNet((8, 16, 32))
    ),
    "billiards_angle": Physics(BilliardBreak("angle", n_frames=15), 4096, 8192, 5000),
    "billiards_2d": Physics(BilliardBreak("angle_speed", n_frames=15), 4096, 8192, 5000),
    "billiards_4d": Physics(BilliardBreak("4d", n_frames=15), 4096, 8192, 5000),
    "billiards_6d": Physics(BilliardBreak("6d", n_frames=15), 4096, 8192, 5000),
    "wave_packet": Physics(WavePacket(), 4096, 4096, 4000),
}


def run_physics(name: str, seed: int) -> dict[str, Any]:
    """Learn the landscapes once and descend from all starts by every method."""
    setting = PHYSICS[name]
    problem = InverseProblem(setting.model)
    X, unknowns = setting.model.sample(N_OBSERVATIONS, random_state=1000 + seed)
    rng = np.random.default_rng(2000 + seed)
    starts = rng.uniform(-1.0, 1.0, (N_OBSERVATIONS, N_STARTS, problem.n_unknowns))
    rows = torch.tensor(X).repeat_interleave(N_STARTS, dim=0)
    truth = problem.to_box(torch.tensor(unknowns)).repeat_interleave(N_STARTS, dim=0).numpy()
    begin = time.process_time()
    solver = LandscapeInverse(
        problem,
        n_pairs=setting.n_pairs,
        n_places=setting.n_places,
        n_iterations=setting.n_iterations,
        network=setting.network,
        refine=None,
        device="cpu",
        random_state=seed,
    ).fit(X)
    seconds = time.process_time() - begin

    def losses(places: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return problem.losses(problem.from_box(places), rows[index])

    def refine(places: np.ndarray) -> tuple[np.ndarray, float]:
        found = batched_bfgs(losses, places, tolerance=1e-5, max_iterations=200)
        return found.x, float(found.nfev.mean())

    everyone = torch.arange(len(rows))
    with torch.no_grad():
        shuffled = problem.from_box(torch.tensor(rng.permutation(truth)))
        mean_loss = float(torch.nanmean(problem.losses(shuffled, rows)))
    entries: list[dict[str, Any]] = []

    def note(method: str, noise: Any, places: np.ndarray, calls: float, drift: Any = None) -> None:
        distance = np.abs(places - truth).max(axis=1) / 2
        with torch.no_grad():
            loss = losses(torch.tensor(places), everyone).numpy() / mean_loss
        loss = np.where(np.isfinite(loss), loss, np.inf).reshape(N_OBSERVATIONS, N_STARTS)
        entries.append(
            {
                "method": method,
                "noise": noise,
                "success": 100 * float((distance < NEAR).mean()),
                "drift": drift,
                "error": float(np.minimum(loss, 1e3).mean()),
                "median_error": float(np.median(loss)),
                "best_error": float(loss.min(axis=1).mean()),
                "calls": calls,
            }
        )

    def walk(noise: tuple[float, ...]) -> tuple[np.ndarray, float]:
        """Return where walks end, and how far the last level's minimum has drifted."""
        inside = problem.from_box(torch.tensor(starts.reshape(-1, problem.n_unknowns)))
        ends = solver.walk(X, inside.numpy().reshape(starts.shape), noise)[-1]
        ends = torch.tensor(ends.reshape(-1, problem.n_unknowns))
        places = problem.to_box(ends).numpy()
        distance = np.sqrt(np.square((places - truth) / 2).mean(axis=1))
        return places, float(np.median(distance))

    flat = starts.reshape(-1, problem.n_unknowns)
    note("bfgs", None, *refine(flat))
    note("gradient_descent", None, gradient_descent(losses, flat, mean_loss), N_STEPS)
    # Walks end where the solver's own does, at the sharpest level that it trusts.
    last = float(solver.levels_[-1])
    for index, noise in enumerate(LADDER):
        places, drift = walk((noise,))
        note("smoothed_proxy" if noise else "proxy", noise, places, 0.0, drift)
        note("two_step", noise, *refine(places), drift)
        if noise:
            places, drift = walk(
                tuple(level for level in LADDER[index:] if level >= last) or (noise,)
            )
            note("graduated", noise, *refine(places), drift)
    places, drift = walk(tuple(solver.levels_))
    note("auto", float(solver.levels_[0]), *refine(places), drift)
    report = {key: np.asarray(part).tolist() for key, part in solver.smoothing_report_.items()}
    return {
        "entries": entries,
        "seconds": seconds,
        "simulations": solver.n_forward_calls_,
        "report": report,
        "n_starts": len(rows),
    }


def gradient_descent(losses: Any, places: np.ndarray, mean_loss: float) -> np.ndarray:
    """Take steps of a fixed rate; a start whose loss is not finite stays."""
    x, index = torch.tensor(places), torch.arange(len(places))
    for _ in range(N_STEPS):
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(losses(x, index).sum(), x)
        step = torch.nan_to_num(RATE * gradient / mean_loss, nan=0.0).clamp(-1.0, 1.0)
        x = (x - step).detach()
    return x.numpy()


def run_gramacy_lee(seed: int) -> dict[str, Any]:
    """The same on a function of one variable, which the proxy learns from a thousand rows."""
    problem, rng = GramacyLee(), np.random.default_rng(seed)
    X = rng.uniform(*problem.bounds[0], (1000, 1))
    starts = rng.uniform(*problem.bounds[0], (100, 1))
    begin = time.process_time()
    proxy = NeuralProxyRegressor(
        n_members=len(LADDER),
        input_noise=LADDER,
        over_prediction_penalty=[30.0] * (len(LADDER) - 1) + [1.0],
        device="cpu",
        random_state=seed,
    ).fit(X, problem(X))
    seconds = time.process_time() - begin
    levels = Ladder.of_members(proxy).levels
    width = float(np.diff(problem.bounds[0])[0])
    entries: list[dict[str, Any]] = []

    def note(method: str, noise: Any, x: np.ndarray, drift: Any = None) -> None:
        distance = np.abs(x - problem.x_opt)[:, 0] / width
        error = problem(x) - problem.f_opt
        entries.append(
            {
                "method": method,
                "noise": noise,
                "success": 100 * float((distance < NEAR).mean()),
                "drift": drift,
                "error": float(error.mean()),
                "median_error": float(np.median(error)),
                "best_error": float(error.min()),
                "calls": None,
            }
        )

    def drift_of(x: np.ndarray) -> float:
        return float(np.median(np.abs(x - problem.x_opt))) / width

    note("bfgs", None, descend([problem], starts, problem.bounds).x)
    x = starts.copy()
    spread = float(problem(X).std())
    for _ in range(N_STEPS):
        tensor = torch.tensor(x, requires_grad=True)
        (gradient,) = torch.autograd.grad(problem(tensor).sum(), tensor)
        x = np.clip(x - RATE * (width / 2) ** 2 * gradient.numpy() / spread, *problem.bounds[0])
    note("gradient_descent", None, x)
    for index, noise in enumerate(LADDER):
        found = descend([levels[index], problem], starts, problem.bounds)
        drift = drift_of(found.x_levels[0])
        note("smoothed_proxy" if noise else "proxy", noise, found.x_levels[0], drift)
        note("two_step", noise, found.x, drift)
        if noise:
            walk = descend([*levels[index:-1], problem], starts, problem.bounds)
            note("graduated", noise, walk.x, drift_of(walk.x_levels[-2]))
    optimizer = ProxyOptimizer(
        bounds=problem.bounds,
        smoothing="auto",
        random_state=seed,
        proxy=NeuralProxyRegressor(over_prediction_penalty=30.0, device="cpu"),
    ).fit(X, problem(X))
    report = optimizer.smoothing_report_
    used = np.flatnonzero(report["used"])
    ladder = Ladder.of_members(optimizer.ladder_).levels
    chosen = [ladder[index] for index in used if index < len(ladder)]
    found = descend([*chosen, problem], starts, problem.bounds)
    drift = drift_of(found.x_levels[-2]) if chosen else None
    note("auto", float(report["noise"][used[0]]), found.x, drift)
    return {
        "entries": entries,
        "seconds": seconds,
        "simulations": len(X),
        "report": {key: np.asarray(part).tolist() for key, part in report.items()},
        "n_starts": len(starts),
    }


FINE = (*np.geomspace(0.1, 0.001, 13).round(4).tolist(), 0.0)


def run_fine(seed: int) -> dict[str, Any]:
    """Turn the noise finely, on the Gramacy and Lee function, with and without the penalty."""
    entries = []
    for penalty in (1.0, 30.0):
        proxy = NeuralProxyRegressor(
            n_members=len(FINE),
            input_noise=FINE,
            over_prediction_penalty=penalty,
            trend="constant",
            device="cpu",
            random_state=seed,
        )
        levels = Ladder.of_members(proxy.fit(*_rows_of_gramacy_lee(seed))).levels
        for level, noise in zip(levels, FINE, strict=True):
            entries.append(
                {"dial": f"noise, penalty {penalty:g}", "setting": noise, **_two_step(level, seed)}
            )
    return {"entries": entries}


def run_regularizers(seed: int) -> dict[str, Any]:
    """Compare what else makes a network smoother, on the Gramacy and Lee function."""
    entries = []
    trials: list[tuple[str, float, dict[str, Any]]] = [("none", 0.0, {})]
    trials += [("noise", s, {"input_noise": s}) for s in (0.025, 0.05, 0.1, 0.2)]
    trials += [
        ("noise and penalty", s, {"input_noise": s, "over_prediction_penalty": 30.0})
        for s in (0.025, 0.05, 0.1, 0.2)
    ]
    trials += [("dropout", p, {"module": Network(dropout=p)}) for p in (0.05, 0.1, 0.2, 0.4)]
    trials += [("spectral", c, {"module": Network(norm=c)}) for c in (0.25, 0.5, 1.0, 2.0)]
    trials += [
        ("weight decay", d, {"callbacks": [WeightDecay(d)]}) for d in (1e-3, 1e-2, 1e-1, 1.0)
    ]
    for dial, setting, params in trials:
        proxy = NeuralProxyRegressor(
            **{"trend": "constant", **params}, device="cpu", random_state=seed
        ).fit(*_rows_of_gramacy_lee(seed))
        level = Ladder.of_members(proxy).levels[0]
        entries.append({"dial": dial, "setting": setting, **_two_step(level, seed)})
    return {"entries": entries}


def _rows_of_gramacy_lee(seed: int) -> tuple[np.ndarray, np.ndarray]:
    problem = GramacyLee()
    X = np.random.default_rng(seed).uniform(*problem.bounds[0], (1000, 1))
    return X, problem(X)


def _two_step(level: Any, seed: int) -> dict[str, float]:
    """Descend from a hundred starts on a proxy, then on the truth."""
    problem = GramacyLee()
    starts = np.random.default_rng(100 + seed).uniform(*problem.bounds[0], (100, 1))
    width = float(np.diff(problem.bounds[0])[0])
    found = descend([level, problem], starts, problem.bounds)
    first = found.x_levels[0]
    heights = level(first)
    cube = (first - problem.bounds[:, 0]) / width
    ends, _ = distinct_minima(cube, heights, max_candidates=len(starts))
    lowest = first[heights.argmin(), 0]
    return {
        "basins": float(len(ends)),
        "drift": float(abs(lowest - problem.x_opt[0, 0]) / width),
        "success": 100 * float((np.abs(found.x - problem.x_opt)[:, 0] < NEAR * width).mean()),
    }


class Network:
    """Makes a network on Fourier features, with dropout or bounded spectral norms on request."""

    def __init__(self, dropout: float = 0.0, norm: float | None = None) -> None:
        self.dropout, self.norm = dropout, norm

    def __call__(self, n_inputs: int, n_outputs: int) -> nn.Module:
        """Return the network."""
        layers: list[nn.Module] = [Waves(n_inputs, 128, 16.0)]
        for n_in, n_out in ((128, 128), (128, 128), (128, n_outputs)):
            linear: nn.Module = nn.Linear(n_in, n_out)
            if self.norm is not None:
                linear = nn.Sequential(spectral_norm(linear), Times(self.norm))
            layers += [linear, nn.SiLU(), nn.Dropout(self.dropout)]
        return nn.Sequential(*layers[:-2])


class Waves(nn.Module):
    """Fourier features with frequencies of a given spread."""

    def __init__(self, n_inputs: int, n_waves: int, spread: float) -> None:
        super().__init__()
        self.register_buffer("frequencies", spread * torch.randn(n_inputs, n_waves))
        self.register_buffer("phases", 2 * torch.pi * torch.rand(n_waves))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features of rows."""
        return 2**0.5 * torch.cos(x @ self.frequencies + self.phases)


class Times(nn.Module):
    """Multiplies by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the product."""
        return self.factor * x


class WeightDecay(Callback):
    """Sets the weight decay of the optimizer."""

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Set it."""
        for group in net.optimizer_.param_groups:
            group["weight_decay"] = self.decay


SPECIAL = {"gramacy_lee": run_gramacy_lee, "fine": run_fine, "regularizers": run_regularizers}


def run(name: str, seeds: int, cache: Path) -> None:
    """Compute the seeds of an experiment that the cache lacks."""
    with Progress() as progress:
        for seed in progress.track(range(seeds), description=name):
            path = cache / name / f"{seed}.json"
            if path.exists():
                continue
            cell = SPECIAL[name](seed) if name in SPECIAL else run_physics(name, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".part")
            unfinished.write_text(json.dumps(cell))
            unfinished.rename(path)


EXPERIMENTS = ("gramacy_lee", *PHYSICS)
FOLLOW_UPS = ("fine", "regularizers")


def main() -> None:
    """Run experiments and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", choices=[*EXPERIMENTS, *FOLLOW_UPS, "all", "table"])
    parser.add_argument("--seeds", type=int, default=N_SEEDS)
    parser.add_argument("--cache", type=Path, default=Path(".cache/landscapes"))
    parser.add_argument("--output", type=Path, default=Path("docs/results/landscapes"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.experiment != "table":
        everything = (*EXPERIMENTS, *FOLLOW_UPS)
        names = everything if options.experiment == "all" else (options.experiment,)
        for name in names:
            run(name, options.seeds, options.cache)
    landscape_tables.write(options.cache, options.output, EXPERIMENTS)


if __name__ == "__main__":
    main()
