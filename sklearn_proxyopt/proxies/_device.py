"""Where and in which precision a network runs."""

from __future__ import annotations

from typing import Any

import torch

from sklearn_proxyopt._utils._validation import check_option

__all__ = ["resolve_device", "resolve_dtype"]

_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def resolve_dtype(dtype: Any) -> torch.dtype:
    """Return the torch type named by `dtype`."""
    return _DTYPES[check_option(dtype, "dtype", _DTYPES)]


def resolve_device(device: Any, dtype: torch.dtype) -> torch.device:
    """Return the torch device named by `device`, or say why it cannot be had.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes a CUDA device where there is one, then Apple's "mps" if the type is float32,
        which is all that it computes in, then the CPU.
    dtype : torch.dtype
        The type the network computes in.

    Returns
    -------
    torch.device
        A device that is there.
    """
    has_mps = torch.backends.mps.is_available()
    if isinstance(device, str) and device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if has_mps and dtype == torch.float32 else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError):
        raise ValueError(
            "device must be 'auto', 'cpu', 'cuda', 'cuda:<number>', 'mps' or a torch.device; "
            f"got {device!r}."
        ) from None
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device must be one that torch finds here; got {device!r} with "
            f"{torch.cuda.device_count()} CUDA devices."
        )
    if resolved.type == "mps" and not has_mps:
        raise ValueError(f"device must be one that torch finds here; got {device!r} without MPS.")
    if resolved.type == "mps" and dtype != torch.float32:
        raise ValueError("dtype must be 'float32' on an 'mps' device; got 'float64'.")
    if resolved.type not in {"cpu", "cuda", "mps"}:
        raise ValueError(f"device must be a 'cpu', 'cuda' or 'mps' device; got {device!r}.")
    return resolved
