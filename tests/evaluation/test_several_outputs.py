import pickle
import sqlite3

import numpy as np
import pytest

from sklearn_proxyopt.evaluation import EvaluationRecord, Evaluator, Journal, RecordBook
from sklearn_proxyopt.evaluation._journal_format import VERSION
from sklearn_proxyopt.exceptions import EvaluationError, FailedEvaluationWarning, JournalError

ROWS = np.arange(12.0).reshape(6, 2)


def sum_and_product(X):
    return np.column_stack([X.sum(axis=1), X.prod(axis=1)])


def sum_and_product_of_one(x):
    return [x.sum(), x.prod()]


def product_fails_for_small_sums(X):
    Y = sum_and_product(X)
    Y[Y[:, 0] < 10.0, 1] = np.inf
    return Y


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.sqlite"


def write(path, fun=sum_and_product, n_outputs=2, X=ROWS, **params):
    with Journal(path).writing(X.shape[1], n_outputs=n_outputs) as writer:
        evaluate = Evaluator(fun, n_outputs=n_outputs, journal=writer, vectorized=True, **params)
        writer.read_into(evaluate.record)
        return evaluate(X), evaluate.n_calls


def test_a_function_of_several_outputs_is_called_once_for_each_row():
    evaluate = Evaluator(sum_and_product, n_outputs=2, vectorized=True)
    np.testing.assert_array_equal(evaluate(ROWS), sum_and_product(ROWS))
    np.testing.assert_array_equal(evaluate(ROWS[::-1]), sum_and_product(ROWS[::-1]))
    assert evaluate.n_calls == 6
    assert evaluate(ROWS[:0]).shape == (0, 2)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_function_of_one_row_returns_several_numbers(n_jobs):
    evaluate = Evaluator(sum_and_product_of_one, vectorized=False, n_outputs=2, n_jobs=n_jobs)
    np.testing.assert_array_equal(evaluate(ROWS), sum_and_product(ROWS))


def test_one_output_in_a_column_is_told_from_a_value_without():
    evaluate = Evaluator(lambda X: X[:, :1], n_outputs=1, vectorized=True)
    assert evaluate(ROWS).shape == (6, 1)


def test_several_outputs_come_back_from_a_child_process():
    evaluate = Evaluator(sum_and_product_of_one, vectorized=False, n_outputs=2, time_limit=30.0)
    np.testing.assert_array_equal(evaluate(ROWS[:2]), sum_and_product(ROWS[:2]))


def test_a_row_with_any_output_that_is_not_finite_has_failed():
    evaluate = Evaluator(
        product_fails_for_small_sums, n_outputs=2, on_error="drop", vectorized=True
    )
    with pytest.warns(FailedEvaluationWarning, match="3 of 6"):
        Y = evaluate(ROWS)
    assert np.isnan(Y[:3]).all()
    np.testing.assert_array_equal(Y[3:], sum_and_product(ROWS[3:]))
    X, kept = evaluate.record.rows(2)
    np.testing.assert_array_equal(X, ROWS[3:])
    np.testing.assert_array_equal(kept, Y[3:])


def test_a_failure_says_what_was_returned():
    with pytest.raises(EvaluationError, match="returned inf in output 1 for row 0"):
        Evaluator(product_fails_for_small_sums, n_outputs=2, vectorized=True)(ROWS)


def test_failures_of_the_same_outputs_are_counted_together():
    def fails(x):
        return [np.nan, x[1], np.inf] if x[0] < 5.0 else [x[0], np.nan, x[1]]

    evaluate = Evaluator(fails, n_outputs=3, on_error="drop")
    message = r"Most often \(3 of 6\) it returned nan in output 0, inf in output 2\."
    with pytest.warns(FailedEvaluationWarning, match=message):
        evaluate(ROWS)


