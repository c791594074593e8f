"""A kernel proxy as one torch module, from the user's units to the user's units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_proxyopt.proxies._kernel._process import faded
from sklearn_proxyopt.proxies._kernel._stack import Stack
from sklearn_proxyopt.proxies._kernel._warps import SoftLimits

__all__ = ["KernelModule"]


class KernelModule(nn.Module):
    """Stacks of processes, one for each target, with the scaling of rows and values.

    Parameters
    ----------
    center, half_width : Tensor of shape (n_features,)
        The box of the rows.
    level, spread : Tensor of shape (n_outputs,)
        Mean and standard deviation of the values.
    stacks : sequence of Stack
        The processes of each target.
    limits : sequence of SoftLimits
        What is possible for each target.
    n_std : float, default=0.0
        Number of standard deviations to subtract.
    """

    center: Tensor
    half_width: Tensor
    level: Tensor
    spread: Tensor
    # A ModuleList would hide the type of what it holds.
    stacks: Any
    limits: Any

    n_members = 1

    def __init__(
        self,
        center: Tensor,
        half_width: Tensor,
        level: Tensor,
        spread: Tensor,
        stacks: Sequence[Stack],
        limits: Sequence[SoftLimits],
        n_std: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("center", center)
        self.register_buffer("half_width", half_width)
        self.register_buffer("level", level)
        self.register_buffer("spread", spread)
        self.stacks = nn.ModuleList(stacks)
        self.limits = nn.ModuleList(limits)
        self.n_std = n_std

    @property
    def n_rows(self) -> int:
        """How many rows a point is compared with."""
        return sum(int(stack.n_rows) for stack in self.stacks)

    def weights_by_name(self) -> list[dict[str, float]]:
        """Return, for each target, the processes by name with their weights."""
        return [
            dict(zip(stack.names, stack.weights.tolist(), strict=True)) for stack in self.stacks
        ]

    def lowered(self, n_std: float) -> KernelModule:
        """Return a module that shares all numbers and subtracts standard deviations."""
        return KernelModule(
            self.center,
            self.half_width,
            self.level,
            self.spread,
            list(self.stacks),
            list(self.limits),
            n_std,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return predictions of shape (n, n_outputs) for rows of shape (n, n_features)."""
        if self.n_std:
            mean, deviation = self.moments(x)
            return mean - self.n_std * deviation
        scaled = self.scaled(x)
        values = torch.stack([stack(scaled) for stack in self.stacks], dim=1)
        return self.in_units(values.to(x.dtype))

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return predictions and their standard deviations, both of shape (n, n_outputs)."""
        scaled = self.scaled(x)
        moments = [stack.moments(scaled) for stack in self.stacks]
        values, deviations = (torch.stack(one, dim=1) for one in zip(*moments, strict=True))
        return self.in_units(values.to(x.dtype)), self.spread * deviations.to(x.dtype)

    def members(self, x: Tensor) -> Tensor:
        """Return the predictions of the only member, of shape (1, n, n_outputs).

        Rows have shape (n, n_features) or (1, n, n_features).
        """
        return self(x if x.dim() == 2 else x[0])[None]

    def settled(self, x: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return another model's values as this one would give them, and how much is left of them.

        Far from the rows they go back to the mean of the values, and they stay within the limits.
        """
        fading = faded(self.scaled(x))[1].to(values.dtype)[..., None]
        return self._limited(torch.lerp(self.level, values, fading)), fading

    def scaled(self, x: Tensor) -> Tensor:
        """Return rows as the processes know them."""
        scaled = (x - self.center) / self.half_width
        return scaled.to(self.stacks[0].weights.dtype)

    def in_units(self, values: Tensor) -> Tensor:
        """Return values (..., n_outputs) of the processes in the user's units."""
        return self._limited(self.level + self.spread * values)

    def _limited(self, values: Tensor) -> Tensor:
        each = zip(self.limits, values.unbind(dim=-1), strict=True)
        return torch.stack([limit(one) for limit, one in each], dim=-1)
