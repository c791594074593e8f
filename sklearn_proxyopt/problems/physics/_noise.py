"""Smooth periodic random fields, to start simulations from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["smooth_noise"]


def smooth_noise(
    n_fields: int,
    shape: tuple[int, ...],
    length: float,
    rng: np.random.Generator,
    *,
    scale: float,
    smoothness: float,
) -> NDArray[np.float64]:
    """Draw random periodic fields of zero mean and unit variance.

    Fourier modes with wave number k, counted in waves per `scale`, have complex normal amplitudes
    over k^(2 smoothness); those with k^2 <= 0.1 are left out (the noise of PhiFlow).

    Parameters
    ----------
    n_fields : int
        Number of fields.
    shape : tuple of int
        Grid points along each axis.
    length : float
        Length of the domain along each axis.
    rng : numpy.random.Generator
        Draws the amplitudes.
    scale : float
        Typical size of a structure, in units of `length`.
    smoothness : float
        Half the power with which amplitudes fall.

    Returns
    -------
    ndarray of shape (n_fields, *shape)
        The fields.
    """
    axes = tuple(range(1, len(shape) + 1))
    waves = np.meshgrid(*(np.fft.fftfreq(n, 1 / n) * scale / length for n in shape), indexing="ij")
    squared = sum(wave**2 for wave in waves)
    weight = np.where(squared > 0.1, np.maximum(squared, 0.1) ** -smoothness, 0.0)
    spectrum = rng.standard_normal((n_fields, *shape)) + 1j * rng.standard_normal(
        (n_fields, *shape)
    )
    fields = np.fft.ifftn(spectrum * weight, axes=axes).real
    return fields / fields.std(axis=axes, keepdims=True)
