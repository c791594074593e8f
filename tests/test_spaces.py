"""Whole numbers, categories, log-scaled variables and constraints in a ProxyOptimizer."""

import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, NonlinearConstraint
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from spies import Spy

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt._run._diagnose import evidence_of
from sklearn_proxyopt._utils._state_file import read_state, write_state
from sklearn_proxyopt.displays import LandscapeDisplay, OptimumSpreadDisplay
from sklearn_proxyopt.evaluation import Journal
from sklearn_proxyopt.exceptions import JournalError
from sklearn_proxyopt.infill import (
    DoubtfulMinima,
    ExpectedImprovement,
    LowerConfidenceBound,
    ProxyMinima,
    ThompsonSampling,
    TrustRegion,
)
from sklearn_proxyopt.optimizers import DifferentialEvolution, MultiStartBFGS, ParticleSwarm
from sklearn_proxyopt.refine import LocalRefinement, SurrogateCMAES
from sklearn_proxyopt.samplers import LatinHypercubeSampler, SobolSampler
from sklearn_proxyopt.variables import Categorical, Integer, Ordinal, Periodic, Real, Variables

NAMES = ["pressure", "stages", "fluid", "flow"]
FLUIDS = ["R32", "R290", "R1234yf"]
BOUNDS = {
    "pressure": (0.0, 10.0),
    "stages": Integer(1, 8),
    "fluid": FLUIDS,
    "flow": Real(0.1, 1000.0, log=True),
}
BUDGET = LinearConstraint([[1, 1, 0, 0]], -np.inf, 12.0)


def plant(X):
    """Cost of a plant, lowest at pressure 7, 5 stages, R290 and a flow of 10."""
    penalty = np.array([0.5, -1.0, 0.2])[X[:, 2].astype(int)]
    return (
        (X[:, 0] - 9.0) ** 2 / 10 + (X[:, 1] - 5.3) ** 2 / 3 + penalty + np.log10(X[:, 3] / 10) ** 2
    )


def quick(**params):
    params = {
        "bounds": BOUNDS,
        "input_format": "array",
        "constraints": BUDGET,
        "sampler": LatinHypercubeSampler(80),
        "proxy": NeuralProxyRegressor(max_epochs=30),
        "optimizer": MultiStartBFGS(16, n_rounds=2),
        "verdict": False,
        "vectorized": True,
        "random_state": 0,
        **params,
    }
    return ProxyOptimizer(**params)


def rows_of_plant(n_rows=80, seed=0):
    X = Variables(BOUNDS).from_unit_cube(np.random.default_rng(seed).random((n_rows, 4)))
    return X, plant(X)


# The ten lines of a user.


def test_a_plant_of_every_kind_of_variable_is_optimised():
    spy = Spy(plant)
    opt = ProxyOptimizer(
        constraints=[LinearConstraint([[1, 1, 0, 0]], -np.inf, 12.0)],
        input_format="array",
        sampler=LatinHypercubeSampler(200),
        random_state=0,
        vectorized=True,
    )
    result = opt.minimize(spy, BOUNDS)
    np.testing.assert_allclose(result.x, [7.0, 5.0, 1.0, 10.0], rtol=1e-3)
    assert result.x_named["fluid"] == "R290"
    assert result.x_named["stages"] == 5
    assert list(result.x_named) == NAMES
    assert opt.variables_.is_feasible(np.array(spy.rows)).all()
    assert result.nfev == len(spy.rows) <= 400
    assert result.verdict == "credible"


ENDS = [(0.5, 6.0), Integer(1, 6), Real(0.5, 6.0, log=True), Real(0, 6, step=0.4), Periodic(0, 6)]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    ends=st.tuples(st.sampled_from(ENDS), st.sampled_from(ENDS)),
    middle=st.sampled_from([(1, 5), Integer(1, 5), Categorical([2, 4, 8]), Ordinal([2, 4, 8]), 2]),
    limit=st.floats(4.0, 12.0),
    curved=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_every_row_evaluated_is_valid_and_feasible(ends, middle, limit, curved, seed):
    bounds = [ends[0], middle, ends[1]]
    constraint = LinearConstraint([[1, 1, 1]], -np.inf, limit)
    if curved:
        constraint = NonlinearConstraint(lambda x: x[0] * x[2] + x[1], -np.inf, limit)
    spy = Spy(lambda X: np.square(X - [3.3, 2.2, 1.1]).sum(axis=1))
    opt = quick(
        proxy=make_pipeline(StandardScaler(), PolynomialFeatures(2), LinearRegression()),
        sampler=SobolSampler(24),
        constraints=constraint,
        random_state=seed,
    )
    result = opt.minimize(spy, bounds)
    assert opt.variables_.is_feasible(np.array(spy.rows)).all()
    assert opt.variables_.is_feasible([result.x, result.x_proxy]).all()
    assert result.fun == pytest.approx(min(spy.fun(np.array(spy.rows))), rel=1e-9)


