"""Rows as users pass them, with names and labels or without, read as plain numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array, check_X_y, validate_data

from sklearn_proxyopt._proxy_search._functions import named_rows
from sklearn_proxyopt._run._space_spec import SpaceSpec
from sklearn_proxyopt._utils._validation import check_unmasked
from sklearn_proxyopt.variables._axes import Axes
from sklearn_proxyopt.variables._frames import (
    is_frame,
    kinds_of_frame,
    names_of_frame,
    rows_of_frame,
)
from sklearn_proxyopt.variables._kinds import Kinds

__all__ = ["read_rows", "read_samples"]


def read_samples(
    optimizer: Any, X: Any, y: Any, spec: SpaceSpec, *, reset: bool, **checks: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return evaluated rows and their values as numbers, or raise an error that names a fault.

    Parameters
    ----------
    optimizer : estimator
        Keeps, with `reset`, what the rows tell of their variables.
    X : array-like or DataFrame of shape (n_samples, n_features)
        The rows.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Their values.
    spec : SpaceSpec
        What is known of the variables.
    reset : bool
        Whether the rows are the first.
    **checks : dict
        What scikit-learn checks.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The settings that the rows stand for.
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


def read_rows(optimizer: Any, X: Any, spec: SpaceSpec, fitted: Kinds) -> NDArray[np.float64]:
    """Return rows of the variables that a proxy has learned as numbers."""
    learned = replace(spec, stated=fitted)
    rows: NDArray[np.float64] = _read(optimizer, (X,), learned, spec.stated_names, False, {})
    fitted.check_rows(rows)
    return rows


def _read(
    optimizer: Any,
    given: tuple[Any, ...],
    spec: SpaceSpec,
    names: tuple[str, ...] | None,
    reset: bool,
    checks: dict[str, Any],
) -> Any:
    """Return rows, with values or without; plain rows get names where bounds give any."""
    X, *targets = given
    check_unmasked(X)
    checks = {"dtype": np.float64, **checks}
    if is_frame(X):
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
    """Return plain rows under the names of bounds, or raise an error that they do not fit."""
    rows = np.asarray(X)
    if rows.ndim != 2 or rows.shape[1] != len(names):
        raise ValueError(
            f"X must have a column for each of the {len(names)} variables of bounds; got shape "
            f"{rows.shape}."
        )
    return named_rows(rows, np.array(names, dtype=object))


def _check_columns(X: Any, names: tuple[str, ...]) -> None:
    """Raise an error unless the columns of a table are the variables of bounds, in their order."""
    if names_of_frame(X) != names:
        got = list(getattr(X, "column_names", X.columns))
        raise ValueError(
            f"X must have the columns of bounds, {list(names)}, in this order; got {got}."
        )


def _check_fixed(X: NDArray[np.float64], kinds: Kinds) -> None:
    """Raise an error unless rows have the values of what is fixed."""
    for place in np.flatnonzero(kinds.is_fixed).tolist():
        other = X[:, place] != kinds.box[place, 0]
        if other.any():
            raise ValueError(
                f"X must hold {kinds.box[place, 0]:g} in {kinds.label(place)}, which bounds fix; "
                f"got {X[other, place][0]}."
            )
