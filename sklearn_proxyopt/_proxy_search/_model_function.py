"""A model of one's own as a function of samples in the user's units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from sklearn_proxyopt._proxy_search._functions import RegressorFunction
from sklearn_proxyopt._proxy_search._turned import turned_proxy
from sklearn_proxyopt._utils._goal import Goal
from sklearn_proxyopt.optimizers._functions import ProxyFunction
from sklearn_proxyopt.variables import NamedFunction, Variables

__all__ = ["ModelFunction", "checked_model"]


class ModelFunction(ProxyFunction):
    """A model as the function of samples that is minimized.

    Parameters
    ----------
    model : regressor or callable
        Fitted.
    variables : Variables
        Gives names and labels.
    goal : Goal
        What is sought.
    """

    def __init__(self, model: Any, variables: Variables, goal: Goal) -> None:
        self._goal, self._searched = goal, None
        names = getattr(model, "feature_names_in_", None)
        if not hasattr(model, "predict"):
            is_named = variables.names is not None
            self._call = NamedFunction(model, variables, vectorized=True) if is_named else model
            return
        if names is not None and variables.names is not None:
            by_columns = _with_columns(model, list(names), variables)
            self._call = NamedFunction(by_columns, variables, vectorized=True)
            return
        self._call = RegressorFunction(model).predict
        if variables.is_continuous_box:
            # Its own gradient, or its torch module.
            self._searched = RegressorFunction(turned_proxy(model, goal))
            self.has_gradient = self._searched.has_gradient
            self.has_module = self._searched.has_module

    def __call__(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values of shape (n,)."""
        values = np.asarray(self._call(X), dtype=np.float64)
        if values.size != len(X):
            raise ValueError(
                f"model must predict one value a sample, of shape ({len(X)},); got shape "
                f"{values.shape}."
            )
        return self._goal.turned(values.reshape(len(X)))

    def value_and_grad(
        self, X: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return values of shape (n,) and gradients of shape (n, n_features)."""
        assert self._searched is not None
        return self._searched.value_and_grad(X)

    def torch_module(self) -> Any:
        """Return the model as a module."""
        assert self._searched is not None
        return self._searched.torch_module()


def checked_model(model: Any) -> Any:
    """Return a model that can be asked, or raise an error that says why it cannot."""
    if isinstance(model, type) or not hasattr(model, "predict"):
        if not callable(model) or isinstance(model, type):
            raise ValueError(f"model must be a fitted regressor or a callable; got {model!r}.")
        return model
    if hasattr(model, "__sklearn_tags__"):
        kind = get_tags(model).estimator_type
        if kind not in (None, "regressor"):
            raise ValueError(f"model must be a regressor; got {model!r}, a {kind}.")
        check_is_fitted(model)
    return model


def _with_columns(model: Any, columns: list[str], variables: Variables) -> Callable[[Any], Any]:
    """Return a model's predictions of tables, in the columns in which it was fitted."""
    if sorted(columns) != sorted(variables.names or ()):
        raise ValueError(
            f"bounds must name the columns that model was fitted on, {columns}; got "
            f"{list(variables.names or ())}."
        )
    return lambda table: model.predict(table[columns])
