"""What a user states as bounds, read as variables."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real as RealNumber
from typing import Any

import numpy as np
from scipy.optimize import Bounds

from sklearn_proxyopt._utils._validation import check_bounds
from sklearn_proxyopt.variables._domains import Categorical, Domain, Integer, Real
from sklearn_proxyopt.variables._kinds import Kinds

__all__ = ["read_bounds"]


def read_bounds(bounds: Any) -> Kinds:
    """Return the variables that bounds state, or raise an error that names what is wrong.

    Parameters
    ----------
    bounds : array-like of shape (n_features, 2), scipy.optimize.Bounds, dict or list
        A pair, a kind, labels, or a single value for each variable; a dict has them by name.

    Returns
    -------
    Kinds
        The variables, with names where a dict has them.
    """
    if isinstance(bounds, Mapping):
        return _named(bounds)
    if isinstance(bounds, Bounds):
        bounds = np.column_stack(np.broadcast_arrays(bounds.lb, bounds.ub))
    is_list = isinstance(bounds, (list, tuple))
    if not is_list or all(map(_is_pair_at_most, bounds)) or all(map(_is_number, bounds)):
        pairs = check_bounds(bounds, allow_equal=True).tolist()
        return _searched(Kinds(tuple(Real(low, high) for low, high in pairs)))
    return _searched(
        Kinds(tuple(_domain_of(item, f"variable {i}") for i, item in enumerate(bounds)))
    )


def _named(bounds: Mapping[Any, Any]) -> Kinds:
    names = list(bounds)
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"bounds must have names of variables as its keys, which are str; got {names!r}."
        )
    domains = tuple(_domain_of(item, repr(name)) for name, item in bounds.items())
    return _searched(Kinds(domains, tuple(str(name) for name in names)))


def _searched(kinds: Kinds) -> Kinds:
    if kinds.is_fixed.all():
        raise ValueError(
            "bounds must leave at least one variable with more than one value; got "
            f"{kinds.stated()!r}."
        )
    return kinds


def _domain_of(item: Any, label: str) -> Domain:
    """Return what a user states of one variable."""
    if isinstance(item, Domain):
        return item
    if isinstance(item, (str, bool, np.bool_)):
        return Categorical((item,))
    if isinstance(item, RealNumber):
        if isinstance(item, (int, np.integer)):
            return Integer(int(item), int(item))
        return Real(float(item), float(item))
    values = item.tolist() if isinstance(item, np.ndarray) else item
    if not isinstance(values, (list, tuple)):
        raise ValueError(
            f"bounds must be a pair of numbers for {label}, a list of labels, one of the kinds in "
            f"sklearn_proxyopt.variables, or a single value; got {item!r}."
        )
    if not any(_is_number(value) or value is None for value in values):
        return _labels(values, label)
    if len(values) != 2 or not all(map(_is_number, values)):
        raise ValueError(
            f"bounds must be a pair of numbers (low, high) for {label}; got {list(values)!r}. "
            "Numbers to choose from are Categorical([...]), or Ordinal([...]) if their order "
            "matters."
        )
    try:
        return Real(float(values[0]), float(values[1]))
    except ValueError as error:
        raise ValueError(f"bounds must hold a box; for {label}, {error}") from None


def _labels(values: Any, label: str) -> Categorical:
    try:
        return Categorical(tuple(values))
    except ValueError as error:
        raise ValueError(f"bounds must hold a pair or labels; for {label}, {error}") from None


def _is_number(value: Any) -> bool:
    return isinstance(value, RealNumber) and not isinstance(value, (bool, np.bool_))


def _is_pair_at_most(item: Any) -> bool:
    """Tell whether an item is what a table of pairs is made of; one that is too short is wrong."""
    if isinstance(item, np.ndarray):
        return item.dtype.kind in "iuf" and item.size <= 2
    return isinstance(item, (list, tuple)) and len(item) <= 2 and all(map(_is_number, item))
