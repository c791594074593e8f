import pickle
import random
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import qmc
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.proxies import KernelProxyRegressor
from sklearn_proxyopt.proxies._kernel._calibration import Calibration
from sklearn_proxyopt.proxies._kernel._covariances import COVARIANCES
from sklearn_proxyopt.proxies._kernel._inducing import InducedKriging, choose_inducing
from sklearn_proxyopt.proxies._kernel._kriging import (
    Kriging,
    Observations,
    learn_settings,
    likelihood,
    settings_prior,
)
from sklearn_proxyopt.proxies._kernel._process import Design, ExactProcess, InducedProcess
from sklearn_proxyopt.proxies._kernel._stack import Uncertainty
from sklearn_proxyopt.proxies._kernel._warps import (
    IdentityWarp,
    LogWarp,
    SoftLimits,
    YeoJohnsonWarp,
)
from sklearn_proxyopt.proxies._kernel._weights import stack_weights
from sklearn_proxyopt.proxies._spacing import are_crowded, rows_apart
from sklearn_proxyopt.proxies._trend import PolynomialBasis

kinds = pytest.mark.parametrize("kind", list(COVARIANCES))


def wave(n_rows=40, n_features=2, seed=0):
    X = np.random.default_rng(seed).uniform(-1.0, 1.0, (n_rows, n_features))
    return X, np.sin(3 * X[:, 0]) * np.exp(X[:, -1])


def observed(n_rows=25, n_features=2, degree=0, weights=False, noise=0.0):
    """Return rows, and the functions of a polynomial mean, as a process sees them."""
    X, y = wave(n_rows, n_features)
    y = y + noise * np.random.default_rng(1).standard_normal(n_rows)
    rows = torch.tensor(X)
    weight = torch.ones(n_rows, dtype=torch.float64)
    if weights:
        weight = torch.linspace(0.5, 1.5, n_rows, dtype=torch.float64)
    basis = PolynomialBasis(n_features, degree)
    return Observations(rows, torch.tensor(y), weight, basis(rows)), basis


def settings_of(covariance, noise, start=0):
    return torch.cat([covariance.starts()[start], torch.tensor([noise], dtype=torch.float64).log()])


@parametrize_with_checks([KernelProxyRegressor()])
def test_the_proxy_follows_the_conventions_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@parametrize_with_checks([KernelProxyRegressor(device="cuda")])
def test_the_proxy_follows_the_conventions_of_scikit_learn_on_cuda(estimator, check):
    check(estimator)


