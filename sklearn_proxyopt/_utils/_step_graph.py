"""A computation that is repeated on tensors of fixed places, launched as one on a GPU."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["StepGraph"]

# Steps before the recording, in which libraries set up what they keep.
_N_WARM_UPS = 1


class StepGraph:
    """A step that reads and writes the same tensors each time it is called.

    On a CUDA device it is recorded once as a graph, and each call launches all of its kernels at
    once: a small step is otherwise bound by the time of single launches. Anywhere else each call
    runs it as it is.

    Parameters
    ----------
    step : callable
        Called without arguments. It must not decide anything by the numbers it computes, nor wait
        for the device, and must leave what it computes in tensors that stay where they are.
    device : torch.device
        Where the tensors lie.
    state : callable, default=None
        Returns the tensors that the step changes; their numbers are the same after the recording
        as before. One that is not there before, but only after, is set to zero.
    draws : torch.Generator, default=None
        What the step draws random numbers from; None if it draws none.
    """

    def __init__(
        self,
        step: Callable[[], Any],
        device: torch.device,
        state: Callable[[], Sequence[Tensor]] | None = None,
        draws: torch.Generator | None = None,
    ) -> None:
        self._step: Callable[[], Any] | None = step
        self._graph: Any = None
        if device.type == "cuda" and self._record(step, device, state or (lambda: ()), draws):
            # Else the graph would live, in a circle, until a garbage collection.
            self._step = None

    def __call__(self) -> None:
        """Take the step."""
        if self._step is not None:
            self._step()
        else:
            self._graph.replay()

    def _record(
        self,
        step: Callable[[], Any],
        device: torch.device,
        state: Callable[[], Sequence[Tensor]],
        draws: torch.Generator | None,
    ) -> bool:
        """Record the step, put the state back, and return whether it could be recorded."""
        import torch

        before = [(tensor, tensor.detach().clone()) for tensor in state()]
        known = {id(tensor) for tensor, _ in before}
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(_N_WARM_UPS):
                step()
        torch.cuda.current_stream(device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        if draws is not None:
            graph.register_generator_state(draws)
        try:
            with (
                _without_garbage_collection(),
                torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"),
            ):
                step()
            self._graph = graph
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            warnings.warn(
                f"A step could not be recorded and is launched piece by piece, slower: {error}",
                stacklevel=3,
            )
        with torch.no_grad():
            for tensor in state():
                if id(tensor) not in known:
                    tensor.zero_()
            for tensor, numbers in before:
                tensor.copy_(numbers)
        return self._graph is not None


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Collect no garbage in the block: a graph that is freed in a recording spoils it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
