"""Stacked networks in the form that a GPU trains fastest: few passes over the samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["SharedProduct", "SquaredErrors", "TwoProducts", "WaveConstants", "stacked_outputs"]

# Products that a GPU computes side by side, and the fewest samples worth one.
_N_PRODUCTS = 128
_LEAST_SHARE = 64


class WaveConstants(NamedTuple):
    """What frequencies and phases are multiplied by and added to, so that sines are cosines.

    Both have shape (n_inputs + 1, n_features), with the phases in the last row.
    """

    mask: Tensor
    quarter: Tensor

    @classmethod
    def of(cls, mask: Tensor) -> WaveConstants:
        """Make them from which variables each feature varies with, (n_inputs, n_features)."""
        # Not padded: torch up to 2.6 pads nothing that is empty.
        ones = mask.new_ones(1, mask.shape[1])
        quarter = torch.cat([torch.zeros_like(mask), 0.5 * torch.pi * ones])
        return cls(torch.cat([mask, ones]), quarter)


def stacked_outputs(
    x: Tensor,
    matrices: list[Tensor],
    wave: Tensor | None,
    constants: WaveConstants,
    activation: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return the outputs of `DenseNetworks`, equal to those of its own method but for rounding.

    A pass over the rows costs a GPU as much as a product of matrices. So a column of ones beside
    the samples makes biases and phases part of the products, samples and features enter the first
    layer one after the other instead of side by side, and a cosine is a sine with another phase,
    whose derivative has no sign to change.

    Parameters
    ----------
    x : Tensor of shape (n_members, n, n_inputs) or (n_members, n, n_inputs + 1)
        Rows, with or without the column of ones.
    matrices : list of Tensor
        Matrix and bias of each layer, then the linear head where there are features.
    wave : Tensor of shape (n_members, n_inputs + 1, n_features) or None
        Frequencies and phases.
    constants : WaveConstants
        Those of the networks.
    activation : callable
        Of the hidden layers.

    Returns
    -------
    Tensor of shape (n_members, n, n_outputs)
        The outputs.
    """
    n_inputs = constants.mask.shape[0] - 1
    rows = pad(x, (0, 1), value=1.0) if x.shape[2] == n_inputs else x
    head = None if wave is None else 2**0.5 * matrices.pop()
    (first, bias), *layers = zip(matrices[::2], matrices[1::2], strict=True)
    by_rows = torch.cat([first[:, :n_inputs], bias], dim=1)
    output: Tensor = SharedProduct.apply(None, rows, by_rows)
    linear = None
    if wave is not None:
        angles = torch.addcmul(constants.quarter, wave, constants.mask)
        features = torch.sin(SharedProduct.apply(None, rows, angles))
        by_features = 2**0.5 * first[:, n_inputs:]
        output, linear = TwoProducts.apply(output, features, by_features, head)
    for matrix, bias in layers:
        output = SharedProduct.apply(bias, activation(output), matrix)
    return output if linear is None else output + linear


class SquaredErrors(torch.autograd.Function):
    """The weighted mean squared error of each member, see `member_losses`, in few passes."""

    @staticmethod
    def forward(
        ctx: Any, outputs: Tensor, target: Tensor, weight: Tensor, penalty: Tensor | None
    ) -> Tensor:
        """Return the losses, (n_members,)."""
        error = outputs - target
        weighted = error * weight[..., None]
        if penalty is not None:
            weighted = torch.where(error > 0, penalty * weighted, weighted)
        ctx.save_for_backward(weighted)
        return (weighted * error).mean(dim=(1, 2))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient by the outputs."""
        (weighted,) = ctx.saved_tensors
        share = gradients[0] * (2.0 / weighted[0].numel())
        return weighted * share[:, None, None], None, None, None


class SharedProduct(torch.autograd.Function):
    """Stacked products x @ matrix + bias whose gradients are added up from shares of the rows.

    The gradient by a matrix is a sum over all rows in a matrix of only a few hundred numbers a
    side, which leaves most of a GPU idle: one block of samples after another. Shares of the samples
    are summed up side by side, and their sums added.
    """

    @staticmethod
    def forward(ctx: Any, bias: Tensor | None, x: Tensor, matrix: Tensor) -> Tensor:
        """Return the products, (n_members, n, n_outputs)."""
        ctx.save_for_backward(x, matrix)
        product = torch.bmm(x, matrix)
        return product if bias is None else product.add_(bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients by bias, rows and matrices."""
        x, matrix = ctx.saved_tensors
        (gradient,) = gradients
        by_bias = by_rows = by_matrix = None
        if ctx.needs_input_grad[0]:
            by_bias = gradient.sum(dim=1, keepdim=True)
        if ctx.needs_input_grad[1]:
            by_rows = torch.bmm(gradient, matrix.transpose(1, 2))
        if ctx.needs_input_grad[2]:
            by_matrix = _sum_of_outer_products(x, gradient)
        return by_bias, by_rows, by_matrix


class TwoProducts(torch.autograd.Function):
    """Two stacked products of the same rows, start + x @ matrix and x @ head.

    Their gradients by the samples are added up within the products.
    """

    @staticmethod
    def forward(
        ctx: Any, start: Tensor, x: Tensor, matrix: Tensor, head: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return both products; the start, of the shape of the first, is written to."""
        ctx.save_for_backward(x, matrix, head)
        ctx.mark_dirty(start)
        return start.baddbmm_(x, matrix), torch.bmm(x, head)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients by start, rows, matrices and heads."""
        x, matrix, head = ctx.saved_tensors
        by_product, by_head = gradients
        by_rows = torch.bmm(by_product, matrix.transpose(1, 2))
        by_rows.baddbmm_(by_head, head.transpose(1, 2))
        by_matrix = _sum_of_outer_products(x, by_product)
        return by_product, by_rows, by_matrix, _sum_of_outer_products(x, by_head)


def _sum_of_outer_products(x: Tensor, gradient: Tensor) -> Tensor:
    """Return x' @ gradient for each member."""
    n_members, n_rows, n_inputs = x.shape
    n_shares = _shares_of(n_members, n_rows)
    if n_shares == 1:
        return torch.bmm(x.transpose(1, 2), gradient)
    share = n_members * n_shares, n_rows // n_shares
    rows, own = x.reshape(*share, n_inputs), gradient.reshape(*share, gradient.shape[2])
    sums = torch.bmm(rows.transpose(1, 2), own)
    return sums.view(n_members, n_shares, *sums.shape[1:]).sum(dim=1)


def _shares_of(n_members: int, n_rows: int) -> int:
    """Return into how many equal shares samples are divided: enough to fill a GPU with products."""
    n_shares = 1
    while n_members * n_shares < _N_PRODUCTS and n_rows % (2 * n_shares) == 0:
        if n_rows // (2 * n_shares) < _LEAST_SHARE:
            break
        n_shares *= 2
    return n_shares
