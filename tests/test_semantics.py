"""What fit and minimize mean: which rows, at what cost, and whose values the answers are."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from spies import Spy

from sklearn_proxyopt import ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt.exceptions import RefittedProxyWarning, RowsOutsideWarning
from sklearn_proxyopt.model_selection import optimum_error_scorer, optimum_of
from sklearn_proxyopt.optimizers import NSGA2, MultiStartBFGS
from sklearn_proxyopt.problems import Rosenbrock
from sklearn_proxyopt.samplers import LatinHypercubeSampler, SobolSampler, UniformSampler

BOX = np.array([[-1.0, 1.0], [10.0, 50.0]])


def bowl(X):
    return (X[:, 0] - 0.3) ** 2 + ((X[:, 1] - 20.0) / 20.0) ** 2


def table(n_rows=60):
    X = np.random.default_rng(0).uniform(*BOX.T, (n_rows, 2))
    return X, bowl(X)


def optimizer(**params):
    return ProxyOptimizer(
        **{
            "proxy": GaussianProcessRegressor(normalize_y=True),
            "optimizer": MultiStartBFGS(8, 20, n_rounds=2, n_candidates=64),
            "vectorized": True,
            "random_state": 0,
            "verdict": False,
            **params,
        }
    )


def test_rows_alone_cost_nothing_and_promise():
    opt = optimizer().fit(*table())
    assert opt.n_evaluations_ == 0
    assert not opt.result_.measured
    assert (opt.x_ == opt.x_proxy_).all()
    assert opt.fun_ == opt.fun_proxy_


def test_an_objective_and_a_sampler_cost_the_design_and_promise():
    fun = Spy(bowl)
    opt = optimizer(objective=fun, bounds=BOX, sampler=SobolSampler(32)).fit(*table())
    assert len(fun.rows) == opt.n_evaluations_ == 32
    assert not opt.result_.measured


def test_an_objective_and_a_budget_are_the_whole_loop():
    fun = Spy(bowl)
    opt = optimizer(objective=fun, bounds=BOX, budget=40).fit(*table())
    assert len(fun.rows) == opt.n_evaluations_ == 40
    assert opt.result_.measured
    assert opt.fun_ == opt.result_.fun == bowl(opt.x_[None])[0]
    same = optimizer().minimize(bowl, BOX, budget=40)
    np.testing.assert_array_equal(opt.x_, same.x)
    # What the model says stays beside it.
    assert opt.fun_proxy_ == opt.predict(opt.x_proxy_[None])[0]


def test_what_is_on_record_counts_as_asked_for():
    fun = Spy(bowl)
    opt = optimizer(objective=fun, bounds=BOX, budget=40).fit(*table())
    opt.fit(*table())
    assert opt.n_evaluations_ == 40
    assert len(fun.rows) == 40
    assert opt.result_.nfev == 0


def test_the_budget_of_the_call_goes_before_that_of_the_constructor():
    opt = optimizer(budget=40)
    assert opt.minimize(bowl, BOX).nfev == 40
    assert optimizer(budget=40).minimize(bowl, BOX, budget=30).nfev == 30
    assert opt.n_evaluations_ == 40


def test_a_run_that_dies_says_what_it_cost():
    def dying(X):
        if len(dying.rows) > 20:
            raise RuntimeError("no licence")
        dying.rows.extend(X)
        return bowl(X)

    dying.rows = []
    opt = optimizer(budget=40)
    with pytest.raises(ValueError, match="no licence"):
        opt.minimize(dying, BOX)
    assert len(opt.X_) == len(dying.rows)
    assert opt.n_evaluations_ <= len(dying.rows)


def test_parameters_of_the_proxys_fit_are_refused_where_it_learns_other_rows():
    X, y = table()
    weights = np.ones(len(X))
    with pytest.raises(ValueError, match="objective must be None, or sampler and budget None"):
        optimizer(objective=bowl, budget=40).fit(X, y, sample_weight=weights)


def test_a_grid_over_budgets_and_samplers():
    problem = Rosenbrock(n_dims=2)
    opt = optimizer(objective=problem, bounds=problem.bounds)
    X = UniformSampler(20, random_state=1).sample(problem.bounds)
    grid = {"budget": [30, 60], "sampler": [SobolSampler(16), LatinHypercubeSampler(16)]}
    scoring = optimum_error_scorer(problem, of="fun")
    search = GridSearchCV(opt, grid, scoring=scoring, cv=2).fit(X, problem(X))
    costs = [search.best_estimator_.n_evaluations_, search.best_params_["budget"]]
    assert costs[0] == costs[1]
    by_budget = pd.DataFrame(search.cv_results_).groupby("param_budget").mean_test_score.max()
    assert by_budget[60] >= by_budget[30]


def test_a_front_says_what_it_cost_and_whether_it_was_measured():
    def two(X):
        return np.column_stack([X[:, 0] ** 2, (X[:, 0] - 1.0) ** 2])

    settings = {"proxy": GaussianProcessRegressor(), "optimizer": NSGA2(8, 8), "random_state": 0}
    opt = ParetoOptimizer(vectorized=True, **settings, budget=24, n_rounds=1)
    assert opt.minimize(two, [[-1.0, 2.0]]).measured
    assert opt.n_evaluations_ == opt.result_.nfev <= 24
    fitted = ParetoOptimizer(**settings).fit(opt.X_, opt.y_)
    assert not fitted.result_.measured
    assert fitted.n_evaluations_ == 0
    looped = ParetoOptimizer(two, [[-1.0, 2.0]], vectorized=True, **settings, budget=24, n_rounds=1)
    looped.fit(opt.X_, opt.y_)
    assert looped.result_.measured
    np.testing.assert_array_equal(looped.X_front_, opt.X_front_)


def test_behind_transformers_the_optimum_comes_back_in_the_users_units():
    X, y = table(100)
    pipeline = make_pipeline(StandardScaler(), optimizer()).fit(X, y)
    np.testing.assert_allclose(optimum_of(pipeline) / [0.3, 20.0], 1.0, atol=0.1)
    assert np.abs(pipeline[-1].x_).max() < 3.0


def test_bounds_in_other_units_than_the_rows_are_noticed():
    X, y = table(100)
    with pytest.warns(
        RowsOutsideWarning, match=r"bounds hold \d+ of 100 samples.*transformed samples"
    ):
        make_pipeline(StandardScaler(), optimizer(bounds=[[-1.0, 0.0], [0.0, 50.0]])).fit(X, y)
    with pytest.raises(ValueError, match="in the same units; got none inside"):
        make_pipeline(StandardScaler(), optimizer(bounds=BOX)).fit(X, y)


def test_a_fitted_model_passed_bare_is_fitted_anew_and_that_is_said():
    X, y = table()
    forest = RandomForestRegressor(10, random_state=0).fit(X[:30], y[:30])
    with pytest.warns(RefittedProxyWarning, match=r"sklearn\.frozen\.FrozenEstimator\(proxy\)"):
        opt = optimizer(proxy=forest).fit(X, y)
    assert (opt.predict(X) != forest.predict(X)).any()


@pytest.mark.filterwarnings("error::sklearn_proxyopt.exceptions.RefittedProxyWarning")
def test_a_frozen_model_is_searched_as_it_is():
    X, y = table()
    forest = RandomForestRegressor(10).fit(X[:30], y[:30])
    opt = optimizer(proxy=FrozenEstimator(forest)).fit(X, y)
    np.testing.assert_array_equal(opt.predict(X), forest.predict(X))
    assert opt.diagnose().verdict in ("credible", "doubtful", "false")
