"""Many particle swarms that fly at once, as one tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sklearn_proxyopt.optimizers._stacked import Stack

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BOUNDARIES", "Swarms"]


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

    def move(self, draws: Tensor) -> None:
        """Move every particle once.

        Parameters
        ----------
        draws : Tensor of shape (2, n_swarms, n_particles, n_features)
            r_1 and r_2 of the update, uniform in [0, 1].
        """
        import torch

        leader = self.best_position[self._every_swarm, self.lowest()[1]][:, None]
        cognitive, social = (self._pulls * draws).unbind()
        self.velocity.mul_(self._inertia)
        self.velocity.addcmul_(cognitive, self.best_position - self.position)
        self.velocity.addcmul_(social, leader - self.position)
        self.position = self._keep_inside(self.position + self.velocity)
        value = self._values()
        better = value < self.best_value
        self.best_value = torch.where(better, value, self.best_value)
        self.best_position = torch.where(better[..., None], self.position, self.best_position)

    def _values(self) -> Tensor:
        rows = self.position.view(self._stack.n_functions, -1, self.position.shape[2])
        return self._stack.values(rows).view(self.position.shape[:2])
