"""The skorch net that trains a proxy's network, lean enough to keep up with a bare torch loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from skorch import NeuralNetRegressor
from skorch.callbacks import Callback, Checkpoint, EpochTimer, ParamMapper, PassthroughScoring
from skorch.helper import predefined_split
from torch import Tensor

from sklearn_proxyopt._utils._threads import in_parallel, threads_for
from sklearn_proxyopt.proxies._losses import member_losses, own_losses
from sklearn_proxyopt.proxies._member_rows import MemberBatches, MemberRows
from sklearn_proxyopt.proxies._net_callbacks import (
    KeepBestWeights,
    OnEpochEnd,
    RateSchedule,
    StopRequestedError,
)
from sklearn_proxyopt.proxies._net_settings import changes_losses, settings_of
from sklearn_proxyopt.proxies._network import Ensemble
from sklearn_proxyopt.proxies._one_by_one import MembersFirst, RowsOneByOne, as_pairs
from sklearn_proxyopt.proxies._shares import batch_sizes
from sklearn_proxyopt.proxies._static_steps import StaticSteps

__all__ = [
    "KeepBestWeights",
    "OnEpochEnd",
    "ProxyNet",
    "RateSchedule",
    "build_net",
    "n_groups_for",
    "takes_static_steps",
]

# Samples that the members of a group use in a step, at most.
_ROWS_A_GROUP = 8192
# Samples held out that are judged at once.
_ROWS_TO_JUDGE = 512
_ROWS_TO_JUDGE_ON_GPU = 8192


class ProxyNet(NeuralNetRegressor):
    """A skorch net for weighted squared errors on tensors that lie on the device.

    It differs from its parent in what costs time or surprises: losses are added up on the device
    and recorded once an epoch, batches and predictions are shown only to callbacks that follow
    them, and an interrupt from the keyboard reaches the caller instead of ending the fit in
    silence. What it predicts of scaled samples is the mean over the members, (n, n_outputs).
    """

    # Applies a function to every group; those of dense networks are computed side by side.
    _map: Any = map
    _steps: StaticSteps | None = None
    _held_out: MemberRows | None = None
    _lowest_loss = float("inf")
    # Whether a callback wants to hear of each batch; what of the net is the user's own.
    _is_followed = False
    has_own_parts = False
    _has_own_criterion = False
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
        if learning_rate != self.lr:
            self.set_params(lr=learning_rate)
        self.set_params(
            batch_size=batch_size,
            max_epochs=n_epochs,
            train_split=predefined_split(held_out) if len(held_out) else None,
        )
        self.callbacks = callbacks
        if self.initialized_:
            self.initialize_callbacks()
        else:
            self.initialize()
        self._held_out = held_out
        with self._on_threads(batch_size):
            self.partial_fit(training)
        # The held-out samples would otherwise travel with every pickle.
        self._held_out = None
        self.train_split = None
        # Setting them as parameters would make those of the user begin anew.
        self.callbacks = []
        self.callbacks_: list[Any] = []

    def move(self, device: torch.device) -> None:
        """Put networks and optimizer on a device."""
        self.module_.to(device)
        for state in self.optimizer_.state.values():
            tensors = {name: one for name, one in state.items() if isinstance(one, Tensor)}
            state.update({name: tensor.to(device) for name, tensor in tensors.items()})
        if self.penalty is not None:
            self.penalty = self.penalty.to(device)
        self.device = str(device)

    def _static_steps(self, training: MemberRows) -> StaticSteps | None:
        """Return the steps of a training that the host need not follow, if this is one."""
        schedules = [one for _, one in self.callbacks_ if isinstance(one, RateSchedule)]
        if self._is_followed or len(schedules) != 1 or not takes_static_steps(self):
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

        def add_gradients(
            group: Any, X: Tensor, y: Tensor, weight: Tensor, own: Tensor
        ) -> tuple[Tensor, Tensor]:
            outputs = group(X)
            loss = self._losses(outputs, y, weight, None if self.penalty is None else own)
            if loss.requires_grad:
                loss.sum().backward()
            return loss.detach(), outputs.detach()

        shares = (self.module_.shares(tensor) for tensor in (X, y, weight, penalty))
        losses, outputs = zip(*self._map(add_gradients, self.module_.groups, *shares), strict=True)
        step = {"loss": losses[0] if len(losses) == 1 else torch.cat(losses)}
        return {**step, "y_pred": torch.cat(outputs)} if self._is_followed else step

    def get_loss(self, y_pred: Tensor, y_true: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Return the weighted mean loss of each member on a batch."""
        y, weight = y_true
        return self._losses(y_pred, y, weight, self.penalty)

    def _losses(
        self, outputs: Tensor, target: Tensor, weight: Tensor, penalty: Tensor | None
    ) -> Tensor:
        if self._has_own_criterion:
            return own_losses(self.criterion_, outputs, target, weight, penalty)
        return member_losses(outputs, target, weight, penalty)

    def _step_optimizer(self, step_fn: Any) -> None:
        """Step with a closure that returns one number, which some optimizers follow."""
        super()._step_optimizer(lambda: step_fn().sum())

    def get_dataset(self, X: Any, y: Any = None) -> Any:
        """Return scaled samples as a dataset, in the type of the networks and where these lie."""
        if isinstance(X, torch.utils.data.Dataset):
            return X
        like = next(self.module_.parameters())

        def tensor_of(values: Any) -> Tensor:
            values = values if isinstance(values, Tensor) else np.asarray(values)
            return torch.as_tensor(values, dtype=like.dtype, device=like.device)

        rows = tensor_of(X)
        targets = rows.new_zeros(len(rows), 1) if y is None else tensor_of(y).reshape(len(rows), -1)
        every = torch.arange(len(rows), device=like.device)
        return MemberRows(rows, targets[None], rows.new_ones(len(rows)), every[None])

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Return batches of samples, by an iterator of the user's where there is one."""
        kind = self.iterator_train if training else self.iterator_valid
        if kind is MemberBatches:
            return super().get_iterator(dataset, training=training)
        # Members step on samples of their own, and share those that they are asked for.
        rows = RowsOneByOne(dataset, self.module.n_members if training else 1)
        return MembersFirst(super().get_iterator(rows, training=training), self.module.stream)

    def n_steps(self, training: MemberRows, n_epochs: int, batch_size: int) -> int:
        """Return how many batches a training goes through."""
        if self.iterator_train is MemberBatches:
            return n_epochs * len(batch_sizes(len(training), batch_size))
        self.set_params(batch_size=batch_size)
        return n_epochs * len(self.get_iterator(training, training=True))

    def evaluation_step(self, batch: Any, training: bool = False) -> Tensor:
        """Return the mean prediction of the members, of shape (n, n_outputs)."""
        outputs: Tensor = super().evaluation_step(batch, training=training)
        return outputs.mean(dim=0)

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
        n_rows = n_batches = 0
        for batch in iterator:
            seen = as_pairs(batch, self.module_.n_members) if self._is_followed else batch
            self.notify("on_batch_begin", batch=seen, training=training)
            step = step_fn(batch, **fit_params)
            n_batch = batch[0].shape[-2]
            total = total + step["loss"].detach() * n_batch
            n_rows, n_batches = n_rows + n_batch, n_batches + 1
            if self._is_followed:
                step["y_pred"] = step["y_pred"].flatten(0, 1)
                self.history.record_batch(f"{prefix}_loss", float(step["loss"].mean()))
                self.history.record_batch(f"{prefix}_batch_size", n_batch)
            self.notify("on_batch_end", batch=seen, training=training, **step)
        if self._is_followed:
            self.history.record(f"{prefix}_batch_count", n_batches)
        self._record_losses(prefix, torch.as_tensor(total, device="cpu") / n_rows)

    def _record_losses(self, prefix: str, losses: Tensor) -> None:
        """Record the mean loss of an epoch, and whether it is the lowest held-out one so far."""
        self.member_losses_ = losses
        loss = float(losses.mean())
        self.history.record(f"{prefix}_loss", loss)
        if prefix == "valid":
            self.history.record("valid_loss_best", loss < self._lowest_loss)
            self._lowest_loss = min(loss, self._lowest_loss)

    def _run_static_epoch(self, steps: StaticSteps, training: bool) -> None:
        """Launch an epoch, and read its losses when the samples held out have been judged too."""
        if training:
            steps.train()
        else:
            steps.judge()
        if training and steps.has_held_out:
            return
        names = ("train", "valid") if steps.has_held_out else ("train",)
        for name, losses in zip(names, steps.losses(), strict=False):
            self._record_losses(name, losses)

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
        self._is_followed = any(_follows_batches(one) for _, one in self.callbacks_)
        self._lowest_loss = float("inf")
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

    A module of the user may decide by what it computes, and so may other parts of the user's.
    """
    is_plain = net.module_.is_stacked and not net.has_own_parts
    return bool(is_plain) and str(net.device).startswith("cuda")


def _follows_batches(callback: Callback) -> bool:
    """Return whether a callback needs what batches are about, or changes what is computed."""
    heard = ("on_batch_begin", "on_batch_end", "on_grad_computed")
    if isinstance(callback, Checkpoint | ParamMapper | PassthroughScoring):
        return True
    return not isinstance(callback, RateSchedule) and any(
        getattr(type(callback), name) is not getattr(Callback, name) for name in heard
    )


def build_net(
    ensemble: Ensemble,
    dtype: torch.dtype,
    device: str,
    settings: Mapping[str, Any] | None = None,
) -> ProxyNet:
    """Return an untrained net around an ensemble, with settings of the user's."""
    given = settings_of(settings)
    own: dict[str, Any] = {"iterator_train": MemberBatches, "iterator_valid": MemberBatches}
    if "optimizer" not in given:
        own |= {"optimizer": torch.optim.Adam, "optimizer__fused": True}
    if "iterator_train" not in given:
        own["iterator_train__n_members"] = ensemble.n_members
    if "iterator_valid" not in given:
        n_rows = _ROWS_TO_JUDGE if device == "cpu" else _ROWS_TO_JUDGE_ON_GPU
        own["iterator_valid__batch_size"] = n_rows
    net = ProxyNet(
        ensemble.to(dtype), device=device, train_split=None, verbose=0, **{**own, **given}
    )
    net.has_own_parts = bool(settings)
    net._has_own_criterion = changes_losses(settings)
    return net
