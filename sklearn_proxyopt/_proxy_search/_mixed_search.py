"""The search of a proxy among valid samples that meet the constraints."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize

from sklearn_proxyopt._proxy_search._on_axes import AxesFunction
from sklearn_proxyopt._proxy_search._penalty import PENALTY
from sklearn_proxyopt._utils._distances import SAME_MINIMUM
from sklearn_proxyopt.optimizers._candidates import lowest_apart
from sklearn_proxyopt.optimizers._functions import ModuleFunction, ProxyFunction
from sklearn_proxyopt.variables import Variables
from sklearn_proxyopt.variables._constraints import Constraints
from sklearn_proxyopt.variables._repair import CubeConstraints

__all__ = ["MixedSearch"]

_N_CANDIDATES = 10
# Samples, and moves from one, after which the continuous variables descend.
_N_POLISHED = 3
_MOST_MOVES = 50
_STEP = 1e-4


class MixedSearch:
    """Finds the minimum of a function of features among valid samples that meet the constraints.

    An optimizer searches the axes, on which every point has the value of the sample it stands for,
    with a penalty for what it misses. Integers are searched in two steps: as if they were
    continuous, then, from what that finds, as they are. What both find is made feasible and
    polished: the continuous variables descend within the constraints, integers and categories move
    one at a time to where the function is lower.

    Parameters
    ----------
    function : ProxyFunction
        Takes features, (n, n_learned) to (n,).
    variables : Variables
        The space.
    spread : float
        How far the values known spread.
    """

    def __init__(self, function: ProxyFunction, variables: Variables, spread: float) -> None:
        self._function, self.variables = _with_gradient(function), variables
        self._spread = spread if np.isfinite(spread) and spread > 0.0 else 1.0

    def values(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values of samples."""
        if not len(X):
            # Most regressors refuse to predict nothing.
            return np.empty(0)
        values: NDArray[np.float64] = self._function(self.variables.features(X))
        return values

    def on_axes(
        self, function: ProxyFunction | None = None, *, relaxed: bool = False
    ) -> AxesFunction:
        """Return a function of features, or the one searched, as one of points on the axes."""
        function = self._function if function is None else _with_gradient(function)
        return AxesFunction(function, self.variables, PENALTY * self._spread, relaxed=relaxed)

    def run(self, optimizer: Any, starts: NDArray[np.float64], seed: int | None) -> OptimizeResult:
        """Search the axes by an optimizer; `x` and the candidates are points on the axes.

        Parameters
        ----------
        optimizer : optimizer
            Searches.
        starts : ndarray of shape (n_starts, n_features)
            Samples to start from.
        seed : int or None
            Seeds an optimizer that has no seed of its own.

        Returns
        -------
        scipy.optimize.OptimizeResult
            What the optimizer found last.
        """
        if self.variables.kinds.is_periodic.any():
            # A search may go on where a period ends.
            self.variables = self.variables.opened_at(starts[np.argmin(self.values(starts))])
        variables = self.variables
        seeding = {} if seed is None else {"random_state": seed}
        points = variables.encode(starts)
        if (variables.is_discrete_axis & ~variables.is_category_axis).any():
            relaxed = optimizer.minimize(
                self.on_axes(relaxed=True), variables.axes, x0=points, **seeding
            )
            points = np.vstack([points, np.atleast_2d(relaxed.get("x_candidates", relaxed.x))])
        return optimizer.minimize(self.on_axes(), variables.axes, x0=points, **seeding)

    def finish(self, found: OptimizeResult, starts: NDArray[np.float64]) -> OptimizeResult:
        """Turn what was found on the axes into the lowest feasible samples, the best first.

        Parameters
        ----------
        found : scipy.optimize.OptimizeResult
            The result of `run`.
        starts : ndarray of shape (n_starts, n_features)
            Feasible samples, of which the lowest is polished too.

        Returns
        -------
        scipy.optimize.OptimizeResult
            The result, in the user's units.
        """
        variables = self.variables
        points = np.atleast_2d(found.get("x_candidates", found.x))[:_N_CANDIDATES]
        # The lowest start is feasible, so that some sample is.
        rows = np.vstack([variables.decode(points), starts[np.argmin(self.values(starts))]])
        rows = self._feasible(variables.snap(rows))
        if variables.is_discrete.any() or variables.constraints is not None:
            rows = np.array([self._descended(x) for x in rows])
            rows = rows[np.argsort(self.values(rows), kind="stable")]
            for place, x in enumerate(rows[:_N_POLISHED]):
                rows[place] = self.polished(x)
            rows = np.vstack([rows, self._of_other_labels(rows[np.argmin(self.values(rows))])])
        rows = np.vstack([rows, starts])
        values = self.values(rows)
        values = np.where(np.isfinite(values), values, np.inf)
        kept = lowest_apart(variables.places(rows), values, SAME_MINIMUM, _N_CANDIDATES)
        result = OptimizeResult(found)
        result.x, result.fun = rows[kept[0]].copy(), float(values[kept[0]])
        result.x_candidates, result.fun_candidates = rows[kept], values[kept]
        result.pop("x_restarts", None)
        return result

    def polished(
        self, x: NDArray[np.float64], *, keeps_labels: bool = False
    ) -> NDArray[np.float64]:
        """Return a feasible sample that is at least as low as a feasible one.

        Parameters
        ----------
        x : ndarray of shape (n_features,)
            A feasible sample, at a minimum along the continuous variables.
        keeps_labels : bool, default=False
            Whether categories stay as they are.

        Returns
        -------
        ndarray of shape (n_features,)
            The sample where no move of one integer or category is lower, with the continuous
            variables at their best for the few most promising moves.
        """
        value = float(self.values(x[None])[0])
        for _ in range(_MOST_MOVES):
            rows = self.variables.neighbors(x)
            if keeps_labels:
                is_category = self.variables.kinds.is_category
                rows = rows[(rows[:, is_category] == x[is_category]).all(axis=1)]
            rows = self._feasible(self.variables.snap(rows))
            if not len(rows):
                break
            promising = np.argsort(self.values(rows), kind="stable")[:_N_POLISHED]
            rows = np.array([self._descended(row) for row in rows[promising]])
            values = self.values(rows)
            best = int(np.argmin(values))
            if not values[best] < value:
                break
            x, value = rows[best], float(values[best])
        return x

    def _of_other_labels(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the best samples with each other label of each category, where they are few."""
        rows = self.variables.neighbors(x)
        is_category = self.variables.kinds.is_category
        rows = rows[(rows[:, is_category] != x[is_category]).any(axis=1)]
        rows = self._feasible(self.variables.snap(rows))
        rows = rows[np.argsort(self.values(rows), kind="stable")][:_N_CANDIDATES]
        others = [self.polished(self._descended(row), keeps_labels=True) for row in rows]
        return np.array(others).reshape(-1, len(x))

    def _feasible(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return rows[self.variables.is_feasible(rows)]

    def _descended(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Let the continuous variables descend within the constraints."""
        variables = self.variables
        if variables.is_discrete_axis.all():
            return x
        constraints = variables.constraints
        if constraints is None:
            constraints = Constraints((), x[None])
        cube = CubeConstraints(variables, constraints, x)
        start = variables.to_unit_cube(x[None])[0][cube.free]
        base = float(self.values(x[None])[0])

        def value_and_gradient(u: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            value, gradient = self._value_and_gradient(np.clip(u, 0.0, 1.0), cube)
            return (value - base) / self._spread, gradient / self._spread

        found = minimize(
            value_and_gradient,
            start,
            jac=True,
            method="SLSQP",
            bounds=[(0.0, 1.0)] * len(start),
            constraints=cube.for_scipy(),
            options={"maxiter": 100, "ftol": 1e-10},
        )
        end = cube.finished(np.clip(np.nan_to_num(found.x, nan=0.5), 0.0, 1.0))
        is_lower = variables.is_feasible(end[None])[0] and self.values(end[None])[0] <= base
        return end if is_lower else x

    def _value_and_gradient(
        self, u: NDArray[np.float64], cube: CubeConstraints
    ) -> tuple[float, NDArray[np.float64]]:
        """Return value and gradient at a point of the cube of the continuous variables."""
        variables = self.variables
        x = cube.row(u)
        if self._function.has_gradient:
            values, slopes = self._function.value_and_grad(variables.features(x[None]))
            slopes = variables.slopes_on_axes(x[None], np.asarray(slopes, dtype=np.float64))[0]
            return float(values[0]), (slopes * np.ptp(variables.axes, axis=1))[cube.free]
        steps = np.where(u + _STEP > 1.0, -_STEP, _STEP)
        rows = [x, *(cube.row(moved) for moved in u + np.diag(steps))]
        values = self.values(np.array(rows))
        return float(values[0]), (values[1:] - values[0]) / steps


def _with_gradient(function: ProxyFunction) -> ProxyFunction:
    """Return a function with its gradient, where it is a torch module inside.

    The module is made once for all calls.
    """
    return ModuleFunction(function.torch_module()) if function.has_module else function
