"""The skorch net that trains a proxy's network, lean enough to keep up with a bare torch loop."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer
from skorch.helper import predefined_split
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import TensorDataset

from sklearn_proxyopt._threads import threads_for

__all__ = ["KeepBestWeights", "OnEpochEnd", "ProxyNet", "RateSchedule", "build_net"]


# Share of the steps over which the rate of a cycle rises, and its shares of the highest rate at
# either end.
_RISE = 0.2
_FIRST_RATE = 0.04
_LAST_RATE = 4e-6


class _StopRequestedError(Exception):
    """Raised when a callback asks for the end of training."""


class TensorBatches:
    """Batches as slices of tensors that already lie on the device.

    Takes the place of a DataLoader, whose row-by-row collation costs more than a small network.
    """

    def __init__(self, dataset: TensorDataset, batch_size: int, shuffle: bool = False) -> None:
        self.tensors = dataset.tensors
        self.batch_size = batch_size
        self.shuffle = shuffle

    def __iter__(self) -> Iterator[tuple[Tensor, tuple[Tensor, Tensor]]]:
        """Yield (X, (y, weight)) for each batch, in a new order each time if shuffled."""
        tensors = self.tensors
        if self.shuffle:
            order = torch.randperm(len(tensors[0]), device=tensors[0].device)
            tensors = tuple(tensor[order] for tensor in tensors)
        slices = zip(*(tensor.split(self.batch_size) for tensor in tensors), strict=True)
        for X, y, weight in slices:
            yield X, (y, weight)


class ProxyNet(NeuralNet):
    """A skorch net for weighted squared errors on tensors that lie on the device.

    It differs from its parent in what costs time or surprises: losses are added up on the device
    and recorded once an epoch, no prediction is cached for scoring, and an interrupt from the
    keyboard reaches the caller instead of ending the fit in silence.
    """

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        return [("epoch_timer", EpochTimer())]

    def train(
        self,
        training: TensorDataset,
        held_out: TensorDataset,
        learning_rate: float,
        n_epochs: int,
        batch_size: int,
        callbacks: list[Callback],
    ) -> None:
        """Train on tensors that lie on the device, going on from the weights there are."""
        self.set_params(
            lr=learning_rate,
            batch_size=batch_size,
            max_epochs=n_epochs,
            callbacks=callbacks,
            train_split=predefined_split(held_out) if len(held_out) else None,
        )
        with threads_for(batch_size):
            self.partial_fit(training)
        # The held-out rows would otherwise travel with every pickle.
        self.set_params(train_split=None, callbacks=[])

    def get_loss(self, y_pred: Tensor, y_true: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Return the weighted mean squared error of a batch."""
        target, weight = y_true
        squared_error = (y_pred - target).square().mean(dim=1)
        return torch.dot(squared_error, weight) / len(weight)

    def run_single_epoch(
        self,
        iterator: Any,
        training: bool,
        prefix: str,
        step_fn: Callable[..., dict[str, Tensor]],
        **fit_params: Any,
    ) -> None:
        """Go once through the batches and record their mean loss."""
        if iterator is None:
            return
        total: Tensor | float = 0.0
        n_rows = 0
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            total = total + step["loss"].detach() * len(batch[0])
            n_rows += len(batch[0])
            self.notify("on_batch_end", batch=batch, training=training, **step)
        self.history.record(f"{prefix}_loss", float(total) / n_rows)

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call the callbacks; skorch's way of asking to stop becomes an exception of our own."""
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt:
            raise _StopRequestedError from None

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, **fit_params: Any) -> Any:
        """Train until the epochs are used up or a callback asks to stop."""
        if not self.initialized_:
            self.initialize()
        self.notify("on_train_begin", X=X, y=y)
        with suppress(_StopRequestedError):
            self.fit_loop(X, y, **fit_params)
        self.notify("on_train_end", X=X, y=y)
        return self


def build_net(network: torch.nn.Module, dtype: torch.dtype, device: str) -> ProxyNet:
    """Return an untrained net around a network."""
    return ProxyNet(
        network.to(dtype),
        criterion=torch.nn.MSELoss,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        iterator_train=TensorBatches,
        iterator_train__shuffle=True,
        iterator_valid=TensorBatches,
        device=device,
        train_split=None,
        verbose=0,
    )


