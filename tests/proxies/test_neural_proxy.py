import os
import pickle
import random
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import qmc
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch.callbacks import Callback, EarlyStopping

from sklearn_proxyopt import NeuralProxyRegressor
from sklearn_proxyopt.problems import Ackley, Rastrigin, Rosenbrock
from sklearn_proxyopt.proxies._shares import batch_sizes
from sklearn_proxyopt.samplers import SobolSampler

quick = partial(NeuralProxyRegressor, max_epochs=30, random_state=0)
# The same rows in another batch may be summed in another order.
ROUNDING = {"rtol": 1e-8, "atol": 1e-10}


def wave(n_rows=300, n_features=2, seed=0):
    X = np.random.default_rng(seed).uniform(-1.0, 1.0, (n_rows, n_features))
    return X, np.sin(3 * X[:, 0]) * np.exp(X[:, -1])


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@parametrize_with_checks([NeuralProxyRegressor(device="cuda")])
def test_the_proxy_follows_the_conventions_of_scikit_learn_on_cuda(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("problem", "trend"),
    [
        (Rosenbrock(4), "quartic"),
        (Rosenbrock(3).rotated_and_shifted(2), "quartic"),
        (Rastrigin(4), "additive"),
    ],
    ids=repr,
)
def test_a_trend_that_holds_the_whole_function_is_found(problem, trend):
    X = SobolSampler(2500, random_state=0).sample(problem.bounds)
    proxy = quick().fit(X, problem(X))
    X_new = SobolSampler(500, random_state=1).sample(problem.bounds)
    assert proxy.trend_ == trend
    assert proxy.score(X_new, problem(X_new)) > 0.9999


def test_a_crowd_of_samples_carries_no_richer_trend_than_the_others():
    rng = np.random.default_rng(0)
    design = qmc.LatinHypercube(5, rng=rng).random(20)
    X = np.vstack([design, design[:1] + 1e-3 * rng.standard_normal((180, 5))])
    y = np.square(X - 0.4).sum(axis=1) + X[:, 0] * X[:, 1]
    alone, with_crowd = (
        NeuralProxyRegressor(n_members=1, max_epochs=5, random_state=0).fit(X[:n], y[:n]).trend_
        for n in (20, 200)
    )
    assert with_crowd == alone == "linear"


def test_fourier_features_are_chosen_for_a_rugged_function_that_no_trend_holds():
    problem = Rastrigin(2).rotated_and_shifted(3)
    X = SobolSampler(4000, random_state=0).sample(problem.bounds)
    proxy = NeuralProxyRegressor(max_epochs=40, random_state=0).fit(X, problem(X))
    X_new = SobolSampler(500, random_state=1).sample(problem.bounds)
    assert proxy.spread_ > 0
    assert proxy.score(X_new, problem(X_new)) > 0.95


def test_the_proxy_learns_what_the_trend_leaves():
    X, y = wave(1000)
    X_new, y_new = wave(500, seed=1)
    plain = quick(trend="linear").fit(X, y)
    linear = LinearRegression().fit(X, y)
    assert plain.score(X_new, y_new) > 0.99 > linear.score(X_new, y_new)


def test_the_gradient_is_the_limit_of_differences():
    X, y = wave()
    proxy = quick(features="random", spread=5.0).fit(X, y)
    points, step = X[:20], 1e-6
    value, gradient = proxy.value_and_grad(points)
    np.testing.assert_allclose(value, proxy.predict(points), **ROUNDING)
    for j in range(2):
        moved = points + step * np.eye(2)[j]
        slope = (proxy.predict(moved) - proxy.predict(points - step * np.eye(2)[j])) / (2 * step)
        np.testing.assert_allclose(gradient[:, j], slope, rtol=1e-4, atol=1e-6)


def test_the_torch_module_is_the_proxy():
    X, y = wave()
    proxy = quick().fit(X, y)
    with torch.no_grad():
        values = proxy.torch_module()(torch.tensor(X))[:, 0]
    np.testing.assert_allclose(values.numpy(), proxy.predict(X), **ROUNDING)


