"""BFGS from many starts at once, as one batch of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult
from scipy.stats import qmc

from sklearn_proxyopt._threads import threads_for
from sklearn_proxyopt._validation import check_integer, check_real
from sklearn_proxyopt.optimizers._base import (
    BaseOptimizer,
    SearchCallback,
    UnitCubeFunction,
    report,
)
from sklearn_proxyopt.optimizers._candidates import distinct_minima

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    ValueAndGradient = Callable[[Tensor], tuple[Tensor, Tensor]]

__all__ = ["MultiStartBFGS"]

# Armijo's constant and the factor by which a step that does not satisfy it is cut.
_ARMIJO = 1e-4
_CUT = 0.3
_MAX_CUTS = 15
# The first step of a start is at most this share of the box's width.
_FIRST_STEP = 0.1
_DIFFERENCE = 1e-6
_MAX_CANDIDATES = 10
_MAX_FRUITLESS_ROUNDS = 4


class MultiStartBFGS(BaseOptimizer):
    """BFGS from many starts at once, inside the box.

    The starts are the lowest of a quasi-random sample; all advance together as one batch, each
    with its own inverse Hessian, step length and stop. Further rounds start from the lowest of
    many children of the minima found, which take each variable from one of two minima or move
    one minimum by the difference of two others, until some rounds in a row find nothing lower.

    Variables that push against a side of the box are held there (projected BFGS [1]_). A neural
    proxy is searched on its own device by its own gradient; a function with `value_and_grad` by
    that; any other by forward differences, taken as one batch too.

    Parameters
    ----------
    n_starts : int, default=128
        Number of starts.
    n_iterations : int, default=200
        Most iterations of a start in a round.
    n_rounds : int, default=20
        Most rounds.
    n_candidates : int, default=8192
        Size of the quasi-random sample, and number of children in a round, of which the lowest
        become starts.
    tolerance : float, default=1e-8
        A start has converged when no free component of its gradient, over the width of the box,
        exceeds this share of the spread of the sample's values.
    random_state : None, int, RandomState or Generator, default=None
        Scrambles the sample and draws the children.

    Attributes
    ----------
    bounds_ : ndarray of shape (n_features, 2)
        The box read by `fit`, if it was called.

    References
    ----------
    .. [1] Bertsekas, "Projected Newton Methods for Optimization Problems with Simple
       Constraints", SIAM Journal on Control and Optimization 20 (2), 1982.

    Examples
    --------
    >>> from sklearn_proxyopt.optimizers import MultiStartBFGS
    >>> from sklearn_proxyopt.problems import Rosenbrock
    >>> problem = Rosenbrock(n_dims=2)
    >>> result = MultiStartBFGS(n_starts=8, random_state=0).minimize(problem, problem.bounds)
    >>> bool(result.fun < 1e-6)
    True
    """

    def __init__(
        self,
        n_starts: int = 128,
        n_iterations: int = 200,
        *,
        n_rounds: int = 20,
        n_candidates: int = 8192,
        tolerance: float = 1e-8,
        random_state: Any = None,
    ) -> None:
        self.n_starts = n_starts
        self.n_iterations = n_iterations
        self.n_rounds = n_rounds
        self.n_candidates = n_candidates
        self.tolerance = tolerance
        self.random_state = random_state

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        for name in ("n_starts", "n_iterations", "n_rounds", "n_candidates"):
            check_integer(getattr(self, name), name)
        check_real(self.tolerance, "tolerance", minimum=0.0)

    def _search(
        self,
        fun: UnitCubeFunction,
        x0: NDArray[np.float64] | None,
        rng: np.random.Generator,
        callback: SearchCallback | None,
    ) -> OptimizeResult:
        n_starts, n_features = self.n_starts, len(fun.bounds)
        size = max(self.n_candidates, n_starts)
        pool = qmc.Sobol(n_features, rng=rng).random_base2(int(np.ceil(np.log2(size))))[:size]
        values = fun(pool)
        if not np.isfinite(values).any():
            return OptimizeResult(
                x=pool[0], fun=np.inf, nit=0, success=False, message="No finite value was found."
            )
        tolerance = self.tolerance * (float(np.std(values[np.isfinite(values)])) or 1.0)
        starts = pool[np.argsort(values, kind="stable")[:n_starts]]
        if x0 is not None:
            starts = np.vstack([x0, starts])

        minima, lows = np.empty((0, n_features)), np.empty(0)
        nit = n_converged = n_fruitless = 0
        stopped = False
        for _ in range(self.n_rounds):
            batch = _DescentBatch(fun, starts, tolerance)
            last_iteration = nit + self.n_iterations
            while nit < last_iteration and batch.n_running and not stopped:
                batch.advance()
                nit += 1
                if callback is not None:
                    stopped = report(callback, fun, *_lowest(batch, minima, lows), nit)
            points, ends = batch.points()
            n_converged += len(points) - batch.n_running
            lowest_before = lows[0] if len(lows) else np.inf
            minima, lows = distinct_minima(
                np.vstack([minima, points]), np.concatenate([lows, ends]), max_candidates=n_starts
            )
            n_fruitless = 0 if lows[0] < lowest_before - tolerance else n_fruitless + 1
            if stopped or n_fruitless == _MAX_FRUITLESS_ROUNDS:
                break
            children = _breed(minima, size, rng)
            starts = children[np.argsort(fun(children), kind="stable")[: max(n_starts // 4, 1)]]
        return OptimizeResult(
            x=minima[0],
            fun=float(lows[0]),
            nit=nit,
            success=bool(n_converged) and not stopped,
            message="Stopped by the callback."
            if stopped
            else f"{n_converged} descents converged in {nit} iterations.",
            x_candidates=minima[:_MAX_CANDIDATES],
            fun_candidates=lows[:_MAX_CANDIDATES],
        )


def _lowest(
    batch: _DescentBatch, minima: NDArray[np.float64], lows: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return the lowest point of this round and of those before."""
    points, values = batch.points()
    points, values = np.vstack([minima, points]), np.concatenate([lows, values])
    return points[values.argmin()], float(values.min())


