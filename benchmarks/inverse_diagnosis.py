"""Whether intervals hold the truth as often as they say, and verdicts know which answers are wrong.

    python benchmarks/inverse_diagnosis.py coverage      # or verdicts, or table

`coverage` solves 200 noisy problems of three models and counts the unknowns inside their intervals
of 95 %. `verdicts` solves problems of the four experiments from the best guess and by a race of two
starts, with seeds from which `chance` was not learned, and gives the area under the curve by which
it tells wrong answers from right ones. Wrong is a loss above that of the true unknowns by a
millionth of its spread. Each seed is kept in `--cache`.
"""

from __future__ import annotations

import argparse
import csv
import json
import warnings
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inverse_problems import MODELS
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from sklearn_proxyopt.inverse import DirectInverse, InverseProblem
from sklearn_proxyopt.problems.physics import BilliardShot, WavePacket

N_PROBLEMS = 200
FIRST_SEED = {"coverage": 0, "verdicts": 7}
# Hours at which a drug is measured; bounds of log10 of its absorption, volume and elimination.
HOURS = (0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0)
DRUG_BOUNDS = ((-1.0, 1.0), (0.0, 2.5), (-2.5, 0.0))
DRUG_TRUTHS = np.array([[-0.5, 0.7], [0.5, 2.0], [-1.8, -0.6]])
# Problems of the verdicts: what a flow costs is many times a packet.
N_JUDGED = {
    "wave_packet": 200,
    "billiards": 200,
    "kuramoto_sivashinsky": 100,
    "navier_stokes": 80,
}


def drug(unknowns: Tensor, dose: Tensor) -> Tensor:
    """Return concentrations after one dose, absorbed and eliminated in proportion."""
    absorption, volume, elimination = (10.0**unknowns).split(1, dim=1)
    hours = torch.tensor(HOURS, dtype=unknowns.dtype)
    height = dose / volume * absorption / (absorption - elimination + 1e-9)
    return height * (torch.exp(-elimination * hours) - torch.exp(-absorption * hours))


Sample = tuple[DirectInverse, NDArray[np.float64], NDArray[np.float64], Any]


def billiards(seed: int) -> Sample:
    """Return a solver, problems, their solutions and errors of single problems."""
    model, rng = BilliardShot(), np.random.default_rng(seed)
    X, unknowns = model.sample(N_PROBLEMS, random_state=seed)
    X[:, :2] += 0.02 * rng.standard_normal((N_PROBLEMS, 2))
    problem = InverseProblem(model, noise_std=0.02)
    return DirectInverse(problem, n_starts=5, n_candidates=50, random_state=0), X, unknowns, None


def wave_packets(seed: int) -> Sample:
    """Return the same of packets, whose signals are noisy already."""
    model = WavePacket(width=50.0)
    X, unknowns = model.sample(N_PROBLEMS, random_state=seed)
    problem = InverseProblem(model, noise_std=0.1)
    return DirectInverse(problem, n_starts=30, n_candidates=256, random_state=0), X, unknowns, None


def drugs(seed: int) -> Sample:
    """Return the same of concentrations, with errors that grow with them."""
    rng = np.random.default_rng(seed)
    unknowns = rng.uniform(*DRUG_TRUTHS.T, (N_PROBLEMS, 3))
    dose = rng.choice([100.0, 200.0, 400.0], (N_PROBLEMS, 1))
    exact = drug(torch.tensor(unknowns), torch.tensor(dose)).numpy()
    errors = 0.05 * exact + 0.02
    X = np.hstack([exact + errors * rng.standard_normal(exact.shape), dose])
    problem = InverseProblem(drug, DRUG_BOUNDS, condition_shape=(1,))
    return DirectInverse(problem, n_starts=5, n_candidates=50, random_state=0), X, unknowns, errors


def measure_coverage(draw: Callable[[int], Sample], seed: int) -> dict[str, Any]:
    """Count the true unknowns that lie inside their intervals."""
    solver, X, unknowns, errors = draw(seed)
    known = {} if errors is None else {"noise_std": errors}
    found = solver.fit(X, **known).diagnose(X, solver.solutions_, **known)
    inside = (found.lower <= unknowns) & (unknowns <= found.upper)
    return {"inside": (100 * inside.mean(axis=0)).tolist(), "problems": len(X)}


