import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from spies import Spy

from sklearn_proxyopt.evaluation import EvaluationRecord, Evaluator
from sklearn_proxyopt.exceptions import EvaluationError, FailedEvaluationWarning

ROWS = np.arange(12.0).reshape(6, 2)


def total(X):
    return X.sum(axis=1)


def test_a_vectorised_function_is_called_once_for_all_rows():
    calls = []
    evaluate = Evaluator(lambda X: calls.append(len(X)) or total(X))
    np.testing.assert_array_equal(evaluate(ROWS), total(ROWS))
    assert calls == [6]


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
    Evaluator(fun, record=record)(ROWS)
    Evaluator(fun, record=record)(ROWS[::-1])
    assert len(fun.rows) == 6


def test_a_zero_is_the_same_with_either_sign():
    fun = Spy(total)
    evaluate = Evaluator(fun)
    evaluate(np.array([[0.0, 1.0], [2.0, 2.0], [3.0, 3.0]]))
    evaluate(np.array([[-0.0, 1.0]]))
    assert len(fun.rows) == 3


@given(arrays(np.float64, (7, 3), elements=st.floats(-1e6, 1e6)))
def test_values_belong_to_their_rows_whatever_repeats(X):
    np.testing.assert_array_equal(Evaluator(total)(X), total(X))


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
        Evaluator(fun)(ROWS)


def test_a_function_of_one_row_cannot_pass_for_one_of_as_many_rows_as_columns():
    with pytest.raises(EvaluationError, match="vectorized=False"):
        Evaluator(lambda x: x[0] + x[1])(ROWS[:2])


def test_as_many_rows_as_columns_are_fine_for_a_vectorised_function():
    np.testing.assert_array_equal(Evaluator(total)(ROWS[:2]), [1.0, 5.0])


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
    evaluate = Evaluator(lambda X: np.where(X[:, 0] == 6.0, bad, total(X)))
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
        Evaluator(fun, on_error="drop")(ROWS)


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
        Evaluator(lambda X: {}["no such key"])(np.ones((2, 1)))
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
