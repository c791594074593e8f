import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.linear_model import LinearRegression

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.evaluation import Evaluator, Journal
from sklearn_proxyopt.exceptions import EvaluationError, FailedEvaluationWarning
from sklearn_proxyopt.optimizers import DifferentialEvolution
from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.samplers import SobolSampler

ROWS = np.arange(12.0).reshape(6, 2)
BOX = np.array([[-2.0, 2.0], [0.0, 50.0]])


def total(X):
    return X.sum(axis=1)


def late_first(x):
    """Return the sum of a row; the first rows take longest."""
    time.sleep(0.02 * (6 - x[0] / 2))
    return x.sum()


def fails_at_four(x):
    if x[0] == 4.0:
        raise ArithmeticError("no state")
    return x.sum()


def hangs_at_four(x):
    if x[0] == 4.0:
        time.sleep(60)
    return x.sum()


def hangs_with_a_process_of_its_own(x):
    if x[0] == 4.0:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"], check=False)
    return x.sum()


def dies_at_four(x):
    if x[0] == 4.0:
        os.kill(os.getpid(), signal.SIGKILL)
    return x.sum()


def says_something(x):
    print("a word of the simulator")
    return x.sum()


def returns_the_row(x):
    return x


def bowl_of_one(x):
    return (x[0] - 0.5) ** 2 + ((x[1] - 20.0) / 25.0) ** 2 + 3.0


def quick(**params):
    params = {
        "sampler": SobolSampler(16),
        "proxy": LinearRegression(),
        "optimizer": DifferentialEvolution(10, 5),
        "refiner": LocalRefinement(max_evaluations=5),
        "random_state": 0,
        "vectorized": False,
        **params,
    }
    return ProxyOptimizer(**params)


class Flaky:
    """Fails at every row the first times."""

    def __init__(self, n_failures):
        self.n_failures = n_failures
        self.seen = {}

    def __call__(self, x):
        self.seen[x[0]] = self.seen.get(x[0], 0) + 1
        if self.seen[x[0]] <= self.n_failures:
            raise ArithmeticError("try again")
        return x.sum()


def test_results_in_any_order_belong_to_their_rows(tmp_path):
    path = tmp_path / "runs.sqlite"
    with Journal(path).writing(2) as writer:
        evaluate = Evaluator(late_first, vectorized=False, n_jobs=2, journal=writer)
        np.testing.assert_array_equal(evaluate(ROWS), total(ROWS))
    assert evaluate.n_calls == 6
    assert sorted(Journal(path).rows()[1]) == sorted(total(ROWS))


def test_a_vectorised_function_gets_its_rows_in_as_many_parts_as_jobs():
    parts = []

    def fun(X):
        parts.append(len(X))
        return total(X)

    with parallel_config(backend="threading"):
        values = Evaluator(fun, n_jobs=3, vectorized=True)(np.arange(30.0).reshape(10, 3))
    np.testing.assert_array_equal(values, total(np.arange(30.0).reshape(10, 3)))
    assert sorted(parts) in ([3, 3, 4], [1, 2, 3, 4], [1, 1, 2, 2, 4])


def test_one_process_and_two_end_at_the_same_answer():
    results = [quick(n_jobs=n_jobs).minimize(bowl_of_one, BOX) for n_jobs in (None, 2)]
    np.testing.assert_array_equal(results[0].x, results[1].x)
    assert results[0].nfev == results[1].nfev


def test_what_was_begun_before_a_failure_is_kept():
    evaluate = Evaluator(fails_at_four, vectorized=False, n_jobs=2)
    with pytest.raises(
        EvaluationError, match="raised ArithmeticError: no state for row 2"
    ) as caught:
        evaluate(ROWS)
    assert isinstance(caught.value.__cause__, ArithmeticError)
    X, y = evaluate.record.rows(2)
    assert len(X) == evaluate.n_calls - 1 < 6
    np.testing.assert_array_equal(y, total(X))


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_an_evaluation_past_its_time_is_a_failure_and_the_others_are_not(n_jobs):
    evaluate = Evaluator(
        hangs_at_four, vectorized=False, n_jobs=n_jobs, time_limit=3.0, on_error="drop"
    )
    start = time.monotonic()
    with pytest.warns(FailedEvaluationWarning, match="1 of 6"):
        values = evaluate(ROWS)
    assert np.flatnonzero(np.isnan(values)).tolist() == [2]
    assert time.monotonic() - start < 30


