"""A billiard shot that sends another ball to a target."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sklearn_proxyopt._utils._validation import as_generator, check_bounds, check_real
from sklearn_proxyopt.problems.physics._balls import roll
from sklearn_proxyopt.problems.physics._base import ForwardModel

__all__ = ["BilliardShot"]


class BilliardShot(ForwardModel):
    """The velocity of a cue ball that makes another ball come to rest at a target.

    The cue ball lies at the origin, the other at (0.5, y); the unknowns are the two components of
    the cue ball's velocity, the condition is y, and what is observed is where the other ball comes
    to rest. A shot that misses leaves it where it is, so that there the loss does not change with
    the unknowns at all. Lengths and times have no unit.

    Parameters
    ----------
    radius : float, default=0.1
        Radius of both balls.
    elasticity : float, default=0.8
        Share of the relative speed that the collision keeps.
    friction : float, default=0.5
        Rate at which velocities decay.
    offset : float, default=0.3
        The y of the other ball is drawn from [-offset, offset].
    distances : (float, float), default=(0.4, 1.2)
        Range of the target's distance from the other ball.
    angle : float, default=0.6
        The direction to the target is drawn from [-angle, angle], in radians.
    bounds : array-like of shape (2, 2), default=((0.0, 2.0), (-1.0, 1.0))
        Where velocities are drawn from for synthetic shots; better ones may lie outside.

    References
    ----------
    .. [1] "Can Neural Networks Improve Classical Optimization of Inverse Problems?",
       section 4.2, 2023.

    Examples
    --------
    >>> from sklearn_proxyopt.problems.physics import BilliardShot
    >>> shot = BilliardShot()
    >>> X, unknowns = shot.sample(4, random_state=0)
    >>> X.shape, unknowns.shape
    ((4, 3), (4, 2))
    """

    hard_bounds = False
    observation_shape = (2,)
    condition_shape = (1,)

    def __init__(
        self,
        *,
        radius: float = 0.1,
        elasticity: float = 0.8,
        friction: float = 0.5,
        offset: float = 0.3,
        distances: tuple[float, float] = (0.4, 1.2),
        angle: float = 0.6,
        bounds: ArrayLike = ((0.0, 2.0), (-1.0, 1.0)),
    ) -> None:
        self.radius = check_real(radius, "radius", minimum=0.0, maximum=0.25, include_minimum=False)
        self.elasticity = check_real(elasticity, "elasticity", minimum=0.0, maximum=1.0)
        self.friction = check_real(friction, "friction", minimum=0.0, include_minimum=False)
        self.offset = check_real(offset, "offset", minimum=0.0)
        self.distances = distances
        self.angle = check_real(angle, "angle", minimum=0.0)
        self.bounds = check_bounds(bounds, 2)
        self.start = np.array([1.0, 0.0])

    def best_velocity(
        self, targets: NDArray[np.float64], conditions: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the velocity that brings the other ball to rest at the target.

        Parameters
        ----------
        targets : ndarray of shape (n, 2)
            Where the other ball is to come to rest.
        conditions : ndarray of shape (n, 1)
            Its y at the start.

        Returns
        -------
        ndarray of shape (n, 2)
            Velocities; NaN where no straight shot reaches the target.
        """
        ball = np.column_stack([np.full(len(conditions), 0.5), conditions[:, 0]])
        path = targets - ball
        distance = np.linalg.norm(path, axis=1, keepdims=True)
        contact = ball - 2.0 * self.radius * path / distance
        reach = np.linalg.norm(contact, axis=1, keepdims=True)
        direction = contact / reach
        head_on = (direction * path / distance).sum(axis=1, keepdims=True)
        reachable = head_on > 0
        head_on = np.where(reachable, head_on, np.nan)
        impact = self.friction * distance / ((1.0 + self.elasticity) / 2.0 * head_on)
        return (impact + self.friction * reach) * direction

    def draw_pairs(
        self, n_problems: int, random_state: Any = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw shots at random velocities and see where the other ball comes to rest.

        Parameters
        ----------
        n_problems : int
            Number of shots.
        random_state : None, int, RandomState or Generator, default=None
            Draws velocities from the box, and the y of the other ball.

        Returns
        -------
        X : ndarray of shape (n_problems, 3)
            Where the other ball came to rest, as if that had been the target, and its y before.
        unknowns : ndarray of shape (n_problems, 2)
            The velocities.
        """
        rng = as_generator(random_state)
        unknowns = self._draw_unknowns(n_problems, rng)
        y = rng.uniform(-self.offset, self.offset, (n_problems, 1))
        return np.hstack([self._predict(unknowns, y), y]), unknowns

    def _simulate(self, unknowns: Tensor, conditions: Tensor) -> Tensor:
        n_problems = len(unknowns)
        positions = unknowns.new_zeros(n_problems, 2, 2)
        positions[:, 1, 0] = 0.5
        positions[:, 1, 1] = conditions[:, 0]
        velocities = unknowns.new_zeros(n_problems, 2, 2).index_copy(
            1, unknowns.new_zeros(1).long(), unknowns[:, None]
        )
        motion = roll(
            positions,
            velocities,
            radius=self.radius,
            elasticity=unknowns.new_full((n_problems,), self.elasticity),
            friction=unknowns.new_full((n_problems,), self.friction),
            max_collisions=1,
        )
        return motion.at_rest()[:, 1]

    def _draw(self, n_problems: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
        y = rng.uniform(-self.offset, self.offset, (n_problems, 1))
        distance = rng.uniform(*self.distances, n_problems)
        angle = rng.uniform(-self.angle, self.angle, n_problems)
        targets = np.column_stack(
            [0.5 + distance * np.cos(angle), y[:, 0] + distance * np.sin(angle)]
        )
        return targets, y, self.best_velocity(targets, y)
