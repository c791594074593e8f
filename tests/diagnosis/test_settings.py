import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from sklearn_proxyopt.diagnosis._edges import sides_of
from sklearn_proxyopt.diagnosis._settings import Settings, noise_of, noise_of_each
from sklearn_proxyopt.proxies import KernelProxyRegressor
from sklearn_proxyopt.variables import Integer, Periodic, Real, Variables

BOX = Variables([(0.0, 1.0), (0.0, 1.0)])
X = np.random.default_rng(0).uniform(size=(20, 2))
Y = np.square(X).sum(axis=1)


def test_repeats_and_twins_are_one_setting_with_their_mean():
    settings = Settings.of(np.vstack([X, X, X + 1e-12]), np.append(np.tile(Y, 2), Y + 3.0), BOX)
    np.testing.assert_array_equal(settings.X, X)
    np.testing.assert_allclose(settings.y, Y + 1.0)
    assert (settings.n_repeats == 3).all()
    np.testing.assert_array_equal(settings.group, np.tile(np.arange(20), 3))
    assert settings.n_degrees == 40


def test_equal_values_stay_what_they_are_to_the_last_bit():
    settings = Settings.of(np.repeat(X, 3, axis=0), np.repeat(Y, 3), BOX)
    np.testing.assert_array_equal(settings.y, Y)
    assert not settings.differ


@pytest.mark.parametrize(
    ("scatter", "noise_std", "contradicts"),
    [(0.1, 0.0, True), (0.1, 0.1, False), (0.1, 0.02, True), (0.0, 0.0, False)],
)
def test_repeats_that_scatter_more_than_the_stated_noise_contradict_it(
    scatter, noise_std, contradicts
):
    noise = scatter * np.random.default_rng(1).standard_normal(40)
    settings = Settings.of(np.repeat(X, 2, axis=0), np.repeat(Y, 2) + noise, BOX)
    assert settings.contradicts(noise_std) is contradicts


def test_noise_is_certain_if_repeats_tell_it_or_the_user_does():
    noise = 0.3 * np.random.default_rng(1).standard_normal(40)
    rows, values = np.repeat(X, 2, axis=0), np.repeat(Y, 2) + noise
    repeated = Settings.of(rows, values, BOX)
    std, is_certain = noise_of(RandomForestRegressor(), repeated, None)
    assert is_certain
    assert 0.2 < std < 0.4
    alone = Settings.of(X, Y, BOX)
    given = KernelProxyRegressor(noise_std=0.3).fit(X, Y)
    assert noise_of(given, alone, None) == (0.3, True)
    found = KernelProxyRegressor()
    found.noise_std_ = 0.3
    assert noise_of(found, alone, None) == (0.3, False)
    assert noise_of(found, repeated, None) == (0.3, True)


def test_each_of_several_outputs_has_its_own_noise():
    noise = np.random.default_rng(1).standard_normal((40, 2)) * [0.0, 0.3]
    rows = np.repeat(X, 2, axis=0)
    repeated = Settings.of(rows, np.repeat(np.column_stack([Y, Y]), 2, axis=0) + noise, BOX)
    exact, noisy = noise_of_each(RandomForestRegressor(), repeated)
    assert exact == 0.0
    assert 0.2 < noisy < 0.4
    given = KernelProxyRegressor(noise_std=[0.1, 0.3]).fit(X, np.column_stack([Y, Y]))
    alone = Settings.of(X, np.column_stack([Y, Y]), BOX)
    np.testing.assert_array_equal(noise_of_each(given, alone), [0.1, 0.3])
    given.set_params(noise_std="auto")
    np.testing.assert_array_equal(noise_of_each(given, alone), 0.0)


def test_bounds_are_those_of_the_variable():
    space = Variables(
        {
            "n": Integer(0, 8),
            "x": (-1.0, 1.0),
            "dose": Real(1e-6, 1.0, log=True),
            "label": ["a", "b"],
            "angle": Periodic(0.0, 360.0),
            "fixed": 3.0,
        }
    )
    rows = np.array([[8, -1, 1e-6, 0, 0, 3], [0, 1, 2e-6, 1, 0, 3], [7, 1 - 1e-3, 1.0, 1, 0, 3]])
    sides = sides_of(rows, space)
    np.testing.assert_array_equal(
        sides, [[1, -1, -1, 0, 0, 0], [-1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]]
    )
