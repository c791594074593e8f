"""The side of a proxy that is asked, where one torch module tells values and deviations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_proxyopt._utils._threads import threads_for
from sklearn_proxyopt._utils._torch_modes import plain_torch
from sklearn_proxyopt._utils._validation import check_integer, check_real

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["MomentsMixin"]

# Pairs of points and samples that a block of predictions may compare at once, and its most points.
_PAIRS_PER_BLOCK, _MOST_PER_BLOCK = 4_000_000, 4096


class MomentsMixin:
    """The predictions of a fitted proxy whose module also tells standard deviations.

    The class owes the attributes below, which its `fit` sets. The module has the methods
    `moments` and `lowered`, the number `n_rows`, and a buffer `center` in the type of its samples.
    """

    n_outputs_: int
    _module: Any
    _single_output: bool

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Predict values of the function.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples to predict.
        return_std : bool, default=False
            Whether to return also the standard deviation.

        Returns
        -------
        mean : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions in the units of `y`.
        std : ndarray of the same shape
            Standard deviations of the function about them, with `return_std`.
        """
        import torch

        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        module = self._module
        ask: Callable[[Tensor], tuple[Tensor, ...]]
        ask = module.moments if return_std else lambda rows: (module(rows),)
        with plain_torch(), torch.no_grad(), threads_for(len(X)):
            answers = [ask(rows) for rows in self._blocks(X)]
        columns = tuple(_numpy(parts) for parts in zip(*answers, strict=True))
        if self._single_output:
            columns = tuple(column[:, 0] for column in columns)
        return columns if return_std else columns[0]

    def value_and_grad(
        self, X: ArrayLike, *, n_std: float = 0.0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Predict values together with their gradients.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples to predict.
        n_std : float, default=0.0
            Number of standard deviations to subtract from the mean.

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
        module = self.torch_module(n_std=n_std)
        values, gradients = [], []
        with plain_torch(), threads_for(len(X)):
            for block in self._blocks(X):
                rows = block.requires_grad_()
                value = module(rows)[:, 0]
                gradients.append(torch.autograd.grad(value.sum(), rows)[0])
                values.append(value.detach())
        return _numpy(values), _numpy(gradients)

    def torch_module(self, *, member: int | None = None, n_std: float = 0.0) -> nn.Module:
        """Return the whole proxy as one differentiable torch module.

        Parameters
        ----------
        member : int, default=None
            None or 0: the proxy has one member, itself.
        n_std : float, default=0.0
            Number of standard deviations to subtract from the mean.

        Returns
        -------
        torch.nn.Module
            Maps float64 samples (n, n_features) in the user's units, on the device `device_`, to
            predictions (n, n_outputs). On "mps", which has no float64, both are float32. Its
            method `members` returns (1, n, n_outputs), its method `moments` also standard
            deviations.
        """
        check_is_fitted(self)
        check_real(n_std, "n_std")
        if member is not None:
            check_integer(member, "member", minimum=0, maximum=0)
        with plain_torch():
            module: nn.Module = self._module.lowered(n_std).eval()
        return module

    def _blocks(self, X: NDArray[np.float64]) -> Iterator[Tensor]:
        """Yield samples, at most some thousand at a time, where the module lies and in its type."""
        import torch

        center = self._module.center
        size = _PAIRS_PER_BLOCK // self._module.n_rows
        # torch takes no samples in reverse order.
        rows = torch.tensor(np.ascontiguousarray(X), dtype=center.dtype, device="cpu")
        blocks = rows.split(min(max(size, 1), _MOST_PER_BLOCK))
        return (block.to(center.device) for block in blocks)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.target_tags.single_output = True
        tags.target_tags.multi_output = True
        return tags


def _numpy(parts: Any) -> NDArray[np.float64]:
    """Return blocks of an answer as one array."""
    import torch

    joined: NDArray[np.float64] = torch.cat(list(parts)).cpu().double().numpy()
    return joined
