import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from sklearn_proxyopt.diagnosis._half_samples import HalfSampleEnsemble, are_learned_as_stack
from sklearn_proxyopt.proxies import KernelProxyRegressor, NeuralProxyRegressor, ProxyRegressor

X = np.random.default_rng(0).random((12, 2))
Y = X @ [1.0, 2.0]


class Halving(LinearRegression):
    """A proxy of a user that fits halves of its samples itself."""

    def fit_halves(self, X, y, seed):
        return Halves(X, y, seed)


class Halves:
    """Three lines."""

    def __init__(self, X, y, seed):
        order = np.random.default_rng(seed).permutation(len(X))
        self.member_rows_ = np.array([order[:6], order[3:9], order[6:]])
        self.lines = [LinearRegression().fit(X[rows], y[rows]) for rows in self.member_rows_]

    def predict_members(self, X):
        return np.array([line.predict(X) for line in self.lines])


def test_a_proxy_that_fits_halves_itself_is_asked_for_them():
    proxy = Halving().fit(X, Y)
    assert are_learned_as_stack(proxy)
    halves = HalfSampleEnsemble(proxy, X, Y, seed=3)
    assert halves.n_halves == 3
    assert halves.has_seen.sum(axis=1).tolist() == [6, 6, 6]
    np.testing.assert_array_equal(halves.predict(X), Halves(X, Y, 3).predict_members(X))
    np.testing.assert_allclose(halves.predict_unseen(X), Y)


def test_of_any_other_proxy_two_copies_are_fitted():
    proxy = LinearRegression().fit(X, Y)
    assert not are_learned_as_stack(proxy)
    halves = HalfSampleEnsemble(proxy, X, Y, seed=3)
    assert halves.n_halves == 2
    np.testing.assert_allclose(halves.predict_unseen(X), Y)


@pytest.mark.parametrize(
    "proxy",
    [
        ProxyRegressor(random_state=0),
        KernelProxyRegressor(random_state=0),
        NeuralProxyRegressor((8,), max_epochs=5, random_state=0),
    ],
    ids=lambda one: type(one).__name__,
)
def test_own_proxies_fit_six_halves(proxy):
    with pytest.raises(Exception, match="not fitted"):
        proxy.fit_halves(X, Y, 0)
    members = proxy.fit(X, Y).fit_halves(X, Y, 0)
    assert members.member_rows_.shape == (6, 6)
    assert members.predict_members(X).shape == (6, 12)
    assert members.torch_module(member=1) is not None
