"""Every callback of skorch inside a neural proxy: what becomes of it.

`python tests/helpers/skorch_callbacks.py` runs each and writes the table of the documentation,
`docs/results/skorch_callbacks.csv`.
"""

import csv
import os
import sys
import tempfile
from contextlib import chdir, contextmanager
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock, patch

import numpy as np
import skorch.callbacks
import torch
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    Freezer,
    GradientNormClipping,
    Initializer,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    MlflowLogger,
    NeptuneLogger,
    ParamMapper,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
    SacredLogger,
    TensorBoard,
    TrainEndCheckpoint,
    Unfreezer,
    WandbLogger,
    WarmRestartLR,
)

from sklearn_proxyopt import NeuralProxyRegressor

TABLE = Path(__file__).parents[2] / "docs" / "results" / "skorch_callbacks.csv"
HEADER = ("callback", "outcome", "what to know")
NAMES = sorted(skorch.callbacks.__all__)

X = np.random.default_rng(0).uniform(-1.0, 1.0, (120, 2))
Y = np.sin(3.0 * X[:, 0]) + X[:, 1] ** 2
N_EPOCHS = 6
LOSSES = {"train_loss", "valid_loss"}


def fitted(*callbacks, **params):
    params = {
        "hidden_layer_sizes": (8,),
        "trend": "constant",
        "features": None,
        "max_epochs": N_EPOCHS,
        "batch_size": 40,
        "patience": None,
        "random_state": 0,
        **params,
    }
    return NeuralProxyRegressor(callbacks=list(callbacks), **params).fit(X, Y)


class Watch(Callback):
    """Notes rates, norms of gradients and weights."""

    def initialize(self):
        self.rates, self.norms, self.weights = [], [], []
        return self

    def on_epoch_begin(self, net, **kwargs):
        self.weights.append([one.detach().clone() for one in net.module_.parameters()])

    def on_epoch_end(self, net, **kwargs):
        self.rates.append(net.optimizer_.param_groups[0]["lr"])

    def on_grad_computed(self, net, named_parameters, **kwargs):
        gradients = [one.grad.flatten() for _, one in named_parameters if one.grad is not None]
        self.norms.append(float(torch.cat(gradients).norm()) if gradients else 0.0)

    @property
    def moved(self):
        """Whether the weights changed between the first two epochs and the last two."""
        pairs = zip(self.weights[:-1], self.weights[1:], strict=True)
        return [
            any((a != b).any() for a, b in zip(before, after, strict=True))
            for before, after in pairs
        ]


@contextmanager
def neptune():
    """Stand in for the package that `NeptuneLogger` imports."""
    package, types, handler = (
        ModuleType(name) for name in ("neptune", "neptune.types", "neptune.handler")
    )
    types.File, handler.Handler = MagicMock(), type("Handler", (), {})
    modules = {"neptune": package, "neptune.types": types, "neptune.handler": handler}
    with patch.dict(sys.modules, modules):
        yield


def batch_scoring(**params):
    kinds = [
        BatchScoring("neg_mean_squared_error", name="a", lower_is_better=False),
        BatchScoring("neg_mean_squared_error", name="b", on_train=True),
        BatchScoring("neg_mean_squared_error", name="c", use_caching=False),
    ]
    rows = fitted(*kinds, **params).history_
    np.testing.assert_allclose([-row["a"] for row in rows], [row["valid_loss"] for row in rows])
    np.testing.assert_allclose([-row["b"] for row in rows], [row["train_loss"] for row in rows])
    return all(np.isfinite(row["c"]) for row in rows)


def epoch_scoring(**params):
    kinds = [
        EpochScoring("neg_mean_squared_error", name="a", lower_is_better=False),
        EpochScoring("neg_mean_squared_error", name="b", on_train=True),
        EpochScoring("r2", name="c", use_caching=False, lower_is_better=False),
        EpochScoring(None, name="d"),
    ]
    rows = fitted(*kinds, **params).history_
    np.testing.assert_allclose([-row["a"] for row in rows], [row["valid_loss"] for row in rows])
    np.testing.assert_allclose([-row["b"] for row in rows], [row["train_loss"] for row in rows])
    return all(np.isfinite([row["c"], row["d"]]).all() for row in rows)


