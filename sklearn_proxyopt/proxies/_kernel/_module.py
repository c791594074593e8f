"""A kernel proxy as one torch module, from the user's units to the user's units."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_proxyopt.proxies._kernel._process import faded
from sklearn_proxyopt.proxies._kernel._stack import Stack
from sklearn_proxyopt.proxies._kernel._warps import SoftLimits
from sklearn_proxyopt.proxies._kernel._wild import AS_THEY_ARE, Taming

__all__ = ["KernelModule"]


class KernelModule(nn.Module):
    """Stacks of processes, one for each target, with the scaling of samples and values.

    Parameters
    ----------
    center, half_width : Tensor of shape (n_features,)
        The box of the samples.
    level, spread : Tensor of shape (n_outputs,)
        Mean and standard deviation of the values.
    stacks : sequence of Stack
        The processes of each target.
    limits : sequence of SoftLimits
        What is possible for each target.
    tamings : sequence of Taming, default=()
        How the values of each target were changed before they were learned; none by default.
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
        tamings: Sequence[Taming] = (),
        n_std: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("center", center)
        self.register_buffer("half_width", half_width)
        self.register_buffer("level", level)
        self.register_buffer("spread", spread)
        self.stacks = nn.ModuleList(stacks)
        self.limits = nn.ModuleList(limits)
        self.tamings = tuple(tamings) or (AS_THEY_ARE,) * len(stacks)
        self._has_logarithms = any(one.kind == "logarithm" for one in self.tamings)
        self.n_std = n_std

    @property
    def n_rows(self) -> int:
        """How many samples a point is compared with."""
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
            self.tamings,
            n_std,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return predictions of shape (n, n_outputs) for samples of shape (n, n_features)."""
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
        deviations = self.spread * deviations.to(x.dtype)
        if self._has_logarithms:
            deviations = deviations * self._slopes(values.to(x.dtype))
        return self.in_units(values.to(x.dtype)), deviations

    def members(self, x: Tensor) -> Tensor:
        """Return the predictions of the only member, of shape (1, n, n_outputs).

        Samples have shape (n, n_features) or (1, n, n_features).
        """
        return self(x if x.dim() == 2 else x[0])[None]

    def settled(self, x: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return another model's values as this one would give them, and how much is left of them.

        Far from the samples they go back to the mean of the values, and they stay within the
        limits.
        """
        fading = faded(self.scaled(x))[1].to(values.dtype)[..., None]
        return self._limited(torch.lerp(self.level, values, fading)), fading

    def scaled(self, x: Tensor) -> Tensor:
        """Return samples as the processes know them."""
        scaled = (x - self.center) / self.half_width
        return scaled.to(self.stacks[0].weights.dtype)

    def in_units(self, values: Tensor) -> Tensor:
        """Return values (..., n_outputs) of the processes in the user's units."""
        values = self.level + self.spread * values
        return self._limited(self._powers(values) if self._has_logarithms else values)

    def _slopes(self, values: Tensor) -> Tensor:
        """Return the sizes of the derivatives of values in units by those that were learned."""
        learned = self.level + self.spread * values
        one = torch.ones_like(learned)
        return torch.where(self._are_logarithms(values), self._powers(learned).abs(), one)

    def _powers(self, learned: Tensor) -> Tensor:
        """Return values of which the logarithm was learned, and others as they are."""
        signs = learned.new_tensor([one.sign for one in self.tamings])
        powers = signs * (signs * learned).clamp(max=_highest_log(learned.dtype)).exp()
        return torch.where(self._are_logarithms(learned), powers, learned)

    def _are_logarithms(self, like: Tensor) -> Tensor:
        are = [one.kind == "logarithm" for one in self.tamings]
        return torch.tensor(are, device=like.device)

    def learned(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what is learned in place of values (n, n_outputs), in the user's units."""
        if all(one == AS_THEY_ARE for one in self.tamings):
            return y
        rows = torch.from_numpy(X).to(self.center)
        predicted = self(rows).cpu().double().numpy()
        columns = zip(self.tamings, y.T, predicted.T, strict=True)
        return np.column_stack([one.learned(column, other) for one, column, other in columns])

    def _limited(self, values: Tensor) -> Tensor:
        each = zip(self.limits, values.unbind(dim=-1), strict=True)
        return torch.stack([limit(one) for limit, one in each], dim=-1)


def _highest_log(dtype: torch.dtype) -> float:
    """Return the logarithm of a number that is far from the largest of a type."""
    return 0.9 * log(torch.finfo(dtype).max)