def test_rows_may_come_in_reverse_order_without_a_copy():
    X = np.random.default_rng(0).uniform(size=(60, 2))
    y = np.sin(5 * X[:, 0]) + X[:, 1]
    proxy = NeuralProxyRegressor(max_epochs=2, random_state=0).fit(X[::-1], y[::-1])
    np.testing.assert_allclose(proxy.predict(X[::-1]), proxy.predict(X)[::-1], **ROUNDING)
    values, slopes = proxy.value_and_grad(X)
    backwards = proxy.value_and_grad(X[::-1])
    np.testing.assert_allclose(backwards[0], values[::-1], **ROUNDING)
    np.testing.assert_allclose(backwards[1], slopes[::-1], **ROUNDING)


def test_several_targets_are_learned_at_once():
    X, y = wave(400)
    targets = np.column_stack([y, 100 * X[:, 0] ** 2 + 7])
    proxy = quick(max_epochs=80).fit(X, targets)
    assert proxy.predict(X).shape == (400, 2)
    assert proxy.score(X, targets) > 0.99
    with pytest.raises(ValueError, match="y must have one target for a gradient"):
        proxy.value_and_grad(X)


def test_units_of_the_variables_and_the_target_do_not_matter():
    X, y = wave()
    first = quick().fit(X, y).predict(X)
    second = (
        quick().fit(X * [1e6, 1e-6] + [1e7, 0], y * 1e9 + 1e12).predict(X * [1e6, 1e-6] + [1e7, 0])
    )
    np.testing.assert_allclose((second - 1e12) / 1e9, first, atol=0.05)


def test_the_weights_kept_are_those_of_the_lowest_held_out_loss():
    X, y = wave(200)
    noisy = y + 0.5 * np.random.default_rng(0).standard_normal(200)
    proxy = quick(trend="constant", max_epochs=300, patience=None).fit(X, noisy)
    losses = [row["valid_loss"] for row in proxy.history_]
    best = int(np.argmin(losses))
    assert best < len(losses) - 1
    # The same training, ended by hand at the best epoch, has the same weights.
    stop = StopAt(best + 1)
    ended = quick(trend="constant", max_epochs=300, patience=None, callbacks=[stop]).fit(X, noisy)
    np.testing.assert_array_equal(proxy.predict(X), ended.predict(X))


class StopAt(Callback):
    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.n_epochs:
            raise KeyboardInterrupt


def test_training_stops_when_patience_is_over():
    X, _ = wave(200)
    noise = np.random.default_rng(0).standard_normal(200)
    proxy = NeuralProxyRegressor(trend="constant", patience=5, random_state=0).fit(X, noise)
    assert proxy.n_iter_ < 100


def test_a_network_that_only_harms_leaves_the_trend_alone():
    X, _ = wave(200)
    noise = np.random.default_rng(0).standard_normal(200)
    proxy = quick(trend="constant", learning_rate=10.0, schedule="constant").fit(X, noise)
    assert min(row["valid_loss"] for row in proxy.history_) > 2.0
    np.testing.assert_allclose(proxy.predict(X), proxy.predict(X)[0])


def test_a_trend_that_is_exact_ends_the_training_at_once():
    X, _ = wave(200)
    proxy = NeuralProxyRegressor(random_state=0).fit(X, 3 * X[:, 0] ** 2 - X[:, 1] + 5)
    assert proxy.trend_ == "quadratic"
    assert proxy.n_iter_ == 1
    np.testing.assert_allclose(proxy.predict([[0.5, 0.5]]), [5.25], rtol=1e-7)


@pytest.mark.parametrize("level", [1e6, 1e8, 1e10])
def test_the_level_of_the_target_does_not_matter(level):
    X, y = wave(300)
    assert quick(trend="auto").fit(X, y + level).score(X, y + level) > 0.99


def test_the_torch_module_does_not_share_the_trend():
    X, y = wave()
    proxy = quick(max_epochs=2).fit(X, y)
    expected = proxy.predict(X)
    proxy.torch_module().trend.coefficients.zero_()
    np.testing.assert_array_equal(proxy.predict(X), expected)


