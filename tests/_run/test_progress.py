"""What is printed and logged while a run goes on."""

import logging

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.linear_model import LinearRegression

from sklearn_proxyopt import ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt._run import _progress
from sklearn_proxyopt.optimizers import NSGA2, DifferentialEvolution
from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.samplers import SobolSampler

BOX = [(-1.0, 1.0)] * 2


@pytest.fixture
def clock(monkeypatch):
    """A clock that the objective moves."""

    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(_progress, "time", clock)
    return clock


def lines_of(clock, capsys, seconds, fun=None, method="minimize", budget=40, **params):
    """Return the lines of a run each of whose evaluations takes some seconds."""

    def simulate(x):
        clock.now += seconds
        return float(np.square(x - 0.3).sum()) if fun is None else fun(x)

    opt = ProxyOptimizer(
        **{
            "sampler": SobolSampler(20),
            "proxy": LinearRegression(),
            "optimizer": DifferentialEvolution(10, 5),
            "vectorized": False,
            "verdict": False,
            "verbose": 1,
            "random_state": 0,
            **params,
        }
    )
    getattr(opt, method)(simulate, BOX, budget=budget)
    return opt, capsys.readouterr().out.splitlines()


def counts(lines):
    return [int(line.split("/")[0]) for line in lines if " at 0:" in line]


def test_there_is_a_line_for_each_tenth_of_the_budget(clock, capsys):
    opt, lines = lines_of(clock, capsys, 2.0)
    assert lines[0] == "sklearn_proxyopt: minimizing simulate over 2 variables, 40 runs"
    assert [n for n in counts(lines) if n % 4 == 0] == [4, 8, 12, 16, 20, 24, 28, 32, 36, 40]
    assert lines[1].split()[:4] == ["4/40", "initial", "design", "best"]
    assert lines[1].split()[-2:] == ["at", "0:00:08"]
    at = int(np.flatnonzero(opt.y_ == opt.fun_)[0]) + 1
    assert lines[-1] == f"done in 1 min 20 s. Best value {opt.fun_:.6g} (run {at})."


def test_a_slow_function_has_a_line_every_half_minute(clock, capsys):
    _, lines = lines_of(clock, capsys, 31.0)
    assert counts(lines) == list(range(1, 41))


def test_a_quick_function_has_a_line_for_each_phase(clock, capsys):
    _, lines = lines_of(clock, capsys, 0.0)
    # Half way noise is looked for.
    assert counts(lines) == [20, 30, 38, 40]


def test_failures_and_the_last_gain_stand_in_the_line(clock, capsys):
    values = iter([5.0, 3.0, *[4.0] * 40])

    def fails_late(x):
        value = next(values)
        if value == 4.0 and x[0] > 0.5:
            raise ArithmeticError
        return value

    with pytest.warns(match="failed|same"):
        opt, lines = lines_of(clock, capsys, 2.0, fails_late, on_error="drop")
    assert "last gain at run 2   " in lines[3]
    assert any(line.endswith(f"   {len(opt.X_failed_)} failed") for line in lines)


def test_highest_values_are_the_best_of_a_maximum(clock, capsys):
    opt, lines = lines_of(clock, capsys, 2.0, lambda x: float(x[0]), method="maximize")
    assert lines[0].startswith("sklearn_proxyopt: maximizing simulate")
    assert f"Best value {opt.y_.max():.6g}" in lines[-1]


def test_the_verdict_and_the_journal_stand_at_the_end(clock, capsys, tmp_path):
    params = {"verdict": True, "journal": tmp_path / "runs.sqlite", "proxy": "gp"}
    opt, lines = lines_of(clock, capsys, 0.1, **params)
    assert lines[-2].startswith(f"Verdict: {opt.result_.verdict} (")
    assert lines[-1] == "runs.sqlite holds every run; start the program again to add more."


@pytest.mark.parametrize(
    ("fun", "word"),
    [
        (lambda x: float(x[0] + 2.0 * x[1]), "right"),
        (lambda x: float(np.square(x).sum()), "wrong"),
    ],
)
def test_what_is_measured_at_the_optimum_of_the_model_has_a_line(clock, capsys, fun, word):
    opt, lines = lines_of(clock, capsys, 0.1, fun, refiner=None)
    result = opt.result_
    values = f"predicted {result.fun_proxy:.5g}, measured {result.true_at_proxy:.5g}"
    place = lines.index(f"    21/40  model optimum checked {values}: the model is {word} there")
    assert "refining" in lines[place + 1]


def test_the_optimum_of_the_model_is_told_of_once_with_workers_too(clock, capsys):
    with parallel_config(backend="threading"):
        _, lines = lines_of(clock, capsys, 0.1, budget=130, n_jobs=2, refiner="auto")
    assert sum("model optimum checked predicted" in line for line in lines) == 1


def test_all_lines_are_logged_under_the_name_of_the_package(clock, capsys, caplog):
    with caplog.at_level(logging.INFO, "sklearn_proxyopt"):
        _, lines = lines_of(clock, capsys, 2.0, verbose=0)
    assert lines == []
    said = [record.getMessage() for record in caplog.records]
    assert {record.name for record in caplog.records} == {"sklearn_proxyopt"}
    assert said[0].startswith("sklearn_proxyopt: minimizing")
    assert said[-1].startswith("done in 1 min 20 s.")


def test_a_front_is_told_of_without_a_best_value(capsys):
    opt = ParetoOptimizer(
        proxy=LinearRegression(),
        optimizer=NSGA2(12, 5),
        sampler=SobolSampler(8),
        verbose=1,
        random_state=0,
        vectorized=True,
    )
    opt.minimize(lambda X: np.column_stack([X[:, 0], -X[:, 0]]), BOX, budget=12)
    lines = capsys.readouterr().out.splitlines()
    assert any("verifying the front" in line for line in lines)
    assert not any("best" in line for line in lines)
    assert "A front of" in lines[-1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "less than 1 s"), (61.0, "1 min 1 s"), (3600.0, "1 h"), (7384.0, "2 h 3 min")],
)
def test_how_long_it_took_is_read_in_its_units(seconds, text):
    assert _progress._as_span(seconds) == text


def test_a_model_of_given_samples_is_told_of_in_few_lines(capsys):
    X = np.random.default_rng(0).uniform(-1.0, 1.0, (20, 2))
    opt = ProxyOptimizer(
        proxy=LinearRegression(), refiner=LocalRefinement(), verbose=1, random_state=0
    )
    opt.fit(X, X.sum(axis=1))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Training LinearRegression on 20 samples."
    assert lines[-1].startswith("done in ")
