"""Optuna's samplers."""

from __future__ import annotations

import warnings
from typing import Any

from peers.meter import Meter

__all__ = ["optuna_gp", "optuna_tpe"]


def optuna_tpe(fun: Meter, dim: int, budget: int, seed: int) -> None:
    """Run the tree-structured Parzen estimator, multivariate as its documentation advises."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
    _run(sampler, fun, dim)


def optuna_gp(fun: Meter, dim: int, budget: int, seed: int) -> None:
    """Run the Gaussian process, told that the function has no noise."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.GPSampler(seed=seed, deterministic_objective=True)
    _run(sampler, fun, dim)


def _run(sampler: Any, fun: Meter, dim: int) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=sampler)
    while True:
        trial = study.ask()
        point = [trial.suggest_float(f"x{i}", 0.0, 1.0) for i in range(dim)]
        study.tell(trial, fun(point))
