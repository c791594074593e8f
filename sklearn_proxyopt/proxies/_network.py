"""The torch modules of a proxy: stacked dense networks, their features, and the whole proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_proxyopt._utils._global_random import BorrowedStream
from sklearn_proxyopt.proxies._products import WaveConstants, stacked_outputs

__all__ = [
    "ACTIVATIONS",
    "DenseNetworks",
    "Ensemble",
    "OwnNetwork",
    "ProxyModule",
    "shapes_of",
    "spread_of",
]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": nn.functional.silu,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": nn.functional.gelu,
    "sin": torch.sin,
}


class DenseNetworks(nn.Module):
    """Multilayer perceptrons of one shape, computed together as stacked matrices.

    All numbers that a member learns are one row of `weights`, which makes a step of the optimizer
    one pass over one tensor, and a member something that can be kept or taken out. The output
    layers start at zero, so that an untrained network adds nothing to the trend.

    Features cos(W x + b), with W drawn from a normal distribution (Rahimi and Recht 2007), let a
    network learn landscapes that change quickly (Tancik et al. 2020); a linear head on them
    stands beside the hidden layers.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Numbers of variables and of targets.
    hidden_layer_sizes : sequence of int
        Widths of the hidden layers.
    activation : str
        A key of `ACTIVATIONS`.
    spreads : Tensor of shape (n_members,)
        Standard deviation of the starting frequencies of each member, in radians per half-width
        of the box.
    mask : Tensor of shape (n_inputs, n_features)
        Which variables each feature varies with.
    learn_frequencies : bool, default=True
        Whether frequencies and phases are learned or stay as drawn.
    generator : torch.Generator
        Draws the starting weights, on the CPU.
    """

    mask: Tensor
    drawn: Tensor | None
    # Kept while a GPU trains the networks.
    constants: WaveConstants | None = None

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        hidden_layer_sizes: Sequence[int],
        activation: str,
        spreads: Tensor,
        mask: Tensor,
        learn_frequencies: bool = True,
        *,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        # Drawn in one type whatever torch's default is.
        drawing: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}
        draws: dict[str, Any] = {"generator": generator, **drawing}
        self.n_members = len(spreads)
        self.activation = activation
        self.hidden_layer_sizes = tuple(hidden_layer_sizes)
        n_features = mask.shape[1]
        widths = [n_inputs + n_features, *hidden_layer_sizes, n_outputs]
        blocks: list[Tensor] = []
        for layer, (n_in, n_out) in enumerate(pairwise(widths)):
            bound = n_in**-0.5 if layer < len(hidden_layer_sizes) else 0.0
            for shape in ((n_in, n_out), (1, n_out)):
                blocks.append(bound * (2 * torch.rand(self.n_members, *shape, **draws) - 1))
        drawn = None
        if n_features:
            blocks.append(torch.zeros(self.n_members, n_features, n_outputs, **drawing))
            directions = torch.randn(self.n_members, n_inputs, n_features, **draws)
            frequencies = spreads[:, None, None] * directions
            phases = 2 * torch.pi * torch.rand(self.n_members, 1, n_features, **draws)
            drawn = torch.cat([frequencies, phases], dim=1)
            if learn_frequencies:
                blocks.append(drawn)
                drawn = None
        self.shapes = shapes_of(
            n_inputs, n_outputs, hidden_layer_sizes, n_features, learn_frequencies
        )
        self.weights = nn.Parameter(torch.cat([block.flatten(1) for block in blocks], dim=1))
        self.register_buffer("mask", mask)
        self.register_buffer("drawn", drawn)

    @classmethod
    def of_numbers(
        cls,
        weights: Tensor,
        n_outputs: int,
        hidden_layer_sizes: Sequence[int],
        activation: str,
        mask: Tensor,
        drawn: Tensor | None,
    ) -> DenseNetworks:
        """Build networks from the numbers they have learned.

        Parameters
        ----------
        weights : Tensor of shape (n_members, n_weights)
            What the members have learned.
        n_outputs : int
            Number of targets.
        hidden_layer_sizes, activation, mask
            As for new networks.
        drawn : Tensor of shape (n_members, n_inputs + 1, n_features) or None
            Frequencies and phases that were not learned.

        Returns
        -------
        DenseNetworks
            They share the tensors.
        """
        networks = cls.__new__(cls)
        nn.Module.__init__(networks)
        networks.n_members, networks.activation = len(weights), activation
        networks.hidden_layer_sizes = tuple(hidden_layer_sizes)
        n_inputs, n_features = mask.shape
        learned = n_features > 0 and drawn is None
        networks.shapes = shapes_of(n_inputs, n_outputs, hidden_layer_sizes, n_features, learned)
        networks.weights = nn.Parameter(weights)
        networks.register_buffer("mask", mask)
        networks.register_buffer("drawn", drawn)
        return networks

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (n_members, n, n_outputs) for samples (n, n_inputs), or own ones each."""
        matrices = self.matrices()
        if self.training and x.is_cuda:
            drawn = matrices.pop() if self.drawn is None and self.mask.shape[1] else self.drawn
            x = x.expand(self.n_members, *x.shape[-2:])
            constants = self.constants or WaveConstants.of(self.mask)
            return stacked_outputs(x, matrices, drawn, constants, ACTIVATIONS[self.activation])
        hidden = x if x.dim() == 3 else x.expand(self.n_members, *x.shape)
        linear = None
        if self.mask.shape[1]:
            wave = self.drawn if self.drawn is not None else matrices.pop()
            frequencies, phases = wave[:, :-1] * self.mask, wave[:, -1:]
            features = 2**0.5 * torch.cos(torch.baddbmm(phases, hidden, frequencies))
            linear = torch.bmm(features, matrices.pop())
            hidden = torch.cat([hidden, features], dim=2)
        activation = ACTIVATIONS[self.activation]
        *layers, (last_matrix, last_bias) = zip(matrices[::2], matrices[1::2], strict=True)
        for matrix, bias in layers:
            hidden = activation(torch.baddbmm(bias, hidden, matrix))
        output = torch.baddbmm(last_bias, hidden, last_matrix)
        return output if linear is None else output + linear

    def matrices(self) -> list[Tensor]:
        """Return what is learned as matrices (n_members, ...) of the shapes in `shapes`."""
        parts = self.weights.split([prod(shape) for shape in self.shapes], dim=1)
        return [
            part.view(self.n_members, *shape)
            for part, shape in zip(parts, self.shapes, strict=True)
        ]

    def copy_members(self, source: DenseNetworks, which: Tensor) -> None:
        """Take over the numbers of some members of networks of the same shape."""
        with torch.no_grad():
            self.weights[which] = source.weights[which]

    def member(self, index: int) -> DenseNetworks:
        """Return a member by itself, sharing its numbers."""
        return DenseNetworks.of_numbers(
            self.weights.detach()[index : index + 1],
            self.shapes[2 * len(self.hidden_layer_sizes)][1],
            self.hidden_layer_sizes,
            self.activation,
            self.mask,
            None if self.drawn is None else self.drawn[index : index + 1],
        )


