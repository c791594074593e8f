"""One number for a value and its constraints: the value, with a penalty for what is violated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._proxy_search._functions import RegressorFunction
from sklearn_proxyopt._utils._feasibility import values_of
from sklearn_proxyopt._utils._torch_modes import plain_torch
from sklearn_proxyopt.optimizers._functions import ProxyFunction

if TYPE_CHECKING:
    import torch

__all__ = [
    "PENALTY",
    "Merit",
    "MeritFunction",
    "ValueOfOutputs",
    "margin_of",
    "merit_of_rows",
    "noise_of_outputs",
]

# A violation of one span of a constraint on the variables costs so many spreads of the values.
PENALTY = 100.0

# How many spreads of the value a violation by one spread of its constraint costs, at first.
_WEIGHT = 10.0
# The penalty of the search bends over this share of the spread of a constraint.
_SOFTNESS = 1e-3
# The error of a learned constraint is measured on this share of the samples, those nearest to where
# it turns.
_SHARE_NEAR = 0.3


@dataclass(frozen=True)
class Merit:
    """The value plus what each violated constraint costs, an exact penalty [1]_.

    Parameters
    ----------
    prices : ndarray of shape (n_constraints,)
        Cost of a violation by one unit of each constraint, in units of the value.
    margin : ndarray of shape (n_constraints,)
        How far below 0 each constraint has to stay to cost nothing.
    softness : ndarray of shape (n_constraints,)
        Where a constraint comes nearer than this to its margin, the penalty bends smoothly, and
        is a little above 0 already.

    References
    ----------
    .. [1] Nocedal and Wright, "Numerical Optimization", 2006, section 17.2,
       :doi:`10.1007/978-0-387-40065-5`.
    """

    prices: NDArray[np.float64]
    margin: NDArray[np.float64]
    softness: NDArray[np.float64]

    @classmethod
    def learned(
        cls,
        outputs: NDArray[np.float64],
        predicted: NDArray[np.float64],
        noise: NDArray[np.float64],
    ) -> Merit:
        """Return the merit of a search that goes by predictions, with a margin for their errors.

        Parameters
        ----------
        outputs : ndarray of shape (n_samples, 1 + n_constraints)
            The samples learned from: value and constraints.
        predicted : ndarray of shape (n_samples, 1 + n_constraints)
            What was learned of them.
        noise : ndarray of shape (1 + n_constraints,)
            Standard deviation of the noise of each output, 0 where none is known.

        Returns
        -------
        Merit
            The merit.
        """
        margin = margin_of(outputs[:, 1:], predicted[:, 1:], noise[1:])
        softness = _SOFTNESS * _spread(outputs)[1:]
        return replace(cls.of_rows(outputs), margin=margin, softness=softness)

    @classmethod
    def of_rows(cls, outputs: NDArray[np.float64]) -> Merit:
        """Return the merit of true outputs, (n_samples, 1 + n_constraints): no margin, not soft."""
        spread = _spread(outputs)
        nothing = np.zeros(outputs.shape[1] - 1)
        return cls(_WEIGHT * spread[0] / spread[1:], nothing, nothing)

    def sharper(self) -> Merit:
        """Return the merit with a hundredth of the softness."""
        return replace(self, softness=self.softness / 100.0)

    def heavier(self, factor: float | NDArray[np.float64] = 10.0) -> Merit:
        """Return the merit with so many times the prices."""
        return replace(self, prices=factor * self.prices)

    def at_least(self, other: Merit) -> Merit:
        """Return the merit with the higher price of two for each constraint."""
        return replace(self, prices=np.maximum(self.prices, other.prices))

    def of_measured(self) -> Merit:
        """Return the merit of values that are known: neither a margin nor soft."""
        nothing = np.zeros(len(self.margin))
        return replace(self, margin=nothing, softness=nothing)

    def __call__(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a number for each sample of outputs (..., 1 + n_constraints)."""
        excess = outputs[..., 1:] + self.margin
        beyond = np.maximum(excess, 0.0)
        soft = self.softness > 0.0
        bend = np.where(soft, self.softness, 1.0)
        bent = np.square(excess + bend) / (4.0 * bend)
        beyond = np.where(soft & (np.abs(excess) < bend), bent, beyond)
        return np.asarray(outputs[..., 0] + (beyond * self.prices).sum(axis=-1))

    def is_kept(self, outputs: NDArray[np.float64]) -> bool:
        """Tell whether one sample of outputs keeps its constraints with their margins."""
        return bool((outputs[1:] + self.margin <= 0.0).all())

    @plain_torch()
    def torch_module(self, device: torch.device, dtype: torch.dtype) -> torch.nn.Module:
        """Return the merit as a module, (..., 1 + n_constraints) to (..., 1)."""
        import torch

        tables = [
            torch.as_tensor(table, device=device, dtype=dtype)
            for table in (self.prices, self.margin, self.softness)
        ]

        class MeritModule(torch.nn.Module):
            def forward(self, outputs: torch.Tensor) -> torch.Tensor:
                prices, margin, softness = tables
                excess = outputs[..., 1:] + margin
                bend = torch.where(softness > 0.0, softness, 1.0)
                bent = (excess + bend).square() / (4.0 * bend)
                is_bent = (softness > 0.0) & (excess.abs() < bend)
                beyond = torch.where(is_bent, bent, excess.clamp(min=0.0))
                return outputs[..., :1] + (beyond * prices).sum(dim=-1, keepdim=True)

        return MeritModule()