class TestClosedForms:
    @kinds
    @pytest.mark.parametrize("degree", [0, 1])
    def test_errors_of_rows_left_out_are_those_of_fits_without_them(self, kind, degree):
        known, basis = observed(degree=degree, weights=True)
        covariance = COVARIANCES[kind](2)
        settings = settings_of(covariance, 1e-3)
        fit = Kriging.fitted(covariance, settings, known)
        for left_out in (0, 7, 24):
            others = torch.tensor([row for row in range(25) if row != left_out])
            part = known.subset(others)
            one = Kriging.fitted(covariance, settings, part)
            x = known.rows[left_out][None]
            predicted = basis(x) @ one.mean_weights
            predicted += covariance.between(settings[:-1], x, part.rows) @ one.weights
            error = float(known.values[left_out] - predicted)
            assert float(fit.errors[left_out]) == pytest.approx(error, rel=1e-6)

    @kinds
    def test_the_gradient_of_the_likelihood_is_the_limit_of_differences(self, kind):
        known, _ = observed(degree=1, weights=True)
        covariance = COVARIANCES[kind](2)
        prior = settings_prior(covariance)
        settings = torch.stack([settings_of(covariance, 1e-3, start) for start in range(3)])
        gradients = likelihood(covariance, settings, known, prior)[1]
        for place in range(settings.shape[1]):
            step = torch.zeros_like(settings)
            step[:, place] = 1e-5
            above, below = (
                likelihood(covariance, settings + sign * step, known, prior)[0] for sign in (1, -1)
            )
            torch.testing.assert_close(
                gradients[:, place], (above - below) / 2e-5, rtol=1e-4, atol=1e-5
            )

    def test_the_likelihood_is_that_of_values_cleared_of_their_mean(self):
        # Contrasts that no combination of the mean's functions enters are plainly Gaussian.
        known, _ = observed(degree=1)
        covariance = COVARIANCES["matern"](2)
        prior = settings_prior(covariance)
        first, second = (settings_of(covariance, 1e-3, start) for start in (0, 1))
        contrasts = torch.linalg.svd(known.functions)[0][:, 3:]

        def of_contrasts(settings):
            matrix = covariance.between(settings[:-1], known.rows, known.rows)
            matrix = matrix + settings[-1].exp() * torch.eye(25, dtype=torch.float64)
            matrix = contrasts.T @ matrix @ contrasts
            values = contrasts.T @ known.values
            variance = values @ torch.linalg.solve(matrix, values) / len(values)
            away = (settings - prior[0]) / prior[1]
            twice = len(values) * variance.log() + torch.logdet(matrix) + away.square().sum()
            return float(twice / 2)

        values = likelihood(covariance, torch.stack([first, second]), known, prior)[0]
        expected = of_contrasts(first) - of_contrasts(second)
        assert float(values[0] - values[1]) == pytest.approx(expected, rel=1e-8)

    @pytest.mark.parametrize(
        ("kind", "theirs"),
        [("squared exponential", RBF), ("matern", lambda length: Matern(length, nu=2.5))],
    )
    def test_the_posterior_is_that_of_scikit_learn(self, kind, theirs):
        known, _ = observed()
        no_mean = Observations(known.rows, known.values, known.weight, known.functions[:, :0])
        design = Design(COVARIANCES[kind](2), NoFunctions(), "constant", IdentityWarp(known.values))
        settings = settings_of(design.covariance, 1e-4)
        fit = Kriging.fitted(design.covariance, settings, no_mean)
        process = ExactProcess.of(design, fit, no_mean)
        lengths = settings[:-1].exp().numpy()
        kernel = ConstantKernel(fit.variance, "fixed") * theirs(lengths)
        reference = GaussianProcessRegressor(kernel, alpha=1e-4 * fit.variance, optimizer=None)
        reference.fit(known.rows.numpy(), known.values.numpy())
        x = torch.tensor(wave(30, seed=1)[0])
        mean, std = reference.predict(x.numpy(), return_std=True)
        scale = float(known.values.std(correction=0))
        value, deviation = process.moments(x)
        warped = (value - known.values.mean()) / scale
        np.testing.assert_allclose(warped.numpy(), mean, rtol=1e-6, atol=1e-8)
        # A new value also has the noise that scikit-learn's process of alpha leaves out.
        latent = (deviation.numpy() / scale) ** 2 - 1e-4 * fit.variance
        np.testing.assert_allclose(latent, std**2, rtol=1e-4, atol=1e-9)

    def test_inducing_points_at_every_row_change_nothing(self):
        known, basis = observed(60, degree=1, weights=True, noise=0.2)
        design = Design(COVARIANCES["matern"](2), basis, "linear", IdentityWarp(known.values))
        settings = settings_of(design.covariance, 1e-2)
        rows = (known.rows, known.values, known.weight)
        induced = InducedKriging.fitted(design.covariance, settings, known.rows, rows, basis)
        # Cross-validation has chosen a noise, which the exact process takes over.
        exact = Kriging.fitted(design.covariance, induced.settings, known)
        torch.testing.assert_close(induced.errors, exact.errors, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(induced.spreads, exact.spreads, rtol=1e-4, atol=1e-7)
        x = torch.tensor(wave(20, seed=1)[0])
        first = ExactProcess.of(design, exact, known).moments(x)
        second = InducedProcess.of(design, induced, known.values).moments(x)
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-7)

    @pytest.mark.parametrize("warp", [IdentityWarp, LogWarp])
    def test_a_deviation_goes_as_far_as_the_values_do(self, warp):
        known, basis = observed()
        raw = known.values.exp()
        design = Design(COVARIANCES["matern"](2), basis, "constant", warp(raw))
        of_warped = replace(known, values=design.warp(raw))
        fit = Kriging.fitted(design.covariance, settings_of(design.covariance, 1e-4), of_warped)
        process = ExactProcess.of(design, fit, of_warped)
        warped = torch.linspace(-3, 10, 14, dtype=torch.float64)
        small = torch.full_like(warped, 1e-9)
        slope = design.warp.slope_back(warped)
        torch.testing.assert_close(process.deviation_back(warped, small), 1e-9 * slope)
        inside = warped[2:5]
        larger = torch.full_like(inside, 1e-3)
        torch.testing.assert_close(
            process.deviation_back(inside, larger), 1e-3 * slope[2:5], rtol=1e-5, atol=0.0
        )
        # Values stay within two ranges of the samples beyond them, five in all.
        far = process.deviation_back(warped, torch.full_like(warped, 50.0))
        assert (far <= 2.5 * float(raw.max() - raw.min())).all()

    def test_a_covariance_without_a_factor_gets_more_noise(self):
        rows = torch.zeros(6, 1, dtype=torch.float64)
        ones = torch.ones(6, dtype=torch.float64)
        known = Observations(rows, torch.arange(6).double(), ones, ones[:, None])
        covariance = COVARIANCES["matern"](1)
        fit = Kriging.fitted(covariance, settings_of(covariance, 1e-30), known)
        assert float(fit.settings[-1]) > np.log(1e-30)
        assert fit.weights.isfinite().all()

    def test_settings_are_found_that_explain_the_rows_best(self):
        known, _ = observed(60, 3, noise=0.1)
        covariance = COVARIANCES["squared exponential"](3)
        settings = learn_settings(covariance, known, torch.arange(60), 1e-10)
        # The middle one of three variables does nothing.
        assert settings[1] > settings[0] + 1
        prior = settings_prior(covariance)
        away = np.random.default_rng(0).standard_normal((50, 4))
        near = settings + 0.3 * torch.tensor(away)
        best = likelihood(covariance, settings[None], known, prior)[0]
        assert float(best) <= float(likelihood(covariance, near, known, prior)[0].min())


