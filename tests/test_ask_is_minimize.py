"""What `ask` hands out and `tell` takes is the run of `minimize`."""

import pickle
import threading
from typing import ClassVar

import numpy as np
import pytest
from scipy.optimize import LinearConstraint
from sklearn.linear_model import LinearRegression

from sklearn_proxyopt import NeuralProxyRegressor, ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt._utils._dataset import occurrences
from sklearn_proxyopt.evaluation import Journal
from sklearn_proxyopt.infill import ProxyMinima
from sklearn_proxyopt.optimizers import NSGA2
from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import Integer

BOX = [(-4.0, 4.0), (0.0, 10.0)]
SPACE = {"a": Integer(0, 7), "x": (0.0, 1.0), "kind": ["bad", "good", "ugly"]}
BUDGET = 36


def bowl(x):
    return float((x[0] - 1.0) ** 2 + (x[1] - 3.0) ** 2 + 0.3 * np.cos(5.0 * x[0]))


def fails_on_the_left(x):
    return np.nan if x[0] < -2.0 else bowl(x)


def with_constraint(x):
    return np.array([bowl(x), 2.0 - x[0]])


def cost(x):
    return (x[0] - 3) ** 2 + (x[1] - 0.5) ** 2 + (x[2] != 1)


def rippled(x):
    """Looks as if it had noise, so that a repeat is asked for."""
    return bowl(x) + 0.5 * np.sin(1e4 * x[1])


def program(**params):
    settings = {
        "bounds": BOX,
        "budget": BUDGET,
        "proxy": NeuralProxyRegressor((8,), max_epochs=5),
        "input_format": "array",
        "vectorized": False,
        "verdict": False,
        "random_state": 0,
        **params,
    }
    return ProxyOptimizer(**settings)


def ask(optimizer, n=1, **options):
    """Return the rows asked for, also where they come as a table."""
    asked = optimizer.ask(n, **options)
    return optimizer.X_pending_[-len(asked) :]


def by_turns(optimizer, fun, n_rows):
    for _ in range(n_rows):
        [x] = ask(optimizer)
        optimizer.tell(x[None], [fun(x)])
    return optimizer


def quick(**params):
    return program(proxy=LinearRegression(), noise_std=None, **params)


CASES = {
    "box": (bowl, {}),
    "default proxy": (bowl, {"proxy": None}),
    "exact": (bowl, {"noise_std": None}),
    "maximize": (lambda x: -bowl(x), {"direction": "maximize"}),
    "mixed": (
        cost,
        {"bounds": SPACE, "constraints": LinearConstraint([[1.0, 4.0, 0.0]], -np.inf, 6.0)},
    ),
    "outcome constraints": (with_constraint, {"n_constraints": 1}),
    "failures": (fails_on_the_left, {"on_error": "drop"}),
    "failures learned": (fails_on_the_left, {"on_error": "learn"}),
    "infill": (bowl, {"infill": ProxyMinima(3)}),
    "sampler": (bowl, {"sampler": SobolSampler(8)}),
    "another refiner": (bowl, {"refiner": LocalRefinement()}),
    "rippled": (rippled, {"proxy": "gp"}),
}


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
@pytest.mark.parametrize("case", CASES)
def test_points_asked_for_in_turn_are_the_rows_of_minimize(case):
    fun, params = CASES[case]
    whole = program(**params)
    (whole.maximize if "direction" in params else whole.minimize)(fun)
    n_rows = len(whole.X_) + len(whole.X_failed_)
    assert n_rows == BUDGET
    told = by_turns(program(**params), fun, n_rows)
    np.testing.assert_array_equal(told.X_, whole.X_)
    np.testing.assert_array_equal(told.X_failed_, whole.X_failed_)


