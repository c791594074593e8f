"""What a proxy says of points on the axes, with a penalty where constraints are not met."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._torch_modes import plain_torch
from sklearn_proxyopt.optimizers._functions import ModuleFunction, ProxyFunction, offers_module
from sklearn_proxyopt.variables import Variables

if TYPE_CHECKING:
    import torch

__all__ = ["AxesFunction", "AxesProxy"]


class AxesProxy(ProxyFunction):
    """A fitted proxy of features, asked about points on the axes.

    Where the proxy has `torch_module`, this has it too if the constraints are linear; if not, its
    members are functions of arrays.

    Parameters
    ----------
    proxy : regressor
        Fitted on features.
    variables : Variables
        The space.
    weight : float
        What a violation of one span of a constraint adds in the torch module and the members.
    """

    def __init__(self, proxy: Any, variables: Variables, weight: float) -> None:
        self._proxy, self._variables, self._weight = proxy, variables, weight
        self.has_module = offers_module(proxy) and _is_linear(variables)

    def __call__(self, Z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values of shape (n,)."""
        return np.asarray(self.predict(Z), dtype=np.float64)

    def predict(self, Z: NDArray[np.float64], **options: Any) -> Any:
        """Predict the values of the samples that points stand for."""
        rows = self._variables.decode(Z)
        return self._proxy.predict(self._variables.features(rows), **options)

    def members(self) -> list[AxesFunction]:
        """Return what each member of an ensemble says, as functions of points on the axes."""
        n_members = self._proxy.torch_module().n_members
        modules = [self._proxy.torch_module(member=member) for member in range(n_members)]
        return [
            AxesFunction(ModuleFunction(module), self._variables, self._weight)
            for module in modules
        ]

    @plain_torch()
    def torch_module(self, **chosen: Any) -> torch.nn.Module:
        """Return the proxy, or a member that was chosen, as a module of points on the axes."""
        module, is_rounded = self._proxy.torch_module(**chosen), self._variables.is_discrete_axis
        return _axes_module(module, self._variables, is_rounded, self._weight)


