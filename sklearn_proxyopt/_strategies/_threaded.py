"""A search that calls a function, such as one of SciPy's, as a strategy."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._strategies._routine import Batches, Routine

__all__ = ["ThreadedSearch"]

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class _SearchClosed(BaseException):
    """Nobody will answer: unwinds the thread of a search that was given up."""


class ThreadedSearch(Routine):
    """Turn a search that calls a function into one that proposes its points.

    The search runs in a thread of its own, which waits wherever the function is called; it and
    whoever drives it never run at the same time.

    Parameters
    ----------
    search : callable
        Takes a function, (n, n_features) to (n,) or (n, n_outputs), and returns a result.
    """

    def __init__(self, search: Callable[[Function], Any]) -> None:
        super().__init__(_batches_of(search))


def _batches_of(search: Callable[[Function], Any]) -> Batches:
    """Yield the points that a search asks for; return what it returns."""
    questions: SimpleQueue[Any] = SimpleQueue()
    answers: SimpleQueue[Any] = SimpleQueue()

    def ask(points: NDArray[np.float64]) -> NDArray[np.float64]:
        questions.put(np.array(points))
        answer = answers.get()
        if answer is None:
            raise _SearchClosed
        return np.asarray(answer)

    def run() -> None:
        try:
            end: tuple[Any, BaseException | None] = search(ask), None
        except _SearchClosed:
            return
        except BaseException as error:
            end = None, error
        questions.put(end)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), daemon=True).start()
    try:
        while isinstance(asked := questions.get(), np.ndarray):
            outputs = yield asked
            answers.put(outputs)
    except BaseException:
        answers.put(None)
        raise
    result, error = asked
    if error is not None:
        raise error
    return result