def checkpoint(**params):
    proxy = fitted(Checkpoint(f_pickle="net.pickle", load_best=True), **params)
    files = {"params.pt", "optimizer.pt", "criterion.pt", "history.json", "net.pickle"}
    return any(row["event_cp"] for row in proxy.history_) and files <= set(os.listdir())


def early_stopping(**params):
    stop = EarlyStopping(patience=2, threshold=10.0, load_best=True, sink=str)
    return fitted(stop, **params).n_iter_ < N_EPOCHS


def freezer(**params):
    watch = Watch()
    fitted(Freezer("*"), watch, **params)
    return not any(watch.moved)


def unfreezer(**params):
    watch = Watch()
    fitted(Freezer("*"), Unfreezer("*", at=4), watch, **params)
    return watch.moved == [False, False, False, True, True]


def gradient_norm_clipping(**params):
    watch = Watch()
    fitted(GradientNormClipping(1e-3), watch, **params)
    return 0.0 < max(watch.norms) < 1.001e-3


def initializer(**params):
    watch = Watch()
    fitted(Initializer("*", fn=torch.nn.init.zeros_), watch, **params)
    return any(watch.moved)


def param_mapper(**params):
    called = []
    fitted(ParamMapper("*", fn=called.append, at=2), **params)
    return bool(called)


def load_init_state(**params):
    fitted(TrainEndCheckpoint(), **params)
    loaded = fitted(LoadInitState(TrainEndCheckpoint().initialize()), max_epochs=1, **params)
    assert loaded.n_iter_ == 1
    return loaded.history_[-1]["train_loss"] < loaded.history_[0]["train_loss"]


def lr_scheduler(**params):
    watch, plateau = Watch(), LRScheduler("ReduceLROnPlateau", monitor="valid_loss")
    rows = fitted(LRScheduler("StepLR", step_size=1, gamma=0.5), watch, **params).history_
    rates = 5e-3 * 0.5 ** np.arange(N_EPOCHS)
    np.testing.assert_allclose([row["event_lr"] for row in rows], rates)
    fitted(plateau, **params)
    cyclic = {"base_lr": 1e-4, "max_lr": 1e-2, "cycle_momentum": False, "step_every": "batch"}
    fitted(LRScheduler("CyclicLR", **cyclic), **params)
    return True


def warm_restart(**params):
    fitted(LRScheduler(policy="WarmRestartLR"), **params)
    fitted(WarmRestartLR, **params)


def train_end_checkpoint(**params):
    fitted(TrainEndCheckpoint(), **params)
    return "train_end_params.pt" in os.listdir()


def passthrough_scoring(**params):
    rows = fitted(PassthroughScoring("train_loss", on_train=True), **params).history_
    return all("train_loss_best" in row for row in rows)


def print_log(**params):
    lines = []
    fitted(PrintLog(sink=lines.append), **params)
    return len(lines) == N_EPOCHS + 2


def progress_bar(**params):
    with patch("tqdm.tqdm") as made:
        fitted(ProgressBar(detect_notebook=False), **params)
    n_batches = [call.kwargs["total"] for call in made.call_args_list]
    return n_batches == [4] * N_EPOCHS


def tensor_board(**params):
    writer = MagicMock()
    fitted(TensorBoard(writer), **params)
    return {call.kwargs["tag"] for call in writer.add_scalar.call_args_list} >= {
        "Loss/train_loss",
        "Loss/valid_loss",
    }


def mlflow_logger(**params):
    client = MagicMock()
    fitted(MlflowLogger(MagicMock(), client, log_on_batch_end=True), **params)
    names = {call.args[1] for call in client.log_metric.call_args_list}
    artifacts = {Path(call.args[1]).name for call in client.log_artifact.call_args_list}
    wanted = {"train_loss_batch", "valid_loss_batch", "train_loss_epoch", "valid_loss_epoch"}
    return names >= wanted and "params.pth" in artifacts


