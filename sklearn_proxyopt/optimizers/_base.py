"""The contract of optimizers: the minimum of a cheap, vectorized function within bounds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._utils._box import BoxEstimator, from_unit_cube, to_unit_cube
from sklearn_proxyopt._utils._validation import as_generator
from sklearn_proxyopt.optimizers._functions import as_function, member_function, offers_module

__all__ = ["BaseOptimizer", "UnitCubeFunction", "asks_to_stop", "starts_in_cube"]

SearchCallback = Callable[[OptimizeResult], Any]


class UnitCubeFunction:
    """A vectorized function seen from the unit cube: checked, counted, its best point kept.

    Parameters
    ----------
    fun : callable
        Maps (n, n_features) to (n,), in the user's units. It may offer
        `value_and_grad(X) -> ((n,), (n, n_features))` and `torch_module()`.
    bounds : ndarray of shape (n_features, 2)
        The box that the unit cube stands for.

    Attributes
    ----------
    nfev : int
        Points evaluated so far.
    """

    def __init__(
        self, fun: Callable[[NDArray[np.float64]], ArrayLike], bounds: NDArray[np.float64]
    ) -> None:
        self.fun = as_function(fun)
        self.bounds = bounds
        self.nfev = 0

    def __call__(self, U: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate points of the unit cube; a value that is not finite counts as +inf."""
        values = np.asarray(self.fun(from_unit_cube(U, self.bounds)), dtype=np.float64)
        if values.shape != (len(U),):
            raise ValueError(
                f"fun must return one value for each row, of shape ({len(U)},); "
                f"got shape {values.shape}."
            )
        self.nfev += len(U)
        return np.where(np.isfinite(values), values, np.inf)


class BaseOptimizer(BoxEstimator, ABC):
    """Base of all optimizers.

    A subclass has the parameter `random_state` and implements two methods: `check_parameters`, and
    `_search`, which works in the unit cube and returns an `OptimizeResult` with `x` there.
    """

    random_state: Any

    @abstractmethod
    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""

    @abstractmethod
    def _search(
        self,
        fun: UnitCubeFunction,
        x0: NDArray[np.float64] | None,
        rng: np.random.Generator,
        callback: SearchCallback | None,
    ) -> OptimizeResult:
        """Search the unit cube, starting from the points of `x0` where there are any."""

    def minimize(
        self,
        fun: Callable[[NDArray[np.float64]], ArrayLike],
        bounds: ArrayLike | None = None,
        *,
        x0: ArrayLike | None = None,
        random_state: Any = None,
        callback: SearchCallback | None = None,
    ) -> OptimizeResult:
        """Find the minimum of a vectorized function within bounds.

        Parameters
        ----------
        fun : callable
            Maps points of shape (n, n_features) to values of shape (n,). If it has a method
            `value_and_grad(X)`, optimizers that use gradients call that.
        bounds : array-like of shape (n_features, 2) or scipy.optimize.Bounds, default=None
            The bounds. None takes those read by `fit`.
        x0 : array-like of shape (n_features,) or (n_starts, n_features), default=None
            Points to start from, beside those the optimizer draws itself.
        random_state : None, int, RandomState or Generator, default=None
            None takes the optimizer's own `random_state`.
        callback : callable, default=None
            Called after each iteration with an `OptimizeResult` holding `x`, `fun`, `nit` and
            `nfev` so far; the search stops when it returns True or raises StopIteration.

        Returns
        -------
        scipy.optimize.OptimizeResult
            `x` of shape (n_features,), `fun`, `nfev`, `nit`, `success`, `message`, and
            `x_candidates` of shape (n_candidates, n_features) with `fun_candidates`: the distinct
            low points found, the best first.
        """
        self.check_parameters()
        box = self._resolve_bounds(bounds)
        starts = starts_in_cube(x0, box)
        rng = as_generator(self.random_state if random_state is None else random_state)
        cube_function = UnitCubeFunction(fun, box)
        result = self._search(cube_function, starts, rng, callback)
        return _in_the_box(result, box, cube_function.nfev)

    def minimize_members(
        self,
        proxy: Any,
        bounds: ArrayLike | None = None,
        *,
        x0: ArrayLike | None = None,
        random_state: Any = None,
    ) -> list[OptimizeResult]:
        """Find the minimum of each member of an ensemble, to see whether they agree.

        Parameters
        ----------
        proxy : NeuralProxyRegressor
            A fitted proxy of one target, or any with its method `torch_module`.
        bounds : array-like of shape (n_features, 2) or scipy.optimize.Bounds, default=None
            The bounds. None takes those read by `fit`.
        x0 : array-like of shape (n_features,) or (n_starts, n_features), default=None
            Points to start from, beside those the optimizer draws itself.
        random_state : None, int, RandomState or Generator, default=None
            None takes the optimizer's own `random_state`.

        Returns
        -------
        list of scipy.optimize.OptimizeResult
            One for each member, as from `minimize`.
        """
        if not offers_module(proxy):
            raise ValueError(
                f"proxy must have members, as NeuralProxyRegressor has; got {proxy!r}."
            )
        if getattr(proxy, "n_outputs_", 1) != 1:
            raise ValueError(f"proxy must have one target; got {proxy.n_outputs_}.")
        self.check_parameters()
        box = self._resolve_bounds(bounds)
        starts = starts_in_cube(x0, box)
        rng = as_generator(self.random_state if random_state is None else random_state)
        return [
            _in_the_box(result, box, 0) for result in self._search_members(proxy, box, starts, rng)
        ]

    def _search_members(
        self,
        proxy: Any,
        bounds: NDArray[np.float64],
        x0: NDArray[np.float64] | None,
        rng: np.random.Generator,
    ) -> list[OptimizeResult]:
        """Search the members one after another; optimizers that can do better override this."""
        results = []
        for member in range(proxy.torch_module().n_members):
            fun = UnitCubeFunction(member_function(proxy, member), bounds)
            result = self._search(fun, x0, rng, None)
            result.setdefault("nfev", fun.nfev)
            results.append(result)
        return results


