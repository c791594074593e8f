"""The networks that map an observation to its unknowns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, cast

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from sklearn_proxyopt._utils._global_random import BorrowedStream
from sklearn_proxyopt._utils._seeding import torch_generator
from sklearn_proxyopt._utils._validation import check_integer, check_option

__all__ = ["ConvNet", "DenseNet", "RowNetwork", "build_network", "drawn_layer"]

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


class DenseNet(BaseEstimator):
    """A dense network with positional encoding, described by its sizes.

    Each input x, scaled to [-1, 1], is followed by sin(2^k pi x) and cos(2^k pi x).

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, default=(64, 64, 64)
        Widths of the hidden layers.
    activation : {"sigmoid", "relu", "silu", "tanh"}, default="sigmoid"
        Activation of the hidden layers.
    n_frequencies : int, default=4
        Frequencies of the positional encoding, k = 0, 1, ...; 0 for none.

    See Also
    --------
    ConvNet : For observations on a grid.

    Examples
    --------
    >>> from sklearn_proxyopt.inverse import DenseNet
    >>> module = DenseNet(n_frequencies=0).build((2,), (1,), 2)
    """

    # Columns of different units are scaled each by its own range.
    scales_columns = True

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (64, 64, 64),
        *,
        activation: str = "sigmoid",
        n_frequencies: int = 4,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.n_frequencies = n_frequencies

    def build(
        self,
        observation_shape: tuple[int, ...],
        condition_shape: tuple[int, ...],
        n_outputs: int,
        *,
        generator: torch.Generator | None = None,
    ) -> nn.Module:
        """Make the network.

        Parameters
        ----------
        observation_shape, condition_shape : tuple of int
            Shapes of the inputs of one problem.
        n_outputs : int
            Number of unknowns.
        generator : torch.Generator, default=None
            Draws the starting weights; None takes the global generator of torch.

        Returns
        -------
        torch.nn.Module
            Called with observations and conditions in these shapes, after an axis of the
            problems; gives (n, n_outputs).
        """
        check_option(self.activation, "activation", _ACTIVATIONS)
        check_integer(self.n_frequencies, "n_frequencies", minimum=0)
        n_inputs = int(np.prod(observation_shape)) + _size(condition_shape)
        return _Dense(
            n_inputs,
            self.hidden_layer_sizes,
            self.activation,
            self.n_frequencies,
            n_outputs,
            generator,
        )


class ConvNet(BaseEstimator):
    """A small convolutional network in one or two dimensions, described by its sizes.

    Each block is a convolution over three points, batch normalization, ReLU and a maximum over
    two points; dense layers follow. An observation of one or two axes is a grid, of three axes
    channels on a two-dimensional grid. Conditions on the same grid become further channels, others
    enter the first dense layer.

    Parameters
    ----------
    channels : sequence of int, default=(16, 32, 64, 64, 64)
        Channels of each block.
    hidden_layer_sizes : sequence of int, default=(64,)
        Widths of the dense layers before the last.

    See Also
    --------
    DenseNet : For observations without a grid.

    Examples
    --------
    >>> from sklearn_proxyopt.inverse import ConvNet
    >>> module = ConvNet(channels=(8, 8)).build((64,), (), 1)
    """

    scales_columns = False

    def __init__(
        self,
        channels: Sequence[int] = (16, 32, 64, 64, 64),
        *,
        hidden_layer_sizes: Sequence[int] = (64,),
    ) -> None:
        self.channels = channels
        self.hidden_layer_sizes = hidden_layer_sizes

    def build(
        self,
        observation_shape: tuple[int, ...],
        condition_shape: tuple[int, ...],
        n_outputs: int,
        *,
        generator: torch.Generator | None = None,
    ) -> nn.Module:
        """Make the network.

        Parameters
        ----------
        observation_shape, condition_shape : tuple of int
            Shapes of the inputs of one problem.
        n_outputs : int
            Number of unknowns.
        generator : torch.Generator, default=None
            Draws the starting weights; None takes the global generator of torch.

        Returns
        -------
        torch.nn.Module
            Called with observations and conditions in these shapes, after an axis of the
            problems; gives (n, n_outputs).
        """
        if len(observation_shape) > 3:
            raise ValueError(
                f"observation_shape must have at most three axes for a ConvNet; "
                f"got {observation_shape}."
            )
        return _Convolutional(
            observation_shape,
            condition_shape,
            self.channels,
            self.hidden_layer_sizes,
            n_outputs,
            generator,
        )


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape)) if shape else 0


def _grid_of(observation_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the grid of an observation; the first of three axes holds channels."""
    return observation_shape[1:] if len(observation_shape) == 3 else observation_shape


def _lies_on(condition_shape: tuple[int, ...], grid: tuple[int, ...]) -> bool:
    """Return whether conditions lie on a grid, in one channel or more."""
    return condition_shape[-len(grid) :] == grid and len(condition_shape) <= len(grid) + 1


