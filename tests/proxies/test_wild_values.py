"""Values as they come: penalties, outliers and values that span many decades."""

import pickle
import warnings

import numpy as np
import pytest

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.exceptions import WildValuesWarning
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.problems import Ackley, Levy, Rosenbrock
from sklearn_proxyopt.proxies import KernelProxyRegressor, ProxyRegressor
from sklearn_proxyopt.proxies._halves import RefittedProxies
from sklearn_proxyopt.proxies._kernel._wild import Taming, tamings_for
from sklearn_proxyopt.samplers import LatinHypercubeSampler

BOX = np.tile([-2.0, 3.0], (2, 1))


def bowl(X):
    return np.square(X - 0.4).sum(axis=1)


def table(n_rows=60, seed=0):
    X = LatinHypercubeSampler(n_rows, random_state=seed).sample(BOX)
    return X, bowl(X)


def with_a_penalty(X, y):
    return np.where((X > 1.5).all(axis=1), 1e10, y)


def with_outliers(X, y):
    wild = y.copy()
    wild[::20] = [5e3, -4e3, 7e4]
    return wild


def over_eight_decades(X):
    return 10.0 ** (0.9 * bowl(X)) * (1.0 + 0.5 * np.sin(X[:, 0]))


def minimum_of(proxy):
    return MultiStartBFGS(16, random_state=0).minimize(proxy, BOX).x


@pytest.mark.parametrize("spoil", [with_a_penalty, with_outliers])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_wild_values_are_named_and_do_not_spoil_the_optimum(spoil, sign):
    X, y = table()
    wild = spoil(X, y)
    with pytest.warns(WildValuesWarning, match=r"far from all others.*NaN.*forget"):
        proxy = KernelProxyRegressor(random_state=0).fit(X, sign * wild)
    usual = wild == y
    assert np.median(np.abs(sign * proxy.predict(X[usual]) - y[usual])) < 0.1
    found = MultiStartBFGS(4, 20, random_state=0).minimize(lambda Z: sign * proxy.predict(Z), BOX)
    np.testing.assert_allclose(found.x, 0.4, atol=0.3)


def test_values_over_eight_decades_are_learned_by_their_logarithm():
    X, _ = table()
    y = over_eight_decades(X)
    assert np.log10(y.max() / y.min()) > 8.0
    with pytest.warns(WildValuesWarning, match=r"spans \d decades.*TransformedTarget"):
        proxy = KernelProxyRegressor(random_state=0).fit(X, y)
    X_test, _ = table(seed=1)
    off = np.log10(proxy.predict(X_test) / over_eight_decades(X_test))
    assert np.median(np.abs(off)) < 0.1
    assert over_eight_decades(minimum_of(proxy)[None])[0] < 1.5
    assert over_eight_decades(X).min() > 1.5
    _, gradient = proxy.value_and_grad(X_test[:3])
    step = 1e-6
    for axis in range(2):
        ahead, behind = X_test[:3].copy(), X_test[:3].copy()
        ahead[:, axis] += step
        behind[:, axis] -= step
        slope = (proxy.predict(ahead) - proxy.predict(behind)) / (2.0 * step)
        np.testing.assert_allclose(gradient[:, axis], slope, rtol=1e-2)
    mean, deviation = proxy.predict(X_test, return_std=True)
    # Deviations are as large as the values are there.
    assert np.corrcoef(np.log(mean), np.log(deviation))[0, 1] > 0.5


def test_negative_values_over_eight_decades_keep_their_sign():
    X, _ = table()
    with pytest.warns(WildValuesWarning):
        proxy = KernelProxyRegressor(random_state=0).fit(X, -over_eight_decades(X))
    assert (proxy.predict(X) < 0.0).all()


def test_a_cured_table_is_not_warned_of():
    X, y = table()
    with warnings.catch_warnings():
        warnings.simplefilter("error", WildValuesWarning)
        KernelProxyRegressor(random_state=0).fit(X, np.log(over_eight_decades(X)))
        KernelProxyRegressor(random_state=0).fit(X, y)


@pytest.mark.parametrize("power", [2, 4, 6])
def test_the_tail_of_a_steep_function_is_not_wild(power):
    X, _ = table()
    assert tamings_for(X, np.sum(X**power, axis=1)) == []