@pytest.mark.parametrize("optimizer", [ParticleSwarm(), DifferentialEvolution()])
@pytest.mark.parametrize("proxy", [None, RandomForestRegressor(20)])
def test_any_optimizer_finds_valid_rows_of_any_proxy(optimizer, proxy):
    spy = Spy(plant)
    opt = quick(optimizer=optimizer)
    if proxy is not None:
        opt.set_params(proxy=proxy)
    result = opt.minimize(spy, BOUNDS)
    assert opt.variables_.is_feasible(np.array(spy.rows)).all()
    assert opt.variables_.is_feasible(result.x_proxy[None])[0]
    assert result.x[2] == 1.0


def test_whole_numbers_are_those_of_an_enumeration():
    def cost(X):
        return np.square(X - [3.4, 6.2, 1.7]).sum(axis=1) + 0.4 * X[:, 0] * X[:, 1]

    every = np.array(list(itertools.product(range(11), repeat=3)), dtype=float)
    every = every[every.sum(axis=1) >= 9]
    opt = ProxyOptimizer(
        constraints=LinearConstraint([[1, 1, 1]], 9.0),
        sampler=SobolSampler(60),
        verdict=False,
        random_state=0,
        vectorized=True,
    )
    result = opt.minimize(cost, [Integer(0, 10)] * 3)
    np.testing.assert_array_equal(result.x, every[cost(every).argmin()])


def test_a_g_function_of_the_literature_is_solved():
    # Problem g04 of the CEC 2006 competition; its optimum is known to eleven digits.
    def g04(X):
        a, _, c, _, e = X.T
        return 5.3578547 * c**2 + 0.8356891 * a * e + 37.293239 * a - 40792.141

    def limits(x):
        a, b, c, d, e = x
        return [
            85.334407 + 0.0056858 * b * e + 0.0006262 * a * d - 0.0022053 * c * e,
            80.51249 + 0.0071317 * b * e + 0.0029955 * a * b + 0.0021813 * c**2,
            9.300961 + 0.0047026 * c * e + 0.0012547 * a * c + 0.0019085 * c * d,
        ]

    opt = ProxyOptimizer(
        constraints=NonlinearConstraint(limits, [0, 90, 20], [92, 110, 25]),
        sampler=SobolSampler(128),
        verdict=False,
        random_state=0,
        vectorized=True,
    )
    result = opt.minimize(g04, [(78, 102), (33, 45), (27, 45), (27, 45), (27, 45)])
    assert -30665.5387 <= result.fun < -30665.5
    assert opt.variables_.is_feasible(result.x[None])[0]


def test_a_log_axis_makes_a_better_proxy_of_a_variable_of_many_magnitudes():
    def stiff(X):
        return np.tanh(np.log10(X[:, 0]) - 0.5) ** 2 + 0.1 * np.sin(3 * np.log10(X[:, 0]))

    X = 10 ** np.random.default_rng(0).uniform(-3, 3, (200, 1))
    scores = [
        ProxyOptimizer(bounds=[Real(1e-3, 1e3, log=log)], random_state=0)
        .fit(X[:100], stiff(X[:100]))
        .score(X[100:], stiff(X[100:]))
        for log in (False, True)
    ]
    assert scores[1] > 0.95
    assert scores[1] > scores[0] + 0.1


# Names, labels and codes.


def test_an_objective_of_names_gets_a_frame_with_labels():
    frames = []

    def cost(frame):
        frames.append(frame)
        return plant(frame.assign(fluid=frame["fluid"].map(FLUIDS.index)).to_numpy(dtype=float))

    result = quick(input_format="auto").minimize(cost, BOUNDS)
    assert frames[0].columns.tolist() == NAMES
    assert frames[0]["stages"].dtype.kind == "i"
    assert set(frames[0]["fluid"]) == set(FLUIDS)
    assert result.x_named["fluid"] == "R290"


