"""The objective as a refiner sees it: in the unit cube, within a limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._dataset import is_among, row_keys
from sklearn_proxyopt._utils._feasibility import best_first, values_of
from sklearn_proxyopt._utils._stopping import TOO_FEW_LEFT, StopRun
from sklearn_proxyopt.refine._evaluated_rows import EvaluatedRows
from sklearn_proxyopt.variables import Variables
from sklearn_proxyopt.variables._repair import CubeConstraints

__all__ = ["LimitedFunction"]


class LimitedFunction(EvaluatedRows):
    """The objective in the unit cube, with a limit, that remembers its best points.

    Where the variables have constraints, a point has the value of the nearest feasible sample, so
    that nothing else is evaluated; one without such a sample has none. Outputs are values, or
    values with constraints that the function returns.

    Parameters
    ----------
    fun : callable
        The objective, of samples.
    variables : Variables
        The space.
    limit : int
        Most evaluations.

    Attributes
    ----------
    x : ndarray of shape (n_features,) or None
        The best sample.
    place : ndarray of shape (n_features,)
        Its point in the unit cube.
    best : ndarray of shape () or (1 + n_constraints,), or None
        Its outputs.
    free : ndarray of int of shape (n_free,)
        The variables along which descents go.
    local_x : ndarray of shape (n_features,)
        The best point of the present descent.
    """

    def __init__(self, fun: Callable[..., Any], variables: Variables, limit: int) -> None:
        super().__init__(limit)
        self._fun = fun
        self._variables = variables
        self.x: NDArray[np.float64] | None = None
        self.place = np.empty(0)
        self.best: NDArray[np.float64] | None = None
        self.free = np.flatnonzero(~variables.is_discrete_axis)
        self.has_moves = len(self.free) < variables.n_axes
        self.local_x = np.empty(0)
        self._local_best: NDArray[np.float64] | None = None
        self._base = np.empty(0)
        self._has_begun = False
        self._largest: NDArray[np.float64] = np.zeros(0)

    @property
    def lowest(self) -> float:
        """The value of the best point; +inf where none is known."""
        return np.inf if self.best is None else float(np.ravel(self.best)[0])

    @property
    def constraints(self) -> NDArray[np.float64] | None:
        """The constraints of the best point, None where the function returns none."""
        return self.best[1:] if self.best is not None and self.best.ndim else None

    def begin(self, start: NDArray[np.float64], outputs: NDArray[np.float64]) -> None:
        """Begin a descent, whose own best point is kept apart."""
        self.local_x, self._local_best = start, outputs if self.has_moves else None
        self._has_begun = False

    def note(
        self, u: NDArray[np.float64], outputs: NDArray[np.float64], x: NDArray[np.float64]
    ) -> None:
        """Take a point and the sample it stands for into account, also if evaluated elsewhere."""
        self._known[row_keys(x[None])[0]] = outputs
        if not np.isfinite(outputs).all():
            return
        if outputs.ndim:
            size = np.abs(outputs[1:])
            self._largest = np.maximum(self._largest, size) if self._largest.size else size
        if _is_better(outputs, self.best):
            self.x, self.place, self.best = x.copy(), u.copy(), outputs
        if self.local_x.size and _is_better(outputs, self._local_best):
            self.local_x, self._local_best = u.copy(), outputs

    def __call__(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the outputs of points of the unit cube, of all variables or of the free ones."""
        rows = np.clip(rows, 0.0, 1.0)
        if rows.shape[1] < self._variables.n_axes:
            points = np.tile(self._base, (len(rows), 1))
            points[:, self.free] = rows
            rows = points
        X = self._variables.from_unit_cube(rows)
        return self._evaluated(X, rows)

    def _evaluated(self, X: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
        is_new = np.ones(len(X), dtype=bool)
        is_constrained = self._variables.constraints is not None
        if is_constrained:
            X = self._variables.snap(X)
            rows = np.clip(self._variables.to_unit_cube(X), 0.0, 1.0)
            is_new = self._variables.is_feasible(X)
        keys = row_keys(X)
        if is_constrained or self.constraints is not None:
            # Points beyond an edge often have the same nearest sample; a point is asked for its
            # value and for its constraints in turn.
            is_new &= ~self._are_known(keys)
        if self.n_left < is_new.sum():
            raise StopRun(TOO_FEW_LEFT)
        self.n_evaluations += int(is_new.sum())
        outputs = self._fun(X[is_new]) if is_new.any() else self._nothing()
        values = np.full((len(X), *outputs.shape[1:]), np.nan)
        old = np.flatnonzero(~is_new)
        values[old] = self._recall([keys[i] for i in old], np.full(outputs.shape[1:], np.nan))
        values[is_new] = outputs
        for u, value, x in zip(rows, values, X, strict=True):
            self.note(u, np.asarray(value), x)
        return values

    def _nothing(self) -> NDArray[np.float64]:
        """Return the outputs of no samples."""
        return np.empty((0, *np.shape(self.best)) if self.best is not None else 0)

    def value(self, u: NDArray[np.float64]) -> float:
        """Return the value of one point; +inf where the evaluation failed."""
        value = float(values_of(self(u[None]))[0])
        return value if np.isfinite(value) else np.inf

    def scaled_constraints(
        self, share: float
    ) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
        """Return the constraints of one point as a function, as shares of the largest known now."""
        scale = share * np.where(self._largest > 0.0, self._largest, 1.0)

        def constraints(u: NDArray[np.float64]) -> NDArray[np.float64]:
            outputs = self(u[None])[0, 1:] / scale
            return np.where(np.isfinite(outputs), outputs, np.inf)

        return constraints

    def known_constraints(self) -> list[Any]:
        """Return the constraints of the variables along the free ones, as SciPy takes them."""
        if self._variables.constraints is None:
            return []
        x = self._variables.from_unit_cube(self._base[None])[0]
        return CubeConstraints(self._variables, self._variables.constraints, x).for_scipy()

    def moved(self) -> bool:
        """Move integers and categories to where it is lower, one at a time.

        Returns True before the first descent, and where any has moved.
        """
        has_moved, self._has_begun = not self._has_begun, True
        while self.has_moves:
            before = self._local_best
            x = self._variables.from_unit_cube(self.local_x[None])[0]
            rows = self._variables.snap(self._variables.neighbors(x))
            rows = rows[self._variables.is_feasible(rows)]
            rows = rows[~is_among(rows, rows[:0])]
            rows = rows[~self._are_known(row_keys(rows))][: self.n_left]
            if not len(rows):
                break
            self._evaluated(rows, self._variables.to_unit_cube(rows))
            if self._local_best is before:
                break
            has_moved = True
        # Descents keep these integers and categories.
        self._base = self.local_x.copy()
        return has_moved


def _is_better(outputs: NDArray[np.float64], than: NDArray[np.float64] | None) -> bool:
    """Tell whether outputs are better than others, and not only as good."""
    return than is None or best_first(np.array([than, outputs]))[0] == 1
