"""A Gaussian process with the logarithm of expected improvement, by BoTorch."""

from __future__ import annotations

import warnings

import numpy as np

from peers.meter import Meter

__all__ = ["log_ei"]


def log_ei(fun: Meter, dim: int, budget: int, seed: int) -> None:
    """Buy the point of greatest log-EI after a Sobol design of twice as many as variables."""
    import torch
    from botorch import fit_gpytorch_mll
    from botorch.acquisition import LogExpectedImprovement
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Standardize
    from botorch.optim import optimize_acqf
    from gpytorch.mlls import ExactMarginalLogLikelihood
    from scipy.stats import qmc

    torch.manual_seed(seed)
    cube = torch.tensor([[0.0] * dim, [1.0] * dim], dtype=torch.float64)
    design = qmc.Sobol(dim, rng=np.random.default_rng(seed)).random(2 * dim)
    X = torch.tensor(design)
    y = torch.tensor([[fun(point)] for point in design], dtype=torch.float64)
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = SingleTaskGP(X, -y, outcome_transform=Standardize(1))
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            acquisition = LogExpectedImprovement(model, best_f=-y.min())
            point, _ = optimize_acqf(acquisition, cube, q=1, num_restarts=10, raw_samples=512)
        X = torch.cat([X, point])
        y = torch.cat([y, torch.tensor([[fun(point[0].numpy())]], dtype=torch.float64)])
