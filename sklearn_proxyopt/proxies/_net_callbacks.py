"""What happens after each step and epoch of a training: rates, best weights, the end."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

__all__ = ["KeepBestWeights", "OnEpochEnd", "RateSchedule", "StopRequestedError"]

# Share of the steps over which the rate of a cycle rises, and its shares of the highest rate at
# either end.
_RISE = 0.2
_FIRST_RATE = 0.04
_LAST_RATE = 4e-6


class StopRequestedError(Exception):
    """Raised when a callback asks for the end of training."""


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

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Take the losses of the untrained networks as those to beat."""
        held_out = net.train_split(X)[1]
        batches = net.get_iterator(held_out, training=False)
        losses = [net.validation_step(batch)["loss"] * batch[0].shape[-2] for batch in batches]
        self.lowest_losses_ = torch.stack(losses).sum(dim=0).cpu() / len(held_out)
        self.misses_ = 0
        self._best = copy.deepcopy(net.module_)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
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
            raise StopRequestedError

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Put the best weights back."""
        everyone = torch.ones(net.module_.n_members, dtype=torch.bool, device="cpu")
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

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Build the schedule on the net's optimizer."""
        for group in net.optimizer_.param_groups:
            group["lr"] = net.lr
            group.pop("initial_lr", None)
        self._scheduler: Any = LambdaLR(net.optimizer_, self._factor)

    def on_batch_end(self, net: Any, training: bool = True, **kwargs: Any) -> None:
        """Take one step of the schedule."""
        if training:
            self._scheduler.step()

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Let go of the schedule, which is of no use in a pickle."""
        self._scheduler = None

    def rates(self, highest: float) -> list[float]:
        """Return the rate of every step, for a highest rate."""
        return [highest * self._factor(step) for step in range(self.n_steps)]

    def _factor(self, step: int) -> float:
        """Return the share of the highest rate that holds at a step."""
        done = min(step / self.n_steps, 1.0)
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
        self.n_epochs_before = 0

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Note how long the history is by now, where a callback may have loaded one."""
        self.n_epochs_before = len(net.history)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Call the function with the newest row of the history."""
        if self.function is not None and self.function(net.history[-1]):
            raise StopRequestedError

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Let go of the function, which is of no use in a pickle."""
        self.function = None

    def __getstate__(self) -> dict[str, Any]:
        return {"function": None}
