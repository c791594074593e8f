"""Runs whose evaluations are in flight while others are chosen."""

import multiprocessing
import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from joblib import parallel_config, register_parallel_backend
from joblib._parallel_backends import ThreadingBackend
from scipy.optimize import LinearConstraint

from sklearn_proxyopt import NeuralProxyRegressor, ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt.evaluation import Journal
from sklearn_proxyopt.exceptions import EvaluationError, FailedEvaluationWarning
from sklearn_proxyopt.infill import ProxyMinima
from sklearn_proxyopt.optimizers import NSGA2, MultiStartBFGS
from sklearn_proxyopt.proxies import KernelProxyRegressor
from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import Integer

BOX = [(-4.0, 4.0), (0.0, 10.0)]


def bowl(x):
    return float((x[0] - 1.0) ** 2 + (x[1] - 3.0) ** 2 + 0.3 * np.cos(5.0 * x[0]))


def later(x):
    # The first rows of each few take longest.
    time.sleep(0.004 * (int(abs(x[0]) * 1e6) % 5))
    return bowl(x)


def quick(**params):
    settings = {
        "proxy": NeuralProxyRegressor((8,), max_epochs=5),
        # Ripples look like noise, and a repeat of a row would tell.
        "noise_std": None,
        "vectorized": False,
        "verdict": False,
        "random_state": 0,
        **params,
    }
    return ProxyOptimizer(bounds=BOX, **settings)


def rows_of(fun=later, *, n_jobs=None, budget=40, backend="threading", params=(), **options):
    optimizer = quick(n_jobs=n_jobs, **dict(params))
    with parallel_config(backend=backend):
        result = optimizer.minimize(fun, budget=budget, **options)
    assert len(optimizer.X_) == len(np.unique(optimizer.X_, axis=0)) == result.nfev
    assert result.fun == optimizer.y_.min()
    return optimizer.X_


class Counted:
    """Notes the rows, and how many of them are evaluated at once."""

    def __init__(self, fun=bowl, seconds=0.005):
        self.fun, self.seconds = fun, seconds
        self.rows, self.most, self._now, self._lock = [], 0, 0, threading.Lock()

    def __call__(self, x):
        with self._lock:
            self.rows.append(tuple(x))
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(self.seconds)
        with self._lock:
            self._now -= 1
        return self.fun(x)


PLANS = {
    "defaults": {},
    "infill": {"infill": ProxyMinima(2)},
    "local": {"refiner": LocalRefinement()},
    "sampler": {"sampler": SobolSampler(8)},
}


@pytest.mark.parametrize("plan", PLANS)
def test_rows_depend_on_the_seed_and_on_how_many_are_pending(plan):
    params = PLANS[plan].items()
    expected = rows_of(bowl, n_pending=3, params=params)
    np.testing.assert_array_equal(rows_of(n_jobs=2, n_pending=3, params=params), expected)
    np.testing.assert_array_equal(rows_of(n_jobs=4, n_pending=3, params=params), expected)


def noisy(x):
    return bowl(x) + 0.3 * np.sin(1e6 * (x[0] + x[1]))


def two(x):
    return np.array([x[0] ** 2, (x[0] - 2.0) ** 2 + x[1]])


def front_by(**params):
    return ParetoOptimizer(
        bounds=BOX,
        proxy=NeuralProxyRegressor((8,), max_epochs=5),
        optimizer=NSGA2(16, 8),
        vectorized=False,
        random_state=0,
        **params,
    )


NOISY = {
    "noise_std": 0.3,
    "proxy": KernelProxyRegressor(noise_std=0.3),
    "optimizer": MultiStartBFGS(8, 20, n_rounds=1, n_candidates=64),
}


def test_rows_under_noise_depend_on_the_seed_and_on_how_many_are_pending():
    expected, found = quick(**NOISY), quick(**NOISY, n_jobs=2)
    expected.minimize(noisy, budget=24, n_pending=3)
    with parallel_config(backend="threading"):
        result = found.minimize(noisy, budget=24, n_pending=3)
    np.testing.assert_array_equal(found.X_, expected.X_)
    assert len(found.X_) == result.nfev == 24


