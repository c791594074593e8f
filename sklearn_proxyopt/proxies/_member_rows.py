"""Samples for the members of an ensemble, and batches of them, as tensors on a device."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from skorch.dataset import Dataset
from torch import Tensor

from sklearn_proxyopt.proxies._shares import batch_sizes

__all__ = ["MemberBatches", "MemberRows"]

# Samples gathered at once for batches.
_ROWS_GATHERED = 200_000


class MemberRows(Dataset):
    """Samples for the members of an ensemble, on the device where they are trained.

    Parameters
    ----------
    rows : Tensor of shape (n, n_features)
        Samples scaled to [-1, 1].
    targets : Tensor of shape (1 or n_members, n, n_outputs)
        What the networks are to learn.
    weight : Tensor of shape (n,)
        Weights of the samples.
    index : Tensor of shape (1 or n_members, n_used)
        The samples that each member uses.
    generator : torch.Generator, default=None
        Draws the order of the samples, on their device. Samples that are only asked for need none.
    """

    def __init__(
        self,
        rows: Tensor,
        targets: Tensor,
        weight: Tensor,
        index: Tensor,
        generator: torch.Generator | None = None,
    ) -> None:
        self.rows = rows
        self.targets = targets
        self.weight = weight
        self.index = index
        self.generator = generator

    def __len__(self) -> int:
        return self.index.shape[1]

    @property
    def X(self) -> Tensor:  # noqa: N802
        """The samples of the first member, where skorch looks for them."""
        return self.rows[self.index[0]]

    @property
    def y(self) -> Tensor:
        """Their targets, as means over the members."""
        return self.targets.mean(dim=0)[self.index[0]]

    def shuffled(self, n_members: int) -> Tensor:
        """Return the samples that each member uses in an order of its own, (n_members, n_used)."""
        n_rows, device = len(self), self.index.device
        orders = [
            torch.randperm(n_rows, device=device, generator=self.generator)
            for _ in range(n_members)
        ]
        return self.index.expand(n_members, -1).gather(1, torch.stack(orders))

    def __getitem__(self, which: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return (X, (y, weight)), where `which` holds samples of the dataset for each member.

        X has the shape (n_members, n, n_features), or without its first axis where all members
        have the same samples.
        """
        X = self.rows[which if len(which) > 1 else which[0]]
        if len(self.targets) == 1:
            return X, (self.targets[0][which], self.weight[which])
        members = torch.arange(len(self.targets), device=which.device)[:, None]
        return X, (self.targets[members, which], self.weight[which])


class MemberBatches:
    """Batches taken from tensors that already lie on the device.

    Takes the place of a DataLoader, whose sample-by-sample collation costs more than a small
    network.

    Parameters
    ----------
    dataset : MemberRows
        The samples.
    batch_size : int
        Samples a step for each member.
    n_members : int or None, default=None
        Shuffles the samples of so many members, each in its own order. None leaves them in order.
    """

    def __init__(self, dataset: MemberRows, batch_size: int, n_members: int | None = None) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.n_members = n_members

    def __iter__(self) -> Iterator[tuple[Tensor, tuple[Tensor, Tensor]]]:
        """Yield (X, (y, weight)) for each batch, in a new order each time if shuffled."""
        order = self.dataset.index
        if self.n_members is not None:
            order = self.dataset.shuffled(self.n_members)
        # Samples are gathered for many batches at once, but not for all: they may be millions.
        n_batches = max(_ROWS_GATHERED // (self.batch_size * len(order)), 1)
        sizes = batch_sizes(len(self.dataset), self.batch_size)
        parts = [sizes[first : first + n_batches] for first in range(0, len(sizes), n_batches)]
        for own, block in zip(parts, order.split([sum(own) for own in parts], dim=1), strict=True):
            X, (y, weight) = self.dataset[block]
            targets = zip(y.split(own, dim=-2), weight.split(own, dim=-1), strict=True)
            yield from zip(X.split(own, dim=-2), targets, strict=True)