class NoFunctions(torch.nn.Module):
    def forward(self, x):
        return x[:, :0]


class TestWarps:
    values = torch.linspace(0.0, 1.0, 50, dtype=torch.float64).exp() ** 3

    @pytest.mark.parametrize(
        "warp",
        [IdentityWarp(values), LogWarp(values), YeoJohnsonWarp(values, -0.4)],
        ids=lambda warp: type(warp).__name__,
    )
    def test_the_way_back_undoes_a_warp_and_has_its_slope(self, warp):
        warped = warp(self.values)
        assert float(warped.std(correction=0)) == pytest.approx(1.0)
        torch.testing.assert_close(warp.back(warped), self.values)
        step = 1e-6
        slope = (warp.back(warped + step) - warp.back(warped - step)) / (2 * step)
        torch.testing.assert_close(warp.slope_back(warped), slope, rtol=1e-5, atol=1e-7)

    def test_soft_limits_keep_the_order_and_what_is_well_within(self):
        limits = SoftLimits(0.0, 1.0, 0.01)
        values = torch.linspace(-0.03, 1.03, 400, dtype=torch.float64)
        soft = limits(values)
        assert float(soft.min()) > 0.0
        assert float(soft.max()) < 1.0
        assert (soft.diff() > 0).all()
        within = (values >= 0.01) & (values <= 0.99)
        torch.testing.assert_close(soft[within], values[within])


class TestWeights:
    def test_weights_are_shares(self):
        errors = np.random.default_rng(0).standard_normal((80, 5))
        weights = stack_weights(errors, np.ones(80))
        assert weights.sum() == pytest.approx(1.0)
        assert (weights >= 0).all()

    def test_a_process_that_errs_much_more_counts_for_nothing(self):
        errors = np.random.default_rng(0).standard_normal((80, 3)) * [1.0, 1.0, 5.0]
        assert stack_weights(errors, np.ones(80))[2] == 0

    def test_processes_alike_count_alike(self):
        errors = np.repeat(np.random.default_rng(0).standard_normal((40, 1)), 4, axis=1)
        np.testing.assert_allclose(stack_weights(errors, np.ones(40)), 0.25, rtol=1e-6)


def test_a_function_that_the_trend_holds_is_learned_exactly():
    X = np.random.default_rng(0).uniform(-2, 3, (40, 3))

    def function(X):
        return 5 + (X @ [1.0, -2.0, 0.5]) ** 2 - X[:, 0] * X[:, 1]

    proxy = KernelProxyRegressor(random_state=0).fit(X, function(X))
    X_new = np.random.default_rng(1).uniform(-1.5, 2.5, (200, 3))
    np.testing.assert_allclose(proxy.predict(X_new), function(X_new), atol=1e-5)


