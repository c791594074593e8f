"""The tables that `ask` hands out and `tell` takes back."""

import numpy as np
import pandas as pd
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import Integer

SPACE = {"temperature": (40.0, 120.0), "solvent": ["MeCN", "THF"], "turns": Integer(1, 9)}


def loss(table):
    solvent = np.where(table["solvent"] == "THF", 0.0, 1.0)
    return (table["temperature"] - 80.0) ** 2 / 400.0 + solvent + (table["turns"] - 4) ** 2 / 9.0


def optimizer(**params):
    return ProxyOptimizer(
        **{
            "bounds": SPACE,
            "proxy": GaussianProcessRegressor(normalize_y=True),
            "optimizer": MultiStartBFGS(8, 20, n_rounds=2, n_candidates=64),
            "sampler": SobolSampler(64),
            "vectorized": True,
            "random_state": 0,
            **params,
        }
    )


def test_a_design_is_asked_for_by_names_and_told_back_as_it_came():
    opt = optimizer()
    asked = opt.ask(8)
    assert asked.columns.tolist() == [*SPACE, "predicted", "lower", "upper", "reason"]
    assert asked[["predicted", "lower", "upper"]].isna().all(axis=None)
    assert (asked["reason"] == "design").all()
    assert set(asked["solvent"]) == {"MeCN", "THF"}
    opt.tell(asked, loss(asked))
    assert len(opt.X_pending_) == 0
    assert len(opt.X_) == 8


def test_later_points_say_what_is_predicted_and_why_they_are_asked_for():
    opt = optimizer()
    first = opt.ask(24)
    opt.tell(first, loss(first))
    asked = opt.ask(8)
    assert asked["reason"][0] == "proxy's optima"
    assert asked["reason"].iloc[-1] == "search around the best"
    np.testing.assert_array_equal(asked["predicted"], opt.predict(opt.X_pending_))
    np.testing.assert_array_equal(asked["predicted"], opt.predict(asked))
    assert asked["predicted"][0] == asked["predicted"].min()


def test_each_point_comes_with_the_interval_that_its_value_is_expected_in():
    opt = optimizer()
    first = opt.ask(24)
    opt.tell(first, loss(first))
    asked = opt.ask(4)
    mean, std = opt.predict(asked, return_std=True)
    np.testing.assert_allclose(asked["lower"], mean - 1.645 * std, rtol=1e-12)
    np.testing.assert_allclose(asked["upper"], mean + 1.645 * std, rtol=1e-12)


def test_a_proxy_that_tells_no_deviation_leaves_the_interval_open():
    opt = optimizer(proxy=LinearRegression())
    first = opt.ask(24)
    opt.tell(first, loss(first))
    asked = opt.ask(2)
    assert asked["predicted"].notna().all()
    assert asked[["lower", "upper"]].isna().all(axis=None)


def distances(points, known):
    return np.abs(points[:, None] - known).max(axis=2).min(axis=1)


@pytest.mark.parametrize("budget", [None, 60])
def test_a_share_of_the_points_explores_if_that_is_said(budget):
    opt = optimizer(bounds=[[0.0, 1.0]] * 2, budget=budget, sampler=None)
    X = opt.ask(20)
    opt.tell(X, (X**2).sum(axis=1))
    far = opt.ask(8, explore=0.5)
    assert distances(far[4:], np.vstack([X, far[:4]])).min() > 0.1
    frame = opt.tell(far, (far**2).sum(axis=1)).to_frame()
    assert frame["reason"].tolist()[-4:] == ["far from all that is known"] * 4


def test_a_small_share_explores_every_so_many_calls():
    opt = optimizer(bounds=[[0.0, 1.0]] * 2)
    X = opt.ask(20)
    opt.tell(X, (X**2).sum(axis=1))
    for _ in range(8):
        opt.ask(explore=0.25)
    reasons = opt.tell(opt.X_pending_, np.ones(8)).to_frame()["reason"].tolist()[20:]
    assert [i for i, one in enumerate(reasons) if one.startswith("far")] == [3, 7]


@pytest.mark.parametrize("explore", [-0.1, 1.5, "much"])
def test_a_share_that_is_none_is_refused(explore):
    with pytest.raises((TypeError, ValueError), match=r"explore must be a finite number in \[0"):
        optimizer().ask(2, explore=explore)


@pytest.mark.parametrize("drop", [["predicted"], ["reason"], ["lower", "reason"], []])
def test_notes_come_back_or_not(tmp_path, drop):
    opt = optimizer()
    opt.ask(6).drop(columns=drop).to_csv(tmp_path / "next.csv", index=False)
    table = pd.read_csv(tmp_path / "next.csv")
    opt.tell(table, loss(table))
    assert len(opt.X_pending_) == 0


def test_a_column_that_is_no_note_is_refused():
    opt = optimizer()
    asked = opt.ask(4).assign(operator="night shift")
    with pytest.raises(ValueError, match="X must have the columns of bounds"):
        opt.tell(asked, np.ones(4))


def test_a_function_of_plain_rows_is_told_that_it_gets_a_table():
    with pytest.raises(ValueError, match=r"input_format='array' passes plain samples"):
        optimizer().minimize(lambda X: X[:, 0])
    result = optimizer(input_format="array").minimize(lambda X: X[:, 0])
    assert result.fun < 42.0


def test_a_variable_may_have_the_name_of_a_note():
    space = {"reason": (0.0, 1.0), "predicted": (0.0, 1.0)}
    opt = optimizer(bounds=space)
    asked = opt.ask(4)
    assert asked.columns.tolist() == [*space, "predicted_", "lower", "upper", "reason_"]
    opt.tell(asked, asked["reason"])
    np.testing.assert_array_equal(opt.X_[:, 0], opt.y_)


def test_points_of_variables_without_names_are_an_array():
    assert isinstance(optimizer(bounds=[[0.0, 1.0]] * 2).ask(3), np.ndarray)