def test_an_objective_of_one_named_row_gets_a_dict():
    def cost(row):
        x = [row["pressure"], row["stages"], FLUIDS.index(row["fluid"]), row["flow"]]
        return plant(np.array([x]))[0]

    result = quick(input_format="named", vectorized=False).minimize(cost, BOUNDS)
    assert result.x_named["fluid"] == "R290"
    assert result.fun == pytest.approx(plant(result.x[None])[0], rel=1e-9)


def test_labels_of_a_frame_and_codes_of_an_array_are_the_same_rows():
    X, y = rows_of_plant()
    opt = quick(sampler=None)
    frame = Variables(BOUNDS).to_frame(X)
    by_codes, by_labels = clone(opt).fit(X, y), clone(opt).fit(frame, y)
    np.testing.assert_array_equal(by_codes.x_, by_labels.x_)
    np.testing.assert_array_equal(by_codes.predict(X), by_labels.predict(frame))
    assert by_codes.feature_names_in_.tolist() == NAMES
    assert by_codes.result_.x_named == by_labels.result_.x_named


def test_names_of_a_frame_serve_where_none_are_given():
    X, y = rows_of_plant()
    frame = Variables(BOUNDS).to_frame(X)
    opt = quick(bounds=None, sampler=None).fit(frame, y)
    assert opt.variables_.names == tuple(NAMES)
    assert set(opt.result_.x_named) == set(NAMES)


def test_the_box_of_rows_holds_every_code():
    X, y = rows_of_plant()
    frame = Variables(BOUNDS).to_frame(X[X[:, 2] == 1.0])
    frame["fluid"] = pd.Categorical(frame["fluid"], FLUIDS)
    opt = quick(bounds=None, sampler=None, constraints=()).fit(frame, y[X[:, 2] == 1.0])
    np.testing.assert_array_equal(opt.bounds_[2], [0.0, 2.0])


def test_a_prediction_with_an_unknown_label_is_refused():
    X, y = rows_of_plant()
    opt = quick(sampler=None).fit(X, y)
    frame = opt.variables_.to_frame(X[:2]).assign(fluid="R22")
    with pytest.raises(ValueError, match="X must hold labels of 'fluid'"):
        opt.predict(frame)


def test_columns_that_are_not_the_names_are_refused():
    X, y = rows_of_plant()
    with pytest.raises(ValueError, match="X must have the columns of bounds"):
        quick(sampler=None).fit(pd.DataFrame(X, columns=list("abcd")), y)
    with pytest.raises(ValueError, match="X must have a column for each of the 4 variables"):
        quick(sampler=None).fit(X[:, :3], y)


def test_bounds_that_do_not_fit_the_columns_of_a_frame_are_named():
    frame = pd.DataFrame(np.random.default_rng(0).random((20, 3)), columns=list("abc"))
    with pytest.raises(ValueError, match="bounds must have one row for each of the 3 variables"):
        ProxyOptimizer(bounds=[(0, 1)] * 2).fit(frame, frame["a"])


def test_rows_between_whole_numbers_are_refused():
    X, y = rows_of_plant()
    X[3, 1] = 2.5
    with pytest.raises(ValueError, match=r"X must hold integers in 'stages'; got 2\.5"):
        quick(sampler=None).fit(X, y)


def test_rows_of_which_none_is_feasible_are_refused():
    X, y = rows_of_plant()
    with pytest.raises(ValueError, match="constraints must be met by at least one of the samples"):
        quick(sampler=None, constraints=LinearConstraint([[1, 0, 0, 0]], ub=-1e-9)).fit(X, y)


