"""Local descent on the objective from the proxy's best points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize
from scipy.optimize import NonlinearConstraint, OptimizeResult, minimize

from sklearn_proxyopt._utils._dataset import succeeded
from sklearn_proxyopt._utils._distances import SAME_START
from sklearn_proxyopt._utils._feasibility import best_first
from sklearn_proxyopt._utils._stopping import TOO_FEW_LEFT, StopRun
from sklearn_proxyopt._utils._validation import check_integer, check_option, check_real
from sklearn_proxyopt.refine._base import BaseRefiner
from sklearn_proxyopt.refine._incumbent import read_incumbent
from sklearn_proxyopt.refine._limited_function import LimitedFunction
from sklearn_proxyopt.variables import Variables

__all__ = ["LocalRefinement"]

METHODS = ("COBYQA", "L-BFGS-B", "Nelder-Mead")
# COBYQA takes constraints for kept that are violated by less; it is told to keep below it.
_FEASIBILITY_TOLERANCE = 2e-8
# No shorter first step is taken in the last descents under constraints.
_SHARPEST = 1e-4


class LocalRefinement(BaseRefiner):
    """Descend on the objective within a number of evaluations.

    The candidates are evaluated first. The first descent starts from the lowest point known, the
    others from the next ones, until the evaluations or the descents are used up. Where the
    function returns constraints beside its value, feasible points come before others, and COBYQA
    gets both from one evaluation.

    Parameters
    ----------
    method : {"COBYQA", "L-BFGS-B", "Nelder-Mead"}, default="COBYQA"
        How to descend, by `scipy.optimize.minimize`. "COBYQA" builds quadratic models from the
        values alone, a sample at a time; it needs the fewest evaluations and tolerates kinks and
        noise. "L-BFGS-B" takes gradients by forward differences, n_features + 1 samples at a time,
        which can be evaluated side by side, and ends at an evaluation that fails. "Nelder-Mead"
        moves a simplex.
    max_evaluations : int, default=200
        Evaluations at most, those of the candidates included.
    n_candidates : int, default=5
        How many of the proxy's low points are evaluated at most.
    n_descents : int, default=2
        How many descents at most.
    tolerance : float, default=1e-7
        A descent by COBYQA or Nelder-Mead ends when its steps are smaller than this share of the
        box's width; L-BFGS-B ends when values no longer change.
    initial_step : float, default=0.02
        First step of COBYQA and Nelder-Mead as a share of the box's width.
    difference : float, default=1e-6
        Step of the forward differences as a share of the box's width. A simulator that is exact
        to fewer than about ten digits needs a larger one.

    Attributes
    ----------
    bounds_ : ndarray of shape (n_features, 2)
        The box read by `fit`, if it was called.

    Examples
    --------
    >>> from sklearn_proxyopt.problems import Rosenbrock
    >>> from sklearn_proxyopt.refine import LocalRefinement
    >>> problem = Rosenbrock(n_dims=2)
    >>> result = LocalRefinement().refine(problem, [[0.8, 0.7]], problem.bounds)
    >>> bool(result.fun < 1e-8), result.nfev <= 200
    (True, True)
    """

    max_evaluations: int
    handles_variables = True

    def __init__(
        self,
        method: str = "COBYQA",
        *,
        max_evaluations: int = 200,
        n_candidates: int = 5,
        n_descents: int = 2,
        tolerance: float = 1e-7,
        initial_step: float = 0.02,
        difference: float = 1e-6,
    ) -> None:
        self.method = method
        self.max_evaluations = max_evaluations
        self.n_candidates = n_candidates
        self.n_descents = n_descents
        self.tolerance = tolerance
        self.initial_step = initial_step
        self.difference = difference

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        check_option(self.method, "method", METHODS)
        check_integer(self.max_evaluations, "max_evaluations")
        check_integer(self.n_candidates, "n_candidates")
        check_integer(self.n_descents, "n_descents")
        for name in ("initial_step", "difference", "tolerance"):
            check_real(getattr(self, name), name, minimum=0.0, maximum=0.5, include_minimum=False)
        if self.tolerance > self.initial_step:
            raise ValueError(
                f"tolerance must not exceed initial_step={self.initial_step!r}; "
                f"got {self.tolerance!r}."
            )

    @property
    def handles_constraints(self) -> bool:
        """Whether the function may return constraints: COBYQA alone takes them."""
        return self.method == "COBYQA"

    def refine(
        self,
        fun: Callable[[NDArray[np.float64]], NDArray[np.float64]],
        candidates: ArrayLike,
        bounds: ArrayLike | None = None,
        *,
        incumbent: tuple[ArrayLike, ArrayLike] | None = None,
        variables: Variables | None = None,
    ) -> OptimizeResult:
        """Descend from the candidates.

        Parameters
        ----------
        fun : callable
            The objective, (n, n_features) to (n,), or to (n, 1 + n_constraints) with
            constraints that hold where they are at most 0; NaN where an evaluation fails.
        candidates : array-like of shape (n, n_features)
            Points to evaluate first, the best predicted first.
        bounds : array-like of shape (n_features, 2) or scipy.optimize.Bounds, default=None
            The box. None takes the one read by `fit`.
        incumbent : tuple of array-like of shape (n_features,) and float, default=None
            The best sample inside the box known so far and its value, or value and constraints.
        variables : Variables, default=None
            The space, where variables are integers, categories or log-scaled, or constraints
            must be met. None takes every sample inside the box to be valid.

        Returns
        -------
        scipy.optimize.OptimizeResult
            `x`, `fun` (the lowest seen, the incumbent included), `nfev` (samples asked for), `nit`
            (descents), `success` (whether any value is known), `status` (0 if every descent
            converged, 1 if one ended for lack of evaluations, 2 if one ended otherwise, 3 if no
            value is known), `message`, and `candidate_values`, what the function returned for the
            candidates evaluated. With constraints also `constraints`, those at `x`.
        """
        self.check_parameters()
        space = Variables(self._resolve_bounds(bounds)) if variables is None else variables
        box = space.bounds
        known = None if incumbent is None else read_incumbent(incumbent, box)
        objective = LimitedFunction(fun, space, self.max_evaluations)
        n_evaluated = min(self.n_candidates, self.max_evaluations)
        points = np.atleast_2d(np.asarray(candidates, dtype=np.float64))
        rows = np.clip(space.to_unit_cube(points), 0.0, 1.0)[:n_evaluated]
        candidate_values = objective(rows)
        starts = list(zip(candidate_values, rows, strict=True))
        self._check_method(candidate_values)
        if known is not None:
            x, outputs = known
            row = np.clip(space.to_unit_cube(x[None])[0], 0.0, 1.0)
            starts.append((outputs, row))
            x = space.from_unit_cube(row[None])[0] if space.is_continuous_box else x
            objective.note(row, outputs, x)
        starts = _good_first(starts)

        n_descents = 0
        ends: list[NDArray[np.float64]] = []
        reasons: list[str] = []
        for outputs, start in starts:
            near = [np.abs(start - end).max() < SAME_START for end in ends]
            if objective.n_left == 0 or n_descents == self.n_descents:
                break
            if any(near):
                continue
            n_descents += 1
            reasons.append(self._descend(objective, start, outputs, self.initial_step))
            ends += [start, objective.local_x]
        if objective.constraints is not None:
            n_descents += self._sharpen(objective)
        status, message = self._outcome(objective, [reason for reason in reasons if reason])
        extra = {} if objective.constraints is None else {"constraints": objective.constraints}
        return OptimizeResult(
            x=objective.x,
            fun=objective.lowest,
            **extra,
            nfev=objective.n_evaluations,
            nit=n_descents,
            success=objective.x is not None,
            status=status,
            message=message,
            candidate_values=candidate_values,
        )

    def _check_method(self, values: NDArray[np.float64]) -> None:
        if values.ndim == 2 and self.method != "COBYQA":
            raise ValueError(
                f"method must be 'COBYQA' for a function that returns constraints; got "
                f"{self.method!r}."
            )

    def _outcome(self, objective: LimitedFunction, reasons: list[str]) -> tuple[int, str]:
        """Say how the refinement ended, from what ended the descents that did not converge."""
        if objective.x is None:
            return 3, "Every candidate failed."
        if objective.n_left == 0:
            return 1, f"Refinement used all of its {self.max_evaluations} evaluations."
        if reasons:
            status = 1 if all(reason == TOO_FEW_LEFT for reason in reasons) else 2
            listed = "; ".join(dict.fromkeys(reasons))
            return (
                status,
                f"Refinement ended after {objective.n_evaluations} evaluations: {listed}.",
            )
        return 0, f"Refinement converged after {objective.n_evaluations} evaluations."

    def _sharpen(self, objective: LimitedFunction) -> int:
        """Go on from the best point with smaller steps, as long as that helps.

        Where constraints meet at a sharp angle, steps of the usual length lead out of what is
        feasible in most directions. Return how many descents that took.
        """
        step, n_descents, n_free = self.initial_step, 0, len(objective.free)
        while (
            objective.best is not None and n_free and objective.n_left > n_free and step > _SHARPEST
        ):
            step /= 10.0
            before = objective.best
            self._descend(objective, objective.place, before, max(step, self.tolerance))
            n_descents += 1
            if objective.best is before:
                break
        return n_descents

    def _descend(
        self,
        objective: LimitedFunction,
        start: NDArray[np.float64],
        outputs: NDArray[np.float64],
        step: float,
    ) -> str:
        """Run the method from one start; return what ended it if it did not converge."""
        objective.begin(start, outputs)
        descents = {
            "COBYQA": self._cobyqa,
            "L-BFGS-B": self._lbfgsb,
            "Nelder-Mead": self._nelder_mead,
        }
        try:
            result = OptimizeResult(success=True)
            # Integers and categories move, then the others descend, until none moves.
            while objective.moved() and len(objective.free):
                if objective.n_left == 0:
                    return TOO_FEW_LEFT
                result = descents[self.method](objective, objective.local_x[objective.free], step)
                if not objective.has_moves:
                    break
        except StopRun as end:
            return str(end)
        if result.success:
            return ""
        if self.method == "L-BFGS-B":
            return "the line search found no lower value"
        return str(result.message).rstrip(".")

    def _lbfgsb(
        self, objective: LimitedFunction, start: NDArray[np.float64], step: float
    ) -> OptimizeResult:
        offsets = np.eye(len(start)) * self.difference

        def value_and_gradient(u: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            # Differences are taken into the cube.
            signs = np.where(u + self.difference > 1.0, -1.0, 1.0)
            values = objective(np.vstack([u, u + signs[:, None] * offsets]))
            if not np.isfinite(values).all():
                raise StopRun("an evaluation failed where a gradient was taken")
            return float(values[0]), (values[1:] - values[0]) / (signs * self.difference)

        return minimize(
            value_and_gradient,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[(0.0, 1.0)] * len(start),
            options={"maxfun": objective.n_left, "ftol": 1e-15, "gtol": 0.0},
        )

    def _nelder_mead(
        self, objective: LimitedFunction, start: NDArray[np.float64], step: float
    ) -> OptimizeResult:
        signs = np.where(start + step > 1.0, -1.0, 1.0)
        return minimize(
            objective.value,
            start,
            method="Nelder-Mead",
            bounds=[(0.0, 1.0)] * len(start),
            options={
                "initial_simplex": np.vstack([start, start + np.diag(signs * step)]),
                "maxfev": objective.n_left,
                "xatol": self.tolerance,
                # Only the size of the simplex ends the search, not the user's units of value.
                "fatol": np.inf,
                "adaptive": len(start) > 4,
            },
        )

    def _cobyqa(
        self, objective: LimitedFunction, start: NDArray[np.float64], step: float
    ) -> OptimizeResult:
        constraints = objective.known_constraints()
        if objective.constraints is not None:
            held = _unlocked(objective.scaled_constraints(step / self.initial_step))
            constraints.append(NonlinearConstraint(held, -np.inf, -_FEASIBILITY_TOLERANCE))
        return minimize(
            _unlocked(objective.value),
            start,
            method="COBYQA",
            constraints=constraints,
            bounds=[(0.0, 1.0)] * len(start),
            options={
                "maxfev": objective.n_left,
                "initial_tr_radius": step,
                "final_tr_radius": self.tolerance,
            },
        )


def _unlocked(fun: Callable[..., Any]) -> Callable[..., Any]:
    """Let other runs of COBYQA go on while one waits for a value: SciPy lets one run at a time."""
    # The lock is no part of SciPy's interface, and not in every version.
    lock = getattr(getattr(optimize, "_cobyqa_py", None), "COBYQA_LOCK", None)
    if lock is None:
        return fun

    def evaluated(x: NDArray[np.float64]) -> Any:
        lock.release()
        try:
            return fun(x)
        finally:
            lock.acquire()

    return evaluated


def _good_first(
    starts: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the starts, outputs and samples, whose evaluation succeeded, the best first."""
    if not starts:
        return []
    outputs = np.array([output for output, _ in starts])
    good = succeeded(outputs)
    return [starts[i] for i in best_first(outputs) if good[i]]
