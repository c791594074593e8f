"""Where a fitted proxy lies, and how it gets to another device or machine."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from sklearn.utils.validation import check_is_fitted

from sklearn_proxyopt._utils._crossovers import is_auto
from sklearn_proxyopt.exceptions import DeviceNotFoundWarning

if TYPE_CHECKING:
    from sklearn_proxyopt.proxies._net import ProxyNet
    from sklearn_proxyopt.proxies._network import ProxyModule
    from sklearn_proxyopt.proxies._recipe import TrainingData

__all__ = ["PlacedMixin"]


class PlacedMixin:
    """The place of a fitted `NeuralProxyRegressor`.

    The class owes `torch_module` and the attributes below, which its `fit` sets.
    """

    device: Any
    dtype: str
    hidden_layer_sizes: Sequence[int]
    features: str | None
    n_frequencies: int
    module: Any
    n_members: int
    n_outputs_: int
    net_: ProxyNet
    device_: str
    trained_on_: str
    # The whole proxy, ready to be asked; not part of what a pickle holds.
    _module: ProxyModule

    def to(self, device: Any) -> Self:
        """Move the fitted proxy to a device, where it stays until the next fit.

        Parameters
        ----------
        device : str or torch.device
            "cpu", "cuda", "cuda:1" or "mps".

        Returns
        -------
        self
            The proxy, moved in place.
        """
        from sklearn_proxyopt.proxies._device import resolve_device, resolve_dtype

        check_is_fitted(self)
        self._place(str(resolve_device(device, resolve_dtype(self.dtype))))
        self._is_placed = True
        return self

    def _choose_device(self, data: TrainingData, steps: tuple[int, int]) -> None:
        """Settle where the networks are trained."""
        from sklearn_proxyopt.proxies._device import resolve_dtype, training_device
        from sklearn_proxyopt.proxies._network import shapes_of

        n_epochs, batch_size = steps
        n_features = self.n_frequencies if self.features is not None else 0
        shapes = shapes_of(
            data.rows.shape[1], self.n_outputs_, tuple(self.hidden_layer_sizes), n_features, True
        )
        n_weights = sum(rows * columns for rows, columns in shapes)
        # What a module of the user costs, and whether it pays, only the user knows.
        n_products = 0 if self.module is not None else self.n_members * batch_size * n_weights
        n_steps = n_epochs * -(-data.kept.shape[1] // batch_size)
        device = training_device(self.device, resolve_dtype(self.dtype), n_products, n_steps)
        self.trained_on_ = str(device)

    @property
    def _may_move(self) -> bool:
        """Whether large work may be done on a GPU that the proxy does not lie on."""
        is_placed = getattr(self, "_is_placed", False)
        return is_auto(self.device) and self.device_ == "cpu" and not is_placed

    def _place(self, device: str) -> None:
        """Put the networks on a device and make the proxy ready to be asked there."""
        import torch

        if device != str(self.net_.device):
            self.net_.move(torch.device(device))
        self.device_ = device
        self._module = self.torch_module()  # type: ignore[attr-defined]

    @contextmanager
    def _at_work(self, continued: bool) -> Iterator[None]:
        """Hold the networks where they are trained; afterwards they lie where they belong.

        Those that chose their device by the work return to the CPU, where small work is faster.
        """
        vars(self).pop("_module", None)
        vars(self).pop("_is_placed", None)
        if continued:
            self._place(self.trained_on_)
        self.device_ = self.trained_on_
        with _memory_explained():
            yield
        self._place("cpu" if is_auto(self.device) else self.trained_on_)

    def __getstate__(self) -> dict[str, Any]:
        inherited: Any = super().__getstate__()
        state: dict[str, Any] = dict(inherited)
        state.pop("_module", None)
        net = state.get("net_")
        if net is not None and net.initialized_ and str(net.device) != "cpu":
            import torch

            state["net_"] = copy.deepcopy(net)
            state["net_"].move(torch.device("cpu"))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[misc]
        net = state.get("net_")
        if net is None or not net.initialized_ or "_trend" not in state:
            return
        import torch

        from sklearn_proxyopt.proxies._device import is_there

        if not is_there(torch.device(self.trained_on_)):
            self.trained_on_ = "cpu"
        device = self.device_
        if not is_there(torch.device(device)):
            warnings.warn(
                f"The proxy lay on {device!r}, which torch does not find here; it is on the CPU "
                "now.",
                DeviceNotFoundWarning,
                stacklevel=2,
            )
            device = "cpu"
        self._place(device)


@contextmanager
def _memory_explained() -> Iterator[None]:
    """Say what to do where the memory of a device is too small for a training."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryError(
            "batch_size must be small enough for the memory of the device, with n_members and "
            f"hidden_layer_sizes; got: {error} Halve batch_size, train fewer members, or set "
            'device="cpu".'
        ) from error
