"""Coarse-to-fine search: from the smoothest of several functions to the sharpest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult
from scipy.stats import qmc
from sklearn.base import clone

from sklearn_proxyopt._utils._box import from_unit_cube, to_unit_cube
from sklearn_proxyopt._utils._validation import (
    as_generator,
    check_bounds,
    check_integer,
    check_real,
)
from sklearn_proxyopt.optimizers._base import BaseOptimizer, SearchCallback, UnitCubeFunction
from sklearn_proxyopt.optimizers._candidates import distinct_minima
from sklearn_proxyopt.optimizers._descents import DescentBatch, Search
from sklearn_proxyopt.optimizers._functions import ProxyFunction, as_function, member_function
from sklearn_proxyopt.optimizers._multi_start_bfgs import MultiStartBFGS
from sklearn_proxyopt.optimizers._stacked import stack_of

__all__ = ["GraduatedSearch", "Ladder", "descend"]


# First steps of descents that follow a minimum from one level to the next are at most this share of
# the box's width, or they would leave the basin that the level before has found.
_FOLLOWING_STEP = 0.01


class Ladder(ProxyFunction):
    """Functions of one box, from the smoothest to the sharpest, seen as the sharpest.

    Parameters
    ----------
    levels : sequence of callable
        Each maps points (n, n_features) to values (n,), and may offer `value_and_grad` or
        `torch_module` as any function of an optimizer may. The last one is the function meant.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_proxyopt.optimizers import GraduatedSearch, Ladder
    >>> def rough(X):
    ...     return X[:, 0] ** 2 - 0.5 * np.cos(9 * X[:, 0])
    >>> def smooth(X):
    ...     return X[:, 0] ** 2
    >>> result = GraduatedSearch(random_state=0).minimize(Ladder([smooth, rough]), [[-3, 2]])
    >>> bool(abs(result.x[0]) < 1e-4)
    True
    """

    def __init__(self, levels: Sequence[Any]) -> None:
        self.levels = tuple(levels)
        if not self.levels or not all(callable(level) for level in self.levels):
            raise ValueError(f"levels must hold at least one callable; got {levels!r}.")
        self._sharpest = as_function(self.levels[-1])
        self.has_gradient = self._sharpest.has_gradient
        self.has_module = self._sharpest.has_module

    @classmethod
    def of_members(cls, proxy: Any, *further: Any) -> Ladder:
        """Make a ladder of the members of a proxy, in their order.

        Parameters
        ----------
        proxy : NeuralProxyRegressor
            Fitted, with one target.
        *further : callable
            Sharper functions that follow, such as the objective.

        Returns
        -------
        Ladder
            The ladder.
        """
        if getattr(proxy, "n_outputs_", 1) != 1:
            raise ValueError(f"proxy must have one target; got {proxy.n_outputs_}.")
        n_members = proxy.torch_module().n_members
        return cls([*(member_function(proxy, index) for index in range(n_members)), *further])

    def __call__(self, X: NDArray[np.float64]) -> Any:
        """Return the values of the last function, of shape (n,)."""
        return self._sharpest(X)

    def value_and_grad(
        self, X: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return values and gradients of the last function.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Points.

        Returns
        -------
        values : ndarray of shape (n,)
            Values.
        gradients : ndarray of shape (n, n_features)
            Gradients.
        """
        return self._sharpest.value_and_grad(X)

    def torch_module(self) -> Any:
        """Return the last function as a module.

        Returns
        -------
        torch.nn.Module
            Maps points (n, n_features) to values (n, 1).
        """
        return self._sharpest.torch_module()


