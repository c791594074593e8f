"""What kind each variable is of: its name, whether it is whole, log-scaled or a category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds

from sklearn_proxyopt._utils._validation import check_bounds

__all__ = ["Kinds", "box_of", "kind_of", "n_variables", "read_kinds"]


@dataclass(frozen=True)
class Kinds:
    """The kinds of some variables.

    Attributes
    ----------
    names : tuple of str or None
        Their names, where they have any.
    is_whole : ndarray of bool of shape (n_features,)
        Which are whole numbers.
    is_log : ndarray of bool of shape (n_features,)
        Which are log-scaled.
    levels : dict of int to tuple
        The labels of those that are categories.
    """

    names: tuple[str, ...] | None
    is_whole: NDArray[np.bool_]
    is_log: NDArray[np.bool_]
    levels: dict[int, tuple[Any, ...]]

    @property
    def is_category(self) -> NDArray[np.bool_]:
        """Which are categories."""
        return np.isin(np.arange(len(self.is_whole)), list(self.levels))

    def label(self, index: int) -> str:
        """Return what an error calls a variable."""
        return f"variable {index}" if self.names is None else repr(self.names[index])

    def facts(self) -> dict[str, Any]:
        """Return, as plain data, what decides about the meaning of rows."""
        return {
            "whole": np.flatnonzero(self.is_whole).tolist(),
            "categories": {
                str(index): [str(label) for label in labels]
                for index, labels in sorted(self.levels.items())
            },
        }

    def difference(self, facts: dict[str, Any]) -> str:
        """Say which variable is of another kind in facts known from elsewhere; "" if none is."""
        own = self.facts()
        for index in range(len(self.is_whole)):
            known, got = (kind_of(one, index) for one in (facts, own))
            if known != got:
                return f"{self.label(index)} is {known} there, got {got}"
        return ""

    def codes(self, X: Any) -> Any:
        """Return a DataFrame with codes for its labels."""
        X = X.copy()
        for index, labels in self.levels.items():
            column = X.columns[index]
            code_of = {label: float(code) for code, label in enumerate(labels)}
            codes = [code_of.get(label) for label in X[column].tolist()]
            if None in codes:
                raise ValueError(
                    f"X must hold labels of the category {self.label(index)}, "
                    f"{list(labels)}; got {X[column].tolist()[codes.index(None)]!r}."
                )
            X[column] = np.array(codes, dtype=np.float64)
        return X

    def check_rows(self, X: NDArray[np.float64]) -> None:
        """Raise an error unless rows hold whole numbers, codes and positive values where they must.

        They may lie outside the box and miss the constraints.
        """
        for index in range(X.shape[1]):
            column = X[:, index]
            owed: list[tuple[str, NDArray[np.bool_]]] = []
            if index in self.levels:
                n_labels = len(self.levels[index])
                bad = ~np.isin(column, np.arange(n_labels))
                owed.append((f"codes from 0 to {n_labels - 1} in the category", bad))
            if self.is_whole[index]:
                owed.append(("whole numbers in", np.rint(column) != column))
            if self.is_log[index]:
                owed.append(("values above 0 in the log-scaled", column <= 0.0))
            for what, bad in owed:
                if bad.any():
                    raise ValueError(
                        f"X must hold {what} {self.label(index)}; got {column[bad][0]}."
                    )


def read_kinds(
    n_features: int, names: Any, integrality: Any, categories: Any, log_scale: Any
) -> Kinds:
    """Return the kinds that a user's arguments tell of, or raise an error that names one."""
    names = _read_names(names, n_features)
    is_whole = _read_integrality(integrality, n_features)
    levels = _read_levels(categories, names, n_features)
    places = _read_log_scale(log_scale, names, n_features)
    is_log = np.isin(np.arange(n_features), places)
    kinds = Kinds(names, is_whole, is_log, levels)
    for index in levels:
        for argument, is_so in (("integrality", is_whole), ("log_scale", is_log)):
            if is_so[index]:
                raise ValueError(
                    f"categories must not hold a variable of {argument}; got "
                    f"{kinds.label(index)} in both."
                )
    return kinds


def box_of(bounds: Any, kinds: Kinds) -> NDArray[np.float64]:
    """Return the box in which the bounds of a category are those of its codes."""
    box = check_bounds(_with_codes(bounds, kinds) if kinds.levels else bounds)
    for index in np.flatnonzero(kinds.is_log).tolist():
        if box[index, 0] <= 0.0:
            raise ValueError(
                f"log_scale must hold only variables whose lower bound is above 0; got "
                f"{kinds.label(index)}, bounded by {box[index].tolist()}."
            )
    for index in np.flatnonzero(kinds.is_whole).tolist():
        if np.ceil(box[index, 0]) > np.floor(box[index, 1]):
            raise ValueError(
                f"bounds must hold a whole number for {kinds.label(index)}, which is one by "
                f"integrality; got {box[index].tolist()}."
            )
    return box


