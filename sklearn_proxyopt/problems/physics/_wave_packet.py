"""A wave packet in a noisy signal, to be located."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from sklearn_proxyopt._utils._validation import check_bounds, check_integer, check_real
from sklearn_proxyopt.problems.physics._base import ForwardModel

__all__ = ["WavePacket"]


class WavePacket(ForwardModel):
    """A wave packet of known shape and unknown time in a noisy signal.

    u(t) = amplitude sin(t - t0) exp(-(t - t0)^2 / width^2) at the times t = 1, ..., n_times. The
    noise belongs to the measurements drawn by `sample`, not to the model, so that no unknown
    reproduces a measurement exactly. The squared error has a local minimum in each period.

    Parameters
    ----------
    n_times : int, default=256
        Number of samples of the signal, one a unit of time.
    amplitude : float, default=1.0
        Height of the envelope.
    width : float, default=20.0
        Width of the envelope, in units of time.
    noise : float, default=0.1
        Standard deviation of the noise in a measurement.
    bounds : array-like of shape (1, 2), default=((64.0, 192.0),)
        Where the unknown time t0 may lie.

    References
    ----------
    .. [1] "Can Neural Networks Improve Classical Optimization of Inverse Problems?",
       section 4.1, 2023.

    Examples
    --------
    >>> from sklearn_proxyopt.problems.physics import WavePacket
    >>> X, unknowns = WavePacket().sample(5, random_state=0)
    >>> X.shape, unknowns.shape
    ((5, 256), (5, 1))
    """

    def __init__(
        self,
        n_times: int = 256,
        *,
        amplitude: float = 1.0,
        width: float = 20.0,
        noise: float = 0.1,
        bounds: ArrayLike = ((64.0, 192.0),),
    ) -> None:
        self.n_times = check_integer(n_times, "n_times")
        self.amplitude = check_real(amplitude, "amplitude")
        self.width = check_real(width, "width", minimum=0.0, include_minimum=False)
        self.noise = check_real(noise, "noise", minimum=0.0)
        self.bounds = check_bounds(bounds, 1)
        self.start = self.bounds.mean(axis=1)
        self.observation_shape = (self.n_times,)

    def _simulate(self, unknowns: Tensor, conditions: Tensor) -> Tensor:
        times = torch.arange(1, self.n_times + 1, dtype=unknowns.dtype, device=unknowns.device)
        delay = times - unknowns
        return self.amplitude * torch.sin(delay) * torch.exp(-((delay / self.width) ** 2))

    def _draw(self, n_problems: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
        unknowns = self._draw_unknowns(n_problems, rng)
        noise = self.noise * rng.standard_normal((n_problems, self.n_times))
        return self._predict(unknowns) + noise, None, unknowns
