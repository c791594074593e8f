"""What the share of wave packets solved better than by BFGS depends on.

    python benchmarks/wave_packet_settings.py

writes two tables into `docs/results/inverse`. The first leaves out all learning: it asks how far
BFGS moves from the best guess, and how estimates of known quality compare with it once they are
refined. The second varies the joint training.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inverse_problems import NETWORKS, shares

from sklearn_proxyopt.inverse import DirectInverse, InverseProblem, ReparameterizedInverse
from sklearn_proxyopt.optimizers import batched_bfgs
from sklearn_proxyopt.problems.physics import WavePacket

OUTPUT = Path("docs/results/inverse")
MIDDLE = 128.0
# Where t0 is drawn, and what BFGS searches: the tanh over a box, or t0 itself in samples.
SEARCHES: dict[str, tuple[float, Any, bool]] = {
    "tanh over where packets lie, [64, 192]": (64.0, None, True),
    "tanh over the signal, packets in [96, 160]": (32.0, [[1.0, 255.0]], True),
    "t0 in samples, without bounds, packets in [64, 192]": (64.0, [[127.0, 129.0]], False),
}
# Networks, steps of each, rate, and what is kept.
TRAININGS = (
    (1, 300, 1e-4, "last"),
    (1, 300, 1e-3, "last"),
    (1, 300, 1e-3, "best"),
    (3, 100, 1e-3, "best"),
    (6, 50, 1e-3, "best"),
    (15, 20, 2e-3, "best"),
)


def compare_estimates(n_problems: int = 400) -> list[tuple[Any, ...]]:
    """Return what BFGS does, and shares of refined estimates better than it plus equal."""
    lines: list[tuple[Any, ...]] = [
        ("search", "first move", "farther %", "stay in the middle", "10 from the truth")
    ]
    rng = np.random.default_rng(0)
    for name, (spread, box, hard) in SEARCHES.items():
        packet = WavePacket(width=50.0, bounds=[[MIDDLE - spread, MIDDLE + spread]])
        X, unknowns = packet.sample(n_problems, random_state=1)
        truth = unknowns[:, 0]
        problem = InverseProblem(packet, bounds=box, hard_bounds=hard)
        rows = torch.tensor(X)

        def losses(latent: Any, index: Any, problem: Any = problem, rows: Any = rows) -> Any:
            return problem.losses(problem.to_unknowns(latent), rows[index])

        start = np.zeros((n_problems, 1))
        first, last = (batched_bfgs(losses, start, max_iterations=limit) for limit in (1, 200))
        first_t0, last_t0 = (
            problem.to_unknowns(torch.tensor(result.x)).numpy()[:, 0] for result in (first, last)
        )
        estimates = (
            MIDDLE + rng.uniform(-np.pi, np.pi, n_problems),
            truth + rng.normal(0.0, 10.0, n_problems),
        )
        found = []
        for estimate in estimates:
            latent = problem.to_latent(torch.tensor(estimate)[:, None])
            step = 0.01 if hard else 0.5
            refined = batched_bfgs(losses, latent, first_step=step)
            found.append("{:.0f} + {:.0f}".format(*shares(refined.fun, last.fun)))
        farther = np.mean(np.abs(last_t0 - truth) > np.abs(MIDDLE - truth))
        moved = np.median(np.abs(first_t0 - MIDDLE))
        lines.append((name, f"{moved:.0f}", f"{100 * farther:.0f}", *found))
    return lines


def compare_trainings(n_problems: int = 32, n_seeds: int = 2) -> list[tuple[Any, ...]]:
    """Return shares and mean loss after trainings of as many steps."""
    lines: list[tuple[Any, ...]] = [
        ("networks", "steps of each", "rate", "kept", "better + equal", "mean loss", "BFGS")
    ]
    packet = WavePacket(width=50.0)
    problem = InverseProblem(packet)
    for n_networks, n_iterations, rate, keep in TRAININGS:
        results = []
        for seed in range(1, n_seeds + 1):
            X, _ = packet.sample(n_problems, random_state=1000 * seed + n_problems)
            direct = DirectInverse(problem, device="cpu").fit(X)
            joint = ReparameterizedInverse(
                problem,
                network=NETWORKS["wave_packet"],
                n_networks=n_networks,
                n_iterations=n_iterations,
                learning_rate=rate,
                keep=keep,
                dtype="float32",
                device="cpu",
                random_state=seed,
            ).fit(X)
            share = shares(joint.loss_, direct.loss_)
            results.append((*share, joint.loss_.mean(), direct.loss_.mean()))
        better, equal, loss, alone = np.mean(results, axis=0)
        share_text = f"{better:.0f} + {equal:.0f}"
        lines.append(
            (n_networks, n_iterations, rate, keep, share_text, f"{loss:.1f}", f"{alone:.1f}")
        )
    return lines


def main() -> None:
    """Write both tables."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    torch.set_num_threads(1)
    tables = {"estimates": compare_estimates, "trainings": compare_trainings}
    for name, compare in tables.items():
        lines = compare()
        with (OUTPUT / f"wave_packet_{name}.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(lines)


if __name__ == "__main__":
    main()