def test_a_constant_target_is_learned():
    X, _ = wave(60)
    np.testing.assert_allclose(quick().fit(X, np.full(60, 7.0)).predict(X), 7.0)


def test_a_constant_column_does_no_harm():
    X, y = wave(200)
    padded = np.column_stack([X, np.full(200, 3.0)])
    assert quick().fit(padded, y).score(padded, y) > 0.9


def test_warm_start_goes_on_from_the_weights_there_are():
    X, y = wave(400)
    cold = quick(trend="constant", schedule="constant", max_epochs=10).fit(X, y)
    warm = clone(cold).set_params(warm_start=True).fit(X, y)
    first_loss = warm.history_[0]["train_loss"]
    warm.fit(X, y)
    assert warm.n_iter_ == 10
    assert warm.history_[10]["train_loss"] < 0.5 * first_loss


def test_a_fit_without_warm_start_forgets_the_one_before():
    X, y = wave(200)
    proxy = quick().fit(X, -y)
    np.testing.assert_array_equal(proxy.fit(X, y).predict(X), quick().fit(X, y).predict(X))


def test_rows_of_weight_zero_do_not_count():
    X, y = wave(200)
    spoiled = np.vstack([X, X]), np.concatenate([y, y + 100])
    weight = np.repeat([1.0, 0.0], 200)
    weighted = quick().fit(*spoiled, sample_weight=weight).predict(X)
    np.testing.assert_allclose(weighted, quick().fit(X, y).predict(X), rtol=1e-6, atol=1e-8)


def test_heavier_rows_are_fitted_better():
    X, y = wave(300)
    noisy = y + np.random.default_rng(1).choice([-1.0, 1.0], 300)
    weight = np.where(noisy > y, 10.0, 0.1)
    proxy = quick(trend="quadratic").fit(X, noisy, sample_weight=weight)
    assert (proxy.predict(X) - y).mean() > 0.7


class Bilinear(torch.nn.Module):
    def __init__(self, n_features, n_outputs, width=16):
        super().__init__()
        self.first = torch.nn.Linear(n_features, width)
        self.second = torch.nn.Linear(width, n_outputs)

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))


def test_a_module_of_the_user_is_trained():
    X, y = wave(500)
    proxy = quick(module=partial(Bilinear, width=32), max_epochs=100).fit(X, y)
    assert isinstance(proxy.net_.module_.groups[0].module, Bilinear)
    assert proxy.score(X, y) > 0.95


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (lambda n, k: torch.nn.Sequential(torch.nn.Linear(n, 1), torch.nn.Flatten(0)), "outputs"),
        (lambda n, k: torch.nn.Linear(n, k + 1), "outputs of shape"),
        (lambda n, k: torch.nn.Identity(), "parameters to train"),
        (lambda n, k: "network", "torch.nn.Module"),
        ("network", "callable"),
    ],
)
def test_a_module_that_cannot_serve_is_refused(module, message):
    X, y = wave(60)
    with pytest.raises(ValueError, match=f"module must .*{message}"):
        quick(module=module).fit(X, y)


def test_callbacks_of_skorch_are_passed_through():
    class Count(Callback):
        n_epochs = 0

        def on_epoch_end(self, net, **kwargs):
            type(self).n_epochs += 1

    X, y = wave(100)
    quick(trend="constant", callbacks=[Count()], patience=None).fit(X, y)
    assert Count.n_epochs == 30


def test_a_callback_of_skorch_may_stop_the_training():
    X, y = wave(100)
    stop = EarlyStopping(monitor="train_loss", patience=2, threshold=10.0, sink=lambda text: None)
    assert quick(trend="constant", callbacks=[stop]).fit(X, y).n_iter_ < 30


