"""Particle swarm optimization, by pyswarms."""

from __future__ import annotations

import logging.config
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._utils._global_random import BorrowedStream
from sklearn_proxyopt._utils._validation import check_integer, check_option, check_real
from sklearn_proxyopt.optimizers._base import (
    BaseOptimizer,
    SearchCallback,
    UnitCubeFunction,
    report,
)
from sklearn_proxyopt.optimizers._candidates import distinct_minima
from sklearn_proxyopt.optimizers._convergence import SMALLEST_GAIN, Convergence
from sklearn_proxyopt.optimizers._stacked import MemberStack, Stack, stack_of
from sklearn_proxyopt.optimizers._swarms import BOUNDARIES, Flight, Swarms

if TYPE_CHECKING:
    from torch import Generator, Tensor

__all__ = ["ParticleSwarm"]

# Particles start with a velocity of at most this share of the box's width.
_FIRST_VELOCITY = 0.25


class ParticleSwarm(BaseOptimizer):
    """A swarm of particles drawn to their own best points and to that of all.

    v <- inertia v + cognitive r_1 (own best - x) + social r_2 (best of all - x), then x <- x + v,
    with r_1 and r_2 uniform in [0, 1] for each variable. All particles are evaluated in one call.
    One swarm is flown by pyswarms; several fly at once, by the same update, as one tensor on the
    device of the proxy.

    Parameters
    ----------
    n_particles : int, default=100
        Number of particles.
    n_iterations : int, default=300
        Most moves of the swarm.
    inertia : float, default=0.7298
        Share of the velocity that is kept. With the next two, the default is Clerc and Kennedy's
        constriction, under which a swarm converges. The published study [3]_ has 0.9, 0.5, 0.3.
    cognitive : float, default=1.49618
        Pull to a particle's own best point.
    social : float, default=1.49618
        Pull to the best point of all.
    boundary : {"reflective", "nearest", "periodic"}, default="reflective"
        Where a particle goes that leaves the box: mirrored back, stopped at the side, or in again
        at the opposite side, which suits no ordinary variable but is pyswarms' default.
    n_restarts : int, default=1
        Number of independent swarms. Several are not flown by pyswarms but all at once by an
        implementation of this package, which moves a particle as pyswarms would with the same
        random numbers. The result then has also the end of each: `x_restarts` of shape
        (n_restarts, n_features) and `fun_restarts`.
    n_iter_no_change : int or None, default=60
        Stop after this many moves without a lower value in any swarm; None makes them all.
    random_state : None, int, RandomState or Generator, default=None
        Draws the swarm and its moves. The global generators, which pyswarms draws from, are put
        back as they were.

    Attributes
    ----------
    bounds_ : ndarray of shape (n_features, 2)
        The bounds read by `fit`, if it was called.

    References
    ----------
    .. [1] Kennedy and Eberhart, "Particle Swarm Optimization", 1995,
       :doi:`10.1109/ICNN.1995.488968`.
    .. [2] Clerc and Kennedy, "The Particle Swarm: Explosion, Stability, and Convergence in a
       Multidimensional Complex Space", 2002, :doi:`10.1109/4235.985692`.
    .. [3] Albreiki, Belayouni and Gupta, "On Using Deep Learning Proxies as Forward Models in
       Optimization Problems", 2023, :arxiv:`2301.07102`.

    Examples
    --------
    >>> from sklearn_proxyopt.optimizers import ParticleSwarm
    >>> from sklearn_proxyopt.problems import Rastrigin
    >>> problem = Rastrigin(n_dims=2)
    >>> result = ParticleSwarm(random_state=0).minimize(problem, problem.bounds)
    >>> bool(result.fun < 1e-6)
    True
    """

    def __init__(
        self,
        n_particles: int = 100,
        n_iterations: int = 300,
        *,
        inertia: float = 0.7298,
        cognitive: float = 1.49618,
        social: float = 1.49618,
        boundary: str = "reflective",
        n_restarts: int = 1,
        n_iter_no_change: int | None = 60,
        random_state: Any = None,
    ) -> None:
        self.n_particles = n_particles
        self.n_iterations = n_iterations
        self.inertia = inertia
        self.cognitive = cognitive
        self.social = social
        self.boundary = boundary
        self.n_restarts = n_restarts
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        check_integer(self.n_particles, "n_particles")
        check_integer(self.n_iterations, "n_iterations")
        for name in ("inertia", "cognitive", "social"):
            check_real(getattr(self, name), name, minimum=0.0)
        check_option(self.boundary, "boundary", BOUNDARIES)
        check_integer(self.n_restarts, "n_restarts")
        if self.n_iter_no_change is not None:
            check_integer(self.n_iter_no_change, "n_iter_no_change")

    def _search(
        self,
        fun: UnitCubeFunction,
        x0: NDArray[np.float64] | None,
        rng: np.random.Generator,
        callback: SearchCallback | None,
    ) -> OptimizeResult:
        if self.n_restarts > 1:
            return self._search_stack(stack_of(fun, self._n_rows), x0, rng, callback)[0]
        n_particles, n_iterations = self.n_particles, self.n_iterations
        backend = _import_backend()
        keep_inside = _as_handler(BOUNDARIES[self.boundary])
        shape = (n_particles, len(fun.bounds))
        position = rng.random(shape)
        if x0 is not None:
            position[: len(x0)] = x0[:n_particles]
        swarm = backend.swarms.Swarm(
            position=position,
            velocity=rng.uniform(-_FIRST_VELOCITY, _FIRST_VELOCITY, shape),
            options={"w": self.inertia, "c1": self.cognitive, "c2": self.social},
        )
        swarm.pbest_pos = position.copy()
        swarm.pbest_cost = fun(position)
        convergence = Convergence(swarm.pbest_cost, self.n_iter_no_change)
        stream, nit = BorrowedStream(rng), 0
        message = f"Made all of its {n_iterations} moves."
        while nit < n_iterations:
            leader = int(np.argmin(swarm.pbest_cost))
            swarm.best_pos, swarm.best_cost = swarm.pbest_pos[leader], swarm.pbest_cost[leader]
            with stream.borrowed():
                swarm.velocity = backend.operators.compute_velocity(swarm, None, _unchanged)
            swarm.position = backend.operators.compute_position(swarm, (0.0, 1.0), keep_inside)
            swarm.current_cost = fun(swarm.position)
            swarm.pbest_pos, swarm.pbest_cost = backend.operators.compute_pbest(swarm)
            nit += 1
            best = int(np.argmin(swarm.pbest_cost))
            value = float(swarm.pbest_cost[best])
            if report(callback, fun, swarm.pbest_pos[best], value, nit):
                message = "Stopped by the callback."
                break
            if convergence.is_reached(value):
                message = f"No lower value in {self.n_iter_no_change} moves."
                break
        points, values = distinct_minima(swarm.pbest_pos, swarm.pbest_cost)
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

    def _search_members(
        self,
        proxy: Any,
        bounds: NDArray[np.float64],
        x0: NDArray[np.float64] | None,
        rng: np.random.Generator,
    ) -> list[OptimizeResult]:
        stack = MemberStack(proxy.torch_module(), bounds, each=True, n_rows=self._n_rows)
        return self._search_stack(stack, x0, rng, None)

    @property
    def _n_rows(self) -> int:
        """Points of each function that are evaluated at once."""
        return self.n_restarts * self.n_particles

    def _search_stack(
        self,
        stack: Stack,
        x0: NDArray[np.float64] | None,
        rng: np.random.Generator,
        callback: SearchCallback | None,
    ) -> list[OptimizeResult]:
        with stack.context():
            return self._fly(stack, x0, rng, callback)

    def _fly(
        self,
        stack: Stack,
        x0: NDArray[np.float64] | None,
        rng: np.random.Generator,
        callback: SearchCallback | None,
    ) -> list[OptimizeResult]:
        """Search every function of a stack by `n_restarts` swarms, all at once."""
        import torch

        n_swarms = stack.n_functions * self.n_restarts
        shape = (n_swarms, self.n_particles, len(stack.bounds))
        position = rng.random(shape)
        if x0 is not None:
            # The first swarm of each function gets the points to start from.
            position[:: self.n_restarts, : len(x0)] = x0[: self.n_particles]
        velocity = rng.uniform(-_FIRST_VELOCITY, _FIRST_VELOCITY, shape)
        swarms = Swarms(
            stack,
            torch.tensor(position, dtype=stack.dtype, device=stack.device),
            torch.tensor(velocity, dtype=stack.dtype, device=stack.device),
            self.inertia,
            self.cognitive,
            self.social,
            self.boundary,
        )
        generator = torch.Generator(stack.device).manual_seed(int(rng.integers(2**63)))
        finite = torch.isfinite(swarms.best_value)
        spread = swarms.best_value.where(finite, 0.0).std(dim=1, correction=0)
        gain = SMALLEST_GAIN * spread
        if callback is None and takes_one_launch(stack):
            return self._fly_alone(stack, swarms, gain, generator)
        patience = np.inf if self.n_iter_no_change is None else self.n_iter_no_change
        lowest, n_fruitless, nit = swarms.lowest()[0], 0, 0
        message = f"Made all of its {self.n_iterations} moves."
        while nit < self.n_iterations:
            draws = torch.rand(
                (2, *shape), dtype=stack.dtype, device=stack.device, generator=generator
            )
            swarms.move(draws)
            nit += 1
            value = swarms.lowest()[0]
            if self.n_iter_no_change is not None:
                gained = bool((value < lowest - gain).any())
                n_fruitless = 0 if gained else n_fruitless + 1
                lowest = torch.minimum(lowest, value)
            if callback is not None and report(callback, stack, *_best_of(swarms), nit):
                message = "Stopped by the callback."
                break
            if n_fruitless >= patience:
                message = f"No lower value in {self.n_iter_no_change} moves."
                break
        return self._results(stack, swarms, nit, message)

    def _fly_alone(
        self, stack: Stack, swarms: Swarms, gain: Tensor, generator: Generator
    ) -> list[OptimizeResult]:
        """Let swarms fly on the device to the end."""
        n_before, n_rows = stack.nfev.copy(), swarms.best_value.numel() // stack.n_functions
        flight = Flight(swarms, gain, self.n_iter_no_change, self.n_iterations, generator)
        flight.fly()
        nit = int(flight.nit)
        stack.nfev[:] = n_before + nit * n_rows
        message = f"Made all of its {self.n_iterations} moves."
        if self.n_iter_no_change is not None and flight.ran_out:
            message = f"No lower value in {self.n_iter_no_change} moves."
        return self._results(stack, swarms, nit, message)

    def _results(
        self, stack: Stack, swarms: Swarms, nit: int, message: str
    ) -> list[OptimizeResult]:
        """Say what the swarms of each function found."""
        shape = (stack.n_functions, self.n_restarts, self.n_particles)
        positions = swarms.best_position.cpu().double().numpy().reshape(*shape, -1)
        values = swarms.best_value.cpu().double().numpy().reshape(shape)
        results = []
        for own_positions, own_values, nfev in zip(positions, values, stack.nfev, strict=True):
            leaders = own_values.argmin(axis=1)
            every = np.arange(self.n_restarts)
            points, lows = distinct_minima(
                own_positions.reshape(-1, positions.shape[-1]), own_values.reshape(-1)
            )
            found = bool(np.isfinite(lows[0]))
            results.append(
                OptimizeResult(
                    x=points[0],
                    fun=float(lows[0]),
                    nit=nit,
                    nfev=int(nfev),
                    success=found,
                    message=message if found else "No finite value was found.",
                    x_candidates=points,
                    fun_candidates=lows,
                    x_restarts=own_positions[every, leaders],
                    fun_restarts=own_values[every, leaders],
                )
            )
        return results


