"""Samples as users pass them, with names and labels or without, read as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array, check_X_y, validate_data

from sklearn_proxyopt._proxy_search._functions import with_names
from sklearn_proxyopt._run._space_spec import SpaceSpec
from sklearn_proxyopt._utils._distances import MEASURED
from sklearn_proxyopt._utils._pandas import add_notes, is_missing, numbered
from sklearn_proxyopt._utils._validation import check_unmasked, unmasked
from sklearn_proxyopt.variables import Variables
from sklearn_proxyopt.variables._axes import Axes
from sklearn_proxyopt.variables._frames import (
    is_frame,
    kinds_of_frame,
    names_of_frame,
    rows_of_frame,
)
from sklearn_proxyopt.variables._kinds import Kinds

__all__ = ["check_form", "read_rows", "read_samples", "read_values", "with_notes"]

# Columns beside the variables in the tables that `ask` hands out.
_INTERVAL, _REASON = ("predicted", "lower", "upper"), "reason"


def read_samples(
    optimizer: Any, X: Any, y: Any, spec: SpaceSpec, *, reset: bool, **checks: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return evaluated samples and their values as numbers, or raise an error that names a fault.

    Parameters
    ----------
    optimizer : estimator
        Keeps, with `reset`, what the samples tell of their variables.
    X : array-like or DataFrame of shape (n_samples, n_features)
        The samples.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Their values.
    spec : SpaceSpec
        What is known of the variables.
    reset : bool
        Whether the samples are the first.
    **checks : dict
        What scikit-learn checks.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The settings that the samples stand for.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Their values.
    """
    X, y = _read(optimizer, (X, y), spec, spec.stated_names, reset, checks)
    known = replace(spec, seen=optimizer._kinds_seen)
    kinds = known.kinds(X.shape[1])
    kinds.check_rows(X)
    if spec.stated is not None:
        _check_fixed(X, kinds)
    return Axes(kinds).settings(X), y


def read_rows(optimizer: Any, X: Any, fitted: Kinds) -> NDArray[np.float64]:
    """Return samples of the variables that a proxy has learned as numbers."""
    # Plain rows go by the names that bounds gave; of names that a table gave, scikit-learn warns.
    are_stated = isinstance(optimizer.bounds, Mapping) or optimizer._kinds_seen is None
    names = fitted.names if are_stated else None
    learned = SpaceSpec.with_kinds(optimizer, fitted)
    rows: NDArray[np.float64] = _read(optimizer, (X,), learned, names, False, {})
    fitted.check_rows(rows)
    return rows


def read_values(y: Any) -> Any:
    """Return values as numbers, NaN for what is missing, or raise an error that names a fault.

    None and complex numbers are returned as they are, for scikit-learn to refuse.
    """
    if y is None:
        return None
    try:
        values = np.asarray(unmasked(y))
    except ValueError as error:
        raise ValueError(f"y must hold a number for each sample and output; {error}") from None
    if values.dtype.kind == "c":
        return values
    if values.dtype.kind in "biuf":
        return values.astype(np.float64)
    if not values.ndim:
        raise ValueError(f"y must be an array of numbers; got {y!r}.")
    numbers = np.empty(values.shape)
    for place, value in np.ndenumerate(values):
        try:
            numbers[place] = np.nan if is_missing(value) else float(value)
        except (TypeError, ValueError):
            raise ValueError(
                f"y must hold numbers; got {_shown(value)} in row {place[0]}. Convert it, or pass "
                "NaN and on_error='drop' for an experiment that failed."
            ) from None
    return numbers


def check_form(X: Any) -> None:
    """Raise an error if samples come in a form that holds a table, but is none."""
    if hasattr(X, "shape"):
        # Also a sparse array of SciPy that is a dict.
        return
    if hasattr(X, "collect"):
        raise ValueError(
            f"X must be a table in memory; got a {type(X).__name__}. Pass X.collect()."
        )
    if isinstance(X, Mapping):
        raise ValueError(
            f"X must be an array or a table; got a {type(X).__name__}. Pass pd.DataFrame(X), with "
            "a list for each column."
        )
    if isinstance(X, list | tuple) and any(isinstance(row, Mapping) for row in X):
        raise ValueError(
            "X must be an array or a table; got a list of dicts. Pass pd.DataFrame(X)."
        )