def test_an_interrupt_from_the_keyboard_reaches_the_caller():
    class Interrupted(torch.nn.Linear):
        n_calls = 0

        def forward(self, x):
            type(self).n_calls += 1
            if self.n_calls > 20:
                raise KeyboardInterrupt
            return super().forward(x)

    X, y = wave(100)
    with pytest.raises(KeyboardInterrupt):
        quick(module=Interrupted).fit(X, y)


def test_a_callback_of_scikit_learn_sees_each_epoch():
    X, y = wave(100)

    class Watch:
        epochs: ClassVar[list[float]] = []

        def setup(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            if context.task_name.startswith("epoch"):
                self.epochs.append(fitted_estimator.score(X, y))
            return len(self.epochs) == 7

        def teardown(self, estimator, context):
            pass

    proxy = quick(trend="constant").set_callbacks(Watch()).fit(X, y)
    assert proxy.n_iter_ == 7
    assert Watch.epochs[-1] > Watch.epochs[0]


def test_no_global_generator_is_touched_and_no_file_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, y = wave(100)
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    NeuralProxyRegressor(max_epochs=3).fit(X, y)
    assert random.getstate() == states[0]
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])
    assert torch.equal(torch.get_rng_state(), states[2])
    assert os.listdir(tmp_path) == []