def test_a_repeat_with_the_same_value_counts_also_in_a_journal_and_only_once(tmp_path):
    path = tmp_path / "runs.sqlite"
    opt = program(proxy="gp", journal=path)
    by_turns(opt, rippled, BUDGET)
    places = occurrences(opt.X_)
    assert (len(opt.X_), places.max()) == (BUDGET, 1)
    assert Journal(path).to_frame()["repeat"].tolist() == places.tolist()
    again = program(proxy="gp", journal=path)
    for told in (opt.tell(opt.X_, opt.y_), again.tell(opt.X_[places == 1], opt.y_[places == 1])):
        np.testing.assert_array_equal(told.X_, opt.X_)
    assert len(Journal(path).to_frame()) == BUDGET


@pytest.mark.parametrize("constraints", [0, 1])
def test_two_runs_that_refine_locally_do_not_wait_for_one_another(constraints):
    fun = with_constraint if constraints else bowl
    params = {"refiner": LocalRefinement(), "n_constraints": constraints, "budget": 24}

    def both():
        one, other = quick(**params), quick(**params)
        for _ in range(24):
            for optimizer in (one, other):
                [x] = ask(optimizer)
                optimizer.tell(x[None], [fun(x)])
        rows.append((one.X_, other.X_))

    rows = []
    thread = threading.Thread(target=both, daemon=True)
    thread.start()
    thread.join(300.0)
    [(one, other)] = rows
    np.testing.assert_array_equal(one, other)


def two(x):
    return np.array([x[0] ** 2, (x[0] - 2.0) ** 2 + x[1]])


class Noisy:
    """Has another value each time."""

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def __call__(self, x):
        return bowl(x) + 0.3 * self.rng.standard_normal()


def front(**params):
    return ParetoOptimizer(
        bounds=BOX,
        **{"proxy": LinearRegression(), "optimizer": NSGA2(16, 8)} | params,
        vectorized=False,
        random_state=0,
    )


def test_points_of_a_front_asked_for_in_turn_are_the_rows_of_minimize():
    whole = front(budget=BUDGET)
    whole.minimize(two)
    np.testing.assert_array_equal(by_turns(front(budget=BUDGET), two, len(whole.X_)).X_, whole.X_)


def test_points_of_a_noisy_front_asked_for_in_turn_are_the_rows_of_minimize():
    params = {"budget": BUDGET, "noise_std": 0.1, "proxy": "gp", "reference": [9.0, 9.0]}
    whole = front(**params)
    whole.minimize(two)
    np.testing.assert_array_equal(by_turns(front(**params), two, len(whole.X_)).X_, whole.X_)


OPEN = {
    "another refiner": (bowl, lambda: quick(budget=None, refiner=LocalRefinement())),
    "no refiner": (bowl, lambda: quick(budget=None, refiner=None)),
    "infill": (bowl, lambda: quick(budget=None, infill=ProxyMinima(2))),
    "front": (two, front),
    "noise": (Noisy(), lambda: program(budget=None, noise_std=0.3, proxy="gp")),
    "noisy front": (two, lambda: front(noise_std=0.3, proxy="gp")),
}
REASONS = {
    "another refiner": {"proxy's optima", "search around the best"},
    "no refiner": {"proxy's optima"},
    "infill": {"infill", "proxy's optima", "search around the best"},
    "front": {"proxy's front"},
    "noise": {"infill"},
    "noisy front": {"proxy's front"},
}
FAR = "far from all that is known"


@pytest.mark.parametrize("kind", OPEN)
def test_without_a_budget_the_plan_goes_on_and_on(kind):
    fun, make = OPEN[kind]
    opt = by_turns(make(), fun, 24)
    reasons = opt.to_frame()["reason"].tolist()
    n_design = reasons.count("design")
    assert 2 <= n_design <= 4
    assert set(reasons) - {"design", FAR} <= REASONS[kind]
    assert REASONS[kind] & set(reasons[n_design:])
    # A share explores, but where the proxy does so itself.
    share = reasons.count(FAR) / (24 - n_design)
    assert share == 0.0 if kind == "noise" else 0.2 < share < 1.0
    if "nois" not in kind:
        assert len(np.unique(opt.X_, axis=0)) == 24


