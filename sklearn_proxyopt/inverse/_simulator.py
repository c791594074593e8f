"""A simulator as users write it: in torch of any type or in NumPy, which may raise errors."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_proxyopt._utils._warning import warn_user
from sklearn_proxyopt.evaluation._workers import open_workers
from sklearn_proxyopt.exceptions import FailedEvaluationWarning

__all__ = ["ByDifferences", "Simulator", "jacobian_by_differences"]


@dataclass(frozen=True)
class Simulator:
    """A simulator, called on a batch of problems in the type that it takes.

    Attributes
    ----------
    forward : callable
        What the user gave.
    differentiable : bool
        Whether it is a function of torch; otherwise it takes and returns NumPy arrays.
    on_error : {"raise", "drop"}
        Whether its errors go to the caller, or count as simulations without a value.
    n_jobs : int or None
        Workers for a function of NumPy.
    executor : object or None
        Who runs them, instead of processes.
    """

    forward: Callable[..., Any]
    differentiable: bool
    on_error: str
    n_jobs: int | None
    executor: Any = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # An executor cannot be copied, and need not be.
        return replace(self, forward=copy.deepcopy(self.forward, memo))

    def __call__(
        self, unknowns: Tensor, conditions: Tensor | None, shape: tuple[int, ...] | None
    ) -> Tensor:
        """Return predictions, NaN in the given shape for those that fail."""
        arguments = (unknowns,) if conditions is None else (unknowns, conditions)
        if self.on_error == "raise" or shape is None:
            return self._run(arguments)
        try:
            return self._run(arguments)
        except Exception as error:
            if len(unknowns) == 1:
                warn_user(
                    f"forward raised {type(error).__name__}: {error}; on_error='drop' takes the "
                    "simulation for failed.",
                    FailedEvaluationWarning,
                )
                return unknowns.new_full((1, *shape), torch.nan)
        # Only those that raise are lost.
        half = len(unknowns) // 2
        known = (None, None) if conditions is None else (conditions[:half], conditions[half:])
        halves = zip((unknowns[:half], unknowns[half:]), known, strict=True)
        return torch.cat([self(own, its, shape) for own, its in halves])

    def _run(self, arguments: tuple[Tensor, ...]) -> Tensor:
        # A simulator may write over what it is given, and into an array that it returned before.
        arguments = tuple(part.clone() for part in arguments)
        if not self.differentiable:
            values = self._values([part.detach().cpu().numpy() for part in arguments])
            return torch.tensor(values, device=arguments[0].device)
        own = _parameter_of(self.forward)
        if own is None:
            predicted = self.forward(*arguments)
        else:
            predicted = self.forward(*(part.to(own.device, own.dtype) for part in arguments))
        if not isinstance(predicted, Tensor):
            raise ValueError(
                f"forward must return a torch.Tensor; got {type(predicted).__name__}. For a "
                "simulator outside torch, set differentiable=False."
            )
        return predicted if own is None else predicted.to(arguments[0])

    def _values(self, arrays: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return what a function of NumPy says, side by side if there are several workers."""
        if self.n_jobs is None and self.executor is None:
            return np.asarray(self.forward(*arrays), dtype=np.float64)
        with open_workers(self.n_jobs, self.executor) as workers:
            n_parts = min(len(arrays[0]), workers.n)
            parts = zip(*(np.array_split(array, n_parts) for array in arrays), strict=True)
            for ticket, part in enumerate(parts):
                workers.submit(ticket, self.forward, *part)
            ended = dict(workers.next() for _ in range(n_parts))
        results = [ended[ticket].result() for ticket in range(n_parts)]
        return np.concatenate([np.asarray(one, dtype=np.float64) for one in results])


def _parameter_of(forward: Any) -> Tensor | None:
    """Return a parameter of a module, whose type and device it computes in."""
    if not isinstance(forward, nn.Module):
        return None
    return next((one for one in forward.parameters() if one.is_floating_point()), None)


class ByDifferences(torch.autograd.Function):
    """Predictions whose gradient is taken by central differences, all in one batch.

    A side where the simulation fails, or which would leave the box, is left out: the difference to
    the point itself takes its place.
    """

    @staticmethod
    def forward(
        ctx: Any,
        unknowns: Tensor,
        simulate: Callable[[Tensor, Tensor], Tensor],
        conditions: Tensor,
        step: Tensor,
        is_inside: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Return predictions."""
        predicted = simulate(unknowns, conditions)
        ctx.save_for_backward(unknowns, conditions, predicted, step)
        ctx.simulate, ctx.is_inside = simulate, is_inside
        return predicted.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient with respect to the unknowns."""
        unknowns, conditions, predicted, step = ctx.saved_tensors
        jacobian = jacobian_by_differences(
            ctx.simulate, unknowns, conditions, predicted, step, ctx.is_inside
        )
        upstream = gradients[0].flatten(1)[:, None]
        # What does not count may be without a slope.
        products = torch.where(upstream == 0, 0.0, upstream * jacobian.flatten(2))
        return products.sum(dim=2), None, None, None, None


def jacobian_by_differences(
    simulate: Callable[[Tensor, Tensor], Tensor],
    unknowns: Tensor,
    conditions: Tensor,
    predicted: Tensor,
    step: Tensor,
    is_inside: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return the slopes of predictions.

    Parameters
    ----------
    simulate : callable
        Maps unknowns and conditions to predictions.
    unknowns, conditions : Tensor of shape (n, n_unknowns) and (n, n_conditions)
        Where.
    predicted : Tensor of shape (n, ...)
        The predictions there.
    step : Tensor of shape (n_unknowns,)
        Steps to both sides, in the units of the unknowns.
    is_inside : callable
        Tells which unknowns may be simulated.

    Returns
    -------
    Tensor of shape (n, n_unknowns, ...)
        The slopes; NaN where neither side has a value.
    """
    n, n_unknowns = unknowns.shape
    shifts = torch.diag(step)
    here = unknowns[None].expand(n_unknowns, n, n_unknowns)
    sides = torch.stack([here + shifts[:, None], here - shifts[:, None]])
    usable = is_inside(sides.flatten(0, 2)).view(2, n_unknowns, n)
    places = torch.where(usable[..., None], sides, here).flatten(0, 2)
    values = simulate(places, conditions.repeat(2 * n_unknowns, 1))
    values = values.view(2, n_unknowns, n, *predicted.shape[1:])
    usable = usable & torch.isfinite(values).flatten(3).all(dim=3)
    wide = usable.view(*usable.shape, *[1] * (predicted.ndim - 1))
    up, down = torch.where(wide, values, predicted)
    width = step[:, None] * usable.sum(dim=0)
    slopes = (up - down) / width.view(*width.shape, *[1] * (predicted.ndim - 1))
    return slopes.transpose(0, 1)
