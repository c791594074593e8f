"""A kernel proxy and a network in one torch module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_proxyopt.proxies._kernel._weights import stack_weights

__all__ = ["Blend", "BlendModule"]

# How far the two are apart counts this many times: they have learned from the same samples.
_DISAGREEMENT = 2.0
# The share of the samples held out that lie within so many calibrated deviations.
_SHARE, _DEVIATIONS = 0.9, 1.645


@dataclass(frozen=True)
class Blend:
    """How much the network counts beside the kernel proxy, for each target.

    Parameters
    ----------
    share : ndarray of shape (n_outputs,)
        Weight of the network; that of the kernel proxy is the rest.
    ratio : ndarray of shape (n_outputs,)
        Error of the network at samples it has not seen, as a share of the standard deviation of the
        kernel proxy there.
    calibration : ndarray of shape (n_outputs,)
        What standard deviations are multiplied by.
    """

    share: NDArray[np.float64]
    ratio: NDArray[np.float64]
    calibration: NDArray[np.float64]

    @classmethod
    def learned(
        cls,
        y: NDArray[np.float64],
        weight: NDArray[np.float64],
        kernel: tuple[NDArray[np.float64], NDArray[np.float64]],
        network: NDArray[np.float64],
        noise: NDArray[np.float64] | float = 0.0,
    ) -> Self:
        """Learn it from samples that neither has seen.

        Parameters
        ----------
        y : ndarray of shape (n, n_outputs)
            Their values.
        weight : ndarray of shape (n,)
            Their weights.
        kernel : tuple of ndarray of shape (n, n_outputs)
            Predictions and standard deviations of the kernel proxy.
        network : ndarray of shape (n, n_outputs)
            Predictions of the network.
        noise : ndarray of shape (n, n_outputs) or float, default=0.0
            Variance of the noise of the values, which is no error of a prediction.

        Returns
        -------
        Blend
            That of the least squared error, drawn towards equal shares.
        """
        weight = weight / weight.mean()
        errors = np.stack([kernel[0] - y, network - y], axis=2)
        share = np.array([stack_weights(pair, weight)[1] for pair in errors.swapaxes(0, 1)])
        squares = np.stack([errors[:, :, 1] ** 2 - noise, kernel[1] ** 2])
        means = np.mean(weight[:, None] * squares, axis=1)
        sizes = np.sqrt(np.maximum(means, 0.0)) + np.finfo(np.float64).tiny
        plain = cls(share, sizes[0] / sizes[1], np.ones_like(share))
        values = (torch.from_numpy(one) for one in (*kernel, network, np.ones_like(y)))
        mean, deviation = (one.numpy() for one in plain.moments(*values))
        beside = np.sqrt(deviation**2 + noise) if np.any(noise) else deviation
        ratios = np.quantile(np.abs(mean - y) / beside, _SHARE, axis=0)
        return cls(share, plain.ratio, np.maximum(ratios / _DEVIATIONS, 1.0))

    def moments(
        self, kernel: Tensor, deviation: Tensor, network: Tensor, left: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the mean of two predictions and its standard deviation, (n, n_outputs).

        Parameters
        ----------
        kernel, deviation : Tensor of shape (n, n_outputs)
            Predictions and standard deviations of the kernel proxy.
        network : Tensor of shape (n, n_outputs)
            Predictions of the network.
        left : Tensor of shape (n, 1) or (n, n_outputs)
            How much of them is left far from the samples.

        Returns
        -------
        tuple of Tensor of shape (n, n_outputs)
            Mean and standard deviation.
        """
        share, ratio, calibration = (
            torch.from_numpy(one).to(kernel) for one in (self.share, self.ratio, self.calibration)
        )
        mean = torch.lerp(kernel, network, share)
        apart = _DISAGREEMENT**2 * share * (1.0 - share) * (kernel - network).square()
        one = torch.ones_like(share)
        relative = torch.lerp(one, torch.lerp(one, ratio.square(), left.square()), share)
        variance = relative * deviation.square() + apart
        return mean, calibration * (variance + torch.finfo(variance.dtype).tiny).sqrt()


class BlendModule(nn.Module):
    """A kernel proxy and a network, from the user's units to the user's units.

    Parameters
    ----------
    kernel : KernelModule
        The kernel proxy.
    network : ProxyModule
        The network.
    blend : Blend
        How much each counts.
    n_std : float, default=0.0
        Number of standard deviations to subtract.
    """

    center: Tensor
    # Modules would hide what they can do.
    kernel: Any
    network: Any

    n_members = 1

    def __init__(self, kernel: Any, network: Any, blend: Blend, n_std: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("center", kernel.center)
        self.kernel, self.network = kernel, network
        self.blend = blend
        self.n_std = n_std
        # A kernel proxy that counts for nothing need not be asked for values.
        self._is_network_alone = bool((blend.share == 1.0).all())

    @property
    def n_rows(self) -> int:
        """How many samples a point is compared with."""
        return int(self.kernel.n_rows)

    def lowered(self, n_std: float) -> BlendModule:
        """Return a module that shares all numbers and subtracts standard deviations."""
        return BlendModule(self.kernel, self.network, self.blend, n_std)

    def forward(self, x: Tensor) -> Tensor:
        """Return predictions of shape (n, n_outputs) for samples of shape (n, n_features)."""
        if self.n_std:
            mean, deviation = self.moments(x)
            return mean - self.n_std * deviation
        network = self.kernel.settled(x, self.network(x))[0]
        if self._is_network_alone:
            value: Tensor = network
            return value
        return torch.lerp(self.kernel(x), network, torch.from_numpy(self.blend.share).to(x))

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return predictions and their standard deviations, both of shape (n, n_outputs)."""
        network, left = self.kernel.settled(x, self.network(x))
        kernel, deviation = self.kernel.moments(x)
        return self.blend.moments(kernel, deviation, network, left)

    def members(self, x: Tensor) -> Tensor:
        """Return the predictions of the only member, of shape (1, n, n_outputs).

        Samples have shape (n, n_features) or (1, n, n_features).
        """
        return self(x if x.dim() == 2 else x[0])[None]
