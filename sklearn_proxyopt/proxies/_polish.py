"""A last stage of training on all samples at once: limited-memory BFGS for every member."""

from __future__ import annotations

from collections import deque
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from sklearn_proxyopt._utils._threads import in_parallel
from sklearn_proxyopt.proxies._lbfgs import Memory, times_inverse_hessian
from sklearn_proxyopt.proxies._losses import member_losses
from sklearn_proxyopt.proxies._member_rows import MemberRows
from sklearn_proxyopt.proxies._network import DenseNetworks, Ensemble

__all__ = ["polish"]

_MEMORY = 20
_ARMIJO = 1e-4
_CUT = 0.3
_MAX_CUTS = 12
# Samples of all members that are computed at once.
_ROWS_AT_ONCE = 50_000
# Iterations without a lower held-out loss of any member after which the stage ends.
_PATIENCE = 20


def polish(
    ensemble: Ensemble, training: MemberRows, held_out: MemberRows, n_iterations: int
) -> int:
    """Descend on the loss over all training samples, each member with steps of its own.

    The weights kept are those of the lowest held-out loss, the starting ones included, or the last
    where no samples are held out.

    Parameters
    ----------
    ensemble : Ensemble
        Dense networks, whose weights are changed.
    training, held_out : MemberRows
        The samples.
    n_iterations : int
        Most iterations.

    Returns
    -------
    int
        Iterations made by the group that made most.
    """
    cuts = accumulate((group.n_members for group in ensemble.groups), initial=0)
    members = [slice(*ends) for ends in pairwise(cuts)]

    def polish_one(group: DenseNetworks, members: slice) -> int:
        return _polish_group(group, training, held_out, members, n_iterations)

    with in_parallel(len(members)) as apply:
        return max(apply(polish_one, ensemble.groups, members))


def _polish_group(
    group: DenseNetworks,
    training: MemberRows,
    held_out: MemberRows,
    members: slice,
    n_iterations: int,
) -> int:
    weights = group.weights.detach().clone()
    best = weights.clone()
    lowest = _held_out_loss(group, weights, held_out, members)
    loss, gradient = _loss(group, weights, training, members, with_gradient=True)
    memory: Memory = deque(maxlen=_MEMORY)
    n_fruitless = iteration = 0
    for iteration in range(1, n_iterations + 1):  # noqa: B007
        direction = -times_inverse_hessian(gradient, memory)
        uphill = (direction * gradient).sum(dim=1) >= 0
        direction = torch.where(uphill[:, None], -gradient, direction)
        if not memory:
            direction = direction / gradient.norm(dim=1, keepdim=True).clamp_min(1.0)
        trial, loss_new = _line_search(group, training, members, weights, loss, gradient, direction)
        step = trial - weights
        if not step.any():
            break
        gradient_new = _loss(group, trial, training, members, with_gradient=True)[1]
        change = gradient_new - gradient
        product = (step * change).sum(dim=1)
        curved = product > 1e-10 * step.norm(dim=1) * change.norm(dim=1)
        memory.append((step, change, torch.where(curved, 1.0 / product, 0.0)))
        weights, loss, gradient = trial, loss_new, gradient_new
        held_out_loss = _held_out_loss(group, weights, held_out, members)
        better = (held_out_loss < lowest) | (len(held_out) == 0)
        best = torch.where(better[:, None], weights, best)
        lowest = torch.where(better, held_out_loss, lowest)
        n_fruitless = 0 if better.any() else n_fruitless + 1
        if n_fruitless == _PATIENCE:
            break
    with torch.no_grad():
        group.weights.copy_(best)
    return iteration


def _held_out_loss(
    group: DenseNetworks, weights: Tensor, held_out: MemberRows, members: slice
) -> Tensor:
    if not len(held_out):
        return weights.new_full((len(weights),), torch.inf)
    return _loss(group, weights, held_out, members)[0]


def _loss(
    group: DenseNetworks,
    weights: Tensor,
    rows: MemberRows,
    members: slice,
    with_gradient: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return each member's loss over all its samples, and the gradients if asked for."""
    index = rows.index if len(rows.index) == 1 else rows.index[members]
    group.weights.data = weights
    total, gradient = weights.new_zeros(len(weights)), torch.zeros_like(weights)
    targets = rows.targets if len(rows.targets) == 1 else rows.targets[members]
    own = MemberRows(rows.rows, targets, rows.weight, index)
    for block in index.split(max(_ROWS_AT_ONCE // len(weights), 1), dim=1):
        X, (y, weight) = own[block]
        with torch.set_grad_enabled(with_gradient):
            losses = member_losses(group(X), y, weight) * (block.shape[1] / index.shape[1])
        total += losses.detach()
        if with_gradient:
            gradient += torch.autograd.grad(losses.sum(), group.weights)[0]
    return total, gradient


def _line_search(
    group: DenseNetworks,
    training: MemberRows,
    members: slice,
    weights: Tensor,
    loss: Tensor,
    gradient: Tensor,
    direction: Tensor,
) -> tuple[Tensor, Tensor]:
    """Cut each member's step until it descends enough; a member that never does stays."""
    slope = (gradient * direction).sum(dim=1)
    length = torch.ones_like(loss)
    settled = torch.zeros_like(loss, dtype=torch.bool)
    end, end_loss = weights, loss
    for _ in range(_MAX_CUTS):
        trial = weights + length[:, None] * direction
        trial_loss = _loss(group, trial, training, members)[0]
        enough = ~settled & (trial_loss <= loss + _ARMIJO * length * slope)
        end = torch.where(enough[:, None], trial, end)
        end_loss = torch.where(enough, trial_loss, end_loss)
        settled |= enough
        if settled.all():
            break
        length = torch.where(settled, length, _CUT * length)
    return end, end_loss