@pytest.mark.parametrize("kind", OPEN)
def test_a_copy_without_a_budget_goes_on_as_the_original(kind):
    fun, make = OPEN[kind]
    opt = make()
    for _ in range(4):
        X = ask(opt, 3)
        opt.tell(X[:2], [fun(x) for x in X[:2]])
    again = pickle.loads(pickle.dumps(opt))
    np.testing.assert_array_equal(ask(again, 4), ask(opt, 4))


def test_a_design_without_further_points_ends_the_exploration():
    space = {"n": Integer(0, 5), "kind": ["a", "b"]}
    opt = quick(bounds=space, budget=None, refiner=None)
    by_turns(opt, lambda x: x[0] + x[1], 12)
    assert len(np.unique(opt.X_, axis=0)) == 12
    with pytest.raises(ValueError, match="n_points must not exceed the 0 points"):
        opt.ask()


def in_disorder(optimizer, fun, rng, lose=0.0):
    """Keep up to four points pending, told in any order; some are lost."""
    n_told = 0
    while n_told < BUDGET:
        pending = getattr(optimizer, "X_pending_", np.empty((0, 2)))
        if n_wanted := min(4, BUDGET - n_told) - len(pending):
            pending = np.vstack([pending, ask(optimizer, n_wanted)])
        [x] = pending[[rng.integers(len(pending))]]
        if rng.random() < lose:
            optimizer.withdraw(x[None])
        else:
            optimizer.tell(x[None], [fun(x)])
            n_told += 1
    return optimizer


@pytest.mark.parametrize("seed", range(3))
def test_results_in_any_order_with_lost_and_failed_points_lead_to_the_minimum(seed):
    opt = quick(random_state=seed, on_error="drop")
    in_disorder(opt, fails_on_the_left, np.random.default_rng(seed), lose=0.15)
    rows = np.vstack([opt.X_, opt.X_failed_])
    assert len(np.unique(rows, axis=0)) == BUDGET
    assert opt.y_.min() < bowl([1.0, 3.0]) + 0.02
    # The run has had all of its budget, and nobody had to fill in for it.
    assert set(opt.to_frame()["reason"]) <= {"design", "proxy's optima", "search around the best"}


def test_a_copy_goes_on_as_the_original():
    opt = quick()
    for _ in range(6):
        X = opt.ask(3)
        opt.tell(X[:2], [bowl(x) for x in X[:2]])
    again = pickle.loads(pickle.dumps(opt))
    np.testing.assert_array_equal(again.ask(4), opt.ask(4))


@pytest.mark.parametrize("budget", [None, BUDGET])
def test_a_program_that_is_started_anew_each_time_goes_on_as_one_that_is_not(tmp_path, budget):
    path, whole = tmp_path / "runs.sqlite", quick(budget=budget)
    for _ in range(8):
        X = quick(budget=budget, journal=path).ask(3)
        np.testing.assert_array_equal(X, whole.ask(3))
        for opt in (quick(budget=budget, journal=path), whole):
            opt.tell(X[[2, 0]], [bowl(X[2]), bowl(X[0])])
    np.testing.assert_array_equal(Journal(path).pending_points(), whole.X_pending_)


@pytest.mark.parametrize("budget", [None, BUDGET])
def test_a_program_that_is_started_anew_remembers_what_was_withdrawn(tmp_path, budget):
    path, whole = tmp_path / "runs.sqlite", quick(budget=budget)
    for _ in range(6):
        X = quick(budget=budget, journal=path).ask(3)
        np.testing.assert_array_equal(X, whole.ask(3))
        for opt in (quick(budget=budget, journal=path), whole):
            opt.tell(X[[2]], [bowl(X[2])])
        for opt in (quick(budget=budget, journal=path), whole):
            opt.withdraw(X[[0]])
            opt.tell(X[[1]], [bowl(X[1])])
    np.testing.assert_array_equal(Journal(path).pending_points(), whole.X_pending_)


