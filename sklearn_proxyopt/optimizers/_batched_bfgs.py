"""BFGS on many independent problems at once, unconstrained."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._utils._validation import check_integer, check_real
from sklearn_proxyopt.optimizers._base import asks_to_stop

if TYPE_CHECKING:
    from torch import Tensor

    BatchedFunction = Callable[[Tensor, Tensor], Tensor]

__all__ = ["batched_bfgs"]

MESSAGES = {
    0: "The gradient, or what a step gains, is below its tolerance.",
    1: "The limit of iterations was reached.",
    2: "The line search found no lower value; the precision may be exhausted.",
    3: "The value or the gradient at the start is not finite.",
    4: "Stopped by the callback.",
}
_RUNNING = -1


def batched_bfgs(
    fun: BatchedFunction,
    x0: Any,
    *,
    tolerance: float = 1e-5,
    value_tolerance: float = 0.0,
    max_iterations: int | None = None,
    memory: int | None = None,
    first_step: float = 1.0,
    callback: Callable[[OptimizeResult], Any] | None = None,
) -> OptimizeResult:
    """Minimise many functions of a few variables each, in one batch of tensors.

    Each problem has its own inverse Hessian, line search and stop, and takes the steps that
    `scipy.optimize.minimize(method="BFGS")` would take on it alone, so that it ends in the same
    minimum. All that still run are evaluated together, whatever point of its search each has
    reached. Values that are not finite are stepped back from; where the start already has none,
    that problem alone fails.

    Parameters
    ----------
    fun : callable
        Called as ``fun(x, rows)`` with a tensor of shape (k, n_variables) and a tensor of the
        numbers of the k problems that its rows belong to; returns a tensor of their values, of
        shape (k,), differentiable by torch. No value may depend on another's row.
    x0 : array-like or torch.Tensor of shape (n_problems, n_variables)
        The starts. A tensor also gives type and device; an array runs as float64 on the CPU.
    tolerance : float, default=1e-5
        A problem has converged when no component of its gradient exceeds this.
    value_tolerance : float, default=0.0
        It has also converged when a step gained no more than this share of its value. A line
        search then takes the lowest value it saw when no more than that is left to gain: at a
        kink, where the slope stays steep, SciPy's goes on in vain and loses what it found.
    max_iterations : int, default=None
        Most iterations of a problem; None stands for 200 a variable.
    memory : int, default=None
        Keep this many last steps of a problem (L-BFGS) instead of a matrix of
        n_variables x n_variables. Worth it beyond a few hundred variables.
    first_step : float, default=1.0
        Longest first trial of a problem, as SciPy's. A shorter one keeps a start that is nearly
        a minimum from leaving for another; a search that needs longer steps soon takes them.
    callback : callable, default=None
        Called after each batch of evaluations with an `OptimizeResult` of `x`, `fun`, `nit` and
        `nfev` of all problems so far; the search stops when it returns True or raises
        StopIteration.

    Returns
    -------
    scipy.optimize.OptimizeResult
        Arrays with one entry a problem: `x` (n_problems, n_variables), `fun`, `jac`, `nit`, `nfev`,
        `success`, and `status` (0 converged, 1 out of iterations, 2 no lower value found, 3 not
        finite at the start, 4 stopped by the callback); `message` counts them in words.

    Examples
    --------
    >>> import torch
    >>> from sklearn_proxyopt.optimizers import batched_bfgs
    >>> targets = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    >>> result = batched_bfgs(lambda x, rows: ((x - targets[rows]) ** 2).sum(1), [[0, 0], [9, 9]])
    >>> result.x.round(6)
    array([[1., 2.],
           [3., 4.]])
    """
    import torch

    check_real(tolerance, "tolerance", minimum=0.0)
    check_real(value_tolerance, "value_tolerance", minimum=0.0)
    if memory is not None:
        check_integer(memory, "memory")
    if isinstance(x0, torch.Tensor):
        starts = x0.detach().clone()
    else:
        starts = torch.tensor(np.asarray(x0, dtype=np.float64))
    if starts.ndim != 2 or starts.shape[1] == 0:
        raise ValueError(
            f"x0 must have shape (n_problems, n_variables); got {tuple(starts.shape)}."
        )
    if max_iterations is None:
        max_iterations = 200 * starts.shape[1]
    check_integer(max_iterations, "max_iterations", minimum=0)
    check_real(first_step, "first_step", minimum=0.0, include_minimum=False)
    batch = _Batch(fun, starts, tolerance, value_tolerance, max_iterations, memory, first_step)
    while len(batch.rows):
        batch.advance()
        if callback is not None and asks_to_stop(callback, batch.result()):
            batch.stop(torch.ones(len(batch.rows), dtype=torch.bool, device=starts.device), 4)
            break
    return batch.result()


class _Batch:
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
        self._status = torch.full_like(self.rows, _RUNNING)
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
        stopped = torch.where(finite, torch.where(converged, 0, _RUNNING), 3)
        if max_iterations == 0:
            stopped = torch.where(stopped == _RUNNING, 1, stopped)
        self.stop(stopped != _RUNNING, stopped[stopped != _RUNNING])

    def stop(self, mask: Tensor, status: Any) -> None:
        """End the running problems where the mask is True."""
        if not mask.any():
            return
        self._status[self.rows[mask]] = status
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
        status = torch.where(failed, torch.where(self._search.is_futile, 0, 2), _RUNNING)
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
                converged, 0, torch.where(still, 2, torch.where(spent, 1, _RUNNING))
            )
            self._curvature.learn(here, moved[here], change)
            self._turn(here, f[here], f_before, g[here])
        self.stop(status != _RUNNING, status[status != _RUNNING])

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
