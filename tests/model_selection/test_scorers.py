import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt.model_selection import optimum_error_scorer, regret_scorer
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.problems import Rosenbrock

PROBLEM = Rosenbrock(2)
X = np.random.default_rng(0).uniform(-2.048, 2.048, (150, 2))
Y = PROBLEM(X)


def quick():
    return ProxyOptimizer(
        proxy=NeuralProxyRegressor(max_epochs=5),
        optimizer=MultiStartBFGS(16),
        random_state=0,
        vectorized=True,
    )


def test_the_error_is_the_distance_to_the_nearest_optimum():
    problem = SimpleNamespace(x_opt=np.array([[0.0, 0.0], [5.0, 5.0]]), f_opt=0.0)
    callable_problem = type("Two", (SimpleNamespace,), {"__call__": lambda self, X: X[:, 0]})
    problem = callable_problem(**vars(problem))
    assert optimum_error_scorer(problem)(SimpleNamespace(x_=np.array([5.0, 2.0]))) == -3.0


def test_the_error_in_value_is_the_true_value_above_the_lowest():
    scorer = optimum_error_scorer(PROBLEM, of="fun")
    assert scorer(SimpleNamespace(x_=np.array([0.0, 0.0]))) == -1.0


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: inner,
        lambda inner: make_pipeline(StandardScaler(), inner),
        lambda inner: make_pipeline(StandardScaler(), StandardScaler(with_mean=False), inner),
        lambda inner: TransformedTargetRegressor(inner, transformer=StandardScaler()),
        lambda inner: GridSearchCV(inner, {"proxy__activation": ["silu"]}, cv=2),
        lambda inner: make_pipeline(
            StandardScaler(), TransformedTargetRegressor(inner, transformer=StandardScaler())
        ),
    ],
    ids=["bare", "pipeline", "two scalers", "target", "search", "both"],
)
def test_the_optimum_is_found_inside_and_in_the_units_of_the_rows(wrap):
    fitted = wrap(quick()).fit(X, Y)
    assert optimum_error_scorer(PROBLEM)(fitted, X, Y) > -0.05


def test_an_estimator_without_an_optimum_is_refused():
    with pytest.raises(ValueError, match=r"estimator must be fitted and have an optimum x_"):
        optimum_error_scorer(PROBLEM)(LinearRegression().fit(X, Y), X, Y)


def test_a_problem_without_known_optima_is_refused():
    with pytest.raises(ValueError, match="problem must be callable and have known optima"):
        optimum_error_scorer(lambda X: X)


def test_regret_is_zero_for_a_perfect_regressor_and_positive_for_a_dull_one():
    perfect = make_pipeline(RandomForestRegressor(bootstrap=False, random_state=0)).fit(X, Y)
    assert regret_scorer()(perfect, X, Y) == 0.0
    dull = DummyRegressor().fit(X, Y)
    assert regret_scorer()(dull, X, Y) == -(Y[0] - Y.min())


def test_more_picks_never_raise_the_regret():
    model = LinearRegression().fit(X, Y)
    scores = [regret_scorer(n)(model, X, Y) for n in (1, 5, 50, 150)]
    assert scores == sorted(scores)
    assert scores[-1] == 0.0


def test_cross_validation_takes_both_scorers():
    scores = cross_validate(
        quick(),
        X,
        Y,
        cv=2,
        scoring={"r2": "r2", "optimum": optimum_error_scorer(PROBLEM), "regret": regret_scorer()},
    )
    assert (scores["test_optimum"] > -0.1).all()
    assert (scores["test_regret"] <= 0.0).all()


def test_scorers_survive_pickling():
    for scorer in (optimum_error_scorer(PROBLEM, of="fun"), regret_scorer(3)):
        assert repr(pickle.loads(pickle.dumps(scorer))) == repr(scorer)


def test_an_optimum_of_another_dimension_is_refused():
    with pytest.raises(ValueError, match="optimum of the problem's 2 variables"):
        optimum_error_scorer(PROBLEM)(SimpleNamespace(x_=np.array([1.0])))


def test_predictions_that_are_not_finite_are_refused():
    blind = SimpleNamespace(predict=lambda X: np.full(len(X), np.nan))
    with pytest.raises(ValueError, match="estimator must predict finite values"):
        regret_scorer()(blind, X, Y)


def test_wrong_arguments_are_refused_by_name():
    with pytest.raises(ValueError, match="of must be one of 'x', 'fun'"):
        optimum_error_scorer(PROBLEM, of="y")
    with pytest.raises(ValueError, match="n_picks must be an integer"):
        regret_scorer(0)


def test_a_regret_of_several_outputs_is_refused():
    X = np.arange(4.0)[:, None]
    with pytest.raises(ValueError, match=r"y must have one value a sample for a regret; got shape"):
        regret_scorer()(LinearRegression().fit(X, X[:, 0]), X, np.zeros((4, 2)))
