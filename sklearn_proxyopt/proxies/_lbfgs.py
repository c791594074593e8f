"""Limited-memory BFGS for several functions at once, each with steps of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Memory", "minimize_each", "times_inverse_hessian"]

# Steps, changes of the gradient and the reciprocals of their products, the oldest first.
Memory = deque[tuple[Tensor, Tensor, Tensor]]

# Takes points (n, n_parameters) and the places of their functions, and returns values (n,) and
# gradients (n, n_parameters).
Functions = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

_MEMORY = 10
_ARMIJO = 1e-4
_CUT = 0.3
_MAX_CUTS = 8


def times_inverse_hessian(gradient: Tensor, memory: Memory) -> Tensor:
    """Multiply by the inverse Hessian that the memory holds (Nocedal and Wright 2006, alg. 7.4)."""
    q = gradient.clone()
    shares = []
    for step, change, rho in reversed(memory):
        share = rho * (step * q).sum(dim=1)
        q -= share[:, None] * change
        shares.append(share)
    if memory:
        step, change, rho = memory[-1]
        size = (step * change).sum(dim=1) / change.square().sum(dim=1).clamp_min(1e-300)
        q *= torch.where(rho > 0, size, 1.0)[:, None]
    for (step, change, rho), share in zip(memory, reversed(shares), strict=True):
        q += (share - rho * (change * q).sum(dim=1))[:, None] * step
    return q


def minimize_each(
    functions: Functions,
    starts: Tensor,
    lower: Tensor,
    upper: Tensor,
    n_iterations: int,
    tolerance: float,
) -> tuple[Tensor, Tensor]:
    """Descend on several functions inside one box.

    Parameters
    ----------
    functions : callable
        `functions(points, which)` returns values (n,), infinite where there is none, and gradients
        (n, n_parameters) of the functions named by `which`.
    starts : Tensor of shape (n_functions, n_parameters)
        Where each descent begins.
    lower, upper : Tensor of shape (n_parameters,)
        The box.
    n_iterations : int
        Most iterations.
    tolerance : float
        A function whose value falls by less in an iteration is left alone from then on.

    Returns
    -------
    points : Tensor of shape (n_functions, n_parameters)
        Where the descents have ended.
    values : Tensor of shape (n_functions,)
        The values there.
    """
    points = starts.clamp(lower, upper)
    moving = torch.arange(len(points), device=points.device)
    values, gradients = functions(points, moving)
    memory: Memory = deque(maxlen=_MEMORY)
    moves = values.isfinite()
    for _ in range(n_iterations):
        free = _free(points, gradients, lower, upper)
        steep = torch.where(free, gradients, 0.0)
        direction = torch.where(free, -times_inverse_hessian(steep, memory), 0.0)
        uphill = (direction * steep).sum(dim=1) >= 0
        direction = torch.where(uphill[:, None], -steep, direction)
        if not memory:
            direction = direction / direction.norm(dim=1, keepdim=True).clamp_min(1.0)
        direction[~moves] = 0.0
        ends, end_values, end_gradients = _line_search(
            functions, (points, values, gradients), direction, steep, lower, upper, moves
        )
        step, change = ends - points, end_gradients - gradients
        product = (step * change).sum(dim=1)
        curved = product > 1e-10 * step.norm(dim=1) * change.norm(dim=1)
        memory.append((step, change, torch.where(curved, 1.0 / product, 0.0)))
        moves = moves & (values - end_values > tolerance)
        points, values, gradients = ends, end_values, end_gradients
        if not moves.any():
            break
    return points, values


def _free(points: Tensor, gradients: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """Return which parameters a descent does not press against a side of the box."""
    pressed = ((points <= lower) & (gradients > 0)) | ((points >= upper) & (gradients < 0))
    return ~pressed


def _line_search(
    functions: Functions,
    begin: tuple[Tensor, Tensor, Tensor],
    direction: Tensor,
    steep: Tensor,
    lower: Tensor,
    upper: Tensor,
    moves: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Cut the step of each function until it descends enough; one that never does stays."""
    points, values = begin[:2]
    ends, end_values, end_gradients = (tensor.clone() for tensor in begin)
    slope = (steep * direction).sum(dim=1)
    length = torch.ones_like(values)
    open_ones = moves.nonzero()[:, 0]
    for _ in range(_MAX_CUTS):
        trial = points[open_ones] + length[open_ones, None] * direction[open_ones]
        trial = trial.clamp(lower, upper)
        trial_values, trial_gradients = functions(trial, open_ones)
        needed = values[open_ones] + _ARMIJO * (length * slope)[open_ones]
        enough = trial_values <= needed
        settled = open_ones[enough]
        ends[settled], end_values[settled] = trial[enough], trial_values[enough]
        end_gradients[settled] = trial_gradients[enough]
        open_ones = open_ones[~enough]
        if not len(open_ones):
            break
        length[open_ones] *= _CUT
    return ends, end_values, end_gradients
