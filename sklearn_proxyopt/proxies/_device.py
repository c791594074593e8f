"""Where and in which precision a network runs."""

from __future__ import annotations

from typing import Any

import torch

from sklearn_proxyopt._utils import _crossovers
from sklearn_proxyopt._utils._crossovers import is_auto
from sklearn_proxyopt._utils._validation import check_option

__all__ = [
    "inverse_device",
    "is_there",
    "resolve_device",
    "resolve_dtype",
    "training_device",
]

_DTYPES = {"float32": torch.float32, "float64": torch.float64, "tf32": torch.float32}


def resolve_dtype(dtype: Any) -> torch.dtype:
    """Return the torch type named by `dtype`."""
    return _DTYPES[check_option(dtype, "dtype", _DTYPES)]


def training_device(device: Any, dtype: torch.dtype, n_products: float, n_steps: int) -> Any:
    """Return where to train, for "auto" by the products of a step and the number of steps."""
    if not is_auto(device):
        return resolve_device(device, dtype)
    return _crossovers.training_device(n_products, n_steps, dtype)


def inverse_device(device: Any, is_static: bool, n_numbers: int) -> torch.device:
    """Return where inverse problems are solved, for "auto" by the numbers in their samples.

    A simulator of the user may hold tensors of the CPU: only one whose runs may be recorded is
    taken elsewhere without being asked for.
    """
    if is_auto(device) and is_static:
        return _crossovers.inverse_device(n_numbers)
    return resolve_device(device, torch.float64)


def is_there(device: torch.device) -> bool:
    """Return whether torch finds the device here."""
    if device.type == "cuda":
        return (device.index or 0) < torch.cuda.device_count()
    return device.type == "cpu" or (device.type == "mps" and torch.backends.mps.is_available())


def resolve_device(device: Any, dtype: torch.dtype) -> torch.device:
    """Return the torch device named by `device`, or say why it cannot be had.

    Parameters
    ----------
    device : str or torch.device
        "auto" stands for the CPU, from where the work that pays goes to a GPU.
    dtype : torch.dtype
        The type the network computes in.

    Returns
    -------
    torch.device
        A device that is there.
    """
    if is_auto(device):
        return torch.device("cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError):
        raise ValueError(
            "device must be 'auto', 'cpu', 'cuda', 'cuda:<number>', 'mps' or a torch.device; "
            f"got {device!r}."
        ) from None
    if resolved.type not in {"cpu", "cuda", "mps"}:
        raise ValueError(f"device must be a 'cpu', 'cuda' or 'mps' device; got {device!r}.")
    if resolved.type == "mps" and not is_there(resolved):
        raise ValueError(f"device must be one that torch finds here; got {device!r} without MPS.")
    if not is_there(resolved):
        raise ValueError(
            f"device must be one that torch finds here; got {device!r} with "
            f"{torch.cuda.device_count()} CUDA devices."
        )
    if resolved.type == "mps" and dtype != torch.float32:
        raise ValueError("dtype must be 'float32' on an 'mps' device; got 'float64'.")
    return resolved