class KeepBestWeights(Callback):
    """Keep the weights of the lowest held-out loss, the starting ones included.

    Parameters
    ----------
    patience : int or None
        Stop after this many epochs without a lower loss; None trains to the end. A loss of
        zero, which the trend alone may reach, stops at once.
    """

    def __init__(self, patience: int | None) -> None:
        self.patience = patience

    def on_train_begin(self, net: ProxyNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Take the loss of the untrained network as the one to beat."""
        held_out = net.train_split(X)[1]
        batches = net.get_iterator(held_out, training=False)
        losses = [net.validation_step(batch)["loss"] * len(batch[0]) for batch in batches]
        self.lowest_loss_ = float(torch.stack(losses).sum()) / len(held_out)
        self.best_epoch_ = len(net.history)
        self.misses_ = 0
        self._keep(net)

    def on_epoch_end(self, net: ProxyNet, **kwargs: Any) -> None:
        """Keep the weights if they are better, and stop where patience is over."""
        loss = net.history[-1, "valid_loss"]
        if loss < self.lowest_loss_:
            self.lowest_loss_, self.misses_ = loss, 0
            self.best_epoch_ = len(net.history)
            self._keep(net)
            return
        self.misses_ += 1
        impatient = self.patience is not None and self.misses_ >= self.patience
        if impatient or self.lowest_loss_ == 0.0:
            raise _StopRequestedError

    def on_train_end(self, net: ProxyNet, **kwargs: Any) -> None:
        """Put the best weights back."""
        net.module_.load_state_dict(self._weights)
        del self._weights

    def _keep(self, net: ProxyNet) -> None:
        self._weights = copy.deepcopy(net.module_.state_dict())


class RateSchedule(Callback):
    """Change the learning rate after each batch.

    Parameters
    ----------
    schedule : {"one-cycle", "cosine", "constant"}
        The shape of the schedule: a rise over the first fifth and a fall over the rest (Smith
        and Topin 2018), a fall, or neither. Falls follow half a period of a cosine.
    n_steps : int
        Number of batches over the whole fit.
    """

    def __init__(self, schedule: str, n_steps: int) -> None:
        self.schedule = schedule
        self.n_steps = n_steps

    def on_train_begin(self, net: ProxyNet, **kwargs: Any) -> None:
        """Build the schedule on the net's optimizer."""
        for group in net.optimizer_.param_groups:
            group["lr"] = net.lr
            group.pop("initial_lr", None)
        self._scheduler: Any = LambdaLR(net.optimizer_, self._factor)

    def on_batch_end(self, net: ProxyNet, training: bool = True, **kwargs: Any) -> None:
        """Take one step of the schedule."""
        if training:
            self._scheduler.step()

    def on_train_end(self, net: ProxyNet, **kwargs: Any) -> None:
        """Let go of the schedule, which is of no use in a pickle."""
        self._scheduler = None

    def _factor(self, step: int) -> float:
        """Return the share of the highest rate that holds at a step."""
        done = step / self.n_steps
        if self.schedule == "constant":
            return 1.0
        if self.schedule == "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * done))
        if done < _RISE:
            rise = 0.5 * (1.0 - math.cos(math.pi * done / _RISE))
            return _FIRST_RATE + (1.0 - _FIRST_RATE) * rise
        fall = 0.5 * (1.0 + math.cos(math.pi * (done - _RISE) / (1.0 - _RISE)))
        return _LAST_RATE + (1.0 - _LAST_RATE) * fall


class OnEpochEnd(Callback):
    """Hand each epoch to a function that may ask to stop.

    Parameters
    ----------
    function : callable
        Takes the history row of the epoch; a true return value ends the training.
    """

    def __init__(self, function: Callable[[dict[str, Any]], bool]) -> None:
        self.function: Callable[[dict[str, Any]], bool] | None = function

    def on_epoch_end(self, net: ProxyNet, **kwargs: Any) -> None:
        """Call the function with the newest row of the history."""
        if self.function is not None and self.function(net.history[-1]):
            raise _StopRequestedError

    def on_train_end(self, net: ProxyNet, **kwargs: Any) -> None:
        """Let go of the function, which is of no use in a pickle."""
        self.function = None
