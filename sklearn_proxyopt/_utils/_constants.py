"""Arrays that a computation needs as tensors, wherever it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Constants"]


class Constants:
    """Arrays as tensors, made once for each device and type.

    A copy from the host at every call would make a GPU wait, and forbids to record what it does.

    Parameters
    ----------
    *arrays : ndarray
        The arrays, which must not change.
    """

    def __init__(self, *arrays: NDArray[Any]) -> None:
        self._arrays = arrays
        self._tensors: dict[tuple[torch.device, torch.dtype], tuple[Tensor, ...]] = {}

    def on(self, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Return the tensors, which must not be written to."""
        import torch

        key = (device, dtype)
        if key not in self._tensors:
            # Those of an inference would be of no use where a gradient is asked for.
            with torch.inference_mode(False):
                copies = (torch.as_tensor(array.copy(), device="cpu") for array in self._arrays)
                self._tensors[key] = tuple(copy.to(*key) for copy in copies)
        return self._tensors[key]

    def __getstate__(self) -> dict[str, Any]:
        # Tensors of a GPU could not be read where there is none.
        return {"_arrays": self._arrays, "_tensors": {}}
