"""A strategy written as a generator: it yields batches of points and is sent their outputs."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._strategies._base import Strategy
from sklearn_proxyopt._utils._dataset import Dataset, row_keys

__all__ = ["NOBODY", "Batches", "LateResults", "Routine", "solve"]

# Yields points (n, n_features), is sent their outputs (n,) or (n, n_outputs), returns a result.
Batches = Generator[NDArray[np.float64], NDArray[np.float64], Any]


class LateResults(Protocol):
    """Takes results of points that were sent back without them."""

    def expect(self, X: NDArray[np.float64]) -> None:
        """Take points for pending, whoever proposed them."""

    def settle(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Take the results of points that were pending; others are passed over."""


class _Nobody:
    """Needs no telling of results that come late."""

    def expect(self, X: NDArray[np.float64]) -> None:
        """Do nothing."""

    def settle(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Do nothing."""


NOBODY = _Nobody()


class _Batch:
    """Points that belong together, and those of their outputs that are known.

    Parameters
    ----------
    points : ndarray of shape (n, n_features)
        The points.
    nothing : ndarray of shape (0,) or (0, n_outputs)
        The outputs of no points.

    Attributes
    ----------
    outputs : ndarray of shape (n,) or (n, n_outputs)
        The outputs, in the order of the points; NaN where none is known.
    """

    def __init__(self, points: NDArray[np.float64], nothing: NDArray[np.float64]) -> None:
        self.points = points
        self.outputs = np.full((len(points), *nothing.shape[1:]), np.nan)
        self._n_proposed = 0
        self._places: dict[bytes, list[int]] = {}
        for place, key in enumerate(row_keys(points)):
            self._places.setdefault(key, []).append(place)

    @property
    def is_proposed(self) -> bool:
        """Whether every point has been proposed."""
        return self._n_proposed == len(self.points)

    @property
    def is_complete(self) -> bool:
        """Whether every point has been proposed and answered."""
        return self.is_proposed and not self._places

    def next(self, n: int | None) -> NDArray[np.float64]:
        """Return the next points that were not proposed yet, at most `n` of them."""
        end = len(self.points) if n is None else self._n_proposed + n
        points = self.points[self._n_proposed : end]
        self._n_proposed += len(points)
        return points

    def observe(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Take in outputs of some of the points, in any order; others are passed over."""
        if self.outputs.shape[1:] != y.shape[1:]:
            # The first results tell how many numbers there are for each point.
            self.outputs = np.full((len(self.points), *y.shape[1:]), np.nan)
        for key, output in zip(row_keys(X), y, strict=True):
            self.outputs[self._places.pop(key, [])] = output


class Routine(Strategy):
    """A strategy whose steps are written one after another, as a generator.

    A batch is sent back once all of it is known; until then no other points are proposed. With
    somebody who takes results that come late, it is sent back as soon as all of it was proposed,
    with NaN for what is not known.

    Parameters
    ----------
    batches : generator
        Yields the points of a batch, (n, n_features), and is sent their outputs.
    late : LateResults, default=None
        Is told which points are sent back without their results, and these once they are known.

    Attributes
    ----------
    result : object
        What the generator returned, None before it has ended.
    """

    def __init__(self, batches: Batches | None = None, late: LateResults | None = None) -> None:
        self._batches = self._run() if batches is None else batches
        self._late = late
        self._batch: _Batch | None = None
        self.result: Any = None
        self.known = Dataset.empty(0)
        self.pending = np.empty((0, 0))

    def _run(self) -> Batches:
        """Return the generator, where a subclass is one."""
        raise TypeError(f"{type(self).__name__} must be made of batches, or have a method _run.")

    def propose(
        self, n: int | None, known: Dataset, pending: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the next points of the batch, or of the next one once it is known."""
        self.known, self.pending = known, pending
        batch = self._batch
        if batch is None or batch.is_complete or (self._late is not None and batch.is_proposed):
            self._advance()
        return known.X[:0] if self._batch is None else self._batch.next(n)

    def observe(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Take in outputs of points of the batch, or of earlier ones."""
        if self._batch is not None:
            self._batch.observe(X, y)
        if self._late is not None:
            self._late.settle(X, y)

    def close(self) -> None:
        """End the generator."""
        super().close()
        self._batch = None
        self._batches.close()

    def _advance(self) -> None:
        if self.has_ended:
            return
        try:
            if self._late is not None:
                self._late.expect(self.pending)
            if self._batch is None:
                points = next(self._batches)
            else:
                points = self._batches.send(self._batch.outputs)
        except StopIteration as end:
            self._batch, self.result, self.has_ended = None, end.value, True
        else:
            self._batch = _Batch(points, self.known.y[:0])


def solve(batches: Batches, fun: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Any:
    """Answer a generator of batches by a function; return what the generator returns."""
    try:
        points = next(batches)
        while True:
            points = batches.send(fun(points))
    except StopIteration as end:
        return end.value
