"""The coarse-to-fine search of predicted landscapes, for many problems from many starts at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_proxyopt.inverse._landscape_network import LandscapeNetwork
from sklearn_proxyopt.optimizers._candidates import distinct_minima
from sklearn_proxyopt.optimizers._descents import DescentBatch, Search
from sklearn_proxyopt.optimizers._stacked import Stack

__all__ = ["Survey", "survey", "walk_down"]

_N_ITERATIONS = 100
_TOLERANCE = 1e-5
# Distances below this share of the width of the box need not be told apart: what follows is a
# refinement on the simulator.
_NEAR = 0.005


class _LandscapeStack(Stack):
    """The landscapes of some problems under one noise, each a function of its parameters."""

    def __init__(self, network: LandscapeNetwork, seen: Tensor, noise: float) -> None:
        self.network, self.seen, self.noise = network, seen, noise
        self.n_functions, n_unknowns = len(seen), len(network.frequencies)
        self.bounds = np.tile([-1.0, 1.0], (n_unknowns, 1))
        self.nfev = np.zeros(self.n_functions, dtype=np.int64)
        self.device, self.dtype = seen.device, seen.dtype

    def values(self, u: Tensor) -> Tensor:
        """Return values (n_functions, n) at rows (n_functions, n, n_unknowns)."""
        with torch.no_grad():
            return self._heights(u, self.seen[:, None])

    def values_and_gradients(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return also the gradients."""
        return self._differentiated(u, self.seen[:, None])

    def at(self, u: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        """Return values and gradients of one function a row."""
        return self._differentiated(u, self.seen[which])

    def _differentiated(self, u: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        u = u.detach().requires_grad_()
        heights = self._heights(u, seen)
        (gradients,) = torch.autograd.grad(heights.sum(), u)
        return heights.detach(), gradients

    def _heights(self, u: Tensor, seen: Tensor) -> Tensor:
        noise = torch.full_like(u[..., :1], self.noise)
        return self.network(seen, self.network.of_parameters(2.0 * u - 1.0, noise))


def walk_down(
    network: LandscapeNetwork, rows: Tensor, starts: NDArray[np.float64], noise: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Descend on the predicted landscapes of problems, from level to level.

    Parameters
    ----------
    network : LandscapeNetwork
        Predicts them, in double precision.
    rows : Tensor of shape (n_problems, n_columns)
        The problems.
    starts : ndarray of shape (n_problems, n_starts, n_unknowns)
        Where each descent begins, in half-widths of the box.
    noise : sequence of float
        The levels, in half-widths of the box. Where a descent ends on one starts that on the next.

    Returns
    -------
    ends : ndarray of shape (n_levels, n_problems, n_starts, n_unknowns)
        Where descents end on each level.
    heights : ndarray of shape (n_levels, n_problems, n_starts)
        The predicted heights there.
    """
    with torch.no_grad():
        seen = network.of_problems(rows)
    points, ends, heights = (starts + 1.0) / 2.0, [], []
    for level in noise:
        stack = _LandscapeStack(network, seen, level)
        placed = torch.as_tensor(points, device="cpu").to(seen)
        searches = []
        for own, values in zip(points, stack.values(placed).cpu().numpy(), strict=True):
            search = Search(own, values, None, len(own), _TOLERANCE)
            search.starts = own
            searches.append(search)
        batch = DescentBatch(stack, list(range(len(searches))), searches)
        for _ in range(_N_ITERATIONS):
            if not batch.n_running:
                break
            batch.advance()
        points, lows = (np.array(part) for part in list(zip(*batch.ends(), strict=True))[:2])
        ends.append(2.0 * points - 1.0)
        heights.append(lows)
    return np.array(ends), np.array(heights)


@dataclass
class Survey:
    """What each level of a ladder does to problems whose true parameters are known.

    Attributes
    ----------
    basins : ndarray of shape (n_levels,)
        Mean number of distinct minima in which the starts of a problem end.
    drift : ndarray of shape (n_levels,)
        Median distance of the lowest of them from the true parameters, as the root mean square
        over the parameters in widths of the box.
    error : ndarray of shape (n_levels, n_levels, n_problems)
        Mean logarithm of the distance of a problem's starts from its true parameters after a walk
        from one level (first axis) down to another; infinite where that would be up.
    """

    basins: NDArray[np.float64]
    drift: NDArray[np.float64]
    error: NDArray[np.float64]

    @property
    def best_walk(self) -> tuple[int, int]:
        """The first and the last level of the walk to take.

        It ends where the walk does that ends nearest to the true parameters, and begins as high
        up as it may without ending farther away by more than the standard error of the difference.
        """
        mean = self.error.mean(axis=2)
        best, last = np.unravel_index(np.argmin(mean), mean.shape)
        for first in range(int(best)):
            loss = self.error[first, last] - self.error[best, last]
            if loss.mean() <= loss.std(ddof=1) / np.sqrt(len(loss)):
                return first, int(last)
        return int(best), int(last)


def survey(
    network: LandscapeNetwork,
    rows: Tensor,
    truth: NDArray[np.float64],
    starts: NDArray[np.float64],
    noise: Sequence[float],
    with_walks: bool,
) -> Survey:
    """Measure basins and drift of each level, and the walks between any two.

    Parameters
    ----------
    network : LandscapeNetwork
        Predicts the landscapes.
    rows : Tensor of shape (n_problems, n_columns)
        Problems that it has not seen.
    truth : ndarray of shape (n_problems, n_unknowns)
        Their true parameters, in half-widths of the box.
    starts : ndarray of shape (n_problems, n_starts, n_unknowns)
        Where descents begin.
    noise : sequence of float
        The levels, in half-widths of the box, from smooth to sharp.
    with_walks : bool
        Whether walks are measured too, not only each level by itself.

    Returns
    -------
    Survey
        What was measured.
    """
    n_levels = len(noise)
    basins, drift = np.empty(n_levels), np.empty(n_levels)
    error = np.full((n_levels, n_levels, len(rows)), np.inf)
    for first in range(n_levels):
        last = n_levels if with_walks else first + 1
        ends, heights = walk_down(network, rows, starts, noise[first:last])
        distance = np.sqrt(np.square((ends - truth[:, None]) / 2.0).mean(axis=-1))
        error[first, first:last] = np.log(distance + _NEAR).mean(axis=2)
        lowest = heights[0].argmin(axis=1)
        drift[first] = np.median(np.take_along_axis(distance[0], lowest[:, None], axis=1))
        counts = [
            len(distinct_minima((own + 1.0) / 2.0, low, max_candidates=len(low))[0])
            for own, low in zip(ends[0], heights[0], strict=True)
        ]
        basins[first] = np.mean(counts)
    return Survey(basins, drift, error)
