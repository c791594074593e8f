"""Differential evolution, by SciPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, differential_evolution

from sklearn_proxyopt._utils._validation import check_integer, check_option, check_real
from sklearn_proxyopt.optimizers._base import (
    BaseOptimizer,
    SearchCallback,
    UnitCubeFunction,
    report,
)
from sklearn_proxyopt.optimizers._candidates import distinct_minima

__all__ = ["DifferentialEvolution"]

STRATEGIES = tuple(
    f"{strategy}{crossover}"
    for crossover in ("bin", "exp")
    for strategy in ("best1", "best2", "rand1", "rand2", "randtobest1", "currenttobest1")
)


class DifferentialEvolution(BaseOptimizer):
    """A population moved by the differences of its members.

    Each generation is evaluated in one call of the function.

    Parameters
    ----------
    population_size : int, default=100
        Number of members, at least 5.
    n_generations : int, default=300
        Most generations.
    strategy : str, default="best1bin"
        How trial vectors are made, see `scipy.optimize.differential_evolution`.
    mutation : float, default=None
        Weight of the differences, in [0, 2]. None draws one in [0.5, 1] for each generation.
    recombination : float, default=0.7
        Chance of each variable to come from the trial vector.
    tolerance : float, default=1e-8
        The search has converged when the standard deviation of the values is below this share of
        their mean.
    random_state : None, int, RandomState or Generator, default=None
        Draws the population and its moves.

    Attributes
    ----------
    bounds_ : ndarray of shape (n_features, 2)
        The bounds read by `fit`, if it was called.

    References
    ----------
    .. [1] Storn and Price, "Differential Evolution - a Simple and Efficient Heuristic for Global
       Optimization over Continuous Spaces", Journal of Global Optimization 11, 1997,
       :doi:`10.1023/A:1008202821328`.

    Examples
    --------
    >>> from sklearn_proxyopt.optimizers import DifferentialEvolution
    >>> from sklearn_proxyopt.problems import Rastrigin
    >>> problem = Rastrigin(n_dims=2)
    >>> result = DifferentialEvolution(random_state=0).minimize(problem, problem.bounds)
    >>> bool(result.fun < 1e-6)
    True
    """

    def __init__(
        self,
        population_size: int = 100,
        n_generations: int = 300,
        *,
        strategy: str = "best1bin",
        mutation: float | None = None,
        recombination: float = 0.7,
        tolerance: float = 1e-8,
        random_state: Any = None,
    ) -> None:
        self.population_size = population_size
        self.n_generations = n_generations
        self.strategy = strategy
        self.mutation = mutation
        self.recombination = recombination
        self.tolerance = tolerance
        self.random_state = random_state

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        check_integer(self.population_size, "population_size", minimum=5)
        check_integer(self.n_generations, "n_generations")
        check_option(self.strategy, "strategy", STRATEGIES)
        if self.mutation is not None:
            check_real(self.mutation, "mutation", minimum=0.0, maximum=2.0)
        check_real(self.recombination, "recombination", minimum=0.0, maximum=1.0)
        check_real(self.tolerance, "tolerance", minimum=0.0)

    def _search(
        self,
        fun: UnitCubeFunction,
        x0: NDArray[np.float64] | None,
        rng: np.random.Generator,
        callback: SearchCallback | None,
    ) -> OptimizeResult:
        size = self.population_size
        n_features = len(fun.bounds)
        population = rng.random((size, n_features))
        if x0 is not None:
            population[: len(x0)] = x0[:size]

        errors: list[Exception] = []

        def values_of(columns: NDArray[np.float64]) -> NDArray[np.float64]:
            try:
                return fun(columns.T)
            except Exception as error:
                errors.append(error)
                raise

        def stop(intermediate_result: OptimizeResult) -> bool:
            state = intermediate_result
            return report(callback, fun, state.x, state.fun, state.nit)

        try:
            result = differential_evolution(
                values_of,
                [(0.0, 1.0)] * n_features,
                strategy=self.strategy,
                maxiter=self.n_generations,
                popsize=math.ceil(size / n_features),
                init=population,
                mutation=(0.5, 1.0) if self.mutation is None else self.mutation,
                recombination=self.recombination,
                tol=self.tolerance,
                callback=stop if callback is not None else None,
                polish=False,
                updating="deferred",
                vectorized=True,
                rng=rng,
            )
        except RuntimeError:
            # SciPy replaces an error of the function by one of its own.
            if errors:
                raise errors[0] from None
            raise
        points, values = distinct_minima(
            np.vstack([result.x, result.population]),
            np.concatenate([[result.fun], result.population_energies]),
        )
        return OptimizeResult(
            x=points[0],
            fun=float(values[0]),
            nit=result.nit,
            success=bool(np.isfinite(values[0])),
            message=str(result.message),
            x_candidates=points,
            fun_candidates=values,
        )
