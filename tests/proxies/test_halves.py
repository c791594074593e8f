import numpy as np
import pytest
import torch

from sklearn_proxyopt.proxies import KernelProxyRegressor, NeuralProxyRegressor, ProxyRegressor
from sklearn_proxyopt.proxies._halves import RefittedProxies, draw_halves
from sklearn_proxyopt.samplers import SobolSampler

BOX = np.array([[0.0, 4.0], [-1.0, 1.0]])
X = SobolSampler(128, random_state=0).sample(BOX)


def wave(X):
    return np.sin(2.5 * X[:, 0]) * np.exp(X[:, 1])


def rough(X):
    return wave(X) + np.sin(4.0 * X[:, 0] + 3.0 * X[:, 1])


def test_two_halves_share_out_the_rows():
    halves = draw_halves(11, 6, 0)
    assert halves.shape == (6, 5)
    for first, second in zip(halves[::2], halves[1::2], strict=True):
        assert len({*first.tolist(), *second.tolist()}) == 10


@pytest.mark.parametrize(
    "proxy",
    [
        ProxyRegressor(random_state=0),
        KernelProxyRegressor(trend="constant", random_state=0),
    ],
    ids=["by default", "constant"],
)
def test_each_member_knows_the_rows_of_its_half_and_no_others(proxy):
    y = rough(X)
    halves = draw_halves(len(X), 4, 0)
    members = RefittedProxies(proxy.fit(X, y), X, y, halves, 0).predict_members(X)
    for member, half in zip(members, halves, strict=True):
        off = np.abs(member - y)
        assert off[half].max() < 0.02
        assert np.delete(off, half).max() > 5 * off[half].max()


def test_halves_of_rows_that_do_not_carry_the_trend_of_all_do_without():
    # The cubic has ten functions, as many as half of the rows.
    few = X[:20]
    proxy = KernelProxyRegressor(trend="cubic", random_state=0).fit(few, wave(few))
    assert any("cubic trend" in name for name in proxy.processes_[0])
    members = RefittedProxies(proxy, few, wave(few), draw_halves(20, 2, 0), 0)
    assert np.std(members.predict(X) - wave(X)) < np.std(wave(X))


def test_members_are_as_good_as_a_proxy_of_their_half():
    y = wave(X)
    halves = draw_halves(len(X), 2, 0)
    members = RefittedProxies(ProxyRegressor(random_state=0).fit(X, y), X, y, halves, 0)
    new = SobolSampler(256, random_state=1).sample(BOX)
    for member, half in zip(members.predict_members(new), halves, strict=True):
        alone = ProxyRegressor(random_state=0).fit(X[half], y[half])
        assert np.std(member - wave(new)) < 3.0 * np.std(alone.predict(new) - wave(new)) + 1e-4


def test_modules_and_predictions_of_members_are_one():
    y = np.column_stack([wave(X), rough(X)])
    halves = draw_halves(len(X), 3, 0)
    members = RefittedProxies(ProxyRegressor(random_state=0).fit(X, y), X, y, halves, 0)
    values = members.predict_members(X)
    assert values.shape == (3, len(X), 2)
    rows = torch.from_numpy(X)
    both = members.torch_module()
    own = rows + 0.1 * torch.arange(3)[:, None, None]
    with torch.no_grad():
        for index in range(3):
            alone = members.torch_module(member=index)
            np.testing.assert_allclose(alone(rows).numpy(), values[index], rtol=0, atol=1e-8)
            moved = both.members(own)[index]
            np.testing.assert_allclose(moved, alone(own[index]), rtol=0, atol=1e-8)
        np.testing.assert_allclose(both(rows), values.mean(axis=0), rtol=0, atol=1e-8)


def test_repeated_rows_and_inducing_points_are_borne():
    twice, y = np.vstack([X, X[:40]]), wave(np.vstack([X, X[:40]]))
    proxy = KernelProxyRegressor(max_exact_rows=60, n_inducing=40, random_state=0).fit(twice, y)
    members = RefittedProxies(proxy, twice, y, draw_halves(len(y), 4, 0), 0)
    assert np.std(members.predict(X) - wave(X)) < 0.05
    exact = KernelProxyRegressor(random_state=0).fit(twice, y)
    members = RefittedProxies(exact, twice, y, draw_halves(len(y), 4, 0), 0)
    assert np.std(members.predict(X) - wave(X)) < 0.01


def test_members_of_a_network_take_part(monkeypatch):
    monkeypatch.setattr(
        "sklearn_proxyopt.proxies._blend.stack_weights", lambda *_: np.array([0.75, 0.25])
    )
    network = NeuralProxyRegressor((8,), max_epochs=3)
    y = wave(X)
    proxy = ProxyRegressor(min_network_rows=100, network=network, random_state=0).fit(X, y)
    networks = NeuralProxyRegressor(
        (8,), n_members=2, bootstrap="halves", max_epochs=3, random_state=0
    ).fit(X, y)
    halves = networks.member_rows_
    members = RefittedProxies(proxy, X, y, halves, 0, networks)
    alone = RefittedProxies(proxy.kernel_, X, y, halves, 0)
    expected = 0.75 * alone.predict_members(X) + 0.25 * networks.predict_members(X)
    np.testing.assert_allclose(members.predict_members(X), expected, rtol=0, atol=1e-8)
    with torch.no_grad():
        one = members.torch_module(member=1)(torch.from_numpy(X))[:, 0]
    np.testing.assert_allclose(one, expected[1], rtol=0, atol=1e-8)
