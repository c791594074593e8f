"""The true function as a refiner sees it: in the unit cube, within a limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._rows import is_among, row_keys
from sklearn_proxyopt.variables import Variables
from sklearn_proxyopt.variables._repair import CubeConstraints

__all__ = ["TOO_FEW_LEFT", "DescentEndedError", "LimitedFunction"]

TOO_FEW_LEFT = "too few evaluations were left for the next step"


class DescentEndedError(Exception):
    """A descent cannot go on; the message says for what reason."""


class LimitedFunction:
    """The true function in the unit cube, with a limit, that remembers its lowest points.

    Where there are constraints, a point has the value of the nearest feasible row, so that nothing
    else is evaluated; one without such a row has none.

    Parameters
    ----------
    fun : callable
        The true function, of rows.
    variables : Variables
        The space.
    limit : int
        Most evaluations.

    Attributes
    ----------
    n_evaluations : int
        Rows evaluated so far.
    x : ndarray of shape (n_features,) or None
        The lowest row.
    lowest : float
        Its value.
    free : ndarray of int of shape (n_free,)
        The variables along which descents go.
    local_x : ndarray of shape (n_features,)
        The lowest point of the present descent.
    """

    def __init__(self, fun: Callable[..., Any], variables: Variables, limit: int) -> None:
        self._fun = fun
        self._variables = variables
        self._limit = limit
        self.n_evaluations = 0
        self.x: NDArray[np.float64] | None = None
        self.lowest = np.inf
        self.free = np.flatnonzero(~variables.is_discrete)
        self.has_moves = len(self.free) < variables.n_features
        self.local_x = np.empty(0)
        self._local_lowest = np.inf
        self._base = np.empty(0)
        self._has_begun = False
        self._known: dict[bytes, float] = {}

    @property
    def n_left(self) -> int:
        """How many evaluations are left."""
        return self._limit - self.n_evaluations

    def begin(self, start: NDArray[np.float64], value: float) -> None:
        """Begin a descent, whose own lowest point is kept apart."""
        self.local_x, self._local_lowest = start, value if self.has_moves else np.inf
        self._has_begun = False

    def note(self, u: NDArray[np.float64], value: float, x: NDArray[np.float64]) -> None:
        """Take a point and the row it stands for into account."""
        if value < self.lowest:
            self.x, self.lowest = x.copy(), float(value)
        if self.local_x.size and value < self._local_lowest:
            self.local_x, self._local_lowest = u.copy(), float(value)

    def __call__(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values of points of the unit cube, of all variables or of the free ones."""
        rows = np.clip(rows, 0.0, 1.0)
        if rows.shape[1] < self._variables.n_features:
            points = np.tile(self._base, (len(rows), 1))
            points[:, self.free] = rows
            rows = points
        X = self._variables.from_unit_cube(rows)
        return self._evaluated(X, rows)

    def _evaluated(self, X: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
        values = np.full(len(X), np.nan)
        is_new = np.ones(len(X), dtype=bool)
        if self._variables.constraints is not None:
            X = self._variables.snap(X)
            rows = np.clip(self._variables.to_unit_cube(X), 0.0, 1.0)
            # Points beyond an edge often have the same nearest row.
            known = np.array([self._known.get(key, np.inf) for key in row_keys(X)])
            is_new = self._variables.is_feasible(X) & np.isinf(known)
            values = np.where(np.isinf(known), np.nan, known)
        if self.n_left < is_new.sum():
            raise DescentEndedError(TOO_FEW_LEFT)
        self.n_evaluations += int(is_new.sum())
        if is_new.any():
            values[is_new] = self._fun(X[is_new])
        for key, u, value, x in zip(row_keys(X), rows, values, X, strict=True):
            self._known[key] = float(value)
            self.note(u, value, x)
        return values

    def value(self, u: NDArray[np.float64]) -> float:
        """Return the value of one point; +inf where the evaluation failed."""
        value = float(self(u[None])[0])
        return value if np.isfinite(value) else np.inf

    def constraints(self) -> list[dict[str, object]]:
        """Return the constraints along the free variables, as SciPy takes them."""
        if self._variables.constraints is None:
            return []
        x = self._variables.from_unit_cube(self._base[None])[0]
        return CubeConstraints(self._variables, self._variables.constraints, x).for_scipy()

    def moved(self) -> bool:
        """Move whole numbers and categories to where it is lower, one at a time.

        Returns True before the first descent, and where any has moved.
        """
        has_moved, self._has_begun = not self._has_begun, True
        while self.has_moves:
            before = self._local_lowest
            x = self._variables.from_unit_cube(self.local_x[None])[0]
            rows = self._variables.snap(self._variables.neighbors(x))
            rows = rows[self._variables.is_feasible(rows)]
            rows = rows[~is_among(rows, rows[:0])]
            keys = row_keys(rows)
            new = [i for i, key in enumerate(keys) if key not in self._known]
            rows = rows[new][: self.n_left]
            if not len(rows):
                break
            self._evaluated(rows, self._variables.to_unit_cube(rows))
            if not self._local_lowest < before:
                break
            has_moved = True
        # Descents keep these whole numbers and categories.
        self._base = self.local_x.copy()
        return has_moved
