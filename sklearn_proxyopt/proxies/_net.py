"""The skorch net that trains a proxy's network, lean enough to keep up with a bare torch loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer
from skorch.helper import predefined_split
from torch import Tensor
from torch.utils.data import Dataset

from sklearn_proxyopt._utils._threads import in_parallel, threads_for
from sklearn_proxyopt.proxies._net_callbacks import (
    KeepBestWeights,
    OnEpochEnd,
    RateSchedule,
    StopRequestedError,
)
from sklearn_proxyopt.proxies._network import Ensemble
from sklearn_proxyopt.proxies._products import SquaredErrors
from sklearn_proxyopt.proxies._static_steps import StaticSteps

__all__ = [
    "KeepBestWeights",
    "MemberRows",
    "OnEpochEnd",
    "ProxyNet",
    "RateSchedule",
    "build_net",
    "n_groups_for",
    "takes_static_steps",
]

# Rows that the members of a group use in a step, at most, and rows gathered at once for batches.
_ROWS_A_GROUP = 8192
_ROWS_GATHERED = 200_000
# Rows held out that are judged at once.
_ROWS_TO_JUDGE = 512
_ROWS_TO_JUDGE_ON_GPU = 8192


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
    _steps: StaticSteps | None = None
    _held_out: MemberRows | None = None
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
        self._held_out = held_out
        if self.module_.is_stacked and str(self.device) == "cpu":
            # Rows under noise are drawn once in vain, so that a seed keeps the results it gives.
            training[training.index[:, :batch_size]]
        with self._on_threads(batch_size):
            self.partial_fit(training)
        # The held-out rows would otherwise travel with every pickle.
        self._held_out = None
        self.set_params(train_split=None, callbacks=[])

    def move(self, device: torch.device) -> None:
        """Put networks and optimizer on a device."""
        self.module_.to(device)
        for state in self.optimizer_.state.values():
            state.update({name: value.to(device) for name, value in state.items()})
        if self.penalty is not None:
            self.penalty = self.penalty.to(device)
        self.device = str(device)

    def _static_steps(self, training: MemberRows) -> StaticSteps | None:
        """Return the steps of a training that the host need not follow, if this is one."""
        schedules = [one for _, one in self.callbacks_ if isinstance(one, RateSchedule)]
        followed = any(_follows_batches(one) for _, one in self.callbacks_)
        if followed or len(schedules) != 1 or not takes_static_steps(self):
            return None
        assert self._held_out is not None
        rates = schedules[0].rates(self.lr)
        return StaticSteps(self, training, self._held_out, self.batch_size, rates)

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
        # A weight has the members in front, as any stand-in for penalties must.
        penalty = weight if self.penalty is None else self.penalty

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
        if self._steps is not None:
            self._run_static_epoch(self._steps, training)
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

    def _run_static_epoch(self, steps: StaticSteps, training: bool) -> None:
        """Launch an epoch, and read its losses when the rows held out have been judged too."""
        if training:
            steps.train()
        else:
            steps.judge()
        if training and steps.has_held_out:
            return
        names = ("train", "valid") if steps.has_held_out else ("train",)
        for name, losses in zip(names, steps.losses(), strict=False):
            self.member_losses_ = losses
            self.history.record(f"{name}_loss", float(losses.mean()))

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        if self.initialized_:
            # The networks under another name, which would be written twice.
            state["module"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.initialized_:
            self.module = self.module_

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call the callbacks; skorch's way of asking to stop becomes an exception of our own."""
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt:
            raise StopRequestedError from None

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, **fit_params: Any) -> Any:
        """Train until the epochs are used up or a callback asks to stop."""
        if not self.initialized_:
            self.initialize()
        self.notify("on_train_begin", X=X, y=y)
        self._steps = self._static_steps(X)
        try:
            with suppress(StopRequestedError):
                self.fit_loop(X, y, **fit_params)
        finally:
            if self._steps is not None:
                self._steps.finish()
            self._steps = None
        self.notify("on_train_end", X=X, y=y)
        return self


def member_losses(
    outputs: Tensor, target: Tensor, weight: Tensor, penalty: Tensor | None = None
) -> Tensor:
    """Return the weighted mean squared error of each member, of shape (n_members,).

    With a penalty of shape (n_members, 1, 1), errors of predictions that are too high count so
    many times.
    """
    if outputs.is_cuda:
        losses: Tensor = SquaredErrors.apply(outputs, target, weight, penalty)
        return losses
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


def takes_static_steps(net: ProxyNet) -> bool:
    """Return whether the steps of a training are recorded: those of dense networks on CUDA.

    A module of the user may decide by what it computes.
    """
    return bool(net.module_.is_stacked) and str(net.device).startswith("cuda")


def _follows_batches(callback: Callback) -> bool:
    """Return whether a callback wants to hear of each batch."""
    heard = ("on_batch_begin", "on_batch_end", "on_grad_computed")
    return not isinstance(callback, RateSchedule) and any(
        getattr(type(callback), name) is not getattr(Callback, name) for name in heard
    )


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
        iterator_valid__batch_size=_ROWS_TO_JUDGE if device == "cpu" else _ROWS_TO_JUDGE_ON_GPU,
        device=device,
        train_split=None,
        verbose=0,
    )