def test_an_empty_region_is_refused_before_anything_is_paid_for():
    spy = Spy(plant)
    never = LinearConstraint([[1, 1, 0, 0]], 30.0, np.inf)
    with pytest.raises(ValueError, match="constraints must leave feasible samples inside bounds"):
        quick(constraints=never).minimize(spy, BOUNDS)
    assert spy.rows == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"constraints": LinearConstraint([[1, 1]])},
            r"constraints\[0\] must have a finite column",
        ),
        ({"input_format": "dict"}, "input_format must be one of 'auto', 'array', 'named'"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_paid_for(params, message):
    spy = Spy(plant)
    with pytest.raises(ValueError, match=message):
        quick(**params).minimize(spy, BOUNDS)
    assert spy.rows == []


# Every side of the optimizer.


def test_the_best_row_is_a_feasible_one():
    X, y = rows_of_plant()
    infeasible = X[:, 0] + X[:, 1] > 12
    y[infeasible] -= 100.0
    opt = quick(sampler=None).fit(X, y)
    assert opt.variables_.is_feasible(opt.x_best_row_[None])[0]
    assert opt.variables_.is_feasible(opt.x_[None])[0]


def test_rows_paid_for_that_miss_a_constraint_are_learned_but_never_the_answer():
    X, y = rows_of_plant()
    opt = quick(sampler=None)
    result = opt.minimize(plant, BOUNDS, X=X, y=y)
    assert (opt.X_[:, 0] + opt.X_[:, 1] > 12).any()
    assert opt.variables_.is_feasible(result.x[None])[0]


def test_points_asked_for_are_valid_feasible_and_new():
    opt = quick()
    rows = []
    for _ in range(3):
        asked = opt.ask(12)
        rows.extend(opt.X_pending_.tolist())
        opt.tell(asked, plant(opt.X_pending_))
    assert opt.variables_.is_feasible(np.array(rows)).all()
    assert len(np.unique(rows, axis=0)) == 36
    np.testing.assert_array_equal(opt.X_, rows)
    assert len(opt.X_pending_) == 0


def test_a_space_of_few_rows_runs_out_with_a_clear_error():
    opt = ProxyOptimizer(bounds=[Integer(0, 2)] * 2, sampler=SobolSampler(4), random_state=0)
    assert len(np.unique(opt.ask(9), axis=0)) == 9
    message = (
        "0 points that bounds and constraints leave.*got 1. Tell what is pending, widen bounds"
    )
    with pytest.raises(ValueError, match=f"n_points must not exceed the {message}"):
        opt.ask(1)


def test_a_diagnosis_checks_valid_feasible_rows():
    opt = quick(verdict=True)
    result = opt.minimize(plant, BOUNDS)
    spy = Spy(plant)
    diagnosis = opt.diagnose(spy, n_checks=6)
    assert result.probability > 0.7
    assert opt.variables_.is_feasible(diagnosis.X_checks).all()
    assert len(spy.rows) <= 6


def test_a_diagnosis_of_a_forest_looks_at_valid_rows():
    opt = quick(proxy=RandomForestRegressor(10))
    opt.minimize(plant, BOUNDS)
    inquiry = evidence_of(opt)
    assert opt.variables_.is_feasible(inquiry._pool).all()


def test_displays_draw_every_kind_of_variable():
    opt = quick()
    opt.minimize(plant, BOUNDS)
    spy = Spy(plant)
    LandscapeDisplay.from_estimator(opt, objective=spy, features=["stages", "fluid"], n_points=9)
    assert set(np.array(spy.rows)[:, 1]) == set(range(1, 9))
    OptimumSpreadDisplay.from_estimator(opt)


def test_a_smoothed_search_ends_at_a_feasible_row():
    spy = Spy(plant)
    opt = quick(smoothing=[0.2, 0.1])
    result = opt.minimize(spy, BOUNDS)
    assert opt.variables_.is_feasible(np.array(spy.rows)).all()
    assert result.x[2] == 1.0
    assert opt.smoothing_report_["used"].any()


def test_failures_are_learned_on_every_kind_of_variable():
    def patchy(X):
        return np.where(X[:, 2] == 1.0, np.nan, plant(X))

    opt = quick(on_error="learn", sampler=LatinHypercubeSampler(120))
    with pytest.warns(UserWarning, match="evaluations failed"):
        result = opt.minimize(patchy, BOUNDS)
    assert result.x[2] != 1.0
    risk = opt.failure_risk_(np.array([[5.0, 4.0, 1.0, 10.0], [5.0, 4.0, 0.0, 10.0]]))
    assert risk[0] > risk[1]


class Wanderer:
    """A refiner that knows nothing of variables, and asks for anything."""

    def refine(self, fun, candidates, bounds, *, incumbent=None):
        from scipy.optimize import OptimizeResult

        rows = np.random.default_rng(0).uniform(*bounds.T, (30, len(bounds)))
        values = fun(rows)
        best = int(np.nanargmin(values))
        return OptimizeResult(
            x=rows[best], fun=values[best], nfev=30, nit=1, success=True, message="Wandered."
        )

    def get_params(self, deep=True):
        return {}

    def set_params(self, **params):
        return self


@pytest.mark.parametrize(
    "refiner", [Wanderer(), SurrogateCMAES(max_evaluations=40)], ids=lambda one: type(one).__name__
)
def test_a_refiner_that_knows_no_variables_buys_feasible_rows_too(refiner):
    spy = Spy(plant)
    opt = quick(refiner=refiner)
    result = opt.minimize(spy, BOUNDS)
    assert opt.variables_.is_feasible(np.array(spy.rows)).all()
    assert result.fun == pytest.approx(plant(result.x[None])[0], rel=1e-9)


def test_the_same_seed_gives_the_same_answer():
    one, other = (quick().minimize(plant, BOUNDS) for _ in range(2))
    np.testing.assert_array_equal(one.x, other.x)
    assert one.fun == other.fun


def test_names_alone_change_no_answer():
    def bowl(X):
        return np.square(X - 0.3).sum(axis=1)

    params = {"sampler": SobolSampler(32), "verdict": False, "random_state": 0}
    plain = ProxyOptimizer(vectorized=True, **params).minimize(bowl, [(0, 1)] * 2)
    by_name = ProxyOptimizer(input_format="array", vectorized=True, **params)
    named = by_name.minimize(bowl, {"a": (0, 1), "b": (0, 1)})
    np.testing.assert_array_equal(plain.x, named.x)
    assert "x_named" not in plain
    assert named.x_named == dict(zip("ab", named.x.tolist(), strict=True))


def test_clones_and_pickles_keep_the_variables():
    opt = quick(constraints=BUDGET)
    opt.minimize(plant, BOUNDS)
    copy = pickle.loads(pickle.dumps(opt))
    X, _ = rows_of_plant(10)
    np.testing.assert_array_equal(copy.predict(X), opt.predict(X))
    assert clone(opt).get_params()["bounds"] == BOUNDS


def test_a_grid_search_chooses_among_kinds():
    X, y = rows_of_plant(120)
    square = make_pipeline(StandardScaler(), PolynomialFeatures(2), LinearRegression())
    search = GridSearchCV(
        quick(sampler=None, proxy=square),
        {"bounds": [{**BOUNDS, "flow": Real(0.1, 1000.0, log=log)} for log in (False, True)]},
        cv=2,
    ).fit(X, y)
    assert search.best_params_["bounds"]["flow"].log
    assert search.best_score_ > 0.99


def test_select_takes_rows_near_a_design_on_the_axes():
    X, y = rows_of_plant(200)
    opt = quick(sampler=SobolSampler(64)).fit(X, y)
    assert len(opt.X_) == 64
    assert 1 < np.median(opt.X_[:, 3]) < 100


# What is kept on disk.


def test_save_and_load_go_on_with_the_same_answer(tmp_path):
    X, y = rows_of_plant()
    opt = quick().tell(X, y)
    opt.save(tmp_path / "state.npz")
    again = quick().load(tmp_path / "state.npz")
    np.testing.assert_array_equal(again.x_, opt.x_)
    assert again.result_.x_named == opt.result_.x_named


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"stages": (1, 8)}, "'stages' is an integer there, got continuous"),
        ({"stages": Integer(1, 8, step=7)}, "got an integer in steps of 7"),
        ({"fluid": ["a", "b", "c"]}, "'fluid' is a category of .*R32.* there"),
        ({"fluid": Ordinal(FLUIDS)}, "'fluid' is a category of .*, got ordered"),
        ({"pressure": Periodic(0, 10)}, "'pressure' is continuous there, got periodic"),
    ],
)
def test_a_file_of_other_variables_is_refused(tmp_path, params, message):
    X, y = rows_of_plant()
    quick().tell(X, y).save(tmp_path / "state.npz")
    with pytest.raises(ValueError, match=message):
        quick(bounds={**BOUNDS, **params}).load(tmp_path / "state.npz")


