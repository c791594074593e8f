"""Functions drawn from kernel proxies."""

import numpy as np
import pytest
import torch

from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.proxies import KernelProxyRegressor, ProxyRegressor
from sklearn_proxyopt.proxies._kernel._covariances import COVARIANCES, Pairs


def wave(X):
    return np.sin(3 * X[:, 0]) * np.exp(X[:, -1])


def fitted(n_rows=25, noise=0.0, **params):
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (n_rows, 2))
    y = wave(X) + noise * rng.standard_normal(n_rows)
    return KernelProxyRegressor(random_state=0, **params).fit(X, y), X, y


@pytest.mark.parametrize("kind", list(COVARIANCES))
def test_cosines_of_drawn_frequencies_have_the_covariance(kind):
    covariance = COVARIANCES[kind](2)
    generator = torch.Generator().manual_seed(0)
    parameters = covariance.starts()[0] - 1.0
    frequencies = covariance.frequencies(parameters, 200_000, generator)
    rows = torch.tensor([[0.0, 0.0], [0.3, 0.0], [0.4, -0.7]], dtype=torch.float64)
    expected = covariance.matrix(parameters[None], Pairs(rows))[0][0, 0]
    found = (frequencies @ rows.T).cos().mean(dim=0)
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0.0)


def test_drawn_functions_meet_exact_rows():
    proxy, X, y = fitted(noise_std=None)
    drawn = proxy.draw_functions(6, 0).predict_members(X)
    assert drawn.shape == (6, 25)
    np.testing.assert_allclose(drawn, np.tile(y, (6, 1)), atol=0.02)


def test_drawn_functions_scatter_about_the_predictions_as_the_processes_say():
    proxy, _, _ = fitted(12)
    far = np.random.default_rng(1).uniform(-1, 1, (40, 2))
    drawn = proxy.draw_functions(2000, 0).predict_members(far)
    stack = proxy._module.stacks[0]
    with torch.no_grad():
        moments = [one.moments(proxy._module.scaled(torch.tensor(far))) for one in stack.processes]
    means, deviations = (torch.stack(one).numpy() for one in zip(*moments, strict=True))
    weights = stack.weights.numpy()
    spread = float(proxy._module.spread[0])
    mean = weights @ means
    deviation = spread * np.sqrt(weights @ (deviations**2 + (means - mean) ** 2))
    np.testing.assert_allclose(drawn.mean(axis=0), proxy.predict(far), atol=0.15 * deviation.max())
    ratio = np.median(drawn.std(axis=0) / deviation)
    assert ratio == pytest.approx(1.0, abs=0.1)


def test_noise_is_not_followed():
    proxy, X, y = fitted(80, noise=0.3, noise_std=0.3)
    drawn = proxy.draw_functions(20, 0).predict_members(X)
    off = np.sqrt(np.mean((drawn - wave(X)) ** 2))
    assert off < 0.8 * 0.3
    assert np.sqrt(np.mean((drawn - y) ** 2)) > 0.15


def test_functions_of_inducing_points_scatter_too():
    proxy, X, _ = fitted(120, max_exact_rows=60, n_inducing=30, noise=0.2)
    drawn = proxy.draw_functions(50, 0).predict_members(X)
    np.testing.assert_allclose(drawn.mean(axis=0), proxy.predict(X), atol=0.1)
    assert (drawn.std(axis=0) > 1e-3).all()


def test_each_drawn_function_is_smooth_and_can_be_searched_by_itself():
    proxy, X, _ = fitted(15)
    drawn = proxy.draw_functions(3, 0)
    for place in range(3):
        module = drawn.torch_module(member=place)
        value = module(torch.tensor(X)).detach().numpy()[:, 0]
        np.testing.assert_allclose(value, drawn.predict_members(X)[place], atol=1e-10)
    found = MultiStartBFGS(8, 20, random_state=0).minimize_members(drawn, [[-1, 1]] * 2)
    X_new = np.random.default_rng(2).uniform(-1, 1, (500, 2))
    lowest = drawn.predict_members(X_new).min(axis=1)
    assert all(one.fun <= low + 1e-6 for one, low in zip(found, lowest, strict=True))


def test_the_same_seed_draws_the_same_functions_and_no_global_generator_is_used():
    proxy, X, _ = fitted()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first, second, other = (
        proxy.draw_functions(2, seed).predict_members(X + 0.1) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    assert torch.equal(torch.get_rng_state(), state)


def test_several_outputs_and_the_default_proxy_draw_functions():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (25, 2))
    proxy = ProxyRegressor(random_state=0).fit(X, np.column_stack([wave(X), X[:, 0]]))
    drawn = proxy.draw_functions(4, 0).predict_members(X)
    assert drawn.shape == (4, 25, 2)
    np.testing.assert_allclose(drawn[:, :, 1], np.tile(X[:, 0], (4, 1)), atol=0.05)


def test_a_number_of_functions_is_checked():
    proxy, _, _ = fitted()
    with pytest.raises(ValueError, match="n_functions must be an integer of at least 1"):
        proxy.draw_functions(0)
