import pickle
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_proxyopt import NeuralProxyRegressor
from sklearn_proxyopt.proxies import KernelProxyRegressor, ProxyRegressor
from sklearn_proxyopt.proxies._kernel._covariances import COVARIANCES
from sklearn_proxyopt.proxies._kernel._warps import IdentityWarp
from sklearn_proxyopt.proxies._member_rows import MemberRows
from sklearn_proxyopt.proxies._smoothing import Smoothing
from sklearn_proxyopt.proxies._trend import AdditiveBasis, PolynomialBasis, Trend

quick = partial(NeuralProxyRegressor, (32, 32), max_epochs=30, device="cpu", random_state=0)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(30)


def wave(n_rows=300, seed=0):
    X = np.random.default_rng(seed).uniform(-1.0, 1.0, (n_rows, 2))
    return X, np.cos(9 * X[:, 0]) + X[:, 1] ** 2


def mean_under_noise(function, x, noise):
    """The mean over the plane by quadrature."""
    shifts = np.stack(np.meshgrid(NODES, NODES), axis=-1).reshape(-1, 1, 2)
    weights = np.outer(WEIGHTS, WEIGHTS).reshape(-1) / WEIGHTS.sum() ** 2
    values = function((x + noise * shifts).reshape(-1, 2)).reshape(len(shifts), len(x))
    return weights @ values


@pytest.mark.parametrize(
    "basis",
    [PolynomialBasis(2, 0), PolynomialBasis(2, 4), AdditiveBasis(2, 5, 2)],
    ids=["constant", "quartic", "additive"],
)
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.7])
def test_a_smoothed_trend_is_its_convolution_with_the_gaussian(basis, noise):
    basis = basis.double()
    x = np.random.default_rng(1).uniform(-1.0, 1.0, (7, 2))
    n_functions = basis(torch.tensor(x)).shape[1]
    coefficients = torch.tensor(np.random.default_rng(2).standard_normal((n_functions, 1)))

    def function(rows):
        return (basis(torch.tensor(rows)) @ coefficients)[:, 0].numpy()

    smoothed = basis(torch.tensor(x)) @ basis.smoothed(coefficients, noise)
    np.testing.assert_allclose(smoothed[:, 0], mean_under_noise(function, x, noise), rtol=1e-7)


@pytest.mark.parametrize("kind", list(COVARIANCES))
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.7])
def test_a_smoothed_covariance_is_its_mean_over_noise(kind, noise):
    covariance = COVARIANCES[kind](2)
    parameters = covariance.starts()[2] - 0.5
    rng = np.random.default_rng(0)
    x, rows = (torch.tensor(rng.uniform(-1.0, 1.0, (4, 2))) for _ in range(2))
    moved = x + noise * torch.tensor(rng.standard_normal((40_000, 1, 2)))
    drawn = covariance.between(parameters, moved, rows)
    error = drawn.std(dim=0) / len(drawn) ** 0.5
    smoothed = covariance.smoothed(parameters, x, rows, noise)
    assert ((smoothed - drawn.mean(dim=0)).abs() <= 5.0 * error + 1e-7).all()


@pytest.mark.parametrize("proxy", [KernelProxyRegressor, ProxyRegressor])
def test_a_smoothed_kernel_proxy_is_the_mean_of_its_predictions_over_noise(proxy):
    X, y = wave(60)
    y = np.column_stack([y, 3.0 + X.sum(axis=1)])
    fitted = proxy(random_state=0).fit(X, y)
    rng = np.random.default_rng(1)
    x = rng.uniform(-0.5, 0.5, (5, 2))
    levels = fitted.smoothed([0.08, 0.02])
    for noise, smoothed in zip((0.08, 0.02), levels.predict_members(x), strict=True):
        moved = x + noise * np.ptp(X, axis=0) * rng.standard_normal((20_000, 1, 2))
        drawn = fitted.predict(moved.reshape(-1, 2)).reshape(len(moved), 5, 2)
        error = drawn.std(axis=0) / np.sqrt(len(drawn))
        assert (np.abs(smoothed - drawn.mean(axis=0)) <= 5.0 * error + 1e-6).all()


