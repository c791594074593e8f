"""Many functions minimized together, in the words of SciPy."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult
from sklearn.base import clone
from torch import Tensor

from sklearn_proxyopt._utils._validation import as_numbers, check_bounds, check_option
from sklearn_proxyopt.inverse._base import BaseInverse
from sklearn_proxyopt.inverse._direct import DirectInverse
from sklearn_proxyopt.inverse._problem import InverseProblem
from sklearn_proxyopt.inverse._reparameterized import ReparameterizedInverse

__all__ = ["minimize_many"]

_SOLVERS: dict[str, Callable[[], BaseInverse]] = {
    "direct": DirectInverse,
    "multistart": lambda: DirectInverse(n_starts=5, n_candidates=50),
    "joint": ReparameterizedInverse,
}

# Functions of a list that are named where a solver is printed.
_N_SHOWN = 3


def minimize_many(
    fun: Callable[[Tensor, Tensor], Tensor] | Sequence[Callable[..., Any]],
    x0: ArrayLike,
    bounds: ArrayLike | None = None,
    method: str | BaseInverse = "direct",
    *,
    jac: bool | Sequence[Callable[..., Any]] | None = None,
    features: ArrayLike | None = None,
    options: Mapping[str, Any] | None = None,
    random_state: Any = None,
) -> OptimizeResult:
    """Minimize many functions of the same variables, such as the losses of many measurements.

    Parameters
    ----------
    fun : callable or sequence of callables
        Called as ``fun(x, index)`` with a tensor of shape (k, n_variables) and the numbers of the
        k functions that its rows belong to; returns a tensor of their values, of shape (k,),
        differentiable by torch. Or a list of functions as `scipy.optimize.minimize` takes them,
        each of an array of shape (n_variables,).
    x0 : array-like of shape (n_functions, n_variables)
        A start for each function, inside the bounds. Starts on a bound are moved inside by 2.5 %
        of the width.
    bounds : array-like of shape (n_variables, 2) or scipy.optimize.Bounds, default=None
        The box that solutions lie in. None is for "direct" only.
    method : {"direct", "multistart", "joint"} or inverse solver, default="direct"
        BFGS from `x0`; also from the best of candidates in the box; or through the weights of one
        network, which sees `features`. A solver of this module takes its own way to start.
    jac : bool or sequence of callables, default=None
        For a list of functions: True if they return their gradients too, or a list of gradients.
        None takes differences.
    features : array-like of shape (n_functions, n_features), default=None
        What tells the functions apart, such as the measurements, for networks. None gives each
        function a column of its own.
    options : dict, default=None
        Parameters of the solver, such as `n_starts`, `n_iterations` or `tolerance`.
    random_state : None, int, RandomState or Generator, default=None
        Draws candidates and starting weights.

    Returns
    -------
    scipy.optimize.OptimizeResult
        With `x` (n_functions, n_variables), `fun` and `success` (n_functions,), `nfev`, all
        evaluations together, and `solver`, the fitted solver. `success` is False where a function
        still falls from a bound towards the inside.

    See Also
    --------
    DirectInverse : One search a function.
    ReparameterizedInverse : One network for all functions.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.optimize import rosen, rosen_der
    >>> from sklearn_proxyopt.inverse import minimize_many
    >>> valleys = [rosen, lambda x: rosen(x - 1.0)]
    >>> slopes = [rosen_der, lambda x: rosen_der(x - 1.0)]
    >>> minimize_many(valleys, np.zeros((2, 2)), [[-5, 5], [-5, 5]], jac=slopes).x.round(4)
    array([[1., 1.],
           [2., 2.]])
    """
    solver = _solver_of(method, options, random_state)
    if bounds is None and method != "direct":
        raise ValueError("bounds must be given for a method other than 'direct'; got None.")
    starts = _checked_starts(x0, bounds)
    functions = _checked_functions(fun, jac, len(starts))
    solver.set_params(problem=_Functions(functions, starts, bounds, features))
    solver.fit(_rows(len(starts), features))
    return OptimizeResult(
        x=solver.solutions_,
        fun=solver.loss_,
        success=solver.converged_ & ~solver.failed_,
        nfev=solver.n_forward_calls_,
        message=f"{int(solver.converged_.sum())} of {len(starts)} searches have converged.",
        solver=solver,
    )


def _solver_of(
    method: str | BaseInverse, options: Mapping[str, Any] | None, random_state: Any
) -> BaseInverse:
    """Return an unfitted solver."""
    if isinstance(method, BaseInverse):
        solver = clone(method)
    else:
        solver = _SOLVERS[check_option(method, "method", _SOLVERS)]()
        solver.set_params(random_state=random_state)
    return solver.set_params(**(options or {}))


def _checked_starts(x0: ArrayLike, bounds: ArrayLike | None) -> NDArray[np.float64]:
    """Return the starts, all of which lie inside the bounds."""
    starts = as_numbers(x0, "x0")
    if starts.ndim != 2 or not starts.size or not np.isfinite(starts).all():
        raise ValueError(
            f"x0 must be finite and of shape (n_functions, n_variables); got shape {starts.shape}."
        )
    if bounds is None:
        return starts
    box = check_bounds(bounds)
    if starts.shape[1] != len(box):
        raise ValueError(
            f"x0 must have a column for each of the {len(box)} rows of bounds; got "
            f"{starts.shape[1]}."
        )
    (outside,) = np.nonzero(((starts < box[:, 0]) | (starts > box[:, 1])).any(axis=1))
    if len(outside):
        raise ValueError(
            f"x0 must lie inside bounds; got {starts[outside[0]].tolist()} in row {outside[0]}. "
            "Use numpy.clip to move it to the bounds."
        )
    return starts


def _checked_functions(fun: Any, jac: Any, n: int) -> Any:
    """Return the function of torch, or those of a list as one."""
    if not callable(fun):
        functions = _list_of(fun, n, "fun", "a function of torch or a sequence of functions")
        if jac is None or isinstance(jac, bool):
            return _Listed(functions, bool(jac))
        return _Listed(functions, _list_of(jac, n, "jac", "True, None or a sequence of functions"))
    if jac is not None and jac is not False:
        raise ValueError(
            "jac must be None for a function of torch, which has its gradient; got "
            f"{reprlib.repr(jac)}."
        )
    return fun


def _list_of(given: Any, n: int, name: str, expected: str) -> list[Callable[..., Any]]:
    """Return functions, one a row of x0."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(f"{name} must be {expected}; got {given!r}.")
    functions = list(given)
    if len(functions) != n:
        raise ValueError(
            f"{name} must hold a function for each of the {n} rows of x0; got {len(functions)}."
        )
    for index, one in enumerate(functions):
        if not callable(one):
            raise ValueError(f"{name}[{index}] must be callable; got {one!r}.")
    return functions