def test_a_file_of_other_names_is_refused(tmp_path):
    X, y = rows_of_plant()
    quick().tell(X, y).save(tmp_path / "state.npz")
    others = dict(zip(["a", "b", "fluid", "flow"], BOUNDS.values(), strict=True))
    with pytest.raises(ValueError, match="path must be of the same variables"):
        quick(bounds=others).load(tmp_path / "state.npz")


def test_a_file_with_damaged_kinds_is_refused(tmp_path):
    X, y = rows_of_plant()
    path = tmp_path / "state.npz"
    quick().tell(X, y).save(path)
    arrays, facts = read_state(path)
    del facts["arrays"]
    write_state(path, arrays, facts | {"kinds": {"whole": 3}})
    with pytest.raises(ValueError, match="path must be a file whose facts fit together"):
        quick().load(path)


def test_a_run_goes_on_from_its_journal(tmp_path):
    path = tmp_path / "runs.sqlite"
    first, second = Spy(plant), Spy(plant)
    one = quick(journal=path).minimize(first, BOUNDS)
    other = quick(journal=path).minimize(second, BOUNDS)
    assert second.rows == []
    np.testing.assert_array_equal(one.x, other.x)
    assert Journal(path).names() == NAMES


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({**BOUNDS, "stages": (1, 8)}, "'stages' is an integer in .*, got continuous"),
        ({**BOUNDS, "fluid": ["a", "b", "c"]}, "'fluid' is a category of .*R32"),
        ({**BOUNDS, "fluid": Ordinal(FLUIDS)}, "'fluid' is a category of .*, got ordered"),
        (dict(zip("abcd", BOUNDS.values(), strict=True)), "variable 0 is 'pressure'"),
    ],
)
def test_a_journal_of_other_variables_is_refused(tmp_path, bounds, message):
    path = tmp_path / "runs.sqlite"
    quick(journal=path).minimize(plant, BOUNDS)
    with pytest.raises(JournalError, match=message):
        quick(journal=path).minimize(plant, bounds)