def _breed(
    minima: NDArray[np.float64], n_children: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Make points near to where the minima found suggest further ones.

    Half of the children take each variable from one of two minima, which finds the others of a
    function that is a sum over variables. Half move one minimum by the difference of two others,
    which finds those of a lattice in any direction. Some variables of each are moved a little.
    """
    n_minima, n_features = minima.shape
    # The rank of a parent is the lower of two draws, so that low minima are parents more often.
    first, second, third = minima[rng.integers(n_minima, size=(2, 3, n_children)).min(axis=0)]
    mixed = np.where(rng.random((n_children, n_features)) < 0.5, first, second)
    shifted = first + second - third
    children = np.where(rng.random((n_children, 1)) < 0.5, mixed, shifted)
    moved = rng.random((n_children, n_features)) < rng.random((n_children, 1))
    size = 10.0 ** rng.uniform(-3.0, -0.5, size=(n_children, 1))
    children = children + moved * size * rng.standard_normal((n_children, n_features))
    return np.clip(children, 0.0, 1.0)


class _DescentBatch:
    """The starts of one search, all descending at once.

    Parameters
    ----------
    fun : UnitCubeFunction
        The function.
    starts : ndarray of shape (n_starts, n_features)
        Points of the unit cube.
    tolerance : float
        Largest component of the projected gradient of a start that has converged.
    """

    def __init__(
        self, fun: UnitCubeFunction, starts: NDArray[np.float64], tolerance: float
    ) -> None:
        import torch

        self._torch = torch
        self._value_and_grad, device, dtype = _gradient_of(fun)
        self._tolerance = tolerance
        self._x = torch.as_tensor(starts, dtype=dtype, device=device)
        with threads_for(len(starts)):
            self._f, self._g = self._value_and_grad(self._x)
        n_starts, n_features = starts.shape
        self._identity = torch.eye(n_features, dtype=dtype, device=device)
        self._inverse_hessian = self._identity.repeat(n_starts, 1, 1)
        self._fresh = torch.ones(n_starts, dtype=torch.bool, device=device)
        self._running = torch.isfinite(self._f) & ~self._has_converged(self._x, self._g)

    @property
    def n_running(self) -> int:
        """Number of starts that have not stopped."""
        return int(self._running.sum())

    def points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where the starts are, and the values there."""
        values = self._torch.where(self._torch.isfinite(self._f), self._f, self._torch.inf)
        return self._x.cpu().double().numpy(), values.cpu().double().numpy()

    def best(self) -> tuple[NDArray[np.float64], float]:
        """Return the lowest point so far and its value."""
        points, values = self.points()
        lowest = int(values.argmin())
        return points[lowest], float(values[lowest])

    def advance(self) -> None:
        """Let each running start take one step."""
        rows = self._running.nonzero()[:, 0]
        with threads_for(len(rows)):
            self._advance(rows)

    def _advance(self, rows: Tensor) -> None:
        torch = self._torch
        x, f, g = self._x[rows], self._f[rows], self._g[rows]
        inverse_hessian, fresh = self._inverse_hessian[rows], self._fresh[rows]

        free = ~_held(x, g)
        free_gradient = torch.where(free, g, 0.0)
        direction = -torch.einsum("nij,nj->ni", inverse_hessian, free_gradient)
        direction = torch.where(free, direction, 0.0)
        uphill = (direction * free_gradient).sum(dim=1) >= 0
        fresh = fresh | uphill
        direction = torch.where(uphill[:, None], -free_gradient, direction)
        reach = direction.abs().amax(dim=1).clamp_min(torch.finfo(x.dtype).tiny)
        limit = torch.where(fresh, _FIRST_STEP, 1.0)
        direction = direction * (limit / reach).clamp_max(1.0)[:, None]

        x_new, f_new, g_new, accepted = self._line_search(x, f, g, direction)
        step, change = x_new - x, g_new - g
        updated = _bfgs_update(inverse_hessian, step, change, fresh & accepted, self._identity)
        # A failed line search starts again along the gradient; a second failure in a row ends.
        updated = torch.where(accepted[:, None, None], updated, self._identity)
        exhausted = ~accepted & fresh
        still = accepted & (step.abs().amax(dim=1) < torch.finfo(x.dtype).eps)

        self._x[rows], self._f[rows], self._g[rows] = x_new, f_new, g_new
        self._inverse_hessian[rows], self._fresh[rows] = updated, ~accepted
        self._running[rows] = ~(self._has_converged(x_new, g_new) | exhausted | still)

    def _line_search(
        self, x: Tensor, f: Tensor, g: Tensor, direction: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Cut each start's step until it descends enough along the projected path."""
        torch = self._torch
        x_new, f_new, g_new = x.clone(), f.clone(), g.clone()
        accepted = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        length = torch.ones(len(x), dtype=x.dtype, device=x.device)
        for _ in range(_MAX_CUTS):
            rows = (~accepted).nonzero()[:, 0]
            if not len(rows):
                break
            trial = (x[rows] + length[rows, None] * direction[rows]).clamp(0.0, 1.0)
            value, gradient = self._value_and_grad(trial)
            expected = (g[rows] * (trial - x[rows])).sum(dim=1)
            enough = (value <= f[rows] + _ARMIJO * expected) & torch.isfinite(gradient).all(dim=1)
            done = rows[enough]
            x_new[done], f_new[done], g_new[done] = trial[enough], value[enough], gradient[enough]
            accepted[done] = True
            length[rows] = length[rows] * _CUT
        return x_new, f_new, g_new, accepted

    def _has_converged(self, x: Tensor, g: Tensor) -> Tensor:
        free_gradient = self._torch.where(_held(x, g), 0.0, g)
        return free_gradient.abs().amax(dim=1) <= self._tolerance


def _held(x: Tensor, g: Tensor) -> Tensor:
    """Tell which variables lie on a side of the cube with their descent pointing outside."""
    return ((x <= 0.0) & (g > 0.0)) | ((x >= 1.0) & (g < 0.0))


def _bfgs_update(
    inverse_hessian: Tensor, step: Tensor, change: Tensor, fresh: Tensor, identity: Tensor
) -> Tensor:
    """Update each inverse Hessian (Nocedal and Wright 2006, equations 6.17 and 6.20).

    Where step and change have no positive product the curvature is of no use and the matrix stays
    as it is.
    """
    import torch

    product = (step * change).sum(dim=1)
    norms = step.norm(dim=1) * change.norm(dim=1)
    curved = product > 1e-10 * norms
    safe = torch.where(curved, product, 1.0)
    size = safe / change.square().sum(dim=1).clamp_min(torch.finfo(step.dtype).tiny)
    start = torch.where(
        (fresh & curved)[:, None, None], size[:, None, None] * identity, inverse_hessian
    )
    rho = 1.0 / safe
    left = identity - rho[:, None, None] * step[:, :, None] * change[:, None, :]
    outer = rho[:, None, None] * step[:, :, None] * step[:, None, :]
    updated = left @ start @ left.transpose(1, 2) + outer
    return torch.where(curved[:, None, None], updated, start)


def _gradient_of(
    fun: UnitCubeFunction,
) -> tuple[ValueAndGradient, torch.device, torch.dtype]:
    """Return value and gradient in the unit cube by the best way that the function offers."""
    import torch

    lower, width = fun.bounds[:, 0], fun.bounds[:, 1] - fun.bounds[:, 0]
    if hasattr(fun.fun, "torch_module"):
        module = fun.fun.torch_module()
        first = next(module.buffers())
        device, dtype = first.device, first.dtype
        low = torch.as_tensor(lower, dtype=dtype, device=device)
        span = torch.as_tensor(width, dtype=dtype, device=device)

        def by_autograd(u: Tensor) -> tuple[Tensor, Tensor]:
            fun.nfev += len(u)
            u = u.detach().requires_grad_()
            value = module(low + span * u)[:, 0]
            (gradient,) = torch.autograd.grad(value.sum(), u)
            return value.detach(), gradient

        return by_autograd, device, dtype

    def by_method(u: Tensor) -> tuple[Tensor, Tensor]:
        fun.nfev += len(u)
        value, gradient = fun.fun.value_and_grad(lower + width * u.numpy())  # type: ignore[attr-defined]
        return torch.as_tensor(value), torch.as_tensor(gradient * width)

    def by_differences(u: Tensor) -> tuple[Tensor, Tensor]:
        points = u.numpy()
        n_rows, n_features = points.shape
        # Steps point into the cube.
        steps = np.where(points + _DIFFERENCE > 1.0, -_DIFFERENCE, _DIFFERENCE)
        moved = points[:, None, :] + steps[:, :, None] * np.eye(n_features)
        values = fun(np.vstack([points, moved.reshape(-1, n_features)]))
        value, neighbors = values[:n_rows], values[n_rows:].reshape(n_rows, n_features)
        with np.errstate(invalid="ignore"):
            gradient = (neighbors - value[:, None]) / steps
        return torch.as_tensor(value), torch.as_tensor(gradient)

    method = by_method if hasattr(fun.fun, "value_and_grad") else by_differences
    return method, torch.device("cpu"), torch.float64
