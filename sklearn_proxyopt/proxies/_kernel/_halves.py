"""A kernel proxy refitted to parts of its samples, with the settings learned from all of them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_proxyopt.proxies._kernel._inducing import InducedKriging
from sklearn_proxyopt.proxies._kernel._kriging import Kriging, learn_settings
from sklearn_proxyopt.proxies._kernel._learning import MAX_ROWS, Target
from sklearn_proxyopt.proxies._kernel._module import KernelModule
from sklearn_proxyopt.proxies._kernel._preparing import merged
from sklearn_proxyopt.proxies._kernel._process import Design, InducedProcess, faded
from sklearn_proxyopt.proxies._trend import PolynomialBasis

__all__ = ["BlendedMembers", "KernelMembers", "refitted"]

_SMALLEST_NOISE = 1e-10
_SCALES = ("center", "half_width", "level", "spread")


class _MembersOfProcess(nn.Module):
    """A process with several sets of samples, of which one setting is known.

    Parameters
    ----------
    design : Design
        What was chosen.
    settings : Tensor of shape (n_parameters + 1,)
        What was learned.
    limits : torch.nn.Module
        Within which values stay.
    rows : Tensor of shape (n_members, n, n_features)
        The samples, or inducing points, of each.
    weights : Tensor of shape (n_members, n)
        The weight of the covariance with each sample.
    mean_weights : Tensor of shape (n_members, n_functions)
        The weights of the functions of the mean.
    """

    def __init__(
        self,
        design: Design,
        settings: Tensor,
        limits: nn.Module,
        rows: Tensor,
        weights: Tensor,
        mean_weights: Tensor,
    ) -> None:
        super().__init__()
        self.design, self.limits = design, limits
        self.basis, self.warp = design.basis, design.warp
        self.settings = nn.Buffer(settings)
        self.rows, self.weights = nn.Buffer(rows), nn.Buffer(weights)
        self.mean_weights = nn.Buffer(mean_weights)

    def member(self, member: int) -> _MembersOfProcess:
        """Return one of them."""
        own = [one[member][None] for one in (self.rows, self.weights, self.mean_weights)]
        return _MembersOfProcess(self.design, self.settings, self.limits, *own)

    def forward(self, x: Tensor) -> Tensor:
        """Return predictions (n_members, n) at scaled points (n_members, n, n_features)."""
        within, fading = faded(x)
        cross = self.design.covariance.between(self.settings[:-1], x, self.rows)
        functions = self.basis(within.reshape(-1, x.shape[-1])).reshape(*x.shape[:2], -1)
        warped = functions @ self.mean_weights[:, :, None] + cross @ self.weights[:, :, None]
        value: Tensor = self.limits(self.warp.back(fading * warped[:, :, 0]))
        return value


class KernelMembers(nn.Module):
    """The processes of a kernel proxy that count, each with several sets of samples.

    Parameters
    ----------
    whole : KernelModule
        The proxy that has learned all samples.
    stacks : sequence of list of _MembersOfProcess
        The processes of each target.
    """

    center: Tensor

    def __init__(self, whole: KernelModule, stacks: Sequence[list[Any]]) -> None:
        super().__init__()
        self.register_buffer("center", whole.center)
        self.whole = whole
        self.stacks = nn.ModuleList(nn.ModuleList(stack) for stack in stacks)
        self.n_members = len(stacks[0][0].rows)

    def member(self, member: int) -> KernelMembers:
        """Return one of them, as a module with one member."""
        stacks: Any = self.stacks
        own = [[process.member(member) for process in stack] for stack in stacks]
        return KernelMembers(self.whole, own)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of the members (n, n_outputs) at samples (n, n_features)."""
        return self.members(x).mean(dim=0)

    def members(self, x: Tensor) -> Tensor:
        """Return values (n_members, n, n_outputs) at samples, the same or own ones for each."""
        scaled = self.whole.scaled(x).expand(self.n_members, *x.shape[-2:])
        columns = []
        for own, stack in zip(self.stacks, self.whole.stacks, strict=True):
            weights = stack.weights[list(stack.counting)]
            processes: Any = own
            values = torch.stack([process(scaled) for process in processes], dim=-1)
            columns.append(values @ weights)
        return self.whole.in_units(torch.stack(columns, dim=-1).to(x.dtype))


