"""The skorch net inside a neural proxy, as its users know it."""

import csv
import pickle

import numpy as np
import pytest
import skorch_callbacks
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Checkpoint, EarlyStopping, EpochScoring, LRScheduler, WandbLogger
from skorch_callbacks import NAMES, TABLE, Watch, X, Y, fitted
from torch import nn
from torch.utils.data import DataLoader, WeightedRandomSampler

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer

WEIGHT = np.linspace(0.5, 1.5, len(X))
EACH_NUMBER = pytest.mark.parametrize("n_members", [1, 3])


class MeanAbsolute(nn.Module):
    """A criterion that returns a number."""

    def forward(self, predicted, true):
        return (predicted - true).abs().mean()


@pytest.fixture(scope="module")
def documented():
    with TABLE.open(newline="", encoding="utf-8") as file:
        return {row["callback"]: row for row in csv.DictReader(file)}


def test_the_table_of_the_documentation_has_every_callback(documented):
    assert list(documented) == NAMES
    notes = {name: row["what to know"] for name, row in documented.items()}
    assert notes == {name: note for name, (_, note) in skorch_callbacks.CASES.items()}


@pytest.mark.parametrize("name", NAMES)
def test_every_callback_does_what_the_documentation_says(name, documented):
    assert skorch_callbacks.outcome(name) == documented[name]["outcome"]
    assert documented[name]["outcome"] in ("works", "refused")


@EACH_NUMBER
@pytest.mark.parametrize("bootstrap", [False, True])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_a_criterion_of_torch_that_is_the_squared_error_changes_no_bit(
    n_members, bootstrap, weight
):
    common = {"n_members": n_members, "bootstrap": bootstrap, "random_state": 0, "max_epochs": 5}
    plain = NeuralProxyRegressor(**common).fit(X, Y, weight)
    same = NeuralProxyRegressor(net={"criterion": nn.MSELoss}, **common).fit(X, Y, weight)
    np.testing.assert_allclose(same.predict(X), plain.predict(X), rtol=1e-12)


@EACH_NUMBER
@pytest.mark.parametrize("criterion", [MeanAbsolute, MeanAbsolute(), nn.L1Loss, nn.L1Loss()])
def test_criteria_of_the_same_mean_train_alike(n_members, criterion):
    history = fitted(net={"criterion": criterion}, n_members=n_members).history_
    expected = fitted(net={"criterion": nn.L1Loss}, n_members=n_members).history_
    for name in ("train_loss", "valid_loss"):
        np.testing.assert_allclose(
            [row[name] for row in history], [row[name] for row in expected], rtol=1e-12
        )


def test_a_criterion_gets_its_arguments():
    tiny = fitted(net={"criterion": nn.HuberLoss, "criterion__delta": 1e-3}).history_[0]
    absolute = fitted(net={"criterion": nn.L1Loss}).history_[0]
    # Huber's loss tends to delta times the absolute error.
    assert tiny["train_loss"] == pytest.approx(1e-3 * absolute["train_loss"], rel=0.01)


def test_a_criterion_weighs_rows_and_predictions_that_are_too_high():
    y = np.where(X[:, 0] < 0.0, 0.0, 1.0)
    robust = {"net": {"criterion": nn.L1Loss}, "max_epochs": 60}
    heavy = np.where(y > 0.5, 10.0, 0.1)

    def level(weight=None, **params):
        proxy = NeuralProxyRegressor(
            (), trend="constant", features=None, random_state=0, **robust, **params
        )
        return proxy.fit(X[:, 1:], y, weight).predict([[0.0]])[0]

    assert level(heavy) > level() + 0.1
    assert level(over_prediction_penalty=10.0) < level() - 0.1


@pytest.mark.parametrize("params", [{}, {"over_prediction_penalty": 3.0}])
def test_a_criterion_of_one_number_cannot_weigh_rows(params):
    proxy = NeuralProxyRegressor(net={"criterion": MeanAbsolute}, max_epochs=2, **params)
    with pytest.raises(ValueError, match="net must hold a criterion that returns a loss for each"):
        proxy.fit(X, Y, None if params else WEIGHT)


def test_the_last_stage_knows_no_criterion_but_the_squared_error():
    with pytest.raises(ValueError, match=r"n_lbfgs_iterations must be 0 .* another criterion"):
        fitted(net={"criterion": nn.L1Loss}, n_lbfgs_iterations=3)


