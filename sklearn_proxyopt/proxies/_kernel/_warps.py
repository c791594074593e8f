"""Warps of the values that a process learns, and their way back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
import torch
from scipy.stats import yeojohnson
from torch import Tensor, nn

__all__ = [
    "WARPS",
    "IdentityWarp",
    "LogWarp",
    "SoftLimits",
    "Warp",
    "YeoJohnsonWarp",
    "warps_for",
]

# The logarithm is taken of heights over the lowest value, and this share of the median height.
_SHIFT = 0.1
# Above this power no warp is worth a trial; above one the lowest values would be stretched, which
# makes false minima.
_HIGHEST_POWER = 0.85
_LOWEST_POWER, _ZERO_POWER = -2.0, 1e-3
# Warped values beyond those of the samples by more than this many times their spread are cut off
# before they are warped back.
_FARTHEST = 10.0
_FRAME = ("center", "scale", "lowest", "highest")


class Warp(nn.Module, ABC):
    """A growing function of the values, scaled to zero mean and unit spread of the samples.

    A subclass owes the three functions below without the scaling.

    Parameters
    ----------
    values : Tensor of shape (n,)
        The values of the samples.
    """

    name: str
    # How many numbers of its own it has, and these: by them it is made again.
    n_own: int = 0
    own: tuple[float, ...] = ()
    center: Tensor
    scale: Tensor
    lowest: Tensor
    highest: Tensor

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        warped = self._there(values)
        spread = warped.std(correction=0)
        center, scale = warped.mean(), torch.where(spread > 0, spread, 1.0)
        scaled = (warped - center) / scale
        self._set_frame(center, scale, scaled.min() - _FARTHEST, scaled.max() + _FARTHEST)

    def _set_frame(self, *numbers: Tensor) -> None:
        for name, number in zip(_FRAME, numbers, strict=True):
            self.register_buffer(name, number)

    @property
    def frame(self) -> tuple[float, ...]:
        """How warped values are scaled, and how far they may go."""
        return tuple(float(getattr(self, name)) for name in _FRAME)

    @classmethod
    def restored(cls, own: tuple[float, ...], frame: Tensor) -> Self:
        """Make again a warp of which `own` and `frame`, (4,), are known."""
        warp = cls.__new__(cls)
        nn.Module.__init__(warp)
        warp.own = own
        warp._set_frame(*frame)
        return warp

    @abstractmethod
    def _there(self, values: Tensor) -> Tensor: ...

    @abstractmethod
    def _back(self, warped: Tensor) -> Tensor: ...

    @abstractmethod
    def _slope_back(self, warped: Tensor) -> Tensor: ...

    def forward(self, values: Tensor) -> Tensor:
        """Return warped values."""
        return (self._there(values) - self.center) / self.scale

    def back(self, warped: Tensor) -> Tensor:
        """Return the values that were warped."""
        return self._back(self._unscaled(warped))

    def slope_back(self, warped: Tensor) -> Tensor:
        """Return the derivative of `back`."""
        return self._slope_back(self._unscaled(warped)) * self.scale

    def _unscaled(self, warped: Tensor) -> Tensor:
        return torch.clamp(warped, self.lowest, self.highest) * self.scale + self.center


class IdentityWarp(Warp):
    """No warp: values are only scaled."""

    name = ""

    def _there(self, values: Tensor) -> Tensor:
        return values

    def _back(self, warped: Tensor) -> Tensor:
        return warped

    def _slope_back(self, warped: Tensor) -> Tensor:
        return torch.ones_like(warped)


class LogWarp(Warp):
    """The logarithm of the height over the lowest value.

    Parameters
    ----------
    values : Tensor of shape (n,)
        The values of the samples.
    """

    name = "log"
    n_own = 1

    def __init__(self, values: Tensor) -> None:
        lowest = float(values.min())
        self.own = (lowest - _SHIFT * (float(values.median()) - lowest),)
        super().__init__(values)

    def _there(self, values: Tensor) -> Tensor:
        return (values - self.own[0]).log()

    def _back(self, warped: Tensor) -> Tensor:
        return warped.exp() + self.own[0]

    def _slope_back(self, warped: Tensor) -> Tensor:
        return warped.exp()


class YeoJohnsonWarp(Warp):
    """The power transform of Yeo and Johnson (2000).

    Parameters
    ----------
    values : Tensor of shape (n,)
        The values of the samples.
    power : float
        Its parameter, neither 0 nor 2.
    """

    name = "Yeo-Johnson"
    n_own = 1

    def __init__(self, values: Tensor, power: float) -> None:
        self.own = (power,)
        super().__init__(values)

    @property
    def _power(self) -> float:
        return self.own[0]

    def _there(self, values: Tensor) -> Tensor:
        up = ((1.0 + values.clamp_min(0.0)) ** self._power - 1.0) / self._power
        other = 2.0 - self._power
        down = (1.0 - (1.0 - values.clamp_max(0.0)) ** other) / other
        return up + down

    def _bases(self, warped: Tensor) -> tuple[Tensor, Tensor]:
        # A negative power maps all values below a limit.
        up = (1.0 + self._power * warped.clamp_min(0.0)).clamp_min(1e-3)
        return up, 1.0 - (2.0 - self._power) * warped.clamp_max(0.0)

    def _back(self, warped: Tensor) -> Tensor:
        up, down = self._bases(warped)
        return up ** (1.0 / self._power) - down ** (1.0 / (2.0 - self._power))

    def _slope_back(self, warped: Tensor) -> Tensor:
        up, down = self._bases(warped)
        above = up ** (1.0 / self._power - 1.0)
        return torch.where(warped >= 0, above, down ** (1.0 / (2.0 - self._power) - 1.0))


WARPS: dict[str, type[Warp]] = {kind.name: kind for kind in (IdentityWarp, LogWarp, YeoJohnsonWarp)}


def warps_for(values: Tensor) -> list[Warp]:
    """Return the warps worth a trial, without the identity: none unless high values stand out."""
    with np.errstate(all="ignore"):
        power = float(yeojohnson(values.cpu().numpy())[1])
    if not power < _HIGHEST_POWER:
        return []
    warps: list[Warp] = []
    if values.median() > values.min():
        warps.append(LogWarp(values))
    if power > _LOWEST_POWER and abs(power) > _ZERO_POWER:
        warps.append(YeoJohnsonWarp(values, power))
    return warps


class SoftLimits(nn.Module):
    """Leaves values as they are, but lets them only approach limits.

    Within `margin` of a limit the distance to it decays exponentially, with slope one at the
    margin, so that lower stays lower.

    Parameters
    ----------
    lower, upper : float
        The limits; infinite for none.
    margin : float
        Where the approach begins.
    """

    def __init__(self, lower: float, upper: float, margin: float) -> None:
        super().__init__()
        self.lower, self.upper, self.margin = lower, upper, margin

    def forward(self, values: Tensor) -> Tensor:
        """Return values within the limits."""
        if self.lower > -torch.inf:
            values = self.lower + self._distance(values - self.lower)
        if self.upper < torch.inf:
            values = self.upper - self._distance(self.upper - values)
        return values

    def _distance(self, distance: Tensor) -> Tensor:
        near = distance.clamp_max(self.margin) / self.margin - 1.0
        return torch.where(distance < self.margin, self.margin * near.exp(), distance)
