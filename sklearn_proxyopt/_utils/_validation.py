"""Checks of what users pass in, shared by every layer of the package."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds
from sklearn.utils.validation import validate_data

__all__ = [
    "as_generator",
    "as_numbers",
    "check_bounds",
    "check_integer",
    "check_option",
    "check_real",
    "check_rows",
    "check_unmasked",
    "check_verbose",
    "check_width",
    "unmasked",
]


def as_generator(random_state: Any) -> np.random.Generator:
    """Turn a `random_state` argument into a generator of its own.

    Parameters
    ----------
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator
        None takes fresh entropy from the operating system; unlike in scikit-learn, the
        global generator of NumPy is neither read nor advanced.

    Returns
    -------
    numpy.random.Generator
        The generator passed in, or a new one that nobody else draws from.
    """
    if random_state is None:
        return np.random.default_rng()
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**32, size=4, dtype=np.uint32))
    if isinstance(random_state, Integral) and int(random_state) >= 0:
        return np.random.default_rng(int(random_state))
    raise ValueError(
        "random_state must be None, a non-negative integer, a numpy.random.RandomState or a "
        f"numpy.random.Generator; got {random_state!r}."
    )


def as_numbers(values: Any, name: str) -> NDArray[np.float64]:
    """Return an argument as a new array of floats, or raise an error that names it."""
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must be an array of numbers; got {reprlib.repr(values)}."
        ) from None


def check_rows(estimator: Any, X: Any, *, reset: bool = True) -> NDArray[np.float64]:
    """Return rows as floats, NaN allowed, as scikit-learn checks them, or name X in an error."""
    try:
        rows: NDArray[np.float64] = validate_data(
            estimator, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=reset
        )
    except ValueError as error:
        if "Complex" not in str(error):
            as_numbers(X, "X")
        raise
    return rows


def check_bounds(
    bounds: Any,
    n_features: int | None = None,
    *,
    name: str = "bounds",
    allow_equal: bool = False,
) -> NDArray[np.float64]:
    """Return the box as an array, or say what is wrong with it.

    Parameters
    ----------
    bounds : array-like of shape (n_features, 2) or scipy.optimize.Bounds
        Lower and upper bound of each variable, in the user's units.
    n_features : int, default=None
        Number of variables that the box must have; None accepts any.
    name : str, default="bounds"
        The argument to name in an error.
    allow_equal : bool, default=False
        Whether both bounds of a variable may be the same, which then is fixed.

    Returns
    -------
    ndarray of shape (n_features, 2)
        A float64 copy.

    Raises
    ------
    ValueError
        If a bound is missing, not finite, or a lower one is not below its upper one, or if the box
        is wider than any number.
    """
    if isinstance(bounds, Bounds):
        bounds = np.column_stack(np.broadcast_arrays(bounds.lb, bounds.ub))
    try:
        box = np.array(bounds, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must be numbers of shape (n_features, 2); got {bounds!r}."
        ) from None
    if box.ndim != 2 or box.shape[1] != 2 or box.shape[0] == 0:
        raise ValueError(
            f"{name} must have shape (n_features, 2), a lower and an upper bound for each "
            f"variable; got shape {box.shape}."
        )
    if n_features is not None and box.shape[0] != n_features:
        raise ValueError(
            f"{name} must have one row for each of the {n_features} variables; "
            f"got {box.shape[0]} rows."
        )
    for index, (lower, upper) in enumerate(box):
        if not (np.isfinite(lower) and np.isfinite(upper)):
            raise ValueError(f"{name} must be finite; got [{lower}, {upper}] for variable {index}.")
        if lower > upper or (lower == upper and not allow_equal):
            relation = "equal" if lower == upper else "reversed"
            raise ValueError(
                f"{name} must have each lower bound below its upper bound; got the {relation} "
                f"pair [{lower}, {upper}] for variable {index}."
            )
        if upper / 2.0 - lower / 2.0 > np.finfo(np.float64).max / 2.0:
            raise ValueError(
                f"{name} must lie less than {np.finfo(np.float64).max:.1e} apart; got "
                f"[{lower}, {upper}] for variable {index}."
            )
    return box


def check_width(bounds: Any, n_features: int) -> None:
    """Raise an error unless bounds, of whatever kind, have a row for each variable."""
    is_object = isinstance(bounds, Bounds)
    n_rows = np.broadcast(bounds.lb, bounds.ub).size if is_object else len(bounds)
    if n_rows != n_features:
        raise ValueError(
            f"bounds must have one row for each of the {n_features} variables; got {n_rows} rows."
        )


def check_integer(value: Any, name: str, *, minimum: int = 1, maximum: int | None = None) -> int:
    """Return an integer argument within its limits, or raise an error that names it."""
    valid = isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= minimum
    if not valid or (maximum is not None and value > maximum):
        limits = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ValueError(f"{name} must be an integer {limits}; got {value!r}.")
    return int(value)


def check_real(
    value: Any,
    name: str,
    *,
    minimum: float = -np.inf,
    maximum: float = np.inf,
    include_minimum: bool = True,
) -> float:
    """Return a real argument within its limits, or raise an error that names it."""
    valid = isinstance(value, Real) and not isinstance(value, bool) and np.isfinite(float(value))
    above = valid and (value >= minimum if include_minimum else value > minimum)
    if not (above and value <= maximum):
        bracket = "[" if include_minimum else "("
        raise ValueError(
            f"{name} must be a finite number in {bracket}{minimum}, {maximum}]; got {value!r}."
        )
    return float(value)


def check_option(value: Any, name: str, options: Iterable[Any]) -> Any:
    """Return one of the allowed values of an argument, or raise an error that lists them."""
    choices = list(options)
    if not any(value is choice or (np.ndim(value) == 0 and value == choice) for choice in choices):
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name} must be one of {listed}; got {value!r}.")
    return value


def check_verbose(verbose: Any) -> None:
    """Raise an error unless `verbose` is an integer, or True or False."""
    if not isinstance(verbose, bool | np.bool_):
        check_integer(verbose, "verbose", minimum=0)


def check_unmasked(X: Any) -> None:
    """Raise an error if rows hold numbers under a mask, which nobody knows."""
    n_masked = np.ma.count_masked(X) if np.ma.isMaskedArray(X) else 0
    if n_masked:
        raise ValueError(f"X must hold no masked numbers; got {n_masked} of them.")


def unmasked(y: Any) -> Any:
    """Return values with NaN in the place of those under a mask; what has no mask as it is."""
    return np.ma.filled(y.astype(np.float64), np.nan) if np.ma.isMaskedArray(y) else y
