"""The problems of a batched BFGS: those that still run, and the answers of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

if TYPE_CHECKING:
    from torch import Tensor

    BatchedFunction = Callable[[Tensor, Tensor], Tensor]

__all__ = ["RUNNING", "STOPPED_BY_CALLBACK", "Batch"]

MESSAGES = {
    0: "The gradient, or what a step gains, is below its tolerance.",
    1: "The limit of iterations was reached.",
    2: "The line search found no lower value; the precision may be exhausted.",
    3: "The value or the gradient at the start is not finite.",
    4: "Stopped by the callback.",
}
RUNNING = -1
STOPPED_BY_CALLBACK = 4


class Batch:
    """The problems that still run, and the answers of all.

    Parameters
    ----------
    fun : callable
        Maps points and the numbers of their problems to values.
    starts : Tensor of shape (n, n_variables)
        Where each problem starts.
    tolerance : float
        Largest component of the gradient of a problem that has converged.
    value_tolerance : float
        Largest gain of a last step, as a share of the value.
    max_iterations : int
        Most iterations of a problem.
    memory : int or None
        Steps to keep, or None for a dense inverse Hessian.
    first_step : float
        Longest first trial.

    Attributes
    ----------
    rows : Tensor of shape (n_running,)
        Numbers of the problems that run.
    """

    def __init__(
        self,
        fun: BatchedFunction,
        starts: Tensor,
        tolerance: float,
        value_tolerance: float,
        max_iterations: int,
        memory: int | None,
        first_step: float,
    ) -> None:
        import torch

        from sklearn_proxyopt.optimizers._curvature import DenseCurvature, LimitedCurvature
        from sklearn_proxyopt.optimizers._wolfe_search import WolfeSearch

        self._torch, self._fun = torch, fun
        self._tolerance, self._value_tolerance = tolerance, value_tolerance
        self._max_iterations = max_iterations
        self.rows = torch.arange(len(starts), device=starts.device)
        self._x = starts
        self._f, self._g = self._evaluate(starts)
        self._nit = torch.zeros_like(self.rows)
        self._nfev = torch.ones_like(self.rows)
        self._status = torch.full_like(self.rows, RUNNING)
        self._curvature = (
            DenseCurvature(starts) if memory is None else LimitedCurvature(starts, memory)
        )
        # Below, one entry for each problem that runs.
        self._direction = -self._g
        slope = -self._g.square().sum(dim=1)
        step = (1.01 * first_step / (-slope).sqrt()).clamp_max(1.0)
        self._search = WolfeSearch(self._f.clone(), slope, step, value_tolerance)
        finite = torch.isfinite(self._f) & torch.isfinite(self._g).all(dim=1)
        converged = self._g.abs().amax(dim=1) <= tolerance
        stopped = torch.where(finite, torch.where(converged, 0, RUNNING), 3)
        if max_iterations == 0:
            stopped = torch.where(stopped == RUNNING, 1, stopped)
        self.stop(stopped)

    @property
    def is_running(self) -> bool:
        """Whether any problem runs."""
        return len(self.rows) > 0

    def stop(self, status: Tensor) -> None:
        """End the running problems whose status is no longer that of running."""
        mask = status != RUNNING
        if not mask.any():
            return
        self._status[self.rows[mask]] = status[mask]
        self.rows = self.rows[~mask]
        self._direction = self._direction[~mask]
        self._search.keep(~mask)
        self._curvature.keep(~mask)

    def advance(self) -> None:
        """Evaluate one trial of each running problem and let it go on from there."""
        torch, rows = self._torch, self.rows
        moved = self._search.step[:, None] * self._direction
        trial = self._x[rows] + moved
        f, g = self._evaluate(trial)
        self._nfev[rows] += 1
        least = self._search.least
        found, failed = self._search.advance(f, (g * self._direction).sum(dim=1))

        here = found.nonzero()[:, 0]
        status = torch.where(failed, torch.where(self._search.is_futile, 0, 2), RUNNING)
        if len(here):
            accepted = rows[here]
            f_before, change = self._f[accepted], g[here] - self._g[accepted]
            self._x[accepted], self._f[accepted], self._g[accepted] = trial[here], f[here], g[here]
            self._nit[accepted] += 1
            converged = g[here].abs().amax(dim=1) <= self._tolerance
            converged |= (least[here] > 0) & (f_before - f[here] <= least[here])
            still = moved[here].norm(dim=1) == 0
            spent = self._nit[accepted] >= self._max_iterations
            status[here] = torch.where(
                converged, 0, torch.where(still, 2, torch.where(spent, 1, RUNNING))
            )
            self._curvature.learn(here, moved[here], change)
            self._turn(here, f[here], f_before, g[here])
        self.stop(status)

    def _turn(self, here: Tensor, f: Tensor, f_before: Tensor, g: Tensor) -> None:
        """Begin the next line search of the problems that have taken a step."""
        torch = self._torch
        direction = -self._curvature.times(here, g)
        slope = (direction * g).sum(dim=1)
        uphill = ~(slope < 0)
        if uphill.any():
            self._curvature.forget(here[uphill])
            direction = torch.where(uphill[:, None], -g, direction)
            slope = (direction * g).sum(dim=1)
        # As much as the step before gained (Nocedal and Wright 2006, eq. 3.60).
        step = (2.02 * (f - f_before) / slope).clamp_max(1.0)
        step = torch.where(step > 0, step, 1.0)
        self._direction[here] = direction
        self._search.restart(here, f, slope, step, self._value_tolerance)

    def _evaluate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return values and gradients of the running problems."""
        torch = self._torch
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            value = self._fun(x, self.rows)
        if not isinstance(value, torch.Tensor) or value.shape != (len(x),):
            shape = tuple(getattr(value, "shape", ()))
            raise ValueError(
                f"fun must return a tensor with one value a problem, of shape ({len(x)},); "
                f"got {type(value).__name__} of shape {shape}."
            )
        if not value.requires_grad:
            return value.detach().to(x.dtype), torch.zeros_like(x)
        (gradient,) = torch.autograd.grad(value, x, torch.ones_like(value))
        return value.detach().to(x.dtype), gradient

    def result(self) -> OptimizeResult:
        """Return where all problems stand."""

        def array(tensor: Tensor) -> NDArray[Any]:
            # A copy: the tensors go on changing.
            return np.array(tensor.cpu().numpy())

        status = array(self._status)
        counts = [(int((status == code).sum()), text) for code, text in MESSAGES.items()]
        return OptimizeResult(
            x=array(self._x),
            fun=array(self._f),
            jac=array(self._g),
            nit=array(self._nit),
            nfev=array(self._nfev),
            status=status,
            success=status == 0,
            message=" ".join(f"{count}: {text}" for count, text in counts if count),
        )
