"""An incompressible fluid that flows around obstacles, seen in its upper half only."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from sklearn_proxyopt._utils._validation import check_bounds, check_integer, check_real
from sklearn_proxyopt.problems.physics._base import ForwardModel
from sklearn_proxyopt.problems.physics._noise import smooth_noise
from sklearn_proxyopt.problems.physics._pressure import Projection

__all__ = ["NavierStokes"]

_SIZE = 100.0
_OBSTACLES = ((30.0, 50.0, 9.0), (55.0, 60.0, 8.0), (75.0, 45.0, 9.0))


class NavierStokes(ForwardModel):
    """Place and strength of a push near the bottom, from the flow in the upper half.

    u_t + u . grad u = viscosity lap u - grad p with div u = 0, in a closed box of side 100 around
    solid discs. A step carries the velocity along itself by a semi-Lagrangian lookup, diffuses it,
    and makes it free of divergence by an exact solve for the pressure. Velocities lie on the faces
    of square cells (a staggered grid); walls and discs let nothing through but do not hold the
    flow beside them back.

    At the start the fluid moves at random, and a push of Gaussian shape with radius 8 is added,
    centered at (x, 20). The unknowns are x and the two components of the push. What is known is the
    velocity in the upper half before the push, and what is observed the velocity there at the end;
    the lower half, which the measurements drawn by `sample` also contain, is taken as zero.

    Parameters
    ----------
    n_cells : int, default=32
        Cells along each side, even.
    n_steps : int, default=28
        Number of steps.
    time_step : float, default=2.0
        Length of a step.
    viscosity : float, default=0.0
        Viscosity; interpolation adds some of its own.
    obstacles : sequence of (float, float, float), default=((30, 50, 9), (55, 60, 8), (75, 45, 9))
        Center and radius of each disc; cells whose centers lie inside are solid.
    noise : float, default=0.5
        Standard deviation of the random velocity at the start.
    bounds : array-like of shape (3, 2), default=((10, 90), (-5, 5), (2, 8))
        Where the unknowns may lie: the place of the push and its two components.

    References
    ----------
    .. [1] "Can Neural Networks Improve Classical Optimization of Inverse Problems?", section 4.4,
       2023.
    .. [2] Stam, "Stable Fluids", SIGGRAPH 1999, :doi:`10.1145/311535.311548`.

    Examples
    --------
    >>> from sklearn_proxyopt.problems.physics import NavierStokes
    >>> model = NavierStokes(n_cells=8, n_steps=2)
    >>> X, unknowns = model.sample(3, random_state=0)
    >>> model.observation_shape, X.shape
    ((2, 8, 4), (3, 128))
    """

    is_static = True

    def __init__(
        self,
        n_cells: int = 32,
        *,
        n_steps: int = 28,
        time_step: float = 2.0,
        viscosity: float = 0.0,
        obstacles: tuple[tuple[float, float, float], ...] = _OBSTACLES,
        noise: float = 0.5,
        bounds: ArrayLike = ((10.0, 90.0), (-5.0, 5.0), (2.0, 8.0)),
    ) -> None:
        self.n_cells = check_integer(n_cells, "n_cells", minimum=4)
        if n_cells % 2:
            raise ValueError(f"n_cells must be even; got {n_cells}.")
        self.n_steps = check_integer(n_steps, "n_steps")
        self.time_step = check_real(time_step, "time_step", minimum=0.0, include_minimum=False)
        self.viscosity = check_real(viscosity, "viscosity", minimum=0.0)
        self.obstacles = obstacles
        self.noise = check_real(noise, "noise", minimum=0.0)
        self.bounds = check_bounds(bounds, 3)
        self.start = self.bounds.mean(axis=1)
        self.observation_shape = self.condition_shape = (2, n_cells, n_cells // 2)
        self._spacing = _SIZE / n_cells
        self._projection = Projection(self._solid())

    def evolve(self, u: Tensor, v: Tensor, n_steps: int | None = None) -> tuple[Tensor, Tensor]:
        """Advance a flow.

        Parameters
        ----------
        u : torch.Tensor of shape (n, n_cells + 1, n_cells)
            Horizontal velocity on the faces between cells that lie side by side.
        v : torch.Tensor of shape (n, n_cells, n_cells + 1)
            Vertical velocity on the faces between cells that lie one above the other.
        n_steps : int, default=None
            Number of steps; None takes that of the model.

        Returns
        -------
        u : torch.Tensor of shape (n, n_cells + 1, n_cells)
            Horizontal velocity afterwards.
        v : torch.Tensor of shape (n, n_cells, n_cells + 1)
            Vertical velocity afterwards; both together are free of divergence.
        """
        u, v = self._projection(u, v)
        for _ in range(self.n_steps if n_steps is None else n_steps):
            u, v = self._advect(u, v)
            if self.viscosity:
                u, v = self._diffuse(u), self._diffuse(v)
            u, v = self._projection(u, v)
        return u, v

    def divergence(self, u: Tensor, v: Tensor) -> Tensor:
        """Return the divergence in each cell.

        Parameters
        ----------
        u, v : torch.Tensor
            A flow, see `evolve`.

        Returns
        -------
        torch.Tensor of shape (n, n_cells, n_cells)
            Net flow out of each cell over its area, in units of one over time.
        """
        return (u.diff(dim=1) + v.diff(dim=2)) / self._spacing

    def solid_faces(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Tell which faces let nothing through.

        Returns
        -------
        ndarray of shape (n_cells + 1, n_cells), ndarray of shape (n_cells, n_cells + 1)
            True for the faces of walls and discs.
        """
        return ~self._projection.open_u, ~self._projection.open_v

    def _solid(self) -> NDArray[np.bool_]:
        centers = (np.arange(self.n_cells) + 0.5) * self._spacing
        x, y = np.meshgrid(centers, centers, indexing="ij")
        inside = np.zeros(x.shape, dtype=bool)
        for x_disc, y_disc, radius in self.obstacles:
            inside |= (x - x_disc) ** 2 + (y - y_disc) ** 2 < radius**2
        return inside

    def _simulate(self, unknowns: Tensor, conditions: Tensor) -> Tensor:
        half = self.n_cells // 2
        # The faces on the left wall and in the lower half, which the conditions do not hold.
        u = pad(conditions[:, 0], (half, 0, 1, 0))
        v = pad(conditions[:, 1], (half, 1, 0, 0))
        return self._upper_half(*self.evolve(*self._push(u, v, unknowns)))

    def _push(self, u: Tensor, v: Tensor, unknowns: Tensor) -> tuple[Tensor, Tensor]:
        """Add the push to a flow."""
        x, strength_x, strength_y = unknowns[:, :, None, None].unbind(dim=1)
        u_x, u_y, v_x, v_y = self._faces(unknowns)
        push_u = torch.exp(-((u_x - x) ** 2 + (u_y - 20.0) ** 2) / (2.0 * 8.0**2))
        push_v = torch.exp(-((v_x - x) ** 2 + (v_y - 20.0) ** 2) / (2.0 * 8.0**2))
        return u + strength_x * push_u, v + strength_y * push_v

    def _faces(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the places of the faces of u and of v."""
        edges = torch.arange(self.n_cells + 1, dtype=like.dtype, device=like.device)
        edges = edges * self._spacing
        centers = (edges[1:] + edges[:-1]) / 2
        u_x, u_y = torch.meshgrid(edges, centers, indexing="ij")
        v_x, v_y = torch.meshgrid(centers, edges, indexing="ij")
        return u_x, u_y, v_x, v_y

    def _upper_half(self, u: Tensor, v: Tensor) -> Tensor:
        half = self.n_cells // 2
        return torch.stack([u[:, 1:, half:], v[:, :, half:-1]], dim=1)

    def _advect(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Look up, for each face, the velocity that arrives there (semi-Lagrangian)."""
        u_x, u_y, v_x, v_y = self._faces(u)
        # The other component at a face is the mean of the four nearest.
        around = pad(v, (0, 0, 1, 1), mode="replicate")
        v_at_u = around[:, 1:, 1:] + around[:, 1:, :-1] + around[:, :-1, 1:] + around[:, :-1, :-1]
        around = pad(u, (1, 1), mode="replicate")
        u_at_v = around[:, 1:, 1:] + around[:, 1:, :-1] + around[:, :-1, 1:] + around[:, :-1, :-1]
        h = self.time_step
        moved_u = self._look_up(u, u_x - h * u, u_y - h * v_at_u / 4, 0.0, 0.5)
        moved_v = self._look_up(v, v_x - h * u_at_v / 4, v_y - h * v, 0.5, 0.0)
        return moved_u, moved_v

    def _look_up(
        self, field: Tensor, x: Tensor, y: Tensor, first_x: float, first_y: float
    ) -> Tensor:
        """Interpolate a field linearly; outside it has the value of its nearest point."""
        n_x, n_y = field.shape[1:]
        row = 2.0 * (x / self._spacing - first_x) / (n_x - 1) - 1.0
        column = 2.0 * (y / self._spacing - first_y) / (n_y - 1) - 1.0
        places = torch.stack([column, row], dim=3)
        return grid_sample(field[:, None], places, padding_mode="border", align_corners=True)[:, 0]

    def _diffuse(self, field: Tensor) -> Tensor:
        share = self.viscosity * self.time_step / self._spacing**2
        around = pad(field, (1, 1, 1, 1), mode="replicate")
        neighbors = around[:, 2:, 1:-1] + around[:, :-2, 1:-1]
        neighbors = neighbors + around[:, 1:-1, 2:] + around[:, 1:-1, :-2]
        return field + share * (neighbors - 4.0 * field)

    def _draw(self, n_problems: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
        unknowns = self._draw_unknowns(n_problems, rng)
        noise = smooth_noise(
            2 * n_problems, (self.n_cells + 1,) * 2, _SIZE, rng, scale=25.0, smoothness=1.0
        )
        flow = self.noise * torch.from_numpy(noise).reshape(n_problems, 2, *noise.shape[1:])
        with torch.no_grad():
            u, v = self._projection(flow[:, 0, :, :-1], flow[:, 1, :-1])
            before = self._upper_half(u, v)
            after = self._upper_half(*self.evolve(*self._push(u, v, torch.from_numpy(unknowns))))
        return after.numpy(), before.numpy(), unknowns