@pytest.mark.parametrize("problem", [Rosenbrock(4), Levy(2), Ackley(2)])
def test_values_of_a_run_that_has_converged_are_not_wild(problem):
    rng = np.random.default_rng(0)
    wide = LatinHypercubeSampler(40, random_state=0).sample(problem.bounds)
    near = problem.x_opt + 1e-3 * rng.standard_normal((60, problem.n_dims))
    X = np.vstack([wide, near])
    assert tamings_for(X, problem(X)) == []


def test_each_target_is_tamed_by_itself():
    X, y = table()
    with pytest.warns(WildValuesWarning):
        both = KernelProxyRegressor(random_state=0).fit(
            X, np.column_stack([y, with_a_penalty(X, y)])
        )
    alone = KernelProxyRegressor(random_state=0).fit(X, y)
    np.testing.assert_allclose(both.predict(X)[:, 0], alone.predict(X), atol=1e-8)


@pytest.mark.parametrize("values", [with_outliers, lambda X, y: over_eight_decades(X)])
def test_tamed_proxies_are_saved_pickled_and_refitted_to_halves(values, tmp_path):
    X, y = table()
    y = values(X, y)
    with pytest.warns(WildValuesWarning):
        proxy = ProxyRegressor(random_state=0).fit(X, y)
    path = tmp_path / "proxy.npz"
    proxy.save(path)
    for copy in (ProxyRegressor().load(path), pickle.loads(pickle.dumps(proxy))):
        for one, other in zip(
            copy.predict(X, return_std=True), proxy.predict(X, return_std=True), strict=True
        ):
            np.testing.assert_array_equal(one, other)
    halves = RefittedProxies(proxy, X, y, np.array([np.arange(0, 60, 2), np.arange(1, 60, 2)]), 0)
    members, whole = halves.predict_members(X), proxy.predict(X)
    for member in members:
        assert np.corrcoef(member, whole)[0, 1] > 0.8


def test_many_rows_with_wild_values_are_left_to_the_processes():
    X, y = table()
    proxy = ProxyRegressor(min_network_rows=50, random_state=0)
    with pytest.warns(WildValuesWarning):
        proxy.fit(X, with_a_penalty(X, y))
    assert proxy.network_ is None


def test_optimizers_hand_the_warning_on_and_keep_the_values():
    X, y = table()
    wild = with_a_penalty(X, y)
    quick = MultiStartBFGS(8, 30, n_rounds=2, n_candidates=64)
    with pytest.warns(WildValuesWarning) as caught:
        opt = ProxyOptimizer(optimizer=quick, random_state=0).fit(X, wild)
    assert [one.filename for one in caught if one.category is WildValuesWarning] == [__file__]
    np.testing.assert_allclose(opt.x_, 0.4, atol=0.3)
    np.testing.assert_array_equal(opt.y_, wild)


def test_limited_values_keep_their_order_and_usual_ones_their_value():
    tame = Taming("limited", 0.0, 10.0, 5.0)
    y = np.array([-1e12, -3.0, 0.0, 4.0, 10.0, 11.0, 1e12])
    tamed = tame.learned(y, y)
    assert (np.diff(tamed) > 0.0).all()
    np.testing.assert_array_equal(tamed[2:5], y[2:5])
    assert -1.0 <= tamed[0] < tamed[-1] <= 11.0


def test_scattered_values_are_learned_as_predicted_but_no_better_than_the_middle():
    tame = Taming("scattered", 0.0, 10.0, 5.0)
    y, predicted = np.array([1e9, 1e9, -1e9, 3.0]), np.array([2.0, 8.0, 3.0, 4.0])
    np.testing.assert_array_equal(tame.learned(y, predicted), [5.0, 8.0, 3.0, 3.0])


def test_values_of_which_the_noise_is_known_are_not_learned_by_their_logarithm():
    X, _ = table()
    y = over_eight_decades(X)
    with pytest.warns(WildValuesWarning):
        proxy = KernelProxyRegressor(noise_std=1e-3, random_state=0).fit(X, y)
    assert proxy._module.tamings[0].kind != "logarithm"
