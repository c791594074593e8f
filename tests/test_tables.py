"""Tables with named columns at every door of the optimizers."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score
from spies import Spy

from sklearn_proxyopt import ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt.evaluation import Journal
from sklearn_proxyopt.optimizers import NSGA2, MultiStartBFGS
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import Integer, Ordinal, Periodic, Real

NUMBERS = ["temperature", "pressure", "flow", "dose", "hours"]
SOLVENTS = ["DMF", "MeCN", "THF"]


def waste(runs):
    """What a run wastes: least at 80 degrees, in MeCN, with 3 hours."""
    solvent = runs["solvent"].map({"DMF": 0.6, "MeCN": 0.0, "THF": 0.9})
    return (
        ((runs["temperature"] - 80.0) / 40.0) ** 2
        + ((runs["hours"] - 3) / 5.0) ** 2
        + 0.1 * runs["pressure"]
        + 0.1 * runs["flow"] * runs["dose"]
        + solvent
    )


def runs_of_a_laboratory(n_runs=300):
    rng = np.random.default_rng(0)
    runs = pd.DataFrame(rng.random((n_runs, 4)), columns=NUMBERS[:4])
    runs["temperature"] = 40.0 + 80.0 * runs["temperature"]
    runs["hours"] = rng.integers(1, 9, n_runs)
    runs["solvent"] = rng.choice(SOLVENTS, n_runs)
    return runs


def quick(**params):
    defaults = {
        "proxy": LinearRegression(),
        "optimizer": MultiStartBFGS(4, n_rounds=1, n_candidates=16),
        "verdict": False,
        "vectorized": True,
        "random_state": 0,
    }
    return ProxyOptimizer(**{**defaults, **params})


def in_polars(frame):
    return pytest.importorskip("polars").DataFrame(frame.to_dict("list"))


FRAMES = pytest.mark.parametrize("to_frame", [lambda frame: frame, in_polars], ids=["pd", "pl"])


# The ten lines of a user.


def test_past_runs_with_a_text_column_lead_to_the_best_settings_and_the_next_four(tmp_path):
    runs_of_a_laboratory().assign(waste=waste).to_csv(tmp_path / "runs.csv", index=False)

    runs = pd.read_csv(tmp_path / "runs.csv")
    optimizer = ProxyOptimizer(proxy="gp", random_state=0)
    optimizer.fit(runs.drop(columns="waste"), runs["waste"])
    best = optimizer.x_named_
    following = optimizer.ask(4)

    assert best["solvent"] == "MeCN"
    assert best["hours"] == 3
    assert best["temperature"] == pytest.approx(80.0, abs=2.0)
    assert following.columns.tolist() == [
        *NUMBERS,
        "solvent",
        "predicted",
        "lower",
        "upper",
        "reason",
    ]
    assert following["solvent"].isin(SOLVENTS).all()


def test_a_named_space_with_a_fixed_variable_is_searched_by_a_function_of_a_dict():
    def cost(plant):
        fluid = {"R32": 0.5, "R290": -1.0}[plant["fluid"]]
        size = abs(plant["size"] - 1.6) + plant["batch"] - 7
        turn = 1.0 - np.cos(np.deg2rad(plant["angle"] - 350.0))
        return (plant["pressure"] - 6.0) ** 2 + (plant["stages"] - 5) ** 2 + fluid + size + turn

    bounds = {
        "pressure": (0, 10), "stages": Integer(1, 8), "fluid": ["R32", "R290"],
        "size": Ordinal([0.8, 1.0, 1.6, 2.5]), "angle": Periodic(0, 360), "batch": 7,
    }  # fmt: skip
    optimizer = ProxyOptimizer(vectorized=False, verdict=False, random_state=0)
    best = optimizer.minimize(cost, bounds, budget=150).x_named
    assert best["batch"] == 7
    assert (best["stages"], best["fluid"], best["size"]) == (5, "R290", 1.6)
    assert best["pressure"] == pytest.approx(6.0, abs=0.05)
    assert best["angle"] == pytest.approx(350.0, abs=10.0)


# What columns tell.


@FRAMES
def test_columns_give_names_integers_and_labels_by_themselves(to_frame):
    runs = runs_of_a_laboratory(60)
    optimizer = quick().fit(to_frame(runs), waste(runs).to_numpy())
    assert optimizer.feature_names_in_.tolist() == [*NUMBERS, "solvent"]
    assert isinstance(optimizer.x_named_["hours"], int)
    assert optimizer.x_named_["solvent"] == "MeCN"
    assert optimizer.proxy_.n_features_in_ == 5 + 3


@FRAMES
def test_a_table_predicts_what_its_rows_do(to_frame):
    runs = runs_of_a_laboratory(60)
    optimizer = quick().fit(to_frame(runs), waste(runs).to_numpy())
    by_name = optimizer.predict(to_frame(runs))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        np.testing.assert_array_equal(optimizer.predict(optimizer.X_), by_name)
    assert optimizer.score(to_frame(runs), waste(runs).to_numpy()) > 0.5


def test_bounds_stand_before_what_columns_tell():
    runs = runs_of_a_laboratory(60)[["temperature", "hours", "solvent"]]
    bounds = {"temperature": (20, 200), "hours": (0, 12), "solvent": ["THF", "MeCN", "DMF", "EtOH"]}
    optimizer = quick(bounds=bounds).fit(runs, runs["hours"])
    np.testing.assert_array_equal(optimizer.bounds_, [[20, 200], [0, 12], [0, 3]])
    assert isinstance(optimizer.x_named_["hours"], float)


def test_an_array_of_bounds_tells_numbers_and_columns_tell_labels():
    runs = runs_of_a_laboratory(60)[["temperature", "hours", "solvent"]]
    box = [[20, 200], [0, 12], [0, 2]]
    optimizer = quick(bounds=box).fit(runs, runs["hours"])
    np.testing.assert_array_equal(optimizer.bounds_, box)
    assert isinstance(optimizer.x_named_["hours"], float)
    assert optimizer.x_named_["solvent"] in SOLVENTS


def test_an_array_of_bounds_that_does_not_fit_labels_is_named():
    runs = runs_of_a_laboratory(20)[["temperature", "solvent"]]
    with pytest.raises(ValueError, match=r"bounds must be \(0\.0, 2\.0\) for the codes of the lab"):
        quick(bounds=[[20, 200], [0, 1]]).fit(runs, runs["temperature"])


@FRAMES
def test_rows_of_a_function_given_as_a_table_lead_to_calls_by_name(to_frame):
    runs = runs_of_a_laboratory(60)
    columns = []

    def cost(frame):
        columns.append(frame.columns.tolist())
        return waste(frame)

    result = quick().minimize(cost, X=to_frame(runs), y=waste(runs).to_numpy())
    assert columns[0] == [*NUMBERS, "solvent"]
    assert result.x_named["solvent"] == "MeCN"
    assert result.x_named["hours"] == 3


@FRAMES
def test_results_are_told_by_name_from_the_first_on(to_frame):
    runs = runs_of_a_laboratory(40)
    optimizer = quick()
    for start in (0, 1, 20):
        part = runs[start : start + 20]
        optimizer.tell(to_frame(part), waste(part).to_numpy())
    assert optimizer.x_named_["solvent"] == "MeCN"
    assert optimizer.variables_.to_frame(optimizer.X_)["hours"].tolist() == runs["hours"].tolist()


def test_a_number_between_integers_told_later_is_named():
    runs = runs_of_a_laboratory(20)
    optimizer = quick().tell(runs, waste(runs))
    with pytest.raises(ValueError, match=r"X must hold integers in 'hours'; got 2\.5"):
        optimizer.tell(runs[:1].assign(hours=2.5), [1.0])


def test_a_column_with_one_value_is_fixed_until_it_varies():
    runs = runs_of_a_laboratory(20).assign(flow=0.5)
    optimizer = quick().tell(runs, waste(runs))
    assert optimizer.x_named_["flow"] == 0.5
    assert optimizer.variables_.n_axes == 5
    other = runs_of_a_laboratory(3)
    optimizer.tell(other, waste(other))
    assert optimizer.variables_.n_axes == 6


def test_folds_of_a_table_may_have_fixed_columns():
    runs = runs_of_a_laboratory(60).assign(flow=0.5)
    assert cross_val_score(quick(), runs, waste(runs), cv=3).min() > 0.5


def test_a_front_is_learned_from_a_table():
    runs = runs_of_a_laboratory(60)
    values = np.column_stack([waste(runs), runs["hours"]])
    optimizer = ParetoOptimizer(proxy=LinearRegression(), optimizer=NSGA2(12, 8), random_state=0)
    optimizer.fit(runs, values)
    front = optimizer.variables_.to_frame(optimizer.X_front_)
    assert front["solvent"].isin(SOLVENTS).all()
    assert optimizer.predict(front).shape == (len(front), 2)


# What is refused.


def rows_in_another_order(frame):
    return frame[["pressure", "temperature", *NUMBERS[2:], "solvent"]]


@FRAMES
@pytest.mark.parametrize(
    "door",
    [
        lambda optimizer, X, y: optimizer.predict(X),
        lambda optimizer, X, y: optimizer.score(X, y),
        lambda optimizer, X, y: optimizer.tell(X, y),
    ],
    ids=["predict", "score", "tell"],
)
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["pressure", "temperature", *NUMBERS[2:], "solvent"], "must be in the same order"),
        (NUMBERS, "seen at fit time, yet now missing:\n- solvent"),
    ],
)
def test_other_columns_than_those_learned_are_refused(to_frame, door, columns, message):
    runs = runs_of_a_laboratory(20)
    y = waste(runs).to_numpy()
    optimizer = quick().fit(to_frame(runs), y)
    with pytest.raises(ValueError, match=message):
        door(optimizer, to_frame(runs[columns]), y)
    assert len(optimizer.X_) == 20


@FRAMES
@pytest.mark.parametrize(
    "door",
    [
        lambda optimizer, X, y: optimizer.fit(X, y),
        lambda optimizer, X, y: optimizer.tell(X, y),
        lambda optimizer, X, y: optimizer.minimize(waste, X=X, y=y),
    ],
    ids=["fit", "tell", "minimize"],
)
def test_columns_in_another_order_than_bounds_are_refused(to_frame, door):
    runs = runs_of_a_laboratory(20)[["temperature", "hours"]]
    optimizer = quick(bounds={"temperature": (0, 200), "hours": Integer(0, 9)})
    with pytest.raises(ValueError, match=r"columns of bounds, \['temperature', 'hours'\], in this"):
        door(optimizer, to_frame(runs[["hours", "temperature"]]), runs["hours"].to_numpy())


@FRAMES
def test_an_unknown_label_is_refused_by_its_column(to_frame):
    runs = runs_of_a_laboratory(20)
    optimizer = quick().fit(to_frame(runs), waste(runs).to_numpy())
    for door in (optimizer.predict, lambda X: optimizer.tell(X, [1.0])):
        with pytest.raises(ValueError, match=r"X must hold labels of 'solvent', .*; got 'H2O'"):
            door(to_frame(runs[:1].assign(solvent="H2O")))


def test_missing_numbers_are_refused_by_row_and_column():
    runs = runs_of_a_laboratory(20)
    runs.loc[3, "flow"] = np.nan
    with pytest.raises(ValueError, match=r"got NaN in row 3, column \d \('flow'\)"):
        quick().fit(runs, waste(runs))


def test_another_value_of_what_is_fixed_is_refused():
    bounds = {"temperature": (0, 200), "batch": 7}
    frame = pd.DataFrame({"temperature": [20.0, 30.0], "batch": [7, 8]})
    with pytest.raises(ValueError, match="X must hold 7 in 'batch', which bounds fix; got 8"):
        quick(bounds=bounds).fit(frame, [1.0, 2.0])


# What is kept.


def test_labels_that_columns_told_come_back_from_a_file(tmp_path):
    runs = runs_of_a_laboratory(40)
    optimizer = quick().tell(runs, waste(runs))
    optimizer.save(tmp_path / "state.npz")
    again = quick().load(tmp_path / "state.npz")
    assert again.x_named_ == optimizer.x_named_
    np.testing.assert_array_equal(again.predict(runs), optimizer.predict(runs))


def test_labels_that_columns_told_come_back_from_a_journal(tmp_path):
    runs = runs_of_a_laboratory(40)
    told = quick(journal=tmp_path / "runs.sqlite").tell(runs, waste(runs))
    again = quick(journal=tmp_path / "runs.sqlite")
    again.tell(runs[:1], waste(runs[:1]))
    assert again.x_named_ == told.x_named_
    assert Journal(tmp_path / "runs.sqlite").kinds()["categories"] == {"5": SOLVENTS}


def test_a_clone_has_forgotten_what_columns_told():
    runs = runs_of_a_laboratory(20)
    optimizer = clone(quick().fit(runs, waste(runs)))
    rows = np.random.default_rng(0).random((20, 2))
    assert optimizer.fit(rows, rows.sum(axis=1)).variables_.names is None


@pytest.mark.parametrize("input_format", ["auto", "named", "array"])
def test_rows_reach_the_function_in_the_form_that_is_asked_for(input_format):
    spy = Spy(lambda rows: np.asarray(rows)[:, 0].astype(float))
    sampler = SobolSampler(8)
    optimizer = quick(input_format=input_format, sampler=sampler, refiner=None)
    optimizer.minimize(spy, {"dose": Real(0.1, 10.0, log=True), "hours": (0, 1)})
    assert len(spy.rows) == 9
    assert optimizer.x_named_["dose"] == pytest.approx(0.1)