class GraduatedSearch(BaseOptimizer):
    """Find the minimum of a smooth function and follow it while the function sharpens.

    The first function of a `Ladder` is searched by an optimizer; the distinct minima found there
    start descents by BFGS on the second, those on the third, and so on to the last, which is the
    objective (graduated optimization [1]_). A ladder of two, a smooth proxy and then the function,
    is the two-step method of [2]_. For each level the result has the distance of its minimum from
    the end of the search, and its number of basins.

    Parameters
    ----------
    optimizer : optimizer, default=None
        Searches the first level, and a function that is no ladder; None for a `MultiStartBFGS`.
    n_starts : int, default=64
        Number of descents from a quasi-random sample by which the basins of a level are counted.
        Only levels that are torch modules inside are counted.
    n_iterations : int, default=200
        Most steps of a descent on a level.
    tolerance : float, default=1e-8
        A descent has converged when no free component of its gradient, over the width of the
        bounds, exceeds this share of the spread of the values at the starts.
    random_state : None, int, RandomState or Generator, default=None
        Seeds the search of the first level, where `optimizer` has no seed of its own, and
        scrambles the sample.

    Attributes
    ----------
    bounds_ : ndarray of shape (n_features, 2)
        The bounds read by `fit`, if it was called.

    See Also
    --------
    sklearn_proxyopt.NeuralProxyRegressor : Learns all levels in one fit, by its `input_noise`.

    Notes
    -----
    The result of `minimize` has, beside what every optimizer returns, `x_levels` of shape
    (n_levels, n_features), the lowest point on each level; `drift` of shape (n_levels,), its
    distance from `x`, as the root mean square over the variables in widths of the bounds; and
    `basins` of shape (n_levels,), the number of distinct minima, NaN where they were not counted.

    References
    ----------
    .. [1] Blake and Zisserman, "Visual Reconstruction", 1987.
    .. [2] "Optimization Landscapes Learned: Proxy Networks Boost Convergence in Physics-based
       Inverse Problems", :arxiv:`2501.16573`, 2025.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_proxyopt import NeuralProxyRegressor
    >>> from sklearn_proxyopt.optimizers import GraduatedSearch, Ladder, MultiStartBFGS
    >>> from sklearn_proxyopt.problems import GramacyLee
    >>> problem = GramacyLee()
    >>> X = np.linspace(0.5, 2.5, 200)[:, None]
    >>> proxy = NeuralProxyRegressor(
    ...     n_members=2, input_noise=(0.1, 0.0), max_epochs=20, random_state=0
    ... ).fit(X, problem(X))
    >>> ladder = Ladder.of_members(proxy, problem)
    >>> search = GraduatedSearch(MultiStartBFGS(8), n_starts=8, random_state=0)
    >>> result = search.minimize(ladder, problem.bounds)
    >>> result.x_levels.shape
    (3, 1)
    """

    def __init__(
        self,
        optimizer: Any = None,
        *,
        n_starts: int = 64,
        n_iterations: int = 200,
        tolerance: float = 1e-8,
        random_state: Any = None,
    ) -> None:
        self.optimizer = optimizer
        self.n_starts = n_starts
        self.n_iterations = n_iterations
        self.tolerance = tolerance
        self.random_state = random_state

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        if self.optimizer is not None and not isinstance(self.optimizer, BaseOptimizer):
            raise ValueError(f"optimizer must be an optimizer or None; got {self.optimizer!r}.")
        if self.optimizer is not None:
            self.optimizer.check_parameters()
        check_integer(self.n_starts, "n_starts")
        check_integer(self.n_iterations, "n_iterations")
        check_real(self.tolerance, "tolerance", minimum=0.0)

    def _search(
        self,
        fun: UnitCubeFunction,
        x0: NDArray[np.float64] | None,
        rng: np.random.Generator,
        callback: SearchCallback | None,
    ) -> OptimizeResult:
        levels = [UnitCubeFunction(level, fun.bounds) for level in _levels_of(fun.fun)]
        optimizer = MultiStartBFGS() if self.optimizer is None else clone(self.optimizer)
        own_seed = optimizer.random_state
        first_rng = rng if own_seed is None else as_generator(own_seed)
        result = optimizer._search(levels[0], x0, first_rng, callback)
        nfev, points = int(result.get("nfev", levels[0].nfev)), result.x[None]
        lows = np.atleast_1d(result.fun)
        if "x_candidates" in result:
            points, lows = result.x_candidates, result.fun_candidates
        walk = [points[0]]
        for level in levels[1:]:
            ends, values, n_evaluated = self._descend(level, points, _FOLLOWING_STEP)
            points, lows = distinct_minima(ends, values)
            walk.append(points[0])
            nfev += n_evaluated
        basins, n_evaluated = self._count_basins(levels, rng)
        result.x, result.fun = points[0], float(lows[0])
        result.x_candidates, result.fun_candidates = points, lows
        result.nfev = nfev + n_evaluated
        result.x_levels = from_unit_cube(np.array(walk), fun.bounds)
        result.drift = np.sqrt(np.square(np.array(walk) - walk[-1]).mean(axis=1))
        result.basins = basins
        return result

    def _count_basins(
        self, levels: list[UnitCubeFunction], rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], int]:
        """Return the number of distinct minima of each level, and the points evaluated for that."""
        basins, nfev = np.full(len(levels), np.nan), 0
        if len(levels) == 1:
            return basins, nfev
        sampler = qmc.Sobol(len(levels[0].bounds), rng=rng)
        sample = sampler.random_base2(int(np.ceil(np.log2(self.n_starts))))[: self.n_starts]
        for index, level in enumerate(levels):
            if level.fun.has_module:
                ends, values, n_evaluated = self._descend(level, sample)
                basins[index] = len(distinct_minima(ends, values, max_candidates=len(ends))[0])
                nfev += n_evaluated
        return basins, nfev

    def _descend(
        self, level: UnitCubeFunction, points: NDArray[np.float64], *first_step: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
        return _descend(level, points, self.n_iterations, self.tolerance, *first_step)


def descend(
    functions: Sequence[Any],
    x0: ArrayLike,
    bounds: ArrayLike,
    *,
    n_iterations: int = 200,
    tolerance: float = 1e-8,
) -> OptimizeResult:
    """Descend from each start on one function after another, by BFGS within the bounds.

    Parameters
    ----------
    functions : sequence of callable
        The functions, each as for the `minimize` of an optimizer; a ladder from smooth to sharp,
        or one function alone.
    x0 : array-like of shape (n_starts, n_features)
        The starts on the first function. Where each ends starts its descent on the next.
    bounds : array-like of shape (n_features, 2) or scipy.optimize.Bounds
        The box.
    n_iterations : int, default=200
        Most steps of a descent on a function.
    tolerance : float, default=1e-8
        A descent has converged when no free component of its gradient, over the width of the
        bounds, exceeds this share of the spread of the values at the starts.

    Returns
    -------
    scipy.optimize.OptimizeResult
        `x` of shape (n_starts, n_features) and `fun` of shape (n_starts,), where the last function
        left each start; `x_levels` of shape (n_functions, n_starts, n_features), the ends on each;
        `nfev`, points evaluated in all.

    Examples
    --------
    >>> from sklearn_proxyopt.optimizers import descend
    >>> from sklearn_proxyopt.problems import Rosenbrock
    >>> problem = Rosenbrock(2)
    >>> result = descend([problem], [[0.0, 0.0], [-1.0, 1.5]], problem.bounds)
    >>> result.x.round(2)
    array([[1., 1.],
           [1., 1.]])
    """
    box = check_bounds(bounds)
    starts = np.atleast_2d(np.asarray(x0, dtype=np.float64))
    if starts.shape[1] != len(box) or not np.isfinite(starts).all():
        raise ValueError(
            f"x0 must hold finite rows of {len(box)} variables; got shape {starts.shape}."
        )
    check_integer(n_iterations, "n_iterations")
    check_real(tolerance, "tolerance", minimum=0.0)
    points, values = np.clip(to_unit_cube(starts, box), 0.0, 1.0), np.empty(0)
    ends, nfev = [], 0
    for index, function in enumerate(functions):
        level = UnitCubeFunction(function, box)
        first_step = (_FOLLOWING_STEP,) if index else ()
        points, values, n_evaluated = _descend(level, points, n_iterations, tolerance, *first_step)
        ends.append(from_unit_cube(points, box))
        nfev += n_evaluated
    return OptimizeResult(x=ends[-1], fun=values, x_levels=np.array(ends), nfev=nfev)


def _levels_of(fun: Any) -> tuple[Any, ...]:
    return fun.levels if isinstance(fun, Ladder) else (fun,)


def _descend(
    fun: UnitCubeFunction,
    starts: NDArray[np.float64],
    n_iterations: int,
    tolerance: float,
    *first_step: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Return where descents from points of the cube end, the values there and their cost."""
    import torch

    stack = stack_of(fun)
    with stack.context():
        rows = torch.tensor(starts, dtype=stack.dtype, device=stack.device)
        values = stack.values(rows[None])[0].cpu().double().numpy()
        search = Search(starts, values, None, len(starts), tolerance)
        search.starts = starts
        batch, nit = DescentBatch(stack, [0], [search], *first_step), 0
        while nit < n_iterations and batch.n_running:
            batch.advance()
            nit += 1
    ((points, values, _),) = batch.ends()
    return points, values, int(stack.nfev[0])
