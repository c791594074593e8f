import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LinearRegression

from sklearn_proxyopt import NeuralProxyRegressor
from sklearn_proxyopt.proxies import KernelProxyRegressor, ProxyRegressor
from sklearn_proxyopt.proxies._blend import Blend
from sklearn_proxyopt.proxies._kernel._covariances import COVARIANCES
from sklearn_proxyopt.proxies._kernel._kriging import (
    Kriging,
    Observations,
    likelihood,
    settings_prior,
)
from sklearn_proxyopt.proxies._kernel._noise import NoiseFacts
from sklearn_proxyopt.proxies._known_rows import KnownRows
from sklearn_proxyopt.samplers import LatinHypercubeSampler


def bowl(X):
    return ((X - 0.3) ** 2 * np.arange(1, X.shape[1] + 1)).sum(axis=1)


def wave(X):
    return np.sin(3 * X[:, 0]) * np.exp(X[:, -1])


def ripples(X):
    return bowl(X) + np.cos(20 * X).sum(axis=1)


def rows(n_rows=60, n_features=3, seed=0):
    bounds = np.tile([-1.0, 1.0], (n_features, 1))
    return LatinHypercubeSampler(n_rows, random_state=seed).sample(bounds)


def with_noise(X, std, seed=0, function=bowl):
    return function(X) + std * np.random.default_rng(seed).standard_normal(len(X))


def learned(X, y, **settings):
    return KernelProxyRegressor(random_state=0, **settings).fit(X, y)


class TestWhatIsFound:
    @pytest.mark.parametrize("n_settings", [1, 2, 3])
    def test_repeats_of_few_settings_tell_it(self, n_settings):
        X = np.repeat([[0.2, 0.2], [0.8, 0.8], [0.1, 0.9]][:n_settings], 10, axis=0)
        y = 3.0 + with_noise(X, 2.0)
        of_each = y.reshape(n_settings, 10)
        scatter = np.sqrt(of_each.var(axis=1, ddof=1).mean())
        proxy = learned(X, y)
        assert proxy.noise_std_ == pytest.approx(scatter, rel=1e-6 if n_settings < 3 else 0.2)
        mean, std = proxy.predict(X[::10], return_std=True)
        off = np.abs(mean - of_each.mean(axis=1))
        assert (off < 2.0 * scatter / np.sqrt(10.0)).all()
        assert (std > 0.1 * scatter).all()
        assert (std < 2.0 * scatter).all()

    def test_repeats_of_few_settings_that_agree_tell_of_none(self):
        X = np.repeat([[0.2, 0.2], [0.8, 0.8]], 10, axis=0)
        assert learned(X, bowl(X)).noise_std_ == 0.0
        assert learned(X, 0.0 * bowl(X)).noise_std_ == 0.0

    @pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
    @pytest.mark.parametrize("n_features", [2, 4])
    @pytest.mark.parametrize("n_repeated", [0, 5, 30])
    def test_noise_about_a_bowl_is_found(self, share, n_features, n_repeated):
        found, std = [], share * bowl(rows(1000, n_features)).std()
        for seed in range(3):
            X = rows(60 - n_repeated, n_features, seed)
            X = np.vstack([X, X[:n_repeated]])
            found.append(learned(X, with_noise(X, std, seed)).noise_std_)
        assert np.median(found) == pytest.approx(std, rel=0.25)

    @pytest.mark.parametrize("function", [bowl, wave])
    def test_exact_values_have_none_and_are_learned_as_if_none_were_looked_for(self, function):
        X = rows()
        proxy = learned(X, function(X))
        assert proxy.noise_std_ == 0.0
        sure = learned(X, function(X), noise_std=None)
        for one, other in zip(
            proxy.predict(X, return_std=True), sure.predict(X, return_std=True), strict=True
        ):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(proxy.predict(X), function(X), atol=1e-4)

    def test_repeats_tell_ripples_from_noise(self):
        X = rows(50)
        alone = learned(X, ripples(X))
        assert alone.noise_std_ > 0.5
        X = np.vstack([X, X[:1]])
        assert learned(X, ripples(X)).noise_std_ == 0.0
        # Rippled and noisy: only what repeats tell is noise.
        X = np.vstack([X, X[:20]])
        proxy = learned(X, with_noise(X, 0.1, function=ripples))
        assert proxy.noise_std_ == pytest.approx(0.1, rel=0.5)
        assert np.median(proxy.predict(rows(seed=1), return_std=True)[1]) > 0.5

    def test_its_unit_is_that_of_the_values(self):
        X = rows(40)
        X = np.vstack([X, X[:10]])
        y = with_noise(X, 0.5)
        found = learned(X, y).noise_std_
        assert learned(X, 1e6 * y - 3e7).noise_std_ == pytest.approx(1e6 * found, rel=0.02)

    def test_weights_in_any_unit_find_the_same(self):
        X = rows(40)
        X = np.vstack([X, X[:10]])
        y = with_noise(X, 0.5)
        found = [
            KernelProxyRegressor(random_state=0).fit(X, y, sample_weight=weight * np.ones(50))
            for weight in (1.0, 1e-3)
        ]
        assert found[0].noise_std_ == pytest.approx(found[1].noise_std_)
        known = [
            KernelProxyRegressor(noise_std=0.5, random_state=0)
            .fit(X, y, sample_weight=weight * np.ones(50))
            .predict(X)
            for weight in (1.0, 1e-3)
        ]
        np.testing.assert_allclose(*known)

    def test_each_target_has_its_own(self):
        X = rows(40, 2)
        X = np.vstack([X, X[:10]])
        targets = np.column_stack([with_noise(X, 0.5), wave(X)])
        proxy = learned(X, targets)
        assert proxy.noise_std_[0] == pytest.approx(0.5, rel=0.3)
        assert proxy.noise_std_[1] == 0.0
        given = learned(X, targets, noise_std=[0.5, 0.0])
        np.testing.assert_array_equal(given.noise_std_, [0.5, 0.0])

    def test_many_rows_find_it_by_way_of_inducing_points(self):
        X = rows(700, 2)
        X = np.vstack([X, X[:100]])
        proxy = learned(X, with_noise(X, 0.5), max_exact_rows=600, n_inducing=100)
        assert proxy.noise_std_ == pytest.approx(0.5, rel=0.2)
        assert np.median(proxy.predict(X, return_std=True)[1]) < 0.25


