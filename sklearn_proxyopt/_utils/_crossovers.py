"""From which sizes a GPU is faster than two cores of a CPU.

Only sizes decide, never a clock, so that the same call runs in the same place. The limits are
measured by `benchmarks/gpu.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = [
    "fastest_device",
    "inverse_device",
    "is_auto",
    "prediction_device",
    "search_device",
    "training_device",
]

# Products of numbers in one forward step, rows times weights, and those of all steps of a fit. The
# first call of a process that asks for a GPU waits some seconds until it is ready: the work of a
# call must outweigh that too, where nothing before it has paid for it.
_PRODUCTS_A_STEP = 1e6
_PRODUCTS_OF_A_FIT = 3e10
# Products of one evaluation in a search, and of one prediction, of a proxy trained on the CPU.
_PRODUCTS_OF_A_SEARCH_STEP = 5e8
_PRODUCTS_OF_A_PREDICTION = 5e10
# The same of a proxy that was trained on a GPU.
_PRODUCTS_OF_A_SEARCH_STEP_THERE = 3e7
_PRODUCTS_OF_A_PREDICTION_THERE = 5e8
# Numbers in the rows of inverse problems.
_NUMBERS_OF_PROBLEMS = 1e7


def is_auto(device: Any) -> bool:
    """Return whether the sizes of the work are to choose the device."""
    return isinstance(device, str) and device == "auto"


def fastest_device(dtype: torch.dtype) -> torch.device:
    """Return a GPU that computes in this type, or the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    # Apple's GPUs know no double precision.
    has_mps = torch.backends.mps.is_available() and dtype == torch.float32
    return torch.device("mps" if has_mps else "cpu")


def training_device(n_products: float, n_steps: int, dtype: torch.dtype) -> torch.device:
    """Return where to train, by the products of a step and the number of steps."""
    pays = n_products >= _PRODUCTS_A_STEP and n_products * n_steps >= _PRODUCTS_OF_A_FIT
    return _where(pays, dtype)


def search_device(n_products: float, dtype: torch.dtype, was_there: bool) -> torch.device:
    """Return where a proxy that may move is searched, by the products of one evaluation."""
    limit = _PRODUCTS_OF_A_SEARCH_STEP_THERE if was_there else _PRODUCTS_OF_A_SEARCH_STEP
    return _where(n_products >= limit, dtype)


def prediction_device(n_products: float, dtype: torch.dtype, was_there: bool) -> torch.device:
    """Return where a proxy that may move predicts, by the products of all rows."""
    limit = _PRODUCTS_OF_A_PREDICTION_THERE if was_there else _PRODUCTS_OF_A_PREDICTION
    return _where(n_products >= limit, dtype)


def inverse_device(n_numbers: int) -> torch.device:
    """Return where inverse problems are solved, by the numbers in their rows."""
    import torch

    return _where(n_numbers >= _NUMBERS_OF_PROBLEMS, torch.float64)


def _where(pays: bool, dtype: torch.dtype) -> torch.device:
    import torch

    return fastest_device(dtype) if pays else torch.device("cpu")
