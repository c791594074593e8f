"""Functions drawn from what a kernel proxy holds possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_proxyopt.proxies._kernel._module import KernelModule
from sklearn_proxyopt.proxies._kernel._process import (
    ExactProcess,
    Process,
    faded,
)
from sklearn_proxyopt.proxies._kernel._stack import Stack

__all__ = ["SamplePaths", "sample_paths"]

# A function drawn before any sample is known is a sum of so many cosines.
_N_COSINES = 512


class _PathsOfProcess(nn.Module):
    """Functions drawn from one process.

    Each is a function drawn from what was possible before any sample was known, corrected by what
    the process predicts of its errors at the samples (Matheron's rule; Wilson et al. 2020).

    Parameters
    ----------
    process : Process
        The process.
    cosines : tuple of Tensor
        Frequencies (n_paths, n_cosines, n_features), phases (n_paths, n_cosines) and the height of
        each cosine, (n_paths,).
    weights : Tensor of shape (n_paths, n)
        The weight of the covariance with each sample.
    mean_weights : Tensor of shape (n_paths, n_functions)
        The weights of the functions of the mean.
    """

    def __init__(
        self,
        process: Process,
        cosines: tuple[Tensor, Tensor, Tensor],
        weights: Tensor,
        mean_weights: Tensor,
    ) -> None:
        super().__init__()
        self.process: Any = process
        self.frequencies, self.phases, self.heights = map(nn.Buffer, cosines)
        self.weights, self.mean_weights = nn.Buffer(weights), nn.Buffer(mean_weights)

    @property
    def n_paths(self) -> int:
        """How many they are."""
        return len(self.weights)

    def path(self, number: int) -> _PathsOfProcess:
        """Return one of them."""
        own = [one[[number]] for one in (self.frequencies, self.phases, self.heights)]
        frequencies, phases, heights = own
        weights, mean_weights = self.weights[[number]], self.mean_weights[[number]]
        return _PathsOfProcess(self.process, (frequencies, phases, heights), weights, mean_weights)

    def before(self, x: Tensor) -> Tensor:
        """Return the draws from the prior, (n_paths, n) at points (n_paths, n, n_features)."""
        angles = x @ self.frequencies.mT + self.phases[:, None, :]
        return self.heights[:, None] * angles.cos().sum(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """Return values (n_paths, n) at scaled points (n_paths, n, n_features)."""
        within, fading = faded(x)
        process = self.process
        cross = process.covariance.between(process.settings[:-1], x, process.rows)
        functions = process.basis(within.reshape(-1, x.shape[-1])).reshape(*x.shape[:2], -1)
        corrected = functions @ self.mean_weights[:, :, None] + cross @ self.weights[:, :, None]
        warped = fading * (self.before(x) + corrected[:, :, 0])
        value: Tensor = process.limits(process.warp.back(warped))
        return value


class SamplePaths(nn.Module):
    """Functions drawn from a kernel proxy, from the user's units to the user's units.

    Parameters
    ----------
    whole : KernelModule
        The proxy.
    stacks : sequence of list of _PathsOfProcess
        Those of each target, as many of each.
    """

    center: Tensor

    def __init__(self, whole: KernelModule, stacks: Sequence[list[_PathsOfProcess]]) -> None:
        super().__init__()
        self.register_buffer("center", whole.center)
        self.whole = whole
        self.stacks = nn.ModuleList(nn.ModuleList(stack) for stack in stacks)
        self.n_members = sum(one.n_paths for one in stacks[0])

    def member(self, member: int) -> SamplePaths:
        """Return one of them, as a module with one member."""
        stacks: Any = self.stacks
        return SamplePaths(self.whole, [[_path(stack, member)] for stack in stacks])

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of the functions (n, n_outputs) at samples (n, n_features)."""
        return self.members(x).mean(dim=0)

    def members(self, x: Tensor) -> Tensor:
        """Return values (n_members, n, n_outputs) at samples, the same or own ones for each."""
        scaled = self.whole.scaled(x).expand(self.n_members, *x.shape[-2:])
        stacks: Any = self.stacks
        columns = []
        for stack in stacks:
            parts = scaled.split([one.n_paths for one in stack])
            columns.append(torch.cat([one(part) for one, part in zip(stack, parts, strict=True)]))
        return self.whole.in_units(torch.stack(columns, dim=-1).to(x.dtype))


def _path(stack: Any, number: int) -> _PathsOfProcess:
    for paths in stack:
        if number < paths.n_paths:
            found: _PathsOfProcess = paths.path(number)
            return found
        number -= paths.n_paths
    raise IndexError(number)


def sample_paths(module: KernelModule, n_paths: int, seed: int) -> SamplePaths:
    """Draw functions from a kernel proxy: each from one of its processes, drawn by its weight."""
    generator = torch.Generator(device="cpu").manual_seed(seed)
    return SamplePaths(module, [_of_stack(stack, n_paths, generator) for stack in module.stacks])


def _of_stack(stack: Stack, n_paths: int, generator: torch.Generator) -> list[_PathsOfProcess]:
    drawn = stack.weights.double().cpu().multinomial(n_paths, True, generator=generator)
    counts = drawn.bincount(minlength=len(stack.weights)).tolist()
    return [
        _of_process(process, count, generator)
        for process, count in zip(stack.processes, counts, strict=True)
        if count
    ]


def _of_process(process: Process, n_paths: int, generator: torch.Generator) -> _PathsOfProcess:
    like = process.weights
    draw = _of_exact if isinstance(process, ExactProcess) else _of_induced
    n_features = process.rows.shape[1]
    parameters = process.settings[:-1].cpu().double()
    frequencies = process.covariance.frequencies(parameters, n_paths * _N_COSINES, generator)
    phases = torch.rand(n_paths, _N_COSINES, generator=generator, dtype=torch.float64, device="cpu")
    height = (2.0 * process.variance / _N_COSINES) ** 0.5
    heights = torch.full((n_paths,), height, dtype=torch.float64, device="cpu")
    cosines = (
        frequencies.reshape(n_paths, _N_COSINES, n_features).to(like),
        (2.0 * torch.pi * phases).to(like),
        heights.to(like),
    )
    return draw(process, cosines, generator)


def _of_exact(
    process: Any, cosines: tuple[Tensor, Tensor, Tensor], generator: torch.Generator
) -> _PathsOfProcess:
    """Correct drawn functions by what the process predicts of their errors at the samples."""
    rows, like, n_paths = process.rows, process.weights, len(cosines[2])
    root, mean_root, across = process.factors()
    functions, noise = process.basis(rows), process.noise
    known = process.covariance.between(process.settings[:-1], rows, rows) @ process.weights
    known = known + noise * process.weights + functions @ process.mean_weights
    none = like.new_zeros(n_paths, 1)
    before = _PathsOfProcess(process, cosines, none, none).before(rows.expand(n_paths, -1, -1))
    of_noise = (process.variance * noise).sqrt() * _normal((n_paths, len(rows)), like, generator)
    errors = (known - before - of_noise).T
    share = across @ errors
    weights = torch.cholesky_solve(errors, root) - across.T @ share
    of_mean = torch.linalg.solve_triangular(mean_root.T, share, upper=True)
    mean_weights = process.to_functions @ of_mean
    return _PathsOfProcess(process, cosines, weights.T.contiguous(), mean_weights.T.contiguous())


def _of_induced(
    process: Any, cosines: tuple[Tensor, Tensor, Tensor], generator: torch.Generator
) -> _PathsOfProcess:
    """Draw the weights of the inducing points; what these leave is not drawn."""
    like, n_paths, n_mean = process.weights, len(cosines[2]), len(process.mean_weights)
    root, posterior_root = process.factors()
    drawn = _normal((len(posterior_root), n_paths), like, generator)
    deviation = (process.variance * process.settings[-1].exp()).sqrt()
    off = deviation * torch.linalg.solve_triangular(posterior_root.T, drawn, upper=True)
    weights = process.weights + torch.linalg.solve_triangular(root.T, off[n_mean:], upper=True).T
    flat = (cosines[0], cosines[1], 0.0 * cosines[2])
    return _PathsOfProcess(process, flat, weights, process.mean_weights + off[:n_mean].T)


def _normal(shape: tuple[int, int], like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64, device="cpu").to(like)
