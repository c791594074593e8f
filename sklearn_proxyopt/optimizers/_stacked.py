"""A function, or each member of an ensemble, on points of the unit cube as tensors."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils import _crossovers
from sklearn_proxyopt._utils._threads import one_thread
from sklearn_proxyopt._utils._torch_modes import plain_torch
from sklearn_proxyopt.optimizers._base import UnitCubeFunction

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["MemberStack", "Stack", "stack_of"]

_DIFFERENCE = 1e-6


class Stack(ABC):
    """Functions of one box that are evaluated together.

    Attributes
    ----------
    n_functions : int
        Number of functions.
    bounds : ndarray of shape (n_features, 2)
        The box that the unit cube stands for.
    nfev : ndarray of shape (n_functions,)
        Points evaluated so far, of each function.
    device : torch.device
        Where points and values lie.
    dtype : torch.dtype
        Their type.
    """

    n_functions: int
    # Whether an evaluation of any points takes the same course on the device.
    is_static: bool = False
    bounds: NDArray[np.float64]
    nfev: NDArray[np.int64]
    device: torch.device
    dtype: torch.dtype

    def context(self) -> AbstractContextManager[None]:
        """Return a context that a search of them is to run in."""
        return nullcontext()

    @abstractmethod
    def values(self, u: Tensor) -> Tensor:
        """Return values (n_functions, n) at points (n_functions, n, n_features); none is NaN."""

    @abstractmethod
    def values_and_gradients(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return also the gradients, (n_functions, n, n_features), in units of the cube."""

    def at(self, u: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        """Return values and gradients of one function a point.

        Parameters
        ----------
        u : Tensor of shape (n, n_features)
            Points.
        which : Tensor of shape (n,)
            The function of each point, in ascending order.

        Returns
        -------
        values : Tensor of shape (n,)
            Values.
        gradients : Tensor of shape (n, n_features)
            Gradients.
        """
        import torch

        if self.n_functions == 1:
            values, gradients = self.values_and_gradients(u[None])
            return values[0], gradients[0]
        counts = torch.bincount(which, minlength=self.n_functions)
        place = torch.arange(len(which), device=u.device) - (counts.cumsum(0) - counts)[which]
        padded = u.new_full((self.n_functions, int(counts.max()), u.shape[1]), 0.5)
        padded[which, place] = u
        values, gradients = self.values_and_gradients(padded)
        self.nfev -= (padded.shape[1] - counts).cpu().numpy()
        return values[which, place], gradients[which, place]


class MemberStack(Stack):
    """The members of a proxy, or its mean alone, evaluated on its own device.

    Parameters
    ----------
    module : torch.nn.Module
        Maps points (n, n_features) to values (n, 1), and has buffers in the type of its points.
    bounds : ndarray of shape (n_features, 2)
        The box.
    each : bool
        Whether the functions are the module's members, those that its method `members` gives,
        instead of the module itself.
    n_rows : int, default=0
        Points of each function that the search will mostly evaluate at once. A proxy that may move
        is searched on a GPU where they are so many that it pays.
    """

    @plain_torch()
    def __init__(
        self, module: Any, bounds: NDArray[np.float64], each: bool, n_rows: int = 0
    ) -> None:
        import torch

        module = _moved(module, n_rows)
        self.module = module
        self.bounds = bounds
        self.each = each
        self.n_functions = module.n_members if each else 1
        self.nfev = np.zeros(self.n_functions, dtype=np.int64)
        first = next(module.buffers())
        self.device, self.dtype = first.device, first.dtype
        self.is_static = getattr(module, "is_static", False)
        self._lower = torch.as_tensor(bounds[:, 0], dtype=self.dtype, device=self.device)
        width = bounds[:, 1] - bounds[:, 0]
        self._width = torch.as_tensor(width, dtype=self.dtype, device=self.device)

    @contextmanager
    def context(self) -> Iterator[None]:
        """Search in none of torch's modes, on one thread, so that their number changes no bit."""
        with plain_torch(), one_thread():
            yield

    def values(self, u: Tensor) -> Tensor:
        """Return values (n_functions, n) at points (n_functions, n, n_features); none is NaN."""
        import torch

        with torch.no_grad():
            values = self._evaluate(u)
        return torch.where(torch.isfinite(values), values, torch.inf)

    def values_and_gradients(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return also the gradients, (n_functions, n, n_features), in units of the cube."""
        import torch

        u = u.detach().requires_grad_()
        values = self._evaluate(u)
        if not values.requires_grad:
            # A proxy of values that are all equal does not depend on its points.
            return values, torch.zeros_like(u)
        (gradients,) = torch.autograd.grad(values.sum(), u)
        return values.detach(), gradients

    def _evaluate(self, u: Tensor) -> Tensor:
        self.nfev += u.shape[1]
        rows = self._lower + self._width * u
        if self.each:
            return self.module.members(rows)[:, :, 0]
        return self.module(rows[0])[None, :, 0]


class FunctionStack(Stack):
    """One function of NumPy arrays, with its own gradient or by forward differences.

    Parameters
    ----------
    fun : UnitCubeFunction
        The function, which counts its evaluations itself.
    """

    n_functions = 1

    def __init__(self, fun: UnitCubeFunction) -> None:
        import torch

        self.fun = fun
        self.bounds = fun.bounds
        self.device, self.dtype = torch.device("cpu"), torch.float64

    @property
    def nfev(self) -> NDArray[np.int64]:  # type: ignore[override]
        """Points evaluated so far."""
        return np.array([self.fun.nfev])

    def values(self, u: Tensor) -> Tensor:
        """Return values (n_functions, n) at points (n_functions, n, n_features); none is NaN."""
        import torch

        return torch.from_numpy(self.fun(u[0].numpy()))[None]

    def values_and_gradients(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return also the gradients, (n_functions, n, n_features), in units of the cube."""
        import torch

        points = u[0].numpy()
        if self.fun.fun.has_gradient:
            value, gradient = self._by_method(points)
        else:
            value, gradient = self._by_differences(points)
        values, gradients = (torch.as_tensor(one, device="cpu") for one in (value, gradient))
        return values[None], gradients[None]

    def _by_method(self, points: NDArray[np.float64]) -> tuple[Any, Any]:
        self.fun.nfev += len(points)
        width = self.bounds[:, 1] - self.bounds[:, 0]
        value, gradient = self.fun.fun.value_and_grad(self.bounds[:, 0] + width * points)
        return np.asarray(value, dtype=np.float64), np.asarray(gradient, dtype=np.float64) * width

    def _by_differences(self, points: NDArray[np.float64]) -> tuple[Any, Any]:
        n_rows, n_features = points.shape
        # Steps point into the cube.
        steps = np.where(points + _DIFFERENCE > 1.0, -_DIFFERENCE, _DIFFERENCE)
        moved = points[:, None, :] + steps[:, :, None] * np.eye(n_features)
        values = self.fun(np.vstack([points, moved.reshape(-1, n_features)]))
        value, neighbors = values[:n_rows], values[n_rows:].reshape(n_rows, n_features)
        with np.errstate(invalid="ignore"):
            gradient = (neighbors - value[:, None]) / steps
        return value, gradient


def _moved(module: Any, n_rows: int) -> Any:
    """Return a proxy's module where points of this number are evaluated fastest, if it may move."""
    if not getattr(module, "may_move", False):
        return module
    device = _crossovers.search_device(
        n_rows * module.n_products, next(module.buffers()).dtype, module.was_on_gpu
    )
    return module if device.type == "cpu" else copy.deepcopy(module).to(device)


def stack_of(fun: UnitCubeFunction, n_rows: int = 0) -> Stack:
    """Return a function as a stack of one, on its own device if it is a torch module inside.

    A proxy that may move goes to a GPU if so many points at once are evaluated faster there.
    """
    if fun.fun.has_module:
        return MemberStack(fun.fun.torch_module(), fun.bounds, each=False, n_rows=n_rows)
    return FunctionStack(fun)
