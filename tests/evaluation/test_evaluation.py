import os
import pickle
import time
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from odd_failures import OddError, exits, raises_mute, raises_odd
from sklearn.linear_model import LinearRegression
from spies import Spy

from sklearn_proxyopt.evaluation import EvaluationRecord, Evaluator, Journal
from sklearn_proxyopt.exceptions import EvaluationError, FailedEvaluationWarning, SetUpError

ROWS = np.arange(12.0).reshape(6, 2)


def total(X):
    return X.sum(axis=1)


def test_a_vectorised_function_is_called_once_for_all_rows():
    calls = []
    evaluate = Evaluator(lambda X: calls.append(len(X)) or total(X), vectorized=True)
    np.testing.assert_array_equal(evaluate(ROWS), total(ROWS))
    assert calls == [6]


@pytest.mark.parametrize(
    "fun",
    [
        lambda X: pd.DataFrame(X).sum(axis=1)[::-1],
        lambda X: pd.DataFrame(X).sum(axis=1).sample(frac=1.0, random_state=0),
        lambda X: pd.DataFrame(X).sum(axis=1).set_axis([5, 4, 3, 3, 1, 0]),
        lambda X: pd.DataFrame(X).sum(axis=1).set_axis(list("fedcba")),
        lambda X: pd.DataFrame(X).sum(axis=1).set_axis(range(6, 0, -1)),
    ],
)
def test_values_with_an_index_belong_to_the_rows_that_it_names(fun):
    np.testing.assert_array_equal(Evaluator(fun, vectorized=True)(ROWS), total(ROWS))


def test_a_table_of_outputs_belongs_to_the_rows_that_its_index_names():
    outputs = Evaluator(lambda X: pd.DataFrame(2.0 * X)[::-1], vectorized=True, n_outputs=2)(ROWS)
    np.testing.assert_array_equal(outputs, 2.0 * ROWS)


def test_a_function_of_one_row_gets_one_row_at_a_time():
    evaluate = Evaluator(lambda x: float(x[0] * 10 + x[1]), vectorized=False)
    np.testing.assert_array_equal(evaluate(ROWS), ROWS[:, 0] * 10 + ROWS[:, 1])


@pytest.mark.parametrize("vectorized", [True, False])
def test_no_row_is_paid_for_twice(vectorized):
    fun = Spy(total if vectorized else np.sum)
    evaluate = Evaluator(fun, vectorized=vectorized)
    evaluate(ROWS[:4])
    values = evaluate(ROWS[[5, 0, 0, 5, 2]])
    np.testing.assert_array_equal(values, total(ROWS[[5, 0, 0, 5, 2]]))
    assert len(fun.rows) == evaluate.n_calls == 5


def test_two_evaluators_of_one_record_share_what_was_paid_for():
    record, fun = EvaluationRecord(), Spy(total)
    Evaluator(fun, record=record, vectorized=True)(ROWS)
    Evaluator(fun, record=record, vectorized=True)(ROWS[::-1])
    assert len(fun.rows) == 6


def test_a_zero_is_the_same_with_either_sign():
    fun = Spy(total)
    evaluate = Evaluator(fun, vectorized=True)
    evaluate(np.array([[0.0, 1.0], [2.0, 2.0], [3.0, 3.0]]))
    evaluate(np.array([[-0.0, 1.0]]))
    assert len(fun.rows) == 3


@given(arrays(np.float64, (7, 3), elements=st.floats(-1e6, 1e6)))
def test_values_belong_to_their_rows_whatever_repeats(X):
    np.testing.assert_array_equal(Evaluator(total, vectorized=True)(X), total(X))


