"""Random streams for libraries that draw from the global generators only."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

__all__ = ["BorrowedStream", "preserved"]

_lock = threading.RLock()


@contextmanager
def preserved() -> Iterator[None]:
    """Run a block and put the global generators back as they were."""
    with _lock:
        python, numpy = random.getstate(), np.random.get_state()
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


class BorrowedStream:
    """A seeded stream that stands in for the global generators while a block runs.

    `random` and `numpy.random` are handed back afterwards as they were; the stream goes on in the
    next block where it stopped in the last. Only a library's own draws belong in a block, never a
    user's function: other threads that draw from the global generators meanwhile are not shut out.

    Parameters
    ----------
    rng : numpy.random.Generator
        Seeds the stream.

    Examples
    --------
    >>> import numpy as np
    >>> stream = BorrowedStream(np.random.default_rng(0))
    >>> state = np.random.get_state()[2]
    >>> with stream.borrowed():
    ...     draw = np.random.random()
    >>> np.random.get_state()[2] == state
    True
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._python = random.Random(int(rng.integers(2**63))).getstate()
        self._numpy = np.random.RandomState(int(rng.integers(2**32))).get_state()

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """Run a block on this stream."""
        with preserved():
            random.setstate(self._python)
            np.random.set_state(self._numpy)
            try:
                yield
            finally:
                self._python, self._numpy = random.getstate(), np.random.get_state()