def _rows(n_functions: int, features: ArrayLike | None) -> NDArray[np.float64]:
    """Return the features of each function, and its number."""
    known = np.eye(n_functions) if features is None else as_numbers(features, "features")
    if known.ndim != 2 or len(known) != n_functions:
        raise ValueError(
            f"features must have shape ({n_functions}, n_features); got {known.shape}."
        )
    return np.column_stack([known, np.arange(n_functions)])


class _Functions(InverseProblem):
    """Functions as inverse problems, whose loss is the value and whose condition is a number."""

    def __init__(
        self,
        functions: Any,
        starts: NDArray[np.float64],
        bounds: ArrayLike | None,
        features: ArrayLike | None,
    ) -> None:
        self._starts, self._functions = starts, functions
        is_free = bounds is None
        if bounds is None:
            # Only a scale: around the starts, as wide as they are far from each other.
            width = np.maximum(np.ptp(starts, axis=0), 1.0)
            bounds = np.column_stack([starts.min(axis=0) - width, starts.max(axis=0) + width])
        self._n_features = _rows(len(starts), features).shape[1] - 1
        super().__init__(
            self._values,
            bounds,
            hard_bounds=not is_free,
            condition_shape=(1,),
            loss=_first,
            differentiable=not isinstance(functions, _Listed) or functions.has_gradients,
        )

    def start_for(self, rows: Tensor) -> Tensor:
        """Return the start of each function."""
        number = rows[:, -1].long().cpu().numpy()
        return self.start_to_latent(torch.as_tensor(self._starts[number], device="cpu").to(rows))

    def _bounded(self, latent: Tensor) -> Tensor:
        """Map unbounded variables to places between -1 and 1.

        Unlike a tanh, a sine has its minima on the sides themselves, and searches come off them.
        """
        return torch.sin(latent)

    def _unbounded(self, places: Tensor) -> Tensor:
        """Map places between -1 and 1 to unbounded variables."""
        return torch.asin(places)

    def _values(self, x: Any, number: Any) -> Any:
        """Return the values, as predictions of the shape of the features."""
        if isinstance(x, Tensor):
            values = self._functions(x, number[:, 0].long())
            if not isinstance(values, Tensor) or values.shape != (len(x),):
                raise ValueError(
                    f"fun must return a tensor of shape ({len(x)},); got "
                    f"{tuple(getattr(values, 'shape', ()))}."
                )
            return values[:, None].expand(-1, self._n_features)
        values = self._functions.values(x, number[:, 0].astype(int))
        return np.repeat(values[:, None], self._n_features, axis=1)

    def __repr__(self) -> str:
        return f"minimize_many({_name_of(self._functions)}, n_unknowns={self.n_unknowns})"