class _Dense(nn.Module):
    def __init__(
        self,
        n_inputs: int,
        hidden_layer_sizes: Sequence[int],
        activation: str,
        n_frequencies: int,
        n_outputs: int,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        self.n_frequencies = n_frequencies
        n_encoded = n_inputs * (1 + 2 * n_frequencies)
        self.layers = _dense_layers(n_encoded, hidden_layer_sizes, activation, n_outputs, generator)

    def forward(self, observed: Tensor, conditions: Tensor) -> Tensor:
        x = torch.cat([observed.flatten(1), conditions.flatten(1)], dim=1)
        angles = [2.0**k * torch.pi * x for k in range(self.n_frequencies)]
        waves = [wave(angle) for angle in angles for wave in (torch.sin, torch.cos)]
        return self.layers(torch.cat([x, *waves], dim=1))


class _Convolutional(nn.Module):
    def __init__(
        self,
        observation_shape: tuple[int, ...],
        condition_shape: tuple[int, ...],
        channels: Sequence[int],
        hidden_layer_sizes: Sequence[int],
        n_outputs: int,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        grid = _grid_of(observation_shape)
        self.observed_shape = (_size(observation_shape) // _size(grid), *grid)
        self.joined_shape: tuple[int, ...] | None = None
        if _lies_on(condition_shape, grid):
            self.joined_shape = (_size(condition_shape) // _size(grid), *grid)
        n_channels = self.observed_shape[0] + (self.joined_shape[0] if self.joined_shape else 0)
        conv, norm, pool = _LAYERS[len(grid)]
        blocks: list[nn.Module] = []
        for width in channels:
            convolution = drawn_layer(conv, n_channels, width, 3, padding=1, generator=generator)
            blocks += [convolution, norm(width, dtype=torch.float32, device="cpu"), nn.ReLU()]
            blocks.append(pool(2, ceil_mode=True))
            n_channels, grid = width, tuple(-(-size // 2) for size in grid)
        self.blocks = nn.Sequential(*blocks)
        n_known = 0 if self.joined_shape else _size(condition_shape)
        n_inputs = n_channels * _size(grid) + n_known
        self.head = _dense_layers(n_inputs, hidden_layer_sizes, "relu", n_outputs, generator)

    def forward(self, observed: Tensor, conditions: Tensor) -> Tensor:
        image = observed.reshape(len(observed), *self.observed_shape)
        if self.joined_shape:
            known = conditions.reshape(len(observed), *self.joined_shape)
            return self.head(self.blocks(torch.cat([image, known], dim=1)).flatten(1))
        features = self.blocks(image).flatten(1)
        return self.head(torch.cat([features, conditions.flatten(1)], dim=1))


_LAYERS: dict[int, tuple[Any, Any, Any]] = {
    1: (nn.Conv1d, nn.BatchNorm1d, nn.MaxPool1d),
    2: (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d),
}


def drawn_layer(
    kind: Any, *sizes: int, generator: torch.Generator | None, **options: Any
) -> nn.Module:
    """Return a layer with weights drawn as torch draws them, but from a generator.

    They are single precision on the CPU, whatever torch's defaults are.
    """
    layer: nn.Module = nn.utils.skip_init(
        kind, *sizes, dtype=torch.float32, device="cpu", **options
    )
    weight, bias = (cast(Tensor, one) for one in (layer.weight, layer.bias))
    nn.init.kaiming_uniform_(weight, a=5**0.5, generator=generator)
    bound = weight[0].numel() ** -0.5
    nn.init.uniform_(bias, -bound, bound, generator=generator)
    return layer


def _dense_layers(
    n_inputs: int,
    hidden_layer_sizes: Sequence[int],
    activation: str,
    n_outputs: int,
    generator: torch.Generator | None,
) -> nn.Sequential:
    """Return linear layers with activations between them; biases start at zero."""
    layers: list[nn.Module] = []
    for size in hidden_layer_sizes:
        linear = drawn_layer(nn.Linear, n_inputs, size, generator=generator)
        layers += [linear, _ACTIVATIONS[activation]()]
        n_inputs = size
    layers.append(drawn_layer(nn.Linear, n_inputs, n_outputs, generator=generator))
    for layer in layers[::2]:
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return nn.Sequential(*layers)


class RowNetwork(nn.Module):
    """A network on rows of X: scales them, gives them their shapes, and computes in its own type.

    Parameters
    ----------
    network : torch.nn.Module
        Maps observations and conditions to outputs.
    rows : Tensor of shape (n, n_columns)
        Rows from which the scaling is taken.
    observation_shape, condition_shape : tuple of int
        Shapes of the parts of a row.
    scales_columns : bool
        Whether each column has its own scale, rather than all that are observed and all that are
        known one each.
    dtype : torch.dtype
        Type that the network computes in.
    has_gaps : bool
        Whether the network is told, as further conditions, what was measured (1) and what not (0).

    Attributes
    ----------
    stream : BorrowedStream or None
        What a network of the user, such as one with dropout, draws from while it is trained.
    """

    center: Tensor
    scale: Tensor
    stream: BorrowedStream | None = None

    def __init__(
        self,
        network: nn.Module,
        rows: Tensor,
        observation_shape: tuple[int, ...],
        condition_shape: tuple[int, ...],
        scales_columns: bool,
        dtype: torch.dtype,
        has_gaps: bool,
    ) -> None:
        super().__init__()
        self.observation_shape, self.condition_shape = observation_shape, condition_shape
        self.has_gaps = has_gaps
        n_observed = int(np.prod(observation_shape))
        if scales_columns:
            gaps = rows.isnan()
            high = torch.where(gaps, -torch.inf, rows).amax(dim=0)
            low = torch.where(gaps, torch.inf, rows).amin(dim=0)
            # A column that was never measured is left as it is.
            center = torch.where(gaps.all(dim=0), 0.0, (high + low) / 2)
            scale = torch.where(gaps.all(dim=0), 1.0, (high - low) / 2)
        else:
            parts = [part for part in (rows[:, :n_observed], rows[:, n_observed:]) if part.numel()]
            known = [(part[~part.isnan()], part.shape[1]) for part in parts]
            center = torch.cat([part.mean().expand(width) for part, width in known])
            scale = torch.cat([part.std(correction=0).expand(width) for part, width in known])
        self.register_buffer("center", center)
        self.register_buffer("scale", torch.where(scale > 0, scale, 1.0))
        self.network = network.to(rows.device, dtype)
        self.dtype = dtype

    def forward(self, rows: Tensor) -> Tensor:
        """Return outputs of shape (n, n_outputs), in the type of the rows."""
        scaled = ((rows - self.center) / self.scale).to(self.dtype)
        n_observed = int(np.prod(self.observation_shape))
        gaps = scaled[:, :n_observed].isnan()
        observed = torch.where(gaps, 0.0, scaled[:, :n_observed])
        observed = observed.reshape(len(rows), *self.observation_shape)
        conditions = scaled[:, n_observed:]
        if self.has_gaps:
            conditions = torch.cat([conditions, 1.0 - gaps.to(self.dtype)], dim=1)
        if self.condition_shape:
            conditions = conditions.reshape(len(rows), *self.condition_shape)
        with nullcontext() if self.stream is None else self.stream.borrowed():
            outputs: Tensor = self.network(observed, conditions)
        return outputs.to(rows.dtype)


def _with_mask(
    observation_shape: tuple[int, ...], condition_shape: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the shape of conditions that are followed by what was measured and what not."""
    if not condition_shape:
        return observation_shape
    grid = _grid_of(observation_shape)
    if not _lies_on(condition_shape, grid):
        return (_size(condition_shape) + _size(observation_shape),)
    n_channels = (_size(condition_shape) + _size(observation_shape)) // _size(grid)
    return (n_channels, *grid)


def build_network(
    recipe: Any,
    rows: Tensor,
    observation_shape: tuple[int, ...],
    condition_shape: tuple[int, ...],
    n_outputs: int,
    dtype: torch.dtype,
    rng: np.random.Generator,
    has_gaps: bool = False,
) -> RowNetwork:
    """Return the network of a recipe, None for the dense one, or of a user's callable."""
    if has_gaps:
        condition_shape = _with_mask(observation_shape, condition_shape)
    recipe = DenseNet() if recipe is None else recipe
    make = getattr(recipe, "build", recipe)
    if not callable(make):
        raise ValueError(
            f"network must be a DenseNet, a ConvNet, a callable or None; got {recipe!r}."
        )
    stream = None
    if type(recipe) in (DenseNet, ConvNet):
        network = make(
            observation_shape, condition_shape, n_outputs, generator=torch_generator(rng)
        )
    else:
        stream = BorrowedStream(rng, rows.device)
        with stream.borrowed():
            network = make(observation_shape, condition_shape, n_outputs)
    if not isinstance(network, nn.Module):
        raise ValueError(f"network must return a torch.nn.Module; got {type(network).__name__}.")
    scales_columns = getattr(recipe, "scales_columns", False)
    module = RowNetwork(
        network, rows, observation_shape, condition_shape, scales_columns, dtype, has_gaps
    )
    module.stream = stream
    with torch.no_grad():
        shape = tuple(module.eval()(rows[:2]).shape)
    if shape != (len(rows[:2]), n_outputs):
        raise ValueError(
            f"network must give outputs of shape ({len(rows[:2])}, {n_outputs}) for "
            f"{len(rows[:2])} problems; got {shape}."
        )
    return module.train()
