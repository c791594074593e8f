"""Random streams for code that draws from the global generators only, behind one lock."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["BorrowedStream", "preserved"]

# One for all threads of the process: a generator that one has lent must not be lent twice.
_lock = threading.RLock()
if hasattr(os, "register_at_fork"):
    # A process is forked only while nothing is lent, so that a child finds its generators.
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )

# How to read and to write the state of a generator.
_Access = tuple[Callable[[], Any], Callable[[Any], Any]]


@contextmanager
def preserved(device: torch.device | None = None) -> Iterator[None]:
    """Run a block and put the global generators back as they were, torch's too for a device."""
    with _lock:
        found = _generators(device)
        states = [read() for read, _ in found]
        try:
            yield
        finally:
            for (_, write), state in zip(found, states, strict=True):
                write(state)


class BorrowedStream:
    """A seeded stream that stands in for the global generators while a block runs.

    `random`, `numpy.random` and, for a device, torch's generators are handed back afterwards as
    they were; the stream goes on in the next block where it stopped in the last. Blocks of all
    threads take turns. Only a library's own draws belong in a block, or a module that draws as it
    computes, never another function of the user: other threads that draw from the global
    generators meanwhile are not shut out.

    Parameters
    ----------
    rng : numpy.random.Generator
        Seeds the stream.
    device : torch.device, default=None
        Where torch computes in the blocks; None leaves its generators alone.

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

    def __init__(self, rng: np.random.Generator, device: torch.device | None = None) -> None:
        self._device = device
        self._states: list[Any] = [
            random.Random(int(rng.integers(2**63))).getstate(),
            np.random.RandomState(int(rng.integers(2**32))).get_state(),
        ]
        if device is not None:
            seed = int(rng.integers(2**63))
            self._states += [_seeded_state(one, seed) for one in _torch_devices(device)]

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """Run a block on this stream."""
        found = _generators(self._device)
        with preserved(self._device):
            for (_, write), state in zip(found, self._states, strict=True):
                write(state)
            try:
                yield
            finally:
                self._states = [read() for read, _ in found]


def _generators(device: torch.device | None) -> list[_Access]:
    """Return access to the global generators, and to torch's that work on a device draws from."""
    found: list[_Access] = [
        (random.getstate, random.setstate),
        (np.random.get_state, np.random.set_state),
    ]
    if device is not None:
        found += [_torch_access(one) for one in _torch_devices(device)]
    return found


def _torch_devices(device: torch.device) -> list[torch.device]:
    """Return the devices whose generators work on a device draws from: the CPU's and its own."""
    import torch

    cpu = torch.device("cpu")
    return [cpu] if device.type == "cpu" else [cpu, device]


def _torch_access(device: torch.device) -> _Access:
    import torch

    if device.type == "cpu":
        return torch.get_rng_state, torch.set_rng_state
    if device.type == "mps":
        return torch.mps.get_rng_state, torch.mps.set_rng_state
    return (
        lambda: torch.cuda.get_rng_state(device),
        lambda state: torch.cuda.set_rng_state(state, device),
    )


def _seeded_state(device: torch.device, seed: int) -> Any:
    import torch

    return torch.Generator(device).manual_seed(seed).get_state()
