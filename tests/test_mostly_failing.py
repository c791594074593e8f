"""A function that fails nearly everywhere is asked until two rows have succeeded."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression
from spies import Spy

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.exceptions import FailedEvaluationWarning
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.samplers import HaltonSampler, SobolSampler

BOX = np.array([[0.0, 1.0]] * 2)


def fails_nearly_everywhere(X):
    """Succeeds in a fiftieth of the box."""
    inside = (np.abs(X - [0.62, 0.31]) < 0.07).all(axis=1)
    return np.where(inside, ((X - [0.6, 0.3]) ** 2).sum(axis=1), np.nan)


def optimizer(**params):
    settings = {
        "proxy": GaussianProcessRegressor(normalize_y=True),
        "optimizer": MultiStartBFGS(8, 20, n_rounds=2, n_candidates=64),
        "on_error": "learn",
        "vectorized": True,
        "random_state": 0,
        "verdict": False,
    }
    return ProxyOptimizer(**{**settings, **params})


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.filterwarnings("ignore:.*evaluations failed")
@pytest.mark.parametrize("sampler", [None, "sobol", HaltonSampler(10)])
def test_a_design_goes_on_until_two_rows_have_succeeded(sampler):
    spy = Spy(fails_nearly_everywhere)
    result = optimizer(sampler=sampler).minimize(spy, BOX, budget=400)
    assert len(spy.rows) == result.nfev <= 400
    assert result.n_failed > 20
    assert result.fun < 1e-3


@pytest.mark.filterwarnings("ignore:.*evaluations failed")
def test_a_budget_spent_on_failures_alone_is_told_as_such():
    spy = Spy(lambda X: np.full(len(X), np.nan))
    with pytest.raises(
        ValueError, match=r"at least two samples before the run ends; got 0 of 60\."
    ):
        optimizer().minimize(spy, BOX, budget=60)
    assert len(spy.rows) == 60


@pytest.mark.filterwarnings("ignore:.*evaluations failed")
def test_good_rows_that_were_given_are_enough():
    X = np.random.default_rng(0).uniform([0.56, 0.25], [0.68, 0.37], (40, 2))
    opt = optimizer(sampler=SobolSampler(4))
    result = opt.minimize(fails_nearly_everywhere, BOX, X=X, y=fails_nearly_everywhere(X))
    assert result.fun < 1e-3


@pytest.mark.filterwarnings("ignore:.*evaluations failed")
def test_without_a_budget_the_design_is_all_there_is():
    with pytest.raises(ValueError, match="at least two samples of the design; got 0 of 16"):
        optimizer(sampler=SobolSampler(16)).minimize(fails_nearly_everywhere, BOX)


def table_with_failures():
    X = np.random.default_rng(0).uniform(0.0, 1.0, (60, 2))
    y = np.where(X[:, 0] > 0.8, np.nan, ((X - [0.6, 0.3]) ** 2).sum(axis=1))
    y[3] = np.inf
    return X, y


@pytest.mark.parametrize("on_error", ["drop", "learn"])
def test_a_table_may_hold_rows_that_failed(on_error):
    X, y = table_with_failures()
    opt = optimizer(on_error=on_error)
    with pytest.warns(FailedEvaluationWarning, match=r"\d+ of 60 samples given have failed"):
        opt.fit(X, y)
    good = np.isfinite(y)
    np.testing.assert_array_equal(opt.X_, X[good])
    np.testing.assert_array_equal(opt.X_failed_, X[~good])
    assert np.abs(opt.x_ - [0.6, 0.3]).max() < 0.1
    if on_error == "learn":
        assert opt.failure_risk_(np.array([[0.95, 0.5]])) > opt.failure_risk_(X[good][:1])


@pytest.mark.filterwarnings("ignore:.*have failed")
def test_rows_that_failed_are_not_bought_again():
    X = SobolSampler(16, random_state=1).sample(BOX)
    y = np.where(X[:, 0] > 0.5, np.nan, ((X - [0.3, 0.3]) ** 2).sum(axis=1))
    spy = Spy(lambda X: ((X - [0.3, 0.3]) ** 2).sum(axis=1))
    opt = optimizer(sampler=SobolSampler(16, random_state=1), refiner=None)
    result = opt.minimize(spy, BOX, X=X, y=y)
    assert len(spy.rows) == result.nfev <= 1
    assert len(opt.X_failed_) == np.isnan(y).sum()


@pytest.mark.filterwarnings("ignore:.*have failed")
def test_weights_stay_with_their_rows():
    X, y = table_with_failures()
    seen = []

    class Weighed(LinearRegression):
        def fit(self, X, y, sample_weight=None):
            seen.append((X, sample_weight))
            return super().fit(X, y, sample_weight)

    optimizer(proxy=Weighed()).fit(X, y, sample_weight=X[:, 0])
    rows, weights = seen[0]
    np.testing.assert_array_equal(rows[:, 0], weights)


def test_a_table_of_failures_alone_is_refused_and_so_is_one_that_must_not_hold_any():
    X, y = table_with_failures()
    with pytest.raises(
        ValueError, match="y must have a finite value for at least two samples; got 1"
    ):
        optimizer().fit(X[:3], [1.0, np.nan, np.nan])
    with pytest.raises(ValueError, match="y must hold finite numbers; got NaN in row 2"):
        optimizer(on_error="raise").fit(X, y)
