"""What a batch of quasi-Newton searches knows of the curvature of its functions."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["DenseCurvature", "LimitedCurvature", "ScaledCurvature"]


class DenseCurvature:
    """An approximate inverse Hessian for each problem, as a matrix (BFGS).

    Parameters
    ----------
    like : Tensor of shape (n, n_variables)
        Gives sizes, type and device.

    Attributes
    ----------
    inverse_hessian : Tensor of shape (n, n_variables, n_variables)
        The matrices.
    """

    def __init__(self, like: Tensor) -> None:
        identity = torch.eye(like.shape[1], dtype=like.dtype, device=like.device)
        self.inverse_hessian = identity.repeat(len(like), 1, 1)

    def keep(self, mask: Tensor) -> None:
        """Forget the problems where the mask is False."""
        self.inverse_hessian = self.inverse_hessian[mask]

    def forget(self, rows: Tensor) -> None:
        """Start some problems anew."""
        self.inverse_hessian[rows] = torch.eye(
            self.inverse_hessian.shape[1],
            dtype=self.inverse_hessian.dtype,
            device=self.inverse_hessian.device,
        )

    def times(self, rows: Tensor, gradient: Tensor) -> Tensor:
        """Return the products of the inverse Hessians with the gradients of some problems."""
        return torch.einsum("nij,nj->ni", self.inverse_hessian[rows], gradient)

    def learn(self, rows: Tensor, step: Tensor, change: Tensor) -> None:
        """Update by steps and changes of the gradient."""
        self.inverse_hessian[rows] = self.updated(self.inverse_hessian[rows], step, change)

    @staticmethod
    def updated(inverse: Tensor, step: Tensor, change: Tensor) -> Tensor:
        """Return updated matrices (Nocedal and Wright 2006, eq. 6.17)."""
        rho = _reciprocal((step * change).sum(dim=1))[:, None, None]
        bent = torch.einsum("nij,nj->ni", inverse, change)
        curvature = (change * bent).sum(dim=1)[:, None, None]
        cross = step[:, :, None] * bent[:, None, :]
        outer = step[:, :, None] * step[:, None, :]
        return inverse - rho * (cross + cross.transpose(1, 2)) + (rho**2 * curvature + rho) * outer


class ScaledCurvature(DenseCurvature):
    """An approximate inverse Hessian that takes its size from the first step it learns.

    Parameters
    ----------
    like : Tensor of shape (n, n_variables)
        Gives sizes, type and device.
    """

    def __init__(self, like: Tensor) -> None:
        super().__init__(like)
        self._identity = torch.eye(like.shape[1], dtype=like.dtype, device=like.device)
        self._is_fresh = torch.ones(len(like), dtype=torch.bool, device=like.device)

    def forget(self, rows: Tensor) -> None:
        """Start some problems anew."""
        self.inverse_hessian[rows] = self._identity
        self._is_fresh[rows] = True

    def times(self, rows: Tensor, gradient: Tensor) -> Tensor:
        """Return the products of the inverse Hessians with the gradients of some problems."""
        return torch.bmm(self.inverse_hessian[rows], gradient[:, :, None])[:, :, 0]

    def learn(self, rows: Tensor, step: Tensor, change: Tensor) -> None:
        """Update by steps and changes of the gradient (Nocedal and Wright 2006, eq. 6.17, 6.20)."""
        product = (step * change).sum(dim=1)
        size = product / change.square().sum(dim=1).clamp_min(torch.finfo(step.dtype).tiny)
        start = torch.where(
            self._is_fresh[rows, None, None],
            size[:, None, None] * self._identity,
            self.inverse_hessian[rows],
        )
        rho = 1.0 / product
        left = self._identity - rho[:, None, None] * step[:, :, None] * change[:, None, :]
        outer = rho[:, None, None] * step[:, :, None] * step[:, None, :]
        self.inverse_hessian[rows] = left @ start @ left.transpose(1, 2) + outer
        self._is_fresh[rows] = False


class LimitedCurvature:
    """The last steps and changes of the gradient of each problem (L-BFGS).

    Parameters
    ----------
    like : Tensor of shape (n, n_variables)
        Gives sizes, type and device.
    memory : int
        Number of steps kept.
    """

    def __init__(self, like: Tensor, memory: int) -> None:
        self._steps = like.new_zeros(len(like), memory, like.shape[1])
        self._changes = torch.zeros_like(self._steps)

    def keep(self, mask: Tensor) -> None:
        """Forget the problems where the mask is False."""
        self._steps, self._changes = self._steps[mask], self._changes[mask]

    def forget(self, rows: Tensor) -> None:
        """Start some problems anew."""
        self._steps[rows] = 0.0
        self._changes[rows] = 0.0

    def times(self, rows: Tensor, gradient: Tensor) -> Tensor:
        """Return the products with the gradients (Nocedal and Wright 2006, algorithm 7.4)."""
        steps, changes = self._steps[rows], self._changes[rows]
        product = (steps * changes).sum(dim=2)
        rho = _reciprocal(product)
        weights = []
        q = gradient
        for k in reversed(range(steps.shape[1])):
            weight = rho[:, k] * (steps[:, k] * q).sum(dim=1)
            q = q - weight[:, None] * changes[:, k]
            weights.append(weight)
        size = changes[:, -1].square().sum(dim=1)
        scale = torch.where(size > 0, product[:, -1] / torch.where(size > 0, size, 1.0), 1.0)
        q = scale[:, None] * q
        for k, weight in enumerate(reversed(weights)):
            correction = weight - rho[:, k] * (changes[:, k] * q).sum(dim=1)
            q = q + correction[:, None] * steps[:, k]
        return q

    def learn(self, rows: Tensor, step: Tensor, change: Tensor) -> None:
        """Remember a step and a change of the gradient in place of the oldest."""
        self._steps[rows] = torch.cat([self._steps[rows, 1:], step[:, None]], dim=1)
        self._changes[rows] = torch.cat([self._changes[rows, 1:], change[:, None]], dim=1)


def _reciprocal(product: Tensor) -> Tensor:
    """Return 1 / product, and 0 where there is no positive curvature to learn from."""
    positive = product > 0
    return torch.where(positive, 1.0 / torch.where(positive, product, 1.0), 0.0)