def test_the_gradient_is_the_limit_of_differences():
    X, y = wave()
    proxy = KernelProxyRegressor(random_state=0).fit(X, np.exp(y))
    points, step = X[:10] + 0.01, 1e-5
    for n_std in (0.0, 2.0):
        gradient = proxy.value_and_grad(points, n_std=n_std)[1]
        for place in range(2):
            moved = step * np.eye(2)[place]
            above, below = (
                proxy.value_and_grad(points + sign * moved, n_std=n_std)[0] for sign in (1, -1)
            )
            slope = (above - below) / (2 * step)
            np.testing.assert_allclose(gradient[:, place], slope, rtol=1e-3, atol=1e-4)


def test_value_module_and_prediction_are_one():
    X, y = wave()
    proxy = KernelProxyRegressor(random_state=0).fit(X, y)
    points = wave(seed=1)[0]
    mean, std = proxy.predict(points, return_std=True)
    np.testing.assert_allclose(proxy.predict(points), mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(proxy.value_and_grad(points)[0], mean, rtol=1e-9, atol=1e-9)
    lowered = proxy.torch_module(n_std=1.5)(torch.tensor(points))[:, 0]
    np.testing.assert_allclose(lowered.detach().numpy(), mean - 1.5 * std, rtol=1e-7, atol=1e-9)
    members = proxy.torch_module(member=0).members(torch.tensor(points)[None])
    np.testing.assert_allclose(members[0, :, 0].numpy(), mean, rtol=1e-9, atol=1e-9)


def test_the_spread_vanishes_at_rows_and_grows_away_from_them():
    X, y = wave(60)
    proxy = KernelProxyRegressor(random_state=0).fit(X / 2, y)
    std_at = [proxy.predict(points, return_std=True)[1] for points in (X / 2, 0.8 * X, 4 * X)]
    assert std_at[0].max() < 0.02 * y.std()
    assert np.median(std_at[0]) < np.median(std_at[1]) < np.median(std_at[2])


def test_far_from_the_rows_predictions_go_back_to_what_is_usual():
    X, _ = wave()
    y = 3 + X[:, 0] + 2 * X[:, 1] ** 2
    proxy = KernelProxyRegressor(random_state=0).fit(X, y)
    far = np.array([[40.0, 0.0], [-7.0, 7.0], [1e6, -1e6]])
    mean, std = proxy.predict(far, return_std=True)
    np.testing.assert_allclose(mean, y.mean(), atol=0.05)
    assert (std > 0.8 * y.std()).all()


def test_a_little_outside_the_rows_a_straight_line_is_told_as_closely_as_it_is_predicted():
    X = qmc.LatinHypercube(2, rng=0).random(40)
    y = X[:, 0] + 2.0 * X[:, 1]
    proxy = KernelProxyRegressor(random_state=0).fit(X, y)
    outside = [[X[:, 0].min() + 1.15 * np.ptp(X[:, 0]), 0.5]]
    mean, std = proxy.predict(outside, return_std=True)
    error = abs(mean[0] - outside[0][0] - 1.0)
    assert error < 1.645 * std[0] < 0.05 * y.std()


def rows_of_a_search():
    """Return 106 samples of a heat pump that a search has gathered, most of them near the best."""
    path = Path(__file__).parent / "data" / "heat_pump_search.csv"
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    return table[:, :-1], table[:, -1]


def test_samples_gathered_by_a_search_promise_little_above_the_best_of_them():
    X, y = rows_of_a_search()
    proxy = KernelProxyRegressor(random_state=0).fit(X, y)
    rows = np.random.default_rng(0).uniform(X.min(axis=0), X.max(axis=0), (4000, X.shape[1]))
    above_half = y.max() - np.median(y[rows_apart(X)])
    assert proxy.predict(rows).max() < y.max() + above_half


def test_a_crowd_of_samples_carries_no_richer_trend_than_one_of_them():
    rng = np.random.default_rng(0)
    design = qmc.LatinHypercube(5, rng=rng).random(20)
    crowd = design[:1] + 1e-3 * rng.standard_normal((180, 5))
    X = np.vstack([design, crowd])
    y = np.square(X - 0.4).sum(axis=1) + X[:, 0] * X[:, 1]
    alone, with_crowd = (
        KernelProxyRegressor(random_state=0).fit(X[:n], y[:n]).processes_[0] for n in (20, 200)
    )
    assert not any("quadratic" in name or "additive trend" in name for name in with_crowd)
    assert not any("quadratic" in name or "additive trend" in name for name in alone)


@pytest.mark.parametrize("n_features", [1, 2, 5, 10])
def test_samples_that_fill_their_box_are_no_crowd(n_features):
    rng = np.random.default_rng(n_features)
    for n_rows in (20, 200, 1000):
        design = qmc.LatinHypercube(n_features, rng=rng).random(n_rows)
        for X in (design, rng.random((n_rows, n_features))):
            assert not are_crowded(X, rows_apart(X))


def test_intervals_hold_as_much_of_what_is_new_as_they_say():
    X, y = wave(30, 3)
    X_new, y_new = wave(1000, 3, seed=1)
    mean, std = KernelProxyRegressor(random_state=0).fit(X, y).predict(X_new, return_std=True)
    assert np.mean(np.abs(mean - y_new) < 1.645 * std) > 0.8


def test_noise_is_not_learned_by_heart():
    X, y = wave(150)
    noise = 0.3 * np.random.default_rng(1).standard_normal(150)
    proxy = KernelProxyRegressor(random_state=0).fit(X, y + noise)
    X_new, y_new = wave(400, seed=2)
    mean, std = proxy.predict(X_new, return_std=True)
    assert np.sqrt(np.mean((mean - y_new) ** 2)) < 0.15
    assert 0.2 < np.median(std) < 0.5


def test_a_weight_says_the_same_as_as_many_repetitions():
    X, y = wave(30)
    y = y + 0.2 * np.random.default_rng(0).standard_normal(30)
    weight = np.arange(30) % 3
    first = KernelProxyRegressor(random_state=0).fit(X, y, sample_weight=weight)
    second = KernelProxyRegressor(random_state=0).fit(np.repeat(X, weight, 0), np.repeat(y, weight))
    np.testing.assert_allclose(first.predict(X), second.predict(X), rtol=1e-7)


def test_a_heavier_row_is_met_more_closely():
    X, y = wave(60)
    y = y + 0.5 * np.random.default_rng(0).standard_normal(60)
    misses = []
    for heavy in (1.0, 1000.0):
        weight = np.where(np.arange(60) == 5, heavy, 1.0)
        proxy = KernelProxyRegressor(random_state=0).fit(X, y, sample_weight=weight)
        misses.append(abs(proxy.predict(X[5:6])[0] - y[5]))
    assert misses[1] < 0.2 * misses[0]


@pytest.mark.parametrize(("n_features", "is_tried"), [(100, True), (101, False)])
def test_functions_of_one_variable_each_are_tried_of_so_many_variables(n_features, is_tried):
    X = np.random.default_rng(0).uniform(-1.0, 1.0, (12, n_features))
    names = KernelProxyRegressor(random_state=0).fit(X, X[:, 0] ** 2).processes_[0]
    assert ("additive" in names) == is_tried


def test_the_order_of_the_rows_does_not_matter():
    X, y = wave()
    first = KernelProxyRegressor(random_state=0).fit(X, y).predict(X)
    second = KernelProxyRegressor(random_state=0).fit(X[::-1], y[::-1]).predict(X[::-1])
    np.testing.assert_array_equal(first, second[::-1])


def test_units_do_not_matter():
    X, y = wave()
    first = KernelProxyRegressor(random_state=0).fit(X, y)
    second = KernelProxyRegressor(random_state=0).fit(X * [1e6, 1e-6] + [1e7, 0], y * 1e9 + 1e12)
    points = 0.9 * X
    moved = second.predict(points * [1e6, 1e-6] + [1e7, 0])
    np.testing.assert_allclose((moved - 1e12) / 1e9, first.predict(points), atol=1e-3)


@pytest.mark.parametrize("unit", [1e-250, 1e250])
def test_values_may_be_as_large_or_small_as_numbers_are(unit):
    X, y = wave()
    mean, std = KernelProxyRegressor(random_state=0).fit(X, unit * y).predict(X, return_std=True)
    np.testing.assert_allclose(mean / unit, y, atol=1e-4)
    assert (std / unit < 0.1).all()


def test_each_target_is_learned_as_if_alone():
    X, y = wave()
    targets = np.column_stack([y, 100 * X[:, 0] ** 2 + 7])
    proxy = KernelProxyRegressor(random_state=0).fit(X, targets)
    mean, std = proxy.predict(X, return_std=True)
    assert mean.shape == std.shape == (40, 2)
    assert len(proxy.processes_) == 2
    for place in range(2):
        alone = KernelProxyRegressor(random_state=0).fit(X, targets[:, place])
        np.testing.assert_array_equal(mean[:, place], alone.predict(X))
    with pytest.raises(ValueError, match="y must have one target for a gradient"):
        proxy.value_and_grad(X)


class TestBounds:
    def share(self):
        X, y = wave(60)
        return X, np.clip(y, 0.0, 1.0)

    def test_predictions_stay_within_bounds(self):
        X, y = self.share()
        points = np.random.default_rng(1).uniform(-1.5, 1.5, (2000, 2))
        free = KernelProxyRegressor(random_state=0).fit(X, y).predict(points)
        assert free.min() < 0
        bounded = KernelProxyRegressor(y_bounds=(0, 1), random_state=0).fit(X, y)
        values = bounded.predict(points)
        assert values.min() >= 0
        assert values.max() <= 1
        np.testing.assert_allclose(bounded.predict(X), y, atol=0.02)

    def test_one_bound_may_be_open(self):
        X, y = self.share()
        points = np.random.default_rng(1).uniform(-1.5, 1.5, (2000, 2))
        proxy = KernelProxyRegressor(y_bounds=(0, None), random_state=0).fit(X, y)
        assert proxy.predict(points).min() >= 0

    @pytest.mark.parametrize(
        ("y_bounds", "message"),
        [
            ((1, 0), "y_bounds must have each lower bound below"),
            ((0, 0.5), "y must lie within y_bounds"),
            ((0, 1, 2), "y_bounds must be a pair of numbers"),
            ("all", "y_bounds must be a pair of numbers"),
        ],
    )
    def test_bounds_that_make_no_sense_are_told(self, y_bounds, message):
        X, y = self.share()
        with pytest.raises(ValueError, match=message):
            KernelProxyRegressor(y_bounds=y_bounds).fit(X, y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"trend": "cubist"}, "trend must be one of"),
        ({"max_exact_rows": 0}, "max_exact_rows"),
        ({"n_inducing": 1.5}, "n_inducing"),
        ({"device": "tpu"}, "device must be"),
        ({"dtype": "float16"}, "dtype must be one of"),
    ],
)
def test_parameters_out_of_their_limits_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        KernelProxyRegressor(**parameters).fit(*wave())