def test_the_time_limit_is_named_in_the_error():
    evaluate = Evaluator(hangs_at_four, vectorized=False, time_limit=0.5)
    with pytest.raises(EvaluationError, match=r"took longer than time_limit=0.5 seconds for row 2"):
        evaluate(ROWS)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_what_a_function_has_started_ends_with_it():
    evaluate = Evaluator(
        hangs_with_a_process_of_its_own, vectorized=False, time_limit=0.5, on_error="drop"
    )
    with pytest.warns(FailedEvaluationWarning):
        evaluate(ROWS)
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert "import time; time.sleep(60)" not in processes.stdout


def test_a_lambda_and_what_it_prints_reach_the_process_of_its_own(capfd):
    factor = 3.0
    values = Evaluator(lambda x: factor * x.sum(), vectorized=False, time_limit=20)(ROWS)
    np.testing.assert_array_equal(values, 3.0 * total(ROWS))
    values = Evaluator(says_something, vectorized=False, time_limit=20)(ROWS)
    np.testing.assert_array_equal(values, total(ROWS))
    assert capfd.readouterr().out == ""


def test_errors_within_the_time_limit_are_those_without_one():
    evaluate = Evaluator(fails_at_four, vectorized=False, time_limit=20)
    with pytest.raises(EvaluationError, match="raised ArithmeticError: no state for row 2"):
        evaluate(ROWS)
    with pytest.raises(EvaluationError, match=r"must return a number for one row.*row 0"):
        Evaluator(returns_the_row, vectorized=False, time_limit=20)(ROWS)


def test_a_function_that_no_other_process_can_load_is_refused():
    class Stuck:
        def __call__(self, x):
            return x.sum()

        def __reduce__(self):
            return divmod, (1, 0)

    with pytest.raises(EvaluationError, match="objective must be a function that another process"):
        Evaluator(Stuck(), vectorized=False, time_limit=20)(ROWS)


@pytest.mark.parametrize("params", [{"n_jobs": 2}, {"time_limit": 20}])
def test_a_row_that_kills_its_process_is_found_and_fails_alone(params):
    evaluate = Evaluator(dies_at_four, vectorized=False, on_error="drop", **params)
    with pytest.warns(FailedEvaluationWarning, match="1 of 6"):
        values = evaluate(ROWS)
    np.testing.assert_array_equal(np.delete(values, 2), np.delete(total(ROWS), 2))
    assert np.isnan(values[2])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
def test_a_process_that_dies_is_noticed_though_it_leaves_another_one_behind():
    def fun(x):
        if not os.fork():
            time.sleep(60)
        os.kill(os.getpid(), signal.SIGKILL)

    start = time.monotonic()
    evaluate = Evaluator(fun, vectorized=False, time_limit=50, on_error="drop")
    with pytest.warns(FailedEvaluationWarning):
        evaluate(ROWS[:1])
    assert time.monotonic() - start < 40


class LoadsForEver:
    def __call__(self, x):
        return x.sum()

    def __reduce__(self):
        return time.sleep, (60,)


def test_a_function_that_hangs_while_it_is_loaded_is_refused(monkeypatch):
    monkeypatch.setattr("sklearn_proxyopt.evaluation._time_limit._LOADING_SECONDS", 0.5)
    with pytest.raises(EvaluationError, match=r"another process can load.*nothing within 0.5 sec"):
        Evaluator(LoadsForEver(), vectorized=False, time_limit=0.5)(ROWS)


def test_a_time_limit_beyond_all_clocks_is_one(monkeypatch):
    failures = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    values = Evaluator(bowl_of_one, vectorized=False, time_limit=1e300)(ROWS[:1])
    assert values == bowl_of_one(ROWS[0])
    assert not failures


