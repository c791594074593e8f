"""Covariances of Gaussian processes, for several settings of their parameters at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from math import log, sqrt

import numpy as np
import torch
from torch import Tensor

from sklearn_proxyopt._utils._matern import matern52

__all__ = [
    "COVARIANCES",
    "AdditiveSquaredExponential",
    "Covariance",
    "Matern52",
    "Pairs",
    "SquaredExponential",
]

# Limits of lengthscales, in half-widths of the box.
_SHORTEST, _LONGEST = 0.02, 1000.0
# The starts: lengthscales of 2 sqrt(d) times the exponentials of these numbers.
_STARTS = (-0.7, 0.5, -1.6)
_SPREAD = 3.0
# Additive parts vary with one variable each, so their lengthscales know nothing of how many
# there are.
_ADDITIVE_STARTS = (0.0, 0.7, -0.7)
_ADDITIVE_SPREAD = 1.5
# The first and the last of the scales of squared exponentials that make up a Matern covariance, and
# how many there are.
_MATERN_SCALES = (0.03, 3.5, 24)
_SHARE_STARTS, _SHARE_SPREAD, _SHARE_LIMIT = (0.0, 0.0, 0.0), 3.0, 8.0


class Pairs:
    """Samples with the squared differences of all their pairs, made where they are needed.

    Parameters
    ----------
    rows : Tensor of shape (n, n_features)
        Samples scaled to [-1, 1].
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows
        self._squares: Tensor | None = None

    @property
    def squares(self) -> Tensor:
        """Squared differences in each variable, of shape (n_features, n * n)."""
        if self._squares is None:
            columns = self.rows.T
            self._squares = (columns[:, :, None] - columns[:, None, :]).square_().flatten(1)
        return self._squares