def test_a_trend_that_the_rows_cannot_carry_is_told():
    with pytest.raises(ValueError, match="trend must be one that the 12 training rows"):
        KernelProxyRegressor(trend="quartic").fit(*wave(12))


@pytest.mark.parametrize("n_rows", [1, 2, 3, 4])
def test_very_few_rows_are_met(n_rows):
    X, y = wave(n_rows)
    proxy = KernelProxyRegressor(random_state=0).fit(X, y)
    mean, std = proxy.predict(X, return_std=True)
    np.testing.assert_allclose(mean, y, atol=0.1)
    assert np.isfinite(std).all()


def test_equal_values_are_predicted_everywhere():
    X, _ = wave()
    proxy = KernelProxyRegressor(random_state=0).fit(X, np.full(40, 7.25))
    np.testing.assert_array_equal(proxy.predict(3 * X), 7.25)


def test_a_variable_that_does_not_vary_is_borne():
    X, y = wave()
    X = np.column_stack([X, np.full(40, 3.0)])
    proxy = KernelProxyRegressor(random_state=0).fit(X, y)
    np.testing.assert_allclose(proxy.predict(X), y, atol=1e-3)


class TestManyRows:
    def test_beyond_the_limit_points_are_compared_with_inducing_points(self):
        X, y = wave(700)
        proxy = KernelProxyRegressor(max_exact_rows=600, n_inducing=80, random_state=0).fit(X, y)
        X_new, y_new = wave(500, seed=1)
        mean, std = proxy.predict(X_new, return_std=True)
        assert np.sqrt(np.mean((mean - y_new) ** 2)) < 1e-3 * y.std()
        assert np.mean(np.abs(mean - y_new) < 1.645 * std) > 0.8
        module = proxy.torch_module()
        assert module.n_rows <= 3 * 80

    def test_up_to_it_all_rows_are_met(self):
        X, y = wave(600)
        proxy = KernelProxyRegressor(random_state=0).fit(X, y)
        np.testing.assert_allclose(proxy.predict(X), y, atol=1e-4)

    def test_inducing_points_are_distinct_and_some_of_the_lowest(self):
        values = torch.arange(100, dtype=torch.float64)
        places = choose_inducing(values, 40, torch.Generator().manual_seed(0))
        assert len(set(places.tolist())) == 40
        assert int((places < 20).sum()) >= 10


