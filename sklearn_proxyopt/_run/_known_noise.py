"""Whether values are known to have noise: by what the user says, or by repeats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._dataset import Dataset, row_keys

__all__ = ["has_noise", "is_stated_noisy", "repeats_differ", "with_doubt"]

# Repeats that differ by less than this share of the spread of the values agree.
_AGREE = 1e-6
# What estimates assume of the function adds as much to their errors as noise adds to the mean of
# this share of all values.
_SHARE_AVERAGED = 0.5


def is_stated_noisy(noise_std: Any) -> bool:
    """Tell whether the user states that an output has noise."""
    return not isinstance(noise_std, str) and noise_std is not None and bool(np.any(noise_std))


def has_noise(noise_std: Any, data: Dataset) -> bool:
    """Tell whether values are known to have noise, in one of their outputs at least."""
    if isinstance(noise_std, str):
        return bool(repeats_differ(data))
    return is_stated_noisy(noise_std)


def repeats_differ(data: Dataset) -> bool | None:
    """Tell whether repeats have different values.

    It is open, and so None, where there are no repeats, and where there is a single one with nearly
    the same value: noise may have drawn that.
    """
    groups: dict[bytes, list[NDArray[np.float64]]] = {}
    for key, outputs in zip(row_keys(data.X), data.y, strict=True):
        groups.setdefault(key, []).append(outputs)
    repeated = [outputs for outputs in groups.values() if len(outputs) > 1]
    if not repeated:
        return None
    ranges = np.array([np.ptp(outputs, axis=0) for outputs in repeated])
    if (ranges > _AGREE * np.ptp(data.y, axis=0)).any():
        return True
    is_single = sum(map(len, repeated)) == 2
    return None if is_single and ranges.any() else False


def with_doubt(std: Any, noise_std: Any, data: Dataset) -> NDArray[np.float64]:
    """Return standard deviations of estimates with the doubt about what they assume.

    Parameters
    ----------
    std : array-like of shape (..., n_outputs)
        Those of a proxy, which relies on how smooth the function is.
    noise_std : array-like of shape (n_outputs,)
        Standard deviations of the noise.
    data : Dataset
        What the proxy has learned.
    """
    doubt = np.asarray(noise_std) / np.sqrt(_SHARE_AVERAGED * len(data))
    return np.asarray(np.hypot(std, doubt))
