"""The searches of the published study, as its code runs them: some times each, from own seeds."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from deap import tools
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize

from sklearn_proxyopt._utils._global_random import BorrowedStream
from sklearn_proxyopt._utils._validation import as_generator, check_integer
from sklearn_proxyopt.optimizers._base import BaseOptimizer, UnitCubeFunction
from sklearn_proxyopt.optimizers._individual import Individual
from sklearn_proxyopt.optimizers._stacked import stack_of
from sklearn_proxyopt.optimizers._swarms import Swarms

__all__ = [
    "FollowedSearch",
    "PublishedGenetic",
    "PublishedSwarm",
    "ThenDescent",
    "descend_along_gradient",
]


class PublishedSwarm(BaseOptimizer):
    """pyswarms' `GlobalBestPSO` as the published code calls it.

    100 particles make 1,000 moves with c1 = 0.5, c2 = 0.3, w = 0.9; they start anywhere in the
    box with velocities in [0, 1] of the user's units, and what leaves the box comes in again at
    the opposite side. All runs are one batch of tensors, and starting points are not taken from
    outside.

    Parameters
    ----------
    n_restarts : int, default=10
        Number of runs; the result has the end of each in `x_restarts`.
    n_particles, n_iterations : int, default=100 and 1000
        Particles and moves of each.
    random_state : None, int, RandomState or Generator, default=None
        Draws the swarms and their moves.
    """

    def __init__(
        self,
        n_restarts: int = 10,
        *,
        n_particles: int = 100,
        n_iterations: int = 1000,
        random_state: Any = None,
    ) -> None:
        self.n_restarts = n_restarts
        self.n_particles = n_particles
        self.n_iterations = n_iterations
        self.random_state = random_state

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        for name in ("n_restarts", "n_particles", "n_iterations"):
            check_integer(getattr(self, name), name)

    def _search(
        self, fun: UnitCubeFunction, x0: Any, rng: np.random.Generator, callback: Any
    ) -> OptimizeResult:
        stack = stack_of(fun)
        shape = (self.n_restarts, self.n_particles, len(fun.bounds))
        width = fun.bounds[:, 1] - fun.bounds[:, 0]
        swarms = Swarms(
            stack,
            torch.tensor(rng.random(shape)),
            torch.tensor(rng.random(shape) / width),
            inertia=0.9,
            cognitive=0.5,
            social=0.3,
            boundary="periodic",
        )
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        # pyswarms does not evaluate the places of its last move.
        for _ in range(self.n_iterations - 1):
            swarms.move(torch.rand((2, *shape), dtype=torch.float64, generator=generator))
        values, leaders = swarms.lowest()
        ends = swarms.best_position[torch.arange(self.n_restarts), leaders].numpy()
        return _best_end(ends, values.numpy(), self.n_iterations)


class PublishedGenetic(BaseOptimizer):
    """pygad's genetic algorithm as the published code calls it, on deap.

    Ten individuals, of which the two fittest stay and have eight children by one-point crossover,
    one variable of each moved by up to one unit; 100 generations. The fitness 1 / (abs(f) + 1e-6)
    rewards values near zero, not low ones, and nothing keeps the children inside the box.

    Parameters
    ----------
    n_restarts : int, default=10
        Number of runs; the result has the end of each in `x_restarts`.
    n_generations : int, default=100
        Generations of each.
    random_state : None, int, RandomState or Generator, default=None
        Draws the populations and their changes.
    """

    population_size = 10
    n_parents = 2

    def __init__(
        self, n_restarts: int = 10, *, n_generations: int = 100, random_state: Any = None
    ) -> None:
        self.n_restarts = n_restarts
        self.n_generations = n_generations
        self.random_state = random_state

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        for name in ("n_restarts", "n_generations"):
            check_integer(getattr(self, name), name)

    def minimize(
        self,
        fun: Any,
        bounds: Any = None,
        *,
        x0: Any = None,
        random_state: Any = None,
        callback: Any = None,
    ) -> OptimizeResult:
        """Run all populations at once, in the user's units, as nothing keeps them in the box."""
        self.check_parameters()
        box = self._resolve_bounds(bounds)
        rng = as_generator(self.random_state if random_state is None else random_state)
        start = rng.uniform(*box.T, (self.n_restarts, self.population_size, len(box)))
        populations = [[Individual(row) for row in rows] for rows in start.tolist()]
        stream = BorrowedStream(rng)
        _judge(fun, populations)
        for _ in range(self.n_generations):
            parents = [tools.selBest(population, self.n_parents) for population in populations]
            with stream.borrowed():
                children = [self._children(pair) for pair in parents]
            _judge(fun, children)
            populations = [
                pair + own_children for pair, own_children in zip(parents, children, strict=True)
            ]
        ends = np.array([tools.selBest(population, 1)[0] for population in populations])
        return _best_end(ends, np.asarray(fun(ends)), self.n_generations)

    def _search(
        self, fun: UnitCubeFunction, x0: Any, rng: np.random.Generator, callback: Any
    ) -> OptimizeResult:
        raise NotImplementedError("The unit cube is a box, which this search leaves.")

    def _children(self, parents: list[Individual]) -> list[Individual]:
        """Cross two parents at one point and move one variable of each child."""
        children = []
        n_features = len(parents[0])
        for index in range(self.population_size - self.n_parents):
            first, second = parents[index % 2], parents[(index + 1) % 2]
            point = random.randrange(n_features)
            child = Individual([*first[:point], *second[point:]])
            child[random.randrange(n_features)] += random.uniform(-1.0, 1.0)
            children.append(child)
        return children