class TestWhereItRuns:
    def test_a_seed_repeats_every_bit_whatever_the_number_of_threads(self):
        X, y = wave(200, 4)
        n_threads = torch.get_num_threads()
        found = []
        try:
            for number in (1, 2):
                torch.set_num_threads(number)
                proxy = KernelProxyRegressor(random_state=3).fit(X, y)
                found.append(proxy.predict(0.9 * X, return_std=True))
                assert torch.get_num_threads() == number
        finally:
            torch.set_num_threads(n_threads)
        np.testing.assert_array_equal(found[0], found[1])

    def test_no_global_state_is_touched(self):
        states = torch.random.get_rng_state(), np.random.get_state()[1], random.getstate()
        X, y = wave()
        KernelProxyRegressor(random_state=0).fit(X, y).value_and_grad(X)
        assert torch.equal(torch.random.get_rng_state(), states[0])
        np.testing.assert_array_equal(np.random.get_state()[1], states[1])
        assert random.getstate() == states[2]
        assert torch.is_grad_enabled()

    @pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
    def test_it_learns_and_gives_gradients_under_modes_of_torch(self, mode):
        X, y = wave()
        expected = KernelProxyRegressor(random_state=0).fit(X, y).value_and_grad(X)
        with mode():
            proxy = KernelProxyRegressor(random_state=0).fit(X, y)
            inside = proxy.value_and_grad(X)
            proxy.torch_module(n_std=1.0)(torch.tensor(X))
        assert np.isfinite(proxy.value_and_grad(X, n_std=1.0)[1]).all()
        for found in (inside, proxy.value_and_grad(X)):
            np.testing.assert_array_equal(found[0], expected[0])
            np.testing.assert_array_equal(found[1], expected[1])

    @pytest.mark.parametrize("what", ["dtype", "device"])
    def test_it_learns_under_other_defaults_of_torch(self, what):
        X, y = wave()
        expected = KernelProxyRegressor(random_state=0).fit(X, y).predict(X, return_std=True)
        default = torch.get_default_dtype()
        try:
            if what == "dtype":
                torch.set_default_dtype(torch.float16)
            else:
                torch.set_default_device("meta")
            proxy = KernelProxyRegressor(random_state=0, device="cpu").fit(X, y)
            found = proxy.predict(X, return_std=True)
            proxy.value_and_grad(X)
        finally:
            torch.set_default_dtype(default)
            torch.set_default_device(None)
        np.testing.assert_array_equal(found, expected)

    def test_float32_is_nearly_as_good(self):
        X, y = wave(80)
        X_new, y_new = wave(200, seed=1)
        proxy = KernelProxyRegressor(dtype="float32", random_state=0).fit(X, y)
        mean, std = proxy.predict(X_new, return_std=True)
        assert mean.dtype == std.dtype == np.float64
        np.testing.assert_allclose(mean, y_new, atol=0.05)
        assert np.isfinite(proxy.value_and_grad(X_new)[1]).all()

    @pytest.mark.cuda
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    def test_it_learns_the_same_on_cuda(self):
        X, y = wave(80)
        points = wave(50, seed=1)[0]
        first, second = (
            KernelProxyRegressor(device=device, random_state=0).fit(X, y).predict(points)
            for device in ("cpu", "cuda")
        )
        np.testing.assert_allclose(first, second, atol=1e-3)


