"""The tables that `ask` hands out and `tell` takes back."""

import numpy as np
import pandas as pd
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor

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
            "random_state": 0,
            **params,
        }
    )


def test_a_design_is_asked_for_by_names_and_told_back_as_it_came():
    opt = optimizer()
    asked = opt.ask(8)
    assert asked.columns.tolist() == ["temperature", "solvent", "turns", "predicted", "reason"]
    assert asked["predicted"].isna().all()
    assert (asked["reason"] == "design").all()
    assert set(asked["solvent"]) == {"MeCN", "THF"}
    opt.tell(asked, loss(asked))
    assert len(opt.X_pending_) == 0
    assert len(opt.X_) == 8


def test_later_points_say_what_is_predicted_and_why_they_are_asked_for():
    opt = optimizer()
    first = opt.ask(24)
    opt.tell(first, loss(first))
    asked = opt.ask(4)
    assert asked["reason"][0] == "proxy's optima"
    assert asked["reason"].iloc[-1] == "far from all that is known"
    np.testing.assert_array_equal(asked["predicted"], opt.predict(opt.X_pending_))
    np.testing.assert_array_equal(asked["predicted"], opt.predict(asked))
    assert asked["predicted"][0] == asked["predicted"].min()


@pytest.mark.parametrize("drop", [["predicted"], ["reason"], ["predicted", "reason"], []])
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
    with pytest.raises(ValueError, match=r"input_format='array' passes plain rows"):
        optimizer().minimize(lambda X: X[:, 0])
    result = optimizer(input_format="array").minimize(lambda X: X[:, 0])
    assert result.fun < 42.0


def test_a_variable_may_have_the_name_of_a_note():
    space = {"reason": (0.0, 1.0), "predicted": (0.0, 1.0)}
    opt = optimizer(bounds=space)
    asked = opt.ask(4)
    assert asked.columns.tolist() == ["reason", "predicted", "predicted_", "reason_"]
    opt.tell(asked, asked["reason"])
    np.testing.assert_array_equal(opt.X_[:, 0], opt.y_)


def test_points_of_variables_without_names_are_an_array():
    assert isinstance(optimizer(bounds=[[0.0, 1.0]] * 2).ask(3), np.ndarray)
