"""What may be set of the skorch net inside a proxy, and which callbacks of skorch it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from inspect import signature
from typing import Any

import torch
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    WandbLogger,
    WarmRestartLR,
)

__all__ = [
    "PARTS",
    "changes_losses",
    "check_callbacks",
    "check_monitors",
    "check_net",
    "in_order",
    "settings_of",
]

# What a user may exchange, each with arguments of its own behind two underscores.
PARTS = ("criterion", "optimizer", "iterator_train", "iterator_valid")
# Settings of skorch that are parameters of the proxy.
_OF_THE_PROXY = {
    "module": "module",
    "callbacks": "callbacks",
    "lr": "learning_rate",
    "optimizer__lr": "learning_rate",
    "batch_size": "batch_size",
    "iterator_train__batch_size": "batch_size",
    "max_epochs": "max_epochs",
    "train_split": "validation_fraction",
    "device": "device",
    "verbose": "verbose",
    "warm_start": "warm_start",
}


def check_net(net: Any) -> None:
    """Raise an error that names the first setting of a skorch net that cannot be set."""
    if net is None:
        return
    if not isinstance(net, Mapping):
        raise ValueError(
            "net must be a dict of settings of the skorch net, such as "
            f"{{'optimizer__weight_decay': 1e-4}}, or None; got {net!r}."
        )
    for name, value in net.items():
        part, _, argument = name.partition("__")
        instead = _OF_THE_PROXY.get(name, _OF_THE_PROXY.get(part))
        if instead is not None:
            raise ValueError(
                f"net must not hold {name!r}: set the parameter {instead} of the proxy instead."
            )
        if part not in PARTS:
            raise ValueError(f"net must hold settings of {', '.join(PARTS)}; got {name!r}.")
        if not argument and value is not None and not callable(value):
            raise ValueError(f"net must hold a callable as {name!r}; got {value!r}.")
        if argument and part.startswith("iterator") and net.get(part) is None:
            raise ValueError(
                f"net must hold {part!r}, such as torch.utils.data.DataLoader, for {name!r} to be "
                "an argument of it."
            )


def settings_of(net: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the settings of a skorch net that are not None, a criterion without its mean.

    What a criterion says of each output is weighed before the mean is taken.
    """
    settings = {name: value for name, value in (net or {}).items() if value is not None}
    criterion = settings.get("criterion", torch.nn.MSELoss)
    if isinstance(criterion, type) and "reduction" in signature(criterion).parameters:
        settings.setdefault("criterion__reduction", "none")
    return settings


def changes_losses(net: Mapping[str, Any] | None) -> bool:
    """Return whether settings ask for other losses than squared errors."""
    return any(
        name.partition("__")[0] == "criterion" and value is not None
        for name, value in (net or {}).items()
    )


def check_callbacks(callbacks: Any) -> None:
    """Raise an error that names the first callback that a proxy cannot take."""
    if callbacks is None:
        return
    if not isinstance(callbacks, list | tuple):
        raise ValueError(
            f"callbacks must be a list of callbacks of skorch, or None; got {callbacks!r}."
        )
    for one in _bare(callbacks):
        kind = one if isinstance(one, type) else type(one)
        if issubclass(kind, WarmRestartLR):
            raise ValueError(
                "callbacks must hold LRScheduler(policy='WarmRestartLR'); got WarmRestartLR "
                "itself, which is a policy and no callback."
            )
        if not issubclass(kind, Callback):
            raise ValueError(f"callbacks must hold callbacks of skorch; got {one!r}.")
        if issubclass(kind, InputShapeSetter):
            raise ValueError(
                "callbacks must not hold InputShapeSetter: module is called with the numbers of "
                "variables and targets."
            )


def check_monitors(callbacks: Any, n_held_out: int) -> None:
    """Raise an error if a callback monitors samples held out where there are none."""
    if n_held_out:
        return
    missing = {"valid_loss", *(_score_of_rows_held_out(one) for one in _bare(callbacks))}
    for one in _bare(callbacks):
        monitor = _monitored(one)
        if isinstance(monitor, str) and monitor.removesuffix("_best") in missing:
            name = one.__name__ if isinstance(one, type) else type(one).__name__
            raise ValueError(
                f"callbacks must monitor 'train_loss' where no samples are held out; got {name}, "
                f"which monitors {monitor!r}. From 50 samples on, validation_fraction holds some "
                "out."
            )


def in_order(callbacks: Any) -> tuple[list[Any], list[Any], bool]:
    """Return a user's callbacks before and after those of the net, and whether they set the rate.

    Weights that are loaded count as those that the training starts from.
    """
    loading = [one for one in callbacks or [] if _is(one, LoadInitState)]
    others = [one for one in callbacks or [] if not _is(one, LoadInitState)]
    return loading, others, any(_is(one, LRScheduler) for one in others)


def _bare(callbacks: Any) -> Iterator[Any]:
    """Yield callbacks without their names."""
    for one in callbacks or []:
        yield one[1] if isinstance(one, list | tuple) and len(one) == 2 else one


def _is(callback: Any, kind: type) -> bool:
    (bare,) = _bare([callback])
    return issubclass(bare, kind) if isinstance(bare, type) else isinstance(bare, kind)


def _score_of_rows_held_out(callback: Any) -> str | None:
    """Return the name under which a callback records a score of samples held out, if it does."""
    if not isinstance(callback, BatchScoring | EpochScoring) or callback.on_train:
        return None
    scoring = callback.scoring
    named = scoring if isinstance(scoring, str) else getattr(scoring, "__name__", "score")
    return str(callback.name or named)


def _monitored(callback: Any) -> Any:
    """Return what a callback watches in the history, None for nothing."""
    for kind, monitor in ((Checkpoint, "valid_loss_best"), (EarlyStopping, "valid_loss")):
        if callback is kind:
            return monitor
    if isinstance(callback, WandbLogger) and callback.save_model:
        return "valid_loss_best"
    return getattr(callback, "monitor", None)
