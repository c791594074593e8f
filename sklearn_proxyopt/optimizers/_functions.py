"""The function that an optimizer searches: its values, and what else it can tell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_proxyopt._utils._threads import one_thread
from sklearn_proxyopt._utils._torch_modes import plain_torch

if TYPE_CHECKING:
    import torch

__all__ = [
    "CallableFunction",
    "ModuleFunction",
    "ProxyFunction",
    "as_function",
    "member_function",
    "offers_module",
]


class ProxyFunction(ABC):
    """A proxy, or any function, as the function of points that is searched.

    A subclass implements the values. What else it offers it says by the attributes, and writes the
    methods that belong to them.

    Attributes
    ----------
    has_gradient : bool
        Whether there is `value_and_grad`.
    has_module : bool
        Whether there is `torch_module`, and the search may stay on its device.
    """

    has_gradient: bool = False
    has_module: bool = False

    @abstractmethod
    def __call__(self, X: NDArray[np.float64]) -> Any:
        """Return values of shape (n,) of points (n, n_features)."""

    def value_and_grad(
        self, X: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return values of shape (n,) and gradients of shape (n, n_features)."""
        raise TypeError(f"{type(self).__name__} has no gradient.")

    def torch_module(self) -> torch.nn.Module:
        """Return the function as a module, (n, n_features) to (n, 1)."""
        raise TypeError(f"{type(self).__name__} is no torch module.")


class CallableFunction(ProxyFunction):
    """A callable of the user's, with `value_and_grad` or `torch_module` where it has them.

    Parameters
    ----------
    fun : callable
        Maps points (n, n_features) to values (n,).
    """

    def __init__(self, fun: Callable[[NDArray[np.float64]], ArrayLike]) -> None:
        self.fun: Any = fun
        self.has_gradient = hasattr(fun, "value_and_grad")
        self.has_module = hasattr(fun, "torch_module")

    def __call__(self, X: NDArray[np.float64]) -> Any:
        """Return values of shape (n,) of points (n, n_features)."""
        return self.fun(X)

    def value_and_grad(
        self, X: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return values of shape (n,) and gradients of shape (n, n_features)."""
        value, gradient = self.fun.value_and_grad(X)
        return value, gradient

    def torch_module(self) -> torch.nn.Module:
        """Return the function as a module, (n, n_features) to (n, 1)."""
        module: torch.nn.Module = self.fun.torch_module()
        return module


class ModuleFunction(ProxyFunction):
    """A torch module as a function of arrays with a gradient.

    Parameters
    ----------
    module : torch.nn.Module
        Maps points (n, n_features) to values (n, 1), and has buffers in the type of its points.
    """

    has_gradient = has_module = True

    def __init__(self, module: Any) -> None:
        self._module = module

    @plain_torch()
    def __call__(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values of shape (n,) of points (n, n_features)."""
        import torch

        with torch.no_grad(), one_thread():
            values: NDArray[np.float64] = self._module(self._rows(X))[:, 0].cpu().double().numpy()
        return values

    @plain_torch()
    def value_and_grad(
        self, X: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return values of shape (n,) and gradients of shape (n, n_features)."""
        import torch

        rows = self._rows(X).requires_grad_()
        with one_thread():
            values = self._module(rows)[:, 0]
            if not values.requires_grad:
                return values.cpu().double().numpy(), np.zeros_like(X)
            (gradient,) = torch.autograd.grad(values.sum(), rows)
        return values.detach().cpu().double().numpy(), gradient.cpu().double().numpy()

    def torch_module(self) -> torch.nn.Module:
        """Return the module."""
        module: torch.nn.Module = self._module
        return module

    def _rows(self, X: NDArray[np.float64]) -> torch.Tensor:
        import torch

        first = next(self._module.buffers())
        return torch.tensor(X, dtype=first.dtype, device=first.device)


def as_function(fun: Callable[[NDArray[np.float64]], ArrayLike]) -> ProxyFunction:
    """Return any callable as a function that says what it offers."""
    return fun if isinstance(fun, ProxyFunction) else CallableFunction(fun)


def offers_module(proxy: Any) -> bool:
    """Tell whether a function or regressor is a torch module inside."""
    return proxy.has_module if isinstance(proxy, ProxyFunction) else hasattr(proxy, "torch_module")


def member_function(proxy: Any, member: int) -> ModuleFunction:
    """Return one member of a proxy as a function by itself."""
    return ModuleFunction(proxy.torch_module(member=member))
