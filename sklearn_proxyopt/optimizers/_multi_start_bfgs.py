"""BFGS from many starts at once, as one batch of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult
from scipy.stats import qmc

from sklearn_proxyopt._validation import check_integer, check_real
from sklearn_proxyopt.optimizers._base import (
    BaseOptimizer,
    SearchCallback,
    UnitCubeFunction,
    report,
)
from sklearn_proxyopt.optimizers._candidates import SAME_MINIMUM, distinct_minima
from sklearn_proxyopt.optimizers._stacked import MemberStack, Stack, stack_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MultiStartBFGS"]

# Armijo's constant, the limits of the factor by which a step that does not satisfy it is cut, and
# the share of the first length at which cutting ends.
_ARMIJO = 1e-4
_SHORTEST_CUT, _LONGEST_CUT = 0.1, 0.5
_SHORTEST_STEP = 1e-8
# The first step of a start is at most this share of the box's width.
_FIRST_STEP = 0.1
# A step that gains less than this share of the tolerance is the last.
_SMALLEST_GAIN = 1e-6
_MAX_CANDIDATES = 10
_MAX_FRUITLESS_ROUNDS = 4
_ROWS_PER_BLOCK = 4096
# After so many iterations of a round the higher half of its descents ends, but for so many.
_HALVINGS = (10, 20, 40, 80)
_MIN_DESCENTS = 16
# After so many, those end that have come to a minimum already known.
_VISITS = (3, 6, 9, 12, 16, 20, 30)


class MultiStartBFGS(BaseOptimizer):
    """BFGS from many starts at once, inside the box.

    The starts are the lowest of a quasi-random sample; all advance together as one batch, each
    with its own inverse Hessian, step length and stop; as they go on, the higher half of them
    ends early, some times over. Further rounds start from the lowest of
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
        Most steps that a start tries in a round.
    n_rounds : int, default=20
        Most rounds.
    n_candidates : int, default=4096
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
        n_candidates: int = 4096,
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
        with stack.threads(self.n_starts) as threads:
            return self._descend(stack, threads, x0, rng, callback)

    def _descend(
        self,
        stack: Stack,
        threads: Any,
        x0: NDArray[np.float64] | None,
        rng: np.random.Generator,
        callback: SearchCallback | None,
    ) -> list[OptimizeResult]:
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
            first_iteration = nit
            while nit < first_iteration + self.n_iterations and batch.n_running and not stopped:
                threads.choose()
                batch.advance()
                nit += 1
                if (nit - first_iteration) in _HALVINGS:
                    batch.halve()
                if (nit - first_iteration) in _VISITS:
                    batch.end_where_known()
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
        self._searches = searches
        self._sizes = [len(search.starts) for search in searches]
        sizes = torch.tensor(self._sizes)
        self._which = torch.tensor(which).repeat_interleave(sizes).to(stack.device)
        tolerances = torch.tensor([search.tolerance for search in searches], dtype=stack.dtype)
        self._tolerance = tolerances.repeat_interleave(sizes).to(stack.device)
        starts = np.vstack([search.starts for search in searches])
        self._x = torch.as_tensor(starts, dtype=stack.dtype, device=stack.device)
        self._f, self._g = stack.at(self._x, self._which)
        n_starts, n_features = starts.shape
        self._identity = torch.eye(n_features, dtype=stack.dtype, device=stack.device)
        self._inverse_hessian = self._identity.repeat(n_starts, 1, 1)
        self._fresh = torch.ones(n_starts, dtype=torch.bool, device=stack.device)
        converged = self._has_converged(self._x, self._g, self._tolerance)
        self._running = torch.isfinite(self._f) & ~converged
        self._ended_early = torch.zeros_like(self._running)
        self._length = torch.ones_like(self._f)
        self._direction = torch.zeros_like(self._x)
        self._aim(torch.arange(n_starts, device=stack.device))

    def halve(self) -> None:
        """End the higher half of the descents of each search, down to a few."""
        for rows in self._torch.arange(len(self._f), device=self._f.device).split(self._sizes):
            n_active = int((~self._ended_early[rows]).sum())
            n_kept = max(n_active // 2, min(_MIN_DESCENTS, n_active))
            order = self._f[rows].where(~self._ended_early[rows], self._torch.inf).argsort()
            higher = rows[order[n_kept:]]
            self._ended_early[higher] |= self._running[higher]
            self._running[higher] = False

    def end_where_known(self) -> None:
        """End descents that have come to a minimum of an earlier round, and not below it."""
        torch = self._torch
        rows = torch.arange(len(self._f), device=self._f.device).split(self._sizes)
        for own, search in zip(rows, self._searches, strict=True):
            running = own[self._running[own]]
            if not len(search.lows) or not len(running):
                continue
            minima = torch.as_tensor(search.minima).to(self._x)
            lows = torch.as_tensor(search.lows).to(self._f)
            reach = SAME_MINIMUM * minima.shape[1] ** 0.5
            near = torch.cdist(self._x[running], minima) <= reach
            known = (near & (self._f[running, None] >= lows)).any(dim=1)
            self._ended_early[running[known]] = True
            self._running[running[known]] = False

    @property
    def n_running(self) -> int:
        """Number of starts that have not stopped."""
        return int(self._running.sum())

    def ends(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64], int]]:
        """Return where the starts of each search are, the values there, and how many converged."""
        values = self._torch.where(self._torch.isfinite(self._f), self._f, self._torch.inf)
        cuts = np.cumsum(self._sizes)[:-1]
        open_ends = self._running | self._ended_early
        points, values, unfinished = (
            np.split(tensor.cpu().double().numpy(), cuts) for tensor in (self._x, values, open_ends)
        )
        n_converged = [len(one) - int(one.sum()) for one in unfinished]
        return list(zip(points, values, n_converged, strict=True))

    def lowest(self, search: _Search) -> tuple[NDArray[np.float64], float]:
        """Return the lowest point of this round and of those before, of the only search."""
        ((points, values, _),) = self.ends()
        points, values = np.vstack([search.minima, points]), np.concatenate([search.lows, values])
        return points[values.argmin()], float(values.min())

    def advance(self) -> None:
        """Let each running start try one step, along its direction and of its own length."""
        torch = self._torch
        rows = self._running.nonzero()[:, 0]
        x, f, g = self._x[rows], self._f[rows], self._g[rows]
        length = self._length[rows]
        trial = (x + length[:, None] * self._direction[rows]).clamp(0.0, 1.0)
        f_new, g_new = self._stack.at(trial, self._which[rows])
        slope = (g * (trial - x)).sum(dim=1)
        accepted = (f_new <= f + _ARMIJO * slope) & torch.isfinite(g_new).all(dim=1)
        self._step_from(rows, trial, f_new, g_new, accepted)

        # A step that is refused is cut to where a parabola has its minimum, or so. One refused too
        # often starts again along the gradient, and a second failure there is the end.
        cut = -0.5 * slope / (f_new - f - slope)
        cut = torch.where(
            torch.isfinite(cut), cut.clamp(_SHORTEST_CUT, _LONGEST_CUT), _SHORTEST_CUT
        )
        length = torch.where(accepted, 1.0, length * cut)
        failed = ~accepted & (length < _SHORTEST_STEP)
        exhausted = failed & self._fresh[rows]
        self._length[rows] = torch.where(failed, 1.0, length)
        self._fresh[rows] = torch.where(accepted, False, self._fresh[rows] | failed)
        self._inverse_hessian[rows[failed]] = self._identity

        still = (trial - x).abs().amax(dim=1) < torch.finfo(x.dtype).eps
        still |= f - f_new <= _SMALLEST_GAIN * self._tolerance[rows]
        converged = self._has_converged(self._x[rows], self._g[rows], self._tolerance[rows])
        self._running[rows] = ~(converged | exhausted | (accepted & still))
        self._aim(rows[accepted | failed])

    def _step_from(
        self, rows: Tensor, trial: Tensor, f_new: Tensor, g_new: Tensor, accepted: Tensor
    ) -> None:
        """Take the steps that were accepted and learn the curvature from them."""
        done = rows[accepted]
        trial, f_new, g_new = trial[accepted], f_new[accepted], g_new[accepted]
        self._inverse_hessian[done] = _bfgs_update(
            self._inverse_hessian[done],
            trial - self._x[done],
            g_new - self._g[done],
            self._fresh[done],
            self._identity,
        )
        self._x[done], self._f[done], self._g[done] = trial, f_new, g_new

    def _aim(self, rows: Tensor) -> None:
        """Set the directions of some starts, along which a length of one is tried first."""
        torch = self._torch
        free = ~_held(self._x[rows], self._g[rows])
        free_gradient = torch.where(free, self._g[rows], 0.0)
        direction = -torch.bmm(self._inverse_hessian[rows], free_gradient[:, :, None])[:, :, 0]
        direction = torch.where(free, direction, 0.0)
        uphill = (direction * free_gradient).sum(dim=1) >= 0
        direction = torch.where(uphill[:, None], -free_gradient, direction)
        self._fresh[rows] |= uphill
        reach = direction.abs().amax(dim=1).clamp_min(torch.finfo(direction.dtype).tiny)
        limit = torch.where(self._fresh[rows], _FIRST_STEP, 1.0)
        self._direction[rows] = direction * (limit / reach).clamp_max(1.0)[:, None]

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