def test_a_journal_of_continuous_variables_is_not_one_of_whole_numbers(tmp_path):
    path = tmp_path / "runs.sqlite"
    params = {"sampler": SobolSampler(8), "verdict": False, "random_state": 0, "journal": path}
    params["refiner"] = LocalRefinement(max_evaluations=2)

    def bowl(X):
        return np.square(X).sum(axis=-1)

    ProxyOptimizer(**params).minimize(bowl, [(0, 9)] * 2)
    with pytest.raises(JournalError, match=r"variable 0 is continuous in .*, got an integer"):
        ProxyOptimizer(**params).minimize(bowl, [Integer(0, 9)] * 2)


def test_what_was_told_is_recalled_from_a_journal(tmp_path):
    path = tmp_path / "runs.sqlite"
    X, y = rows_of_plant()
    told = quick(journal=path).tell(X, y)
    opt = quick(journal=path)
    assert len(opt.ask(2)) == 2
    np.testing.assert_array_equal(opt.x_, told.x_)


# Rounds, budgets and targets.


@pytest.mark.parametrize(
    "infill",
    [
        ProxyMinima(4),
        DoubtfulMinima(4),
        TrustRegion(4),
        ThompsonSampling(4),
        ExpectedImprovement(4),
        LowerConfidenceBound(4),
    ],
    ids=lambda one: type(one).__name__,
)
def test_every_infill_buys_feasible_rows(infill):
    spy = Spy(plant)
    opt = quick(
        infill=clone(infill).set_params(n_rounds=2),
        sampler=LatinHypercubeSampler(40),
        proxy=NeuralProxyRegressor(n_members=3, max_epochs=20),
        refiner=None,
    )
    result = opt.minimize(spy, BOUNDS)
    assert opt.variables_.is_feasible(np.array(spy.rows)).all()
    assert 41 < len(spy.rows) <= 49
    assert result.fun == pytest.approx(min(plant(np.array(spy.rows))), rel=1e-9)


@pytest.mark.parametrize("curved", [False, True])
def test_a_budget_is_spent_on_feasible_rows(curved):
    spy = Spy(plant)
    limit = NonlinearConstraint(lambda x: x[0] + x[1] + np.log(x[3]), -np.inf, 14.4)
    opt = quick(sampler=None, constraints=limit if curved else BUDGET)
    result = opt.minimize(spy, BOUNDS, budget=100)
    assert opt.variables_.is_feasible(np.array(spy.rows)).all()
    assert len(spy.rows) == 100
    assert result.x_named["fluid"] == "R290"
    # The lowest rows have -0.733, or -0.567 where the limit is straight, by a fine grid.
    assert result.fun < (-0.72 if curved else -0.5)
    assert result.fun == pytest.approx(min(plant(np.array(spy.rows))), rel=1e-9)


def test_points_that_stand_for_known_rows_leave_the_budget_as_it_is():
    spy = Spy(lambda X: ((X - [3.0, 11.0, 0.2]) ** 2 * [1.0, 1.0, 20.0]).sum(axis=1))
    opt = ProxyOptimizer(proxy=LinearRegression(), verdict=False, random_state=0, vectorized=True)
    result = opt.minimize(spy, [Integer(0, 15), Integer(0, 15), (0, 1)], budget=120)
    assert result.nfev == len(np.unique(spy.rows, axis=0)) == 120
    assert result.fun < 1e-6