def _name_of(function: Callable[..., Any]) -> str:
    """Return what to call a function."""
    return getattr(function, "__name__", repr(function))


def _first(predicted: Tensor, observed: Tensor) -> Tensor:
    """Return the value that all columns hold."""
    return predicted[:, 0]


class _Listed:
    """Functions of SciPy, one a problem."""

    def __init__(
        self, functions: list[Callable[..., Any]], jac: bool | list[Callable[..., Any]]
    ) -> None:
        self._functions, self._jac = functions, jac
        self.has_gradients = bool(jac)

    def values(self, x: NDArray[np.float64], index: NDArray[np.int_]) -> NDArray[np.float64]:
        """Return the values at rows, one a function."""
        pairs = zip(x, index, strict=True)
        return np.array([_number(self._functions[i](row.copy()), i) for row, i in pairs])

    def with_gradients(
        self, x: NDArray[np.float64], index: NDArray[np.int_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return also the gradients."""
        found = [self._pair(row, i) for row, i in zip(x, index, strict=True)]
        values, slopes = zip(*found, strict=True)
        return np.array(values), np.array(slopes)

    def _pair(self, row: NDArray[np.float64], i: int) -> tuple[float, NDArray[np.float64]]:
        """Return the value and the gradient of a function."""
        if isinstance(self._jac, list):
            value = _number(self._functions[i](row.copy()), i)
            return value, _slopes(self._jac[i](row.copy()), len(row), f"jac[{i}] must return")
        pair = self._functions[i](row.copy())
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(
                f"fun[{i}] must return a value and a gradient where jac=True; got "
                f"{reprlib.repr(pair)}."
            )
        slopes = _slopes(pair[1], len(row), f"the gradient of fun[{i}] must be")
        return _number(pair[0], i), slopes

    def __call__(self, x: Tensor, index: Tensor) -> Tensor:
        """Return the values as a tensor that knows its gradient."""
        found: Tensor = _Differentiated.apply(x, index, self)
        return found

    def __repr__(self) -> str:
        names = [_name_of(one) for one in self._functions[:_N_SHOWN]]
        return f"[{', '.join(names + ['...'] * (len(self._functions) > _N_SHOWN))}]"


def _number(value: Any, i: int) -> float:
    """Return what a function says, or raise an error that names it."""
    try:
        return float(np.asarray(value).item())
    except (TypeError, ValueError):
        remedy = ""
        if isinstance(value, tuple):
            remedy = " For functions that return their gradients too, set jac=True."
        raise ValueError(
            f"fun[{i}] must return one number; got {reprlib.repr(value)}.{remedy}"
        ) from None


def _slopes(gradient: Any, n: int, duty: str) -> NDArray[np.float64]:
    """Return a gradient, or raise an error that names the function behind it."""
    try:
        return np.asarray(gradient, dtype=np.float64).reshape(n)
    except (TypeError, ValueError):
        raise ValueError(f"{duty} {n} numbers; got {reprlib.repr(gradient)}.") from None


class _Differentiated(torch.autograd.Function):
    """Values with gradients that the user computes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, functions: _Listed) -> Tensor:
        """Return the values, and keep the gradients."""
        arrays = (part.detach().cpu().numpy() for part in (x, index))
        found = functions.with_gradients(*arrays)
        values, slopes = (torch.as_tensor(part, device="cpu").to(x) for part in found)
        ctx.save_for_backward(slopes)
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient with respect to x."""
        (slopes,) = ctx.saved_tensors
        return gradients[0][:, None] * slopes, None, None
