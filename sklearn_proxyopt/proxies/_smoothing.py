"""What makes a proxy smoother than its function: noise on the samples, asymmetric errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_proxyopt._utils._validation import check_real
from sklearn_proxyopt.proxies._member_rows import MemberRows
from sklearn_proxyopt.proxies._trend import Trend

__all__ = ["Smoothing", "check_dial"]


def check_dial(
    value: Any, name: str, n_members: int, *, minimum: float, include_minimum: bool = True
) -> list[float]:
    """Return a setting for each member, from one number or one for each."""
    if isinstance(value, str) or not np.iterable(value):
        value = [value] * n_members
    settings = list(value)
    if len(settings) != n_members:
        raise ValueError(
            f"{name} must be a number or one for each of the {n_members} members; "
            f"got {len(settings)} of them."
        )
    return [
        float(check_real(one, name, minimum=minimum, include_minimum=include_minimum))
        for one in settings
    ]


@dataclass(frozen=True)
class Smoothing:
    """How smooth each member of an ensemble is to be.

    Parameters
    ----------
    noise : Tensor of shape (n_members,)
        Standard deviation of the noise added to each variable of a sample, in half-widths of the
        box.
    penalty : Tensor of shape (n_members,)
        How many times an error counts where the prediction is too high.
    """

    noise: Tensor
    penalty: Tensor

    @classmethod
    def of(cls, input_noise: Sequence[float], penalty: Sequence[float]) -> Smoothing:
        """Make it from the settings of each member, the noise in widths of the box."""
        return cls(
            2.0 * torch.tensor(input_noise, dtype=torch.float64, device="cpu"),
            torch.tensor(penalty, dtype=torch.float64, device="cpu"),
        )

    def trend_name(self, name: str) -> str:
        """Return the trend to fit: with noise, "auto" leaves all but a constant to the networks.

        Rich trends are made for the inside of the box. Their mean under noise sees how they go on
        outside, and is a mean where a penalty asks for less.
        """
        return "constant" if name == "auto" and bool(self.noise.any()) else name

    def spreads(self, spread: float) -> Tensor:
        """Return the spread of each member's starting frequencies, of shape (n_members,).

        Noise of scale s multiplies a wave of frequency w by exp(-(s w)^2 / 2). Frequencies drawn
        from a normal distribution of this spread are left as if from one of spread
        1 / sqrt(1 / spread^2 + s^2).
        """
        noise = self.noise.float()
        return spread / torch.sqrt(1.0 + (spread * noise).square())

    def error_weights(self, dtype: torch.dtype, device: Any) -> Tensor | None:
        """Return the penalties, of shape (n_members, 1, 1), None where all errors count alike."""
        if bool((self.penalty == 1.0).all()):
            return None
        return self.penalty[:, None, None].to(device=device, dtype=dtype)

    def on_rows(self, training: MemberRows, held_out: MemberRows) -> tuple[MemberRows, MemberRows]:
        """Put noise on samples: new in each training batch, always the same on those held out.

        Targets stay those of the samples without noise. The best prediction at z is then the mean
        of the function over the samples that noise takes to z: its convolution with the Gaussian.
        """
        if not self.noise.any():
            return training, held_out
        noise = self.noise[:, None, None].to(training.rows)
        moved = NoisyRows(
            training.rows,
            training.targets,
            training.weight,
            training.index,
            noise,
            training.generator,
        )
        if not len(held_out):
            return moved, held_out
        return moved, _with_fixed_noise(held_out, noise, training.generator)

    def on_trend(self, trend: Trend) -> Trend:
        """Return the mean of a trend under the noise of each member, in closed form."""
        if not self.noise.any():
            return trend
        basis: Any = trend.basis
        n_members = max(len(self.noise), len(trend.coefficients))
        coefficients = trend.coefficients.expand(n_members, -1, -1)
        smoothed = [
            basis.smoothed(own, float(noise))
            for own, noise in zip(coefficients, self.noise, strict=True)
        ]
        return Trend(trend.name, trend.basis, torch.stack(smoothed))


class NoisyRows(MemberRows):
    """Samples that are given out with noise, drawn anew each time and for each member.

    Parameters
    ----------
    rows, targets, weight, index : Tensor
        As of `MemberRows`.
    noise : Tensor of shape (n_members, 1, 1)
        Standard deviation of the noise.
    generator : torch.Generator
        Draws the noise, on the device of the samples, and their order.
    """

    def __init__(
        self,
        rows: Tensor,
        targets: Tensor,
        weight: Tensor,
        index: Tensor,
        noise: Tensor,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__(rows, targets, weight, index, generator)
        self.noise = noise

    def __getitem__(self, which: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return (X, (y, weight)), X of shape (n_members, n, n_features) with noise."""
        X, rest = super().__getitem__(which)
        X = X.expand(len(self.noise), *X.shape[-2:])
        return X + self.noise * _normal_like(X, self.generator), rest


def _normal_like(X: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(X.shape, dtype=X.dtype, device=X.device, generator=generator)


def _with_fixed_noise(
    rows: MemberRows, noise: Tensor, generator: torch.Generator | None
) -> MemberRows:
    """Return samples of its own for each member, moved by its noise once for all."""
    n_members, n_rows = len(noise), len(rows)
    index = rows.index.expand(n_members, -1)
    moved = rows.rows[index]
    moved = (moved + noise * _normal_like(moved, generator)).flatten(0, 1)
    members = torch.arange(n_members, device=index.device)[:, None]
    targets = rows.targets.expand(n_members, -1, -1)[members, index].flatten(0, 1)[None]
    own = torch.arange(n_members * n_rows, device=index.device)
    return MemberRows(moved, targets, rows.weight[index].flatten(), own.view(index.shape))