def test_a_budget_beyond_all_rows_buys_each_of_them_once():
    spy = Spy(lambda X: np.abs(X - 1.0).sum(axis=1))
    opt = ProxyOptimizer(proxy=LinearRegression(), verdict=False, random_state=0, vectorized=True)
    result = opt.minimize(spy, [Integer(0, 2)] * 2, budget=50)
    assert len(spy.rows) == len(np.unique(spy.rows, axis=0)) <= 9
    assert result.fun == 0.0


def plant_within_limits(X):
    """The plant, whose pressure may reach 6 and whose pressure times stages 30."""
    return np.column_stack([plant(X), X[:, 0] - 6.0, (X[:, 0] * X[:, 1] - 30.0) / 10.0])


def test_known_constraints_and_those_of_the_function_hold_together():
    spy = Spy(plant_within_limits)
    limit = LinearConstraint([[1, 1, 0, 0]], -np.inf, 10.5)
    opt = quick(constraints=limit, n_constraints=2, proxy=NeuralProxyRegressor(max_epochs=60))
    result = opt.minimize(spy, BOUNDS)
    assert opt.variables_.is_feasible(np.array(spy.rows)).all()
    assert result.feasible
    assert result.x_named["stages"] == 5
    assert result.x_named["fluid"] == "R290"
    np.testing.assert_allclose(result.x[0], 5.5, atol=1e-3)
    np.testing.assert_allclose(result.fun, 0.255, atol=1e-3)
    np.testing.assert_array_equal(result.constraints, plant_within_limits(result.x[None])[0, 1:])


def test_whole_numbers_alone_move_within_the_constraints_of_the_function():
    def cube(X):
        return np.column_stack([((X - 3.2) ** 2).sum(axis=1), 12.0 - X.sum(axis=1)])

    opt = ProxyOptimizer(
        n_constraints=1,
        sampler=SobolSampler(32),
        proxy=NeuralProxyRegressor(max_epochs=40),
        verdict=False,
        random_state=0,
        vectorized=True,
    )
    result = opt.minimize(cube, [Integer(0, 8)] * 3)
    np.testing.assert_array_equal(result.x, [4.0, 4.0, 4.0])
    assert result.feasible


def test_points_asked_for_meet_known_constraints_and_come_back_from_a_journal(tmp_path):
    def opened():
        return quick(n_constraints=2, journal=tmp_path / "runs.sqlite")

    first = opened()
    X = first.ask(30)
    first.tell(X, plant_within_limits(first.X_pending_))
    first.ask(3)
    asked = first.X_pending_
    second = opened()
    second.ask(2)
    more = second.X_pending_[3:]
    assert second.variables_.is_feasible(np.vstack([asked, more])).all()
    np.testing.assert_array_equal(second.X_pending_, np.vstack([asked, more]))
    second.tell(asked, plant_within_limits(asked))
    np.testing.assert_array_equal(Journal(tmp_path / "runs.sqlite").pending_points(), more)


def test_a_run_ends_at_its_target():
    result = quick().minimize(plant, BOUNDS, target=1.0)
    assert result.fun <= 1.0
    assert "target" in result.message


# Fixed values, steps, orders and circles.

LABORATORY = {
    "temperature": Real(40.0, 120.0, decimals=1),
    "batch": 7,
    "stirrer": Integer(100, 800, step=50),
    "angle": Periodic(0, 360),
    "size": Ordinal(["S", "M", "L"]),
    "operator": "Ann",
}


def effort(X):
    """Lowest at 80 degrees, 450 turns, an angle of 358 and the size M."""
    turn = 1.0 - np.cos(np.deg2rad(X[:, 3] - 358.0))
    return ((X[:, 0] - 80) / 40) ** 2 + ((X[:, 2] - 460) / 300) ** 2 + turn + np.abs(X[:, 4] - 1)


def laboratory(**params):
    params = {"bounds": LABORATORY, "constraints": (), "sampler": SobolSampler(64), **params}
    return quick(**params)


@pytest.mark.parametrize("params", [{}, {"sampler": None, "budget": 120}], ids=["design", "budget"])
def test_a_laboratory_of_every_kind_is_optimised(params):
    spy = Spy(effort)
    opt = laboratory(**params)
    result = opt.minimize(spy)
    rows = np.array(spy.rows)
    assert opt.variables_.is_feasible(rows).all()
    np.testing.assert_array_equal(rows[:, [1, 5]], np.tile([7.0, 0.0], (len(rows), 1)))
    assert opt.proxy_.n_features_in_ == 3 + 2
    named = {name: result.x_named[name] for name in ("batch", "stirrer", "size", "operator")}
    assert named == {"batch": 7, "stirrer": 450, "size": "M", "operator": "Ann"}
    assert np.cos(np.deg2rad(result.x[3] - 358.0)) > 0.99
    np.testing.assert_array_equal(opt.bounds_[[1, 5]], [[7.0, 7.0], [0.0, 0.0]])


