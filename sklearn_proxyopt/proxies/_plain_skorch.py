"""A regressor of skorch as a proxy by itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_proxyopt._utils._global_random import BorrowedStream
from sklearn_proxyopt._utils._torch_modes import plain_torch
from sklearn_proxyopt._utils._validation import as_generator

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["PlainSkorch", "with_nets_wrapped"]

_OWN = ("net", "random_state")


def with_nets_wrapped(proxy: Any) -> Any:
    """Return a proxy in which nets of skorch take float64 samples and values of shape (n,).

    The net may be the proxy itself, or lie inside a pipeline or another meta-estimator, a clone of
    which is returned then.
    """
    if "skorch" not in sys.modules or not hasattr(proxy, "get_params"):
        return proxy
    from skorch import NeuralNet

    if isinstance(proxy, NeuralNet):
        return PlainSkorch(proxy)
    found = proxy.get_params(deep=True).items()
    nets = {name: PlainSkorch(one) for name, one in found if isinstance(one, NeuralNet)}
    return clone(proxy).set_params(**nets) if nets else proxy


def _maps_plainly(proxy: PlainSkorch) -> bool:
    """Return whether a fitted net predicts what its module returns."""
    return getattr(proxy, "_is_plain", False)


class PlainSkorch(RegressorMixin, BaseEstimator):
    """A net of skorch that takes and gives numbers as regressors of scikit-learn do.

    Parameters
    ----------
    net : skorch.NeuralNet
        The net; a clone is trained. Its parameters can be set as if they were those of this
        regressor.
    random_state : None, int, RandomState or Generator, default=None
        Draws weights and batches, in place of the global generators.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained net.
    """

    def __init__(self, net: Any, random_state: Any = None) -> None:
        self.net = net
        self.random_state = random_state

    @plain_torch()
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train a clone of the net.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their values.

        Returns
        -------
        self
            The fitted regressor.
        """
        import torch

        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        self._single_output = np.ndim(y) == 1
        targets = np.asarray(y, dtype=np.float64).reshape(len(X), -1)
        net = clone(self.net)
        stream = BorrowedStream(as_generator(self.random_state), torch.device(net.device))
        with stream.borrowed():
            net.initialize()
            self.net_, self._is_plain = net, False
            self._check_outputs(X[:2], targets.shape[1])
            net.partial_fit(self._numbers(X), self._numbers(targets))
            self._is_plain = self._predicts_its_module(X[:2])
        return self

    @plain_torch()
    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples to predict.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions.
        """
        import torch

        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        # A DataLoader draws a seed, even where it needs none.
        stream = BorrowedStream(np.random.default_rng(0), torch.device(self.net_.device))
        with stream.borrowed():
            values = np.asarray(self.net_.predict(self._numbers(X)), dtype=np.float64)
        return values[:, 0] if self._single_output else values

    @available_if(_maps_plainly)
    @plain_torch()
    def value_and_grad(self, X: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Predict values of one target together with their gradients.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples to predict.

        Returns
        -------
        value : ndarray of shape (n_samples,)
            Predictions.
        gradient : ndarray of shape (n_samples, n_features)
            Derivatives of each prediction with respect to its sample.
        """
        import torch

        X = validate_data(self, X, dtype=np.float64, reset=False)
        module: Any = self.torch_module()
        like = module.center
        rows = torch.tensor(X, dtype=like.dtype, device=like.device, requires_grad=True)
        value = module(rows)[:, 0]
        (gradient,) = torch.autograd.grad(value.sum(), rows)
        return value.detach().cpu().numpy(), gradient.cpu().numpy()

    @available_if(_maps_plainly)
    @plain_torch()
    def torch_module(self) -> nn.Module:
        """Return the net's module, mapping float64 samples to float64 predictions.

        Returns
        -------
        torch.nn.Module
            Maps (n, n_features) to (n, n_outputs), where the net lies.
        """
        import torch

        module = self.net_.module_.eval()
        like = next(module.parameters())

        class InDouble(torch.nn.Module):
            center: Tensor

            def __init__(self) -> None:
                super().__init__()
                self.module = module
                center = torch.zeros((), dtype=torch.float64, device=like.device)
                self.register_buffer("center", center)

            def forward(self, rows: Tensor) -> Tensor:
                outputs: Tensor = self.module(rows.to(like.dtype))
                return outputs.to(rows.dtype)

        return InDouble().eval()

    def set_params(self, **params: Any) -> Self:
        """Set parameters, also those of the net by their own names.

        Parameters
        ----------
        **params : dict
            The parameters.

        Returns
        -------
        self
            The regressor.
        """
        own = {name: params[name] for name in params if name.partition("__")[0] in _OWN}
        super().set_params(**own)
        others = {name: value for name, value in params.items() if name not in own}
        if others:
            self.net.set_params(**others)
        return self

    def _numbers(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """Return numbers in the type that the module computes in."""
        dtype = str(next(self.net_.module_.parameters()).dtype).removeprefix("torch.")
        return np.array(values, dtype=dtype, order="C")

    def _check_outputs(self, rows: NDArray[np.float64], n_outputs: int) -> None:
        """Check that the module gives an output a sample, so that no loss broadcasts."""
        found = np.shape(self.net_.predict(self._numbers(rows)))
        if found != (len(rows), n_outputs):
            raise ValueError(
                f"proxy must be a net whose module maps rows of shape {rows.shape} to outputs of "
                f"shape ({len(rows)}, {n_outputs}); got {found}."
            )

    def _predicts_its_module(self, rows: NDArray[np.float64]) -> bool:
        """Return whether nothing comes between the module and the net's predictions."""
        rows = self._numbers(rows)
        said = self.net_.forward(rows)
        return not isinstance(said, tuple) and np.array_equal(
            said.numpy(), self.net_.predict(rows), equal_nan=True
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = True
        tags.target_tags.multi_output = True
        return tags