class TestRepeats:
    def test_all_rows_twice_are_learned_to_the_last_bit_as_once(self):
        X = rows(30)
        once, twice = (learned(one, wave(one)) for one in (X, np.vstack([X, X[::-1]])))
        np.testing.assert_array_equal(once.predict(X), twice.predict(X))
        assert twice.noise_std_ == 0.0

    def test_some_exact_rows_twice_change_little(self):
        X, X_new = rows(40), rows(200, seed=1)
        once, some = (learned(one, wave(one)) for one in (X, np.vstack([X, X[:7]])))
        np.testing.assert_allclose(once.predict(X_new), some.predict(X_new), atol=0.02)
        np.testing.assert_allclose(some.predict(X), wave(X), atol=1e-3)

    @pytest.mark.parametrize("kind", list(COVARIANCES))
    def test_means_and_scatter_tell_the_likelihood_of_all_rows(self, kind):
        X = torch.tensor(rows(12, 2))
        which = torch.tensor([*range(12), 0, 0, 3, 5])
        values = torch.tensor(with_noise(X[which].numpy(), 0.3))
        counts = torch.bincount(which).double()
        means = torch.zeros(12, dtype=torch.float64).index_add_(0, which, values) / counts
        squares = float((values - means[which]).square().sum())
        ones = torch.ones(16, 1, dtype=torch.float64)
        everything = Observations(X[which], values, ones[:, 0], ones)
        # Noise of weight one is that of one row, whatever the mean weight.
        short = Observations(X, means, counts, ones[:12], NoiseFacts(squares, 4.0))
        covariance = COVARIANCES[kind](2)
        prior = settings_prior(covariance)
        settings = torch.stack(
            [
                torch.cat([start, torch.tensor([np.log(noise)], dtype=torch.float64)])
                for start, noise in zip(covariance.starts()[:2], (0.1, 0.02), strict=True)
            ]
        )
        of_all, of_means = (
            likelihood(covariance, settings, known, prior) for known in (everything, short)
        )
        assert float(of_all[0].diff()) == pytest.approx(float(of_means[0].diff()), rel=1e-8)
        torch.testing.assert_close(of_all[1], of_means[1])
        fits = [Kriging.fitted(covariance, settings[0], known) for known in (everything, short)]
        assert fits[0].variance == pytest.approx(fits[1].variance)

    @pytest.mark.parametrize(
        "noise", [NoiseFacts(3.0, 5.0), NoiseFacts(floor=0.2, is_on_floor=True)]
    )
    def test_the_gradient_of_the_likelihood_is_the_limit_of_differences(self, noise):
        X = torch.tensor(rows(15, 2))
        ones = torch.ones(15, 1, dtype=torch.float64)
        known = Observations(X, torch.tensor(with_noise(X.numpy(), 0.3)), ones[:, 0], ones, noise)
        covariance = COVARIANCES["matern"](2)
        prior = settings_prior(covariance)
        settings = torch.tensor([[0.1, 0.3, -2.0]], dtype=torch.float64)
        gradient = likelihood(covariance, settings, known, prior)[1][0]
        for place in range(3):
            step = 1e-5 * torch.eye(3, dtype=torch.float64)[place]
            above, below = (
                likelihood(covariance, settings + sign * step, known, prior)[0] for sign in (1, -1)
            )
            assert float(gradient[place]) == pytest.approx(float(above - below) / 2e-5, rel=1e-4)

    def test_rows_held_out_are_held_out_with_their_repeats(self):
        X = np.repeat(rows(50), np.arange(50) % 3 + 1, axis=0)
        known = KnownRows(X, bowl(X), np.ones(len(X)), None)
        kept, held_out = known.split(0.2, np.random.default_rng(0))
        assert len(kept.X) + len(held_out.X) == len(X)
        assert held_out.n_distinct == 10
        assert not set(map(tuple, kept.X)) & set(map(tuple, held_out.X))