class BlendedMembers(nn.Module):
    """A kernel proxy and a network, each with as many members.

    Parameters
    ----------
    kernel : KernelMembers
        Those of the processes.
    network : torch.nn.Module
        Those of the network.
    share : Tensor of shape (n_outputs,)
        How much the network counts.
    """

    center: Tensor

    def __init__(self, kernel: KernelMembers, network: Any, share: Tensor) -> None:
        super().__init__()
        self.register_buffer("center", kernel.center)
        self.kernel, self.network = kernel, network
        self.share = nn.Buffer(share)
        self.n_members = kernel.n_members

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of the members (n, n_outputs) at samples (n, n_features)."""
        return self.members(x).mean(dim=0)

    def members(self, x: Tensor) -> Tensor:
        """Return values (n_members, n, n_outputs) at samples, the same or own ones for each."""
        network = self.kernel.whole.settled(x, self.network.members(x))[0]
        return torch.lerp(self.kernel.members(x), network, self.share)


def refitted(
    module: KernelModule,
    X: NDArray[np.float64],
    y: NDArray[np.float64],
    parts: NDArray[np.intp],
    seed: int,
) -> KernelMembers:
    """Return the processes of a module, fitted to parts of the samples.

    Parameters
    ----------
    module : KernelModule
        The fitted proxy.
    X : ndarray of shape (n, n_features)
        Samples, in the user's units.
    y : ndarray of shape (n, n_outputs)
        Their values.
    parts : ndarray of shape (n_members, n_in_part)
        The samples of each part.
    seed : int
        Draws a sample, where they are more than a process learns from.

    Returns
    -------
    KernelMembers
        A member for each part.
    """
    place = module.center.device
    device = place if place.type == "cuda" else torch.device("cpu")
    targets = [_targets(module, X[part], y[part], seed, device) for part in parts]
    stacks = []
    for place_of_target, stack in enumerate(module.stacks):
        own = copy.deepcopy(stack).to(device, torch.float64)
        of_parts = [one[place_of_target] for one in targets]
        fits = [_members(own.processes[one], of_parts) for one in stack.counting]
        stacks.append([fit.to(place, stack.weights.dtype) for fit in fits])
    return KernelMembers(module, stacks)


def _targets(
    module: KernelModule,
    X: NDArray[np.float64],
    y: NDArray[np.float64],
    seed: int,
    device: torch.device,
) -> list[Target]:
    """Return samples as each target of a module knows them."""
    X, values, weight, _ = merged(X, module.learned(X, y), np.ones_like(y))
    scales = [getattr(module, name).cpu().double().numpy() for name in _SCALES]
    center, half_width, level, spread = scales
    rows = torch.from_numpy((X - center) / half_width).to(device)
    columns = torch.from_numpy((values - level[:, None]) / spread[:, None]).to(device)
    weights = torch.from_numpy(weight[0] / weight[0].mean()).to(device)
    generator = torch.Generator(device="cpu").manual_seed(seed)
    return [Target(rows, one, weights).sample(MAX_ROWS, generator) for one in columns]


def _members(process: Any, targets: Sequence[Target]) -> _MembersOfProcess:
    """Fit a process to each set of samples."""
    design = Design(process.covariance, process.basis, process.trend, process.warp)
    settings, fits, rows = process.settings, [], [target.rows for target in targets]
    if isinstance(process, InducedProcess):
        rows = [process.rows] * len(targets)
    else:
        design, settings = _carried(design, settings, targets[0])
    for target in targets:
        if isinstance(process, InducedProcess):
            fits.append(_induced(design, settings, process.rows, target))
        else:
            known = target.observed(design.basis, design.warp)
            fits.append(Kriging.fitted(design.covariance, settings, known))
    # Repeated samples are one, so that some parts may have fewer.
    padded = nn.utils.rnn.pad_sequence
    return _MembersOfProcess(
        design,
        settings,
        process.limits,
        padded(rows, batch_first=True),
        padded([fit.weights for fit in fits], batch_first=True),
        torch.stack([fit.mean_weights for fit in fits]),
    )


def _induced(design: Design, settings: Tensor, inducing: Tensor, target: Target) -> Any:
    known = (target.rows, design.warp(target.values), target.weight)
    return InducedKriging.fitted(design.covariance, settings, inducing, known, design.basis)


def _carried(design: Design, settings: Tensor, target: Target) -> tuple[Design, Tensor]:
    """Return a design whose mean so few samples can carry, and its settings."""
    n_rows, n_functions = len(target.rows), design.basis(target.rows[:1]).shape[1]
    if n_functions <= max(n_rows // 2, 1):
        return design, settings
    with torch.device("cpu"):
        constant = PolynomialBasis(target.rows.shape[1], 0).to(target.rows.device)
    design = Design(design.covariance, constant, "constant", design.warp)
    # What varies about another mean varies otherwise.
    known, order = target.observed(constant, design.warp), torch.arange(n_rows, device="cpu")
    settings = learn_settings(design.covariance, known, order, _SMALLEST_NOISE, settings)
    return design, settings
