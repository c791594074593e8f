"""ProxyOptimizer's way down a ladder of smoother proxies."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.problems import GramacyLee

PROXY = NeuralProxyRegressor((32, 32), max_epochs=20, device="cpu")


def optimizer(**params):
    return ProxyOptimizer(
        proxy=PROXY, optimizer=MultiStartBFGS(16, n_rounds=2), vectorized=True, random_state=0
    ).set_params(**params)


def rows(n_rows=300):
    problem = GramacyLee()
    X = np.random.default_rng(0).uniform(*problem.bounds[0], (n_rows, 1))
    return X, problem(X)


@pytest.fixture(scope="module")
def fitted():
    return {name: optimizer(smoothing=name).fit(*rows()) for name in ("auto", (0.1, 0.05))}


def test_the_report_tells_basins_and_drift_of_each_level(fitted):
    report = fitted["auto"].smoothing_report_
    assert set(report) == {"noise", "basins", "drift", "promise", "used"}
    assert len({len(part) for part in report.values()}) == 1
    assert report["noise"][-1] == 0.0 == report["drift"][-1]
    assert report["basins"][0] < report["basins"][-1]
    assert report["used"][-1]


def test_auto_begins_on_a_level_whose_minimum_leads_to_the_lowest(fitted):
    report = fitted["auto"].smoothing_report_
    first = np.argmax(report["used"])
    assert report["used"][first:].all()
    assert report["promise"][first] <= report["promise"].min() + 0.01
    assert report["basins"][first] <= report["basins"][-1]


def test_levels_that_were_given_are_all_used(fitted):
    report = fitted[(0.1, 0.05)].smoothing_report_
    np.testing.assert_array_equal(report["noise"], [0.1, 0.05, 0.0])
    assert report["used"].all()
    assert fitted[(0.1, 0.05)].ladder_.input_noise == [0.1, 0.05]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_processes_have_a_ladder_without_another_fit(direction, tmp_path):
    X, y = rows(80)
    opt = optimizer(proxy="gp", smoothing=(0.1, 0.05), direction=direction)
    opt.fit(X, y if direction == "minimize" else -y)
    levels = opt.ladder_.predict_members(X)
    np.testing.assert_allclose(levels, opt.proxy_.smoothed((0.1, 0.05)).predict_members(X))
    assert opt.smoothing_report_["basins"][0] < opt.smoothing_report_["basins"][-1]
    opt.save(tmp_path / "ladder.npz")
    loaded = optimizer(proxy="gp", smoothing=(0.1, 0.05), direction=direction)
    loaded.load(tmp_path / "ladder.npz")
    np.testing.assert_array_equal(loaded.ladder_.predict_members(X), levels)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(opt)).ladder_.predict_members(X), levels
    )


def test_smoothing_leaves_the_proxy_as_it_is_and_its_optimum_no_higher(fitted):
    plain = optimizer().fit(*rows())
    x = np.linspace(0.5, 2.5, 50)[:, None]
    for smoothed in fitted.values():
        np.testing.assert_array_equal(smoothed.predict(x), plain.predict(x))
        assert smoothed.fun_proxy_ <= plain.fun_proxy_ + 1e-6
    assert not hasattr(plain, "smoothing_report_")


def test_the_end_of_the_walk_is_among_the_first_points_to_be_refined(fitted):
    smoothed = fitted[(0.1, 0.05)]
    candidates = smoothed.result_.x_candidates
    np.testing.assert_allclose(candidates[0], smoothed.x_proxy_, atol=1e-9)
    values = smoothed.predict(candidates)
    assert (np.diff(values[2:]) >= -1e-9).all()


def test_one_level_is_the_two_step_method_and_minimize_refines_what_it_finds():
    problem = GramacyLee()
    smoothed = optimizer(smoothing=0.07)
    result = smoothed.minimize(problem, problem.bounds, X=rows()[0], y=rows()[1])
    assert result.fun < -0.868


def test_rows_with_names_are_learned_by_the_ladder_too():
    X, y = rows(100)
    table = pd.DataFrame(X, columns=["place"])
    named = optimizer(smoothing=0.1).fit(table, y)
    np.testing.assert_array_equal(named.x_, optimizer(smoothing=0.1).fit(X, y).x_)


def test_the_same_seed_gives_the_same_answer(fitted):
    again = clone(fitted["auto"]).fit(*rows())
    np.testing.assert_array_equal(again.x_, fitted["auto"].x_)
    np.testing.assert_array_equal(
        again.smoothing_report_["drift"], fitted["auto"].smoothing_report_["drift"]
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"smoothing": "much"}, "smoothing must be None"),
        ({"smoothing": (0.1, 0.2)}, "smoothing must fall from level to level"),
        ({"smoothing": -0.1}, "smoothing must be"),
        ({"smoothing": ()}, "smoothing must be None"),
        ({"smoothing": 0.1, "proxy": LinearRegression()}, "smoothing must be None with a Linear"),
    ],
    ids=repr,
)
def test_wrong_smoothing_is_named_before_anything_is_paid_for(params, message):
    def never(X):
        raise AssertionError

    with pytest.raises(ValueError, match=message):
        optimizer(**params).minimize(never, [[0.0, 1.0]])