def shapes_of(
    n_inputs: int,
    n_outputs: int,
    hidden_layer_sizes: Sequence[int],
    n_features: int,
    learn_frequencies: bool,
) -> list[tuple[int, int]]:
    """List the shapes of the matrices that the numbers of a dense network are cut into."""
    widths = [n_inputs + n_features, *hidden_layer_sizes, n_outputs]
    shapes = [shape for n_in, n_out in pairwise(widths) for shape in ((n_in, n_out), (1, n_out))]
    if n_features:
        shapes.append((n_features, n_outputs))
        if learn_frequencies:
            shapes.append((n_inputs + 1, n_features))
    return shapes


class OwnNetwork(nn.Module):
    """A module of the user as a member of an ensemble.

    Parameters
    ----------
    module : torch.nn.Module
        Maps (n, n_inputs) to (n, n_outputs).

    Attributes
    ----------
    stream : BorrowedStream or None
        What the module's own draws, such as dropout, come from while it is trained. They have
        torch's global generators only.
    """

    n_members = 1
    stream: BorrowedStream | None = None

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (1, n, n_outputs) for samples (n, n_inputs) or (1, n, n_inputs)."""
        with nullcontext() if self.stream is None else self.stream.borrowed():
            return self.module(x if x.dim() == 2 else x[0])[None]

    def copy_members(self, source: OwnNetwork, which: Tensor) -> None:
        """Take over the state of the source where `which` says so."""
        if which.any():
            self.module.load_state_dict(source.module.state_dict())

    def member(self, index: int) -> OwnNetwork:
        """Return itself, its only member."""
        return self


class Ensemble(nn.Module):
    """The members of a proxy, in groups that are computed one after another.

    Parameters
    ----------
    groups : sequence of DenseNetworks or OwnNetwork
        The groups.
    """

    # A ModuleList would hide the type of what it holds.
    groups: Any
    # What code of the user draws from while the members are trained.
    stream: BorrowedStream | None = None

    def __init__(self, groups: Sequence[DenseNetworks | OwnNetwork]) -> None:
        super().__init__()
        self.groups = nn.ModuleList(groups)

    @property
    def n_members(self) -> int:
        """Number of members."""
        return sum(group.n_members for group in self.groups)

    @property
    def is_stacked(self) -> bool:
        """Whether the groups are dense networks, which compute without side effects."""
        return all(isinstance(group, DenseNetworks) for group in self.groups)

    @contextmanager
    def drawing_from(self, stream: BorrowedStream) -> Iterator[None]:
        """Let modules and iterators of the user draw from a stream in the block."""
        drawing: list[Any] = [
            self,
            *(group for group in self.groups if isinstance(group, OwnNetwork)),
        ]
        for one in drawing:
            one.stream = stream
        try:
            yield
        finally:
            for one in drawing:
                one.stream = None

    def shares(self, stacked: Tensor) -> Iterator[Tensor]:
        """Yield each group's part of a tensor that has the members in front.

        A tensor of one in front is meant for all members.
        """
        start = 0
        for group in self.groups:
            stop = start + group.n_members
            yield stacked if len(stacked) == 1 else stacked[start:stop]
            start = stop

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (n_members, n, n_outputs) for samples (n, n_inputs), or own ones each."""
        if x.dim() == 2:
            outputs = [group(x) for group in self.groups]
        else:
            outputs = [group(rows) for group, rows in zip(self.groups, self.shares(x), strict=True)]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def copy_members(self, source: Ensemble, which: Tensor) -> None:
        """Take over some members of an ensemble of the same shape."""
        for group, share, other in zip(self.groups, self.shares(which), source.groups, strict=True):
            group.copy_members(other, share)

    def member(self, index: int) -> Ensemble:
        """Return an ensemble of one member, sharing its numbers."""
        for group in self.groups:
            if index < group.n_members:
                return Ensemble([group.member(index)])
            index -= group.n_members
        raise IndexError(index)


