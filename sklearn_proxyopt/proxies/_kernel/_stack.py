"""A weighted sum of processes, and how uncertain it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn

from sklearn_proxyopt.proxies._kernel._calibration import Calibration
from sklearn_proxyopt.proxies._kernel._process import Process, faded
from sklearn_proxyopt.proxies._kernel._weights import stack_weights

__all__ = ["LeftOut", "Stack", "Uncertainty"]

# Processes with up to this many times the lowest error tell how uncertain the sum is.
_PLAUSIBLE = 4.0
# They learn from the same samples and share much of what they assume: how far they are apart counts
# this many times.
_DISAGREEMENT = 2.0
# At most so many times a variance is raised for the parameters that were fitted to it.
_MOST = 9.0


@dataclass(frozen=True)
class LeftOut:
    """What processes say of samples that they have not seen.

    Parameters
    ----------
    values : Tensor of shape (n_processes, n)
        Their predictions.
    spreads : Tensor of shape (n_processes, n)
        Standard deviations of these.
    truth : Tensor of shape (n,)
        The values.
    weight : Tensor of shape (n,)
        Weights of the samples with mean one.
    n_parameters : Tensor of shape (n_processes,)
        How many numbers each process has fitted to all samples.
    """

    values: Tensor
    spreads: Tensor
    truth: Tensor
    weight: Tensor
    n_parameters: Tensor

    @property
    def sizes(self) -> Tensor:
        """The weighted root mean square error of each process."""
        return (self.weight * (self.values - self.truth).square()).mean(dim=1).sqrt()

    def weights(self) -> Tensor:
        """Return how much each process counts in the sum."""
        errors = (self.values - self.truth).T
        weights = stack_weights(errors.cpu().numpy(), self.weight.cpu().numpy())
        return torch.from_numpy(weights).to(self.values)


@dataclass(frozen=True)
class Uncertainty:
    """How the variances of processes become that of their weighted sum.

    Parameters
    ----------
    shares : Tensor of shape (n_processes,)
        How much the variance of each process counts, with sum one.
    factors : Tensor of shape (n_processes,)
        What it is multiplied by.
    calibration : Calibration
        What the standard deviation of the sum is multiplied by.
    """

    shares: Tensor
    factors: Tensor
    calibration: Calibration = field(default_factory=Calibration)

    @classmethod
    def learned(cls, left_out: LeftOut, weights: Tensor) -> Self:
        """Learn it from samples left out.

        Errors of samples left out are small for a process with many parameters, which have seen
        these samples: variances are raised as in Akaike's final prediction error (1969).
        """
        sizes, n_rows = left_out.sizes, len(left_out.truth)
        plausible = (sizes <= _PLAUSIBLE * sizes.min()).to(sizes)
        n_fitted = left_out.n_parameters.to(sizes)
        factors = (n_rows + n_fitted) / (n_rows - n_fitted).clamp_min(1.0)
        rule = cls(plausible / plausible.sum(), factors.clamp_max(_MOST))
        mean = weights @ left_out.values
        one = torch.ones_like(mean)
        deviation = rule.deviation(mean, left_out.values, left_out.spreads, one)
        calibration = Calibration.learned(mean, deviation, left_out.truth)
        return cls(rule.shares, rule.factors, calibration)

    def deviation(self, mean: Tensor, values: Tensor, spreads: Tensor, left: Tensor) -> Tensor:
        """Return the standard deviation (n,) of a mean of processes (n_processes, n).

        How much is left of what samples tell, (n,), says how far they may narrow it. Errors of
        samples left out raise it no farther than what is usual of all values: where hardly
        anything is known they would raise what is no longer too small.
        """
        apart = _DISAGREEMENT * (values - mean)
        variance = self.shares @ (self.factors[:, None] * spreads.square() + apart.square())
        deviation = (variance + torch.finfo(variance.dtype).tiny).sqrt()
        factors = self.calibration.at(mean)
        calibrated = torch.lerp(factors.clamp_min(1.0), factors, left) * deviation
        usual = (1.0 + mean.square()).sqrt()
        return torch.minimum(calibrated, torch.maximum(deviation, usual))


class Stack(nn.Module):
    """A weighted sum of processes.

    Parameters
    ----------
    processes : sequence of Process
        The processes.
    names : sequence of str
        What they are called.
    weights : Tensor of shape (n_processes,)
        How much each counts.
    uncertainty : Uncertainty
        How their variances are put together.
    """

    weights: Tensor
    shares: Tensor
    factors: Tensor
    # A ModuleList would hide the type of what it holds.
    processes: Any

    def __init__(
        self,
        processes: Sequence[Process],
        names: Sequence[str],
        weights: Tensor,
        uncertainty: Uncertainty,
    ) -> None:
        super().__init__()
        self.names = tuple(names)
        self.processes = nn.ModuleList(processes)
        # Most points are only asked for their value, which takes fewer processes.
        self.counting = tuple(weights.nonzero()[:, 0].tolist())
        self.calibration = uncertainty.calibration
        # Variance of the noise of weight one.
        self.noise = 0.0
        self.register_buffer("weights", weights)
        self.register_buffer("shares", uncertainty.shares)
        self.register_buffer("factors", uncertainty.factors)

    @property
    def n_rows(self) -> int:
        """How many samples a point is compared with."""
        return sum(len(process.rows) for process in self.processes)

    def forward(self, x: Tensor) -> Tensor:
        """Return predictions (n,) at scaled points (n, n_features)."""
        values = torch.zeros_like(x[:, 0])
        for place in self.counting:
            values = values + self.weights[place] * self.processes[place](x)
        return values

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return predictions (n,) and standard deviations (n,)."""
        moments = [process.moments(x) for process in self.processes]
        values, spreads = (torch.stack(one) for one in zip(*moments, strict=True))
        mean = self.weights @ values
        rule = Uncertainty(self.shares, self.factors, self.calibration)
        return mean, rule.deviation(mean, values, spreads, faded(x)[1])