def test_no_noise_leaves_a_kernel_proxy_as_it_is():
    X, y = wave(60)
    fitted = KernelProxyRegressor(random_state=0).fit(X, y)
    np.testing.assert_allclose(fitted.smoothed(0.0).predict(X), fitted.predict(X), atol=1e-6)


def test_warped_processes_leave_their_weight_to_the_others_under_noise():
    X = np.random.default_rng(0).uniform(-1.0, 1.0, (60, 2))
    fitted = KernelProxyRegressor(random_state=0).fit(X, np.exp(4.0 * X[:, 0]))
    assert any("log" in name for name in fitted.processes_[0])
    (stack,) = fitted.smoothed(0.05).torch_module().levels[0]
    assert all(isinstance(one.process.warp, IdentityWarp) for one in stack.processes)
    assert float(stack.weights.sum()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (-0.1, "input_noise must be a finite number"),
        ([], "input_noise must hold at least one level"),
    ],
)
def test_wrong_noise_on_the_inputs_of_a_kernel_proxy_is_named(noise, message):
    fitted = KernelProxyRegressor(random_state=0).fit(*wave(20))
    with pytest.raises(ValueError, match=message):
        fitted.smoothed(noise)


def test_each_member_has_a_trend_as_smooth_as_itself():
    trend = Trend(
        "quadratic", PolynomialBasis(1, 2), torch.tensor([[[0.0], [0.0], [1.0]]]).double()
    )
    smoothed = Smoothing.of([0.2, 0.0], [1.0, 1.0]).on_trend(trend)
    # The mean of (3 x^2 - 1) / 2 under noise of 0.4 half-widths is higher by 3 * 0.4^2 / 2.
    x = torch.tensor([[0.3]], dtype=torch.float64)
    raised = smoothed(x)[:, 0, 0] - trend(x)[0, 0, 0]
    np.testing.assert_allclose(raised, [0.24, 0.0], atol=1e-12)


@pytest.mark.parametrize("trend", ["auto", "additive"])
def test_the_proxy_learns_the_convolution_away_from_the_sides(trend):
    X = np.random.default_rng(0).uniform(-1.0, 1.0, (1000, 1))
    noise = 0.08
    proxy = NeuralProxyRegressor(
        (64, 64), trend=trend, input_noise=noise, device="cpu", random_state=0
    ).fit(X, np.cos(6 * X[:, 0]))
    x = np.linspace(-0.6, 0.6, 41)
    expected = np.exp(-((6 * 2 * noise) ** 2) / 2) * np.cos(6 * x)
    error = np.abs(proxy.predict(x[:, None]) - expected).max()
    unsmoothed = np.abs(np.cos(6 * x) - expected).max()
    assert error < 0.2 * unsmoothed


def test_one_fit_learns_a_ladder_from_smooth_to_sharp():
    X, y = wave(600)
    ladder = quick(n_members=3, input_noise=(0.3, 0.1, 0.0)).fit(X, y)
    ripple = ladder.predict_members(np.column_stack([np.linspace(-0.8, 0.8, 99), np.zeros(99)]))
    heights = np.ptp(ripple, axis=1)
    assert heights[0] < 0.5 * heights[1] < 0.5 * heights[2]


def test_noise_on_one_member_does_not_change_the_others_task():
    X, y = wave(600)
    proxy = quick(n_members=2, input_noise=(0.3, 0.0)).fit(X, y)
    assert np.corrcoef(proxy.predict_members(X)[1], y)[0, 1] > 0.99


def test_a_penalty_on_high_predictions_lowers_a_smoothed_proxy():
    X, y = wave(600)
    proxy = quick(
        n_members=2, trend="constant", input_noise=0.2, over_prediction_penalty=(1.0, 20.0)
    ).fit(X, y)
    inner = X[np.abs(X).max(axis=1) < 0.6]
    mean, lower = proxy.predict_members(inner)
    assert (lower - mean).mean() < -0.3
    # Between the lowest value under the noise and the mean.
    assert lower.mean() > -1.0


