"""What proxies are compared on and with."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import proxies
from further_functions import FURTHER
from proxy_functions import REPORTING

PROBLEMS = REPORTING | FURTHER


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_function_is_finite_in_its_box_and_varies(name):
    function = PROBLEMS[name]
    lower, upper = np.asarray(function.bounds, dtype=np.float64).T
    shares = np.random.default_rng(0).random((64, len(lower)))
    values = np.ravel(function(lower + shares * (upper - lower)))
    assert np.isfinite(values).all()
    assert len(np.unique(values)) > 32


def test_the_page_has_as_many_functions_as_it_says():
    simulators = {"predator and prey, 4", "thrown ball, 5", "heated plate, 6", "crane, 12"}
    assert len(PROBLEMS.keys() - simulators) == 24
    assert simulators < PROBLEMS.keys()


def test_a_load_that_nobody_pushes_stays_where_it_hangs():
    still = FURTHER["crane, 12"](np.full((1, 12), 0.5))
    assert still[0] == pytest.approx(3.0)


def test_a_plate_with_neither_heat_nor_cooling_keeps_its_temperature():
    from further_functions import _plate

    rows = np.array([[0.0], [20.0], [0.2], [0.3], [30.0], [2.0]])
    assert _plate(*rows)[0] == pytest.approx(60.0)


def test_a_process_that_takes_too_long_counts_as_the_mean_of_its_rows(monkeypatch):
    class Endless(proxies.Process):
        def _learn(self, X, y):
            while True:
                X @ X.T

    monkeypatch.setattr(proxies, "MOST_SECONDS", 0.05)
    X, y = np.eye(3), np.array([1.0, 2.0, 6.0])
    mean, deviation = Endless().fit(X, y).predict(X[:2], return_std=True)
    assert mean.tolist() == [3.0, 3.0]
    assert deviation.tolist() == [y.std()] * 2


def test_a_regressor_that_lacks_a_comparison_is_left_out():
    def cell(problem, n_rows, name):
        return {"problem": problem, "n_rows": n_rows, "repeat": 0, "regressor": name}

    kept = [cell("one", 50, "a"), cell("two", 50, "a"), cell("two", 200, "b")]
    result = proxies.complete(proxies.Comparison([*kept, cell("one", 50, "b")]))
    assert result.cells == kept
