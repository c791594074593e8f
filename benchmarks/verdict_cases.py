"""Optima of functions whose truth is known, and the evidence on each: cases of `verdicts.py`.

A case is a function of one of the families of `verdict_functions.py`, a table of rows or a run with
a budget, how many rows, whether they repeat or have noise, which variables are integers or labels,
a constraint, and a proxy. Every other case is of a family that nothing is learned from.
"""

from __future__ import annotations

import json
import time
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import LinearConstraint
from sklearn.ensemble import RandomForestRegressor
from threadpoolctl import threadpool_limits
from verdict_functions import LEARNED, UNSEEN, Function

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt._run._diagnose import asked
from sklearn_proxyopt.diagnosis._evidence import Evidence
from sklearn_proxyopt.samplers import HaltonSampler, SobolSampler, UniformSampler
from sklearn_proxyopt.variables import Categorical, Integer, Real

Rows = NDArray[np.float64]

N_DIMS, OF_DIMS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20), (1, 5, 5, 4, 3, 3, 2, 2, 1, 1)
N_ROWS, OF_ROWS = (
    (20, 40, 60, 100, 200, 400, 1000, 2000, 5000),
    (5, 6, 6, 6, 4, 1.5, 0.2, 0.08, 0.04),
)
# Cases from this number on are of large tables.
FIRST_LARGE, OF_LARGE_ROWS = 10_000, (0, 0, 0, 0, 0, 4, 3, 1, 0.5)
BUDGETS = (20, 30, 50, 80, 120)
# Standard deviations of noise, as shares of that of the values.
NOISES, OF_NOISES = (0.0, 0.01, 0.03, 0.1), (7, 1, 1, 1)
PROXIES, OF_PROXIES = ("default", "gp", "neural", "forest"), (16, 2, 1, 1)
SPACES, OF_SPACES = ("box", "integers", "labels", "constraint"), (8, 1, 1, 1)
SAMPLERS = {"sobol": SobolSampler, "halton": HaltonSampler, "uniform": UniformSampler}
N_CHECKS = 5


def _one_of(rng: np.random.Generator, options: tuple[Any, ...], odds: tuple[float, ...]) -> Any:
    return options[rng.choice(len(options), p=np.array(odds) / np.sum(odds))]


