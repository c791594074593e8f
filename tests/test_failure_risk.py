import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime
from sklearn.linear_model import LinearRegression

from sklearn_proxyopt import NeuralProxyRegressor, ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt._proxy_search._failure_model import FailureAverse, learn_failure_risk
from sklearn_proxyopt._proxy_search._functions import RegressorFunction
from sklearn_proxyopt.exceptions import FailedEvaluationWarning
from sklearn_proxyopt.optimizers import DifferentialEvolution, MultiStartBFGS
from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import Periodic

BOX = np.array([[-1.0, 3.0], [0.0, 50.0]])


def design(n_rows=200, seed=0):
    return SobolSampler(n_rows, random_state=seed).sample(BOX)


def fails(X):
    return X[:, 0] + X[:, 1] / 25.0 > 3.0


def risk_of(has_failed, X):
    return learn_failure_risk(X[~has_failed], X[has_failed], BOX, 0)


def test_the_probability_tells_where_evaluations_fail():
    X, X_new = design(), design(512, seed=1)
    risk = risk_of(fails(X), X)
    assert ((risk(X_new) > 0.5) == fails(X_new)).mean() > 0.95


def test_failures_at_random_make_nothing_to_be_avoided():
    X = design()
    has_failed = np.random.default_rng(0).random(len(X)) < 0.07
    assert risk_of(has_failed, X).caution(design(512, seed=1)).max() < 0.1


def test_a_failure_or_two_teach_nothing():
    X = design()
    assert risk_of(np.arange(200) < 2, X) is None


@pytest.mark.parametrize("kind", [["u", "v"], Periodic(0, 2)], ids=["labels", "circle"])
@pytest.mark.parametrize("n_objectives", [1, 2])
def test_without_a_failure_there_is_no_risk_whatever_the_variables(kind, n_objectives):
    def fun(X):
        return np.column_stack([np.square(X - place).sum(axis=1) for place in (0.3, 0.6)])

    space, params = [(0, 1), kind], {"proxy": LinearRegression(), "random_state": 0}
    kind_of_run = ProxyOptimizer if n_objectives == 1 else ParetoOptimizer
    opt = kind_of_run(bounds=space, on_error="learn", vectorized=True, **params)
    learned = fun if n_objectives == 2 else lambda X: fun(X)[:, 0]
    opt.minimize(learned, budget=12)
    assert opt.failure_risk_ is None
    assert opt.fit(opt.X_, opt.y_).failure_risk_ is None
    assert opt.ask(2).shape == (2, 2)


def test_the_gradient_is_that_of_the_values():
    X = design()
    proxy = NeuralProxyRegressor(max_epochs=5, random_state=0).fit(X, X[:, 0] * X[:, 1])
    function = FailureAverse(RegressorFunction(proxy), risk_of(fails(X), X), 150.0)
    rows = design(20, seed=2)
    values, gradients = function.value_and_grad(rows)
    np.testing.assert_allclose(values, function(rows), rtol=1e-9)
    module = function.torch_module()
    np.testing.assert_allclose(module(torch.tensor(rows))[:, 0].detach(), values, rtol=1e-9)
    for x, gradient in zip(rows, gradients, strict=True):
        numeric = approx_fprime(x, lambda u: function(u[None])[0], 1e-6)
        np.testing.assert_allclose(gradient, numeric, atol=1e-2, rtol=1e-3)


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
@pytest.mark.parametrize(
    ("proxy", "optimizer"),
    [
        (LinearRegression(), DifferentialEvolution(40, 40)),
        (NeuralProxyRegressor((16,), max_epochs=10), MultiStartBFGS(32)),
    ],
    ids=["linear", "network"],
)
def test_the_search_keeps_away_from_where_evaluations_fail(proxy, optimizer):
    def downhill_into_failure(X):
        return np.where(fails(X), np.nan, -X[:, 0] - X[:, 1] / 25.0)

    found = {}
    for on_error in ("drop", "learn"):
        opt = ProxyOptimizer(
            sampler=SobolSampler(128),
            proxy=proxy,
            optimizer=optimizer,
            refiner=LocalRefinement(max_evaluations=5),
            on_error=on_error,
            random_state=0,
            vectorized=True,
        )
        found[on_error] = opt.minimize(downhill_into_failure, BOX)
        assert len(opt.X_failed_) == found[on_error].n_failed
        assert fails(opt.X_failed_).all()
    assert np.isnan(found["drop"].true_at_proxy)
    x = found["learn"].x_proxy
    assert 2.7 < x[0] + x[1] / 25.0 < 3.1
    assert found["learn"].fun < -2.8
    promised = opt.predict(found["learn"].x_proxy[None])[0]
    assert found["learn"].fun_proxy == pytest.approx(promised, rel=1e-9)


@pytest.mark.filterwarnings("error::scipy.stats.ConstantInputWarning")
def test_a_failure_is_never_given_a_value():
    def fun(X):
        return np.where(fails(X), np.nan, X[:, 0])

    opt = ProxyOptimizer(
        sampler=SobolSampler(64),
        proxy=LinearRegression(),
        on_error="learn",
        random_state=0,
        vectorized=True,
    )
    with pytest.warns(FailedEvaluationWarning):
        opt.minimize(fun, BOX)
    assert not fails(opt.X_).any()
    np.testing.assert_array_equal(opt.y_, opt.X_[:, 0])
