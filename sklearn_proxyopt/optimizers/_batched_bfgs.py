"""BFGS on many independent problems at once, unconstrained."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._utils._validation import check_integer, check_real
from sklearn_proxyopt.optimizers._base import asks_to_stop
from sklearn_proxyopt.optimizers._bfgs_batch import STOPPED_BY_CALLBACK, Batch

if TYPE_CHECKING:
    from torch import Tensor

    BatchedFunction = Callable[[Tensor, Tensor], Tensor]

__all__ = ["batched_bfgs"]


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
    """Minimize many functions of a few variables each, in one batch of tensors.

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
    starts = _starts(x0)
    if starts.ndim != 2 or starts.shape[1] == 0:
        raise ValueError(
            f"x0 must have shape (n_problems, n_variables); got {tuple(starts.shape)}."
        )
    if max_iterations is None:
        max_iterations = 200 * starts.shape[1]
    check_integer(max_iterations, "max_iterations", minimum=0)
    check_real(first_step, "first_step", minimum=0.0, include_minimum=False)
    kind = Batch
    if takes_static_moves(fun, starts, memory):
        from sklearn_proxyopt.optimizers._static_bfgs import StaticBatch

        kind = StaticBatch
    # Gradients are needed whatever the caller has switched on.
    with torch.inference_mode(False):
        batch = kind(fun, starts, tolerance, value_tolerance, max_iterations, memory, first_step)
        while batch.is_running:
            batch.advance()
            if callback is not None and asks_to_stop(callback, batch.result()):
                batch.stop(torch.full_like(batch.rows, STOPPED_BY_CALLBACK))
                break
        return batch.result()


def _starts(x0: Any) -> Tensor:
    """Return a copy of the starts, an ordinary tensor also where those of an inference came."""
    import torch

    with torch.inference_mode(False):
        if isinstance(x0, torch.Tensor):
            return x0.clone().detach()
        return torch.tensor(np.asarray(x0), dtype=torch.float64, device="cpu")


def takes_static_moves(fun: BatchedFunction, starts: Tensor, memory: int | None) -> bool:
    """Return whether moves are recorded: those of a function on CUDA that says it may be."""
    return starts.device.type == "cuda" and memory is None and getattr(fun, "is_static", False)
