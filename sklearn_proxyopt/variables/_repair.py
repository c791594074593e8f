"""The nearest feasible sample to one that misses its constraints."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr
from scipy.optimize import Bounds, LinearConstraint, milp, minimize

from sklearn_proxyopt.variables._axes import Axes
from sklearn_proxyopt.variables._constraints import Constraints

__all__ = ["CubeConstraints", "Repair"]

# Moves of integers and categories, at most, on the way to a feasible sample.
_MOST_MOVES = 50
# Nodes of a search for integers by branch and bound.
_MOST_NODES = 5000
_N_ITERATIONS = 25
_N_NEWTON = 6
_MARGIN = 1e-9
# Equations whose pivots are smaller than this share of the largest do not tell variables apart.
_INDEPENDENT = 1e-9


class CubeConstraints:
    """The constraints of a sample as functions of those of its variables that are continuous.

    Parameters
    ----------
    variables : Axes
        The variables.
    constraints : Constraints
        Their constraints.
    x : ndarray of shape (n_features,)
        A valid sample, whose values that have no continuous axis stay.

    Attributes
    ----------
    free : ndarray of int of shape (n_free,)
        The axes of the continuous variables.
    ends : ndarray of shape (n_free,)
        Where these axes end. The end of a circle is its beginning, where values jump.
    """

    def __init__(self, variables: Axes, constraints: Constraints, x: NDArray[np.float64]) -> None:
        self._variables, self._constraints = variables, constraints
        self.free = np.flatnonzero(~variables.is_discrete_axis)
        is_circle = variables.kinds.is_periodic[variables.searched][self.free]
        self.ends = np.where(is_circle, 1.0 - _MARGIN, 1.0)
        self._u = variables.to_unit_cube(x[None])[0]
        self._x = x
        lower, upper = self._constraints.targets
        equal, scale = self._constraints.is_equation, self._constraints.scale
        # SciPy's equations, and its inequalities that are met at 0 and above.
        self._equal = np.flatnonzero(equal)
        self._below = np.flatnonzero(~equal & np.isfinite(upper))
        self._above = np.flatnonzero(~equal & np.isfinite(lower))
        self._lower, self._upper, self._scale = lower, upper, scale

    def row(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sample at a point of the cube of the continuous variables."""
        full = self._u.copy()
        full[self.free] = u
        x = self._variables.from_unit_cube(full[None])[0]
        x[self._variables.is_discrete] = self._x[self._variables.is_discrete]
        return x

    def for_scipy(self) -> list[dict[str, object]]:
        """Return the constraints as `scipy.optimize.minimize` takes them, with their slopes."""
        parts: list[dict[str, object]] = []
        if len(self._equal):
            parts.append({"type": "eq", "fun": self._equations, "jac": self._equation_slopes})
        if len(self._below) + len(self._above):
            parts.append({"type": "ineq", "fun": self._margins, "jac": self._margin_slopes})
        return parts

    def finished(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sample at a point, after Newton steps that meet what is missed by little."""
        constraints, x = self._constraints, self.row(u)
        for _ in range(_N_NEWTON):
            if constraints.are_met(x[None])[0]:
                break
            values = self._values(u)
            gap = np.maximum(self._lower - values, 0.0) - np.maximum(values - self._upper, 0.0)
            missed = np.flatnonzero(gap)
            # A step of twice the margin, or the last bits of a curved constraint remain.
            steps = (gap / self._scale + np.sign(gap) * _MARGIN)[missed]
            slopes = self._slopes(u)[missed] / self._scale[missed, None]
            u = np.clip(u + np.linalg.lstsq(slopes, steps, rcond=1e-10)[0], 0.0, self.ends)
            x = self.row(u)
        return x

    def _values(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        values = self._constraints.values(self.row(u)[None])[0]
        # A value that is not known misses its limits by far; infinity would make steps of NaN.
        return np.nan_to_num(values, nan=1e30, posinf=1e30, neginf=-1e30)

    def _slopes(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        x, variables = self.row(u), self._variables
        slopes = self._constraints.jacobian(x, variables.bounds, ~variables.is_discrete)
        along = slopes[:, variables.searched] * variables.cube_slopes(x)
        return np.nan_to_num(along)[:, self.free]

    def _equations(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        return ((self._values(u) - self._upper) / self._scale)[self._equal]

    def _equation_slopes(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        return (self._slopes(u) / self._scale[:, None])[self._equal]

    def _margins(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        values = self._values(u)
        below = ((self._upper - values) / self._scale)[self._below]
        above = ((values - self._lower) / self._scale)[self._above]
        return np.concatenate([below, above])

    def _margin_slopes(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        slopes = self._slopes(u) / self._scale[:, None]
        return np.vstack([-slopes[self._below], slopes[self._above]])


class Repair:
    """Finds feasible samples near to samples that miss their constraints.

    Parameters
    ----------
    variables : Axes
        The variables.
    constraints : Constraints
        Their constraints.
    """

    def __init__(self, variables: Axes, constraints: Constraints) -> None:
        self._variables, self._constraints = variables, constraints

    def repaired(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return valid samples moved to the nearest feasible ones; without any, they stay."""
        rows = X.copy()
        for i in np.flatnonzero(~self._constraints.are_met(X)):
            found = next((x for x in self._attempts(X[i]) if self._is_met(x)), None)
            rows[i] = X[i] if found is None else self._solved(found)
        return rows

    @cached_property
    def _equations(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The linear equations, and as many continuous variables that follow from the others.

        None of either where the equations do not determine as many.
        """
        constraints, bounds = self._constraints, self._variables.bounds
        equations = np.flatnonzero(constraints.is_equation[: len(constraints.matrix)])
        free = np.flatnonzero(~self._variables.is_discrete)
        slopes = constraints.matrix[np.ix_(equations, free)] * np.ptp(bounds[free], axis=1)
        if 0 < len(equations) <= len(free):
            triangle, order = qr(slopes, mode="r", pivoting=True)
            sizes = np.abs(np.diag(triangle))
            if sizes.min() > _INDEPENDENT * sizes.max():
                return equations, free[order[: len(equations)]]
        return equations[:0], free[:0]

    def _solved(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a feasible sample with its linear equations met to the last digits.

        Samples that differ in what follows from the rest become one.
        """
        equations, places = self._equations
        if not len(places):
            return x
        matrix, solved = self._constraints.matrix[equations], x.copy()
        solved[places] = 0.0
        missing = self._constraints.lower[equations] - matrix @ solved
        solved[places] = np.linalg.solve(matrix[:, places], missing)
        is_valid = (self._variables.valid(solved[None])[0] == solved).all()
        return solved if is_valid and self._is_met(solved) else x

    def _attempts(self, x: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
        """Yield samples that may be feasible, the nearest first."""
        nearest = self._projected(x, is_quick=True)
        yield nearest
        if self._variables.is_discrete.any():
            if len(self._constraints.matrix):
                start = self._nearest_by_milp(x)
                if start is not None:
                    yield start
                    yield self._projected(start, is_quick=True)
            yield self._moved(nearest)
        yield self._projected(x)

    def _is_met(self, x: NDArray[np.float64]) -> bool:
        return bool(self._constraints.are_met(x[None])[0])

    def _projected(self, x: NDArray[np.float64], *, is_quick: bool = False) -> NDArray[np.float64]:
        """Move the continuous variables to the nearest point at which the constraints are met."""
        cube = CubeConstraints(self._variables, self._constraints, x)
        if not len(cube.free):
            return x
        start = self._variables.to_unit_cube(x[None])[0][cube.free]
        # Steps of least length end near to the nearest point, and mostly suffice.
        near = cube.finished(start)
        if is_quick or self._is_met(near):
            return near
        found = minimize(
            lambda u: (0.5 * np.square(u - start).sum(), u - start),
            start,
            jac=True,
            method="SLSQP",
            bounds=[(0.0, end) for end in cube.ends],
            constraints=cube.for_scipy(),
            options={"maxiter": _N_ITERATIONS, "ftol": 1e-10},
        )
        return cube.finished(np.clip(np.nan_to_num(found.x, nan=0.5), 0.0, cube.ends))

    def _nearest_by_milp(self, x: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Return the nearest sample, summed over variables, that meets the linear constraints."""
        variables, n = self._variables, len(x)
        counted = _Counted(variables, self._constraints)
        matrix = counted.matrix
        lower, upper = counted.limits(*self._constraints.targets)
        low, high = counted.box
        width = np.where(high > low, high - low, 1.0)
        # The unknowns are the sample and at least the distance of each variable, in widths of the
        # box.
        distance = np.hstack([np.diag(1.0 / width), -np.eye(n)])
        other = np.hstack([np.diag(-1.0 / width), -np.eye(n)])
        place = counted.counts(x)
        found = milp(
            np.concatenate([np.zeros(n), np.ones(n)]),
            integrality=np.concatenate([variables.is_discrete, np.zeros(n)]),
            bounds=Bounds(
                np.concatenate([low, np.zeros(n)]), np.concatenate([high, np.full(n, np.inf)])
            ),
            constraints=[
                LinearConstraint(np.hstack([matrix, np.zeros_like(matrix)]), lower, upper),
                LinearConstraint(distance, ub=place / width),
                LinearConstraint(other, ub=-place / width),
            ],
            options={"node_limit": _MOST_NODES},
        )
        return None if found.x is None else counted.rows(found.x[None, :n])[0]

    def _moved(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Change one integer at a time, or else a category, to where least is missed."""
        is_category = self._variables.kinds.is_category
        missed = self._missed(x[None])[0]
        for _ in range(_MOST_MOVES):
            rows = self._variables.neighbors(x)
            keeps_labels = (rows[:, is_category] == x[is_category]).all(axis=1)
            for group in (rows[keeps_labels], rows[~keeps_labels]):
                order = np.argsort(self._missed(group), kind="stable")[:3]
                moved = np.array([self._projected(group[i], is_quick=True) for i in order]).reshape(
                    -1, len(x)
                )
                totals = self._missed(moved)
                if len(totals) and totals.min() < missed:
                    break
            else:
                break
            x, missed = moved[totals.argmin()], totals.min()
            if missed == 0.0:
                break
        return x

    def _missed(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.square(self._constraints.violations(X)).sum(axis=1)

    def central_row(self) -> NDArray[np.float64] | None:
        """Return a sample far inside the linear constraints, or None if nothing meets them.

        It is the center of the largest ball that they and the box, in widths of the bounds, hold.
        """
        variables, n = self._variables, self._variables.n_features
        counted = _Counted(variables, self._constraints)
        matrix = counted.matrix
        lower, upper = counted.limits(self._constraints.lower, self._constraints.upper)
        low, high = counted.box
        width = np.where(variables.is_discrete, 0.0, high - low)
        reach = np.linalg.norm(matrix * width, axis=1)
        reach = np.where(lower == upper, 0.0, reach)
        rows = [
            LinearConstraint(np.column_stack([matrix, reach]), ub=upper),
            LinearConstraint(np.column_stack([matrix, -reach]), lb=lower),
            LinearConstraint(np.column_stack([np.eye(n), width]), ub=high),
            LinearConstraint(np.column_stack([np.eye(n), -width]), lb=low),
        ]
        found = milp(
            np.append(np.zeros(n), -1.0),
            integrality=np.append(variables.is_discrete, 0),
            bounds=Bounds(np.append(low, 0.0), np.append(high, 0.5)),
            constraints=rows,
            options={"node_limit": _MOST_NODES},
        )
        if found.status == 2:
            return None
        # Without an answer within the limit, the middle of the box is where to begin.
        middle = (low + high) / 2.0
        return counted.rows((middle if found.x is None else found.x[:n])[None])[0]


class _Counted:
    """Linear constraints on samples in which variables with steps are counted in these.

    Parameters
    ----------
    variables : Axes
        The variables.
    constraints : Constraints
        Their constraints.

    Attributes
    ----------
    matrix : ndarray of shape (n_linear, n_features)
        The matrix of the linear ones, by which such rows are multiplied.
    """

    def __init__(self, variables: Axes, constraints: Constraints) -> None:
        self._variables = variables
        steps = variables.kinds.steps
        self._step = np.where(steps > 0.0, steps, 1.0)
        # What is fixed is 0 steps away from itself.
        is_fixed = variables.kinds.is_fixed
        self._origin = np.where(is_fixed, variables.bounds[:, 0], variables.step_origins)
        self.matrix = constraints.matrix * self._step
        self._offset = constraints.matrix @ self._origin

    @property
    def box(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The first and the last value of each variable."""
        low, high = self.counts(self._variables.valid_bounds.T)
        return low, high

    def limits(
        self, lower: NDArray[np.float64], upper: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return limits of all values as those of what the matrix makes of such rows."""
        n_linear = len(self.matrix)
        return lower[:n_linear] - self._offset, upper[:n_linear] - self._offset

    def counts(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return samples in which steps are counted."""
        return (X - self._origin) / self._step

    def rows(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the valid samples nearest to such samples."""
        return self._variables.valid(self._origin + self._step * counts)