@pytest.mark.parametrize(
    ("fun", "message"),
    [
        (lambda X: X, r"must return shape \(6,\).*got shape \(6, 2\).*vectorized=False"),
        (lambda X: X.sum(), r"must return shape \(6,\).*got shape \(\)"),
        (lambda X: total(X)[:, None], r"got shape \(6, 1\)"),
        (lambda X: total(X)[1:], r"got shape \(5,\)"),
        (lambda X: None, "must return"),
        (lambda X: ["low"] * 6, "must return numbers"),
        (lambda X: total(X) + 1j, "must return real numbers; got complex128"),
        (lambda X: torch.ones(6, requires_grad=True), "must return numbers; got Tensor: .*detach"),
    ],
)
def test_an_output_of_the_wrong_shape_is_refused(fun, message):
    with pytest.raises(EvaluationError, match=f"objective .*{message}"):
        Evaluator(fun, vectorized=True)(ROWS)


def test_a_function_of_one_row_cannot_pass_for_one_of_as_many_rows_as_columns():
    with pytest.raises(EvaluationError, match="vectorized=False"):
        Evaluator(lambda x: x[0] + x[1], vectorized=True)(ROWS[:2])


def test_as_many_rows_as_columns_are_fine_for_a_vectorised_function():
    np.testing.assert_array_equal(Evaluator(total, vectorized=True)(ROWS[:2]), [1.0, 5.0])


@pytest.mark.parametrize(
    ("fun", "message"),
    [
        (lambda x: x[0] + 1j, "must return real numbers; got complex128"),
        (lambda x: torch.ones(1, requires_grad=True), "must return numbers; got Tensor: .*detach"),
        (lambda x: "low", "must return numbers; got str"),
    ],
)
def test_an_output_of_one_row_that_is_no_real_number_is_refused(fun, message):
    with pytest.raises(EvaluationError, match=f"objective {message}"):
        Evaluator(fun, vectorized=False, on_error="drop")(ROWS)


def test_a_function_takes_one_sample_unless_it_is_said_to_take_many():
    evaluate = Evaluator(lambda x: float(x[0]) + x.shape[0])
    np.testing.assert_array_equal(evaluate(ROWS), ROWS[:, 0] + 2.0)


@pytest.mark.parametrize(
    "fun",
    [
        lambda X: X.sum(axis=1),
        lambda X: X[:, 0] + X[:, 1],
        lambda X: np.zeros(X.shape[1]),
        lambda table: table.a + table.b,
        LinearRegression().fit(ROWS, ROWS[:, 0]).predict,
    ],
)
def test_what_a_function_of_many_samples_raises_for_one_leads_to_its_parameter(fun):
    with pytest.raises(EvaluationError, match=r"many samples at once, pass vectorized=True\.$"):
        Evaluator(fun)(ROWS)


def test_any_other_error_of_a_function_says_nothing_of_many_samples():
    with pytest.raises(EvaluationError, match=r"leave such samples out\.$"):
        Evaluator(fail_at_row_three)(ROWS)


def test_a_vector_for_one_row_is_refused():
    with pytest.raises(EvaluationError, match=r"must return a number for one row.*row 0") as caught:
        Evaluator(lambda x: x, vectorized=False)(ROWS)
    assert caught.value.row == 0


def fail_at_row_three(x):
    if x[0] == 6.0:
        raise ArithmeticError("no convergence")
    return x.sum()


def test_the_error_tells_which_row_raised_and_keeps_those_before():
    evaluate = Evaluator(fail_at_row_three, vectorized=False)
    with pytest.raises(EvaluationError, match="raised ArithmeticError: no convergence for row 3"):
        evaluate(ROWS)
    X, y = evaluate.record.rows(2)
    np.testing.assert_array_equal(X, ROWS[:3])
    np.testing.assert_array_equal(y, total(ROWS[:3]))


