"""The codes of categories that a search of the objective has been to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._box import from_unit_cube, to_unit_cube
from sklearn_proxyopt.refine._ledger import Ledger

__all__ = ["Codes"]


class Codes:
    """The codes that rounded points of some axes stand for, and those where descents began.

    Parameters
    ----------
    ledger : Ledger
        What is known.
    places : ndarray of int of shape (n_categories,)
        The axes.
    """

    def __init__(self, ledger: Ledger, places: NDArray[np.intp]) -> None:
        self._ledger, self._places = ledger, places
        self._tried: set[bytes] = set()
        self.is_code = np.zeros(len(ledger.bounds), dtype=bool)
        self.is_code[places] = True

    def settle(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a point of the cube moved to the middle of its codes, which count as tried."""
        self._tried.add(self._key(point))
        return to_unit_cube(self._rows(point), self._ledger.bounds)

    def untried(self) -> NDArray[np.float64] | None:
        """Return the best point with another code in one place where no descent has begun.

        Codes whose lowest value known is lower come first. None if all were tried.
        """
        ledger = self._ledger
        others = self.others(ledger.lowest_point)
        others = [one for one in others if self._key(one) not in self._tried]
        if not others:
            return None
        lowest = [
            ledger.values[self.are_those_of(one, ledger.points)].min(initial=np.inf)
            for one in others
        ]
        return others[int(np.argmin(lowest))]

    def others(self, point: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Return a point with each other code in each place."""
        others = []
        here = self._rows(point)
        for place in self._places:
            low, high = self._ledger.bounds[place]
            for code in np.arange(np.ceil(low), np.floor(high) + 1.0):
                if code != here[place]:
                    other = here.copy()
                    other[place] = code
                    others.append(to_unit_cube(other, self._ledger.bounds))
        return others

    def are_those_of(
        self, point: NDArray[np.float64], points: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Tell which points stand for the same codes as one of them."""
        here, there = self._rows(point), self._rows(points)
        return np.asarray((there == here)[:, self._places].all(axis=1))

    def _rows(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = from_unit_cube(points, self._ledger.bounds)
        rows[..., self._places] = np.rint(rows[..., self._places])
        return rows

    def _key(self, point: NDArray[np.float64]) -> bytes:
        return self._rows(point)[self._places].astype(np.intp).tobytes()
