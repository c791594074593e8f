"""Regressors of skorch as proxies by themselves."""

import pickle
import random

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetRegressor
from torch import nn

from sklearn_proxyopt import ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt.optimizers import NSGA2, MultiStartBFGS

X = np.random.default_rng(0).uniform(-1.0, 1.0, (150, 2))
BOX = [[-1.0, 1.0]] * 2


def bowl(X):
    return ((X - 0.3) ** 2).sum(axis=1)


Y = bowl(X)


class Layers(nn.Module):
    def __init__(self, n_outputs=1, width=16):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, n_outputs))

    def forward(self, x):
        return self.layers(x)


class Flat(Layers):
    def forward(self, x):
        return self.layers(x)[:, 0]


def net(module=Layers, **params):
    params = {
        "max_epochs": 150,
        "lr": 0.02,
        "optimizer": torch.optim.Adam,
        "train_split": None,
        "verbose": 0,
        **params,
    }
    return NeuralNetRegressor(module, **params)


def optimizer(proxy, **params):
    return ProxyOptimizer(
        proxy=proxy, optimizer=MultiStartBFGS(16), random_state=0, vectorized=True, **params
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_net_is_a_proxy(dtype):
    def layers():
        return Layers().to(dtype)

    opt = optimizer(net(layers)).fit(X, Y)
    assert opt.predict(X).dtype == np.float64
    assert opt.score(X, Y) > 0.97
    np.testing.assert_allclose(opt.x_, 0.3, atol=0.15)


def test_a_net_is_searched_along_its_own_gradient():
    proxy = optimizer(net()).fit(X, Y).proxy_
    value, gradient = proxy.value_and_grad(X[:5])
    np.testing.assert_allclose(value, proxy.predict(X[:5]), atol=1e-6)
    step = 1e-3
    for axis in range(2):
        move = np.zeros(2)
        move[axis] = step
        slope = (proxy.predict(X[:5] + move) - proxy.predict(X[:5] - move)) / (2 * step)
        np.testing.assert_allclose(gradient[:, axis], slope, atol=2e-3)


def test_predictions_that_are_no_outputs_of_the_module_have_no_gradient_to_follow():
    squared = net(predict_nonlinearity=torch.square)
    opt = optimizer(squared).fit(X, Y)
    assert not hasattr(opt.proxy_, "value_and_grad")
    assert np.isfinite(opt.fun_)


def test_several_targets_are_learned_and_make_a_front():
    def both(X):
        return np.column_stack([bowl(X), bowl(X + 0.5)])

    two = ParetoOptimizer(proxy=net(module__n_outputs=2), optimizer=NSGA2(12, 5), random_state=0)
    two.fit(X, both(X))
    assert two.predict(X).shape == (len(X), 2)
    assert len(two.F_front_proxy_) > 1


def test_minimize_learns_a_net_and_ends_with_a_verdict():
    result = optimizer(net()).minimize(bowl, BOX, budget=60)
    assert result.fun < 1e-3
    assert 0.0 <= result.probability <= 1.0


def test_a_module_whose_outputs_would_broadcast_is_refused():
    with pytest.raises(ValueError, match=r"outputs of shape \(2, 1\); got \(2,\)"):
        optimizer(net(Flat)).fit(X, Y)


def test_seeds_decide_and_no_global_generator_moves():
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    first, second = (optimizer(net()).fit(X, Y).predict(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])


def test_the_net_passed_in_is_not_trained():
    own = net()
    opt = optimizer(own).fit(X, Y)
    assert not own.initialized_
    assert opt.proxy is own
    assert opt.proxy_.net_.initialized_


@pytest.mark.parametrize(
    "wrap",
    [
        lambda own: make_pipeline(StandardScaler(), own),
        lambda own: TransformedTargetRegressor(own, transformer=StandardScaler()),
        lambda own: make_pipeline(
            StandardScaler(), TransformedTargetRegressor(own, transformer=StandardScaler())
        ),
    ],
)
def test_a_net_inside_something_else_is_a_proxy_too(wrap):
    opt = optimizer(wrap(net())).fit(X, Y)
    assert opt.score(X, Y) > 0.95
    twin = pickle.loads(pickle.dumps(opt))
    np.testing.assert_array_equal(twin.predict(X), opt.predict(X))


def test_a_grid_runs_over_the_parameters_of_a_net():
    search = GridSearchCV(optimizer(net()), {"proxy__max_epochs": [1, 150]}, cv=2).fit(X, Y)
    assert search.best_params_ == {"proxy__max_epochs": 150}


def test_a_grid_inside_the_proxy_runs_over_the_parameters_of_a_net():
    grid = GridSearchCV(net(), {"lr": [1e-6, 0.02], "module__width": [16]}, cv=2)
    opt = optimizer(grid).fit(X, Y)
    assert opt.proxy_.best_params_["lr"] == 0.02


def test_clones_and_settings_reach_the_net():
    opt = clone(optimizer(net())).set_params(proxy__module__width=4, proxy__max_epochs=1)
    layers = opt.fit(X, Y).proxy_.net_.module_.layers
    assert layers[0].out_features == 4