def test_the_error_of_the_function_is_the_cause_of_ours():
    with pytest.raises(EvaluationError) as caught:
        Evaluator(fail_at_row_three, vectorized=False)(ROWS)
    assert isinstance(caught.value.__cause__, ArithmeticError)
    np.testing.assert_array_equal(caught.value.x, ROWS[3])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_error_tells_which_row_is_not_finite_and_keeps_all_others(bad):
    evaluate = Evaluator(lambda X: np.where(X[:, 0] == 6.0, bad, total(X)), vectorized=True)
    with pytest.raises(EvaluationError, match=f"returned {bad} for row 3"):
        evaluate(ROWS)
    np.testing.assert_array_equal(evaluate.record.rows(2)[0], np.delete(ROWS, 3, axis=0))


def test_failures_on_record_are_counted_and_warned_of_by_a_later_run():
    record = EvaluationRecord()
    for _ in range(2):
        evaluate = Evaluator(fail_at_row_three, vectorized=False, on_error="drop", record=record)
        with pytest.warns(FailedEvaluationWarning, match="1 of 6 evaluations failed"):
            evaluate(ROWS)
        evaluate(ROWS)
        assert evaluate.n_failed == 1


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
def test_dropped_rows_are_counted_and_not_asked_for_again():
    fun = Spy(fail_at_row_three)
    evaluate = Evaluator(fun, vectorized=False, on_error="drop")
    assert np.flatnonzero(np.isnan(evaluate(ROWS))).tolist() == [3]
    evaluate(ROWS)
    assert evaluate.n_failed == 1
    assert len(fun.rows) == 6


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
def test_a_failure_on_record_is_an_error_where_failures_are():
    record = EvaluationRecord()
    Evaluator(fail_at_row_three, vectorized=False, on_error="drop", record=record)(ROWS)
    with pytest.raises(EvaluationError, match="objective has failed before for row 3"):
        Evaluator(fail_at_row_three, vectorized=False, record=record)(ROWS)


def test_dropped_rows_are_told_by_a_warning():
    evaluate = Evaluator(fail_at_row_three, vectorized=False, on_error="drop")
    with pytest.warns(FailedEvaluationWarning, match="1 of 6 evaluations failed"):
        evaluate(ROWS)


def test_a_vectorised_function_that_raises_is_an_error_even_where_rows_are_dropped():
    def fun(X):
        raise RuntimeError("licence")

    with pytest.raises(EvaluationError, match="RuntimeError on a batch of 6 rows: licence"):
        Evaluator(fun, on_error="drop", vectorized=True)(ROWS)


def test_the_function_cannot_change_the_rows():
    def fun(x):
        x[:] = 0.0
        return 1.0

    X = ROWS.copy()
    Evaluator(fun, vectorized=False)(X)
    np.testing.assert_array_equal(X, ROWS)


def test_a_record_that_comes_back_from_another_process_joins_the_one_here():
    record = EvaluationRecord()
    record.add(ROWS[0], 1.0)
    travelled = pickle.dumps(record)
    record.add(ROWS[1], 2.0)
    restored = pickle.loads(travelled)
    assert restored is record
    assert len(record) == 2


def test_the_traceback_of_a_function_survives_pickling():
    with pytest.raises(EvaluationError) as caught:
        Evaluator(lambda X: {}["no such key"], vectorized=True)(np.ones((2, 1)))
    again = pickle.loads(pickle.dumps(caught.value))
    assert "KeyError: 'no such key'" in str(again.__cause__)
    assert "test_evaluation.py" in str(again.__cause__)


def test_an_error_survives_pickling():
    error = pickle.loads(pickle.dumps(EvaluationError("text", row=3, x=ROWS[3])))
    assert str(error) == "text"
    assert error.row == 3
    np.testing.assert_array_equal(error.x, ROWS[3])


@pytest.mark.parametrize("vectorized", [True, False])
def test_a_masked_output_is_a_failure_whatever_lies_under_the_mask(vectorized):
    def fun(X):
        values = np.ma.array(np.atleast_2d(X).sum(axis=1), fill_value=-9999.0)
        values[values > 4.0] = np.ma.masked
        return values if vectorized else values[0]

    evaluate = Evaluator(fun, vectorized=vectorized, on_error="drop")
    with pytest.warns(FailedEvaluationWarning, match="1 of 2"):
        values = evaluate(np.array([[1.0, 2.0], [3.0, 4.0]]))
    np.testing.assert_array_equal(values, [3.0, np.nan])


