"""Torch with its default modes, whatever its caller has switched on."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

__all__ = ["matrix_precision", "plain_torch"]


class _MatrixPrecision:
    """How torch rounds the factors of float32 products: one switch for all of a process.

    Threads that want the same hold it together; those that want another wait for them. The last
    one puts it back as it was found.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._n_holders = 0
        self._held = self._found = ""
        self._mine = threading.local()

    @contextmanager
    def held(self, precision: str) -> Iterator[None]:
        """Compute in the block with a precision, in one within it with that of the inner."""
        before = getattr(self._mine, "precision", None)
        if precision == before:
            yield
            return
        self._change(before, precision)
        try:
            yield
        finally:
            self._change(precision, before)

    def after_fork(self) -> None:
        """Keep in a new process what its only thread holds."""
        self._changed = threading.Condition()
        self._n_holders = int(getattr(self._mine, "precision", None) is not None)

    def _change(self, old: str | None, new: str | None) -> None:
        """Give up one precision, and wait for another; None stands for none."""
        with self._changed:
            if old is not None:
                self._release()
            if new is not None:
                self._changed.wait_for(lambda: not self._n_holders or self._held == new)
                self._take(new)
        self._mine.precision = new

    def _take(self, precision: str) -> None:
        import torch

        if not self._n_holders:
            self._held, self._found = precision, torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision(precision)
        self._n_holders += 1

    def _release(self) -> None:
        import torch

        self._n_holders -= 1
        if not self._n_holders:
            torch.set_float32_matmul_precision(self._found)
            self._changed.notify_all()


_precision = _MatrixPrecision()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_precision.after_fork)


@contextmanager
def matrix_precision(dtype: str) -> Iterator[None]:
    """Let a GPU round the factors of matrix products to ten bits in the block, for "tf32"."""
    with _precision.held("high" if dtype == "tf32" else "highest"):
        yield


def _default_device() -> str:
    """Return where torch makes a tensor of which nothing is said; torch 2.6 cannot tell always."""
    import torch

    return torch.scalar_tensor(0.0, dtype=torch.float32).device.type


@contextmanager
def plain_torch() -> Iterator[None]:
    """Compute in the block as if the caller had switched on none of torch's modes.

    Gradients are recorded in spite of `no_grad`, tensors are ordinary ones in spite of
    `inference_mode`, they lie on the CPU where nothing else is said in spite of
    `set_default_device`, and nothing is cast in spite of `autocast`. All of these are switches of a
    thread, so that nobody else notices. Products of float32 matrices are exact to float32 in spite
    of `set_float32_matmul_precision`, which is a switch of the process and is put back. The default
    type is one of the process: code names the type of each tensor that it makes.
    """
    import torch

    with ExitStack() as modes:
        modes.enter_context(_precision.held("highest"))
        modes.enter_context(torch.inference_mode(False))
        if _default_device() != "cpu":
            modes.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        yield
