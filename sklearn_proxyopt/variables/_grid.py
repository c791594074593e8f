"""Variables whose values lie in steps: the nearest of them, the ends, and the cells around each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.variables._kinds import Kinds

__all__ = ["Grid"]

# Significant digits to which steps are counted: 0.3 is three steps of 0.1.
_N_DIGITS = 14


class Grid:
    """The steps of some variables.

    Parameters
    ----------
    kinds : Kinds
        The variables.

    Attributes
    ----------
    has_steps : ndarray of bool of shape (n_features,)
        Which have steps; the values of the others lie dense, or are fixed.
    origin : ndarray of shape (n_features,)
        What the steps are counted from: 0 for those of integers and codes.
    first, last : ndarray of shape (n_features,)
        The first and the last value of each.
    n_values : ndarray of shape (n_features,)
        How many values each has that has steps; 1 for the others.
    """

    def __init__(self, kinds: Kinds) -> None:
        self._kinds, self._steps = kinds, kinds.steps
        self._low, self._high = kinds.box.T
        self.has_steps = self._steps > 0.0
        # The steps of integers and codes are integers themselves, exactly.
        self._is_unit = (self._steps == 1.0) & (self._low == np.rint(self._low))
        self._is_other = self.has_steps & ~self._is_unit
        self.origin = np.where(self._is_other, self._low, 0.0)
        largest = np.maximum(np.abs(self._low), np.abs(self._high))
        n_digits = np.ceil(np.log10(np.where(largest > 0.0, largest, 1.0)))
        self._scale = 10.0 ** np.clip(_N_DIGITS - n_digits, 0, None)
        step = np.where(self.has_steps, self._steps, 1.0)
        n_steps = np.where(self.has_steps, np.floor((self._high - self._low) / step + 1e-9), 0.0)
        last = self.nearest((self._low + step * n_steps)[None])[0]
        self.first, self.last = self._low, np.where(self.has_steps, last, self._high)
        self.n_values = n_steps + 1.0

    def nearest(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return samples at the nearest steps, also beyond the ends."""
        if self._is_unit.any():
            X = np.where(self._is_unit, np.rint(X), X)
        if self._is_other.any():
            step = np.where(self._is_other, self._steps, 1.0)
            values = self._low + step * np.rint((X - self._low) / step)
            values = np.rint(values * self._scale) / self._scale
            X = np.where(self._is_other, values, X)
        return X

    def cells(self) -> NDArray[np.float64]:
        """Return the box that holds a cell as wide as a step around each, of shape (2, n)."""
        reach = self._steps / 2.0
        below = self.first - reach
        # On a logarithmic axis a cell must not reach down to 0.
        below = np.where(self._kinds.is_log & (below <= 0.0), self.first / 2.0, below)
        return np.array([below, self.last + reach])

    def others(self, place: int, value: float) -> NDArray[np.float64]:
        """Return the values next to one of a variable, or all others of a category."""
        if self._kinds.is_category[place]:
            values = self.values(place)
            return values[values != value]
        rows = np.tile(self._low, (2, 1))
        rows[:, place] = value + self._steps[place] * np.array([-1.0, 1.0])
        values = self.nearest(rows)[:, place]
        return values[(values >= self.first[place]) & (values <= self.last[place])]

    def values(self, place: int) -> NDArray[np.float64]:
        """Return all values of a variable with steps."""
        rows = np.tile(self._low, (int(self.n_values[place]), 1))
        rows[:, place] += self._steps[place] * np.arange(len(rows))
        return self.nearest(rows)[:, place]