@pytest.mark.parametrize("missing", [pd.NA, pd.NaT, None])
def test_what_is_missing_is_a_failure(missing):
    with pytest.warns(FailedEvaluationWarning, match=f"3 of 6 .* returned {missing}"):
        one = Evaluator(lambda x: missing if x[0] < 5.0 else x[0], on_error="drop")(ROWS)
    with pytest.warns(FailedEvaluationWarning, match=r"3 of 6 .* returned nan"):
        many = Evaluator(
            lambda X: [missing if x < 5.0 else x for x in X[:, 0]], vectorized=True, on_error="drop"
        )(ROWS)
    np.testing.assert_array_equal(one, [np.nan] * 3 + [6.0, 8.0, 10.0])
    np.testing.assert_array_equal(many, one)


def test_a_series_of_pandas_with_missing_values_has_failures():
    def fails(X):
        return pd.Series(X[:, 0], dtype="Float64").mask(X[:, 0] < 5.0)

    with pytest.warns(FailedEvaluationWarning, match="3 of 6"):
        values = Evaluator(fails, vectorized=True, on_error="drop")(ROWS)
    np.testing.assert_array_equal(values, [np.nan] * 3 + [6.0, 8.0, 10.0])


def test_the_text_of_an_error_keeps_its_full_stop_only_once():
    def fails(x):
        raise ValueError("no mesh.")

    for vectorized in (False, True):
        with pytest.raises(EvaluationError, match="raised ValueError") as raised:
            Evaluator(fails, vectorized=vectorized)(ROWS)
        assert ".." not in str(raised.value)
    with pytest.raises(EvaluationError, match=r"[^.]\. Convert"):
        Evaluator(lambda x: torch.ones(1, requires_grad=True))(ROWS)


@pytest.mark.parametrize("params", [{}, {"time_limit": 60.0}, {"vectorized": True}])
def test_an_objective_that_is_set_up_wrongly_ends_the_run(params):
    def fails(x):
        raise SetUpError("mesh must be a file; got none.")

    evaluate = Evaluator(fails, on_error="drop", **params)
    with pytest.raises(SetUpError, match=r"^mesh must be a file; got none\.$"):
        evaluate(ROWS)
    assert evaluate.n_calls in (1, len(ROWS) * bool(params.get("vectorized")))


def test_a_function_without_return_is_said_to_return_none():
    with pytest.raises(EvaluationError, match="objective returned None for row 0"):
        Evaluator(lambda x: None, vectorized=False)(np.ones((1, 2)))


def test_rows_are_begun_as_long_as_the_values_known_let_them():
    asked = []

    def fun(x):
        asked.append(x[0])
        return x[0]

    evaluate = Evaluator(fun, vectorized=False)
    values = evaluate(np.arange(6.0)[:, None], lambda known: len(known) < 3)
    np.testing.assert_array_equal(values, [0.0, 1.0, 2.0, np.nan, np.nan, np.nan])
    assert asked == [0.0, 1.0, 2.0]
    assert (evaluate.n_calls, evaluate.n_failed) == (3, 0)


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ("1.5", "<U3"),
        (b"1.5", "S3"),
        (np.datetime64("2020-01-01"), "datetime64"),
        (np.timedelta64(3, "s"), "timedelta64"),
        ([1.5, "2.5"], "<U"),
        (np.array(["1.5"], dtype=object), "str"),
        (np.array([datetime(2020, 1, 1)], dtype=object), "datetime"),
        (np.array([np.datetime64("2020-01-01")], dtype=object), "datetime"),
        (np.array([(1.0,)], dtype=[("value", float)]), "value"),
    ],
)
@pytest.mark.parametrize("vectorized", [True, False])
def test_text_bytes_and_dates_are_no_values(output, kind, vectorized):
    with pytest.raises(EvaluationError, match=f"objective must return numbers; got .*{kind}"):
        Evaluator(lambda X: output, vectorized=vectorized, on_error="drop")(np.ones((1, 1)))