@pytest.mark.parametrize("n_jobs", [2, 4])
def test_fronts_depend_on_the_seed_and_on_how_many_are_pending(n_jobs):
    expected, found = front_by(), front_by(n_jobs=n_jobs)
    one = expected.minimize(two, budget=40, n_pending=3)
    with parallel_config(backend="threading"):
        other = found.minimize(two, budget=40, n_pending=3)
    np.testing.assert_array_equal(found.X_, expected.X_)
    assert len(np.unique(found.X_, axis=0)) == other.nfev == 40
    assert one.nfev_design == other.nfev_design == 20
    np.testing.assert_array_equal(one.reference, other.reference)
    assert np.isfinite(other.F_verified).all()


class Job:
    """What a scheduler hands out for a call: to be looked at, since it tells nobody."""

    def __init__(self, call):
        self._call, self._n_looks = call, 0

    def done(self):
        self._n_looks += 1
        return self._n_looks > 2

    def result(self):
        return self._call()

    def exception(self):
        return None

    def cancelled(self):
        return False

    def cancel(self):
        return None


class Busy:
    """Ends the calls in an order of its own, and notes how many are in flight whenever one ends."""

    def __init__(self, n_workers):
        self._max_workers, self.running, self.in_flight = n_workers, [], []
        self.rng = np.random.default_rng(0)

    def submit(self, function, *arguments):
        self.running.append(Call(self, function(*arguments)))
        return self.running[-1]


class Call(Job):
    def __init__(self, executor, value):
        super().__init__(lambda: value)
        self.executor, self.value = executor, value

    def done(self):
        executor = self.executor
        if executor.rng.random() < 0.7:
            return False
        executor.in_flight.append(len(executor.running))
        executor.running.remove(self)
        return True


ASYNCHRONOUS = {
    "defaults": (bowl, quick),
    "infill": (bowl, partial(quick, infill=ProxyMinima(2))),
    "noise": (noisy, partial(quick, **NOISY)),
    "front": (two, front_by),
}


@pytest.mark.parametrize("kind", ASYNCHRONOUS)
def test_no_phase_leaves_a_worker_idle(kind):
    fun, make = ASYNCHRONOUS[kind]
    executor, optimizer = Busy(4), make()
    result = optimizer.minimize(fun, budget=32, order="results", executor=executor)
    assert result.nfev == len(executor.in_flight) == 32
    # Only at the end there is nothing more to begin.
    assert executor.in_flight == [4] * 29 + [3, 2, 1]


def test_the_search_goes_on_while_a_repeat_tests_for_noise():
    executor, optimizer = Busy(4), quick(noise_std="auto", proxy=KernelProxyRegressor())
    optimizer.minimize(noisy, budget=40, order="results", executor=executor)
    assert len(np.unique(optimizer.X_, axis=0)) < len(optimizer.X_) == 40
    assert executor.in_flight == [4] * 37 + [3, 2, 1]


def test_one_pending_row_is_the_run_without_workers():
    np.testing.assert_array_equal(rows_of(n_jobs=3, n_pending=1), rows_of(bowl))


def test_workers_are_as_many_as_rows_are_pending_unless_told():
    np.testing.assert_array_equal(rows_of(n_jobs=3), rows_of(bowl, n_pending=3))
    fun = Counted()
    rows_of(fun, n_jobs=3, budget=40)
    assert fun.most == 3
    assert len(fun.rows) == len(set(fun.rows)) == 40


@pytest.mark.parametrize("order", ["seed", "results"])
def test_a_run_without_a_budget_refines_side_by_side(order):
    fun = Counted()
    optimizer = quick(n_jobs=3, sampler=SobolSampler(8))
    with parallel_config(backend="threading"):
        result = optimizer.minimize(fun, order=order)
    assert len(fun.rows) == len(set(fun.rows)) == result.nfev > 20
    assert result.fun < bowl(np.array([1.0, 3.0])) + 1e-3


