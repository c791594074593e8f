"""A proxy of values to be maximized, seen as one of values to be minimized."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if

from sklearn_proxyopt._utils._goal import MINIMUM, Goal

if TYPE_CHECKING:
    import torch

__all__ = ["TurnedProxy", "turned_proxy", "unturned_proxy"]


def _has(name: str) -> Any:
    return available_if(lambda turned: hasattr(turned.regressor, name))


class TurnedProxy(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """A proxy that learns values in the user's sign and predicts them to be minimized.

    So transformers of the target, limits of the values and penalties of errors mean what the user
    wrote. It offers what the proxy offers.

    Parameters
    ----------
    regressor : regressor
        The proxy; `fit` fits it itself, and no clone.
    goal : Goal
        Which outputs are turned.
    """

    def __init__(self, regressor: Any, goal: Goal) -> None:
        self.regressor = regressor
        self.goal = goal

    @property
    def feature_names_in_(self) -> NDArray[np.object_]:
        """The names of the proxy's features, if it has any."""
        names: NDArray[np.object_] = self.regressor.feature_names_in_
        return names

    def fit(self, X: Any, y: NDArray[np.float64], **fit_params: Any) -> Self:
        """Learn outputs to be minimized."""
        self.regressor.fit(X, self.goal.turned(y), **fit_params)
        return self

    def predict(self, X: Any, **options: Any) -> Any:
        """Return predictions, and what else the options ask for, such as deviations."""
        predicted = self.regressor.predict(X, **options)
        if isinstance(predicted, tuple):
            return self.goal.turned(predicted[0]), *predicted[1:]
        return self.goal.turned(predicted)

    @_has("predict_members")
    def predict_members(self, X: Any) -> Any:
        """Return predictions of each member, (n_members, n) or (n_members, n, n_outputs)."""
        members = self.regressor.predict_members(X)
        return np.stack([self.goal.turned(one) for one in members])

    @_has("draw_functions")
    def draw_functions(self, *args: Any) -> TurnedProxy:
        """Return functions that the samples allow."""
        return TurnedProxy(self.regressor.draw_functions(*args), self.goal)

    @_has("value_and_grad")
    def value_and_grad(self, X: Any) -> Any:
        """Return values of shape (n,) and gradients of shape (n, n_features)."""
        value, gradient = self.regressor.value_and_grad(X)
        return self.goal.turned(value), -gradient

    @_has("torch_module")
    def torch_module(self, **chosen: Any) -> torch.nn.Module:
        """Return the proxy, or a member that was chosen, as a module."""
        import torch

        module = self.regressor.torch_module(**chosen)

        def turned(outputs: torch.Tensor) -> torch.Tensor:
            # Modules are searched for one objective, which comes before its constraints.
            return torch.cat([-outputs[..., :1], outputs[..., 1:]], dim=-1)

        class TurnedModule(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.proxy = module
                self.n_members = getattr(module, "n_members", 1)

            def forward(self, X: torch.Tensor) -> torch.Tensor:
                return turned(self.proxy(X))

            def members(self, X: torch.Tensor) -> torch.Tensor:
                return turned(self.proxy.members(X))

        return TurnedModule()


def turned_proxy(proxy: Any, goal: Goal) -> Any:
    """Return a proxy of outputs to be minimized, the proxy itself where nothing is turned."""
    return proxy if goal.is_plain else TurnedProxy(proxy, goal)


def unturned_proxy(proxy: Any) -> tuple[Any, Goal]:
    """Return the proxy of the user, and the goal by which it was turned."""
    return (proxy.regressor, proxy.goal) if isinstance(proxy, TurnedProxy) else (proxy, MINIMUM)
