"""What people are told of the mistakes that they make most: where, what came, what to do."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import LinearConstraint, NonlinearConstraint
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression

from sklearn_proxyopt import ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt._run._state import FrontState, ModelState
from sklearn_proxyopt.evaluation import Journal
from sklearn_proxyopt.exceptions import ConstantWarning, FailedEvaluationWarning, JournalError
from sklearn_proxyopt.infill import ExpectedImprovement
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import Integer, Real, Variables

X = np.random.default_rng(0).uniform(size=(20, 2))
Y = X.sum(axis=1)
FRAME = pd.DataFrame({"a": X[:, 0], "b": X[:, 1]})
BOX = [(0.0, 1.0), (0.0, 1.0)]


def optimizer(**params):
    return ProxyOptimizer(
        **{
            "proxy": LinearRegression(),
            "optimizer": MultiStartBFGS(2),
            "verdict": False,
            "vectorized": True,
            "random_state": 0,
            **params,
        }
    )


def run(fun=lambda X: X.sum(axis=1), bounds=BOX, **params):
    return optimizer(**{"sampler": SobolSampler(8), "refiner": None, **params}).minimize(
        fun, bounds
    )


def with_entry(row, column, value):
    rows = X.copy()
    rows[row, column] = value
    return rows


# Tables and arrays.

TEXTS = np.array([["1", "2"], ["2", "low"], ["3", "1"]], dtype=object)


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (
            lambda: optimizer().fit(TEXTS, [1, 2, 3]),
            "X must hold finite numbers; got 'low' in row 1, column 1. Labels come in a DataFrame",
        ),
        (
            lambda: optimizer(bounds={"a": (0, 1), "b": (0, 1)}).fit(FRAME.assign(b="low"), Y),
            "X must hold numbers in 'b'; got 'low' in row 0. Convert the column, or state",
        ),
        (
            lambda: optimizer(bounds={"a": (0, 1), "b": ["x", "y"]}).fit(FRAME.assign(b="z"), Y),
            "X must hold labels of 'b', ['x', 'y']; got 'z' in row 0. Further labels are stated in",
        ),
        (
            lambda: optimizer().fit(FRAME.assign(b=["x", None] * 10), Y),
            "in row 1. Leave such samples out, or fill in what is missing.",
        ),
        (
            lambda: optimizer().fit(FRAME.assign(b=pd.Series(["x", 2.5] * 10, dtype=object)), Y),
            "X must hold either numbers or labels in 'b'; got 2.5 too. Convert the column to one",
        ),
        (
            lambda: optimizer(bounds={"a": (0, 1), "b": [f"b{i}" for i in range(15)]}).fit(
                FRAME.assign(b="z"), Y
            ),
            "'b10', 'b11', and 3 more]; got 'z' in row 0.",
        ),
        (
            lambda: optimizer().fit(pd.DataFrame(X, columns=["a", "a"]), Y),
            "X must have columns of different names; got 'a' more than once. Rename them.",
        ),
        (
            lambda: optimizer().fit(with_entry(3, 1, np.nan), Y),
            "got NaN in row 3, column 1. Leave such samples out, or fill in what is missing.",
        ),
        (
            lambda: optimizer().fit(with_entry(4, 0, -np.inf), Y),
            "X must hold finite numbers; got -inf in row 4, column 0.",
        ),
        (
            lambda: optimizer().fit(FRAME.assign(b=with_entry(3, 1, np.nan)[:, 1]), Y),
            "X must hold finite numbers; got NaN in row 3, column 1 ('b').",
        ),
        (
            lambda: optimizer().fit(X, np.where(np.arange(20) == 4, np.nan, Y)),
            "y must hold finite numbers; got NaN in row 4. Pass on_error='drop' if NaN marks",
        ),
        (
            lambda: optimizer(proxy=LogisticRegression()).fit(X, Y),
            "proxy must be a regressor; got LogisticRegression(), a classifier.",
        ),
        (
            lambda: optimizer().fit(X, [*Y[:-1], "a"]),
            "y must hold numbers; got 'a' in row 19. Conv",
        ),
        (
            lambda: optimizer(bounds=BOX, on_error="drop").tell(X[:1], ["a"]),
            "y must hold numbers; got 'a' in row 0. Convert it, or pass NaN and on_error='drop'",
        ),
        (
            lambda: optimizer(bounds=BOX).tell(X[:1], [None]),
            "y must hold finite numbers; got NaN in row 0. Pass on_error='drop' if NaN marks",
        ),
        (lambda: optimizer(bounds=BOX).tell(X[:1], [1 + 0j]), "y must hold real numbers; got comp"),
        (
            lambda: ParetoOptimizer(bounds=BOX, on_error="drop").tell(X[:1], [[1.0, 2j]]),
            "y must hold real numbers; got complex128.",
        ),
        (
            lambda: optimizer(bounds=BOX).tell(X[:1], {"y": 1.0}),
            "y must be an array of numbers; got",
        ),
        (
            lambda: optimizer(bounds=BOX).tell({"a": [0.1], "b": [0.2]}, [1.0]),
            "X must be an array or a table; got a dict. Pass pd.DataFrame(X), with a list for each",
        ),
        (
            lambda: optimizer().fit([{"a": 0.1, "b": 0.2}, {"a": 0.3, "b": 0.2}], [1.0, 2.0]),
            "X must be an array or a table; got a list of dicts. Pass pd.DataFrame(X).",
        ),
        (
            lambda: optimizer().fit(X, Y).predict([{"a": 0.1, "b": 0.2}]),
            "X must be an array or a table; got a list of dicts. Pass pd.DataFrame(X).",
        ),
        (
            lambda: optimizer(budget=20).minimize(np.sum, BOX, X=X[:1], y=Y[:1]),
            "X must hold at least two samples; got 1. Go on from fewer by tell and ask, with the",
        ),
    ],
)
def test_what_is_no_number_is_named_by_its_place(fit, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        fit()


def test_a_table_that_is_not_in_memory_is_to_be_collected():
    polars = pytest.importorskip("polars")
    lazy = polars.LazyFrame({"a": X[:, 0], "b": X[:, 1]})
    with pytest.raises(ValueError, match=r"memory; got a LazyFrame\. Pass X\.collect\(\)\."):
        optimizer().fit(lazy, Y)
    assert optimizer().fit(lazy.collect(), Y).n_learned_ == 20


@pytest.mark.parametrize("missing", [None, pd.NA, np.nan])
def test_a_value_that_is_missing_is_a_failure_where_it_may_be(missing):
    assert len(optimizer(bounds=BOX, on_error="drop").tell(X[:1], [missing]).X_failed_) == 1


def test_rows_to_predict_are_looked_at_in_the_same_way():
    fitted = optimizer().fit(FRAME, Y)
    with pytest.raises(ValueError, match=r"got NaN in row 2, column 0 \('a'\)"):
        fitted.predict(FRAME.assign(a=with_entry(2, 0, np.nan)[:, 0]))


@pytest.mark.parametrize("on_error", ["drop", "learn"])
def test_values_that_are_missing_count_as_failures_where_they_may(on_error):
    y = np.where(np.arange(20) == 4, np.nan, Y)
    with pytest.warns(FailedEvaluationWarning, match="1 of 20 samples given have failed"):
        optimizer(on_error=on_error).fit(X, y)


# The objective.


def boom(x):
    raise ZeroDivisionError("division by zero")


def two_booms(x):
    if x[0] < 0.3:
        raise KeyError("pressure")
    boom(x)


@pytest.mark.parametrize(
    ("fun", "params", "message"),
    [
        (
            lambda x: x[0] + x[1],
            {},
            "got shape (2,). If it takes one sample at a time, pass vectori",
        ),
        (lambda x: float(x[0] + x[1]), {}, "pass vectorized=False with a function of one sample."),
        (
            lambda X: np.ones((len(X), 3)),
            {},
            "must return shape (8,), a value for each of 8 rows; got shape (8, 3)",
        ),
        (lambda X: None, {}, "a value for each of 8 rows; got None. Does it end without a return?"),
        (lambda x: None, {"vectorized": False}, "objective returned None for row 0"),
        (lambda X: X.sum(axis=1) + 1j, {}, "got complex128. Return the part, or the modulus"),
        (
            lambda x: "1.5",
            {"vectorized": False},
            "objective must return numbers; got str: <U3 is no kind of number. Convert",
        ),
        (boom, {"vectorized": False}, "raised ZeroDivisionError: division by zero for row 0"),
        (
            boom,
            {"vectorized": False, "on_error": "drop"},
            "got 0 of 8. Each time it raised ZeroDivisionError: division by zero.",
        ),
        (
            two_booms,
            {"vectorized": False, "on_error": "drop"},
            "got 0 of 8. Most often (5 of 8) it raised ZeroDivisionError: division by zero.",
        ),
        (
            boom,
            {"vectorized": False, "on_error": "drop", "budget": 12, "sampler": None},
            "Each time it raised ZeroDivisionError: division by zero. The budget of 12",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
def test_what_the_objective_does_is_said(fun, params, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        run(fun, **params)


def test_a_warning_of_failures_has_their_reason_and_points_at_the_line_of_the_user():
    def sometimes(x):
        if x[0] > 0.5:
            raise ArithmeticError("no state")
        return x[0]

    with pytest.warns(FailedEvaluationWarning) as caught:
        run(sometimes, vectorized=False, on_error="drop")
    (warning,) = caught
    assert "Each time it raised ArithmeticError: no state." in str(warning.message)
    assert warning.filename == __file__


# The search space.


def few_are_used(x):
    return np.count_nonzero(x > 0.0)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([(1, 0), (0, 1)], "got the reversed pair [1.0, 0.0] for variable 0."),
        ([(0, np.inf), (0, 1)], "bounds must be finite; got [0.0, inf] for variable 0."),
        (None, "bounds must be given where no samples X tell the box; got None."),
        (
            np.array([[0, 0, 0], [1, 1, 1]]),
            "a lower and an upper bound for each variable; got shape (2, 3)",
        ),
        ({"a": (0, 1), "b": None}, "bounds must be a pair of numbers for 'b', a list of labels"),
        ({"a": (0, 1, 3)}, "pair of numbers (low, high) for 'a'; got [0, 1, 3]. Numbers to choose"),
    ],
)
def test_bounds_are_named_with_what_they_must_be(bounds, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        run(bounds=bounds)


def test_a_log_scale_needs_a_lower_end_above_zero():
    with pytest.raises(ValueError, match=r"low must lie above 0 with log=True; got Real\(low=0"):
        Variables([Real(0, 1, log=True)])


def test_steps_that_do_not_divide_a_range_end_at_the_last_of_them():
    assert Variables([Real(0, 1, step=0.3)]).valid_bounds.round(9).tolist() == [[0.0, 0.9]]


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        (LinearConstraint([[1, 1]], lb=3), "got linear ones that no sample meets together."),
        (
            [LinearConstraint([[1, 1]], lb=1.5), LinearConstraint([[1, 1]], ub=0.5)],
            "got linear ones that no sample meets together.",
        ),
        (
            NonlinearConstraint(few_are_used, 0, 1),
            "The search for them failed, which proves nothing: pass feasible samples as X and y. "
            "At most k of n is found as linear constraints with a switch Integer(0, 1)",
        ),
    ],
)
def test_constraints_that_leave_nothing_are_told_from_a_search_that_failed(constraints, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        run(constraints=constraints)


def test_at_most_k_of_n_is_found_by_the_switches_that_the_message_names():
    n = 4
    bounds = [*[(0.0, 1.0)] * n, *[Integer(0, 1)] * n]
    switched = LinearConstraint(np.hstack([np.eye(n), -np.eye(n)]), ub=0.0)
    at_most = LinearConstraint([[0.0] * n + [1.0] * n], ub=2.0)
    result = run(lambda X: -X[:, :n].sum(axis=1), bounds, constraints=[switched, at_most])
    assert np.count_nonzero(result.x[:n] > 0.0) <= 2


# Parameters.


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"direction": "max"}, "direction must be None, 'minimize' or 'maximize'; got 'max'."),
        ({"budget": 3}, "budget must be an integer of at least 4; got 3."),
        ({"budget": 50.0}, "budget must be an integer of at least 4; got 50.0."),
        ({"budget": "50"}, "budget must be an integer of at least 4; got '50'."),
        ({"sampler": SobolSampler}, "got the class SobolSampler. Call it: SobolSampler()."),
        ({"refiner": LocalRefinement}, "got the class LocalRefinement. Call it: LocalRefinement()"),
        ({"infill": ExpectedImprovement}, "got the class ExpectedImprovement. Call it: Expected"),
        ({"sampler": "sobel"}, "one of the names 'halton', 'lhs', 'sobol', 'uniform'; got 'sobel'"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_it_may_be(params, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        run(**params)


def test_an_unknown_parameter_is_named():
    with pytest.raises(TypeError, match="n_trials"):
        ProxyOptimizer(n_trials=10)
    with pytest.raises(TypeError, match="n_trials"):
        optimizer().minimize(lambda X: X[:, 0], BOX, n_trials=10)


# Results that are not there, and those that are there already.


@pytest.mark.parametrize("use", ["predict", "diagnose", "to_frame"])
def test_a_method_before_any_fit_says_so(use):
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        getattr(optimizer(), use)(*([X] if use == "predict" else []))


RESULTS = [
    *((ProxyOptimizer, name) for name in sorted(ModelState.attributes())),
    *((ParetoOptimizer, name) for name in sorted(FrontState.attributes())),
    *((kind, name) for kind in (ProxyOptimizer, ParetoOptimizer) for name in ("X_", "y_")),
    (ProxyOptimizer, "X_front_"),
    (ParetoOptimizer, "x_"),
]


@pytest.mark.parametrize(("kind", "name"), RESULTS)
def test_a_result_before_any_fit_says_what_brings_it(kind, name):
    with pytest.raises(AttributeError, match=f"no attribute '{name}' now. The results .* fit, min"):
        getattr(kind(), name)
    assert not hasattr(kind(), name)


def test_a_journal_of_other_bounds_names_the_way_that_works(tmp_path):
    journal = tmp_path / "runs.sqlite"
    run(journal=journal)
    with pytest.raises(JournalError) as raised:
        run(bounds=[(0, 2), (0, 1)], journal=journal)
    assert "the bounds of variable 0 are [0.0, 1.0]" in str(raised.value)
    assert "X, y = Journal(path).rows(), passed as X and y." in str(raised.value)
    rows, values = Journal(journal).rows()
    optimizer(refiner=LocalRefinement(max_evaluations=2)).minimize(
        lambda X: X.sum(axis=1), [(0, 2), (0, 1)], X=rows, y=values
    )


def test_a_budget_that_an_earlier_run_has_spent_is_said_to_be(tmp_path):
    params = {"journal": tmp_path / "runs.sqlite", "budget": 12, "sampler": None, "refiner": "auto"}
    run(**params)
    result = run(**params)
    assert result.nfev == 0
    assert "is spent. 12 of 12 evaluations were known before." in result.message


# What is always the same.


def test_a_constant_value_gets_a_hint():
    with pytest.warns(ConstantWarning, match="y is the same, 1, in all 20 samples") as caught:
        optimizer().fit(X, np.ones(20))
    assert caught[0].filename == __file__
    with pytest.warns(ConstantWarning, match="Does the objective use its inputs"):
        run(lambda X: np.ones(len(X)))


def test_a_constant_column_gets_a_hint_unless_bounds_fix_it():
    rows = with_entry(slice(None), 1, 3.0)
    with pytest.warns(ConstantWarning, match="X is the same, 3, in variable 1 of all 20 samples"):
        optimizer().fit(rows, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConstantWarning)
        optimizer(bounds=[(0, 1), 3.0]).fit(rows, Y)