def test_a_diagnosis_and_pictures_leave_out_what_is_fixed():
    opt = laboratory(verdict=True)
    opt.minimize(effort)
    spy = Spy(effort)
    assert opt.variables_.is_feasible(opt.diagnose(spy, n_checks=4).X_checks).all()
    shown = OptimumSpreadDisplay.from_estimator(opt).names
    assert shown == ["temperature", "stirrer", "angle", "size"]
    assert LandscapeDisplay.from_estimator(opt, n_points=5).names == shown


def test_results_as_they_are_typed_answer_the_points_asked_for(tmp_path):
    opt = laboratory(journal=tmp_path / "runs.sqlite")
    asked = opt.ask(6)
    points = opt.X_pending_
    typed = asked.assign(
        temperature=asked["temperature"].round(1),
        stirrer=asked["stirrer"] + 12.5,
        angle=asked["angle"] + 360.0,
    )
    opt.tell(typed[:4], effort(points[:4]))
    np.testing.assert_array_equal(opt.X_pending_, points[4:])
    np.testing.assert_array_equal(Journal(tmp_path / "runs.sqlite").pending_points(), points[4:])
    np.testing.assert_array_equal(opt.X_[:, 1:3], points[:4, 1:3])
    np.testing.assert_array_equal(opt.X_[:, 0], typed["temperature"][:4])
    np.testing.assert_allclose(opt.X_[:, 3], points[:4, 3], rtol=1e-12)


def test_another_number_than_the_decimals_allow_is_another_point():
    opt = laboratory()
    asked = opt.ask(2)
    opt.tell(asked.assign(temperature=asked["temperature"] + 0.06), effort(opt.X_pending_))
    assert len(opt.X_pending_) == 2


def test_what_is_known_up_to_decimals_is_not_asked_for_again():
    opt = laboratory(bounds=[Real(0, 1, decimals=1)], sampler=SobolSampler(8))
    opt.tell(np.linspace(0.0, 1.0, 6)[:, None], np.arange(6.0))
    assert np.abs(opt.ask(2) - np.linspace(0.0, 1.0, 6)).min() > 0.05


def test_a_laboratory_goes_on_from_a_file_and_from_a_journal(tmp_path):
    opt = laboratory(journal=tmp_path / "runs.sqlite")
    asked = opt.ask(40)
    opt.tell(asked, effort(opt.X_pending_))
    opt.save(tmp_path / "state.npz")
    for again in (laboratory(), laboratory(bounds=None)):
        again.load(tmp_path / "state.npz")
        assert again.x_named_ == opt.x_named_
        np.testing.assert_array_equal(again.variables_.axes, opt.variables_.axes)
    recalled = laboratory(journal=tmp_path / "runs.sqlite")
    recalled.ask(1)
    assert recalled.x_named_ == opt.x_named_


def test_bounds_given_to_minimize_are_kept_with_their_kinds(tmp_path):
    opt = laboratory(bounds=None)
    opt.minimize(effort, LABORATORY)
    opt.tell(opt.X_[:2], opt.y_[:2])
    assert opt.variables_.kinds == Variables(LABORATORY).kinds
    opt.save(tmp_path / "state.npz")
    again = laboratory(bounds=None).load(tmp_path / "state.npz")
    assert again.ask(2)["batch"].tolist() == [7, 7]
    assert again.variables_.kinds.names == tuple(LABORATORY)


def test_equal_bounds_of_an_array_are_fixed_values():
    spy = Spy(lambda X: (X[:, 0] - 0.3) ** 2 + X[:, 1])
    opt = quick(bounds=[[0.0, 1.0], [5.0, 5.0]], constraints=(), sampler=SobolSampler(16))
    result = opt.minimize(spy)
    np.testing.assert_allclose(result.x, [0.3, 5.0], atol=1e-4)
    assert set(np.array(spy.rows)[:, 1]) == {5.0}


def test_a_space_with_everything_fixed_is_refused():
    with pytest.raises(ValueError, match="bounds must leave at least one variable with more than"):
        quick(bounds={"a": 1, "b": "x"}, constraints=()).ask(1)