def measure_verdicts(name: str, seed: int) -> dict[str, Any]:
    """Return the area under the curve for answers of one start and of a race of two."""
    n_problems = N_JUDGED[name]
    X, unknowns = MODELS[name].sample(n_problems, random_state=seed)
    problem = InverseProblem(MODELS[name], noise_std=0.1 if name == "wave_packet" else None)
    cell: dict[str, Any] = {"problems": n_problems}
    for kind, options in (("one start", {}), ("two starts", {"n_starts": 2, "n_candidates": 6})):
        solver = DirectInverse(problem, random_state=seed, **options).fit(X)
        found = solver.diagnose(X, solver.solutions_)
        truth = problem.losses(torch.tensor(unknowns), torch.tensor(X)).numpy()
        spread = solver._problem_set(X).spread.numpy()
        wrong = solver.loss_ > truth + 1e-6 * spread
        is_mixed = 0 < wrong.mean() < 1
        cell[kind] = {
            "auc": float(roc_auc_score(wrong, -found.chance)) if is_mixed else None,
            "wrong": 100 * float(wrong.mean()),
        }
    return cell


CELLS: dict[str, dict[str, Callable[[int], dict[str, Any]]]] = {
    "coverage": {
        "billiards": partial(measure_coverage, billiards),
        "wave packet": partial(measure_coverage, wave_packets),
        "drug": partial(measure_coverage, drugs),
    },
    "verdicts": {name: partial(measure_verdicts, name) for name in MODELS},
}


def run(experiment: str, seeds: int, cache: Path) -> None:
    """Compute the cells that the cache lacks."""
    for seed in range(FIRST_SEED[experiment], FIRST_SEED[experiment] + seeds):
        for name, measure in CELLS[experiment].items():
            path = cache / experiment / name / f"{seed}.json"
            if not path.exists():
                cell = measure(seed)
                path.parent.mkdir(parents=True, exist_ok=True)
                unfinished = path.with_suffix(".part")
                unfinished.write_text(json.dumps(cell))
                unfinished.rename(path)


def write(cache: Path, output: Path) -> None:
    """Write a table of each experiment, from all seeds."""
    tables: dict[str, list[tuple[Any, ...]]] = {
        "coverage": [("problems", "seeds", "of each", "inside, % (each unknown)")],
        "verdicts": [("problems", "answers of", "seeds", "of each", "wrong, %", "AUC")],
    }
    for experiment, lines in tables.items():
        for name in CELLS[experiment]:
            paths = sorted((cache / experiment / name).glob("*.json"))
            cells = [json.loads(path.read_text()) for path in paths]
            if cells:
                title = name.replace("_", " ")
                lines += rows_of(experiment, title, cells)
        path = output / f"{experiment}.csv"
        with path.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(lines)


def rows_of(experiment: str, title: str, cells: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return the rows of one model."""
    size = cells[0]["problems"]
    if experiment == "coverage":
        each = np.mean([cell["inside"] for cell in cells], axis=0)
        return [(title, len(cells), size, ", ".join(f"{share:.1f}" for share in each))]
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for cell in cells:
        for kind in ("one start", "two starts"):
            if cell[kind]["auc"] is not None:
                found[kind].append(cell[kind])
    return [
        (
            *(title, kind, len(own), size),
            f"{np.mean([one['wrong'] for one in own]):.0f}",
            f"{np.mean([one['auc'] for one in own]):.3f}",
        )
        for kind, own in found.items()
    ]


def main() -> None:
    """Run an experiment and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", choices=[*CELLS, "table"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=Path(".cache/inverse_diagnosis"))
    parser.add_argument("--output", type=Path, default=Path("docs/results/inverse"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if options.experiment != "table":
        run(options.experiment, options.seeds, options.cache)
    write(options.cache, options.output)


if __name__ == "__main__":
    main()
