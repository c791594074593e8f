"""Random search, differential evolution and CMA-ES."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from peers.meter import Meter

__all__ = ["cma_es", "differential_evolution", "random_search"]


def random_search(fun: Meter, dim: int, budget: int, seed: int) -> None:
    """Draw points evenly at random."""
    rng = np.random.default_rng(seed)
    while True:
        fun(rng.uniform(size=dim))


def differential_evolution(fun: Meter, dim: int, budget: int, seed: int) -> None:
    """Run scipy's with its defaults; begin again where it converges early."""
    from scipy.optimize import differential_evolution

    rng = np.random.default_rng(seed)
    while True:
        differential_evolution(fun, [(0.0, 1.0)] * dim, rng=rng)


def cma_es(fun: Meter, dim: int, budget: int, seed: int, population: int | None = None) -> None:
    """Run cma with restarts: from the middle first, then from points at random.

    They are those of BIPOP; with a population that is given, it stays as large.
    """
    import cma

    rng = np.random.default_rng(seed)
    middle = [np.full(dim, 0.5)]

    def start() -> NDArray[np.float64]:
        return middle.pop() if middle else rng.uniform(size=dim)

    sizes = {"bipop": True} if population is None else {"incpopsize": 1}
    options = {"bounds": [0.0, 1.0], "seed": seed + 1, "verbose": -9, "verb_log": 0}
    if population is not None:
        options["popsize"] = population
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while True:
            cma.fmin2(
                fun,
                start,
                0.3,
                {**options, "maxfevals": fun.left + 1},
                restarts=9,
                **sizes,
            )
            options["seed"] = int(rng.integers(1, 2**31))
