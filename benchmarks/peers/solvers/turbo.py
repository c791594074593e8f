"""TuRBO-1: Thompson samples of a Gaussian process in one trust region, by BoTorch.

Eriksson, Pearce, Gardner, Turner and Poloczek, "Scalable Global Optimization via Local Bayesian
Optimization" (2019), with the constants of the paper. The model is that of BoTorch's tutorial.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peers.meter import Meter

__all__ = ["BATCH", "TrustRegion", "turbo_1"]

BATCH = 10  # points bought at once, as in the paper's examples
N_ADAM_STEPS = 50
N_FEW_CHANGED = 20  # variables of a candidate that differ from the best row, on average


@dataclass
class TrustRegion:
    """The side of the box around the best row, in widths of the cube.

    Parameters
    ----------
    dim : int
        Number of variables.
    batch : int, default=10
        Points bought at once.
    """

    dim: int
    batch: int = BATCH
    length: float = 0.8
    shortest: float = 0.5**7
    longest: float = 1.6
    success_tolerance: int = 3
    n_successes: int = 0
    n_failures: int = 0

    @property
    def failure_tolerance(self) -> int:
        """How many batches in a row without a gain halve the length."""
        return math.ceil(max(4.0, self.dim) / self.batch)

    @property
    def is_spent(self) -> bool:
        """Whether it has shrunk so far that the search begins again elsewhere."""
        return self.length < self.shortest

    def tell(self, best_of_batch: float, best: float) -> None:
        """Grow after successes in a row, shrink after failures; `best` is of the rows before."""
        if best_of_batch < best - 1e-3 * abs(best):
            self.n_successes, self.n_failures = self.n_successes + 1, 0
        else:
            self.n_successes, self.n_failures = 0, self.n_failures + 1
        if self.n_successes == self.success_tolerance:
            self.length, self.n_successes = min(2.0 * self.length, self.longest), 0
        elif self.n_failures == self.failure_tolerance:
            self.length, self.n_failures = 0.5 * self.length, 0


def turbo_1(fun: Meter, dim: int, budget: int, seed: int, batch: int = BATCH) -> None:
    """Search region after region, each from a new Sobol design of twice as many as variables."""
    import torch

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    while True:
        _search_region(fun, TrustRegion(dim, batch), rng)


def _search_region(fun: Meter, region: TrustRegion, rng: np.random.Generator) -> None:
    from scipy.stats import qmc

    dim = region.dim
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        X = qmc.Sobol(dim, rng=rng).random(2 * dim)
        y = np.array([fun(point) for point in X])
        while not region.is_spent:
            batch = _thompson_batch(X, y, region, rng)
            values = np.array([fun(point) for point in batch])
            region.tell(values.min(), y.min())
            X, y = np.vstack([X, batch]), np.append(y, values)


def _model(X: NDArray[np.float64], y: NDArray[np.float64]) -> Any:
    """Return a fitted Gaussian process of standardised values.

    Where rows lie so close that L-BFGS fails, its numbers come from 50 steps of Adam, which is
    how the paper's own code fits them all.
    """
    from botorch import fit_gpytorch_mll
    from botorch.exceptions import ModelFittingError
    from botorch.optim.fit import fit_gpytorch_mll_torch
    from gpytorch.mlls import ExactMarginalLogLikelihood

    model = _unfitted(X, y)
    try:
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    except ModelFittingError:
        model = _unfitted(X, y)
        mll = ExactMarginalLogLikelihood(model.likelihood, model).train()
        fit_gpytorch_mll_torch(mll, step_limit=N_ADAM_STEPS)
        mll.eval()
    return model


def _unfitted(X: NDArray[np.float64], y: NDArray[np.float64]) -> Any:
    import torch
    from botorch.models import SingleTaskGP
    from gpytorch.constraints import Interval
    from gpytorch.kernels import MaternKernel, ScaleKernel
    from gpytorch.likelihoods import GaussianLikelihood

    scaled = (y - y.mean()) / (y.std() or 1.0)
    kernel = MaternKernel(
        nu=2.5, ard_num_dims=X.shape[1], lengthscale_constraint=Interval(0.005, 4.0)
    )
    return SingleTaskGP(
        torch.tensor(X),
        torch.tensor(scaled).unsqueeze(1),
        covar_module=ScaleKernel(kernel),
        likelihood=GaussianLikelihood(noise_constraint=Interval(1e-8, 1e-3)),
        outcome_transform=None,
    )


def _thompson_batch(
    X: NDArray[np.float64],
    y: NDArray[np.float64],
    region: TrustRegion,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return where each of several draws of the process is lowest among candidates."""
    import torch
    from botorch.generation import MaxPosteriorSampling
    from scipy.stats import qmc

    model = _model(X, -y)
    dim, best = X.shape[1], X[np.argmin(y)]
    # Longer where the function changes slowly, at the same volume.
    scales = model.covar_module.base_kernel.lengthscale.squeeze().detach().numpy().reshape(dim)
    weights = scales / np.exp(np.log(scales).mean())
    lower = np.clip(best - weights * region.length / 2, 0.0, 1.0)
    upper = np.clip(best + weights * region.length / 2, 0.0, 1.0)
    n_candidates = min(5000, max(2000, 200 * dim))
    candidates = lower + (upper - lower) * qmc.Sobol(dim, rng=rng).random(n_candidates)
    changed = rng.uniform(size=candidates.shape) <= min(N_FEW_CHANGED / dim, 1.0)
    unchanged = np.flatnonzero(~changed.any(axis=1))
    changed[unchanged, rng.integers(dim, size=len(unchanged))] = True
    candidates = np.where(changed, candidates, best)
    with torch.no_grad():
        draws = MaxPosteriorSampling(model, replacement=False)
        return np.asarray(draws(torch.tensor(candidates), num_samples=region.batch))
