"""The tools that the quickstart runs beside `ProxyOptimizer`, each with the same number of runs.

They minimize, so they are given minus the value. A failed run is the worst value that they have
seen, since none of them knows failures.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress

import cma
import numpy as np
import optuna
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

__all__ = ["OTHER_TOOLS", "Recorder", "values_found"]

# What a failed run is worth before any run has succeeded.
_FIRST_FAILURE = 100.0


class RunsSpentError(Exception):
    """The tool asked for one run more than it has."""


class Recorder:
    """Calls the simulator, keeps every value, and ends once the runs are spent.

    Parameters
    ----------
    simulate : callable
        Takes a point (n_variables,) and returns the value to be maximized; raises ValueError
        where a run fails.
    bounds : array-like of shape (n_variables, 2)
        The search space.
    n_runs : int
        How many calls there are.
    """

    def __init__(
        self, simulate: Callable[[NDArray[np.float64]], float], bounds: ArrayLike, n_runs: int
    ) -> None:
        self.low, self.high = np.asarray(bounds, dtype=float).T
        self.n_runs = n_runs
        self.values: list[float] = []
        self._simulate = simulate

    def loss(self, share: ArrayLike) -> float:
        """Return minus the value at a point of the unit cube."""
        if len(self.values) >= self.n_runs:
            raise RunsSpentError
        point = self.low + np.clip(share, 0.0, 1.0) * (self.high - self.low)
        try:
            value = float(self._simulate(point))
        except ValueError:
            value = np.nan
        self.values.append(value)
        worst = np.nanmin(self.values) if np.isfinite(self.values).any() else -_FIRST_FAILURE
        return -(worst if np.isnan(value) else value)


def cma_es(recorder: Recorder, seed: int) -> None:
    """Run CMA-ES with restarts in which populations of two sizes take turns (BIPOP)."""
    n_variables = len(recorder.low)
    options = {"seed": seed + 1, "bounds": [0.0, 1.0], "verbose": -9, "maxfevals": recorder.n_runs}
    cma.fmin2(recorder.loss, [0.5] * n_variables, 0.3, options, bipop=True, restarts=20)


def tpe(recorder: Recorder, seed: int) -> None:
    """Run Optuna's tree-structured Parzen estimator, multivariate as its documentation advises."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
    study = optuna.create_study(sampler=sampler)
    n_variables = len(recorder.low)
    study.optimize(
        lambda trial: recorder.loss(
            [trial.suggest_float(f"x{j}", 0.0, 1.0) for j in range(n_variables)]
        ),
        n_trials=recorder.n_runs,
    )


def cobyqa(recorder: Recorder, seed: int) -> None:
    """Run SciPy's COBYQA from random points, one after the other."""
    rng = np.random.default_rng(seed)
    n_variables = len(recorder.low)
    while len(recorder.values) < recorder.n_runs:
        start = rng.uniform(size=n_variables)
        minimize(
            recorder.loss,
            start,
            method="COBYQA",
            bounds=[(0.0, 1.0)] * n_variables,
            options={"initial_tr_radius": 0.2},
        )


OTHER_TOOLS = {"CMA-ES": cma_es, "TPE (Optuna)": tpe, "COBYQA, restarts": cobyqa}


def values_found(name: str, recorder: Recorder, seed: int) -> NDArray[np.float64]:
    """Run a tool until its runs are spent; return the value of each run, NaN where it failed."""
    with suppress(RunsSpentError):
        OTHER_TOOLS[name](recorder, seed)
    return np.array(recorder.values)