def test_a_pickle_predicts_the_same_and_is_no_larger_than_its_rows():
    X, y = wave(300)
    proxy = KernelProxyRegressor(random_state=0).fit(X, y)
    expected = proxy.predict(X, return_std=True)
    stored = pickle.dumps(proxy)
    copy = pickle.loads(stored)
    np.testing.assert_array_equal(copy.predict(X, return_std=True), expected)
    np.testing.assert_array_equal(copy.value_and_grad(X)[1], proxy.value_and_grad(X)[1])
    # The square of the rows alone would take 720,000 bytes.
    assert len(stored) < 200_000


def test_names_of_variables_are_kept():
    X, y = wave()
    frame = pd.DataFrame(X, columns=["mass", "charge"])
    proxy = KernelProxyRegressor(random_state=0).fit(frame, y)
    assert proxy.feature_names_in_.tolist() == ["mass", "charge"]
    with pytest.raises(ValueError, match="feature names should match"):
        proxy.predict(frame.rename(columns={"mass": "weight"}))


def test_it_can_be_cross_validated_and_cloned():
    X, y = wave(60)
    proxy = clone(KernelProxyRegressor(trend="linear", random_state=0))
    assert cross_val_score(proxy, X, y, cv=3).min() > 0.9


def test_it_serves_an_optimizer_as_its_proxy():
    def bowl(X):
        return np.cosh(X[:, 0] - 0.3) + (X[:, 1] + 0.4) ** 2

    optimizer = ProxyOptimizer(
        proxy=KernelProxyRegressor(), optimizer=MultiStartBFGS(n_starts=5), random_state=0
    )
    X = np.random.default_rng(0).uniform(-1, 1, (40, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimizer.fit(X, bowl(X))
    np.testing.assert_allclose(optimizer.x_, [0.3, -0.4], atol=0.01)
    assert optimizer.proxy_.processes_


class TestCalibration:
    def test_intervals_are_as_wide_as_the_errors_of_rows_left_out(self):
        generator = torch.Generator().manual_seed(0)
        truth = torch.randn(400, generator=generator, dtype=torch.float64)
        mean = truth + 2.0 * torch.randn(400, generator=generator, dtype=torch.float64)
        rule = Calibration.learned(mean, torch.ones_like(mean), truth)
        # Somewhat wider, since processes have seen these rows.
        assert 1.9 < rule.middle / (1 + 1.75 / 20) < 2.1
        assert min(rule.bottom, rule.top) > 1.5 * rule.middle

    def test_deviations_that_are_too_large_are_narrowed(self):
        truth = torch.linspace(-1.0, 1.0, 50, dtype=torch.float64)
        half = Calibration.learned(truth + 0.5 * 1.645, torch.ones_like(truth), truth)
        assert half.middle == pytest.approx(0.5 * (1 + 1.75 / 50**0.5))
        assert (half.bottom, half.top) == pytest.approx((1.0, 1.0))
        exact = Calibration.learned(truth, torch.ones_like(truth), truth)
        assert (exact.bottom, exact.middle, exact.top) == (0.25, 0.25, 0.25)

    def test_few_rows_narrow_nothing(self):
        truth = torch.linspace(-1.0, 1.0, 12, dtype=torch.float64)
        rule = Calibration.learned(truth, torch.ones_like(truth), truth)
        assert (rule.bottom, rule.middle, rule.top) == (1.0, 1.0, 1.0)

    def test_errors_of_low_values_widen_what_is_said_of_low_values_alone(self):
        truth = torch.linspace(-1.0, 1.0, 101, dtype=torch.float64)
        mean = torch.where(truth < -0.9, truth + 5.0, truth)
        rule = Calibration.learned(mean, torch.ones_like(truth), truth)
        factors = rule.at(torch.tensor([-3.0, -1.0, -0.9, 0.0, 3.0], dtype=torch.float64))
        assert factors[0] == factors[1] == pytest.approx((1 + 7.1 / 101**0.5) * 5.0 / 1.645)
        assert factors[1] > factors[2] > factors[3]
        assert factors[3] == factors[4] == 0.25

    @pytest.mark.parametrize(("n_rows", "times"), [(20, 2.0), (50, 2.0), (100, 1.71), (5041, 1.1)])
    def test_what_is_chosen_of_more_rows_is_mispredicted_by_less(self, n_rows, times):
        truth = torch.linspace(-1.0, 1.0, n_rows, dtype=torch.float64)
        rule = Calibration.learned(truth + 3.0, torch.ones_like(truth), truth)
        largest = times * 3.0 / 1.645
        assert rule.bottom == pytest.approx(max(largest, rule.middle))
        assert rule.top == rule.bottom

    def test_errors_of_samples_left_out_widen_no_deviation_beyond_what_is_usual(self):
        one = torch.ones(1, dtype=torch.float64)
        rule = Uncertainty(one, one, Calibration(5.0, 5.0, 5.0))
        mean = torch.tensor([0.0, 0.0, 0.0, 2.0], dtype=torch.float64)
        spreads = torch.tensor([0.01, 0.5, 1.5, 1.0], dtype=torch.float64)
        deviation = rule.deviation(mean, mean[None], spreads[None], torch.ones_like(mean))
        assert deviation.tolist() == pytest.approx([0.05, 1.0, 1.5, 5.0**0.5])

    def test_values_that_are_equal_are_borne(self):
        truth = torch.zeros(30, dtype=torch.float64)
        rule = Calibration.learned(truth + 3.0, torch.ones_like(truth), truth)
        assert torch.isfinite(rule.at(torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64))).all()