def starts_in_cube(x0: ArrayLike | None, box: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the points to start from in the unit cube."""
    if x0 is None:
        return None
    rows = np.atleast_2d(np.asarray(x0, dtype=np.float64))
    if rows.ndim != 2 or rows.shape[1] != len(box) or not np.isfinite(rows).all():
        raise ValueError(
            f"x0 must hold finite rows of {len(box)} variables; got shape {rows.shape}."
        )
    return np.clip(to_unit_cube(rows, box), 0.0, 1.0)


def _in_the_box(result: OptimizeResult, box: NDArray[np.float64], nfev: int) -> OptimizeResult:
    """Bring a result of the unit cube into the user's units."""
    candidates = np.atleast_2d(result.get("x_candidates", result.x))
    result.x_candidates = from_unit_cube(candidates, box)
    result.fun_candidates = np.atleast_1d(result.get("fun_candidates", result.fun))
    result.x = from_unit_cube(result.x, box)
    if "x_restarts" in result:
        result.x_restarts = from_unit_cube(result.x_restarts, box)
    result.setdefault("nfev", nfev)
    return result


def report(
    callback: SearchCallback | None,
    fun: Any,
    u: NDArray[np.float64],
    value: float,
    nit: int,
) -> bool:
    """Tell the callback how the search stands; return True where it asks to stop.

    `fun` has the `bounds` that the unit cube stands for and the `nfev` so far.
    """
    if callback is None:
        return False
    state = OptimizeResult(
        x=from_unit_cube(u, fun.bounds), fun=float(value), nit=nit, nfev=int(np.sum(fun.nfev))
    )
    return asks_to_stop(callback, state)


def asks_to_stop(callback: SearchCallback, state: OptimizeResult) -> bool:
    """Tell a callback of a state; return True where it returns True or raises StopIteration."""
    try:
        return bool(callback(state))
    except StopIteration:
        return True