@EACH_NUMBER
@pytest.mark.parametrize(
    ("net", "kind"),
    [
        ({"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9}, torch.optim.SGD),
        ({"optimizer": torch.optim.AdamW}, torch.optim.AdamW),
        ({"optimizer": torch.optim.LBFGS, "optimizer__history_size": 3}, torch.optim.LBFGS),
        ({"optimizer__weight_decay": 0.5}, torch.optim.Adam),
        ({"optimizer": None}, torch.optim.Adam),
    ],
)
def test_an_optimizer_of_torch_trains(n_members, net, kind):
    proxy = fitted(
        net=net,
        n_members=n_members,
        batch_size=1000,
        learning_rate=0.01,
        schedule="constant",
    )
    assert type(proxy.net_.optimizer_) is kind
    for name, value in net.items():
        if name != "optimizer":
            key = name.partition("__")[2]
            assert proxy.net_.optimizer_.param_groups[0][key] == value
    assert proxy.history_[-1]["train_loss"] < proxy.history_[0]["train_loss"]


def test_weight_decay_keeps_weights_small():
    size = [
        float(fitted(net=net, max_epochs=100).net_.module_.groups[0].weights.detach().norm())
        for net in (None, {"optimizer__weight_decay": 1.0})
    ]
    assert size[1] < 0.7 * size[0]


@EACH_NUMBER
@pytest.mark.parametrize(
    "params", [{}, {"bootstrap": True}, {"input_noise": 0.05}, {"dtype": "float32"}]
)
def test_a_loader_of_torch_trains_like_ours(n_members, params):
    common = {"n_members": n_members, "batch_size": 1000, "max_epochs": 20, **params}
    loader = {"iterator_train": DataLoader, "iterator_valid": DataLoader}
    losses = [fitted(net=net, **common).history_[-1]["train_loss"] for net in (None, loader)]
    assert losses[1] == pytest.approx(losses[0], rel=0.05 if params else 1e-5)


def test_a_loader_gets_its_arguments_and_leaves_the_schedule_whole():
    watch = Watch()
    net = {"iterator_train": DataLoader, "iterator_train__drop_last": True}
    fitted(watch, net=net, max_epochs=10, batch_size=70)
    # Of 108 rows one batch an epoch is left; the rate falls over ten steps to nearly nothing.
    assert len(watch.norms) == 10
    assert watch.rates[-1] < 1e-3 * max(watch.rates)


def test_a_sampler_of_torch_chooses_the_rows():
    def only_first(dataset, batch_size):
        weights = [1.0] + [0.0] * (len(dataset) - 1)
        return DataLoader(dataset, batch_size, sampler=WeightedRandomSampler(weights, 20))

    proxy = fitted(net={"iterator_train": only_first}, validation_fraction=0.0, max_epochs=200)
    errors = np.abs(proxy.predict(X) - Y)
    assert errors[0] < 0.01 < errors.max()


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (3, "net must be a dict of settings of the skorch net"),
        ({"lr": 0.1}, "net must not hold 'lr': set the parameter learning_rate"),
        ({"optimizer__lr": 0.1}, "net must not hold 'optimizer__lr': set the parameter learn"),
        ({"max_epochs": 3}, "set the parameter max_epochs of the proxy instead"),
        ({"module__n": 3}, "set the parameter module of the proxy instead"),
        ({"iterator_train__batch_size": 3}, "set the parameter batch_size of the proxy instead"),
        ({"scheduler": 3}, "net must hold settings of criterion, optimizer, iterator_train"),
        ({"optimizer": "adam"}, "net must hold a callable as 'optimizer'; got 'adam'"),
        ({"iterator_train__shuffle": True}, "net must hold 'iterator_train', such as"),
    ],
)
def test_a_setting_that_cannot_be_set_is_refused_by_name(net, message):
    with pytest.raises(ValueError, match=message):
        fitted(net=net)


def test_settings_are_parameters_by_themselves():
    proxy = NeuralProxyRegressor(net={"optimizer": torch.optim.SGD})
    twin = clone(proxy).set_params(net__optimizer__momentum=0.5, max_epochs=3)
    assert twin.get_params()["net__optimizer__momentum"] == 0.5
    assert twin.get_params(deep=False)["net"] == {
        "optimizer": torch.optim.SGD,
        "optimizer__momentum": 0.5,
    }
    assert proxy.net == {"optimizer": torch.optim.SGD}
    assert "net__optimizer" not in NeuralProxyRegressor().get_params()


