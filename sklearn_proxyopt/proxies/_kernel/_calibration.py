"""How far values lie from predictions, in the standard deviations that were predicted."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Self

import torch
from torch import Tensor

__all__ = ["Calibration"]

# The share of the samples left out that lie within so many calibrated deviations. Errors of samples
# left out are small for processes whose settings have seen these samples, the more so the fewer
# they are: deviations are raised by this number over the root of how many.
_SHARE, _DEVIATIONS, _SEEN = 0.9, 1.645, 1.75
# Few samples narrow no interval, and none is made narrower than this share of what processes say.
_FEW, _LEAST = 20, 0.25
# An optimizer seeks out where a proxy errs most: among the lowest values, and the highest, the
# interval is wider than the largest errors there, those of this share, by one and this number over
# the root of how many samples there are, at most so many times as wide.
_LARGEST, _WIDER, _MOST_TIMES = 0.01, 7.1, 2.0
# This share of the values lies in full where an optimizer goes, and this share in part.
_IN_FULL, _IN_PART = 0.02, 0.1
_NARROWEST = 1e-3


@dataclass(frozen=True)
class Calibration:
    """What standard deviations are multiplied by, which depends on how low or high a value is.

    Parameters
    ----------
    bottom, middle, top : float
        The factors of the lowest values, of most, and of the highest.
    lowest, low, high, highest : float
        The values up to which the first holds, between which the second does, and from which the
        third does.
    """

    bottom: float = 1.0
    middle: float = 1.0
    top: float = 1.0
    lowest: float = -2.0
    low: float = -1.0
    high: float = 1.0
    highest: float = 2.0

    @classmethod
    def learned(cls, mean: Tensor, deviation: Tensor, truth: Tensor) -> Self:
        """Learn the factors from samples left out.

        Parameters
        ----------
        mean, deviation : Tensor of shape (n,)
            What was predicted for them.
        truth : Tensor of shape (n,)
            Their values.
        """
        ratios = (mean - truth).abs() / deviation / _DEVIATIONS
        n_rows = len(truth)
        middle = (1.0 + _SEEN / n_rows**0.5) * float(ratios.quantile(_SHARE))
        middle = max(middle, _LEAST if n_rows >= _FEW else 1.0)
        order = truth.argsort(stable=True)
        n_half = max(n_rows // 2, 1)
        ends = [ratios[half] for half in (order[:n_half], order[-n_half:])]
        times = min(1.0 + _WIDER / n_rows**0.5, _MOST_TIMES)
        bottom, top = (max(times * _largest(one), middle) for one in ends)
        shares = truth.new_tensor([_IN_FULL, _IN_PART, 1.0 - _IN_PART, 1.0 - _IN_FULL])
        lowest, low, high, highest = truth.quantile(shares).tolist()
        return cls(bottom, middle, top, lowest, low, high, highest)

    @property
    def numbers(self) -> tuple[float, ...]:
        """The parameters, in their order."""
        return astuple(self)

    def at(self, mean: Tensor) -> Tensor:
        """Return the factors of predictions (n,)."""
        down = (self.low - mean) / max(self.low - self.lowest, _NARROWEST)
        up = (mean - self.high) / max(self.highest - self.high, _NARROWEST)
        below = down.clamp(0.0, 1.0) * (self.bottom - self.middle)
        above = up.clamp(0.0, 1.0) * (self.top - self.middle)
        return self.middle + below + above


def _largest(ratios: Tensor) -> float:
    """Return the largest ratio, or of many one that few exceed."""
    place = max(int(_LARGEST * len(ratios)), 1)
    return float(torch.topk(ratios, place).values[-1])