def _read(
    optimizer: Any,
    given: tuple[Any, ...],
    spec: SpaceSpec,
    names: tuple[str, ...] | None,
    reset: bool,
    checks: dict[str, Any],
) -> Any:
    """Return samples, with values or without; plain samples get names where bounds give any."""
    check_form(given[0])
    try:
        return _checked(optimizer, given, spec, names, reset, checks)
    except ValueError as error:
        X, *targets = given
        known = names_of_frame(X) if is_frame(X) else spec.names_known
        fault = _fault((_plain(optimizer, X, spec), *targets), known)
        if fault:
            raise ValueError(fault) from error
        raise


def _fault(given: tuple[Any, ...], names: tuple[str, ...] | None) -> str:
    """Say where the first entry stands that is no finite number; empty if there is none."""
    X, *targets = given
    if (place := _first_odd(X)) is not None:
        row, column, value = place
        label = f"column {column}" if names is None else f"column {column} ({names[column]!r})"
        way = (
            "Leave such samples out, or fill in what is missing."
            if isinstance(value, float | np.floating)
            else "Labels come in a DataFrame, or are stated in bounds with their codes in X."
        )
        return f"X must hold finite numbers; got {_shown(value)} in row {row}, {label}. {way}"
    if targets and np.iscomplexobj(targets[0]) and not np.iscomplexobj(X):
        return f"y must hold real numbers; got {np.asarray(targets[0]).dtype}."
    if targets and (place := _first_odd(targets[0])) is not None:
        return (
            f"y must hold finite numbers; got {_shown(place[2])} in row {place[0]}. Pass "
            "on_error='drop' if NaN marks experiments that failed, or leave such samples out."
        )
    return ""


def _plain(optimizer: Any, X: Any, spec: SpaceSpec) -> Any:
    """Return a table as numbers, none of them where it cannot be read; other rows as they are."""
    if not is_frame(X):
        return X
    table = _without_notes(X, spec.names_known)
    known = replace(spec, seen=optimizer._kinds_seen, names=names_of_frame(table))
    try:
        return rows_of_frame(table, known.kinds(table.shape[1]))
    except ValueError:
        return np.empty((0, 0))


def _first_odd(values: Any) -> tuple[int, int, Any] | None:
    """Return the row, the column and the first entry that is no finite number; None if all are."""
    array = np.asarray(values)
    # Complex numbers are refused as such.
    if array.ndim not in (1, 2) or array.dtype.kind == "c":
        return None
    for (row, *column), value in np.ndenumerate(array):
        try:
            is_odd = not np.isfinite(float(value))
        except ValueError:
            is_odd = True
        except (TypeError, OverflowError):
            return None
        if is_odd:
            return row, *(column or [0]), value
    return None


def _shown(value: Any) -> str:
    """Return an entry as it is shown in a message."""
    if not isinstance(value, float | np.floating):
        return repr(str(value))
    return "NaN" if np.isnan(value) else f"{value:g}"


def _checked(
    optimizer: Any,
    given: tuple[Any, ...],
    spec: SpaceSpec,
    names: tuple[str, ...] | None,
    reset: bool,
    checks: dict[str, Any],
) -> Any:
    """Return samples, with values or without, as scikit-learn checks them."""
    X, *targets = given
    check_unmasked(X)
    X = _without_notes(X, spec.names_known)
    checks = {"dtype": np.float64, **checks}
    if is_frame(X):
        _check_unlike(X)
        rows = _read_frame(optimizer, X, spec, reset)
        check = check_X_y if targets else check_array
        return check(rows, *targets, estimator=optimizer, **checks)
    if reset:
        optimizer._kinds_seen = None
    rows = X if names is None else _under_names(X, names)
    return validate_data(optimizer, rows, *targets, reset=reset, **checks)