class Covariance(ABC):
    """A covariance with unit variance; parameters are logarithms and logits.

    A subclass has a `name` and owes what is abstract here. Tensors of parameters have the shape
    (n_settings, n_parameters).

    Parameters
    ----------
    n_features : int
        Number of variables.
    shortest : float, default=0.02
        Lower limit of lengthscales.
    """

    name: str

    def __init__(self, n_features: int, shortest: float = _SHORTEST) -> None:
        self.n_features, self.shortest = n_features, shortest
        # How many matrices of the rows have to be held for one setting.
        self.n_matrices = 1

    @abstractmethod
    def starts(self) -> Tensor:
        """Return parameters to start from, of shape (n_starts, n_parameters)."""

    @abstractmethod
    def prior(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the parameters before any sample is known."""

    @abstractmethod
    def limits(self) -> tuple[Tensor, Tensor]:
        """Return the lowest and the highest parameters."""

    @abstractmethod
    def matrix(self, parameters: Tensor, pairs: Pairs) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the covariances of samples, (n_settings, n, n), and what `slopes` needs."""

    @abstractmethod
    def slopes(
        self, parameters: Tensor, pairs: Pairs, weight: Tensor, parts: tuple[Tensor, ...]
    ) -> Tensor:
        """Return the derivatives of sum_ij weight_ij k_ij, of shape (n_settings, n_parameters).

        The weights, (n_settings, n, n), are symmetric.
        """

    @abstractmethod
    def between(self, parameters: Tensor, x: Tensor, rows: Tensor) -> Tensor:
        """Return the covariances (..., m, n) of points and samples for one setting."""

    @abstractmethod
    def smoothed(self, parameters: Tensor, x: Tensor, rows: Tensor, noise: float) -> Tensor:
        """Return the means (m, n) of `between` over noise on each variable of the points.

        The noise is Gaussian, of this standard deviation.
        """

    @abstractmethod
    def frequencies(self, parameters: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Draw frequencies (n, n_features) whose cosines have this covariance, on the CPU.

        The parameters, (n_parameters,), lie on the CPU too.
        """


class _Radial(Covariance):
    """A function of the distance, with a lengthscale for each variable."""

    def starts(self) -> Tensor:
        middle = log(2.0) + 0.5 * log(self.n_features)
        return (middle + _vector(_STARTS)[:, None]).expand(-1, self.n_features)

    def prior(self) -> tuple[Tensor, Tensor]:
        """Return the prior of Hvarfner, Hellsten and Nardi (2024), twice as wide in these units."""
        mean = log(2.0) + sqrt(2.0) + 0.5 * log(self.n_features)
        return _vector([mean] * self.n_features), _vector([_SPREAD] * self.n_features)

    def limits(self) -> tuple[Tensor, Tensor]:
        lower, upper = log(self.shortest), log(_LONGEST)
        return _vector([lower] * self.n_features), _vector([upper] * self.n_features)

    def matrix(self, parameters: Tensor, pairs: Pairs) -> tuple[Tensor, tuple[Tensor, ...]]:
        scaled = pairs.rows / parameters.exp()[:, None, :]
        return self._of(_squared_distances(scaled, scaled))

    def slopes(
        self, parameters: Tensor, pairs: Pairs, weight: Tensor, parts: tuple[Tensor, ...]
    ) -> Tensor:
        # With g_ij the weighted derivative by the squared distance, the sum over pairs of
        # g_ij (x_i - x_j)^2 is 2 (sum_i g_i. x_i^2 - x g x).
        flow = weight * parts[0]
        rows = pairs.rows.expand(len(weight), -1, -1)
        own = (flow.sum(dim=2)[:, :, None] * rows.square()).sum(dim=1)
        across = (rows * torch.bmm(flow, rows)).sum(dim=1)
        return -4.0 * (own - across) / (2.0 * parameters).exp()

    def between(self, parameters: Tensor, x: Tensor, rows: Tensor) -> Tensor:
        lengths = parameters.exp()
        return self._of(_squared_distances(x / lengths, rows / lengths))[0]

    @abstractmethod
    def _of(self, squared: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the covariance at squared distances and its derivative by them."""


class SquaredExponential(_Radial):
    """The covariance exp(-r^2 / 2)."""

    name = "squared exponential"

    def _of(self, squared: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        value = (-0.5 * squared).exp()
        return value, (-0.5 * value,)

    def smoothed(self, parameters: Tensor, x: Tensor, rows: Tensor, noise: float) -> Tensor:
        return _smoothed_exponential(x, rows, parameters.exp(), noise)

    def frequencies(self, parameters: Tensor, n: int, generator: torch.Generator) -> Tensor:
        return _normal((n, self.n_features), generator) / parameters.exp()


class Matern52(_Radial):
    """The Matern covariance of smoothness 5/2."""

    name = "matern"

    def _of(self, squared: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        # No gradient is lost by the limit: that of the covariance vanishes at distance zero.
        scaled = (5.0 * squared.clamp_min(1e-30)).sqrt()
        decay = (-scaled).exp()
        slope = (1.0 + scaled) * decay * (-5.0 / 6.0)
        return matern52(scaled, decay), (slope,)

    def smoothed(self, parameters: Tensor, x: Tensor, rows: Tensor, noise: float) -> Tensor:
        lengths, total = parameters.exp(), torch.zeros_like(x[:, :1] * rows[:, 0])
        for scale, weight in zip(*_matern_as_exponentials(), strict=True):
            total = total + weight * _smoothed_exponential(x, rows, scale * lengths, noise)
        return total

    def frequencies(self, parameters: Tensor, n: int, generator: torch.Generator) -> Tensor:
        # Those of a Matern covariance of smoothness 5/2 have a t distribution with 5 degrees.
        chi = _normal((n, 5), generator).square().mean(dim=1, keepdim=True)
        return _normal((n, self.n_features), generator) / chi.sqrt() / parameters.exp()


class AdditiveSquaredExponential(Covariance):
    """A sum of functions of one variable each, beside a squared exponential of them all.

    Parameters are the lengthscales of the whole, those of the single variables, and the logit of
    the share of the sum (Duvenaud, Nickisch and Rasmussen 2011, orders one and d).
    """

    name = "additive"

    def __init__(self, n_features: int, shortest: float = _SHORTEST) -> None:
        super().__init__(n_features, shortest)
        self._whole = SquaredExponential(n_features, shortest)
        self.n_matrices = n_features

    def starts(self) -> Tensor:
        alone = _vector(_ADDITIVE_STARTS)[:, None].expand(-1, self.n_features)
        shares = _vector(_SHARE_STARTS)[:, None]
        return torch.cat([self._whole.starts(), alone, shares], dim=1)

    def prior(self) -> tuple[Tensor, Tensor]:
        mean, spread = self._whole.prior()
        others = _vector([_ADDITIVE_SPREAD] * self.n_features + [_SHARE_SPREAD])
        return torch.cat([mean, 0.0 * others]), torch.cat([spread, others])

    def limits(self) -> tuple[Tensor, Tensor]:
        lower, upper = self._whole.limits()
        end = _vector([_SHARE_LIMIT])
        return torch.cat([lower, lower, -end]), torch.cat([upper, upper, end])

    def matrix(self, parameters: Tensor, pairs: Pairs) -> tuple[Tensor, tuple[Tensor, ...]]:
        whole, alone, logit = parameters.split([self.n_features, self.n_features, 1], dim=1)
        share = logit.sigmoid()[:, :, None]
        value, parts = self._whole.matrix(whole, pairs)
        exponents = pairs.squares * (-0.5 * (-2.0 * alone).exp())[:, :, None]
        singles = exponents.exp_()
        n_rows = len(pairs.rows)
        mean = singles.mean(dim=1).reshape(-1, n_rows, n_rows)
        return torch.lerp(value, mean, share), (*parts, value, singles, mean)

    def slopes(
        self, parameters: Tensor, pairs: Pairs, weight: Tensor, parts: tuple[Tensor, ...]
    ) -> Tensor:
        whole, alone, logit = parameters.split([self.n_features, self.n_features, 1], dim=1)
        share = logit.sigmoid()
        derivative, value, singles, mean = parts
        of_whole = (1.0 - share) * self._whole.slopes(whole, pairs, weight, (derivative,))
        weighted = (singles * weight.flatten(1)[:, None, :]).mul_(pairs.squares)
        sums = weighted.sum(dim=2)
        of_singles = share / self.n_features * sums / (2.0 * alone).exp()
        of_share = (weight * (mean - value)).sum(dim=(1, 2))[:, None] * share * (1.0 - share)
        return torch.cat([of_whole, of_singles, of_share], dim=1)

    def between(self, parameters: Tensor, x: Tensor, rows: Tensor) -> Tensor:
        whole, alone, logit = parameters.split([self.n_features, self.n_features, 1])
        lengths = alone.exp()
        value = self._whole.between(whole, x, rows)
        total = torch.zeros_like(value)
        columns = (x / lengths).unbind(dim=-1), (rows / lengths).unbind(dim=-1)
        for column, centers in zip(*columns, strict=True):
            apart = column[..., :, None] - centers[..., None, :]
            total = total + (-0.5 * apart.square()).exp()
        return torch.lerp(value, total / self.n_features, logit.sigmoid())

    def smoothed(self, parameters: Tensor, x: Tensor, rows: Tensor, noise: float) -> Tensor:
        whole, alone, logit = parameters.split([self.n_features, self.n_features, 1])
        value = self._whole.smoothed(whole, x, rows, noise)
        lengths = alone.exp()
        columns = [
            _smoothed_exponential(x[:, [j]], rows[:, [j]], lengths[[j]], noise)
            for j in range(self.n_features)
        ]
        return torch.lerp(value, torch.stack(columns).mean(dim=0), logit.sigmoid())

    def frequencies(self, parameters: Tensor, n: int, generator: torch.Generator) -> Tensor:
        whole, alone, logit = parameters.split([self.n_features, self.n_features, 1])
        share = logit.sigmoid()
        normal = _normal((n, self.n_features), generator)
        weights = torch.cat([1.0 - share, (share / self.n_features).expand(self.n_features)])
        which = weights.multinomial(n, True, generator=generator)
        is_only = torch.nn.functional.one_hot(which, self.n_features + 1)[:, 1:].to(normal)
        of_whole = (which == 0).to(normal)[:, None]
        return normal * (of_whole / whole.exp() + is_only / alone.exp())


def _normal(shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64, device="cpu")


def _vector(values: Sequence[float]) -> Tensor:
    # Made on the CPU whatever the caller's default device is.
    return torch.tensor(values, dtype=torch.float64, device="cpu")


def _smoothed_exponential(x: Tensor, rows: Tensor, lengths: Tensor, noise: float) -> Tensor:
    """Return the mean of a squared exponential (m, n) over Gaussian noise on the points."""
    wider = (lengths.square() + noise**2).sqrt()
    return (lengths / wider).prod() * (-0.5 * _squared_distances(x / wider, rows / wider)).exp()


@cache
def _matern_as_exponentials() -> tuple[list[float], list[float]]:
    """Return scales and weights of squared exponentials that make up a Matern covariance.

    Of smoothness 5/2 it is the mean of exp(-r^2 / (2 c^2)), where 5 c^2 is chi-square distributed
    with 5 degrees. The sum over scales in equal steps of log c is off by 5e-8 at most.
    """
    scales = np.geomspace(*_MATERN_SCALES)
    density = scales**5 * np.exp(-2.5 * scales**2)
    return scales.tolist(), (density / density.sum()).tolist()


def _squared_distances(x: Tensor, z: Tensor) -> Tensor:
    """Return squared distances (..., m, n) of points (..., m, d) and (..., n, d)."""
    own = x.square().sum(dim=-1)[..., :, None] + z.square().sum(dim=-1)[..., None, :]
    return (own - 2.0 * x @ z.transpose(-1, -2)).clamp_min(0.0)


COVARIANCES: dict[str, type[Covariance]] = {
    kind.name: kind for kind in (SquaredExponential, Matern52, AdditiveSquaredExponential)
}
