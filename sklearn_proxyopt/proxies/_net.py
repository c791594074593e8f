"""The skorch net that trains a proxy's network, lean enough to keep up with a bare torch loop."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer
from skorch.helper import predefined_split
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Dataset

from sklearn_proxyopt._utils._threads import in_parallel, threads_for
from sklearn_proxyopt.proxies._network import Ensemble

__all__ = [
    "KeepBestWeights",
    "MemberRows",
    "OnEpochEnd",
    "ProxyNet",
    "RateSchedule",
    "build_net",
    "n_groups_for",
]

# Rows that the members of a group use in a step, at most, and rows gathered at once for batches.
_ROWS_A_GROUP = 8192
_ROWS_GATHERED = 200_000
# Rows held out that are judged at once.
_ROWS_TO_JUDGE = 512


# Share of the steps over which the rate of a cycle rises, and its shares of the highest rate at
# either end.
_RISE = 0.2
_FIRST_RATE = 0.04
_LAST_RATE = 4e-6


class _StopRequestedError(Exception):
    """Raised when a callback asks for the end of training."""


class MemberRows(Dataset[Any]):
    """Rows for the members of an ensemble, on the device where they are trained.

    Parameters
    ----------
    rows : Tensor of shape (n, n_features)
        Rows scaled to [-1, 1].
    targets : Tensor of shape (1 or n_members, n, n_outputs)
        What the networks are to learn.
    weight : Tensor of shape (n,)
        Weights of the rows.
    index : Tensor of shape (1 or n_members, n_used)
        The rows that each member uses.
    """

    def __init__(self, rows: Tensor, targets: Tensor, weight: Tensor, index: Tensor) -> None:
        self.rows = rows
        self.targets = targets
        self.weight = weight
        self.index = index

    def __len__(self) -> int:
        return self.index.shape[1]

    def __getitem__(self, which: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return (X, (y, weight)), where `which` holds rows of the dataset for each member.

        X has the shape (n_members, n, n_features), or without its first axis where all members
        have the same rows.
        """
        X = self.rows[which if len(which) > 1 else which[0]]
        if len(self.targets) == 1:
            return X, (self.targets[0][which], self.weight[which])
        members = torch.arange(len(self.targets), device=which.device)[:, None]
        return X, (self.targets[members, which], self.weight[which])


