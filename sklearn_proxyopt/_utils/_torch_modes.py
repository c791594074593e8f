"""Torch as it comes, whatever its caller has switched on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

__all__ = ["plain_torch"]


@contextmanager
def plain_torch() -> Iterator[None]:
    """Compute in the block as if the caller had switched on none of torch's modes.

    Gradients are recorded in spite of `no_grad`, tensors are ordinary ones in spite of
    `inference_mode`, they lie on the CPU where nothing else is said in spite of
    `set_default_device`, and nothing is cast in spite of `autocast`. All of these are switches of a
    thread, so that nobody else notices. The default type is one of the process: code names the type
    of each tensor that it makes.
    """
    import torch

    with ExitStack() as modes:
        modes.enter_context(torch.inference_mode(False))
        if torch.get_default_device().type != "cpu":
            modes.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        yield
