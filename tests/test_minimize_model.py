"""The optimum of a model that exists already."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import LinearConstraint, NonlinearConstraint
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from spies import Spy

from sklearn_proxyopt import NeuralProxyRegressor, minimize_model
from sklearn_proxyopt.variables import Integer, Ordinal, Periodic, Real

BOX = [[-1.0, 1.0], [0.0, 50.0]]


def bowl(X):
    return (X[:, 0] - 0.3) ** 2 + ((X[:, 1] - 20.0) / 20.0) ** 2


def rows(n_rows=200):
    return np.random.default_rng(0).uniform(*np.transpose(BOX), (n_rows, 2))


X = rows()
FOREST = RandomForestRegressor(30, random_state=0).fit(X, bowl(X))


def test_the_minimum_of_a_fitted_forest():
    forest = RandomForestRegressor(random_state=0).fit(X, bowl(X))
    result = minimize_model(forest, BOX, random_state=0)
    assert result.fun == forest.predict(result.x[None])[0]
    assert result.fun <= forest.predict(rows(20_000)).min() + 1e-3


def test_the_minimum_of_a_gradient_boosting_under_constraints():
    boosting = HistGradientBoostingRegressor(random_state=0).fit(X, bowl(X))
    cheap = LinearConstraint([[20.0, 1.0]], ub=15.0)
    result = minimize_model(boosting, BOX, constraints=cheap, random_state=0)
    assert 20.0 * result.x[0] + result.x[1] <= 15.0
    many = rows(20_000)
    many = many[20.0 * many[:, 0] + many[:, 1] <= 15.0]
    assert result.fun <= boosting.predict(many).min() + 1e-3


@pytest.mark.parametrize(
    "model",
    [
        FOREST,
        GradientBoostingRegressor(random_state=0).fit(X, bowl(X)),
        make_pipeline(StandardScaler(), GaussianProcessRegressor()).fit(X, bowl(X)),
        NeuralProxyRegressor((16,), max_epochs=50, random_state=0).fit(X, bowl(X)),
        bowl,
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_model_is_asked_as_it_is_and_its_optimum_has_its_sign(model):
    low = minimize_model(model, BOX, random_state=0)
    high = minimize_model(model, BOX, direction="maximize", random_state=0)
    ask = getattr(model, "predict", model)
    assert low.fun == pytest.approx(ask(low.x[None])[0], rel=1e-12)
    assert high.fun == pytest.approx(ask(high.x[None])[0], rel=1e-12)
    assert low.fun <= ask(X).min()
    assert high.fun >= ask(X).max()
    assert (low.fun_candidates >= low.fun - 1e-9).all()
    assert (high.fun_candidates <= high.fun + 1e-9).all()
    assert not hasattr(low, "x_named")


def mixed_table(n_rows=400):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "dose": 10.0 ** rng.uniform(-3.0, 0.0, n_rows),
            "metal": rng.choice(["brass", "steel", "tin"], n_rows),
            "teeth": rng.integers(4, 20, n_rows),
            "angle": rng.uniform(0.0, 360.0, n_rows),
            "batch": 7,
        }
    )
    loss = (
        (np.log10(table["dose"]) + 1.5) ** 2
        + (table["metal"] != "steel")
        + (table["teeth"] - 12) ** 2 / 16.0
        - np.cos(np.radians(table["angle"] - 355.0))
    )
    return table, loss


SPACE = {
    "angle": Periodic(0, 360),
    "teeth": Integer(4, 20, step=2),
    "metal": ["brass", "steel", "tin"],
    "dose": Real(1e-3, 1.0, log=True),
    "batch": 7,
}


def test_a_pipeline_of_a_table_gets_its_columns_with_labels():
    table, loss = mixed_table()
    encoder = make_column_transformer((OneHotEncoder(), ["metal"]), remainder="passthrough")
    model = make_pipeline(encoder, GradientBoostingRegressor(random_state=0)).fit(table, loss)
    result = minimize_model(model, SPACE, random_state=0)
    assert result.x_named["metal"] == "steel"
    assert result.x_named["teeth"] in (10, 12, 14)
    assert result.x_named["batch"] == 7
    told = pd.DataFrame([result.x_named])[table.columns.tolist()]
    assert result.fun == model.predict(told)[0]


def test_a_function_of_a_mixed_space_is_called_by_names():
    def loss(table):
        assert set(table["batch"]) == {7}
        angle = np.cos(np.radians(table["angle"] - 355.0))
        return (np.log10(table["dose"]) + 1.5) ** 2 + (table["metal"] != "steel") - angle

    total = NonlinearConstraint(lambda x: x[3] * x[1], 0.0, 0.2)
    result = minimize_model(loss, SPACE, constraints=total, random_state=0)
    assert result.x_named["metal"] == "steel"
    assert abs(result.x_named["angle"] - 355.0) < 3.0
    assert result.x_named["dose"] * result.x_named["teeth"] <= 0.2
    assert result.fun == pytest.approx(-1.0, abs=1e-3)


def test_steps_and_grades_are_kept():
    space = [Integer(0, 40, step=5), Ordinal(["low", "middle", "high"]), (0.0, 1.0)]
    result = minimize_model(lambda X: np.abs(X - [17.0, 1.2, 0.4]).sum(axis=1), space)
    np.testing.assert_allclose(result.x, [15.0, 1.0, 0.4], atol=1e-3)


def test_rows_to_start_from_are_never_lost():
    needle = Spy(lambda X: -(np.abs(X - [0.123, 7.0]).max(axis=1) < 1e-6).astype(float))
    result = minimize_model(needle, BOX, x0=[0.123, 7.0], random_state=0)
    assert result.fun == -1.0


def test_the_same_seed_finds_the_same_optimum():
    one, other = (minimize_model(FOREST, BOX, random_state=3, optimizer="de") for _ in range(2))
    np.testing.assert_array_equal(one.x, other.x)


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        (3, {}, ValueError, "model must be a fitted regressor or a callable; got 3"),
        (RandomForestRegressor, {}, ValueError, "model must be a fitted regressor or a callable"),
        (RandomForestRegressor(), {}, NotFittedError, "not fitted yet"),
        (RandomForestClassifier(), {}, ValueError, "model must be a regressor"),
        (bowl, {"direction": "up"}, ValueError, "direction must be"),
        (bowl, {"optimizer": "sgd"}, ValueError, "optimizer must be an instance"),
        (bowl, {"x0": [1.0]}, ValueError, "x0 must have a column for each of the 2 variables"),
        (lambda X: X[:, 0] * np.nan, {}, ValueError, "model must predict finite values"),
        (
            LinearRegression().fit(X, np.column_stack([bowl(X)] * 2)),
            {},
            ValueError,
            "model must predict one value a sample",
        ),
    ],
)
def test_what_cannot_be_searched_is_named(model, options, error, message):
    with pytest.raises(error, match=message):
        minimize_model(model, BOX, **options)


def test_other_columns_than_those_of_the_fit_are_named():
    table, loss = mixed_table()
    model = LinearRegression().fit(table[["dose", "teeth"]], loss)
    with pytest.raises(ValueError, match="bounds must name the columns that model was fitted on"):
        minimize_model(model, {"dose": (0.0, 1.0), "angle": (0.0, 360.0)})