@pytest.mark.parametrize("n_retries", [1, 2])
def test_an_evaluation_that_failed_is_tried_again(n_retries):
    evaluate = Evaluator(Flaky(n_retries), vectorized=False, n_retries=n_retries)
    np.testing.assert_array_equal(evaluate(ROWS), total(ROWS))
    assert evaluate.n_calls == 6
    with pytest.raises(EvaluationError, match="try again for row 0"):
        Evaluator(Flaky(n_retries + 1), vectorized=False, n_retries=n_retries)(ROWS)


def test_rows_of_a_vectorised_function_that_failed_are_tried_again():
    sizes = []

    def fun(X):
        sizes.append(len(X))
        return np.where((X[:, 0] == 4.0) & (len(sizes) < 3), np.nan, total(X))

    np.testing.assert_array_equal(Evaluator(fun, n_retries=2, vectorized=True)(ROWS), total(ROWS))
    assert sizes == [6, 1, 1]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_jobs": 0}, "n_jobs must be an integer other than 0"),
        ({"n_jobs": 1.5}, "n_jobs must be an integer"),
        ({"time_limit": 0.0}, "time_limit must be a finite number"),
        ({"time_limit": 5.0, "vectorized": True}, "time_limit must be None for a vectorized"),
        ({"n_retries": -1}, "n_retries must be an integer of at least 0"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name_before_any_evaluation(params, message):
    def never(x):
        raise AssertionError("called")

    with pytest.raises(ValueError, match=message):
        quick(**params).minimize(never, BOX)


def says_nothing_at_one(x):
    if x[0] == 0.0:
        return "no number"
    time.sleep(0.3)
    return x.sum()


@pytest.mark.parametrize("on_error", ["raise", "drop"])
def test_rows_in_flight_are_kept_when_another_returns_no_number(tmp_path, on_error):
    evaluate = Evaluator(says_nothing_at_one, vectorized=False, n_jobs=2, on_error=on_error)
    with (
        Journal(tmp_path / "runs.sqlite").writing(ROWS.shape[1], None) as evaluate.journal,
        pytest.raises(EvaluationError, match="objective must return numbers; got str"),
    ):
        evaluate(ROWS)
    assert evaluate.n_calls > 1
    assert len(evaluate.record) == evaluate.n_calls - 1
    assert len(Journal(tmp_path / "runs.sqlite").rows()[0]) == evaluate.n_calls - 1


# On a Dask cluster of processes.


class KillsWorkerOnce:
    """Kills the worker that has its third row evaluated, the first time."""

    def __init__(self, mark):
        self.mark = mark

    def __call__(self, x):
        if x[0] == 4.0 and not os.path.exists(self.mark):
            open(self.mark, "w").close()
            os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(0.05)
        return x.sum()


@pytest.fixture(scope="module")
def started_cluster():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def cluster(started_cluster):
    # joblib evaluates in this process while the cluster has no more than one worker.
    started_cluster.wait_for_workers(2)
    return started_cluster


@pytest.mark.slow
def test_a_cluster_of_dask_evaluates_without_a_change(cluster):
    expected = quick().minimize(bowl_of_one, BOX)
    with parallel_config(backend="dask"):
        result = quick().minimize(bowl_of_one, BOX)
    np.testing.assert_array_equal(result.x, expected.x)


@pytest.mark.slow
def test_a_worker_of_dask_that_is_killed_costs_no_row(cluster, tmp_path):
    with parallel_config(backend="dask"):
        evaluate = Evaluator(KillsWorkerOnce(str(tmp_path / "mark")), vectorized=False)
        np.testing.assert_array_equal(evaluate(ROWS), total(ROWS))


@pytest.mark.slow
def test_a_row_that_kills_its_process_on_a_worker_of_dask_fails_alone(cluster):
    with parallel_config(backend="dask"):
        evaluate = Evaluator(dies_at_four, vectorized=False, on_error="drop")
        with pytest.warns(FailedEvaluationWarning, match="1 of 6"):
            values = evaluate(ROWS)
    np.testing.assert_array_equal(np.delete(values, 2), np.delete(total(ROWS), 2))
