"""Coatings of thin films: their mean reflectance as a function of the thicknesses of the layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["FAMILY", "coating"]

Rows = NDArray[np.float64]
WAVELENGTHS = np.linspace(400.0, 700.0, 31)
ANGLES = (0.0, np.pi / 4)


def coating(
    n_layers: int, n_high: float = 2.4, n_low: float = 1.38, n_glass: float = 1.52
) -> tuple[Callable[[Rows], Rows], Rows]:
    """Return the mean reflectance of alternating layers in per cent, and bounds in nanometers.

    Layers of a high refractive index come first; light comes from air, at two angles and in both
    polarizations. By the characteristic matrices of Macleod, "Thin-Film Optical Filters".
    """
    indices = np.where(np.arange(n_layers) % 2 == 0, n_high, n_low)

    def function(X: Rows) -> Rows:
        cases = [_reflected(X, indices, n_glass, a, is_s) for a in ANGLES for is_s in (True, False)]
        return 100.0 * np.mean(cases, axis=0)

    return function, np.array([[10.0, 250.0]] * n_layers)


def _reflected(X: Rows, indices: Rows, n_glass: float, angle: float, is_s: bool) -> Rows:
    """Return the reflected share of one polarization at one angle."""
    cosines = np.sqrt(1 - (np.sin(angle) / indices) ** 2)
    in_glass, in_air = np.sqrt(1 - (np.sin(angle) / n_glass) ** 2), np.cos(angle)
    power = 1.0 if is_s else -1.0
    layers, glass, air = indices * cosines**power, n_glass * in_glass**power, in_air**power
    electric = np.ones((len(X), len(WAVELENGTHS)), complex)
    magnetic = np.full_like(electric, glass)
    for j in reversed(range(len(indices))):
        phase = 2 * np.pi * indices[j] * cosines[j] * X[:, j, None] / WAVELENGTHS
        electric, magnetic = (
            np.cos(phase) * electric + 1j * np.sin(phase) / layers[j] * magnetic,
            1j * layers[j] * np.sin(phase) * electric + np.cos(phase) * magnetic,
        )
    amplitude = (air * electric - magnetic) / (air * electric + magnetic)
    return np.asarray((np.abs(amplitude) ** 2).mean(axis=1))


MATERIALS = {"first": (2.4, 1.38, 1.52), "second": (2.1, 1.46, 1.7)}
FAMILY = {
    f"{n} layers, {name} materials": coating(n, *indices)
    for n in (6, 7, 8, 9, 10)
    for name, indices in MATERIALS.items()
}
