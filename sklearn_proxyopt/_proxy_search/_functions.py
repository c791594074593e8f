"""A fitted regressor as the function that is searched."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.optimizers._functions import ProxyFunction

__all__ = ["RegressorFunction", "with_names", "without_names"]


class RegressorFunction(ProxyFunction):
    """A fitted regressor as a function of plain samples, also one that was fitted with names.

    Parameters
    ----------
    proxy : regressor
        Fitted.

    Attributes
    ----------
    has_members : bool
        Whether there is `predict_members`.
    """

    def __init__(self, proxy: Any) -> None:
        self.proxy = proxy
        self._names = getattr(proxy, "feature_names_in_", None)
        self.has_gradient = hasattr(proxy, "value_and_grad")
        self.has_module = hasattr(proxy, "torch_module")
        self.has_members = hasattr(proxy, "predict_members")

    def __call__(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return predictions of one target, of shape (n,)."""
        values = np.asarray(self.predict(X), dtype=np.float64)
        if values.shape == (len(X), 1):
            values = values[:, 0]
        if values.shape != (len(X),):
            raise ValueError(
                f"proxy must predict one value a sample, of shape ({len(X)},); "
                f"got shape {values.shape}."
            )
        return values

    def predict(self, X: NDArray[np.float64], **options: Any) -> Any:
        """Return predictions of all targets."""
        return self.proxy.predict(with_names(X, self._names), **options)

    def deviations(self, X: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Return standard deviations of shape (n, n_targets), None where the proxy tells none."""
        if "return_std" not in signature(self.proxy.predict).parameters:
            return None
        try:
            deviations = self.predict(X, return_std=True)[1]
        except ValueError:
            # As a network says that is alone.
            return None
        return np.asarray(deviations, dtype=np.float64).reshape(len(X), -1)

    def predict_members(self, X: NDArray[np.float64]) -> Any:
        """Return predictions of each member of an ensemble."""
        return self.proxy.predict_members(with_names(X, self._names))

    def value_and_grad(
        self, X: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return values of shape (n,) and gradients of shape (n, n_features)."""
        value, gradient = self.proxy.value_and_grad(with_names(X, self._names))
        return value, gradient

    def torch_module(self, **chosen: Any) -> Any:
        """Return the regressor, or a member that was chosen, as a module."""
        return self.proxy.torch_module(**chosen)


def without_names(proxy: Any) -> Any:
    """Return a fitted proxy that takes plain samples, also one that was fitted with names."""
    return proxy if getattr(proxy, "feature_names_in_", None) is None else RegressorFunction(proxy)


def with_names(X: NDArray[np.float64], names: NDArray[np.object_] | None) -> Any:
    """Return samples under their names; plain samples where there are none, or no pandas."""
    if names is None:
        return X
    try:
        import pandas as pd
    except ImportError:
        return X
    return pd.DataFrame(X, columns=names)
