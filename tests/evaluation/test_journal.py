import os
import signal
import sqlite3
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.evaluation import Evaluator, Journal
from sklearn_proxyopt.exceptions import EvaluationError, FailedEvaluationWarning, JournalError
from sklearn_proxyopt.optimizers import DifferentialEvolution, ParticleSwarm
from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.samplers import LatinHypercubeSampler, SobolSampler

ROOT = Path(__file__).parents[2]
ROWS = np.arange(12.0).reshape(6, 2)
BOX = np.array([[-2.0, 2.0], [0.0, 50.0]])


def total(X):
    return X.sum(axis=1)


def bowl(X):
    return (X[:, 0] - 0.5) ** 2 + ((X[:, 1] - 20.0) / 25.0) ** 2 + 3.0


def noted_bowl(path, X):
    with open(path, "a") as file:
        file.writelines(f"{row}\n" for row in X.tolist())
    return bowl(X)


def quick(**params):
    params = {
        "sampler": SobolSampler(16),
        "proxy": LinearRegression(),
        "optimizer": DifferentialEvolution(10, 5),
        "refiner": LocalRefinement(max_evaluations=10),
        "vectorized": True,
        "random_state": 0,
        **params,
    }
    return ProxyOptimizer(**params)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.sqlite"


def write(path, fun=total, X=ROWS, **params):
    with Journal(path).writing(X.shape[1]) as writer:
        evaluate = Evaluator(fun, journal=writer, **{"vectorized": True, **params})
        writer.read_into(evaluate.record)
        return evaluate(X), evaluate.n_calls


def select(path, query):
    connection = sqlite3.connect(path)
    rows = connection.execute(query).fetchall()
    connection.close()
    return rows


def test_what_was_paid_for_is_read_back_to_the_last_bit(path):
    X = np.random.default_rng(0).standard_normal((50, 3)) / 3
    write(path, X=X)
    found, values = Journal(path).rows()
    np.testing.assert_array_equal(found, X)
    np.testing.assert_array_equal(values, total(X))
    assert len(Journal(path)) == 50


def test_plain_sql_reads_the_journal(path):
    write(path)
    query = "SELECT x0, x1, value, status, round FROM evaluations ORDER BY value LIMIT 1"
    assert select(path, query) == [(0.0, 1.0, 1.0, "done", 0)]


def test_a_later_process_pays_for_nothing_on_disk(path):
    write(path)
    values, n_calls = write(path)
    assert n_calls == 0
    np.testing.assert_array_equal(values, total(ROWS))
    assert len(Journal(path)) == 6


def test_each_evaluation_is_on_disk_before_the_next_begins(path):
    seen = []

    def fun(x):
        seen.append(len(select(path, "SELECT id FROM evaluations")))
        return x.sum()

    write(path, fun, vectorized=False)
    assert seen == [0, 1, 2, 3, 4, 5]


def test_the_table_has_failures_with_their_reasons_and_durations(path):
    def fun(x):
        if x[0] == 4.0:
            raise ArithmeticError("no state")
        return x.sum()

    with pytest.warns(FailedEvaluationWarning):
        write(path, fun, vectorized=False, on_error="drop")
    frame = Journal(path).to_frame()
    assert frame.status.tolist() == ["done", "done", "failed", "done", "done", "done"]
    assert frame.error[3] == "raised ArithmeticError: no state"
    assert np.isnan(frame.value[3])
    assert (frame.duration >= 0).all()
    assert frame.ended.str.startswith("20").all()


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["value", "round"], ["value_", "round_"]),
        (["id", "status"], ["id_", "status_"]),
        (["value", "value_"], ["value__", "value_"]),
        (["x1", "x0"], ["x1", "x0"]),
    ],
)
def test_inputs_named_like_columns_of_the_table_are_told_apart(path, names, labels):
    pytest.importorskip("pandas")
    with Journal(path).writing(2, names=names) as writer:
        Evaluator(total, journal=writer, vectorized=True)(ROWS)
    frame = Journal(path).to_frame()
    assert frame.columns.is_unique
    assert frame.index.name == "id"
    np.testing.assert_array_equal(frame[labels], ROWS)
    np.testing.assert_array_equal(frame["value"], total(ROWS))
    assert Journal(path).names() == names