def test_a_grid_runs_over_settings():
    grid = {"proxy__net__optimizer__weight_decay": [0.0, 100.0]}
    proxy = NeuralProxyRegressor((8,), trend="constant", features=None, max_epochs=40)
    opt = ProxyOptimizer(proxy=proxy, random_state=0)
    search = GridSearchCV(opt, grid, cv=2).fit(X, Y)
    assert search.best_params_ == {"proxy__net__optimizer__weight_decay": 0.0}


def test_a_rate_schedule_of_skorch_takes_the_place_of_ours():
    watch = Watch()
    fitted(("rate", LRScheduler("StepLR", step_size=1, gamma=0.5)), watch)
    np.testing.assert_allclose(watch.rates, 5e-3 * 0.5 ** np.arange(1, 7))


def test_a_rate_schedule_of_skorch_goes_on_in_a_warm_start():
    proxy = NeuralProxyRegressor(
        (8,),
        trend="constant",
        features=None,
        max_epochs=3,
        warm_start=True,
        callbacks=[LRScheduler("StepLR", step_size=1, gamma=0.5)],
        random_state=0,
    )
    rates = [row["event_lr"] for row in proxy.fit(X, Y).fit(X, Y).history_]
    assert rates == sorted(rates, reverse=True)


def test_a_warm_start_has_the_callbacks_of_a_first_fit():
    watch = Watch()
    proxy = fitted(watch, warm_start=True)
    proxy.fit(X, Y)
    assert len(watch.rates) == proxy.n_iter_ == 6


@pytest.mark.parametrize(
    ("callback", "name"),
    [
        (Checkpoint, "Checkpoint"),
        (("mine", EarlyStopping()), "EarlyStopping"),
        (LRScheduler("ReduceLROnPlateau", monitor="valid_loss"), "LRScheduler"),
        (WandbLogger(None), "WandbLogger"),
    ],
)
def test_what_monitors_rows_held_out_is_refused_where_there_are_none(callback, name):
    watch = Watch()
    with pytest.raises(ValueError, match=f"where no samples are held out; got {name}"):
        fitted(watch, callback, validation_fraction=0.0)
    assert not hasattr(watch, "weights")


@pytest.mark.parametrize("name", [None, "own"])
def test_a_score_of_rows_held_out_cannot_be_monitored_where_there_are_none(name):
    def watched(on_train):
        score = EpochScoring("r2", lower_is_better=False, on_train=on_train, name=name)
        files = dict.fromkeys(("f_params", "f_optimizer", "f_criterion", "f_history"))
        best = Checkpoint(f"{name or 'r2'}_best", **files)
        return fitted(score, best, validation_fraction=0.0)

    with pytest.raises(ValueError, match="no samples are held out; got Checkpoint"):
        watched(on_train=False)
    assert watched(on_train=True).history_[0]["event_cp"]


@pytest.mark.parametrize("callbacks", [3, ["early"], [EarlyStopping(), print]])
def test_what_is_no_callback_is_refused(callbacks):
    with pytest.raises(ValueError, match="callbacks must"):
        NeuralProxyRegressor(callbacks=callbacks).fit(X, Y)


def test_a_callback_keeps_what_it_has_learned():
    score = EpochScoring("r2", lower_is_better=False)
    proxy = fitted(score)
    assert score.best_score_ == max(row["r2"] for row in proxy.history_)
    pickle.loads(pickle.dumps(proxy))


@EACH_NUMBER
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_net_predicts_scaled_rows(n_members, dtype):
    proxy = fitted(n_members=n_members, dtype=dtype)
    scaled = (X - proxy._center) / proxy._half_width
    of_the_net = proxy.net_.predict(scaled)
    assert of_the_net.shape == (len(X), 1)
    np.testing.assert_array_equal(of_the_net, proxy.net_.forward(scaled).numpy())
    np.testing.assert_array_equal(of_the_net, proxy.net_.predict(torch.tensor(scaled)))
    # The trend is a constant, so that the proxy is a line on what its net predicts.
    slope, _, _, _ = np.linalg.lstsq(
        np.column_stack([of_the_net, np.ones(len(X))]).astype(float), proxy.predict(X)
    )
    line = np.column_stack([of_the_net, np.ones(len(X))]) @ slope
    np.testing.assert_allclose(line, proxy.predict(X), atol=1e-4)


def test_a_loaded_or_unpickled_proxy_goes_on_with_its_settings():
    proxy = fitted(net={"optimizer": torch.optim.SGD}, warm_start=True)
    again = pickle.loads(pickle.dumps(proxy)).fit(X, Y)
    assert type(again.net_.optimizer_) is torch.optim.SGD
