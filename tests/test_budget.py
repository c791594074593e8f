"""Runs that are given a budget, a target, a time or patience."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import LinearConstraint
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt.evaluation import Journal
from sklearn_proxyopt.exceptions import FailedEvaluationWarning
from sklearn_proxyopt.infill import ProxyMinima
from sklearn_proxyopt.problems import Rosenbrock, StyblinskiTang
from sklearn_proxyopt.refine import LocalRefinement, SurrogateCMAES, _surrogate_cmaes
from sklearn_proxyopt.refine._basins import Basin
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import Integer

PROBLEM = StyblinskiTang(n_dims=2)
PROXY = NeuralProxyRegressor((16, 16), max_epochs=20)


def optimizer_with(**parameters):
    defaults = {"proxy": PROXY, "vectorized": True, "verdict": False, "random_state": 0}
    return ProxyOptimizer(**(defaults | parameters))


def bowl(X):
    return np.square(X + 2.9).sum(axis=1)


class Counted:
    """A problem that counts its calls."""

    def __init__(self, problem=PROBLEM):
        self.problem, self.rows = problem, []

    def __call__(self, X):
        self.rows.extend(map(tuple, X))
        return self.problem(X)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"sampler": SobolSampler(16)},
        {"infill": ProxyMinima(4)},
        {"refiner": SurrogateCMAES(population=6)},
        {"refiner": LocalRefinement(n_descents=20)},
    ],
    ids=["defaults", "sampler", "infill", "cmaes", "local"],
)
def test_a_budget_is_kept_and_no_row_is_bought_twice(parameters):
    fun = Counted()
    result = optimizer_with(**parameters).minimize(fun, PROBLEM.bounds, budget=60)
    assert len(fun.rows) == len(set(fun.rows)) == result.nfev <= 60
    assert result.nfev > 45
    # At the bottom of one of the four basins: the highest lies 28.3 above the lowest.
    assert result.fun - PROBLEM.f_opt < 28.4


def test_the_message_says_that_the_budget_is_spent():
    result = optimizer_with().minimize(PROBLEM, PROBLEM.bounds, budget=40)
    assert result.nfev == 40
    assert result.message.startswith("The budget of 40 evaluations is spent.")


@pytest.mark.parametrize("limits", [{"budget": 40}, {"budget": 200, "target": 20.0}])
def test_the_message_says_what_is_left_undone_however_the_run_ends(limits):
    result = optimizer_with().minimize(PROBLEM, PROBLEM.bounds, **limits)
    said = r"(More evaluations|By the latest gains) .* basins? found|After so few"
    assert re.search(said, result.message)


def test_the_message_names_basins_by_values_in_the_users_sign(monkeypatch):
    basins = [Basin(np.zeros(2), -9.0, 0.0), Basin(np.ones(2), -4.0, 1e6)]
    monkeypatch.setattr(_surrogate_cmaes, "basins_of", lambda descents: basins)
    result = optimizer_with().maximize(lambda X: -bowl(X), PROBLEM.bounds, budget=20)
    assert "in that of 4, of the 2 basins found" in result.message


def test_a_budget_of_eighty_rows_a_variable_solves_a_valley():
    problem = Rosenbrock(n_dims=4).rotated_and_shifted(random_state=3)
    found = [
        optimizer_with(random_state=seed).minimize(problem, problem.bounds, budget=320).fun
        for seed in range(5)
    ]
    # Now and then a run ends in the other minimum, of 4.
    assert np.median(found) < 1e-6


@pytest.mark.parametrize("infill", [None, ProxyMinima(4, n_rounds=2)])
def test_a_refiner_keeps_its_own_limit_within_a_budget(infill):
    params = {"sampler": SobolSampler(16), "infill": infill}
    params["refiner"] = SurrogateCMAES(max_evaluations=10)
    result = optimizer_with(**params).minimize(PROBLEM, PROBLEM.bounds, budget=60)
    assert result.nfev == 26 + (8 if infill else 0)
    assert result.message.startswith("Refinement used all of its 10 evaluations.")


@pytest.mark.parametrize("limit", [None, 500])
def test_a_budget_beyond_the_usual_limit_of_a_refiner_is_spent(limit):
    params = {"sampler": SobolSampler(16), "refiner": SurrogateCMAES(limit)}
    result = optimizer_with(**params).minimize(PROBLEM, PROBLEM.bounds, budget=250)
    assert result.nfev == 250


@pytest.mark.parametrize("budget", [6, 30])
def test_without_a_refiner_all_but_one_evaluation_are_the_design(budget):
    opt = optimizer_with(refiner=None)
    assert opt.minimize(PROBLEM, PROBLEM.bounds, budget=budget).nfev == budget
    assert opt.to_frame()["stage"].tolist() == ["design"] * (budget - 1) + ["refine"]


def test_without_a_refiner_infill_takes_all_that_the_design_leaves():
    opt = optimizer_with(refiner=None, infill=ProxyMinima(2))
    assert 29 <= opt.minimize(PROBLEM, PROBLEM.bounds, budget=30).nfev <= 30


@pytest.mark.parametrize("method", ["minimize", "maximize"])
def test_where_all_settings_are_known_nothing_is_left_and_the_best_is_certain(method):
    opt = optimizer_with(proxy="gp", verdict=True, input_format="array")
    sign = 1.0 if method == "minimize" else -1.0
    space = {"a": Integer(0, 4), "b": Integer(0, 2)}
    result = getattr(opt, method)(
        lambda X: sign * ((X[:, 0] - 2.0) ** 2 + X[:, 1]), space, budget=40
    )
    assert result.nfev in (15, 16)
    assert " All 15 settings are known. " in result.message
    assert "basin" not in result.message
    found = opt.diagnose()
    assert (found.verdict, found.probability, found.n_to_settle) == ("credible", 1.0, 0)
    assert found.reasons == ["+ all 15 settings were evaluated"]


@pytest.mark.parametrize(
    ("noise_std", "n_repeats", "is_certain"),
    [("auto", 1, False), (None, 1, True), ("auto", 2, True)],
)
def test_of_a_table_of_all_settings_the_best_is_certain_unless_noise_may_hide(
    noise_std, n_repeats, is_certain
):
    X = np.repeat([[a, b] for a in range(4) for b in range(3)], n_repeats, axis=0)
    opt = optimizer_with(proxy="gp", bounds=[Integer(0, 3), Integer(0, 2)], noise_std=noise_std)
    opt.fit(X, (X[:, 0] - 1.0) ** 2 + X[:, 1])
    assert (opt.diagnose().reasons == ["+ all 12 settings were evaluated"]) is is_certain


def test_settings_that_are_not_feasible_need_not_be_known():
    space = {"a": Integer(0, 5), "b": Integer(0, 5)}
    opt = optimizer_with(
        proxy="gp", input_format="array", constraints=LinearConstraint([[1.0, 1.0]], ub=4.0)
    )
    result = opt.minimize(lambda X: X[:, 0] - 2.0 * X[:, 1], space, budget=40)
    assert " All 15 settings are known. " in result.message
    assert opt.diagnose().probability == 1.0


def test_rows_given_do_not_count():
    X = np.random.default_rng(0).uniform(-5.0, 5.0, (20, 2))
    fun = Counted()
    optimizer = optimizer_with()
    result = optimizer.minimize(fun, PROBLEM.bounds, X=X, y=PROBLEM(X), budget=30)
    assert len(fun.rows) == result.nfev == 30
    assert len(optimizer.X_) == 50


@pytest.mark.parametrize("budget", [None, 20])
@pytest.mark.parametrize("refiner", ["auto", LocalRefinement(max_evaluations=10)])
def test_rows_given_may_lie_outside_the_box_lower_than_any_inside(budget, refiner):
    X = np.random.default_rng(0).uniform(-5.0, 5.0, (40, 2))
    box = [[0.0, 5.0]] * 2
    result = optimizer_with(refiner=refiner).minimize(
        PROBLEM, box, X=X, y=PROBLEM(X), budget=budget
    )
    assert ((result.x >= 0.0) & (result.x <= 5.0)).all()
    assert result.fun == pytest.approx(PROBLEM(result.x[None])[0], rel=1e-9)
    assert result.fun > PROBLEM(X).min()


class Falling(RegressorMixin, BaseEstimator):
    """A regressor whose predictions fall along the first variable from those of the objective."""

    def __init__(self, slope):
        self.slope = slope

    def fit(self, X, y):
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X):
        return PROBLEM(X) - self.slope * X[:, 0]


@pytest.mark.parametrize(("slope", "is_asked"), [(1e6, False), (-1e6, False), (0.0, True)])
def test_of_a_small_budget_nothing_goes_to_a_promise_that_cannot_be_believed(slope, is_asked):
    asked = []
    for proxy in (Falling(slope), DummyRegressor()):
        optimizer = optimizer_with(proxy=proxy)
        optimizer.minimize(PROBLEM, PROBLEM.bounds, budget=30)
        asked.append(optimizer.X_)
    assert np.array_equal(*asked) == (not is_asked)


@pytest.mark.parametrize(("budget", "n_learned"), [(100, 91), (120, 66)])
def test_the_proxy_learns_half_way_or_where_few_evaluations_are_left_later(budget, n_learned):
    # Values are said to be exact, so that no repeat comes in between.
    optimizer = optimizer_with(proxy=DummyRegressor(), noise_std=None)
    optimizer.minimize(PROBLEM, PROBLEM.bounds, budget=budget)
    assert optimizer.n_learned_ == n_learned


def test_noise_is_looked_for_half_way_where_the_proxy_learns_later():
    optimizer = optimizer_with(proxy=DummyRegressor())
    optimizer.minimize(PROBLEM, PROBLEM.bounds, budget=100)
    first = np.array(
        [(optimizer.X_[:place] == row).all(axis=1).any() for place, row in enumerate(optimizer.X_)]
    )
    (repeated,) = np.flatnonzero(first)
    assert 50 <= repeated <= 60
    assert optimizer.n_learned_ == 92


def test_a_target_ends_the_run():
    fun = Counted()
    result = optimizer_with().minimize(fun, PROBLEM.bounds, budget=200, target=20.0)
    assert result.fun <= 20.0
    assert len(fun.rows) < 200
    assert result.message.startswith("The target of 20 was reached after")


def test_patience_ends_a_run_that_gains_nothing():
    fun = Counted(lambda X: np.ones(len(X)))
    result = optimizer_with().minimize(fun, PROBLEM.bounds, budget=200, patience=20)
    assert 20 <= len(fun.rows) < 60
    assert result.message.startswith("There was no gain within")


def test_the_time_ends_a_run():
    result = optimizer_with().minimize(PROBLEM, PROBLEM.bounds, budget=200, max_seconds=1e-9)
    assert result.nfev == 12
    assert result.message.startswith("The time of 1e-09 seconds is over")
    assert np.isnan(result.true_at_proxy)


def test_limits_work_without_a_budget_too():
    optimizer = optimizer_with(sampler=SobolSampler(32))
    result = optimizer.minimize(PROBLEM, PROBLEM.bounds, target=5.0)
    assert result.fun <= 5.0
    assert result.message.startswith("The target of 5 was reached")


def test_failures_count_and_the_minimum_is_found_beside_them():
    def fun(X):
        return np.where(X[:, 0] > 0.0, np.nan, bowl(X))

    optimizer = optimizer_with(on_error="learn")
    with pytest.warns(FailedEvaluationWarning):
        result = optimizer.minimize(fun, PROBLEM.bounds, budget=80)
    assert result.nfev == 80
    assert result.n_failed == len(optimizer.X_failed_) > 0
    assert result.fun < 1e-3


@pytest.mark.parametrize("n_pending", [1, 3])
def test_the_same_seed_gives_the_same_run_whatever_evaluates_it(n_pending):
    one, other = optimizer_with(), optimizer_with(n_jobs=2)
    one.minimize(PROBLEM, PROBLEM.bounds, budget=50, n_pending=n_pending)
    other.minimize(PROBLEM, PROBLEM.bounds, budget=50, n_pending=n_pending)
    assert_allclose(one.X_, other.X_, rtol=0, atol=0)


def test_a_run_that_was_cut_goes_on_from_its_journal_to_the_same_answer(tmp_path):
    class CutError(Exception):
        pass

    def cut_at(n_rows):
        n_called = 0

        def fun(X):
            nonlocal n_called
            n_called += len(X)
            if n_called > n_rows:
                raise CutError
            return PROBLEM(X)

        return fun

    whole = optimizer_with().minimize(PROBLEM, PROBLEM.bounds, budget=60)
    path = tmp_path / "runs.sqlite"
    for n_rows in (10, 20):
        with pytest.raises(ValueError, match="raised CutError"):
            optimizer_with(journal=path).minimize(cut_at(n_rows), PROBLEM.bounds, budget=60)
    result = optimizer_with(journal=path).minimize(PROBLEM, PROBLEM.bounds, budget=60)
    assert_allclose(result.x, whole.x, rtol=0, atol=0)
    assert len(Journal(path).rows()[0]) == 60
    assert result.nfev <= 60 - 20


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"budget": 3}, "budget must be an integer of at least 4"),
        ({"budget": 10.5}, "budget must be an integer"),
        ({"target": np.nan}, "target must be a finite number"),
        ({"max_seconds": 0.0}, "max_seconds must be a finite number"),
        ({"patience": 0}, "patience must be an integer of at least 1"),
    ],
)
def test_a_wrong_limit_is_named_before_anything_is_paid_for(limits, message):
    fun = Counted()
    with pytest.raises(ValueError, match=message):
        optimizer_with().minimize(fun, PROBLEM.bounds, **limits)
    assert not fun.rows


def test_a_design_beyond_the_budget_is_refused_before_it_is_bought():
    fun = Counted()
    with pytest.raises(
        ValueError, match="budget must exceed the 64 new samples of the sampler's design"
    ):
        optimizer_with(sampler=SobolSampler(64)).minimize(fun, PROBLEM.bounds, budget=64)
    assert not fun.rows


def test_the_verdict_tolerates_what_is_little_beside_the_first_design():
    optimizer = optimizer_with(verdict=True)
    result = optimizer.minimize(bowl, PROBLEM.bounds, budget=80)
    spread = np.median(optimizer.y_[:12]) - optimizer.y_.min()
    assert_allclose(optimizer.diagnose(of="answer").regret, 0.02 * spread, rtol=1e-6)
    assert result.verdict != "false"


def test_the_time_ends_a_run_of_single_rows_within_a_design():
    rows = []

    def slow(x):
        rows.append(x)
        time.sleep(0.05)
        return float((x**2).sum())

    optimizer = optimizer_with(vectorized=False, sampler=SobolSampler(64))
    result = optimizer.minimize(slow, PROBLEM.bounds, max_seconds=0.2)
    assert 2 <= len(rows) == result.nfev < 10
    assert result.message.startswith("The time of 0.2 seconds is over")


def test_a_target_ends_a_run_of_single_rows_at_the_first_that_reaches_it():
    rows = []

    def fun(x):
        rows.append(x)
        return float(PROBLEM(x[None])[0])

    optimizer = optimizer_with(vectorized=False, sampler=SobolSampler(64))
    result = optimizer.minimize(fun, PROBLEM.bounds, target=40.0)
    values = PROBLEM(np.array(rows))
    assert result.nfev == len(rows) < 64
    assert result.fun == values[-1] <= 40.0
    assert (values[2:-1] > 40.0).all()


def test_a_target_does_not_end_a_run_before_two_rows_have_succeeded():
    def fails_at_first(x):
        rows.append(x)
        return np.nan if len(rows) in {2, 3} else 1.0

    rows = []
    optimizer = optimizer_with(vectorized=False, on_error="drop", sampler=SobolSampler(8))
    with pytest.warns(FailedEvaluationWarning):
        result = optimizer.minimize(fails_at_first, PROBLEM.bounds, target=5.0)
    assert (result.nfev, result.n_failed) == (4, 2)


def test_a_target_that_rows_given_have_reached_costs_nothing():
    X = np.random.default_rng(0).uniform(-5.0, 5.0, (20, 2))
    fun = Counted()
    result = optimizer_with().minimize(fun, PROBLEM.bounds, X=X, y=PROBLEM(X), target=1000.0)
    assert not fun.rows
    assert result.fun == PROBLEM(X).min()
    assert result.message.startswith("The target of 1000 was reached after 0 evaluations.")


def test_rows_outside_the_box_reach_no_target():
    X = np.vstack([np.full((1, 2), -2.9), [[1.0, 1.0], [2.0, 1.0]]])
    result = optimizer_with().minimize(
        Counted(), [[0.0, 5.0]] * 2, X=X, y=PROBLEM(X), target=-70.0, budget=20
    )
    assert result.message.startswith("The budget of 20 evaluations is spent.")


def test_a_run_that_ends_with_nothing_but_failures_says_so():
    message = "succeed on at least two samples before the run ends; got 0 of 12"
    with (
        pytest.raises(ValueError, match=message),
        pytest.warns(FailedEvaluationWarning),
    ):
        optimizer_with(on_error="drop").minimize(
            lambda X: np.full(len(X), np.nan), PROBLEM.bounds, budget=50, patience=5
        )


def test_rows_of_a_design_that_are_known_do_not_count_against_the_budget():
    sampler = SobolSampler(64, random_state=1)
    X = sampler.sample(PROBLEM.bounds)
    fun = Counted()
    optimizer_with(sampler=sampler).minimize(fun, PROBLEM.bounds, X=X, y=PROBLEM(X), budget=20)
    assert len(fun.rows) == 20


class Listener:
    """A callback that notes the names of stages."""

    max_propagation_depth = 0

    def __init__(self):
        self.begun, self.ended = [], []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        self.begun.append(context.task_name)

    def on_fit_task_end(self, estimator, context, metadata=None):
        self.ended.append(context.task_name)


def test_a_stage_that_a_limit_ends_is_ended_for_callbacks():
    listener = Listener()
    optimizer_with().set_callbacks(listener).minimize(
        PROBLEM, PROBLEM.bounds, budget=200, target=20.0
    )
    assert "explore" in listener.begun
    assert sorted(listener.begun) == sorted(listener.ended)
