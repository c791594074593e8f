"""NSGA-II, a genetic algorithm for several objectives, with the operators of deap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._utils._box import BoxEstimator, from_unit_cube
from sklearn_proxyopt._utils._dataset import is_among
from sklearn_proxyopt._utils._global_random import BorrowedStream
from sklearn_proxyopt._utils._validation import as_generator, check_integer, check_real
from sklearn_proxyopt.optimizers._base import SearchCallback, asks_to_stop, starts_in_cube
from sklearn_proxyopt.optimizers._deap import deap_tools
from sklearn_proxyopt.optimizers._pareto import crowding, nondominated, ranks_of

__all__ = ["NSGA2"]


class NSGA2(BoxEstimator):
    """A population that spreads along the Pareto front.

    Parents win tournaments by the number of their front and then by how far their neighbors are;
    simulated binary crossover and polynomial mutation make the offspring; the best fronts of
    parents and offspring together go on [1]_. A point that violates its constraints less dominates
    one that violates them more. Each generation is evaluated in one call.

    Parameters
    ----------
    population_size : int, default=100
        Number of individuals, and of points of the front at most.
    n_generations : int, default=200
        Number of generations.
    crossover_probability : float, default=0.9
        Share of the pairs of parents that are crossed.
    mutation_probability : float, default=None
        Chance of each variable to be mutated. None takes 1 / n_features.
    crossover_eta : float, default=15.0
        Crowding of crossover: the larger, the closer children are to their parents.
    mutation_eta : float, default=20.0
        Crowding of mutation.
    random_state : None, int, RandomState or Generator, default=None
        Draws the population and its changes. The global generators, which deap draws from, are
        put back as they were.

    Attributes
    ----------
    bounds_ : ndarray of shape (n_features, 2)
        The bounds read by `fit`, if it was called.

    See Also
    --------
    sklearn_proxyopt.ParetoOptimizer : Finds the front of an expensive function.
    hypervolume : Measures a front.

    References
    ----------
    .. [1] Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm:
       NSGA-II", 2002, :doi:`10.1109/4235.996017`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_proxyopt.optimizers import NSGA2
    >>> def schaffer(X):
    ...     return np.column_stack([X[:, 0] ** 2, (X[:, 0] - 2.0) ** 2])
    >>> front = NSGA2(20, 30, random_state=0).minimize(schaffer, [[-10.0, 10.0]])
    >>> front.F.shape
    (20, 2)
    >>> bool(abs(np.sqrt(front.F).sum(axis=1) - 2.0).max() < 0.1)
    True
    """

    def __init__(
        self,
        population_size: int = 100,
        n_generations: int = 200,
        *,
        crossover_probability: float = 0.9,
        mutation_probability: float | None = None,
        crossover_eta: float = 15.0,
        mutation_eta: float = 20.0,
        random_state: Any = None,
    ) -> None:
        self.population_size = population_size
        self.n_generations = n_generations
        self.crossover_probability = crossover_probability
        self.mutation_probability = mutation_probability
        self.crossover_eta = crossover_eta
        self.mutation_eta = mutation_eta
        self.random_state = random_state

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        check_integer(self.population_size, "population_size", minimum=4)
        check_integer(self.n_generations, "n_generations")
        check_real(self.crossover_probability, "crossover_probability", minimum=0.0, maximum=1.0)
        if self.mutation_probability is not None:
            check_real(self.mutation_probability, "mutation_probability", minimum=0.0, maximum=1.0)
        check_real(self.crossover_eta, "crossover_eta", minimum=0.0)
        check_real(self.mutation_eta, "mutation_eta", minimum=0.0)

    def minimize(
        self,
        fun: Callable[[NDArray[np.float64]], ArrayLike],
        bounds: ArrayLike | None = None,
        *,
        n_constraints: int = 0,
        x0: ArrayLike | None = None,
        random_state: Any = None,
        callback: SearchCallback | None = None,
    ) -> OptimizeResult:
        """Find the Pareto front of a vectorized function within bounds.

        Parameters
        ----------
        fun : callable
            Maps points of shape (n, n_features) to (n, n_objectives + n_constraints): objectives
            first, then constraints, which hold where they are at most 0. A point with a number
            that is not finite is as bad as can be.
        bounds : array-like of shape (n_features, 2) or scipy.optimize.Bounds, default=None
            The bounds. None takes those read by `fit`.
        n_constraints : int, default=0
            How many of the columns are constraints.
        x0 : array-like of shape (n_features,) or (n_starts, n_features), default=None
            Points of the first population, beside those drawn at random.
        random_state : None, int, RandomState or Generator, default=None
            None takes the optimizer's own `random_state`.
        callback : callable, default=None
            Called after each generation with an `OptimizeResult` holding the front so far in `X`
            and `F`, `nit` and `nfev`; the search stops when it returns True or raises
            StopIteration.

        Returns
        -------
        scipy.optimize.OptimizeResult
            `X` of shape (n_points, n_features) and `F` of shape (n_points, n_objectives), the
            front in the order of the first objective; with constraints `constraints` of shape
            (n_points, n_constraints); `nfev`, `nit`, `success` and `message`. Where no feasible
            point was found, `X` holds the one that violates its constraints least.
        """
        self.check_parameters()
        check_integer(n_constraints, "n_constraints", minimum=0)
        box = self._resolve_bounds(bounds)
        starts = starts_in_cube(x0, box)
        rng = as_generator(self.random_state if random_state is None else random_state)
        function = _CubeFunction(fun, box, n_constraints)
        first = rng.random((self.population_size, len(box)))
        if starts is not None:
            first[: len(starts)] = starts[: self.population_size]
        population = _best(function(first[~is_among(first, first[:0])]), self.population_size)
        stream, nit = BorrowedStream(rng), 0
        message = f"Made all of its {self.n_generations} generations."
        while nit < self.n_generations:
            parents = _tournaments(population, self.population_size, rng)
            with stream.borrowed():
                children = self._breed(population.U[parents].tolist())
            children = children[~is_among(children, population.U)]
            nit += 1
            if len(children):
                population = _best(population.joined(function(children)), self.population_size)
            if callback is not None and asks_to_stop(callback, function.front(population, nit)):
                message = "Stopped by the callback."
                break
        result = function.front(population, nit)
        result.success = bool(np.isfinite(result.F).all() and population.violation.min() == 0.0)
        result.message = message if result.success else "No feasible point was found."
        return result

    def _breed(self, parents: list[list[float]]) -> NDArray[np.float64]:
        """Cross and mutate pairs of parents."""
        import random

        tools = deap_tools("NSGA2")
        n_features = len(parents[0])
        chance = self.mutation_probability
        chance = 1.0 / n_features if chance is None else chance
        for first, second in zip(parents[::2], parents[1::2], strict=False):
            if random.random() < self.crossover_probability:
                tools.cxSimulatedBinaryBounded(first, second, self.crossover_eta, 0.0, 1.0)
        for child in parents:
            tools.mutPolynomialBounded(child, self.mutation_eta, 0.0, 1.0, chance)
        return np.clip(np.array(parents), 0.0, 1.0)


@dataclass(frozen=True)
class _Population:
    """Points of the unit cube and what is known of them."""

    U: NDArray[np.float64]
    outputs: NDArray[np.float64]
    violation: NDArray[np.float64]
    n_objectives: int

    @property
    def objectives(self) -> NDArray[np.float64]:
        return self.outputs[:, : self.n_objectives]

    def joined(self, other: _Population) -> _Population:
        return _Population(
            np.vstack([self.U, other.U]),
            np.vstack([self.outputs, other.outputs]),
            np.concatenate([self.violation, other.violation]),
            self.n_objectives,
        )


class _CubeFunction:
    """The function seen from the unit cube: checked and counted."""

    def __init__(self, fun: Callable[..., Any], box: NDArray[np.float64], n_constraints: int):
        self._fun, self._box, self._n_constraints = fun, box, n_constraints
        self.nfev = 0

    def __call__(self, U: NDArray[np.float64]) -> _Population:
        outputs = np.array(self._fun(from_unit_cube(U, self._box)), dtype=np.float64)
        least = 1 + self._n_constraints
        if outputs.ndim != 2 or len(outputs) != len(U) or outputs.shape[1] < least:
            raise ValueError(
                f"fun must return shape ({len(U)}, n_objectives + n_constraints), with at least "
                f"{least} columns; got shape {outputs.shape}."
            )
        self.nfev += len(U)
        outputs[~np.isfinite(outputs).all(axis=1)] = np.inf
        n_objectives = outputs.shape[1] - self._n_constraints
        violation = np.maximum(outputs[:, n_objectives:], 0.0).sum(axis=1)
        return _Population(U, outputs, violation, n_objectives)

    def front(self, population: _Population, nit: int) -> OptimizeResult:
        """Return the front of a population in the user's units."""
        front = np.flatnonzero(nondominated(population.objectives, population.violation))
        if population.violation.min() > 0.0:
            front = front[:1]
        front = front[np.lexsort(population.objectives[front].T[::-1])]
        result = OptimizeResult(
            X=from_unit_cube(population.U[front], self._box),
            F=population.objectives[front],
            nfev=self.nfev,
            nit=nit,
        )
        if self._n_constraints:
            result.constraints = population.outputs[front, population.n_objectives :]
        return result


def _best(population: _Population, size: int) -> _Population:
    """Return the best points in order: by the number of their front, the least crowded first."""
    ranks = ranks_of(population.objectives, population.violation, size)
    distance = np.zeros(len(ranks))
    for rank in range(int(np.sort(ranks)[: size + 1].max(initial=0)) + 1):
        front = np.flatnonzero(ranks == rank)
        if len(front):
            distance[front] = crowding(population.objectives[front])
    kept = np.lexsort((-distance, ranks))[:size]
    return _Population(
        population.U[kept],
        population.outputs[kept],
        population.violation[kept],
        population.n_objectives,
    )


def _tournaments(population: _Population, size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the winners of tournaments of two; the population stands in the order of merit."""
    return np.asarray(rng.integers(len(population.U), size=(2, size)).min(axis=0))