def test_a_failure_that_was_dropped_is_not_paid_for_again(path):
    fun = lambda X: np.where(X[:, 0] == 4.0, np.nan, total(X))  # noqa: E731
    write(path, fun, on_error="drop")
    values, n_calls = write(path, fun, on_error="drop")
    assert n_calls == 0
    assert np.flatnonzero(np.isnan(values)).tolist() == [2]


def test_a_failure_that_ended_the_run_is_tried_again_by_the_next(path):
    with pytest.raises(EvaluationError, match="returned nan for row 2"):
        write(path, lambda X: np.where(X[:, 0] == 4.0, np.nan, total(X)))
    values, n_calls = write(path)
    assert n_calls == 1
    np.testing.assert_array_equal(values, total(ROWS))


def test_what_was_paid_for_before_the_journal_was_opened_is_written_too(path):
    evaluate = Evaluator(total, vectorized=True)
    evaluate(ROWS)
    with Journal(path).writing(2) as writer:
        writer.read_into(evaluate.record)
    assert len(Journal(path)) == 6


# One writer.


def test_a_second_writer_is_refused_and_told_who_the_first_is(path):
    with Journal(path).writing(2):
        code = (
            "from sklearn_proxyopt.evaluation import Journal\n"
            f"with Journal({str(path)!r}).writing(2): pass"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert "journal must not be written by another run at the same time" in done.stderr
    assert f"process {os.getpid()} on" in done.stderr


def test_a_second_writer_in_this_process_is_refused(path):
    with (
        Journal(path).writing(2),
        pytest.raises(JournalError, match="another thread of this process is writing"),
        Journal(path).writing(2),
    ):
        pass


def test_a_writer_that_waits_gets_its_turn(path):
    def wait():
        with Journal(path).writing(2, patience=np.inf):
            turns.append("second")

    turns = []
    thread = threading.Thread(target=wait)
    with Journal(path).writing(2):
        thread.start()
        thread.join(0.2)
        turns.append("first")
    thread.join()
    assert turns == ["first", "second"]


def test_a_writer_that_waits_for_another_process_gets_its_turn(path):
    code = (
        "import time\nfrom sklearn_proxyopt.evaluation import Journal\n"
        f"with Journal({str(path)!r}).writing(2):\n    print('open', flush=True); time.sleep(1)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    with Journal(path).writing(2, patience=np.inf):
        assert process.wait(10) == 0
    process.stdout.close()


def test_a_writer_whose_patience_ends_is_refused(path):
    with (
        Journal(path).writing(2),
        pytest.raises(JournalError, match="another thread of this process is writing"),
        Journal(path).writing(2, patience=0.2),
    ):
        pass


def test_a_writer_that_was_killed_is_no_writer_any_more(path):
    code = (
        "import time\nfrom sklearn_proxyopt.evaluation import Journal\n"
        f"with Journal({str(path)!r}).writing(2): print('open', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    write(path)
    assert len(Journal(path)) == 6


def test_the_journal_is_read_while_it_is_written(path):
    with Journal(path).writing(2) as writer:
        Evaluator(total, journal=writer, vectorized=True)(ROWS)
        assert len(Journal(path)) == 6


# What is refused.


def test_a_journal_of_another_number_of_variables_is_refused(path):
    write(path)
    with (
        pytest.raises(JournalError, match=r"there are 2 variables in .*, got 3"),
        Journal(path).writing(3),
    ):
        pass


def test_a_journal_of_another_box_is_refused_by_the_variable(path):
    opt = quick(journal=path)
    opt.minimize(bowl, BOX)
    with pytest.raises(
        JournalError, match=r"the bounds of variable 1 are \[0.0, 50.0\] in .*, got \[0.0, 60.0\]"
    ):
        quick(journal=path).minimize(bowl, [[-2.0, 2.0], [0.0, 60.0]])


def test_a_journal_of_other_names_is_refused_by_the_name(path):
    with Journal(path).writing(2, names=["speed", "angle"]):
        pass
    with (
        pytest.raises(JournalError, match=r"variable 1 is 'angle' in .*, got 'twist'"),
        Journal(path).writing(2, names=["speed", "twist"]),
    ):
        pass


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"speed,angle\n1,2\n" * 100, "file is not a database"), (None, "another kind of database")],
)
def test_a_file_that_is_no_journal_is_refused_and_left_alone(path, content, message):
    if content is None:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE other (a)")
        connection.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(JournalError, match=f"journal must be a journal of evaluations.*{message}"):
        write(path)
    with pytest.raises(JournalError, match=f"journal must be a journal of evaluations.*{message}"):
        len(Journal(path))
    assert path.read_bytes() == before