@pytest.mark.parametrize("budget", [None, BUDGET])
def test_a_program_that_goes_on_learns_what_another_has_withdrawn(tmp_path, budget):
    path, whole = tmp_path / "runs.sqlite", quick(budget=budget)
    one = quick(budget=budget, journal=path)
    for _ in range(6):
        X = one.ask(3)
        np.testing.assert_array_equal(X, whole.ask(3))
        for opt in (one, whole):
            opt.tell(X[[2, 1]], [bowl(X[2]), bowl(X[1])])
        for opt in (quick(budget=budget, journal=path), whole):
            opt.withdraw(X[[0]])
    X = one.ask(3)
    np.testing.assert_array_equal(one.X_pending_, X)
    np.testing.assert_array_equal(Journal(path).pending_points(), X)


@pytest.mark.parametrize("budget", [None, BUDGET])
def test_copies_of_a_run_remember_what_was_withdrawn(tmp_path, budget):
    opt = quick(budget=budget)
    for _ in range(6):
        X = opt.ask(3)
        opt.tell(X[:1], [bowl(X[0])])
        opt.withdraw(X[1:2])
    opt.save(tmp_path / "state.npz")
    copies = [quick(budget=budget).load(tmp_path / "state.npz"), pickle.loads(pickle.dumps(opt))]
    points = opt.ask(4)
    for again in copies:
        np.testing.assert_array_equal(again.ask(4), points)


def test_a_saved_run_goes_on(tmp_path):
    opt = quick()
    for _ in range(8):
        X = opt.ask(3)
        opt.tell(X[:2], [bowl(x) for x in X[:2]])
    opt.save(tmp_path / "state.npz")
    again = quick().load(tmp_path / "state.npz")
    np.testing.assert_array_equal(again.ask(4), opt.ask(4))


@pytest.mark.parametrize("budget", [None, BUDGET])
def test_a_row_that_nobody_asked_for_is_searched_on_from(budget):
    opt = by_turns(quick(budget=budget), lambda x: bowl(x) + 100.0, 24)
    assert np.abs(ask(opt, 4) - [-3.0, 9.0]).max(axis=1).min() > 1.0
    opt.tell([[-3.0, 9.0]], [-1000.0])
    for _ in range(3):
        ask(opt, 4)
    assert np.abs(opt.X_pending_ - [-3.0, 9.0]).max(axis=1).min() < 1.0


def test_asking_goes_on_when_the_budget_is_spent():
    opt = by_turns(quick(), bowl, BUDGET)
    more = ask(opt, 5)
    rows = np.vstack([opt.X_, more])
    assert len(np.unique(rows, axis=0)) == BUDGET + 5
    assert np.abs(more - opt.X_[opt.y_.argmin()]).max(axis=1).min() < 0.5


def test_a_corrected_value_is_searched_on_from():
    opt = by_turns(quick(), bowl, 20)
    best = opt.X_[[opt.y_.argmin()]]
    opt.tell(best, [50.0], replace=True)
    points = np.vstack([ask(opt, 1) for _ in range(4)])
    assert len(np.unique(np.vstack([opt.X_, points]), axis=0)) == 24


class Counted(LinearRegression):
    """Tells how many rows each of its fits had."""

    fits: ClassVar[list[int]] = []

    def fit(self, X, y):
        self.fits.append(len(X))
        return super().fit(X, y)


def test_what_is_told_is_learned_where_somebody_looks():
    Counted.fits.clear()
    opt = program(proxy=Counted(), noise_std=None)
    for _ in range(10):
        [x] = ask(opt)
        opt.tell(x[None], [bowl(x)])
    assert not Counted.fits
    assert opt.x_.shape == (2,)
    assert opt.n_learned_ == 10
    assert Counted.fits == [10]
    copied = pickle.loads(pickle.dumps(opt.tell([[0.0, 0.0]], [4.0])))
    assert copied.predict([[0.0, 0.0]]).shape == (1,)


def test_a_copy_learns_nothing_again_that_its_next_points_do_not_need():
    opt = front(proxy=Counted())
    for _ in range(5):
        X = ask(opt, 4)
        opt.tell(X, [two(x) for x in X])
    ask(opt, 4)
    Counted.fits.clear()
    again = pickle.loads(pickle.dumps(opt))
    points = ask(again, 3)
    assert len(Counted.fits) <= 1
    np.testing.assert_array_equal(points, ask(opt, 3))