class MeritFunction(ProxyFunction):
    """What a proxy of several outputs says of the merit, as a function of one value a sample.

    It has `torch_module` and `predict_members` where the proxy has them.

    Parameters
    ----------
    proxy : RegressorFunction
        Predicts value and constraints.
    merit : Merit
        The merit.
    adds_spread : bool, default=False
        Whether each constraint is taken one standard deviation over the members worse than their
        mean.
    """

    def __init__(self, proxy: RegressorFunction, merit: Merit, adds_spread: bool = False) -> None:
        self.proxy = proxy
        self.merit = merit
        self._adds_spread = adds_spread
        self.has_module, self.has_members = proxy.has_module, proxy.has_members

    def __call__(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the merit of what is predicted, of shape (n,)."""
        if not self._adds_spread or not self.has_members:
            return self.merit(self.outputs(X))
        members = self.proxy.predict_members(X)
        outputs = members.mean(axis=0)
        if len(members) > 1:
            outputs[:, 1:] += members.std(axis=0, ddof=1)[:, 1:]
        return self.merit(outputs)

    def predict(self, X: NDArray[np.float64], return_std: bool = False) -> Any:
        """Return the merit of what is predicted, and its standard deviation if asked for.

        Without members, the deviations of the value and of what is violated count as independent.
        """
        if not return_std:
            return self.merit(self.outputs(X))
        if self.has_members:
            members = self.predict_members(X)
            return members.mean(axis=0), members.std(axis=0, ddof=1)
        outputs, deviation = self.proxy.predict(X, return_std=True)
        deviation = np.asarray(deviation).reshape(outputs.shape)
        weights = np.where(outputs[:, 1:] + self.merit.margin > 0.0, self.merit.prices, 0.0)
        scaled = deviation * np.column_stack([np.ones(len(X)), weights])
        return self.merit(outputs), np.sqrt(np.square(scaled).sum(axis=1))

    def outputs(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return predictions of shape (n, 1 + n_constraints)."""
        outputs = np.asarray(self.proxy.predict(X), dtype=np.float64)
        shape = (len(X), 1 + len(self.merit.prices))
        if outputs.shape != shape:
            raise ValueError(
                f"proxy must predict the value and {shape[1] - 1} constraints a row, of shape "
                f"{shape}; got shape {outputs.shape}."
            )
        return outputs

    def predict_members(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the merit of what each member predicts."""
        return self.merit(self.proxy.predict_members(X))

    @plain_torch()
    def torch_module(self, *, member: int | None = None) -> torch.nn.Module:
        """Return the merit of the proxy, or of a member, as a module."""
        import torch

        chosen = {} if member is None else {"member": member}
        proxy = self.proxy.torch_module(**chosen)
        first = next(proxy.buffers())
        merit = self.merit.torch_module(first.device, first.dtype)
        adds_spread = self._adds_spread and getattr(proxy, "n_members", 1) > 1

        class ProxyOfMerit(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.proxy = proxy
                self.n_members = getattr(proxy, "n_members", 1)

            def forward(self, X: torch.Tensor) -> torch.Tensor:
                if not adds_spread:
                    return merit(self.proxy(X))
                members = self.proxy.members(X)
                mean, std = members.mean(dim=0), members.std(dim=0)
                return merit(torch.cat([mean[:, :1], mean[:, 1:] + std[:, 1:]], dim=1))

            def members(self, X: torch.Tensor) -> torch.Tensor:
                return merit(self.proxy.members(X))

        return ProxyOfMerit()


class ValueOfOutputs(ProxyFunction):
    """The value that a proxy of several outputs predicts, without its constraints.

    Parameters
    ----------
    proxy : RegressorFunction
        Predicts value and constraints, and their standard deviations.
    """

    def __init__(self, proxy: RegressorFunction) -> None:
        self.proxy = proxy

    def __call__(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the value predicted, of shape (n,)."""
        return np.asarray(self.proxy.predict(X), dtype=np.float64)[:, 0]

    def predict(self, X: NDArray[np.float64], return_std: bool = False) -> Any:
        """Return the value predicted, and its standard deviation if asked for."""
        if not return_std:
            return self(X)
        outputs, deviations = self.proxy.predict(X, return_std=True)
        return outputs[:, 0], np.reshape(deviations, outputs.shape)[:, 0]


def noise_of_outputs(proxy: Any, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the noise of each output, (n_outputs,), as a fitted proxy knows it; 0 if it does not.

    Parameters
    ----------
    proxy : regressor
        The proxy.
    outputs : ndarray of shape (n_samples, n_outputs)
        What it has learned.
    """
    noise = np.asarray(getattr(proxy, "noise_std_", 0.0), dtype=np.float64)
    return np.broadcast_to(noise, outputs.shape[1:])


def margin_of(
    constraints: NDArray[np.float64],
    predicted: NDArray[np.float64],
    noise: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the error of learned constraints near to where they turn, (n_constraints,).

    What noise adds to the difference between learned and measured is no error.
    """
    n_near = max(int(_SHARE_NEAR * len(constraints)), 2)
    near = np.argsort(np.abs(constraints), axis=0)[:n_near]
    error = np.take_along_axis(predicted - constraints, near, axis=0)
    squares = np.square(error).mean(axis=0) - np.square(noise)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))


def _spread(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the spread of each column: that of its middle half where this is not 0."""
    low, high = np.quantile(outputs, [0.25, 0.75], axis=0)
    spread = np.where(high > low, high - low, outputs.std(axis=0))
    return np.where(spread > 0.0, spread, 1.0)


def merit_of_rows(outputs: NDArray[np.float64], merit: Merit | None) -> NDArray[np.float64]:
    """Return what counts of known samples: their merit, or their value where nothing constrains."""
    return values_of(outputs) if merit is None else merit.of_measured()(outputs)