def test_the_number_of_threads_is_put_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        X, y = wave(100)
        quick(max_epochs=2).fit(X, y).predict(X)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_same_seed_gives_the_same_proxy_and_another_seed_another():
    X, y = wave(100)
    first, second = (quick().fit(X, y).predict(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, quick().set_params(random_state=1).fit(X, y).predict(X))


def test_a_pickled_proxy_predicts_the_same_and_holds_no_rows():
    X, y = wave(3000)
    proxy = quick(max_epochs=2, hidden_layer_sizes=(8,), trend="constant", features=None).fit(X, y)
    stored = pickle.dumps(proxy)
    np.testing.assert_array_equal(pickle.loads(stored).predict(X), proxy.predict(X))
    assert len(stored) < X.nbytes


def test_single_precision_predicts_in_double():
    X, y = wave(300)
    proxy = quick(dtype="float32").fit(X, y)
    assert proxy.predict(X).dtype == np.float64
    assert next(proxy.net_.module_.parameters()).dtype == torch.float32
    assert proxy.score(X, y) > 0.95


def test_names_of_columns_are_kept_and_checked():
    X, y = wave(100)
    frame = pd.DataFrame(X, columns=["speed", "angle"])
    proxy = quick(max_epochs=2).fit(frame, y)
    assert list(proxy.feature_names_in_) == ["speed", "angle"]
    with pytest.raises(ValueError, match="feature names"):
        proxy.predict(frame[["angle", "speed"]])


def test_a_grid_search_tunes_the_proxy_in_two_processes_as_in_one():
    X, y = wave(120)
    grid = {"activation": ["silu", "tanh"], "hidden_layer_sizes": [(8,), (16, 16)]}
    searches = [
        GridSearchCV(quick(max_epochs=5), grid, cv=2, n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2)
    ]
    first, second = (search.cv_results_["mean_test_score"] for search in searches)
    np.testing.assert_allclose(first, second, rtol=1e-9)


class Normalized(torch.nn.Sequential):
    def __init__(self, n_features, n_outputs):
        super().__init__(
            torch.nn.Linear(n_features, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, n_outputs)
        )


@pytest.mark.parametrize("n_rows", [33, 143, 179, 214])
def test_batches_can_be_normalized_whatever_the_number_of_rows(n_rows):
    X = np.random.default_rng(0).random((n_rows, 2))
    params = {"batch_size": 32, "max_epochs": 2, "random_state": 0}
    if n_rows > 100:
        params["batch_size"] = "auto"
    proxy = NeuralProxyRegressor(module=Normalized, **params).fit(X, X.sum(axis=1))
    assert np.isfinite(proxy.predict(X)).all()


@pytest.mark.parametrize("n_rows", range(1, 40))
@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_batches_hold_all_rows_and_none_but_the_only_one_is_alone(n_rows, batch_size):
    sizes = batch_sizes(n_rows, batch_size)
    assert sum(sizes) == n_rows
    assert max(sizes) <= batch_size + 1
    assert sizes[:-1] == [batch_size] * (len(sizes) - 1)
    assert batch_size == 1 or n_rows == 1 or min(sizes) > 1


@pytest.mark.parametrize("activation", ["silu", "relu", "tanh", "gelu", "sin"])
def test_every_activation_trains(activation):
    X, y = wave(300)
    assert quick(activation=activation, trend="constant").fit(X, y).score(X, y) > 0.8


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "constant"])
def test_every_schedule_trains(schedule):
    X, y = wave(300)
    proxy = quick(schedule=schedule, trend="constant", max_epochs=100).fit(X, y)
    assert proxy.score(X, y) > 0.9


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"device": "gpu"}, "device must be"),
        ({"device": "cuda:99"}, "device must be one that torch finds"),
        ({"device": "meta"}, "device must be a 'cpu', 'cuda' or 'mps'"),
        ({"dtype": "float16"}, "dtype must be one of 'float32', 'float64', 'tf32'; got 'float16'"),
        ({"hidden_layer_sizes": 100}, "hidden_layer_sizes must be a sequence"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes must be an integer of at least 1"),
        ({"activation": "step"}, "activation must be one of 'silu'"),
        ({"trend": "sextic"}, "trend must be one of 'auto', 'constant'"),
        ({"spread": -1.0}, "spread must be a finite number"),
        ({"features": "many"}, "features must be one of"),
        ({"n_members": 0}, "n_members must be an integer"),
        ({"bootstrap": "rows"}, "bootstrap must be one of True, False, 'halves'; got"),
        ({"learn_frequencies": None}, "learn_frequencies must be one of True, False"),
        ({"n_lbfgs_iterations": -1}, "n_lbfgs_iterations must be an integer of at least 0"),
        ({"n_frequencies": 0}, "n_frequencies must be an integer"),
        ({"max_epochs": 0}, "max_epochs must be an integer"),
        ({"batch_size": 1.5}, "batch_size must be an integer"),
        ({"learning_rate": 0.0}, "learning_rate must be a finite number"),
        ({"schedule": "step"}, "schedule must be one of"),
        ({"validation_fraction": 1.0}, "validation_fraction must be a finite number"),
        ({"patience": 0}, "patience must be an integer"),
        ({"random_state": -1}, "random_state must be"),
        ({"verbose": "a"}, "verbose must be an integer of at least 0; got 'a'"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(params, message):
    X, y = wave(60)
    with pytest.raises(ValueError, match=message):
        NeuralProxyRegressor(**params).fit(X, y)


def test_a_trend_that_the_rows_cannot_carry_is_refused():
    X, y = wave(60, n_features=6)
    with pytest.raises(ValueError, match="trend must be one that the 54 training rows"):
        quick(trend="quartic").fit(X, y)


def test_a_learning_rate_that_diverges_is_named():
    X, y = wave(100)
    with pytest.raises(ValueError, match="learning_rate must be low enough"):
        quick(learning_rate=1e300, trend="constant", schedule="constant").fit(X, y)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.full(60, -1.0), "sample_weight must be non-negative"),
        (np.zeros(60), "sample_weight must be non-negative and not all zero"),
        (np.ones(59), r"sample_weight must have shape \(60,\)"),
    ],
)
def test_wrong_weights_are_refused_by_name(weight, message):
    X, y = wave(60)
    with pytest.raises(ValueError, match=message):
        quick().fit(X, y, sample_weight=weight)


def test_a_proxy_of_a_cusp_has_its_minimum_near_the_cusp():
    problem = Ackley(2)
    X = SobolSampler(2000, random_state=0).sample(problem.bounds)
    proxy = NeuralProxyRegressor(max_epochs=60, random_state=0).fit(X, problem(X))
    line = np.linspace(-1.0, 1.0, 401)
    values = proxy.predict(np.column_stack([line, np.zeros(401)]))
    assert abs(line[values.argmin()]) < 0.1