class FollowedSearch(BaseOptimizer):
    """A search whose result is worked on further.

    A subclass owes `_follow(fun, box, x0, result)`, which changes the result and returns it.

    Parameters
    ----------
    search : optimizer
        The search that goes before.
    random_state : None, int, RandomState or Generator, default=None
        Not used: the search brings its own.
    """

    def __init__(self, search: Any, *, random_state: Any = None) -> None:
        self.search = search
        self.random_state = random_state

    def check_parameters(self) -> None:
        """Let the search check its own."""
        self.search.check_parameters()

    def minimize(
        self,
        fun: Any,
        bounds: Any = None,
        *,
        x0: Any = None,
        random_state: Any = None,
        callback: Any = None,
    ) -> OptimizeResult:
        """Search, then go on from the result."""
        box = self._resolve_bounds(bounds)
        return self._follow(fun, box, x0, self.search.minimize(fun, box, x0=x0))

    def _search(
        self, fun: UnitCubeFunction, x0: Any, rng: np.random.Generator, callback: Any
    ) -> OptimizeResult:
        raise NotImplementedError("The search brings its own.")


class ThenDescent(FollowedSearch):
    """A search whose end a descent along the proxy's gradient takes to the bottom of its basin.

    A swarm needs no gradient, which is why it ends early in a long curved valley; a neural proxy
    has one. The descent is SciPy's L-BFGS-B and stays in the box. It has the parameters of
    `FollowedSearch`.

    Attributes
    ----------
    x_search_ : ndarray of shape (n_features,)
        Where the search ended.
    """

    def _follow(
        self, fun: Any, box: NDArray[np.float64], x0: Any, result: OptimizeResult
    ) -> OptimizeResult:
        self.x_search_ = result.x
        descent = descend_along_gradient(fun, result.x, box)
        if descent.fun < result.fun:
            result.x, result.fun = descent.x, float(descent.fun)
            result.x_candidates = np.vstack([descent.x, result.x_candidates])
            result.fun_candidates = np.append(descent.fun, result.fun_candidates)
        return result


def descend_along_gradient(
    fun: Any, start: NDArray[np.float64], box: NDArray[np.float64]
) -> OptimizeResult:
    """Descend by SciPy's L-BFGS-B on a function with `value_and_grad`, inside the box."""

    def value_and_slope(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        values, gradients = fun.value_and_grad(x[None])
        return float(values[0]), gradients[0]

    return minimize(
        value_and_slope,
        start,
        jac=True,
        bounds=box,
        method="L-BFGS-B",
        options={"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-10},
    )


def _judge(fun: Any, populations: list[list[Individual]]) -> None:
    """Evaluate individuals in one call; the lowest abs(f) is the fittest."""
    individuals = [one for population in populations for one in population]
    for individual, value in zip(individuals, fun(np.array(individuals)), strict=True):
        individual.fitness.values = (abs(float(value)),)


def _best_end(ends: NDArray[np.float64], values: NDArray[np.float64], nit: int) -> OptimizeResult:
    """Report the ends of all runs, and the lowest as the answer."""
    best = int(np.argmin(values))
    return OptimizeResult(
        x=ends[best],
        fun=float(values[best]),
        nit=nit,
        success=True,
        message=f"Made all of its {nit} iterations.",
        x_restarts=ends,
        fun_restarts=values,
    )