def test_the_search_finds_the_minimum_with_many_pending():
    best = quick().minimize(bowl, budget=60).fun
    with parallel_config(backend="threading"):
        result = quick(n_jobs=8).minimize(bowl, budget=60)
    assert result.fun == pytest.approx(best, abs=1e-4)


class CutError(Exception):
    """Ends a run as a power cut would."""


def cut_after(n_rows, fun=bowl):
    rows = []

    def evaluated(x):
        rows.append(x)
        if len(rows) > n_rows:
            raise CutError
        return fun(x)

    return evaluated


@pytest.mark.parametrize("order", ["seed", "results"])
@pytest.mark.parametrize("n_rows", [3, 17, 33])
def test_a_run_that_was_cut_goes_on_and_pays_for_nothing_twice(tmp_path, order, n_rows):
    options = {"budget": 40, "n_pending": 4, "order": order}
    path = tmp_path / "runs.sqlite"
    with parallel_config(backend="threading"):
        with pytest.raises(EvaluationError):
            quick(n_jobs=2, journal=path).minimize(cut_after(n_rows), **options)
        before = Journal(path).rows()[0]
        assert 3 <= len(before) <= n_rows
        fun = Counted(seconds=0.0)
        again = quick(n_jobs=2, journal=path)
        result = again.minimize(fun, **options)
    assert not set(fun.rows) & set(map(tuple, before))
    # All that was paid for is used, and counts.
    assert len(fun.rows) == result.nfev == 40 - len(before)
    assert set(map(tuple, again.X_)) == set(fun.rows) | set(map(tuple, before))
    if order == "seed":
        np.testing.assert_array_equal(again.X_, rows_of(bowl, n_pending=4))


@pytest.mark.parametrize("n_rows", [15, 25, 35])
def test_a_cut_run_with_failures_takes_the_way_of_its_results_again(tmp_path, n_rows):
    def fails_here_and_there(x):
        time.sleep(0.004 * (int(abs(x[0]) * 1e6) % 5))
        if int(abs(x[1]) * 1e6) % 3 == 0:
            raise ArithmeticError("no convergence")
        return bowl(x)

    class Cut(Counted):
        def __call__(self, x):
            if len(self.rows) == n_rows:
                raise KeyboardInterrupt
            return super().__call__(x)

    options = {"budget": 40, "order": "results"}
    params = {"n_jobs": 4, "journal": tmp_path / "runs.sqlite", "on_error": "drop"}
    first = Cut(fails_here_and_there)
    with parallel_config(backend="threading"):
        with pytest.raises(KeyboardInterrupt):
            quick(**params).minimize(first, **options)
        again, fun = quick(**params), Counted(fails_here_and_there)
        with pytest.warns(FailedEvaluationWarning):
            again.minimize(fun, **options)
    # Nothing that was paid for is left aside, so that the budget is kept.
    assert len(again.X_) + len(again.X_failed_) == 40


class InterruptedOnce:
    """Is interrupted by the user at its tenth row."""

    def __init__(self):
        self.rows = []

    def __call__(self, x):
        self.rows.append(tuple(x))
        if len(self.rows) == 10:
            raise KeyboardInterrupt
        return bowl(x)


@pytest.mark.parametrize("n_pending", [1, 3])
def test_an_interrupted_run_says_where_its_rows_are(tmp_path, capsys, n_pending):
    fun, path = InterruptedOnce(), tmp_path / "runs.sqlite"
    optimizer = quick(journal=path)
    with pytest.raises(KeyboardInterrupt):
        optimizer.minimize(fun, budget=24, n_pending=n_pending)
    said = capsys.readouterr().err
    assert said == (
        f"Interrupted: {len(optimizer.X_)} rows are in {path}, without those that were being "
        "evaluated; run the same again to go on.\n"
    )
    optimizer.minimize(fun, budget=24, n_pending=n_pending)
    # The row that was interrupted is evaluated again, no other.
    assert len(fun.rows) == 25
    assert len(set(fun.rows)) == 24


def fails_on_the_left(x):
    if x[0] < -2.0:
        raise ArithmeticError("no convergence")
    return bowl(x)