@pytest.mark.parametrize(
    ("fun", "got"),
    [(lambda X: X.sum(axis=1), r"\(6,\)"), (lambda X: X @ np.ones((2, 3)), r"\(6, 3\)")],
)
def test_another_number_of_outputs_is_refused(fun, got):
    with pytest.raises(EvaluationError, match=rf"must return shape \(6, 2\), 2 values .*{got}"):
        Evaluator(fun, n_outputs=2, vectorized=True)(ROWS)
    with pytest.raises(EvaluationError, match="must return 2 numbers for one row"):
        Evaluator(lambda x: x.sum(), vectorized=False, n_outputs=2)(ROWS)


@pytest.mark.parametrize(
    ("fun", "params", "message"),
    [
        (lambda x: (x[0], x[1]), {"n_outputs": 1}, "1 number for one row; .* by n_constraints and"),
        (lambda X: 2.0 * X, {"n_outputs": 1, "vectorized": True}, "1 value for each .* n_objectiv"),
        (lambda x: (x[0], x[1]), {}, "a number for one row; .* counted by n_constraints; several"),
    ],
)
def test_what_says_how_many_numbers_are_wanted_is_named(fun, params, message):
    with pytest.raises(EvaluationError, match=f"objective must return .*{message}"):
        Evaluator(fun, **params)(ROWS)


def test_the_number_of_outputs_must_be_positive():
    with pytest.raises(ValueError, match="n_outputs must be an integer of at least 1; got 0"):
        Evaluator(sum_and_product, n_outputs=0).check_parameters()


def test_a_record_of_several_outputs_survives_a_pickle():
    record = EvaluationRecord(2)
    record.add(ROWS[0], np.array([1.0, 2.0]))
    data = pickle.dumps(record)
    del record
    np.testing.assert_array_equal(pickle.loads(data).values(ROWS[:1]), [[1.0, 2.0]])


def test_one_function_has_a_record_for_each_number_of_outputs():
    book = RecordBook()
    one, two = book.record_of(len), book.record_of(len, 2)
    assert one is not two
    assert book.record_of(len) is one
    assert book.only(len, 2).record_of(len, 2) is two


def test_a_journal_reads_several_outputs_back_to_the_last_bit(path):
    X = np.random.default_rng(0).normal(size=(5, 2))
    Y, _ = write(path, X=X)
    kept, values = Journal(path).rows()
    np.testing.assert_array_equal(kept, X)
    np.testing.assert_array_equal(values, Y)
    assert Journal(path).n_outputs() == 2


def test_plain_sql_reads_several_outputs(path):
    write(path)
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT x0, x1, value, value1 FROM evaluations").fetchall()
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    np.testing.assert_array_equal(found, np.column_stack([ROWS, sum_and_product(ROWS)]))
    assert version == VERSION
    assert {"value", "value1"} <= set(Journal(path).to_frame().columns)


def test_journals_of_one_output_and_of_several_have_one_format(path):
    with Journal(path).writing(2) as writer:
        Evaluator(lambda X: X.sum(axis=1), journal=writer, vectorized=True)(ROWS)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == VERSION
        columns = connection.execute("SELECT name FROM pragma_table_info('evaluations')").fetchall()
    assert " ".join(name for (name,) in columns) == (
        "id round repeat x0 x1 value status error duration ended chosen_by amends extra previous "
        "digest"
    )


def test_a_later_run_pays_for_nothing_on_disk_failures_included(path):
    with pytest.warns(FailedEvaluationWarning):
        first, _ = write(path, product_fails_for_small_sums, on_error="drop")
    with pytest.warns(FailedEvaluationWarning):
        second, n_calls = write(path, product_fails_for_small_sums, on_error="drop")
    assert n_calls == 0
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(Journal(path).failed_rows(), ROWS[:3])


@pytest.mark.parametrize(("n_outputs", "got"), [(1, 1), (3, 3)])
def test_a_journal_of_another_number_of_outputs_is_refused(path, n_outputs, got):
    write(path)
    with (
        pytest.raises(JournalError, match=f"there are 2 outputs in .*, got {got}"),
        Journal(path).writing(2, n_outputs=n_outputs),
    ):
        pass
