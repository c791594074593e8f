"""The way of a search: where each problem stood after how many simulations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["PathRecorder", "SearchPath"]


@dataclass(frozen=True)
class SearchPath:
    """Where the search of each problem stood, from its first simulation to its answer.

    Parameters
    ----------
    unknowns : ndarray of shape (n_points, n_problems, n_unknowns)
        The best unknowns of each problem so far; NaN before its first simulation with a value. In a
        training these are the network's outputs at a step, in a descent the lowest point so far,
        and at the end the solution.
    loss : ndarray of shape (n_points, n_problems)
        The losses there.
    n_forward_calls : ndarray of shape (n_points,)
        Simulations of one problem so far, for all problems together; at last `n_forward_calls_`.

    Examples
    --------
    >>> from sklearn_proxyopt.inverse import DirectInverse
    >>> X = [[1.0, 2.1, 2.9, 4.0], [2.0, 1.9, 2.1, 2.0]]
    >>> solver = DirectInverse(path_length=20).fit(X)  # a straight line through each row
    >>> bool((solver.path_.loss[-1] == solver.loss_).all())
    True
    >>> bool(solver.path_.n_forward_calls[-1] == solver.n_forward_calls_)
    True
    """

    unknowns: NDArray[np.float64]
    loss: NDArray[np.float64]
    n_forward_calls: NDArray[np.int64]


class PathRecorder:
    """Keeps the way of a search in bounded memory: each time it is full, every second point goes.

    Parameters
    ----------
    length : int
        Most points to keep, the answer among them.
    n_problems, n_unknowns : int
        Shape of an answer.
    """

    def __init__(self, length: int, n_problems: int, n_unknowns: int) -> None:
        self._length = length
        self._unknowns = np.full((n_problems, n_unknowns), np.nan)
        self._loss = np.full(n_problems, np.nan)
        self._lowest = np.full(n_problems, np.inf)
        self._points: list[tuple[NDArray[np.float64], NDArray[np.float64], int]] = []
        self._stride, self._n_seen = 1, 0

    def begin_descent(self) -> None:
        """Forget how low earlier searches came."""
        self._lowest.fill(np.inf)

    def note_step(self, rows: Tensor | None, unknowns: Tensor, loss: Tensor, n_calls: int) -> None:
        """Note what a network says of some problems, or of all if `rows` is None."""
        own = np.arange(len(loss)) if rows is None else rows.cpu().numpy()
        self._move(own, _array(unknowns), _array(loss), n_calls)

    def note_trials(self, rows: Tensor, unknowns: Tensor, loss: Tensor, n_calls: int) -> None:
        """Note points of a descent, of which one problem may have several; the lowest counts."""
        numbers, places, losses = rows.cpu().numpy(), _array(unknowns), _array(loss)
        order = np.lexsort((losses, numbers))
        own, first = np.unique(numbers[order], return_index=True)
        lowest = order[first]
        is_lower = losses[lowest] < self._lowest[own]
        own, lowest = own[is_lower], lowest[is_lower]
        self._lowest[own] = losses[lowest]
        self._move(own, places[lowest], losses[lowest], n_calls)

    def path(
        self, unknowns: NDArray[np.float64], loss: NDArray[np.float64], n_calls: int
    ) -> SearchPath:
        """Return the way, which ends at an answer."""
        points = [*self._points, (unknowns, loss, n_calls)]
        ways, losses, calls = zip(*points, strict=True)
        return SearchPath(np.array(ways), np.array(losses), np.array(calls, dtype=np.int64))

    def _move(
        self,
        own: NDArray[np.intp],
        unknowns: NDArray[np.float64],
        loss: NDArray[np.float64],
        n_calls: int,
    ) -> None:
        self._unknowns[own], self._loss[own] = unknowns, loss
        if self._n_seen % self._stride == 0 and self._length > 1:
            if len(self._points) == self._length - 1:
                self._points = self._points[::2]
                self._stride *= 2
            if self._n_seen % self._stride == 0:
                self._points.append((self._unknowns.copy(), self._loss.copy(), n_calls))
        self._n_seen += 1


def _array(values: Tensor) -> NDArray[np.float64]:
    return values.detach().cpu().double().numpy()
