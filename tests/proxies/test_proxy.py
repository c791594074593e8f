import pickle
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_proxyopt.problems import Rosenbrock
from sklearn_proxyopt.proxies import KernelProxyRegressor, NeuralProxyRegressor, ProxyRegressor
from sklearn_proxyopt.proxies._blend import Blend
from sklearn_proxyopt.samplers import SobolSampler

small_network = partial(NeuralProxyRegressor, (16,), max_epochs=5)


def wave(n_rows=80, seed=0):
    X = np.random.default_rng(seed).uniform(-1.0, 1.0, (n_rows, 2))
    return X, np.sin(3 * X[:, 0]) * np.exp(X[:, 1])


class Halved:
    """A blend of both parts, whatever they have learned."""

    def __new__(cls, n_outputs=1):
        return Blend(np.full(n_outputs, 0.5), np.full(n_outputs, 2.0), np.ones(n_outputs))


@pytest.fixture
def halved(monkeypatch):
    monkeypatch.setattr(Blend, "learned", lambda y, *others: Halved(y.shape[1]))
    return partial(ProxyRegressor, min_network_rows=50, network=small_network(), random_state=0)


@parametrize_with_checks([ProxyRegressor()])
def test_the_proxy_follows_the_conventions_of_scikit_learn(estimator, check):
    check(estimator)


def test_of_few_rows_it_is_a_kernel_proxy():
    X, y = wave()
    proxy = ProxyRegressor(kernel=KernelProxyRegressor(random_state=1)).fit(X, y)
    alone = KernelProxyRegressor(random_state=1).fit(X, y)
    assert proxy.network_ is None
    for ours, theirs in zip(
        proxy.predict(X, return_std=True), alone.predict(X, return_std=True), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("max_exact_rows", "n_learned"), [(100, [90, 100]), (60, [90])])
def test_processes_learn_again_from_all_rows_that_they_can_meet(
    monkeypatch, max_exact_rows, n_learned
):
    learned, fit = [], KernelProxyRegressor.fit

    def spy(self, X, y, **options):
        learned.append(len(X))
        return fit(self, X, y, **options)

    monkeypatch.setattr(KernelProxyRegressor, "fit", spy)
    kernel = KernelProxyRegressor(max_exact_rows=max_exact_rows, n_inducing=40)
    proxy = ProxyRegressor(min_network_rows=50, kernel=kernel, network=small_network())
    X, y = wave(100)
    proxy.set_params(random_state=0).fit(X, y)
    assert learned == n_learned
    assert proxy.score(X, y) > 0.99


def test_a_network_that_is_no_good_counts_for_nothing():
    X, y = wave()
    proxy = ProxyRegressor(min_network_rows=50, network=small_network(trend="constant"))
    proxy.set_params(random_state=0).fit(X, y)
    assert proxy.network_share_ == 0
    assert proxy.network_ is None


def test_a_network_that_holds_the_function_counts_alone():
    # Nearly two hundred functions are too many for processes that learn from few rows.
    problem = Rosenbrock(5)
    X = SobolSampler(512, random_state=0).sample(problem.bounds)
    proxy = ProxyRegressor(
        min_network_rows=400,
        kernel=KernelProxyRegressor(trend="constant"),
        network=small_network(trend="quartic"),
        random_state=0,
    ).fit(X, problem(X))
    assert proxy.network_share_ == 1
    X_new = SobolSampler(100, random_state=1).sample(problem.bounds)
    assert proxy.score(X_new, problem(X_new)) > 1 - 1e-8


class TestBlend:
    def test_the_better_part_counts_more(self):
        rng = np.random.default_rng(0)
        y = rng.standard_normal((400, 1))
        kernel, network = (y + size * rng.standard_normal((400, 1)) for size in (0.4, 0.3))
        blend = Blend.learned(y, np.ones(400), (kernel, np.full_like(y, 0.4)), network)
        assert 0.5 < blend.share[0] < 0.8

    def test_its_intervals_hold_what_they_were_learned_from(self):
        rng = np.random.default_rng(0)
        y = rng.standard_normal((400, 1))
        kernel, network = (y + 0.5 * rng.standard_normal((400, 1)) for _ in range(2))
        blend = Blend.learned(y, np.ones(400), (kernel, np.full_like(y, 0.1)), network)
        values = [torch.tensor(one) for one in (kernel, np.full_like(y, 0.1), network)]
        mean, deviation = blend.moments(*values, torch.ones(400, 1, dtype=torch.float64))
        within = (mean - torch.tensor(y)).abs() <= 1.645 * deviation
        assert float(within.double().mean()) >= 0.9

    def test_parts_that_disagree_widen_the_interval(self):
        values = torch.zeros(2, 1), torch.ones(2, 1), torch.tensor([[0.0], [5.0]]), torch.ones(2, 1)
        deviation = Halved().moments(*values)[1]
        assert deviation[1] > deviation[0]


class TestBothParts:
    def test_the_prediction_lies_between_theirs(self, halved):
        X, y = wave()
        proxy = halved().fit(X, y)
        parts = proxy.kernel_.predict(X), proxy.network_.predict(X)
        np.testing.assert_allclose(proxy.predict(X), np.mean(parts, axis=0))

    def test_the_gradient_is_the_limit_of_differences(self, halved):
        X, y = wave()
        proxy = halved().fit(X, y)
        for n_std in (0.0, 2.0):
            gradient = proxy.value_and_grad(X[:10], n_std=n_std)[1]
            for place in range(2):
                moved = 1e-5 * np.eye(2)[place]
                above, below = (
                    proxy.value_and_grad(X[:10] + sign * moved, n_std=n_std)[0] for sign in (1, -1)
                )
                slope = (above - below) / 2e-5
                np.testing.assert_allclose(gradient[:, place], slope, rtol=1e-3, atol=1e-3)

    def test_far_away_predictions_go_back_to_what_is_usual(self, halved):
        X, y = wave()
        mean, std = halved().fit(X, y).predict([[50.0, -50.0]], return_std=True)
        assert mean[0] == pytest.approx(y.mean(), abs=0.01)
        assert std[0] > 0.8 * y.std()

    def test_several_targets_have_shares_of_their_own(self, halved):
        X, y = wave()
        proxy = halved().fit(X, np.column_stack([y, X[:, 0] ** 2]))
        assert proxy.network_share_.shape == (2,)
        assert proxy.predict(X, return_std=True)[1].shape == (80, 2)

    def test_bounds_hold(self, halved):
        X, y = wave()
        values = halved(y_bounds=(0, 1)).fit(X, np.clip(y, 0, 1)).predict(2 * X)
        assert values.min() >= 0
        assert values.max() <= 1

    def test_a_pickle_predicts_the_same(self, halved):
        X, y = wave()
        proxy = halved().fit(X, y)
        copy = pickle.loads(pickle.dumps(proxy))
        np.testing.assert_array_equal(copy.predict(X), proxy.predict(X))

    def test_a_seed_repeats_every_bit(self, halved):
        X, y = wave()
        first, second = (halved().fit(X, y).predict(X) for _ in range(2))
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"min_network_rows": 0}, "min_network_rows"),
        ({"validation_fraction": 0.0}, "validation_fraction must be"),
        ({"kernel": "matern"}, "kernel must be a KernelProxyRegressor or None"),
        ({"network": "deep"}, "network must be a NeuralProxyRegressor or None"),
        ({"dtype": "float16"}, "dtype must be one of"),
        ({"y_bounds": (2, 1)}, "y_bounds must have each lower bound below"),
    ],
)
def test_parameters_out_of_their_limits_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        ProxyRegressor(**parameters).fit(*wave())
