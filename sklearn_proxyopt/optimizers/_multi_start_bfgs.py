"""BFGS from many starts at once, as one batch of tensors."""

from __future__ import annotations

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
from sklearn_proxyopt.optimizers._stacked import MemberStack, Stack, stack_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MultiStartBFGS"]

# Armijo's constant and the factor by which a step that does not satisfy it is cut.
_ARMIJO = 1e-4
_CUT = 0.3
_MAX_CUTS = 15
# The first step of a start is at most this share of the box's width.
_FIRST_STEP = 0.1
_MAX_CANDIDATES = 10
_MAX_FRUITLESS_ROUNDS = 4
_ROWS_PER_BLOCK = 4096


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
        return self._search_stack(stack_of(fun), x0, rng, callback)[0]

    def _search_members(
        self,
        proxy: Any,
        bounds: NDArray[np.float64],
        x0: NDArray[np.float64] | None,
        rng: np.random.Generator,
    ) -> list[OptimizeResult]:
        stack = MemberStack(proxy.torch_module(), bounds, each=True)
        return self._search_stack(stack, x0, rng, None)

    def _search_stack(
        self,
        stack: Stack,
        x0: NDArray[np.float64] | None,
        rng: np.random.Generator,
        callback: SearchCallback | None,
    ) -> list[OptimizeResult]:
        """Search every function of a stack at once."""
        n_features = len(stack.bounds)
        size = max(self.n_candidates, self.n_starts)
        pool = qmc.Sobol(n_features, rng=rng).random_base2(int(np.ceil(np.log2(size))))[:size]
        values = _values_at(stack, np.broadcast_to(pool, (stack.n_functions, *pool.shape)))
        searches = [_Search(pool, value, x0, self.n_starts, self.tolerance) for value in values]
        nit, stopped = 0, False
        for _ in range(self.n_rounds):
            which = [index for index, search in enumerate(searches) if search.is_open]
            if not which or stopped:
                break
            batch = _DescentBatch(stack, which, [searches[index] for index in which])
            last_iteration = nit + self.n_iterations
            while nit < last_iteration and batch.n_running and not stopped:
                batch.advance()
                nit += 1
                if callback is not None:
                    stopped = report(callback, stack, *batch.lowest(searches[0]), nit)
            for index, ends in zip(which, batch.ends(), strict=True):
                searches[index].take(*ends)
            self._breed_starts(stack, searches, size, rng)
        return [
            search.result(nit, stopped, int(nfev))
            for search, nfev in zip(searches, stack.nfev, strict=True)
        ]

    def _breed_starts(
        self, stack: Stack, searches: list[_Search], n_children: int, rng: np.random.Generator
    ) -> None:
        """Give each open search the lowest children of its minima as its next starts."""
        which = [index for index, search in enumerate(searches) if search.is_open]
        if not which:
            return
        children = np.full((stack.n_functions, n_children, len(stack.bounds)), 0.5)
        for index in which:
            children[index] = _breed(searches[index].minima, n_children, rng)
        values = _values_at(stack, children)
        for index in which:
            searches[index].start_from(children[index], values[index], max(self.n_starts // 4, 1))


class _Search:
    """What is known of one function: its minima so far and where to descend from next.

    Parameters
    ----------
    pool : ndarray of shape (n, n_features)
        The sample from which the first starts are taken.
    values : ndarray of shape (n,)
        Its values.
    x0 : ndarray of shape (n_given, n_features) or None
        Further starts.
    n_starts : int
        Number of starts to take, and of minima to remember.
    tolerance : float
        The parameter of that name.
    """

    def __init__(
        self,
        pool: NDArray[np.float64],
        values: NDArray[np.float64],
        x0: NDArray[np.float64] | None,
        n_starts: int,
        tolerance: float,
    ) -> None:
        finite = values[np.isfinite(values)]
        self.is_open = bool(len(finite))
        self.tolerance = tolerance * (float(np.std(finite)) if len(finite) else 1.0)
        if self.tolerance == 0.0:
            self.tolerance = tolerance
        self.minima, self.lows = np.empty((0, pool.shape[1])), np.empty(0)
        self.n_converged = self._n_fruitless = 0
        self._n_kept = n_starts
        self._anywhere = pool[0]
        self.starts = pool
        self.start_from(pool, values, n_starts)
        if x0 is not None:
            self.starts = np.vstack([x0, self.starts])

    def start_from(
        self, points: NDArray[np.float64], values: NDArray[np.float64], n_starts: int
    ) -> None:
        """Start from the lowest of some points."""
        self.starts = points[np.argsort(values, kind="stable")[:n_starts]]

    def take(
        self, points: NDArray[np.float64], values: NDArray[np.float64], n_converged: int
    ) -> None:
        """Take the ends of a round of descents; some rounds without a gain end the search."""
        self.n_converged += n_converged
        lowest_before = self.lows[0] if len(self.lows) else np.inf
        self.minima, self.lows = distinct_minima(
            np.vstack([self.minima, points]),
            np.concatenate([self.lows, values]),
            max_candidates=self._n_kept,
        )
        gained = self.lows[0] < lowest_before - self.tolerance
        self._n_fruitless = 0 if gained else self._n_fruitless + 1
        self.is_open = self._n_fruitless < _MAX_FRUITLESS_ROUNDS

    def result(self, nit: int, stopped: bool, nfev: int) -> OptimizeResult:
        """Say what was found."""
        if not len(self.lows):
            return OptimizeResult(
                x=self._anywhere,
                fun=np.inf,
                nit=nit,
                nfev=nfev,
                success=False,
                message="No finite value was found.",
            )
        return OptimizeResult(
            x=self.minima[0],
            fun=float(self.lows[0]),
            nit=nit,
            nfev=nfev,
            success=bool(self.n_converged) and not stopped,
            message="Stopped by the callback."
            if stopped
            else f"{self.n_converged} descents converged in {nit} iterations.",
            x_candidates=self.minima[:_MAX_CANDIDATES],
            fun_candidates=self.lows[:_MAX_CANDIDATES],
        )


def _values_at(stack: Stack, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values (n_functions, n) at points (n_functions, n, n_features)."""
    import torch

    rows = torch.tensor(points, dtype=stack.dtype, device=stack.device)
    with threads_for(points.shape[1]):
        blocks = [stack.values(block) for block in rows.split(_ROWS_PER_BLOCK, dim=1)]
    return torch.cat(blocks, dim=1).cpu().double().numpy()


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
    """The starts of one round, of all open searches, descending at once.

    Parameters
    ----------
    stack : Stack
        The functions.
    which : list of int
        The functions that are searched, in ascending order.
    searches : list of _Search
        Their searches.
    """

    def __init__(self, stack: Stack, which: list[int], searches: list[_Search]) -> None:
        import torch

        self._torch = torch
        self._stack = stack
        self._sizes = [len(search.starts) for search in searches]
        sizes = torch.tensor(self._sizes)
        self._which = torch.tensor(which).repeat_interleave(sizes).to(stack.device)
        tolerances = torch.tensor([search.tolerance for search in searches], dtype=stack.dtype)
        self._tolerance = tolerances.repeat_interleave(sizes).to(stack.device)
        starts = np.vstack([search.starts for search in searches])
        self._x = torch.as_tensor(starts, dtype=stack.dtype, device=stack.device)
        with threads_for(len(starts)):
            self._f, self._g = stack.at(self._x, self._which)
        n_starts, n_features = starts.shape
        self._identity = torch.eye(n_features, dtype=stack.dtype, device=stack.device)
        self._inverse_hessian = self._identity.repeat(n_starts, 1, 1)
        self._fresh = torch.ones(n_starts, dtype=torch.bool, device=stack.device)
        converged = self._has_converged(self._x, self._g, self._tolerance)
        self._running = torch.isfinite(self._f) & ~converged

    @property
    def n_running(self) -> int:
        """Number of starts that have not stopped."""
        return int(self._running.sum())

    def ends(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64], int]]:
        """Return where the starts of each search are, the values there, and how many stopped."""
        values = self._torch.where(self._torch.isfinite(self._f), self._f, self._torch.inf)
        cuts = np.cumsum(self._sizes)[:-1]
        points, values, running = (
            np.split(tensor.cpu().double().numpy(), cuts)
            for tensor in (self._x, values, self._running)
        )
        n_stopped = [len(one) - int(one.sum()) for one in running]
        return list(zip(points, values, n_stopped, strict=True))

    def lowest(self, search: _Search) -> tuple[NDArray[np.float64], float]:
        """Return the lowest point of this round and of those before, of the only search."""
        ((points, values, _),) = self.ends()
        points, values = np.vstack([search.minima, points]), np.concatenate([search.lows, values])
        return points[values.argmin()], float(values.min())

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

        line = (x, f, g, direction, self._which[rows])
        x_new, f_new, g_new, accepted = self._line_search(*line)
        step, change = x_new - x, g_new - g
        updated = _bfgs_update(inverse_hessian, step, change, fresh & accepted, self._identity)
        # A failed line search starts again along the gradient; a second failure in a row ends.
        updated = torch.where(accepted[:, None, None], updated, self._identity)
        exhausted = ~accepted & fresh
        still = accepted & (step.abs().amax(dim=1) < torch.finfo(x.dtype).eps)

        self._x[rows], self._f[rows], self._g[rows] = x_new, f_new, g_new
        self._inverse_hessian[rows], self._fresh[rows] = updated, ~accepted
        converged = self._has_converged(x_new, g_new, self._tolerance[rows])
        self._running[rows] = ~(converged | exhausted | still)

    def _line_search(
        self, x: Tensor, f: Tensor, g: Tensor, direction: Tensor, which: Tensor
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
            value, gradient = self._stack.at(trial, which[rows])
            expected = (g[rows] * (trial - x[rows])).sum(dim=1)
            enough = (value <= f[rows] + _ARMIJO * expected) & torch.isfinite(gradient).all(dim=1)
            done = rows[enough]
            x_new[done], f_new[done], g_new[done] = trial[enough], value[enough], gradient[enough]
            accepted[done] = True
            length[rows] = length[rows] * _CUT
        return x_new, f_new, g_new, accepted

    def _has_converged(self, x: Tensor, g: Tensor, tolerance: Tensor) -> Tensor:
        free_gradient = self._torch.where(_held(x, g), 0.0, g)
        return free_gradient.abs().amax(dim=1) <= tolerance


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
