"""What is known of the noise of values, beside what the likelihood says of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from scipy.stats import chi2
from torch import Tensor

__all__ = ["NOTHING_KNOWN", "NoiseFacts", "Repeats"]

# What repeats tell of a variance is believed within this interval.
_INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class NoiseFacts:
    """What is known of the variance of the noise of weight one.

    Parameters
    ----------
    squares, degrees : float, default=0.0
        How repeated samples scatter about their means: the sum of squares and its degrees of
        freedom.
    floor : float, default=0.0
        The variance, where it is known. What samples leave beyond it is the function's.
    is_on_floor : bool, default=False
        Whether samples leave nothing beyond it.
    """

    squares: float = 0.0
    degrees: float = 0.0
    floor: float = 0.0
    is_on_floor: bool = False

    @property
    def _allowed(self) -> tuple[float, float]:
        lower, upper = self.squares / chi2.ppf(_INTERVAL[::-1], self.degrees)
        return float(lower), float(upper)

    def share_of(self, variance: float) -> float:
        """Return how much of the variance that samples leave is known to be noise."""
        upper = self._allowed[1] if self.degrees else self.floor
        return min(upper / variance, 1.0)

    def corrected(self, variance: float) -> NoiseFacts | None:
        """Return what to learn with in place of these, where the samples contradict them."""
        if self.degrees:
            lower, upper = self._allowed
            agrees = lower <= variance <= upper
            return None if agrees else NoiseFacts(floor=self.squares / self.degrees)
        if variance < self.floor and not self.is_on_floor:
            return replace(self, is_on_floor=True)
        return None


NOTHING_KNOWN = NoiseFacts()


@dataclass(frozen=True)
class Repeats:
    """How repeated samples scatter about their means.

    Parameters
    ----------
    squares : Tensor of shape (n,)
        Weighted sums of squares about the mean of each sample, in units of the noise of weight one.
    degrees : Tensor of shape (n,)
        How often each sample was repeated beyond the first.
    """

    squares: Tensor
    degrees: Tensor

    def subset(self, which: Tensor, one: float) -> Repeats:
        """Return some of the samples, with weights divided by a number."""
        return Repeats(self.squares[which] / one, self.degrees[which])

    def facts(self, slopes: Tensor) -> NoiseFacts:
        """Return what they tell of the noise of values divided by slopes (n,).

        Repeats that all agree tell that there is none, so that what samples leave is the
        function's.
        """
        squares = float((self.squares / slopes.square()).sum())
        return NoiseFacts(squares, float(self.degrees.sum())) if squares > 0 else NOTHING_KNOWN

    @property
    def variance(self) -> float:
        """The variance of the noise of weight one by their scatter, 0 where there are none."""
        return float(self.squares.sum() / self.degrees.sum().clamp_min(1.0))

    @property
    def are_there(self) -> bool:
        """Whether any sample was repeated."""
        return bool(self.degrees.any())
