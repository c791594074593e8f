"""The side of a neural proxy that is asked: values, gradients, and the torch module behind them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_proxyopt._utils import _crossovers
from sklearn_proxyopt._utils._threads import in_parallel
from sklearn_proxyopt._utils._torch_modes import plain_torch
from sklearn_proxyopt._utils._validation import check_integer, check_real
from sklearn_proxyopt.proxies._placing import PlacedMixin

if TYPE_CHECKING:
    from torch import Tensor

    from sklearn_proxyopt.proxies._network import ProxyModule
    from sklearn_proxyopt.proxies._recipe import Recipe
    from sklearn_proxyopt.proxies._trend import Trend

__all__ = ["PredictingMixin"]

_ROWS_PER_BLOCK = 4096
# Samples of all members that a GPU takes at once, unless its memory is too small for them.
_ROWS_ON_GPU = 262_144


class PredictingMixin(PlacedMixin):
    """The predictions of a fitted `NeuralProxyRegressor`.

    The class owes the attributes below, which its `fit` sets.
    """

    n_outputs_: int
    _center: NDArray[np.float64]
    _half_width: NDArray[np.float64]
    _recipe: Recipe
    _trend: Trend
    _single_output: bool

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Predict values of the function.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples to predict.
        return_std : bool, default=False
            Whether to return also the standard deviation over the members, which takes at least
            two of them.

        Returns
        -------
        mean : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions in the units of `y`: the mean over the members.
        std : ndarray of the same shape
            Their standard deviation, with `return_std`.
        """
        check_is_fitted(self)
        if return_std:
            self._check_has_spread("return_std=True")
        members = self.predict_members(X)
        mean = members[0] if len(members) == 1 else members.mean(axis=0)
        return (mean, members.std(axis=0, ddof=1)) if return_std else mean

    @plain_torch()
    def predict_members(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict values of the function by each member.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples to predict.

        Returns
        -------
        ndarray of shape (n_members, n_samples) or (n_members, n_samples, n_outputs)
            The members' predictions in the units of `y`.
        """
        import torch

        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        module = self._module_for(len(X))

        @torch.no_grad()
        def members_at(rows: Tensor) -> Tensor:
            return module.members(rows).cpu()

        blocks = _at_blocks(X, module, members_at)
        values = torch.cat(blocks, dim=1).numpy().astype(np.float64, copy=False)
        return values[:, :, 0] if self._single_output else values

    @plain_torch()
    def value_and_grad(
        self, X: ArrayLike, *, member: int | None = None, n_std: float = 0.0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Predict values together with their gradients.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples to predict.
        member : int, default=None
            The member that predicts. None takes the mean over all.
        n_std : float, default=0.0
            Number of standard deviations over the members to subtract from the mean.

        Returns
        -------
        value : ndarray of shape (n_samples,)
            Predictions.
        gradient : ndarray of shape (n_samples, n_features)
            Derivatives of each prediction with respect to its sample, in units of `y` per unit of
            `X`.

        Raises
        ------
        ValueError
            If the proxy has several targets.
        """
        import torch

        check_is_fitted(self)
        if self.n_outputs_ != 1:
            raise ValueError(
                f"y must have one target for a gradient of the proxy; got {self.n_outputs_}."
            )
        X = validate_data(self, X, dtype=np.float64, reset=False)
        is_whole = member is None and not n_std
        module = (
            self._module_for(len(X)) if is_whole else self.torch_module(member=member, n_std=n_std)
        )

        def value_and_grad_at(rows: Tensor) -> tuple[Tensor, Tensor]:
            rows = rows.requires_grad_()
            value = module(rows)[:, 0]
            return value.detach().cpu(), torch.autograd.grad(value.sum(), rows)[0].cpu()

        values, gradients = zip(*_at_blocks(X, module, value_and_grad_at), strict=True)
        return (
            torch.cat(values).numpy().astype(np.float64, copy=False),
            torch.cat(gradients).numpy().astype(np.float64, copy=False),
        )

    @plain_torch()
    def torch_module(self, *, member: int | None = None, n_std: float = 0.0) -> ProxyModule:
        """Return the whole proxy as one differentiable torch module.

        Parameters
        ----------
        member : int, default=None
            The member that predicts. None takes the mean over all.
        n_std : float, default=0.0
            Number of standard deviations over the members to subtract from the mean.

        Returns
        -------
        torch.nn.Module
            Maps float64 samples (n, n_features) in the user's units, on the device `device_`, to
            predictions (n, n_outputs). On "mps", which has no float64, both are float32. Its
            method `members` returns those of each member, (n_members, n, n_outputs).
        """
        import torch

        from sklearn_proxyopt.proxies._network import ProxyModule

        check_is_fitted(self)
        if check_real(n_std, "n_std"):
            self._check_has_spread(f"n_std={n_std!r}")
            if member is not None:
                raise ValueError(f"n_std must be 0 with member={member!r}; got {n_std!r}.")
        ensemble, recipe = self.net_.module_, self._recipe
        trend, scale = copy.deepcopy(self._trend), recipe.scale
        if member is not None:
            check_integer(member, "member", minimum=0, maximum=ensemble.n_members - 1)
            ensemble = ensemble.member(member)
            if len(scale) > 1:
                scale = scale[member : member + 1]
            if len(trend.coefficients) > 1:
                trend.coefficients = trend.coefficients[member : member + 1]
        module = ProxyModule(
            torch.from_numpy(self._center),
            torch.from_numpy(self._half_width),
            trend,
            ensemble,
            scale,
            n_std,
        )
        module.may_move = self._may_move
        module.was_on_gpu = self.trained_on_ != "cpu"
        if self.device_.startswith("mps"):
            module = module.to(torch.float32)
        return module.eval().to(self.device_)

    def _module_for(self, n_rows: int) -> ProxyModule:
        """Return the whole proxy for a number of samples, where they are predicted fastest."""
        module = getattr(self, "_module", None)
        module = self.torch_module() if module is None else module.eval()
        if not self._may_move:
            return module
        device = _crossovers.prediction_device(
            n_rows * module.n_products, module.center.dtype, module.was_on_gpu
        )
        return module if device.type == "cpu" else copy.deepcopy(module).to(device)

    def _check_has_spread(self, asked_for: str) -> None:
        """Check that there are members to take a standard deviation of."""
        if self.net_.module_.n_members < 2:
            raise ValueError(f"n_members must be at least 2 for {asked_for}; got 1.")


def _at_blocks(
    X: NDArray[np.float64], module: ProxyModule, function: Callable[[Tensor], Any]
) -> list[Any]:
    """Apply a function to samples, some thousand at a time, where the module lies."""
    import torch

    like = module.center
    # torch takes no samples in reverse order.
    rows = torch.tensor(np.ascontiguousarray(X), dtype=like.dtype, device="cpu")
    on_cpu = like.device.type == "cpu"
    size = _ROWS_PER_BLOCK if on_cpu else max(_ROWS_ON_GPU // module.n_members, 1)
    blocks = rows.split(size)
    # A module of the user's may not bear to be called twice at once.
    alone = not on_cpu or not module.ensemble.is_stacked
    with in_parallel(1 if alone else len(blocks)) as apply:
        parts = apply(lambda block: _in_memory(function, block, like.device), blocks)
    return [part for own in parts for part in own]


def _in_memory(function: Callable[[Tensor], Any], rows: Tensor, device: Any) -> list[Any]:
    """Apply a function to samples on a device, in halves where its memory is too small for them."""
    import torch

    try:
        return [function(rows.to(device))]
    except torch.OutOfMemoryError:
        if len(rows) == 1:
            raise
    halves = rows.tensor_split(2)
    return [part for half in halves for part in _in_memory(function, half, device)]