def neptune_logger(**params):
    run = MagicMock()
    with neptune():
        fitted(NeptuneLogger(run, log_on_batch_end=True), **params)
    return run.stop.called


def sacred_logger(**params):
    experiment = MagicMock()
    fitted(SacredLogger(experiment, log_on_batch_end=True), **params)
    return {call.args[0] for call in experiment.log_scalar.call_args_list} >= {
        "train_loss_batch",
        "valid_loss_epoch",
    }


def wandb_logger(**params):
    run = MagicMock()
    run.dir = os.getcwd()
    fitted(WandbLogger(run), **params)
    logged = set().union(*(call.args[0] for call in run.log.call_args_list))
    return logged >= LOSSES and "best_model.pth" in os.listdir()


def input_shape_setter(**params):
    fitted(InputShapeSetter(), **params)


def heard(**params):
    watch = Watch()
    fitted(watch, **params)
    return len(watch.rates) == N_EPOCHS


def epoch_timer(**params):
    return all(row["dur"] >= 0.0 for row in fitted(EpochTimer(), **params).history_)


CASES = {
    "BatchScoring": (
        batch_scoring,
        "Scores the networks alone, without the trend; the rows of all members together.",
    ),
    "Callback": (heard, "The base of your own; every notification of skorch arrives."),
    "Checkpoint": (
        checkpoint,
        "Monitors rows held out. Its files hold the networks, not the trend.",
    ),
    "EarlyStopping": (
        early_stopping,
        "Monitors rows held out, as `patience` of the proxy does.",
    ),
    "EpochScoring": (
        epoch_scoring,
        "Scores the networks alone, without the trend; the rows of all members together.",
    ),
    "EpochTimer": (epoch_timer, "There already."),
    "Freezer": (
        freezer,
        "Names begin with `groups.0`; those of a module of yours with `groups.0.module`.",
    ),
    "GradientNormClipping": (gradient_norm_clipping, "The norm is that of all members together."),
    "Initializer": (initializer, "Names as for Freezer."),
    "InputShapeSetter": (
        input_shape_setter,
        "`module` is called with the numbers of variables and targets.",
    ),
    "LRScheduler": (lr_scheduler, "Takes the place of `schedule`."),
    "LoadInitState": (
        load_init_state,
        "Loaded weights count as those that the training starts from.",
    ),
    "MlflowLogger": (mlflow_logger, "Needs mlflow."),
    "NeptuneLogger": (neptune_logger, "Needs neptune."),
    "ParamMapper": (param_mapper, "Names as for Freezer."),
    "PassthroughScoring": (passthrough_scoring, ""),
    "PrintLog": (print_log, "`verbose=1` adds one."),
    "ProgressBar": (progress_bar, ""),
    "SacredLogger": (sacred_logger, "Needs sacred."),
    "TensorBoard": (tensor_board, "Needs tensorboard."),
    "TrainEndCheckpoint": (train_end_checkpoint, "Holds the networks, not the trend."),
    "Unfreezer": (unfreezer, "Names as for Freezer."),
    "WandbLogger": (wandb_logger, "Needs wandb, and rows held out unless `save_model=False`."),
    "WarmRestartLR": (
        warm_restart,
        'A policy and no callback: pass `LRScheduler(policy="WarmRestartLR")`.',
    ),
}


def outcome(name):
    """Run a callback in a folder of its own: "works", "has no effect", or "refused" by its name."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        try:
            works = [CASES[name][0](n_members=n_members) for n_members in (1, 2)]
        except ValueError as error:
            if name not in str(error):
                raise
            return "refused"
    return "works" if all(works) else "has no effect"


def table():
    """Yield the rows of the table."""
    for name in NAMES:
        yield name, outcome(name), CASES[name][1]


if __name__ == "__main__":
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([HEADER, *table()])
