"""How many CPU threads torch runs on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["threads_for"]

# Below this many rows a batch, a second thread gains little, and costs dearly where the cores have
# other work: each step waits for the slowest.
_ROWS_FOR_ALL_THREADS = 8192


@contextmanager
def threads_for(n_rows: int) -> Iterator[None]:
    """Run the block on one torch thread where its batches of rows are too small to share."""
    import torch

    before = torch.get_num_threads()
    if n_rows >= _ROWS_FOR_ALL_THREADS or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