class AxesFunction(ProxyFunction):
    """A function of features as one of points on the axes, which an optimizer can search.

    Each point has the value of the valid sample that it stands for, so that no optimum lies between
    integers; a gradient runs along continuous variables only. Squared violations of the
    constraints are added. It has `torch_module` where the function has and the constraints are
    linear, and `value_and_grad` where the function has.

    Parameters
    ----------
    function : ProxyFunction
        Takes features, (n, n_learned) to (n,).
    variables : Variables
        The space.
    weight : float
        What a violation of one span of a constraint adds.
    relaxed : bool, default=False
        Whether integers are passed on as they are, between the whole ones too.
    """

    def __init__(
        self, function: ProxyFunction, variables: Variables, weight: float, *, relaxed: bool = False
    ) -> None:
        self._function, self._variables, self._weight = function, variables, weight
        # Nonlinear constraints are called on valid samples only.
        self._relaxes_constraints = relaxed and _is_linear(variables)
        kinds = variables.kinds
        self._is_rounded = kinds.is_category if relaxed else variables.is_discrete
        self._is_rounded_axis = self._is_rounded[variables.searched]
        self.has_module = function.has_module and _is_linear(variables)
        self.has_gradient = function.has_gradient

    def __call__(self, Z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values of shape (n,)."""
        X = self._rows(Z)
        values: NDArray[np.float64] = self._function(self._variables.features(X))
        if self._variables.constraints is None:
            return values
        missed = self._variables.constraints.violations(self._constrained(Z, X))
        return values + self._weight * np.square(np.minimum(missed, 10.0)).sum(axis=1)

    def _rows(self, Z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return samples in which only what must be is rounded."""
        variables = self._variables
        valid = variables.decode(Z)
        if self._is_rounded_axis[variables.is_discrete_axis].all():
            return valid
        low, high = variables.valid_bounds.T
        free = np.clip(variables.in_units(Z), low, high)
        return np.where(self._is_rounded | variables.kinds.is_fixed, valid, free)

    def _constrained(self, Z: NDArray[np.float64], X: NDArray[np.float64]) -> NDArray[np.float64]:
        return X if self._relaxes_constraints else self._variables.decode(Z)

    def value_and_grad(
        self, Z: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return values of shape (n,) and gradients of shape (n, n_axes)."""
        variables = self._variables
        X = self._rows(Z)
        values, slopes = self._function.value_and_grad(variables.features(X))
        gradient = variables.slopes_on_axes(X, np.asarray(slopes, dtype=np.float64))
        # Half of the cell of the first and of the last integer lies outside of them.
        low, high = variables.axis_limits
        is_flat = self._is_rounded_axis | (low > Z) | (high < Z)
        gradient[is_flat] = 0.0
        values = np.asarray(values, dtype=np.float64)
        if variables.constraints is not None:
            rows = self._constrained(Z, X)
            is_free = ~(self._is_rounded if self._relaxes_constraints else variables.is_discrete)
            missed, uphill = variables.constraints.penalty_and_grad(rows, variables.bounds, is_free)
            uphill = uphill * np.where(variables.kinds.is_log, rows, 1.0)
            uphill = uphill[:, variables.searched]
            uphill[is_flat | ~is_free[variables.searched]] = 0.0
            values, gradient = values + self._weight * missed, gradient + self._weight * uphill
        return values, gradient

    @plain_torch()
    def torch_module(self) -> torch.nn.Module:
        """Return the function as a module of points on the axes."""
        proxy = self._function.torch_module()
        return _axes_module(proxy, self._variables, self._is_rounded_axis, self._weight)


def _is_linear(variables: Variables) -> bool:
    """Tell whether a module can know the constraints: there are none but linear ones."""
    return variables.constraints is None or variables.constraints.is_linear


def _axes_module(
    proxy: Any, variables: Variables, is_rounded: NDArray[np.bool_], weight: float
) -> torch.nn.Module:
    """Return a proxy on the axes, with a penalty for linear constraints, as a torch module."""
    import torch

    constraints, searched = variables.constraints, variables.searched
    kinds, limits = variables.kinds, variables.axis_limits
    is_circle = kinds.is_periodic[searched]
    start = variables.bounds[searched, 0]
    width = np.where(is_circle, np.ptp(variables.bounds[searched], axis=1), 1.0)
    is_category = variables.is_category_axis
    n_labels = {
        int(axis): len(kinds.levels[int(searched[axis])]) for axis in np.flatnonzero(is_category)
    }
    first = next(proxy.buffers())

    def tensor(values: NDArray[Any]) -> torch.Tensor:
        if values.dtype == bool:
            return torch.tensor(values, dtype=torch.bool, device=first.device)
        # Infinite limits would make gradients of NaN.
        finite = np.clip(values, -1e30, 1e30)
        return torch.tensor(finite, dtype=first.dtype, device=first.device)

    class Axes(torch.nn.Module):
        lower: torch.Tensor
        upper: torch.Tensor
        rounded: torch.Tensor
        log: torch.Tensor
        origin: torch.Tensor
        step: torch.Tensor
        axis: torch.Tensor
        circle: torch.Tensor
        start: torch.Tensor
        width: torch.Tensor
        matrix: torch.Tensor
        least: torch.Tensor
        most: torch.Tensor
        scale: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.proxy = proxy
            self.n_members = getattr(proxy, "n_members", 1)
            self.register_buffer("lower", tensor(limits[0]))
            self.register_buffer("upper", tensor(limits[1]))
            self.register_buffer("rounded", tensor(is_rounded))
            self.register_buffer("log", tensor(kinds.is_log[searched]))
            self.register_buffer("origin", tensor(variables.step_origins[searched]))
            self.register_buffer("step", tensor(np.where(is_rounded, kinds.steps[searched], 1.0)))
            self.register_buffer("axis", tensor(~(is_category | is_circle)))
            self.register_buffer("circle", tensor(is_circle))
            self.register_buffer("start", tensor(start))
            self.register_buffer("width", tensor(width))
            if constraints is not None:
                fixed = np.where(kinds.is_fixed, variables.bounds[:, 0], 0.0)
                offset = constraints.matrix @ fixed
                self.register_buffer("matrix", tensor(constraints.matrix.T[searched]))
                self.register_buffer("least", tensor(constraints.lower - offset))
                self.register_buffer("most", tensor(constraints.upper - offset))
                self.register_buffer("scale", tensor(constraints.scale))

        def forward(self, Z: torch.Tensor) -> torch.Tensor:
            axes = self.axes(Z)
            return self.proxy(self.features(axes))[:, :1] + self.penalty(axes)

        def members(self, Z: torch.Tensor) -> torch.Tensor:
            """Return what each member says, of points (n, ...) or (n_members, n, ...)."""
            axes = self.axes(Z)
            return self.proxy.members(self.features(axes)) + self.penalty(axes)

        def axes(self, Z: torch.Tensor) -> torch.Tensor:
            units = torch.where(self.log, Z.exp(), Z)
            whole = self.origin + self.step * ((units - self.origin) / self.step).round()
            whole = torch.where(self.log, whole.clamp_min(1e-30).log(), whole)
            return torch.where(self.rounded, whole.detach(), Z).clamp(self.lower, self.upper)

        def features(self, axes: torch.Tensor) -> torch.Tensor:
            parts = [axes[..., self.axis]]
            if is_circle.any():
                turns = (2.0 * np.pi * (axes - self.start) / self.width)[..., self.circle]
                parts.append(torch.stack([turns.sin(), turns.cos()], dim=-1).flatten(-2))
            for axis, size in n_labels.items():
                code = axes[..., axis].detach().long()
                parts.append(torch.nn.functional.one_hot(code, size).to(axes.dtype))
            return torch.cat(parts, dim=-1)

        def penalty(self, axes: torch.Tensor) -> torch.Tensor:
            if constraints is None:
                return torch.zeros_like(axes[..., :1])
            # Where an exponential overflows, the gradient would be NaN though it is not chosen.
            exponents = torch.where(self.log, axes, 0.0)
            rows = torch.where(self.log, exponents.exp(), axes)
            if is_circle.any():
                n_periods = ((rows - self.start) / self.width).floor()
                rows = torch.where(self.circle, rows - self.width * n_periods, rows)
            values = rows @ self.matrix
            missed = (self.least - values).clamp_min(0.0) + (values - self.most).clamp_min(0.0)
            return weight * (missed / self.scale).square().sum(dim=-1, keepdim=True)

    return Axes()
