"""A search of a proxy that also follows the minima of smoother versions of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult
from scipy.stats import norm, qmc

from paper1.searches import FollowedSearch, descend_along_gradient
from sklearn_proxyopt.optimizers import GraduatedSearch, Ladder, MultiStartBFGS

__all__ = ["AveragedFunction", "ThenWalk"]

# Standard deviations of the noise from level to level, in widths of the box.
_LEVELS = (0.2, 0.14, 0.1, 0.07, 0.05, 0.025)
_ROWS_PER_BLOCK = 8192
# An average need not be exact: a descent ends where slopes are this small, or after so many steps.
_TOLERANCE, _N_ITERATIONS = 1e-3, 30
# Two predictions that differ by less than so many root mean square errors are alike, at 95 %.
_ALIKE = 1.96 * 2**0.5
# The latest walk, by what its proxy predicts at the starts: all searches of a proxy share it.
_latest: dict[bytes, NDArray[np.float64]] = {}


class AveragedFunction:
    """A function averaged over normal noise on its input: what is finer than the noise is gone.

    The noise is the same wherever the function is asked, so that the average is as smooth as the
    function. What leaves the box comes back as from a mirror.

    Parameters
    ----------
    function : callable
        Has `value_and_grad`, (n, n_features) to (n,) and (n, n_features).
    bounds : ndarray of shape (n_features, 2)
        The box.
    noise : float
        Standard deviation of the noise, in widths of the box.
    n_points : int, default=512
        Over how many points to average, in pairs that lie opposite each other.
    """

    def __init__(
        self, function: Any, bounds: NDArray[np.float64], noise: float, n_points: int = 512
    ) -> None:
        self.function = function
        self._lower, self._width = bounds[:, 0], bounds[:, 1] - bounds[:, 0]
        shares = qmc.Sobol(len(bounds), rng=np.random.default_rng(0)).random(n_points // 2)
        half = norm.ppf(np.clip(shares, 1e-9, 1.0 - 1e-9))
        self._offsets = noise * np.vstack([half, -half])

    def __call__(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the averages at rows, of shape (n,)."""
        return self.value_and_grad(X)[0]

    def value_and_grad(
        self, X: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return also their gradients, of shape (n, n_features)."""
        unfolded = ((X - self._lower) / self._width)[:, None] + self._offsets
        folded = 1.0 - np.abs(1.0 - unfolded % 2.0)
        signs = np.where(unfolded % 2.0 > 1.0, -1.0, 1.0)
        rows = (self._lower + folded * self._width).reshape(-1, X.shape[1])
        blocks = np.array_split(rows, -(-len(rows) // _ROWS_PER_BLOCK))
        parts = [self.function.value_and_grad(block) for block in blocks]
        values = np.concatenate([part[0] for part in parts]).reshape(folded.shape[:2])
        gradients = np.concatenate([part[1] for part in parts]).reshape(folded.shape)
        return values.mean(axis=1), (signs * gradients).mean(axis=1)


class ThenWalk(FollowedSearch):
    """A search, and a walk from the minimum of a much smoother proxy down to the proxy itself.

    A search can end in one ripple of many, and a proxy of few rows can have the wrong one as its
    deepest. The answer is the end of the walk, which lies in the wider basin, unless the proxy puts
    the end of the search lower by more than it errs on rows held out (`error_` of the proxy, where
    it has that). The minima of all levels are candidates too: which of them lies best only the
    function itself can tell.

    Parameters
    ----------
    search : optimizer
        The search that goes before.
    random_state : None, int, RandomState or Generator, default=None
        Not used: the search brings its own, and the walk begins at rows known.

    Attributes
    ----------
    x_search_ : ndarray of shape (n_features,)
        Where the search was before a descent, if it says that; else where it ended.
    x_before_walk_ : ndarray of shape (n_features,)
        Where the search ended.
    """

    def _follow(
        self, fun: Any, box: NDArray[np.float64], x0: Any, result: OptimizeResult
    ) -> OptimizeResult:
        self.x_before_walk_ = result.x
        self.x_search_ = getattr(self.search, "x_search_", result.x)
        levels = _walk(fun, box, np.asarray(x0, dtype=np.float64))
        ends = np.vstack([levels[0], result.x])
        promises = np.asarray(fun(ends))
        doubt = _ALIKE * getattr(getattr(fun, "proxy", None), "error_", 0.0)
        order = [0, 1] if promises[0] <= promises[1] + doubt else [1, 0]
        others = np.atleast_2d(result.get("x_candidates", result.x))
        result.x_candidates = np.vstack([ends[order], levels[1:], others])
        result.fun_candidates = np.asarray(fun(result.x_candidates))
        result.x, result.fun = result.x_candidates[0], float(result.fun_candidates[0])
        return result


def _walk(fun: Any, box: NDArray[np.float64], starts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the end of a walk down to a proxy, then the minima of its levels, the sharpest first.

    The lowest start on the smoothest level begins it.
    """
    key = starts.tobytes() + np.asarray(fun(starts)).tobytes()
    if key not in _latest:
        ladder = Ladder([*(AveragedFunction(fun, box, noise) for noise in _LEVELS), fun])
        first = MultiStartBFGS(1, 50, n_rounds=1, n_candidates=16, tolerance=_TOLERANCE)
        walk = GraduatedSearch(
            first, n_starts=1, n_iterations=_N_ITERATIONS, tolerance=_TOLERANCE, random_state=0
        )
        levels = walk.minimize(ladder, box, x0=starts).x_levels[::-1].copy()
        levels[0] = descend_along_gradient(fun, levels[0], box).x
        _latest.clear()
        _latest[key] = levels
    return _latest[key]