def _read_frame(optimizer: Any, X: Any, spec: SpaceSpec, reset: bool) -> NDArray[np.float64]:
    """Return a table as numbers, and note what its columns tell if it is the first."""
    names = spec.stated_names
    if reset:
        if names is not None:
            _check_columns(X, names)
        optimizer._kinds_seen = kinds_of_frame(X) if names is None else None
    # scikit-learn refuses columns of other names and another order, in tables of every kind.
    validate_data(optimizer, X, reset=reset, skip_check_array=True)
    known = replace(spec, seen=optimizer._kinds_seen, names=names_of_frame(X))
    return rows_of_frame(X, known.kinds(X.shape[1]))


def _under_names(X: Any, names: tuple[str, ...]) -> Any:
    """Return plain samples under the names of bounds, or raise an error that they do not fit."""
    rows = np.asarray(X)
    if rows.ndim != 2 or rows.shape[1] != len(names):
        raise ValueError(
            f"X must have a column for each of the {len(names)} variables of bounds; got shape "
            f"{rows.shape}."
        )
    return with_names(rows, np.array(names, dtype=object))


def _check_unlike(X: Any) -> None:
    """Raise an error if columns of a table have the same name."""
    names = list(getattr(X, "column_names", X.columns))
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise ValueError(
            f"X must have columns of different names; got {twice!r} more than once. Rename them."
        )


def _check_columns(X: Any, names: tuple[str, ...]) -> None:
    """Raise an error unless the columns of a table are the variables of bounds, in their order."""
    if names_of_frame(X) != names:
        got = list(getattr(X, "column_names", X.columns))
        raise ValueError(
            f"X must have the columns of bounds, {list(names)}, in this order; got {got}."
        )


def _check_fixed(X: NDArray[np.float64], kinds: Kinds) -> None:
    """Give samples what is fixed to the last digit, or raise an error if they have other values."""
    for place in np.flatnonzero(kinds.is_fixed).tolist():
        other = ~np.isclose(X[:, place], kinds.box[place, 0], rtol=MEASURED, atol=0.0)
        if other.any():
            raise ValueError(
                f"X must hold {kinds.box[place, 0]:g} in {kinds.label(place)}, which bounds fix; "
                f"got {X[other, place][0]}."
            )
        X[:, place] = kinds.box[place, 0]


def with_notes(
    space: Variables,
    points: NDArray[np.float64],
    predicted: NDArray[np.float64] | None,
    reasons: list[str],
) -> Any:
    """Return points as a table that says of each what is predicted there, and why it is asked for.

    Parameters
    ----------
    space : Variables
        Gives names and labels.
    points : ndarray of shape (n_points, n_features)
        The points.
    predicted : ndarray of shape (n_points, n_outputs, 3), or None
        Predictions and the ends of their intervals; None where there is no proxy yet.
    reasons : list of str
        Why each was chosen.

    Returns
    -------
    pandas.DataFrame
        The variables; then `predicted`, `lower` and `upper`, of several outputs `predicted_0`,
        `lower_0`, ..., NaN where they are not known; then `reason`.
    """
    frame = space.to_frame(points)
    table = np.full((len(points), 1, 3), np.nan) if predicted is None else predicted
    n_outputs = table.shape[1]
    notes: dict[str, Any] = {
        numbered(name, output, n_outputs): table[:, output, place]
        for output in range(n_outputs)
        for place, name in enumerate(_INTERVAL)
    }
    add_notes(frame, notes | {_REASON: reasons})
    return frame


def _without_notes(X: Any, names: tuple[str, ...] | None) -> Any:
    """Return a table without the columns that `with_notes` adds to variables of these names."""
    if names is None or not is_frame(X):
        return X
    columns = names_of_frame(X) or ()
    if len(columns) <= len(names) or columns[: len(names)] != names:
        return X
    notes = [name.rstrip("_").rstrip("0123456789").rstrip("_") for name in columns[len(names) :]]
    return X[list(names)] if set(notes) <= {*_INTERVAL, _REASON} else X
