"""The side of an optimizer that knows its variables."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from sklearn_proxyopt._proxy_search._model import named_rows
from sklearn_proxyopt._utils._box import bounds_of_rows
from sklearn_proxyopt._utils._validation import check_bounds, check_width
from sklearn_proxyopt.variables import NamedFunction, Variables
from sklearn_proxyopt.variables._kinds import Kinds, read_kinds

__all__ = ["SpaceMixin"]


class SpaceMixin:
    """The variables of an optimizer, read from its parameters.

    The class owes the parameter `vectorized`. Where it has none of the others used here, every row
    inside the box is valid.
    """

    feature_names: Any = None
    integrality: Any = None
    categories: Any = None
    log_scale: Any = None
    constraints: Any = ()
    named_rows: bool = False
    vectorized: bool
    feature_names_in_: NDArray[np.object_]

    def _space(self, given: Any, X: NDArray[np.float64] | None = None) -> Variables:
        """Return the variables inside a box: the user's, or that of the rows where it is None."""
        if given is None:
            assert X is not None
            kinds = self._kinds(X.shape[1])
            X = X.copy()
            for index, labels in kinds.levels.items():
                X[:2, index] = 0.0, len(labels) - 1.0
            given = bounds_of_rows(X)
        elif X is not None and self._names() is not None:
            check_width(given, X.shape[1])
        space = Variables(
            given,
            names=self._names(),
            integrality=self.integrality,
            categories=self.categories,
            log_scale=self.log_scale,
            constraints=self.constraints,
        )
        if X is not None:
            check_bounds(space.bounds, X.shape[1])
        return space

    def _read_rows(self, X: Any, *targets: Any, **checks: Any) -> Any:
        """Return rows, checked, with codes for the labels of a DataFrame; and their values."""
        is_frame = hasattr(X, "iloc")
        if self.feature_names is not None:
            X = self._named(X)
        if self.categories is not None and is_frame:
            X = self._kinds(X.shape[1], [str(name) for name in X.columns]).codes(X)
        checked = validate_data(self, X, *targets, dtype=np.float64, **checks)
        rows = checked[0] if targets else checked
        self._kinds(rows.shape[1]).check_rows(rows)
        return checked

    def _keep_names(self) -> None:
        """Let the names be those of the parameter, where no rows bring any."""
        self.__dict__.pop("feature_names_in_", None)
        if self.feature_names is not None:
            self.feature_names_in_ = np.array(list(self.feature_names), dtype=object)

    def _for_evaluator(self, objective: Any, space: Variables) -> Any:
        """Return the objective as a function of plain rows."""
        return NamedFunction(objective, space, self.vectorized) if self.named_rows else objective

    def _names(self) -> Any:
        if self.feature_names is not None:
            return self.feature_names
        names = getattr(self, "feature_names_in_", None)
        return None if names is None else [str(name) for name in names]

    def _kinds(self, n_features: int, names: Any = None) -> Kinds:
        names = self._names() if names is None else names
        return read_kinds(n_features, names, self.integrality, self.categories, self.log_scale)

    def _named(self, X: Any) -> Any:
        """Return rows under the names of the parameter, or raise an error that they differ."""
        names = list(self.feature_names)
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
