"""A kernel proxy under Gaussian noise on its inputs, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_proxyopt.proxies._kernel._module import KernelModule
from sklearn_proxyopt.proxies._kernel._process import Process, faded
from sklearn_proxyopt.proxies._kernel._stack import Stack
from sklearn_proxyopt.proxies._kernel._warps import IdentityWarp

__all__ = ["SmoothedLevels", "smoothed_levels"]


class _SmoothedProcess(nn.Module):
    """The mean of a process over noise on its inputs.

    Parameters
    ----------
    process : Process
        A process of values that are not warped.
    noise : float
        Standard deviation of the noise on each variable, in half-widths of the box.
    """

    def __init__(self, process: Process, noise: float) -> None:
        super().__init__()
        self.process: Any = process
        self.noise = noise
        basis: Any = process.basis
        self.mean_weights = nn.Buffer(basis.smoothed(process.mean_weights[:, None], noise)[:, 0])

    def forward(self, x: Tensor) -> Tensor:
        """Return values (n,) at scaled points (n, n_features)."""
        within, fading = faded(x)
        process = self.process
        cross = process.covariance.smoothed(process.settings[:-1], x, process.rows, self.noise)
        mean = process.basis(within) @ self.mean_weights
        value = process.back(fading * (mean + cross @ process.weights))
        return value


class _SmoothedStack(nn.Module):
    """The mean of a weighted sum of processes over noise on their inputs.

    Warped values have no closed form: the other processes take the weights of theirs.

    Parameters
    ----------
    stack : Stack
        The sum.
    noise : float
        As of `_SmoothedProcess`.
    """

    weights: Tensor
    # A ModuleList would hide the type of what it holds.
    processes: Any

    def __init__(self, stack: Stack, noise: float) -> None:
        super().__init__()
        processes = list(stack.processes)
        is_plain = [isinstance(one.warp, IdentityWarp) for one in processes]
        plain = stack.weights.new_tensor(is_plain)
        weights = stack.weights * plain
        weights = weights if bool(weights.any()) else plain
        used = weights.nonzero()[:, 0].tolist()
        self.register_buffer("weights", (weights / weights.sum())[used])
        self.processes = nn.ModuleList(_SmoothedProcess(processes[place], noise) for place in used)

    def forward(self, x: Tensor) -> Tensor:
        """Return values (n,) at scaled points (n, n_features)."""
        return self.weights @ torch.stack([process(x) for process in self.processes])


class SmoothedLevels(nn.Module):
    """A kernel proxy under several levels of noise, from the user's units to the user's units.

    Parameters
    ----------
    whole : KernelModule
        The proxy.
    levels : sequence of list of _SmoothedStack
        For each level, the stack of each target.
    """

    center: Tensor

    def __init__(self, whole: KernelModule, levels: Sequence[Any]) -> None:
        super().__init__()
        self.register_buffer("center", whole.center)
        self.whole = whole
        self.levels = nn.ModuleList(nn.ModuleList(level) for level in levels)
        self.n_members = len(levels)

    def member(self, member: int) -> SmoothedLevels:
        """Return one level, as a module with one member."""
        return SmoothedLevels(self.whole, [self.levels[member]])

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of the levels (n, n_outputs) at samples (n, n_features)."""
        return self.members(x).mean(dim=0)

    def members(self, x: Tensor) -> Tensor:
        """Return values (n_members, n, n_outputs) at samples, the same or own ones for each."""
        scaled = self.whole.scaled(x).expand(self.n_members, *x.shape[-2:])
        levels: Any = self.levels
        values = [
            torch.stack([stack(rows) for stack in level], dim=-1)
            for level, rows in zip(levels, scaled, strict=True)
        ]
        return self.whole.in_units(torch.stack(values).to(x.dtype))


def smoothed_levels(module: KernelModule, noises: Sequence[float]) -> SmoothedLevels:
    """Return a kernel proxy under levels of noise, each in half-widths of the box."""
    stacks: Any = module.stacks
    return SmoothedLevels(
        module, [[_SmoothedStack(stack, noise) for stack in stacks] for noise in noises]
    )