def test_a_damaged_journal_is_refused(path):
    write(path, X=np.random.default_rng(0).random((500, 2)))
    content = bytearray(path.read_bytes())
    content[4096 * 2 : 4096 * 3] = os.urandom(4096)
    path.write_bytes(content)
    with pytest.raises(JournalError, match="journal must be"):
        len(Journal(path))


def test_a_journal_of_a_newer_format_is_refused(path):
    write(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(JournalError, match=r"of version 3; got .* of version 7, which a newer"):
        write(path)


def test_a_journal_that_cannot_be_opened_is_refused_before_any_evaluation(tmp_path):
    calls = []
    for bad, message in (
        (tmp_path / "nowhere" / "runs.sqlite", "journal must be in an existing folder"),
        (3.0, "journal must be a path or None"),
    ):
        with pytest.raises(ValueError, match=message):
            quick(journal=bad).minimize(lambda X: calls.append(X), BOX)
    with pytest.raises(JournalError, match="journal must be an existing file"):
        len(Journal(tmp_path / "none.sqlite"))
    assert not calls


# With the optimizer.


@pytest.mark.parametrize("seed", [0, None])
def test_a_second_run_goes_on_from_the_journal_to_the_same_answer(path, seed):
    first = quick(journal=path, random_state=seed)
    second = quick(journal=path, random_state=seed)
    results = [opt.minimize(bowl, BOX) for opt in (first, second)]
    assert results[0].nfev > 16
    assert results[1].nfev == 0
    np.testing.assert_array_equal(results[0].x, results[1].x)
    np.testing.assert_array_equal(first.X_, second.X_)


def test_a_run_that_was_interrupted_goes_on_where_it_stopped(path):
    def interrupted(x):
        if len(calls) == 7:
            raise KeyboardInterrupt
        calls.append(x)
        return bowl(x[None])[0]

    calls = []
    with pytest.raises(KeyboardInterrupt):
        quick(journal=path, vectorized=False).minimize(interrupted, BOX)
    result = quick(journal=path).minimize(bowl, BOX)
    assert result.nfev_design == 9
    np.testing.assert_array_equal(result.x, quick().minimize(bowl, BOX).x)


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
def test_failures_are_counted_again_after_a_restart(path):
    def fragile(X):
        return np.where(X[:, 1] > 30.0, np.nan, bowl(X))

    results = [quick(journal=path, on_error="drop").minimize(fun, BOX) for fun in (fragile, bowl)]
    assert results[0].n_failed == results[1].n_failed > 3


def test_workers_of_a_grid_search_share_what_is_bought(path, tmp_path):
    X = np.random.default_rng(0).uniform(BOX[:, 0], BOX[:, 1], (40, 2))
    notes = tmp_path / "notes.txt"
    grid = {
        "sampler": [SobolSampler(16), LatinHypercubeSampler(16)],
        "optimizer": [DifferentialEvolution(10, 5), ParticleSwarm(5, 5)],
    }
    opt = quick(objective=partial(noted_bowl, notes), bounds=BOX, journal=path)
    GridSearchCV(opt, grid, cv=2, n_jobs=2, error_score="raise").fit(X, bowl(X))
    rows = notes.read_text().splitlines()
    assert len(rows) == len(set(rows)) == len(Journal(path)) == 32


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
def test_runs_killed_at_random_moments_lose_nothing_and_pay_nothing_twice():
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "benchmarks" / "kill_and_resume.py"),
            *("--kills=8", "--samples=16", "--kinds", "design and refinement", "ask and tell"),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kills 8, " in done.stdout