def takes_one_launch(stack: Stack) -> bool:
    """Return whether many moves on a stack are launched as one: those of networks on CUDA."""
    return stack.is_static and stack.device.type == "cuda"


def _best_of(swarms: Swarms) -> tuple[NDArray[np.float64], float]:
    """Return the lowest point of all swarms and its value."""
    swarm, particle = divmod(int(swarms.best_value.argmin()), swarms.best_value.shape[1])
    point = swarms.best_position[swarm, particle].cpu().double().numpy()
    return point, float(swarms.best_value[swarm, particle])


def _unchanged(velocity: NDArray[np.float64], clamp: Any, **kwargs: Any) -> NDArray[np.float64]:
    return velocity


def _as_handler(keep_inside: Callable[[Tensor], Tensor]) -> Callable[..., NDArray[np.float64]]:
    """Return a boundary as pyswarms calls it."""
    import torch

    def handler(position: NDArray[np.float64], bounds: Any) -> NDArray[np.float64]:
        return keep_inside(torch.from_numpy(position)).numpy()

    return handler


def _import_backend() -> ModuleType:
    """Import pyswarms without letting it set up logging, which writes a file where it runs."""
    configure = logging.config.dictConfig
    logging.config.dictConfig = lambda config: None
    try:
        import pyswarms.backend
    except ImportError as error:
        raise ImportError(
            "ParticleSwarm needs pyswarms: pip install pyswarms. DifferentialEvolution and "
            "ParticleSwarm(n_restarts=2) do without it."
        ) from error
    finally:
        logging.config.dictConfig = configure
    return pyswarms.backend
