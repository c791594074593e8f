"""Descents by projected BFGS, all at once, and what is known from those before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._utils._distances import SAME_MINIMUM
from sklearn_proxyopt.optimizers._candidates import distinct_minima
from sklearn_proxyopt.optimizers._stacked import Stack

if TYPE_CHECKING:
    from torch import Tensor

    from sklearn_proxyopt.optimizers._curvature import LimitedCurvature, ScaledCurvature

__all__ = ["DescentBatch", "Search"]

# Armijo's constant, the limits of the factor by which a step that does not satisfy it is cut, and
# the share of the first length at which cutting ends.
_ARMIJO = 1e-4
_SHORTEST_CUT, _LONGEST_CUT = 0.1, 0.5
_SHORTEST_STEP = 1e-8
# The first step of a start is at most this share of the box's width, unless told otherwise.
_FIRST_STEP = 0.1
# A step that gains less than this share of the tolerance is the last.
_SMALLEST_GAIN = 1e-6
_MAX_CANDIDATES = 10
# So many rounds in a row without a gain end a search; fewer, where no bred start ever gained.
_MAX_FRUITLESS_ROUNDS = 4
_MAX_ROUNDS_IN_VAIN = 2
# A matrix holds the curvature in up to so many variables, beyond them so many steps do.
_MOST_DENSE, _MEMORY = 100, 20
# Descents that are not halved further.
_MIN_DESCENTS = 16


class Search:
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
        self._has_gained = False
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
        self._has_gained |= gained and np.isfinite(lowest_before)
        limit = _MAX_FRUITLESS_ROUNDS if self._has_gained else _MAX_ROUNDS_IN_VAIN
        self.is_open = self._n_fruitless < limit

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


class DescentBatch:
    """The starts of one round, of all open searches, descending at once.

    Parameters
    ----------
    stack : Stack
        The functions.
    which : list of int
        The functions that are searched, in ascending order.
    searches : list of Search
        Their searches.
    first_step : float, default=0.1
        Longest first step of a start, as a share of the width of the bounds.
    """

    def __init__(
        self,
        stack: Stack,
        which: list[int],
        searches: list[Search],
        first_step: float = _FIRST_STEP,
    ) -> None:
        import torch

        from sklearn_proxyopt.optimizers._curvature import LimitedCurvature, ScaledCurvature

        self._torch = torch
        self._stack = stack
        self._searches = searches
        self._first_step = first_step
        self._sizes = [len(search.starts) for search in searches]
        sizes = torch.tensor(self._sizes, dtype=torch.long, device="cpu")
        numbers = torch.tensor(which, dtype=torch.long, device="cpu")
        self._which = numbers.repeat_interleave(sizes).to(stack.device)
        tolerances = [search.tolerance for search in searches]
        each = torch.tensor(tolerances, dtype=stack.dtype, device="cpu")
        self._tolerance = each.repeat_interleave(sizes).to(stack.device)
        starts = np.vstack([search.starts for search in searches])
        self._x = torch.as_tensor(starts, dtype=stack.dtype, device=stack.device)
        self._f, self._g = stack.at(self._x, self._which)
        n_starts, n_features = starts.shape
        self._curvature: ScaledCurvature | LimitedCurvature = (
            ScaledCurvature(self._x)
            if n_features <= _MOST_DENSE
            else LimitedCurvature(self._x, _MEMORY)
        )
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
            minima = torch.as_tensor(search.minima, device="cpu").to(self._x)
            lows = torch.as_tensor(search.lows, device="cpu").to(self._f)
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

    def lowest(self, search: Search) -> tuple[NDArray[np.float64], float]:
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
        self._curvature.forget(rows[failed])

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
        step, change = trial - self._x[done], g_new - self._g[done]
        product, norms = (step * change).sum(dim=1), step.norm(dim=1) * change.norm(dim=1)
        # Elsewhere the curvature is of no use.
        curved = product > 1e-10 * norms
        self._curvature.forget(done[curved & self._fresh[done]])
        self._curvature.learn(done[curved], step[curved], change[curved])
        self._x[done], self._f[done], self._g[done] = trial, f_new, g_new

    def _aim(self, rows: Tensor) -> None:
        """Set the directions of some starts, along which a length of one is tried first."""
        torch = self._torch
        free = ~_held(self._x[rows], self._g[rows])
        free_gradient = torch.where(free, self._g[rows], 0.0)
        direction = -self._curvature.times(rows, free_gradient)
        direction = torch.where(free, direction, 0.0)
        uphill = (direction * free_gradient).sum(dim=1) >= 0
        direction = torch.where(uphill[:, None], -free_gradient, direction)
        self._fresh[rows] |= uphill
        reach = direction.abs().amax(dim=1).clamp_min(torch.finfo(direction.dtype).tiny)
        longest = torch.ones_like(reach).masked_fill_(self._fresh[rows], self._first_step)
        self._direction[rows] = direction * (longest / reach).clamp_max(1.0)[:, None]

    def _has_converged(self, x: Tensor, g: Tensor, tolerance: Tensor) -> Tensor:
        free_gradient = self._torch.where(_held(x, g), 0.0, g)
        return free_gradient.abs().amax(dim=1) <= tolerance


def _held(x: Tensor, g: Tensor) -> Tensor:
    """Tell which variables lie on a side of the cube with their descent pointing outside."""
    return ((x <= 0.0) & (g > 0.0)) | ((x >= 1.0) & (g < 0.0))