class MemberBatches:
    """Batches taken from tensors that already lie on the device.

    Takes the place of a DataLoader, whose row-by-row collation costs more than a small network.

    Parameters
    ----------
    dataset : MemberRows
        The rows.
    batch_size : int
        Rows a step for each member.
    n_members : int or None, default=None
        Shuffles the rows of so many members, each in its own order. None leaves them in order.
    """

    def __init__(self, dataset: MemberRows, batch_size: int, n_members: int | None = None) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.n_members = n_members

    def __iter__(self) -> Iterator[tuple[Tensor, tuple[Tensor, Tensor]]]:
        """Yield (X, (y, weight)) for each batch, in a new order each time if shuffled."""
        order = self.dataset.index
        if self.n_members is not None:
            n_rows, device = len(self.dataset), order.device
            shuffled = [torch.randperm(n_rows, device=device) for _ in range(self.n_members)]
            order = order.expand(self.n_members, -1).gather(1, torch.stack(shuffled))
        # Rows are gathered for many batches at once, but not for all: they may be millions.
        n_batches = max(_ROWS_GATHERED // (self.batch_size * len(order)), 1)
        for block in order.split(n_batches * self.batch_size, dim=1):
            X, (y, weight) = self.dataset[block]
            yield from zip(
                X.split(self.batch_size, dim=-2),
                zip(
                    y.split(self.batch_size, dim=-2),
                    weight.split(self.batch_size, dim=-1),
                    strict=True,
                ),
                strict=True,
            )


class ProxyNet(NeuralNet):
    """A skorch net for weighted squared errors on tensors that lie on the device.

    It differs from its parent in what costs time or surprises: losses are added up on the device
    and recorded once an epoch, no prediction is cached for scoring, and an interrupt from the
    keyboard reaches the caller instead of ending the fit in silence.
    """

    # Applies a function to every group; those of dense networks are computed side by side.
    _map: Any = map
    # How many times an error counts where the prediction is too high, (n_members, 1, 1).
    penalty: Tensor | None = None

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        return [("epoch_timer", EpochTimer())]

    def train(
        self,
        training: MemberRows,
        held_out: MemberRows,
        learning_rate: float,
        n_epochs: int,
        batch_size: int,
        callbacks: list[Callback],
        penalty: Tensor | None = None,
    ) -> None:
        """Train on tensors that lie on the device, going on from the weights there are."""
        self.penalty = penalty
        self.set_params(
            lr=learning_rate,
            batch_size=batch_size,
            max_epochs=n_epochs,
            callbacks=callbacks,
            train_split=predefined_split(held_out) if len(held_out) else None,
        )
        if not self.initialized_:
            self.initialize()
        if self.module_.is_stacked and str(self.device) == "cpu":
            # Rows under noise are drawn once in vain, so that a seed keeps the results it gives.
            training[training.index[:, :batch_size]]
        with self._on_threads(batch_size):
            self.partial_fit(training)
        # The held-out rows would otherwise travel with every pickle.
        self.set_params(train_split=None, callbacks=[])

    @contextmanager
    def _on_threads(self, batch_size: int) -> Iterator[None]:
        """Compute each group of dense networks on a thread of its own within the block."""
        n_groups = len(self.module_.groups)
        if n_groups == 1 or not self.module_.is_stacked:
            with threads_for(batch_size):
                yield
            return
        with in_parallel(n_groups) as self._map:
            try:
                yield
            finally:
                del self._map

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Add the gradients of every group."""
        X, (y, weight) = batch
        self._set_training(True)
        X = X if X.dim() == 3 else X[None]
        penalty = X.new_ones(1) if self.penalty is None else self.penalty

        def add_gradients(group: Any, X: Tensor, y: Tensor, weight: Tensor, own: Tensor) -> Tensor:
            own_penalty = None if self.penalty is None else own
            loss = member_losses(group(X), y, weight, own_penalty)
            loss.sum().backward()
            return loss.detach()

        shares = (self.module_.shares(tensor) for tensor in (X, y, weight, penalty))
        losses = list(self._map(add_gradients, self.module_.groups, *shares))
        return {"loss": losses[0] if len(losses) == 1 else torch.cat(losses)}

    def get_loss(self, y_pred: Tensor, y_true: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Return the weighted mean squared error of each member on a batch."""
        y, weight = y_true
        return member_losses(y_pred, y, weight, self.penalty)

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
            n_batch = batch[0].shape[-2]
            total = total + step["loss"].detach() * n_batch
            n_rows += n_batch
            self.notify("on_batch_end", batch=batch, training=training, **step)
        self.member_losses_ = torch.as_tensor(total).cpu() / n_rows
        self.history.record(f"{prefix}_loss", float(self.member_losses_.mean()))

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


def member_losses(
    outputs: Tensor, target: Tensor, weight: Tensor, penalty: Tensor | None = None
) -> Tensor:
    """Return the weighted mean squared error of each member, of shape (n_members,).

    With a penalty of shape (n_members, 1, 1), errors of predictions that are too high count so
    many times.
    """
    error = outputs - target
    squares = error.square() * weight[..., None]
    if penalty is not None:
        squares = torch.where(error > 0, penalty * squares, squares)
    return squares.mean(dim=(1, 2))


def n_groups_for(n_members: int, batch_size: int, device: str) -> int:
    """Return into how many groups members are best divided.

    Beyond some rows a step, what stacked matrices save in calls they lose again in the caches of a
    CPU. The number must not depend on the machine, or the same seed would not give the same
    answer.
    """
    if device != "cpu":
        return 1
    return min(n_members, -(-n_members * batch_size // _ROWS_A_GROUP))


def build_net(ensemble: Ensemble, dtype: torch.dtype, device: str) -> ProxyNet:
    """Return an untrained net around an ensemble."""
    return ProxyNet(
        ensemble.to(dtype),
        criterion=torch.nn.MSELoss,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        iterator_train=MemberBatches,
        iterator_train__n_members=ensemble.n_members,
        iterator_valid=MemberBatches,
        iterator_valid__batch_size=_ROWS_TO_JUDGE,
        device=device,
        train_split=None,
        verbose=0,
    )


class KeepBestWeights(Callback):
    """Keep each member's weights of its lowest held-out loss, the starting ones included.

    Parameters
    ----------
    patience : int or None
        Stop after this many epochs in which no member had a lower loss; None trains to the end.
        Losses of zero, which the trend alone may reach, stop at once.
    keep_last : Tensor of shape (n_members,) or None, default=None
        Members that are trained to the end and keep their last weights. Those that learn under
        noise do: their losses differ by less than chance.
    """

    def __init__(self, patience: int | None, keep_last: Tensor | None = None) -> None:
        self.patience = patience
        self.keep_last = keep_last

    def on_train_begin(self, net: ProxyNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Take the losses of the untrained networks as those to beat."""
        held_out = net.train_split(X)[1]
        batches = net.get_iterator(held_out, training=False)
        losses = [net.validation_step(batch)["loss"] * batch[0].shape[-2] for batch in batches]
        self.lowest_losses_ = torch.stack(losses).sum(dim=0).cpu() / len(held_out)
        self.misses_ = 0
        self._best = copy.deepcopy(net.module_)

    def on_epoch_end(self, net: ProxyNet, **kwargs: Any) -> None:
        """Keep the weights of members that are better, and stop where patience is over."""
        losses = net.member_losses_
        better = losses < self.lowest_losses_
        if self.keep_last is not None:
            better = better | self.keep_last
        if better.any():
            self.lowest_losses_ = torch.where(better, losses, self.lowest_losses_)
            self._best.copy_members(net.module_, better)
            self.misses_ = 0
            return
        self.misses_ += 1
        impatient = self.patience is not None and self.misses_ >= self.patience
        if impatient or not self.lowest_losses_.any():
            raise _StopRequestedError

    def on_train_end(self, net: ProxyNet, **kwargs: Any) -> None:
        """Put the best weights back."""
        everyone = torch.ones(net.module_.n_members, dtype=torch.bool)
        net.module_.copy_members(self._best, everyone)
        del self._best


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
