"""Samples for iterators of torch, which take them one by one, and batches for callbacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from sklearn_proxyopt._utils._global_random import BorrowedStream

__all__ = ["MembersFirst", "RowsOneByOne", "as_pairs"]

Batch = tuple[Tensor, tuple[Tensor, Tensor]]


class RowsOneByOne(Dataset[Any]):
    """The samples of members at one place after another, as a DataLoader asks for them.

    Parameters
    ----------
    rows : MemberRows
        The samples.
    n_members : int
        For how many members; 1 for samples that all of them share.
    """

    def __init__(self, rows: Any, n_members: int) -> None:
        self.rows = rows
        self._index = rows.index.expand(max(n_members, len(rows.index)), -1)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> Batch:
        """Return (X, (y, weight)), X of shape (n_features,) or (n_members, n_features)."""
        X, (y, weight) = self.rows[self._index[:, place : place + 1]]
        return X[..., 0, :], (y[:, 0], weight[:, 0])


class MembersFirst:
    """Batches that an iterator of the user collated, with the members in front as a net has them.

    Parameters
    ----------
    iterator : iterable
        Yields (X, (y, weight)) with the samples in front.
    stream : BorrowedStream or None
        What the iterator draws from, in place of the global generators; None leaves it to them.
    """

    def __init__(self, iterator: Any, stream: BorrowedStream | None) -> None:
        self.iterator = iterator
        self._stream = stream

    def __len__(self) -> int:
        return len(self.iterator)

    def __iter__(self) -> Iterator[Batch]:
        """Yield (X, (y, weight)) for each batch."""
        for X, (y, weight) in self._drawn():
            X = X if X.dim() == 2 else X.transpose(0, 1)
            yield X, (y.transpose(0, 1), weight.transpose(0, 1))

    def _drawn(self) -> Iterator[Batch]:
        """Yield the batches, each as it is drawn from the stream."""
        if self._stream is None:
            yield from self.iterator
            return
        with self._stream.borrowed():
            batches = iter(self.iterator)
        while True:
            with self._stream.borrowed():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch


def as_pairs(batch: Batch, n_members: int) -> tuple[Tensor, Tensor]:
    """Return a batch as callbacks see it: a row of inputs and targets for each member's sample."""
    X, (y, _) = batch
    X = X.expand(n_members, *X.shape[-2:])
    return X.flatten(0, 1), y.expand(n_members, *y.shape[-2:]).flatten(0, 1)