def test_failures_are_left_out_and_not_asked_for_again():
    fun = Counted(fails_on_the_left)
    optimizer = quick(n_jobs=3, on_error="drop")
    with parallel_config(backend="threading"), pytest.warns(FailedEvaluationWarning):
        result = optimizer.minimize(fun, budget=40)
    assert len(fun.rows) == len(set(fun.rows)) == 40
    assert result.n_failed == len(optimizer.X_failed_) > 0
    assert (optimizer.X_[:, 0] >= -2.0).all()


def test_a_failure_that_ends_the_run_keeps_what_was_paid_for():
    optimizer = quick(n_jobs=3)
    fun = Counted(fails_on_the_left)
    error = pytest.raises(EvaluationError, match=r"raised ArithmeticError: no convergence")
    with parallel_config(backend="threading"), error:
        optimizer.minimize(fun, budget=40)
    n_good = sum(x[0] >= -2.0 for x in fun.rows)
    assert len(optimizer.X_) == n_good


def test_a_target_ends_the_run_and_what_has_begun_counts():
    fun = Counted()
    optimizer = quick(n_jobs=3)
    with parallel_config(backend="threading"):
        result = optimizer.minimize(fun, budget=100, target=1.0)
    assert result.fun <= 1.0
    assert len(fun.rows) == len(optimizer.X_) < 60
    assert "target of 1 was reached" in result.message


def test_whole_numbers_labels_and_constraints_are_searched_side_by_side():
    def cost(row):
        return (row["a"] - 3) ** 2 + (row["x"] - 0.5) ** 2 + (row["kind"] != "good")

    space = {"a": Integer(0, 7), "x": (0.0, 1.0), "kind": ["bad", "good", "ugly"]}
    found = []
    for seed in range(3):
        optimizer = ProxyOptimizer(
            bounds=space,
            constraints=LinearConstraint([[1.0, 4.0, 0.0]], -np.inf, 6.0),
            proxy="gp",
            noise_std=None,
            verdict=False,
            n_jobs=3,
            random_state=seed,
        )
        with parallel_config(backend="threading"):
            result = optimizer.minimize(cost, budget=50)
        found.append((result.x_named["kind"], result.fun < 0.05))
        assert len(np.unique(optimizer.X_, axis=0)) == len(optimizer.X_) == 50
    assert found == [("good", True)] * 3


def test_outcome_constraints_are_kept_side_by_side():
    def outputs(x):
        return np.array([bowl(x), 2.0 - x[0]])

    optimizer = quick(n_jobs=4, n_constraints=1)
    with parallel_config(backend="threading"):
        result = optimizer.minimize(outputs, budget=50)
    assert result.feasible
    assert result.x[0] >= 2.0
    assert result.fun < bowl(np.array([2.0, 3.0])) + 0.1


def test_repeats_of_a_setting_are_evaluated_side_by_side():
    optimizer = quick(n_jobs=3, n_repeats=2)
    with parallel_config(backend="threading"):
        result = optimizer.minimize(bowl, budget=40)
    settings, counts = np.unique(optimizer.X_, axis=0, return_counts=True)
    assert (counts == 2).all()
    assert len(settings) == 20
    assert result.nfev == 40
    alone = quick(n_repeats=2)
    alone.minimize(bowl, budget=40, n_pending=3)
    np.testing.assert_array_equal(alone.X_, optimizer.X_)


def test_a_front_is_found_by_an_executor():
    optimizer = front_by(n_objectives=2)
    with ThreadPoolExecutor(3) as executor:
        result = optimizer.minimize(two, budget=40, executor=executor)
    assert len(optimizer.X_) == result.nfev <= 40
    assert len(result.F) > 3


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_any_executor_evaluates(kind):
    options = {"mp_context": multiprocessing.get_context("spawn")}
    with kind(2, **(options if kind is ProcessPoolExecutor else {})) as executor:
        rows = rows_of(bowl, executor=executor, budget=24)
    np.testing.assert_array_equal(rows, rows_of(bowl, n_pending=2, budget=24))


class Scheduler:
    """Has no futures of the standard library."""

    def submit(self, function, *arguments):
        return Job(lambda: function(*arguments))


