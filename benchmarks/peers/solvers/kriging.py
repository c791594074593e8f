"""Efficient global optimization by SMT, and gp_minimize by scikit-optimize."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from peers.meter import Meter

__all__ = ["skopt_gp", "smt_ego"]


def smt_ego(fun: Meter, dim: int, budget: int, seed: int) -> None:
    """Run EGO with expected improvement after a Latin hypercube of twice as many as variables."""
    from smt.applications import EGO
    from smt.design_space import DesignSpace
    from smt.surrogate_models import KRG

    def column(X: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([[fun(point)] for point in X])

    space = DesignSpace(np.array([[0.0, 1.0]] * dim), seed=seed)
    ego = EGO(
        n_iter=budget,
        criterion="EI",
        n_doe=2 * dim,
        surrogate=KRG(design_space=space, print_global=False),
        seed=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ego.optimize(fun=column)


def skopt_gp(fun: Meter, dim: int, budget: int, seed: int) -> None:
    """Run gp_minimize with its defaults, told that the function has no noise."""
    import skopt

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        skopt.gp_minimize(fun, [(0.0, 1.0)] * dim, n_calls=budget, noise=1e-10, random_state=seed)
