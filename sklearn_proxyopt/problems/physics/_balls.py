"""Balls that collide and roll out, solved from one collision to the next."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Motion", "roll"]

# Collisions this close in time are resolved as one.
_SAME_TIME = 1e-9


@dataclass
class Motion:
    """The motion of all balls, as segments between collisions.

    Between two collisions a ball follows x + v (1 - exp(-friction t)) / friction.

    Attributes
    ----------
    times : list of Tensor of shape (n,)
        When each segment begins; infinite where there is none.
    positions, velocities : list of Tensor of shape (n, n_balls, 2)
        The state there.
    friction : Tensor of shape (n, 1, 1)
        Rate at which velocities decay.
    """

    times: list[Tensor]
    positions: list[Tensor]
    velocities: list[Tensor]
    friction: Tensor

    def at_rest(self) -> Tensor:
        """Return where the balls come to rest, of shape (n, n_balls, 2)."""
        return self.positions[-1] + self.velocities[-1] / self.friction

    def frames(self, times: Tensor) -> Tensor:
        """Return positions at times of shape (n_frames,), of shape (n, n_frames, n_balls, 2)."""
        friction = self.friction[:, None]
        frames = self.positions[0].new_zeros(len(self.friction), len(times), 1, 1)
        for begin, x, v in zip(self.times, self.positions, self.velocities, strict=True):
            begun = (times >= begin[:, None])[:, :, None, None]
            elapsed = torch.where(begun, times[:, None, None] - begin[:, None, None, None], 0.0)
            path = -torch.expm1(-friction * elapsed) / friction
            frames = torch.where(begun, x[:, None] + v[:, None] * path, frames)
        return frames


def roll(
    positions: Tensor,
    velocities: Tensor,
    *,
    radius: float,
    elasticity: Tensor,
    friction: Tensor,
    max_collisions: int,
) -> Motion:
    """Follow equal balls through their collisions until they come to rest.

    Velocities decay as dv/dt = -friction v. As that is linear, two balls meet as if they moved on
    straight lines without friction, only later: the time t of the impact and the frictionless one
    tau obey friction tau = 1 - exp(-friction t).

    Parameters
    ----------
    positions, velocities : Tensor of shape (n, n_balls, 2)
        Where the balls start.
    radius : float
        Radius of each ball.
    elasticity : Tensor of shape (n,)
        Share of the relative speed that a collision keeps.
    friction : Tensor of shape (n,)
        Rate at which velocities decay, positive.
    max_collisions : int
        Later collisions are left out.

    Returns
    -------
    Motion
        Differentiable with respect to all tensors passed in.
    """
    n_balls = positions.shape[1]
    first, second = torch.triu_indices(n_balls, n_balls, 1, device=positions.device)
    x, v, now = positions, velocities, positions.new_zeros(len(positions))
    rate = friction[:, None, None]
    motion = Motion([now], [x], [v], rate)
    for _ in range(max_collisions):
        due = _times_to_impact(
            x[:, second] - x[:, first], v[:, first] - v[:, second], radius, friction
        )
        wait = due.amin(dim=1)
        hit = torch.isfinite(wait)
        if not hit.any():
            break
        wait = torch.where(hit, wait, 0.0)
        decay = torch.exp(-rate * wait[:, None, None])
        x = x + v * (1.0 - decay) / rate
        v = v * decay
        collide = hit[:, None] & (due <= wait[:, None] + _SAME_TIME)
        apart = x[:, second] - x[:, first]
        speed = ((v[:, first] - v[:, second]) * apart).sum(dim=2)
        share = speed / apart.square().sum(dim=2) * (1.0 + elasticity[:, None]) / 2.0
        impulse = torch.where(collide, share, 0.0)[:, :, None] * apart
        v = v.index_add(1, first, -impulse).index_add(1, second, impulse)
        now = torch.where(hit, now + wait, torch.inf)
        motion.times.append(now)
        motion.positions.append(x)
        motion.velocities.append(v)
    return motion


def _times_to_impact(apart: Tensor, closing: Tensor, radius: float, friction: Tensor) -> Tensor:
    """Return when each pair will touch, infinite for those that never do."""
    along = (apart * closing).sum(dim=2)
    speed = closing.square().sum(dim=2)
    moving = speed > 0
    speed = torch.where(moving, speed, 1.0)
    miss = apart.square().sum(dim=2) - along.square() / speed
    depth = (2.0 * radius) ** 2 - miss
    touching = moving & (along > 0) & (depth > 0)
    depth = torch.where(touching, depth, 1.0)
    tau = along / speed - torch.sqrt(depth / speed)
    spent = friction[:, None] * tau
    touching = touching & (spent < 1.0)
    spent = torch.where(touching, spent, 0.0).clamp_min(0.0)
    return torch.where(touching, -torch.log1p(-spent) / friction[:, None], torch.inf)
