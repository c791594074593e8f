"""Tables with named columns, of pandas, polars and others: what their columns hold."""

from __future__ import annotations

from decimal import Decimal
from numbers import Real as RealNumber
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._pandas import is_missing
from sklearn_proxyopt._utils._words import some_of
from sklearn_proxyopt.variables._domains import Categorical, Domain, Integer, Ordinal, Real
from sklearn_proxyopt.variables._kinds import Kinds

__all__ = ["is_frame", "kinds_of_frame", "names_of_frame", "rows_of_frame"]

# Labels that a message lists.
_MOST_LABELS = 12


def is_frame(X: Any) -> bool:
    """Tell whether rows come as a table with named columns."""
    return hasattr(X, "columns") and hasattr(X, "__getitem__") and hasattr(X, "shape")


def names_of_frame(X: Any) -> tuple[str, ...] | None:
    """Return the names of the columns; None where they are not text."""
    names = list(getattr(X, "column_names", X.columns))
    return tuple(map(str, names)) if all(isinstance(name, str) for name in names) else None


def kinds_of_frame(X: Any) -> Kinds:
    """Return the variables that the columns of a table are, within the bounds of its rows."""
    names = names_of_frame(X)
    domains = [_domain_of(column, _label(names, i)) for i, column in enumerate(_columns(X))]
    return Kinds(tuple(domains), names)


def rows_of_frame(X: Any, kinds: Kinds) -> NDArray[np.float64]:
    """Return a table as rows, with codes for labels, or raise an error that names a column.

    What is missing is NaN in a column of numbers, and an error in one of labels.
    """
    rows = np.empty(X.shape)
    for place, column in enumerate(_columns(X)):
        labels, label = kinds.domains[place].labels, kinds.label(place)
        rows[:, place] = (
            _numbers(column, label) if labels is None else _codes(column, labels, label)
        )
    return rows


def _columns(X: Any) -> list[Any]:
    if hasattr(X, "iloc"):
        return [X.iloc[:, place] for place in range(X.shape[1])]
    return [X[name] for name in getattr(X, "column_names", X.columns)]


def _label(names: tuple[str, ...] | None, place: int) -> str:
    return f"column {place}" if names is None else repr(names[place])


def _domain_of(column: Any, label: str) -> Domain:
    """Return what a column says of its variable."""
    declared = _declared_labels(column)
    if declared:
        ordered = getattr(getattr(column, "dtype", None), "ordered", False)
        return Ordinal(declared) if ordered else Categorical(declared)
    values = np.asarray(column)
    if values.dtype.kind == "b":
        return Categorical((False, True))
    if values.dtype.kind in "OUT":
        known = [value for value in _listed(column) if not _is_missing(value)]
        if known and all(isinstance(value, (bool, np.bool_)) for value in known):
            return Categorical((False, True))
        if any(isinstance(value, str) for value in known):
            return Categorical(_in_order(known, label))
    numbers = _numbers(column, label)
    known_numbers = numbers[np.isfinite(numbers)]
    low, high = (known_numbers.min(), known_numbers.max()) if known_numbers.size else (0.0, 1.0)
    if values.dtype.kind in "iu" or "int" in str(getattr(column, "dtype", "")).lower():
        return Integer(int(low), int(high))
    return Real(float(low), float(high))


def _declared_labels(column: Any) -> tuple[Any, ...]:
    """Return the labels that the type of a column declares: categories of pandas, enums of polars.

    A `Categorical` of polars knows the labels of all such columns, not only its own.
    """
    dtype: Any = getattr(column, "dtype", None)
    try:
        return () if type(dtype).__name__ == "Categorical" else tuple(_listed(dtype.categories))
    except (AttributeError, TypeError):
        return ()


def _in_order(values: list[Any], label: str) -> tuple[Any, ...]:
    """Return the different labels of a column in their order."""
    if not all(isinstance(value, str) for value in values):
        other = next(value for value in values if not isinstance(value, str))
        raise ValueError(
            f"X must hold either numbers or labels in {label}; got {other!r} too. Convert the "
            "column to one of them."
        )
    return tuple(sorted(set(map(str, values))))


def _codes(column: Any, labels: tuple[Any, ...], label: str) -> NDArray[np.float64]:
    code_of = {one: float(code) for code, one in enumerate(labels)}
    values = _listed(column)
    codes = [code_of.get(value) for value in values]
    if None in codes:
        row = codes.index(None)
        way = "Further labels are stated in bounds."
        if _is_missing(values[row]):
            way = "Leave such samples out, or fill in what is missing."
        raise ValueError(
            f"X must hold labels of {label}, [{some_of(list(map(repr, labels)), _MOST_LABELS)}]; "
            f"got {values[row]!r} in row {row}. {way}"
        )
    return np.array(codes, dtype=np.float64)


def _numbers(column: Any, label: str) -> NDArray[np.float64]:
    values = np.asarray(column)
    if values.dtype.kind in "iuf":
        return values.astype(np.float64)
    return np.array([_number(value, row, label) for row, value in enumerate(_listed(column))])


def _number(value: Any, row: int, label: str) -> float:
    if _is_missing(value):
        return np.nan
    if not isinstance(value, (RealNumber, Decimal, np.bool_)):
        raise ValueError(
            f"X must hold numbers in {label}; got {value!r} in row {row}. Convert the column, or "
            "state its labels in bounds."
        )
    return float(value)


def _is_missing(value: Any) -> bool:
    is_nan = isinstance(value, (float, np.floating)) and np.isnan(value)
    return bool(is_nan) or is_missing(value)


def _listed(column: Any) -> list[Any]:
    for name in ("to_list", "to_pylist"):
        if hasattr(column, name):
            return list(getattr(column, name)())
    return list(column)