class TestStandardDeviations:
    @pytest.mark.parametrize("settings", [{"noise_std": 0.5}, {}], ids=["given", "repeats"])
    def test_they_are_those_of_the_function(self, settings):
        X = rows(60, 2)
        X = np.vstack([X, X[:30]])
        X_new = rows(500, 2, seed=1)
        mean, std = learned(X, with_noise(X, 0.5), **settings).predict(X_new, return_std=True)
        assert np.median(std) < 0.3
        assert np.mean(np.abs(mean - bowl(X_new)) < 1.645 * std) > 0.8

    def test_they_count_what_may_be_ripples(self):
        X = rows(80, 2)
        proxy = learned(X, with_noise(X, 0.5))
        assert np.median(proxy.predict(X, return_std=True)[1]) > 0.4

    def test_a_known_noise_leaves_ripples_to_the_function(self):
        X = rows(50)
        _, std = learned(X, ripples(X), noise_std=0.01).predict(rows(300, seed=1), True)
        assert np.median(std) > 0.5


class TestGivenNoise:
    def test_a_row_with_little_noise_is_met_and_one_with_much_is_not(self):
        X = rows(40, 2)
        stds = np.where(np.arange(40) % 2, 0.01, 3.0)
        y = wave(X) + stds * np.random.default_rng(0).standard_normal(40)
        proxy = KernelProxyRegressor(random_state=0).fit(X, y, noise_std=stds)
        off = np.abs(proxy.predict(X) - wave(X))
        assert off[1::2].max() < 0.1
        assert np.median(off) < 0.1
        assert proxy.noise_std_ == pytest.approx(np.sqrt(np.mean(stds**2)))

    def test_weights_and_standard_deviations_of_rows_say_the_same(self):
        X = rows(40, 2)
        y, weight = with_noise(X, 0.5), np.linspace(1.0, 9.0, 40)
        by_weights = KernelProxyRegressor(noise_std=0.5, random_state=0)
        by_weights.fit(X, y, sample_weight=weight)
        stds = 0.5 * np.sqrt(weight.mean() / weight)
        by_rows = KernelProxyRegressor(random_state=0).fit(X, y, noise_std=stds)
        np.testing.assert_allclose(by_weights.predict(X), by_rows.predict(X), rtol=1e-6)

    def test_rows_with_given_noise_are_met_less_closely(self):
        X = rows(40, 2)
        y = wave(X)
        exact, noisy = (
            np.abs(learned(X, y, noise_std=std).predict(X) - y).max() for std in (0.0, 0.5)
        )
        assert 3 * exact < noisy

    def test_zero_for_each_row_says_exact(self):
        X = rows(30)
        zero = KernelProxyRegressor(random_state=0).fit(X, wave(X), noise_std=np.zeros(30))
        np.testing.assert_array_equal(
            zero.predict(X), learned(X, wave(X), noise_std=None).predict(X)
        )

    @pytest.mark.parametrize("proxy", [KernelProxyRegressor(), ProxyRegressor()])
    @pytest.mark.parametrize("noise_std", [-1.0, np.nan, "much", [0.1, 0.2], True])
    def test_a_parameter_that_is_no_noise_is_named(self, proxy, noise_std):
        X = rows(10)
        with pytest.raises(ValueError, match='noise_std must be "auto", None, or a non-negative'):
            clone(proxy).set_params(noise_std=noise_std).fit(X, bowl(X))

    @pytest.mark.parametrize("proxy", [KernelProxyRegressor(), ProxyRegressor()])
    def test_noise_of_rows_that_is_none_is_named(self, proxy):
        X = rows(10)
        with pytest.raises(ValueError, match=r"noise_std must have shape \(10,\), a standard"):
            clone(proxy).fit(X, bowl(X), noise_std=np.ones(9))
        with pytest.raises(ValueError, match="noise_std must be finite and non-negative"):
            clone(proxy).fit(X, bowl(X), noise_std=-np.ones(10))