def draw_case(index: int) -> dict[str, Any]:
    """Draw a case by its number."""
    rng = np.random.default_rng(index)
    is_large = index >= FIRST_LARGE
    families = list(UNSEEN) if index % 2 else list(LEARNED)
    return {
        "index": index,
        "is_unseen": bool(index % 2),
        "family": families[(index // 2) % len(families)],
        "n_dims": int(_one_of(rng, N_DIMS, OF_DIMS)),
        "is_run": bool(rng.random() < 0.4) and not is_large,
        "n_rows": int(_one_of(rng, N_ROWS, OF_LARGE_ROWS if is_large else OF_ROWS)),
        "budget": int(rng.choice(BUDGETS)),
        "noise": float(_one_of(rng, NOISES, OF_NOISES)),
        "n_repeats": int(rng.choice([1, 1, 1, 2])),
        "space": str(_one_of(rng, SPACES, OF_SPACES)),
        "proxy": str(_one_of(rng, PROXIES, OF_PROXIES)),
        "sampler": str(rng.choice(list(SAMPLERS))),
        "seed": int(rng.integers(2**31 - 1)),
    }


class Space:
    """A function on variables of several kinds, of which one setting is its minimum.

    Parameters
    ----------
    function : Function
        The function.
    kind : {"box", "integers", "labels", "constraint"}
        What is not plain about the variables. A function whose minimum has no known place stays
        on its box.
    rng : Generator
        Draws where the steps lie.
    """

    def __init__(self, function: Function, kind: str, rng: np.random.Generator) -> None:
        self.function = function
        self.bounds: list[Any] = [Real(low, high) for low, high in function.bounds]
        self.constraints: Any = ()
        self._grids: dict[int, Rows] = {}
        if function.x_opt is None or len(function.bounds) < 2:
            return
        if kind == "constraint":
            normal = rng.standard_normal(len(function.bounds))
            normal /= np.abs(normal).max() * np.ptp(function.bounds, axis=1)
            # The middle of the box is feasible too: beyond a corner nothing would be.
            normal *= np.sign(normal @ (function.x_opt - function.bounds.mean(axis=1)))
            slack = rng.choice([0.0, 0.1])
            self.constraints = LinearConstraint(normal, ub=normal @ function.x_opt + slack)
        elif kind != "box":
            for place in range(0, len(function.bounds), 2):
                self._put_on_grid(place, kind, rng)

    def _put_on_grid(self, place: int, kind: str, rng: np.random.Generator) -> None:
        """Let a variable have a few values, the best among them."""
        low, high = self.function.bounds[place]
        assert self.function.x_opt is not None
        n = int(rng.integers(4, 12)) if kind == "integers" else 4
        grid = np.append(rng.uniform(low, high, n - 1), self.function.x_opt[place])
        self._grids[place] = np.sort(grid) if kind == "integers" else grid
        levels = [f"level {i}" for i in range(n)]
        self.bounds[place] = Integer(0, n - 1) if kind == "integers" else Categorical(levels)

    def __call__(self, X: Rows) -> Rows:
        """Return the true values of rows with codes."""
        X = np.array(X, dtype=np.float64)
        for place, grid in self._grids.items():
            X[:, place] = grid[X[:, place].round().astype(int)]
        return self.function(X)


class Noisy:
    """The function as the optimizer sees it.

    Parameters
    ----------
    space : Space
        The true values.
    noise : float
        Standard deviation of the noise.
    seed : int
        Draws it.
    """

    def __init__(self, space: Space, noise: float, seed: int) -> None:
        self._space, self._noise = space, noise
        self._rng = np.random.default_rng(seed)

    def __call__(self, X: Rows) -> Rows:
        """Return values with noise."""
        return self._space(X) + self._noise * self._rng.standard_normal(len(X))


def optimizer_of(case: dict[str, Any], space: Space) -> ProxyOptimizer:
    """Return the optimizer of a case, not fitted."""
    proxies = {"default": None, "gp": "gp", "neural": "neural", "forest": RandomForestRegressor(50)}
    return ProxyOptimizer(
        bounds=space.bounds,
        constraints=space.constraints,
        proxy=proxies[case["proxy"]],
        verdict=False,
        random_state=case["seed"],
        input_format="array",
        vectorized=True,
    )


def run_case(case: dict[str, Any]) -> dict[str, Any]:
    """Learn a table or spend a budget, and gather what is known of the optima."""
    makers = UNSEEN if case["is_unseen"] else LEARNED
    function = makers[case["family"]](case["n_dims"], case["seed"])
    rng = np.random.default_rng(case["seed"])
    space = Space(function, case["space"], rng)
    optimizer = optimizer_of(case, space)
    sampler = SAMPLERS[case["sampler"]](1000, random_state=0)
    usual = space(optimizer_rows(optimizer, sampler))
    noise = case["noise"] * float(usual.std())
    objective = Noisy(space, noise, case["seed"])
    start = time.process_time()
    kept: dict[str, Any] = {"f_opt": function.f_opt, "noise_std": noise}
    if case["is_run"]:
        optimizer.set_params(n_repeats=1)
        optimizer.minimize(objective, budget=case["budget"])
        subjects = {"refined": {"of": "answer"}, "checks": {"of": "proxy", "n_checks": N_CHECKS}}
    else:
        sampler = SAMPLERS[case["sampler"]](case["n_rows"], random_state=case["seed"])
        X = np.repeat(optimizer_rows(optimizer, sampler), case["n_repeats"], axis=0)
        optimizer.fit(X, objective(X))
        subjects = {"rows": {"of": "proxy"}, "checks": {"of": "proxy", "n_checks": N_CHECKS}}
    for mode, options in subjects.items():
        question, evidence = asked(
            optimizer._known, objective if mode == "checks" else None, **options
        )
        for field in fields(Evidence):
            kept[f"{mode}_{field.name}"] = getattr(evidence, field.name)
        kept[f"{mode}_regret"] = question.regret
        kept[f"{mode}_value"] = space(question.x[None])[0]
        kept[f"{mode}_asked_as"] = question.mode
    kept["seconds"] = time.process_time() - start
    return kept


def optimizer_rows(optimizer: ProxyOptimizer, sampler: Any) -> Rows:
    """Return the rows of a design in the space of an optimizer."""
    from sklearn_proxyopt.variables import Variables
    from sklearn_proxyopt.variables._design import Design

    variables = Variables(optimizer.bounds, constraints=optimizer.constraints)
    return Design(sampler, variables).sample()


def make_case(index: int, folder: Path, max_rows: float) -> None:
    """Run a case, unless its file is there or it takes more rows than are wanted now."""
    path, case = folder / f"{index:05d}.npz", draw_case(index)
    if path.exists() or case["budget" if case["is_run"] else "n_rows"] > max_rows:
        return
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        kept = run_case(case)
    part = path.with_suffix(".part.npz")
    np.savez_compressed(part, case=json.dumps(case), **kept)
    part.rename(path)
