"""The Kuramoto-Sivashinsky equation with forcing, a chaotic system in one dimension."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_proxyopt._utils._constants import Constants
from sklearn_proxyopt._utils._validation import check_integer, check_real
from sklearn_proxyopt.problems.physics._base import ForwardModel

__all__ = ["KuramotoSivashinsky"]


class KuramotoSivashinsky(ForwardModel):
    """Strength of forcing and advection of a chaotic system, from its path.

    u_t = alpha cos(2 pi x / length) - u_xx - u_xxxx - beta u u_x on a periodic domain, with a known
    start. The unknowns are alpha and beta; what is observed is u at every `frame_every`-th step.
    In space the equation is solved by Fourier modes, in time by the exponential Runge-Kutta method
    of second order (ETD-RK2) [1]_, in which the linear part is exact.

    Parameters
    ----------
    n_points : int, default=64
        Number of grid points, even.
    length : float, default=22.0
        Length of the domain.
    time_step : float, default=0.25
        Length of a step.
    n_steps : int, default=100
        Number of steps.
    frame_every : int, default=4
        Steps from one observed frame to the next.

    References
    ----------
    .. [1] Cox and Matthews, "Exponential Time Differencing for Stiff Systems", Journal of
       Computational Physics 176, 2002, equations 20 and 22, :doi:`10.1006/jcph.2002.6995`.
    .. [2] "Can Neural Networks Improve Classical Optimization of Inverse Problems?", section 4.3,
       2023.

    Examples
    --------
    >>> from sklearn_proxyopt.problems.physics import KuramotoSivashinsky
    >>> model = KuramotoSivashinsky(n_points=32, n_steps=8)
    >>> X, unknowns = model.sample(3, random_state=0)
    >>> model.observation_shape, X.shape
    ((2, 32), (3, 96))
    """

    is_static = True

    def __init__(
        self,
        n_points: int = 64,
        *,
        length: float = 22.0,
        time_step: float = 0.25,
        n_steps: int = 100,
        frame_every: int = 4,
    ) -> None:
        self.n_points = check_integer(n_points, "n_points", minimum=12)
        self.length = check_real(length, "length", minimum=0.0, include_minimum=False)
        self.time_step = check_real(time_step, "time_step", minimum=0.0, include_minimum=False)
        self.n_steps = check_integer(n_steps, "n_steps")
        self.frame_every = check_integer(frame_every, "frame_every", maximum=n_steps)
        self.bounds = np.array([[-1.0, 1.0], [0.5, 1.5]])
        self.start = np.array([0.0, 1.0])
        self.observation_shape = (self.n_steps // self.frame_every, self.n_points)
        self.condition_shape = (self.n_points,)
        self._constants = Constants(*self._coefficients())
        self._matrices = Constants(*self._as_matrices())

    def _simulate(self, unknowns: Tensor, conditions: Tensor) -> Tensor:
        if unknowns.is_cuda:
            return self._simulate_by_matrices(unknowns, conditions)
        return self._simulate_by_modes(unknowns, conditions)

    def _simulate_by_modes(self, unknowns: Tensor, conditions: Tensor) -> Tensor:
        alpha, beta = unknowns[:, :1], unknowns[:, 1:]
        constants = self._constants.on(unknowns.device, _complex(unknowns))
        decay, first, second, steepness = constants
        points = torch.arange(self.n_points, dtype=unknowns.dtype, device=unknowns.device)
        force = alpha * torch.fft.rfft(torch.cos(2 * torch.pi * points / self.n_points))
        # u u_x is half the derivative of u squared.
        advection = -0.5 * beta * steepness

        def nonlinear(u: Tensor) -> Tensor:
            return force + advection * torch.fft.rfft(u * u)

        u, spectrum, frames = conditions, torch.fft.rfft(conditions), []
        for step in range(1, self.n_steps + 1):
            change = nonlinear(u)
            guess = decay * spectrum + first * change
            correction = nonlinear(torch.fft.irfft(guess, n=self.n_points)) - change
            spectrum = guess + second * correction
            u = torch.fft.irfft(spectrum, n=self.n_points)
            if step % self.frame_every == 0:
                frames.append(u)
        return torch.stack(frames, dim=1)

    def _simulate_by_matrices(self, unknowns: Tensor, conditions: Tensor) -> Tensor:
        """Take the same steps with matrices in place of Fourier transforms and back.

        A transform, a multiplication of each mode and the transform back are one product with a
        matrix of points by points: on a GPU a fraction of the launches, which are all that counts.
        """
        alpha, beta = unknowns[:, :1], unknowns[:, 1:]
        decay, forced, first, second = self._matrices.on(unknowns.device, unknowns.dtype)
        force = alpha * forced
        u, frames = conditions, []
        for step in range(1, self.n_steps + 1):
            squared = u * u
            guess = torch.addcmul(torch.addmm(force, u, decay), beta, squared @ first)
            u = torch.addcmul(guess, beta, (guess * guess - squared) @ second)
            if step % self.frame_every == 0:
                frames.append(u)
        return torch.stack(frames, dim=1)

    def _as_matrices(self) -> tuple[NDArray[Any], ...]:
        """Return what a step does to the rows of points: decay, and the advection of each half.

        The second array is what the force of unit strength adds in a step.
        """
        decay, first, second, steepness = self._coefficients()
        modes = np.fft.rfft(np.eye(self.n_points))

        def matrix(factors: NDArray[Any]) -> NDArray[np.float64]:
            return np.fft.irfft(modes * factors, n=self.n_points)

        places = 2 * np.pi * np.arange(self.n_points) / self.n_points
        forced = np.cos(places)[None] @ matrix(first)
        advections = (matrix(-0.5 * share * steepness) for share in (first, second))
        return matrix(decay), forced, *advections

    def _coefficients(self) -> tuple[NDArray[Any], ...]:
        """Return exp(L h), its two integrals over a step, and the factor i k of a derivative."""
        waves = 2 * np.pi * np.arange(self.n_points // 2 + 1) / self.length
        linear = waves**2 - waves**4
        h, z = self.time_step, linear * self.time_step
        small = np.abs(z) < 1e-6
        safe = np.where(small, 1.0, z)
        first = h * np.where(small, 1.0 + z / 2, np.expm1(z) / safe)
        second = h * np.where(small, 0.5 + z / 6, (np.expm1(z) - z) / safe**2)
        steepness = 1j * waves
        if self.n_points % 2 == 0:
            steepness[-1] = 0.0  # the shortest wave has no derivative on the grid
        return np.exp(z), first, second, steepness

    def _draw(self, n_problems: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
        unknowns = self._draw_unknowns(n_problems, rng)
        place = 2 * np.pi * np.arange(self.n_points) / self.n_points
        modes = np.arange(1, 6)
        heights = rng.standard_normal((n_problems, 5, 1))
        phases = rng.uniform(0, 2 * np.pi, (n_problems, 5, 1))
        start = (heights * np.cos(modes[:, None] * place + phases)).sum(axis=1)
        return self._predict(unknowns, start), start, unknowns


def _complex(like: Tensor) -> torch.dtype:
    return torch.complex64 if like.dtype == torch.float32 else torch.complex128