def n_variables(bounds: Any) -> int:
    """Return the number of variables that bounds are of."""
    if isinstance(bounds, Bounds):
        return int(np.broadcast(bounds.lb, bounds.ub).size)
    try:
        return len(bounds)
    except TypeError:
        raise ValueError(
            f"bounds must be numbers of shape (n_features, 2); got {bounds!r}."
        ) from None


def _with_codes(bounds: Any, kinds: Kinds) -> list[Any]:
    """Return bounds with those of the codes where there is a category."""
    if isinstance(bounds, Bounds):
        bounds = np.column_stack(np.broadcast_arrays(bounds.lb, bounds.ub))
    rows = list(bounds)
    for index, labels in kinds.levels.items():
        codes = [0.0, len(labels) - 1.0]
        if rows[index] is not None and np.ravel(rows[index]).tolist() != codes:
            raise ValueError(
                f"bounds of the category {kinds.label(index)} must be None or (0, "
                f"{len(labels) - 1}), the first and the last of its codes; got {rows[index]}."
            )
        rows[index] = codes
    return rows


def kind_of(facts: dict[str, Any], index: int) -> str:
    """Return what facts say of a variable."""
    labels = facts["categories"].get(str(index))
    if labels is not None:
        return f"a category of {labels}"
    return "a whole number" if index in facts["whole"] else "continuous"


def _read_names(names: Any, n_features: int) -> tuple[str, ...] | None:
    if names is None:
        return None
    listed = None if isinstance(names, str) else list(names)
    if listed is None or not all(isinstance(name, str) for name in listed):
        raise ValueError(f"feature_names must be a sequence of str or None; got {names!r}.")
    if len(listed) != n_features or len(set(listed)) != n_features:
        raise ValueError(
            f"feature_names must be {n_features} different names, one for each variable; "
            f"got {listed}."
        )
    return tuple(str(name) for name in listed)


def _read_integrality(integrality: Any, n_features: int) -> NDArray[np.bool_]:
    if integrality is None:
        return np.zeros(n_features, dtype=bool)
    try:
        given = np.broadcast_to(np.asarray(integrality, dtype=np.float64), (n_features,))
    except (TypeError, ValueError):
        given = np.full(n_features, np.nan)
    if not np.isin(given, (0.0, 1.0)).all():
        raise ValueError(
            f"integrality must be 0 or 1, or one of them for each of the {n_features} variables; "
            f"got {integrality!r}."
        )
    return given.astype(bool)


def _read_levels(
    categories: Any, names: tuple[str, ...] | None, n_features: int
) -> dict[int, tuple[Any, ...]]:
    if categories is None:
        return {}
    if not isinstance(categories, Mapping):
        raise ValueError(
            f"categories must be a dict of a variable to its labels, or None; got {categories!r}."
        )
    levels: dict[int, tuple[Any, ...]] = {}
    for key, labels in categories.items():
        index = _place_of(key, "categories", names, n_features)
        labels = () if isinstance(labels, str) or not np.iterable(labels) else tuple(labels)
        try:
            n_different = len(set(labels))
        except TypeError:
            raise ValueError(
                f"categories must hold labels that are hashable, such as str or numbers; got "
                f"{categories[key]!r} for {key!r}."
            ) from None
        if len(labels) < 2 or n_different < len(labels) or index in levels:
            raise ValueError(
                f"categories must hold at least two different labels for each variable, once; got "
                f"{categories[key]!r} for {key!r}."
            )
        levels[index] = labels
    return dict(sorted(levels.items()))


def _read_log_scale(log_scale: Any, names: tuple[str, ...] | None, n_features: int) -> list[int]:
    if log_scale is None:
        return []
    if isinstance(log_scale, str) or not np.iterable(log_scale):
        raise ValueError(f"log_scale must be a sequence of variables or None; got {log_scale!r}.")
    return [_place_of(key, "log_scale", names, n_features) for key in log_scale]


def _place_of(key: Any, argument: str, names: tuple[str, ...] | None, n_features: int) -> int:
    """Return the place of a variable given by its name or its place."""
    if isinstance(key, str):
        if names is not None and key in names:
            return names.index(key)
        known = "there are no feature_names" if names is None else f"they are {list(names)}"
        raise ValueError(f"{argument} must hold known names of variables; got {key!r}; {known}.")
    is_place = isinstance(key, Integral) and not isinstance(key, (bool, np.bool_))
    if not is_place or not 0 <= int(key) < n_features:
        raise ValueError(
            f"{argument} must hold names of variables, or places from 0 to {n_features - 1}; "
            f"got {key!r}."
        )
    return int(key)
