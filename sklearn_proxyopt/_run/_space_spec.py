"""The variables as the parameters of an optimizer state them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_proxyopt._proxy_search._functions import named_rows
from sklearn_proxyopt._utils._box import bounds_of_rows
from sklearn_proxyopt._utils._types import Constraint, LabelsOf
from sklearn_proxyopt._utils._validation import check_bounds, check_width
from sklearn_proxyopt.variables import NamedFunction, Variables
from sklearn_proxyopt.variables._kinds import Kinds, read_kinds

__all__ = ["SpaceSpec"]


@dataclass(frozen=True)
class SpaceSpec:
    """Names, kinds and constraints of the variables; their bounds come later.

    Parameters
    ----------
    names : sequence of str or None
        Names of the variables: those of the parameter, or else of the rows seen.
    integrality : array-like of shape (n_features,) or None
        1 for an integer.
    categories : dict or None
        The labels of each category.
    log_scale : sequence of str or int, or None
        Variables on a logarithmic axis.
    constraints : sequence of constraints
        Known constraints, as of SciPy.
    """

    names: Sequence[str] | None
    integrality: ArrayLike | None
    categories: LabelsOf | None
    log_scale: Sequence[str | int] | None
    constraints: Constraint | Sequence[Constraint]

    @classmethod
    def of(cls, optimizer: Any) -> Self:
        """Return the variables of an optimizer's parameters and of the rows it has seen."""
        names = optimizer.feature_names
        if names is None and hasattr(optimizer, "feature_names_in_"):
            names = [str(name) for name in optimizer.feature_names_in_]
        return cls(
            names,
            optimizer.integrality,
            optimizer.categories,
            optimizer.log_scale,
            optimizer.constraints,
        )

    def variables(self, bounds: Any, X: NDArray[np.float64] | None = None) -> Variables:
        """Return the variables inside a box: the user's, or that of rows where it is None."""
        if bounds is None:
            assert X is not None
            kinds = self.kinds(X.shape[1])
            X = X.copy()
            for index, labels in kinds.levels.items():
                X[:2, index] = 0.0, len(labels) - 1.0
            bounds = bounds_of_rows(X)
        elif X is not None and self.names is not None:
            check_width(bounds, X.shape[1])
        space = Variables(
            bounds,
            names=self.names,
            integrality=self.integrality,
            categories=self.categories,
            log_scale=self.log_scale,
            constraints=self.constraints,
        )
        if X is not None:
            check_bounds(space.bounds, X.shape[1])
        return space

    def kinds(self, n_features: int, names: Any = None) -> Kinds:
        """Return the kinds of so many variables, under these names or their own."""
        names = self.names if names is None else names
        return read_kinds(n_features, names, self.integrality, self.categories, self.log_scale)


def under_names(X: Any, names: list[str]) -> Any:
    """Return rows under the names of the parameter, or raise an error that they differ."""
    if hasattr(X, "iloc"):
        if list(X.columns) != names:
            raise ValueError(
                f"X must have the columns of feature_names, {names}; got {list(X.columns)}."
            )
        return X
    rows = np.asarray(X)
    if rows.ndim != 2 or rows.shape[1] != len(names):
        raise ValueError(
            f"X must have a column for each of the {len(names)} feature_names; got shape "
            f"{rows.shape}."
        )
    return named_rows(rows, np.array(names, dtype=object))


def of_plain_rows(
    objective: Callable[..., Any], space: Variables, *, named_rows: bool, vectorized: bool
) -> Callable[..., Any]:
    """Return the objective as a function of plain rows."""
    return NamedFunction(objective, space, vectorized) if named_rows else objective
