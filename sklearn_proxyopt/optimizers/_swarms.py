"""Many particle swarms that fly at once, as one tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sklearn_proxyopt._utils._step_graph import StepGraph
from sklearn_proxyopt.optimizers._stacked import Stack

if TYPE_CHECKING:
    from torch import Generator, Tensor

__all__ = ["BOUNDARIES", "Flight", "Swarms"]

# Moves that a GPU makes in one launch.
_MOVES_A_LAUNCH = 10


def _reflect(x: Tensor) -> Tensor:
    return 1.0 - (x.remainder(2.0) - 1.0).abs()


def _stop_at_side(x: Tensor) -> Tensor:
    return x.clamp(0.0, 1.0)


def _enter_opposite(x: Tensor) -> Tensor:
    return x.where((x >= 0.0) & (x <= 1.0), x.remainder(1.0))


BOUNDARIES: dict[str, Callable[[Tensor], Tensor]] = {
    "reflective": _reflect,
    "nearest": _stop_at_side,
    "periodic": _enter_opposite,
}


class Swarms:
    """Swarms of one size, each drawn to the best point of its own.

    The update is that of `ParticleSwarm`, for every swarm at once.

    Parameters
    ----------
    stack : Stack
        The functions; as many swarms in turn search each.
    position, velocity : Tensor of shape (n_swarms, n_particles, n_features)
        Where the particles start in the unit cube, and how.
    inertia, cognitive, social : float
        The weights of the update.
    boundary : str
        A key of `BOUNDARIES`.

    Attributes
    ----------
    best_position : Tensor of shape (n_swarms, n_particles, n_features)
        The best point of each particle.
    best_value : Tensor of shape (n_swarms, n_particles)
        Its value.
    """

    def __init__(
        self,
        stack: Stack,
        position: Tensor,
        velocity: Tensor,
        inertia: float,
        cognitive: float,
        social: float,
        boundary: str,
    ) -> None:
        import torch

        self._stack = stack
        self.position = position
        self.velocity = velocity
        self._inertia = inertia
        self._pulls = torch.tensor(
            [cognitive, social], dtype=position.dtype, device=position.device
        ).view(2, 1, 1, 1)
        self._keep_inside = BOUNDARIES[boundary]
        self._every_swarm = torch.arange(len(position), device=position.device)
        self.best_position = position.clone()
        self.best_value = self._values()

    def lowest(self) -> tuple[Tensor, Tensor]:
        """Return each swarm's best value, (n_swarms,), and the particle that found it."""
        return self.best_value.min(dim=1)

    def move(self, draws: Tensor, is_flying: Tensor | None = None) -> None:
        """Move every particle once.

        Parameters
        ----------
        draws : Tensor of shape (2, n_swarms, n_particles, n_features)
            r_1 and r_2 of the update, uniform in [0, 1].
        is_flying : Tensor of shape (), default=None
            Whether what the move finds still counts; None stands for True.
        """
        import torch

        leader = self.best_position[self._every_swarm, self.lowest()[1]][:, None]
        cognitive, social = (self._pulls * draws).unbind()
        self.velocity.mul_(self._inertia)
        self.velocity.addcmul_(cognitive, self.best_position - self.position)
        self.velocity.addcmul_(social, leader - self.position)
        self.position.copy_(self._keep_inside(self.position + self.velocity))
        value = self._values()
        better = value < self.best_value
        if is_flying is not None:
            better = better & is_flying
        self.best_value.copy_(torch.where(better, value, self.best_value))
        found = torch.where(better[..., None], self.position, self.best_position)
        self.best_position.copy_(found)

    def _values(self) -> Tensor:
        rows = self.position.view(self._stack.n_functions, -1, self.position.shape[2])
        return self._stack.values(rows).view(self.position.shape[:2])


class Flight:
    """A flight of swarms that the host need not follow: its end is decided on the device.

    Parameters
    ----------
    swarms : Swarms
        The swarms, which no other may move.
    gain : Tensor of shape (n_swarms,)
        By how much a swarm's best value must fall to count as lower.
    patience : int or None
        Ends the flight after so many moves without a lower value of any swarm.
    n_moves : int
        Ends it after so many in any case.
    generator : torch.Generator
        Draws the random numbers.

    Attributes
    ----------
    nit : Tensor of shape ()
        Moves that counted.
    """

    def __init__(
        self,
        swarms: Swarms,
        gain: Tensor,
        patience: int | None,
        n_moves: int,
        generator: Generator,
    ) -> None:
        self._swarms, self._gain, self._generator = swarms, gain, generator
        self._n_moves, self._patience = n_moves, n_moves if patience is None else patience
        position = swarms.position
        self._lowest = swarms.lowest()[0].clone()
        self._n_fruitless = position.new_zeros((), dtype=self._long)
        self.nit = self._n_fruitless.clone()
        self._draws = position.new_empty((_MOVES_A_LAUNCH, 2, *position.shape))
        self._draws.uniform_(generator=generator)
        self._launch = StepGraph(self._make_moves, position.device, self._state)

    def fly(self) -> None:
        """Make moves until the flight is over; the host asks after every launch."""
        while self._is_flying():
            self._launch()
            self._draws.uniform_(generator=self._generator)

    @property
    def ran_out(self) -> bool:
        """Whether no lower value was found for too long."""
        return int(self._n_fruitless) >= self._patience

    @property
    def _long(self) -> Any:
        import torch

        return torch.long

    def _state(self) -> list[Tensor]:
        swarms = self._swarms
        places = [swarms.position, swarms.velocity, swarms.best_position, swarms.best_value]
        return [*places, self._lowest, self._n_fruitless, self.nit]

    def _is_flying(self) -> Tensor:
        return (self._n_fruitless < self._patience) & (self.nit < self._n_moves)

    def _make_moves(self) -> None:
        import torch

        for draws in self._draws:
            is_flying = self._is_flying()
            self._swarms.move(draws, is_flying)
            value = self._swarms.lowest()[0]
            has_gained = (value < self._lowest - self._gain).any()
            fruitless = torch.where(has_gained, 0, self._n_fruitless + 1)
            self._n_fruitless.copy_(torch.where(is_flying, fruitless, self._n_fruitless))
            self._lowest.copy_(torch.minimum(self._lowest, value))
            self.nit.add_(is_flying)
