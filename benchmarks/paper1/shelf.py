"""Fitted proxies that are kept, so that nothing is trained twice."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Self

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.metaestimators import available_if

from sklearn_proxyopt import NeuralProxyRegressor

__all__ = ["Shelf", "ShelvedProxy"]


class Shelf:
    """A folder of fitted proxies, found by their parameters and the rows they learned.

    Parameters
    ----------
    folder : path-like
        The folder; it is made when the first proxy is put into it.
    """

    def __init__(self, folder: Any) -> None:
        self._folder = Path(folder)

    def find(self, proxy: Any, X: ArrayLike, y: ArrayLike) -> Any:
        """Return the proxy fitted to rows, or None.

        One that an earlier version of its class left, and this one cannot use, counts as none.
        """
        path = self._path(proxy, X, y)
        if not path.exists():
            return None
        try:
            fitted = joblib.load(path)
            fitted.predict(np.asarray(X, dtype=float)[:1])
        except AttributeError:
            return None
        return fitted

    def put(self, fitted: Any, X: ArrayLike, y: ArrayLike) -> None:
        """Keep a fitted proxy."""
        path = self._path(fitted, X, y)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        joblib.dump(fitted, unfinished)
        unfinished.rename(path)

    def _path(self, proxy: Any, X: ArrayLike, y: ArrayLike) -> Path:
        rows = (np.ascontiguousarray(X, dtype=float), np.ascontiguousarray(y, dtype=float))
        # Parameters left at their defaults do not count, so that new ones lose nothing.
        defaults = type(proxy)().get_params()
        chosen = {
            name: value for name, value in proxy.get_params().items() if value != defaults[name]
        }
        key = joblib.hash((type(proxy).__name__, chosen, rows))
        return self._folder / f"{key}.joblib"


def _proxy_has(name: str) -> Any:
    return available_if(lambda self: hasattr(getattr(self, "proxy_", self.proxy), name))


class ShelvedProxy(RegressorMixin, BaseEstimator):
    """A proxy that is taken from a shelf where it has been trained on the same rows before.

    Under a grid search over optimizers, or when a stopped study is taken up again, the networks
    are trained once.

    Parameters
    ----------
    proxy : regressor
        The proxy. It needs a seed of its own to be found again.
    shelf : Shelf
        Where fitted proxies are kept.

    Attributes
    ----------
    proxy_ : regressor
        The fitted proxy.
    seconds_ : float
        CPU seconds that its training took.
    error_ : float
        Of a neural proxy, its root mean square error on the rows that it held out; of another, 0.
    """

    def __init__(self, proxy: Any, shelf: Shelf) -> None:
        self.proxy = proxy
        self.shelf = shelf

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Take the fitted proxy from the shelf, or fit it and put it there."""
        self.proxy_ = self.shelf.find(self.proxy, X, y)
        if self.proxy_ is None:
            start = time.process_time()
            self.proxy_ = clone(self.proxy).fit(X, y)
            self.proxy_.seconds_ = time.process_time() - start
            self.shelf.put(self.proxy_, X, y)
        self.seconds_ = self.proxy_.seconds_
        self.error_ = 0.0
        if isinstance(self.proxy_, NeuralProxyRegressor):
            loss = min(epoch["valid_loss"] for epoch in self.proxy_.history_)
            # Losses are in units of what the trend leaves.
            self.error_ = float(self.proxy_._recipe.scale.max()) * loss**0.5
        self.n_features_in_ = self.proxy_.n_features_in_
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict values of shape (n,)."""
        return self.proxy_.predict(X)

    @_proxy_has("torch_module")
    def torch_module(self) -> Any:
        """Return the fitted proxy as one differentiable module."""
        return self.proxy_.torch_module()

    @_proxy_has("value_and_grad")
    def value_and_grad(self, X: ArrayLike) -> Any:
        """Predict values with their gradients."""
        return self.proxy_.value_and_grad(X)