@pytest.mark.parametrize("noise_std", ["auto", 0.5])
def test_a_saved_proxy_knows_its_noise(noise_std, tmp_path):
    X = rows(40, 2)
    X = np.vstack([X, X[:10]])
    proxy = learned(X, with_noise(X, 0.5), noise_std=noise_std)
    proxy.save(tmp_path / "proxy.npz")
    loaded = KernelProxyRegressor().load(tmp_path / "proxy.npz")
    assert loaded.noise_std_ == proxy.noise_std_ > 0
    for one, other in zip(
        loaded.predict(X, return_std=True), proxy.predict(X, return_std=True), strict=True
    ):
        np.testing.assert_array_equal(one, other)


class TestWithANetwork:
    def noisy(self):
        X = rows(150, 2)
        X = np.vstack([X, X])
        return X, with_noise(X, 0.5, function=wave)

    def proxy(self, **settings):
        network = NeuralProxyRegressor((16,), max_epochs=60)
        return ProxyRegressor(network=network, min_network_rows=50, random_state=0, **settings)

    def test_noise_is_not_learned(self):
        X, y = self.noisy()
        proxy = self.proxy().fit(X, y)
        assert proxy.noise_std_ == pytest.approx(0.5, rel=0.25)
        X_new = rows(500, 2, seed=1)
        mean, std = proxy.predict(X_new, return_std=True)
        assert np.sqrt(np.mean((mean - wave(X_new)) ** 2)) < 0.25
        assert np.median(std) < 0.4

    def test_each_row_may_have_its_own(self):
        X = rows(200, 2)
        stds = np.where(np.arange(200) % 2, 0.01, 3.0)
        y = wave(X) + stds * np.random.default_rng(0).standard_normal(200)
        proxy = self.proxy().fit(X, y, noise_std=stds)
        X_new = rows(500, 2, seed=1)
        assert np.sqrt(np.mean((proxy.predict(X_new) - wave(X_new)) ** 2)) < 0.3

    def test_a_network_learns_the_means_of_repeats(self):
        X, y = self.noisy()
        line = LinearRegression()
        KnownRows(X, y, np.ones(300), None).teach_network(line)
        mean = LinearRegression().fit(X[:150], (y[:150] + y[150:]) / 2)
        np.testing.assert_allclose(line.coef_, mean.coef_)

    def test_noise_of_rows_held_out_is_no_error_of_a_prediction(self):
        rng = np.random.default_rng(0)
        truth, noise = rng.standard_normal((400, 1)), rng.standard_normal((400, 1))
        near = truth + 0.1 * rng.standard_normal((400, 1))
        kernel = (near, np.full((400, 1), 0.1))
        told = Blend.learned(truth + noise, np.ones(400), kernel, near, noise=np.ones((400, 1)))
        assert told.ratio[0] < 2
        assert told.calibration[0] < 1.1
        untold = Blend.learned(truth + noise, np.ones(400), kernel, near)
        assert untold.ratio[0] > 5