class ProxyModule(nn.Module):
    """The whole proxy, from the user's units to the user's units.

    Samples are scaled to [-1, 1]; a member's answer is trend(x) + scale * network(x), and the
    proxy's is the members' mean less `n_std` times their standard deviation.

    Parameters
    ----------
    center, half_width : Tensor of shape (n_features,)
        The box of the training samples.
    trend : torch.nn.Module
        The closed-form part; it maps (n, n_features) to (1 or n_members, n, n_outputs).
    ensemble : Ensemble
        The trained part, possibly of a narrower type.
    scale : Tensor of shape (1 or n_members, 1, n_outputs)
        What the outputs of the networks are multiplied by.
    n_std : float, default=0.0
        Number of standard deviations to subtract.
    """

    center: Tensor
    half_width: Tensor
    scale: Tensor
    # Whether a search may take a copy to another device, and whether the networks have been there.
    may_move = False
    was_on_gpu = False

    def __init__(
        self,
        center: Tensor,
        half_width: Tensor,
        trend: nn.Module,
        ensemble: Ensemble,
        scale: Tensor,
        n_std: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("center", center)
        self.register_buffer("half_width", half_width)
        self.register_buffer("scale", scale)
        self.trend = trend
        self.ensemble = ensemble
        self.n_std = n_std
        self.ensemble_dtype = next(ensemble.parameters()).dtype
        self.is_trend_alone = not bool(scale.any())

    @property
    def n_members(self) -> int:
        """Number of members."""
        return self.ensemble.n_members

    @property
    def is_static(self) -> bool:
        """Whether a prediction takes the same course whatever it computes."""
        return self.ensemble.is_stacked

    @property
    def n_products(self) -> int:
        """Products of numbers that a prediction by all members takes, or nearly so."""
        return sum(parameter.numel() for parameter in self.ensemble.parameters())

    def members(self, x: Tensor) -> Tensor:
        """Return each member's predictions, of shape (n_members, n, n_outputs).

        Samples have shape (n, n_features), or (n_members, n, n_features) for own samples each.
        """
        scaled = (x - self.center) / self.half_width
        if self.is_trend_alone:
            return self.trend(scaled).expand(self.n_members, -1, -1)
        remainder = self.ensemble(scaled.to(self.ensemble_dtype)).to(x.dtype)
        return torch.addcmul(self.trend(scaled), self.scale, remainder)

    def forward(self, x: Tensor) -> Tensor:
        """Return predictions of shape (n, n_outputs) for samples of shape (n, n_features)."""
        values = self.members(x)
        if len(values) == 1:
            return values[0]
        mean = values.mean(dim=0)
        return mean - self.n_std * spread_of(values) if self.n_std else mean


def spread_of(values: Tensor) -> Tensor:
    """Return the standard deviation over the members, with a gradient also where it is zero."""
    return (values.var(dim=0) + torch.finfo(values.dtype).tiny).sqrt()