@pytest.mark.parametrize("vectorized", [True, False])
@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
def test_an_integer_beyond_all_floats_is_a_value_that_is_not_finite(vectorized):
    def fun(X):
        values = [10**400 if x > 1.0 else 3 for x in np.ravel(X)]
        return values if vectorized else values[0]

    evaluate = Evaluator(fun, vectorized=vectorized, on_error="drop")
    np.testing.assert_array_equal(evaluate(np.array([[0.0], [2.0]])), [3.0, np.nan])
    with pytest.raises(EvaluationError, match="objective returned inf for row 1"):
        Evaluator(fun, vectorized=vectorized)(np.array([[0.0], [2.0]]))


def test_numbers_of_other_libraries_are_values():
    values = [Fraction(1, 2), Decimal("1.5"), 2**70, None, True, np.float32(0.5)]
    found = Evaluator(lambda x: values[int(x[0])], vectorized=False, on_error="drop")
    with pytest.warns(FailedEvaluationWarning, match="1 of 6"):
        found = found(np.arange(6.0)[:, None])
    np.testing.assert_array_equal(found, [0.5, 1.5, 2.0**70, np.nan, 1.0, 0.5])


EVERYWHERE = [{}, {"n_jobs": 2}, {"time_limit": 20}]


@pytest.mark.parametrize("params", EVERYWHERE)
@pytest.mark.parametrize(
    ("fun", "error"), [(raises_mute, "MuteError"), (raises_odd, "OddError"), (exits, "SystemExit")]
)
def test_an_odd_error_is_a_failure_wherever_the_function_runs(fun, error, params):
    evaluate = Evaluator(fun, vectorized=False, on_error="drop", **params)
    with pytest.warns(FailedEvaluationWarning, match="2 of 2"):
        evaluate(ROWS[:2])
    with pytest.raises(EvaluationError, match=f"objective raised {error}.* for row 0"):
        Evaluator(fun, vectorized=False, **params)(ROWS[:2])


def test_an_odd_error_of_a_vectorised_function_is_named():
    with pytest.raises(EvaluationError, match=r"raised MuteError on a batch of 6 rows: .no text"):
        Evaluator(raises_mute, vectorized=True)(ROWS)
    with pytest.raises(EvaluationError, match="raised SystemExit on a batch of 6 rows: 3"):
        Evaluator(exits, vectorized=True)(ROWS)


def test_an_error_that_cannot_travel_costs_no_second_evaluation(tmp_path):
    def fun(x):
        with open(tmp_path / "calls", "a") as file:
            file.write("one\n")
        raise OddError(1, 2)

    with pytest.warns(FailedEvaluationWarning):
        Evaluator(fun, vectorized=False, on_error="drop", n_jobs=2)(ROWS[:2])
    assert len((tmp_path / "calls").read_text().splitlines()) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
@pytest.mark.parametrize("params", EVERYWHERE)
@pytest.mark.parametrize("raises", [False, True])
def test_a_copy_that_a_function_forks_and_cannot_replace_answers_nothing(tmp_path, params, raises):
    def fun(x):
        if not os.fork():
            try:
                os.execv("/no/such/program", ["program"])
            except OSError:
                if raises:
                    raise
            return x[0] + 100.0
        time.sleep(0.1)
        return x[0]

    path = tmp_path / "runs.sqlite"
    with Journal(path).writing(2) as writer:
        evaluate = Evaluator(fun, vectorized=False, journal=writer, **params)
        np.testing.assert_array_equal(evaluate(ROWS), ROWS[:, 0])
    X, y = Journal(path).rows()
    np.testing.assert_array_equal(X[:, 0], y)
    assert len(y) == 6