def test_dials_at_rest_change_nothing():
    X, y = wave()
    usual = quick(n_members=2).fit(X, y).predict(X)
    at_rest = quick(n_members=2, input_noise=(0.0, 0.0), over_prediction_penalty=[1.0, 1.0])
    np.testing.assert_array_equal(at_rest.fit(X, y).predict(X), usual)


def test_starting_frequencies_are_as_low_as_the_noise_leaves_them():
    spreads = Smoothing.of([0.0, 0.5], [1.0, 1.0]).spreads(4.0)
    np.testing.assert_allclose(spreads, [4.0, 1 / np.sqrt(1 / 16 + 1)], rtol=1e-6)


def test_noise_is_new_with_every_batch_and_fixed_on_rows_held_out():
    rows = torch.zeros(50, 2, dtype=torch.float64)
    targets = torch.arange(50.0, dtype=torch.float64)[None, :, None]
    training = MemberRows(rows, targets, torch.ones(50), torch.arange(40)[None])
    held_out = MemberRows(rows, targets, torch.ones(50), torch.arange(40, 50)[None])
    moved, judged = Smoothing.of([0.5, 0.0], [1.0, 1.0]).on_rows(training, held_out)
    first, (y, _) = moved[moved.index.expand(2, -1)]
    assert first.shape == (2, 40, 2)
    assert not torch.equal(first[0], moved[moved.index.expand(2, -1)][0][0])
    np.testing.assert_array_equal(first[1], 0.0)
    np.testing.assert_array_equal(y[0, :, 0], np.arange(40))
    X, (y, weight) = judged[judged.index]
    assert torch.equal(X, judged[judged.index][0])
    assert X[0].std() == pytest.approx(1.0, rel=0.5)
    np.testing.assert_array_equal(X[1], 0.0)
    np.testing.assert_array_equal(np.unique(y), np.arange(40, 50))
    assert y.shape == (*weight.shape, 1) == (2, 10, 1)


def test_the_same_seed_gives_the_same_smoothed_proxy_also_after_a_pickle():
    X, y = wave()
    proxy = quick(n_members=2, input_noise=(0.2, 0.05), bootstrap=True)
    first, second = (clone(proxy).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(first.predict_members(X), second.predict_members(X))
    again = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(again.predict_members(X), first.predict_members(X))
    for member in range(2):
        value, _ = first.value_and_grad(X, member=member)
        expected = first.predict_members(X)[member]
        np.testing.assert_allclose(value, expected, rtol=1e-8, atol=1e-10)


def test_a_module_of_the_user_is_smoothed_too():
    def network(n_inputs, n_outputs):
        return torch.nn.Sequential(
            torch.nn.Linear(n_inputs, 32), torch.nn.Tanh(), torch.nn.Linear(32, n_outputs)
        )

    X, y = wave()
    proxy = quick(module=network, trend="constant", n_members=2, input_noise=(0.5, 0.0)).fit(X, y)
    smooth, sharp = proxy.predict_members(X)
    assert np.ptp(smooth) < 0.8 * np.ptp(sharp)


def test_a_grid_search_turns_the_dial():
    X, y = wave(120)
    search = GridSearchCV(quick(max_epochs=3), {"input_noise": [0.0, 0.5]}, cv=2).fit(X, y)
    assert search.best_params_ == {"input_noise": 0.0}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"input_noise": -0.1}, "input_noise must be"),
        ({"input_noise": "much"}, "input_noise must be"),
        ({"input_noise": (0.1, 0.2, 0.3)}, "input_noise must be a number or one for each of the 2"),
        ({"over_prediction_penalty": 0.0}, "over_prediction_penalty must be"),
        ({"over_prediction_penalty": [1.0]}, "over_prediction_penalty must be a number or one"),
        ({"input_noise": 0.1, "n_lbfgs_iterations": 5}, "n_lbfgs_iterations must be 0 with"),
    ],
    ids=repr,
)
def test_a_wrong_dial_is_named(params, message):
    with pytest.raises(ValueError, match=message):
        quick(n_members=2, **params).fit(*wave(60))
