"""Losses of the members of an ensemble: weighted squared errors, or a criterion of the user's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sklearn_proxyopt.proxies._products import SquaredErrors

__all__ = ["member_losses", "own_losses"]

# Weights this near to one are one, but for rounding.
_ROUNDING = 1e-6


def member_losses(
    outputs: Tensor, target: Tensor, weight: Tensor, penalty: Tensor | None = None
) -> Tensor:
    """Return the weighted mean squared error of each member, of shape (n_members,).

    With a penalty of shape (n_members, 1, 1), errors of predictions that are too high count so
    many times.
    """
    if outputs.is_cuda:
        losses: Tensor = SquaredErrors.apply(outputs, target, weight, penalty)
        return losses
    error = outputs - target
    squares = error.square() * weight[..., None]
    if penalty is not None:
        squares = torch.where(error > 0, penalty * squares, squares)
    return squares.mean(dim=(1, 2))


def own_losses(
    criterion: Any, outputs: Tensor, target: Tensor, weight: Tensor, penalty: Tensor | None = None
) -> Tensor:
    """Return the weighted mean of a criterion of the user's for each member, (n_members,).

    One that returns a number instead of one an output is asked of each member by itself.
    """
    target = target.expand_as(outputs)
    losses: Tensor = criterion(outputs, target)
    if losses.shape == outputs.shape:
        losses = losses * weight[..., None]
        if penalty is not None:
            losses = torch.where(outputs > target, penalty * losses, losses)
        return losses.mean(dim=(1, 2))
    if penalty is not None or not bool(((weight - 1).abs() < _ROUNDING).all()):
        raise ValueError(
            "net must hold a criterion that returns a loss for each output, as torch's do with "
            "criterion__reduction='none', together with sample_weight or over_prediction_penalty."
        )
    return torch.stack([criterion(own, one) for own, one in zip(outputs, target, strict=True)])
