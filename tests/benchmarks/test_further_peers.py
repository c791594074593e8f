"""The functions and coatings of two comparisons, and how their runs are counted."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import further_peers
from coatings import FAMILY, coating
from unseen_functions import UNSEEN


@pytest.mark.parametrize("name", UNSEEN)
def test_a_function_has_a_value_for_each_sample_that_no_other_sample_changes(name):
    problem = UNSEEN[name]
    X = np.random.default_rng(0).random((20, len(problem.bounds)))
    y = problem(X)
    assert y.shape == (20,)
    assert np.isfinite(y).all()
    np.testing.assert_allclose(problem(X[7:8])[0], y[7], rtol=1e-9)


def test_layers_without_thickness_reflect_as_bare_glass_does():
    function, _ = coating(8)
    n = 1.52
    inside, outside = np.sqrt(1 - 0.5 / n**2), np.sqrt(0.5)
    by_fresnel = [
        2 * ((1 - n) / (1 + n)) ** 2,
        ((outside - n * inside) / (outside + n * inside)) ** 2,
        ((inside - n * outside) / (inside + n * outside)) ** 2,
    ]
    np.testing.assert_allclose(function(np.zeros((1, 8))), 100 * sum(by_fresnel) / 4, rtol=1e-12)


def test_a_layer_of_half_a_wave_is_not_seen_at_its_wavelength(monkeypatch):
    monkeypatch.setattr("coatings.WAVELENGTHS", np.array([480.0]))
    monkeypatch.setattr("coatings.ANGLES", (0.0,))
    function, _ = coating(1)
    np.testing.assert_allclose(function(np.array([[100.0]])), 100 * (0.52 / 2.52) ** 2, rtol=1e-12)


def test_a_solver_is_stopped_at_its_budget_and_sees_the_box():
    def solver(fun, dim, budget, seed):
        while True:
            fun(np.full(dim, 1.0))

    function, bounds = next(iter(FAMILY.values()))
    values = further_peers.trace_of(solver, function, bounds, 3, 0)
    np.testing.assert_array_equal(values, function(bounds[:, 1][None]).repeat(3))


def test_a_solver_without_results_has_empty_cells_and_takes_no_cases(tmp_path, monkeypatch):
    monkeypatch.setitem(further_peers.BUDGETS, "bbob", (100,))
    path = tmp_path / "all_bbob.csv"
    rows = [("f1", "ProxyOptimizer", 1.0), ("f1", "CMA-ES", 2.0), ("f1", "lq-CMA-ES", 0.5)]
    lines = [f"{name},81,{solver},100,{value},0.1" for name, solver, value in rows]
    path.write_text("\n".join([",".join(further_peers.FIELDS), *lines]) + "\n")
    further_peers.write_ranks("bbob", path)
    assert (tmp_path / "all_bbob_ranks.csv").read_text().splitlines()[1:] == [
        "ProxyOptimizer,2.00",
        "CMA-ES,3.00",
        "lq-CMA-ES,1.00",
        "TPE,",
    ]
