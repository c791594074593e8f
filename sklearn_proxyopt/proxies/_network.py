"""The torch modules of a proxy: a dense network, its Fourier features, and the whole proxy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

__all__ = ["ACTIVATIONS", "DenseNetwork", "FourierFeatures", "ProxyModule"]


class Sine(nn.Module):
    """The sine as an activation (Sitzmann et al. 2020)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return sin(x)."""
        return torch.sin(x)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "sin": Sine,
}


class FourierFeatures(nn.Module):
    """Cosines along random directions whose frequencies and phases are then learned.

    Features cos(W x + b) with W drawn from a normal distribution (Rahimi and Recht 2007) let a
    network learn landscapes that change quickly (Tancik et al. 2020).

    Parameters
    ----------
    n_inputs : int
        Number of variables.
    n_frequencies : int
        Number of features.
    spread : float
        Standard deviation of the starting frequencies, in radians per half-width of the box.
    """

    def __init__(self, n_inputs: int, n_frequencies: int, spread: float) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(spread * torch.randn(n_inputs, n_frequencies))
        self.phases = nn.Parameter(2 * torch.pi * torch.rand(n_frequencies))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of unit variance, of shape (n, n_frequencies)."""
        return 2**0.5 * torch.cos(torch.addmm(self.phases, x, self.frequencies))


class DenseNetwork(nn.Module):
    """A multilayer perceptron, with Fourier features and a linear head on them if asked for.

    The output layers start at zero, so that an untrained network adds nothing to the trend.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Numbers of variables and of targets.
    hidden_layer_sizes : sequence of int
        Widths of the hidden layers.
    activation : str
        A key of `ACTIVATIONS`.
    n_frequencies : int
        Number of Fourier features; 0 for none.
    spread : float
        Their spread, see `FourierFeatures`.
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        hidden_layer_sizes: Sequence[int],
        activation: str,
        n_frequencies: int = 0,
        spread: float = 0.0,
    ) -> None:
        super().__init__()
        self.features: FourierFeatures | None = None
        self.feature_head: nn.Linear | None = None
        if n_frequencies:
            self.features = FourierFeatures(n_inputs, n_frequencies, spread)
            self.feature_head = nn.Linear(n_frequencies, n_outputs, bias=False)
            nn.init.zeros_(self.feature_head.weight)
        layers: list[nn.Module] = []
        width = n_inputs + n_frequencies
        for size in hidden_layer_sizes:
            layers += [nn.Linear(width, size), ACTIVATIONS[activation]()]
            width = size
        output = nn.Linear(width, n_outputs)
        nn.init.zeros_(output.weight)
        nn.init.zeros_(output.bias)
        self.layers = nn.Sequential(*layers, output)

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs of shape (n, n_outputs)."""
        if self.features is None or self.feature_head is None:
            return self.layers(x)
        features = self.features(x)
        return self.layers(torch.cat([x, features], dim=1)) + self.feature_head(features)


class ProxyModule(nn.Module):
    """The whole proxy, from the user's units to the user's units.

    Rows are scaled to [-1, 1]; the answer is trend(x) + scale * network(x).

    Parameters
    ----------
    center, half_width : Tensor of shape (n_features,)
        The box of the training rows.
    trend : torch.nn.Module
        The closed-form part.
    network : torch.nn.Module
        The trained part, possibly of a narrower type.
    scale : Tensor of shape (n_outputs,)
        What the network's outputs are multiplied by.
    """

    center: Tensor
    half_width: Tensor
    scale: Tensor

    def __init__(
        self,
        center: Tensor,
        half_width: Tensor,
        trend: nn.Module,
        network: nn.Module,
        scale: Tensor,
    ) -> None:
        super().__init__()
        self.register_buffer("center", center)
        self.register_buffer("half_width", half_width)
        self.register_buffer("scale", scale)
        self.trend = trend
        self.network = network
        self.network_dtype = next(network.parameters()).dtype

    def forward(self, x: Tensor) -> Tensor:
        """Return predictions of shape (n, n_outputs) for rows of shape (n, n_features)."""
        scaled = (x - self.center) / self.half_width
        remainder = self.network(scaled.to(self.network_dtype)).to(x.dtype)
        return self.trend(scaled) + self.scale * remainder