def test_jobs_that_tell_nobody_are_looked_at():
    rows = rows_of(bowl, executor=Scheduler(), n_jobs=3, budget=24)
    np.testing.assert_array_equal(rows, rows_of(bowl, n_pending=3, budget=24))


class Unknown(ThreadingBackend):
    """A backend that joblib asks for whole lists."""

    supports_return_generator = False


register_parallel_backend("unknown", Unknown)


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing", "unknown"])
def test_every_backend_of_joblib_evaluates(backend):
    rows = rows_of(bowl, n_jobs=2, backend=backend, budget=24)
    np.testing.assert_array_equal(rows, rows_of(bowl, n_pending=2, budget=24))


@pytest.mark.slow
def test_a_client_of_dask_evaluates():
    distributed = pytest.importorskip("distributed")
    options = {"processes": True, "threads_per_worker": 1, "dashboard_address": None}
    expected = rows_of(bowl, n_pending=2, budget=24)
    with (
        distributed.LocalCluster(n_workers=2, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        rows = rows_of(bowl, executor=client.get_executor(pure=False), budget=24)
        np.testing.assert_array_equal(rows, expected)
        client.wait_for_workers(2)
        rows = rows_of(bowl, backend="dask", n_jobs=2, n_pending=2, budget=24)
        np.testing.assert_array_equal(rows, expected)


class KillsItsWorker:
    """Takes its process down, once."""

    def __init__(self, mark):
        self.mark = mark

    def __call__(self, x):
        if x[0] > 2.5 and not self.mark.exists():
            self.mark.touch()
            os._exit(9)
        return bowl(x)


def test_workers_that_die_cost_no_row(tmp_path):
    mark = tmp_path / "killed"
    rows = rows_of(KillsItsWorker(mark), n_jobs=2, backend="loky", budget=24)
    assert mark.exists()
    np.testing.assert_array_equal(rows, rows_of(bowl, n_pending=2, budget=24))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_pending": 0}, r"n_pending must be an integer of at least 1; got 0"),
        ({"n_pending": 2.5}, r"n_pending must be an integer"),
        ({"order": "asked"}, r"order must be one of 'seed', 'results'; got 'asked'"),
        ({"executor": 4}, r"executor must have a method submit.*; got 4"),
    ],
)
def test_bad_arguments_are_named_before_a_row_is_paid_for(options, message):
    fun = Counted()
    with pytest.raises((TypeError, ValueError), match=message):
        quick().minimize(fun, budget=20, **options)
    assert not fun.rows


def kills_its_process(x):
    if x[0] > 0.0:
        os._exit(3)
    return bowl(x)


def test_an_executor_whose_process_ends_is_named_with_a_sample_and_a_remedy():
    context = multiprocessing.get_context("spawn")
    message = (
        r"executor must keep its workers alive; .* first of them \[.*\]\. Pass n_jobs in place"
    )
    optimizer = quick()
    with (
        ProcessPoolExecutor(2, mp_context=context) as executor,
        pytest.raises(EvaluationError, match=message),
    ):
        optimizer.minimize(kills_its_process, budget=24, executor=executor)


def test_an_executor_that_was_shut_down_is_named():
    executor = ThreadPoolExecutor(2)
    executor.shutdown()
    with pytest.raises(EvaluationError, match=r"executor must take calls .* around the whole run"):
        quick().minimize(bowl, budget=24, executor=executor)


@pytest.mark.parametrize("params", [{"n_jobs": 2}, {"time_limit": 20.0}, {}])
def test_a_function_that_cannot_be_sent_to_a_process_leads_to_what_can(params):
    lock = threading.Lock()

    def locked(x):
        with lock:
            return bowl(x)

    executor = None if params else ProcessPoolExecutor(2)
    message = "objective must be a function that (a worker|another) process can load"
    with pytest.raises(EvaluationError, match=f"{message}.*[Pp]ickl.*Define it at module level"):
        quick(**params).minimize(locked, budget=24, executor=executor)
    if executor is not None:
        executor.shutdown()
