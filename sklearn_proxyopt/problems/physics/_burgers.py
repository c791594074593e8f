"""Burgers' equation, in which waves steepen and viscosity smooths them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_proxyopt._utils._validation import check_integer, check_real
from sklearn_proxyopt.problems.physics._base import ForwardModel
from sklearn_proxyopt.problems.physics._noise import smooth_noise

__all__ = ["Burgers"]


class Burgers(ForwardModel):
    """The viscosity of a fluid in one dimension, from its path.

    u_t + u u_x = viscosity u_xx on a periodic domain, with a known start. A step first diffuses in
    `n_substeps` explicit substeps, then carries u along itself by a semi-Lagrangian lookup with
    linear interpolation. The unknown is the viscosity; what is observed is u after every step.

    Parameters
    ----------
    n_points : int, default=32
        Number of grid points.
    length : float, default=100.0
        Length of the domain.
    time_step : float, default=0.5
        Length of a step.
    n_steps : int, default=6
        Number of steps.
    n_substeps : int, default=3
        Substeps of the diffusion; stable while viscosity * time_step / n_substeps is below half
        the square of the grid spacing.

    References
    ----------
    .. [1] "Optimization Landscapes Learned: Proxy Networks Boost Convergence in Physics-based
       Inverse Problems", :arxiv:`2501.16573`, 2025. The numbers are those of its first author's
       code.

    Examples
    --------
    >>> from sklearn_proxyopt.problems.physics import Burgers
    >>> X, unknowns = Burgers().sample(3, random_state=0)
    >>> X.shape, unknowns.shape
    ((3, 224), (3, 1))
    """

    is_static = True

    def __init__(
        self,
        n_points: int = 32,
        *,
        length: float = 100.0,
        time_step: float = 0.5,
        n_steps: int = 6,
        n_substeps: int = 3,
    ) -> None:
        self.n_points = check_integer(n_points, "n_points", minimum=4)
        self.length = check_real(length, "length", minimum=0.0, include_minimum=False)
        self.time_step = check_real(time_step, "time_step", minimum=0.0, include_minimum=False)
        self.n_steps = check_integer(n_steps, "n_steps")
        self.n_substeps = check_integer(n_substeps, "n_substeps")
        self.bounds = np.array([[0.0, 10.0]])
        self.start = np.array([5.0])
        self.observation_shape = (self.n_steps, self.n_points)
        self.condition_shape = (self.n_points,)

    def _simulate(self, unknowns: Tensor, conditions: Tensor) -> Tensor:
        spacing = self.length / self.n_points
        share = unknowns * self.time_step / (self.n_substeps * spacing**2)
        points = torch.arange(self.n_points, device=unknowns.device)
        u, frames = conditions, []
        for _ in range(self.n_steps):
            for _ in range(self.n_substeps):
                u = u + share * (u.roll(1, dims=1) - 2.0 * u + u.roll(-1, dims=1))
            origin = points - u * self.time_step / spacing
            below = origin.detach().floor()
            weight = origin - below
            left = below.long().remainder(self.n_points)
            right = (left + 1).remainder(self.n_points)
            u = (1.0 - weight) * u.gather(1, left) + weight * u.gather(1, right)
            frames.append(u)
        return torch.stack(frames, dim=1)

    def _draw(self, n_problems: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
        unknowns = self._draw_unknowns(n_problems, rng)
        start = 2.0 * smooth_noise(
            n_problems, (self.n_points,), self.length, rng, scale=200.0, smoothness=0.4
        )
        return self._predict(unknowns, start), start, unknowns
