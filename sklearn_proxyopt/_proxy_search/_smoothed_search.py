"""The search of a proxy by way of smoother ones, and what it found out about them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult
from scipy.stats import qmc
from sklearn.base import clone

from sklearn_proxyopt._proxy_search._turned import turned_proxy
from sklearn_proxyopt._utils._box import from_unit_cube, to_unit_cube
from sklearn_proxyopt._utils._goal import Goal
from sklearn_proxyopt._utils._validation import check_real
from sklearn_proxyopt.optimizers import GraduatedSearch, Ladder, descend
from sklearn_proxyopt.optimizers._candidates import distinct_minima

__all__ = ["SmoothedSearch", "check_smoothing"]

# The levels among which "auto" chooses, as shares of the width of the box.
_AUTO_LEVELS = (0.3, 0.2, 0.14, 0.1, 0.07, 0.05, 0.025)
# Smooth levels keep to the low values under the noise, unless the proxy says how much itself.
_PENALTY = 10.0
# Minima of the sharp proxy whose values differ by less of its spread count as equally low.
_AS_LOW = 1e-3
# Logarithm to the base two of the starts by which the basins of a level are counted.
_LOG_N_STARTS = 6
# The parameters of a proxy that learns smooth levels.
_LEARNED = {"input_noise", "over_prediction_penalty", "n_members"}


def check_smoothing(smoothing: Any, proxy: Any) -> None:
    """Raise an error where smoothing is not None, "auto" or levels of noise, or cannot be done."""
    if smoothing is None:
        return
    if not (hasattr(proxy, "smoothed") or set(proxy.get_params()) >= _LEARNED):
        raise ValueError(
            f"smoothing must be None with a {type(proxy).__name__}, which has no input_noise; "
            f"got {smoothing!r}."
        )
    if isinstance(smoothing, str) and smoothing == "auto":
        return
    if isinstance(smoothing, str) or not np.size(smoothing):
        raise ValueError(
            f'smoothing must be None, "auto" or levels of noise from smooth to sharp; '
            f"got {smoothing!r}."
        )
    levels = np.atleast_1d(smoothing).tolist()
    for level in levels:
        check_real(level, "smoothing", minimum=0.0, include_minimum=False)
    if any(sharper >= smoother for smoother, sharper in pairwise(levels)):
        raise ValueError(f"smoothing must fall from level to level; got {smoothing!r}.")


class SmoothedSearch:
    """A ladder of smooth proxies beside a sharp one, and the coarse-to-fine search through them.

    Parameters
    ----------
    proxy : NeuralProxyRegressor, KernelProxyRegressor or ProxyRegressor
        The sharp proxy, with its seed. Of a network a clone learns all levels of the ladder in one
        fit; those of processes follow from the proxy itself, once it is fitted.
    smoothing : "auto", float or sequence of float
        The levels.
    goal : Goal
        What is sought of the values, in which samples come to be minimized.

    Attributes
    ----------
    ladder : NeuralProxyRegressor or MemberFunctions
        The smooth proxies, a member each, in the user's sign; None until there are any.
    report : dict
        After the search, for each level, the sharp proxy's last: its `noise`; `basins`, how many
        distinct minima it has; `drift`, how far the lowest of them lies from where the walk from
        it ends on the sharp proxy, as the root mean square over the variables in widths of the box;
        `promise`, the sharp proxy's value there; `used`, whether the walk passed the level.
    """

    report: dict[str, NDArray[Any]]
    ladder: Any

    def __init__(self, proxy: Any, smoothing: Any, goal: Goal) -> None:
        self.is_auto = isinstance(smoothing, str)
        self.levels = [float(s) for s in np.atleast_1d(_AUTO_LEVELS if self.is_auto else smoothing)]
        self._goal, self._sharp = goal, proxy if hasattr(proxy, "smoothed") else None
        self.ladder = None if self._sharp is not None else self._unfitted(proxy, goal)

    def _unfitted(self, proxy: Any, goal: Goal) -> Any:
        """Return what learns the levels."""
        penalty = proxy.over_prediction_penalty
        has_penalty = np.ndim(penalty) == 0 and penalty != 1.0
        # What is too high for a minimum is too low for a maximum.
        own_penalty = _PENALTY if goal.is_plain else 1.0 / _PENALTY
        return clone(proxy).set_params(
            n_members=len(self.levels),
            input_noise=self.levels,
            over_prediction_penalty=penalty if has_penalty else own_penalty,
            n_lbfgs_iterations=0,
            warm_start=False,
            callbacks=None,
        )

    def fit(self, X: Any, y: NDArray[np.float64], **fit_params: Any) -> None:
        """Learn all levels in one fit, or take those of the fitted proxy."""
        if self._sharp is None:
            turned_proxy(self.ladder, self._goal).fit(X, y, **fit_params)
        else:
            self.ladder = self._sharp.smoothed(self.levels)

    def search(
        self,
        function: Any,
        plain: OptimizeResult,
        optimizer: Any,
        bounds: NDArray[np.float64],
        starts: NDArray[np.float64],
        seed: int,
        view: Callable[[Any], Any] = lambda level: level,
    ) -> OptimizeResult:
        """Search from smooth to sharp and add what that finds to the search of the sharp proxy.

        Parameters
        ----------
        function : callable
            The sharp proxy.
        plain : scipy.optimize.OptimizeResult
            Its minimum and candidates without a ladder.
        optimizer : optimizer
            Searches the first level.
        bounds : ndarray of shape (n_features, 2)
            The box.
        starts : ndarray of shape (n_starts, n_features)
            Further starts on the first level.
        seed : int
            Seeds the search.
        view : callable, default=lambda level: level
            Gives the levels the variables that `function` has.

        Returns
        -------
        scipy.optimize.OptimizeResult
            The lowest point of both searches; the candidates begin with it and the walk's end.
        """
        ladder = Ladder.of_members(turned_proxy(self.ladder, self._goal))
        levels = [*map(view, ladder.levels), function]
        suggested = self._survey(levels, bounds, seed)
        first = suggested if self.is_auto else 0
        self.report["used"] = np.arange(len(levels)) >= first
        if first == len(self.levels):
            return plain
        walk = GraduatedSearch(optimizer, random_state=seed).minimize(
            Ladder(levels[first:]), bounds, x0=starts
        )
        return _joined(plain, walk, bounds)

    def _survey(self, levels: list[Any], bounds: NDArray[np.float64], seed: int) -> int:
        """Measure basins and drift of each level; return the one to begin the walk with.

        That is, among those from whose minimum the walk ends as low on the sharp proxy as from
        any, the one with the fewest basins.
        """
        sampler = qmc.Sobol(len(bounds), rng=np.random.default_rng(seed))
        sample = from_unit_cube(sampler.random_base2(_LOG_N_STARTS), bounds)
        basins, drift, promise = [], [], []
        for index, level in enumerate(levels):
            found = descend([level], sample, bounds)
            points, _ = distinct_minima(
                to_unit_cube(found.x, bounds), found.fun, max_candidates=len(sample)
            )
            lowest = from_unit_cube(points[:1], bounds)
            end, value = lowest, found.fun.min()
            if index < len(levels) - 1:
                walked = descend(levels[index + 1 :], lowest, bounds)
                end, value = walked.x, walked.fun[0]
            moved = to_unit_cube(end, bounds) - to_unit_cube(lowest, bounds)
            basins.append(len(points))
            drift.append(float(np.sqrt(np.square(moved).mean())))
            promise.append(float(value))
        self.report = {
            "noise": np.array([*self.levels, 0.0]),
            "basins": np.array(basins),
            "drift": np.array(drift),
            "promise": np.array(promise),
        }
        values = np.asarray(levels[-1](sample), dtype=np.float64)
        limit = min(promise) + _AS_LOW * float(np.std(values[np.isfinite(values)]))
        leads_home = [index for index, value in enumerate(promise) if value <= limit]
        return min(leads_home, key=lambda index: (basins[index], drift[index]))


def _joined(
    plain: OptimizeResult, walk: OptimizeResult, bounds: NDArray[np.float64]
) -> OptimizeResult:
    """Return the lowest of two results, and the candidates of both: it, the walk's end, others."""
    lowest = walk if walk.fun < plain.fun else plain
    points = np.vstack(
        [part for one in (plain, walk) for part in np.atleast_2d(one.get("x_candidates", one.x))]
    )
    values = np.concatenate(
        [np.atleast_1d(one.get("fun_candidates", one.fun)) for one in (plain, walk)]
    )
    cube, values = distinct_minima(to_unit_cube(points, bounds), values)
    distance = np.square(cube - to_unit_cube(walk.x[None], bounds)).sum(axis=1)
    others = np.delete(np.arange(len(cube)), [0, distance.argmin()])
    order = np.array(list(dict.fromkeys([0, int(distance.argmin()), *others.tolist()])))
    result = OptimizeResult(plain)
    result.x, result.fun = lowest.x, lowest.fun
    result.x_candidates = from_unit_cube(cube[order], bounds)
    result.fun_candidates = values[order]
    result.nfev = int(plain.get("nfev", 0)) + int(walk.nfev)
    return result
