"""How much faster a batch of BFGS searches is than SciPy's on one problem after another.

Both minimise the same losses of the same forward models from the same starts to the same tolerance,
with gradients from the same torch functions. Per model the seconds of both are printed, and the
share of problems on which both end in the same minimum.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize

from sklearn_proxyopt.inverse import InverseProblem
from sklearn_proxyopt.inverse._problem_set import ProblemSet
from sklearn_proxyopt.optimizers import batched_bfgs
from sklearn_proxyopt.problems.physics import BilliardShot, KuramotoSivashinsky, WavePacket

MODELS = {
    "wave_packet": WavePacket(),
    "billiards": BilliardShot(),
    "kuramoto_sivashinsky": KuramotoSivashinsky(),
}


def compare(name: str, n_problems: int, tolerance: float) -> dict[str, object]:
    """Solve the problems of a model both ways."""
    model = MODELS[name]
    X, _ = model.sample(n_problems, random_state=0)
    problems = ProblemSet(InverseProblem(model), torch.tensor(X))
    start = problems.start.numpy()

    def alone(x: np.ndarray, row: torch.Tensor) -> tuple[float, np.ndarray]:
        latent = torch.tensor(x)[None].requires_grad_()
        loss = problems.losses(latent, row)
        (gradient,) = torch.autograd.grad(loss.sum(), latent)
        return loss.item(), gradient[0].numpy()

    alone(start[0], torch.tensor([0]))
    batched_bfgs(problems.losses, start[:2], tolerance=tolerance, max_iterations=2)
    begin = time.perf_counter()
    batch = batched_bfgs(problems.losses, start, tolerance=tolerance)
    batch_seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    single = [
        minimize(
            alone,
            start[row],
            args=(torch.tensor([row]),),
            jac=True,
            method="BFGS",
            options={"gtol": tolerance},
        )
        for row in range(n_problems)
    ]
    single_seconds = time.perf_counter() - begin
    values = np.array([result.fun for result in single])
    places = np.array([result.x for result in single])
    near = np.abs(batch.x - places).max(axis=1) <= 1e-3 * (1 + np.abs(places).max(axis=1))
    same = near | (np.abs(batch.fun - values) <= 1e-6 * (1 + np.abs(values)))
    return {
        "model": name,
        "n_problems": n_problems,
        "batch_seconds": round(batch_seconds, 3),
        "scipy_seconds": round(single_seconds, 3),
        "times_faster": round(single_seconds / batch_seconds, 1),
        "same_minimum_percent": round(100 * float(same.mean()), 1),
        "batch_evaluations": round(float(batch.nfev.mean()), 1),
        "scipy_evaluations": round(float(np.mean([result.nfev for result in single])), 1),
    }


def main() -> None:
    """Compare on each model, print the figures, write them down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--problems", type=int, default=256)
    parser.add_argument("--tolerance", type=float, default=1e-5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--output", type=Path, default=Path("docs/results/inverse/batched_bfgs.csv")
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for name in options.models:
        rows.append(compare(name, options.problems, options.tolerance))
        print(rows[-1], flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with options.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
