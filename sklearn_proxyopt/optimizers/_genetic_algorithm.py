"""A genetic algorithm on real vectors, by deap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._utils._global_random import BorrowedStream
from sklearn_proxyopt._utils._validation import check_integer, check_real
from sklearn_proxyopt.optimizers._base import (
    BaseOptimizer,
    SearchCallback,
    UnitCubeFunction,
    report,
)
from sklearn_proxyopt.optimizers._candidates import distinct_minima
from sklearn_proxyopt.optimizers._convergence import Convergence
from sklearn_proxyopt.optimizers._deap import deap_tools

if TYPE_CHECKING:
    from sklearn_proxyopt.optimizers._individual import Individual

__all__ = ["GeneticAlgorithm"]


class GeneticAlgorithm(BaseOptimizer):
    """A population that is selected, crossed and mutated.

    Tournaments choose the parents; simulated binary crossover and polynomial mutation, both
    bounded [1]_, make the offspring; the best individuals go on unchanged. Each generation is
    evaluated in one call.

    Parameters
    ----------
    population_size : int, default=100
        Number of individuals.
    n_generations : int, default=150
        Number of generations.
    crossover_probability : float, default=0.9
        Share of the pairs of parents that are crossed.
    mutation_probability : float, default=None
        Chance of each variable to be mutated. None takes 1 / n_features.
    crossover_eta : float, default=10.0
        Crowding of crossover: the larger, the closer children are to their parents.
    mutation_eta : float, default=20.0
        Crowding of mutation.
    tournament_size : int, default=3
        Individuals in a tournament.
    n_elites : int, default=2
        Best individuals that go on unchanged.
    n_iter_no_change : int or None, default=None
        Stop after this many generations without a lower value; None makes them all.
    random_state : None, int, RandomState or Generator, default=None
        Draws the population and its changes. The global generators, which deap draws from, are
        put back as they were.

    Attributes
    ----------
    bounds_ : ndarray of shape (n_features, 2)
        The bounds read by `fit`, if it was called.

    References
    ----------
    .. [1] Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm:
       NSGA-II", 2002, :doi:`10.1109/4235.996017`.

    Examples
    --------
    >>> from sklearn_proxyopt.optimizers import GeneticAlgorithm
    >>> from sklearn_proxyopt.problems import Rastrigin
    >>> problem = Rastrigin(n_dims=2)
    >>> optimizer = GeneticAlgorithm(population_size=40, n_generations=60, random_state=0)
    >>> bool(optimizer.minimize(problem, problem.bounds).fun < 1e-2)
    True
    """

    def __init__(
        self,
        population_size: int = 100,
        n_generations: int = 150,
        *,
        crossover_probability: float = 0.9,
        mutation_probability: float | None = None,
        crossover_eta: float = 10.0,
        mutation_eta: float = 20.0,
        tournament_size: int = 3,
        n_elites: int = 2,
        n_iter_no_change: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.population_size = population_size
        self.n_generations = n_generations
        self.crossover_probability = crossover_probability
        self.mutation_probability = mutation_probability
        self.crossover_eta = crossover_eta
        self.mutation_eta = mutation_eta
        self.tournament_size = tournament_size
        self.n_elites = n_elites
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        size = check_integer(self.population_size, "population_size", minimum=2)
        check_integer(self.n_generations, "n_generations")
        check_integer(self.tournament_size, "tournament_size")
        check_integer(self.n_elites, "n_elites", minimum=0, maximum=size - 1)
        check_real(self.crossover_probability, "crossover_probability", minimum=0.0, maximum=1.0)
        if self.mutation_probability is not None:
            check_real(self.mutation_probability, "mutation_probability", minimum=0.0, maximum=1.0)
        check_real(self.crossover_eta, "crossover_eta", minimum=0.0)
        check_real(self.mutation_eta, "mutation_eta", minimum=0.0)
        if self.n_iter_no_change is not None:
            check_integer(self.n_iter_no_change, "n_iter_no_change")

    def _search(
        self,
        fun: UnitCubeFunction,
        x0: NDArray[np.float64] | None,
        rng: np.random.Generator,
        callback: SearchCallback | None,
    ) -> OptimizeResult:
        tools = deap_tools("GeneticAlgorithm")

        from sklearn_proxyopt.optimizers._individual import Individual

        n_features = len(fun.bounds)
        start = rng.random((self.population_size, n_features))
        if x0 is not None:
            start[: len(x0)] = x0[: self.population_size]
        population = [Individual(row) for row in start.tolist()]
        _evaluate(fun, population)

        first = np.array([one.fitness.values[0] for one in population])
        convergence = Convergence(first, self.n_iter_no_change)
        stream, nit = BorrowedStream(rng), 0
        message = f"Made all of its {self.n_generations} generations."
        while nit < self.n_generations:
            elites = tools.selBest(population, self.n_elites)
            with stream.borrowed():
                offspring = self._breed(population, n_features)
            offspring = offspring[: self.population_size - len(elites)]
            _evaluate(fun, [child for child in offspring if not child.fitness.valid])
            population = elites + offspring
            nit += 1
            best = tools.selBest(population, 1)[0]
            value = float(best.fitness.values[0])
            if report(callback, fun, np.array(best), value, nit):
                message = "Stopped by the callback."
                break
            if convergence.is_reached(value):
                message = f"No lower value in {self.n_iter_no_change} generations."
                break
        points, values = distinct_minima(
            np.array(population), np.array([one.fitness.values[0] for one in population])
        )
        found = bool(np.isfinite(values[0]))
        return OptimizeResult(
            x=points[0],
            fun=float(values[0]),
            nit=nit,
            success=found,
            message=message if found else "No finite value was found.",
            x_candidates=points,
            fun_candidates=values,
        )

    def _breed(self, population: list[Individual], n_features: int) -> list[Individual]:
        """Return as many offspring as there are individuals; the changed ones have no fitness."""
        import random

        tools = deap_tools("GeneticAlgorithm")
        parents = tools.selTournament(population, len(population), self.tournament_size)
        offspring = [parent.copy() for parent in parents]
        chance = (
            1.0 / n_features if self.mutation_probability is None else self.mutation_probability
        )
        for first, second in zip(offspring[::2], offspring[1::2], strict=False):
            if random.random() < self.crossover_probability:
                tools.cxSimulatedBinaryBounded(first, second, self.crossover_eta, 0.0, 1.0)
                first.fitness.reset()
                second.fitness.reset()
        for child in offspring:
            before = list(child)
            tools.mutPolynomialBounded(child, self.mutation_eta, 0.0, 1.0, chance)
            if child != before:
                child.fitness.reset()
        return offspring


def _evaluate(fun: UnitCubeFunction, individuals: list[Individual]) -> None:
    """Evaluate individuals in one call."""
    if not individuals:
        return
    values = fun(np.clip(np.array(individuals), 0.0, 1.0))
    for individual, value in zip(individuals, values, strict=True):
        individual.fitness.values = (float(value),)
