"""What others reach with the same budget, compared in benchmarks/peers."""

import math
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from peers import queue, runs
from peers.figures import median_curves
from peers.meter import BudgetSpent, Meter, TimeSpent, processor_limit
from peers.problems import BBOB, Problem, make_problem
from peers.queue import all_cells, cells_of, work_through
from peers.ranks import mean_ranks, summary
from peers.report import pairs, ranked, winners, write_report
from peers.runs import Cell, Run, load_run, run_cell, save_run
from peers.solvers import BUDGETS, SOLVERS, Solver
from peers.solvers.turbo import TrustRegion

BOX = np.array([[-5.0, 5.0], [0.0, 2.0]])
PACKAGES = {
    "cma_es": "cma",
    "optuna_tpe": "optuna",
    "optuna_gp": "optuna",
    "turbo_1": "botorch",
    "log_ei": "botorch",
    "smt_ego": "smt",
    "skopt_gp": "skopt",
}


def bowl(x):
    return float(((x - [1.0, 0.5]) ** 2).sum())


def a_run(values, ended="budget", f_opt=0.0):
    return Run(list(values), [0.1 * i for i in range(len(values))], 0.1 * len(values), f_opt, ended)


def test_a_meter_hands_points_of_the_box_to_the_problem():
    meter = Meter(lambda x: 10 * x[0] + x[1], BOX, 2)
    assert meter([0.0, 0.5]) == -49.0
    assert meter([1.0, 1.0]) == 52.0


def test_no_solver_can_go_on_after_its_budget_by_catching_exceptions():
    meter = Meter(bowl, BOX, 3)

    def stubborn():
        while True:
            try:
                meter([0.5, 0.5])
            except Exception:
                pytest.fail("the end of the budget was an Exception")

    with pytest.raises(BudgetSpent):
        stubborn()
    assert len(meter.values) == 3


def test_a_failed_run_is_a_large_value_to_the_solver_and_none_to_the_record():
    meter = Meter(lambda x: math.inf, BOX, 2, failure_value=80.0)
    assert meter([0.5, 0.5]) == 80.0
    assert math.isnan(meter.evaluate([0.5, 0.5]))
    assert all(math.isnan(value) for value in meter.values)


def test_a_point_outside_the_cube_is_refused():
    with pytest.raises(ValueError, match=r"point must lie in the unit cube; got \[1.5 0.5\]"):
        Meter(bowl, BOX, 2)([1.5, 0.5])


def test_seconds_of_the_problem_are_not_those_of_the_solver(monkeypatch):
    clock = iter(np.arange(0.0, 100.0, 1.0))
    monkeypatch.setattr("peers.meter.processor_seconds", lambda: float(next(clock)))
    meter = Meter(bowl, BOX, 5)
    meter([0.5, 0.5])
    meter([0.5, 0.5])
    # Five readings: one second passes between any two, every other one inside the problem.
    assert meter.overhead == [1.0, 2.0]
    assert meter.close() == 3.0


def test_a_solver_that_never_returns_is_stopped():
    def idle():
        while True:
            pass

    with pytest.raises(TimeSpent), processor_limit(0.05):
        idle()


def test_a_run_is_read_at_any_budget():
    run = a_run([3.0, math.nan, 1.0, 2.0, 0.5])
    assert [run.best(budget) for budget in (1, 2, 3, 4, 5)] == [3.0, 3.0, 1.0, 1.0, 0.5]
    assert run.overhead_per_evaluation(2) == pytest.approx(0.2 / 2)
    assert run.overhead_per_evaluation(5) == pytest.approx(0.1)
    assert run.is_cut(6)
    assert not run.is_cut(5)


def test_a_kept_run_is_the_run(tmp_path):
    run = a_run([3.0, math.nan, 1 / 3])
    save_run(run, tmp_path / "cell.json")
    loaded = load_run(tmp_path / "cell.json")
    np.testing.assert_array_equal(loaded.values, run.values)
    assert (loaded.ended, loaded.f_opt) == (run.ended, run.f_opt)
    assert load_run(tmp_path / "another.json") is None


@pytest.fixture
def toy(monkeypatch):
    """Problems without cocoex, and solvers that come to a bad end."""
    monkeypatch.setattr(runs, "make_problem", lambda name, dim, seed: Problem(bowl, BOX, 0.0))
    calls = []

    def fails(fun, dim, budget, seed):
        calls.append(seed)
        fun([0.5, 0.5])
        raise RuntimeError("no more")

    def stops(fun, dim, budget, seed):
        fun([0.5, 0.5])

    def idles(fun, dim, budget, seed):
        fun([0.5, 0.5])
        while True:
            pass

    for solver in (fails, stops, idles):
        monkeypatch.setitem(SOLVERS, solver.__name__, Solver(solver.__name__, solver))
    return calls


@pytest.mark.parametrize(
    ("solver", "ended", "n_values"),
    [("random", "budget", 7), ("fails", "RuntimeError: no more", 1), ("stops", "early", 1)],
)
def test_a_run_says_how_it_ended_and_keeps_what_it_paid_for(toy, solver, ended, n_values):
    run = run_cell(Cell("f1", 2, solver, 7, 0), 60.0)
    assert (run.ended, len(run.values)) == (ended, n_values)


def test_a_run_past_its_time_keeps_its_trace(toy):
    run = run_cell(Cell("f1", 2, "idles", 7, 0), 0.05)
    assert (run.ended, len(run.values)) == ("time", 1)


def test_a_run_that_failed_is_repeated_only_on_request(toy, tmp_path):
    cell = Cell("f1", 2, "fails", 7, 3)
    for again, n_calls in ((False, 1), (False, 1), (True, 2)):
        work_through([cell], tmp_path, 60.0, again)
        assert toy.count(3) == n_calls


def test_a_solver_that_cannot_run_is_left_out_with_its_reason(monkeypatch, tmp_path, capsys):
    solver = Solver("absent", lambda *args: pytest.fail("ran"), why_not=lambda: "it is not there")
    monkeypatch.setitem(SOLVERS, "absent", solver)
    work_through([Cell("f1", 2, "absent", 7, 0)], tmp_path, 60.0)
    assert "absent is left out: it is not there." in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_the_queue_holds_each_run_once_and_begins_with_ten_variables():
    cells = all_cells()
    assert len(set(cells)) == len(cells)
    assert {cell.dim for cell in cells[:200]} == {10}
    assert {cell.seed for cell in cells[:200]} == {0, 1, 2}
    per_solver = pd.Series([cell.solver for cell in cells]).value_counts()
    n_cases = (len(BBOB) * 4 + 2) * queue.N_SEEDS
    assert per_solver["cma_es"] == n_cases
    assert per_solver["by_hand"] == n_cases * len(BUDGETS)


def test_a_budget_wants_the_runs_that_it_is_read_from():
    wanted = cells_of({"budget": [200], "solver": ["cma_es", "by_hand"]})
    assert {(cell.solver, cell.budget) for cell in wanted} == {("cma_es", 1000), ("by_hand", 200)}


def test_our_own_runs_are_made_only_by_name():
    assert "proxy_optimizer" not in {cell.solver for cell in cells_of({})}
    assert cells_of({"solver": ["proxy_optimizer"]})


def test_a_trace_is_read_at_each_budget(tmp_path):
    values = np.linspace(10.0, 1.0, 1000)
    save_run(a_run(values, f_opt=0.5), Cell("f1", 10, "cma_es", 1000, 0).path(tmp_path))
    save_run(a_run([9.0], "KeyError: 1"), Cell("f1", 10, "random", 1000, 0).path(tmp_path))
    rows = summary(tmp_path)
    assert set(rows["solver"]) == {"cma_es"}
    expected = [values[budget - 1] - 0.5 for budget in BUDGETS]
    np.testing.assert_allclose(rows.set_index("budget")["regret"].loc[list(BUDGETS)], expected)


def test_where_nobody_knows_the_optimum_the_lowest_value_of_all_runs_takes_its_place(tmp_path):
    for solver, lowest in (("random", 2.0), ("cma_es", -1.0)):
        cell = Cell("heat_pump", 6, solver, 1000, 0)
        save_run(a_run([4.0] * 999 + [lowest], f_opt=None), cell.path(tmp_path))
    rows = summary(tmp_path)
    last = rows[rows["budget"] == 1000].set_index("solver")["regret"]
    assert last.to_dict() == {"random": 3.0, "cma_es": 0.0}


def regrets(cases):
    """Return rows from {(problem, seed): {solver: regret}}."""
    return pd.DataFrame(
        [
            (problem, 10, solver, 200, seed, regret, 0.01, False)
            for (problem, seed), values in cases.items()
            for solver, regret in values.items()
        ],
        columns=[
            *("problem", "dim", "solver", "budget", "seed", "regret"),
            *("overhead_seconds_per_evaluation", "cut"),
        ],
    )


def test_only_cases_count_where_all_solvers_have_a_result():
    rows = regrets({("f1", 0): {"a": 1.0, "b": 2.0}, ("f1", 1): {"a": 9.0}})
    table = mean_ranks(rows, 10, 200)
    assert table["mean_rank"].to_dict() == {"a": 1.0, "b": 2.0}
    assert set(table["cases"]) == {1}


def test_solved_is_solved():
    rows = regrets({("f1", 0): {"a": 1e-12, "b": 3e-9, "c": 1e-3}})
    assert mean_ranks(rows, 10, 200)["mean_rank"].to_dict() == {"a": 1.5, "b": 1.5, "c": 3.0}


def test_curves_show_medians_of_the_best_so_far():
    cells = {Cell("f1", 2, "cma_es", 4, s): a_run([4.0, 5.0, s, 9.0]) for s in (0, 1, 2)}
    evaluations, regret = median_curves(cells, "f1", 2)["cma_es"]
    np.testing.assert_array_equal(evaluations, [1, 2, 3, 4])
    np.testing.assert_array_equal(regret, [4.0, 4.0, 1.0, 1.0])


def keep_cases(cache, regret_of, seeds=(0, 1)):
    """Keep runs of ten variables whose values never change."""
    for solver, regret in regret_of.items():
        for budget in SOLVERS[solver].runs:
            for problem in BBOB:
                for seed in seeds:
                    cell = Cell(problem, 10, solver, budget, seed)
                    save_run(a_run([regret] * budget), cell.path(cache))


def test_a_solver_that_is_not_through_takes_no_cases_from_the_others(tmp_path):
    keep_cases(tmp_path, {"random": 2.0, "cma_es": 1.0})
    save_run(a_run([0.5] * 1000), Cell("f1", 10, "turbo_1", 1000, 0).path(tmp_path))
    rows = summary(tmp_path)
    table = ranked(rows, 10, 1000).set_index("solver")
    assert table["mean_rank"].to_dict() == {"cma_es": 1.0, "random": 2.0}
    assert set(table["cases"]) == {2 * len(BBOB)}
    assert set(winners(rows, 1000)["10 variables"]) == {"CMA-ES (cma): 1"}


def test_two_solvers_are_paired_where_both_have_reached_the_budget():
    rows = regrets(
        {
            ("f1", 0): {"proxy_optimizer": 1.0, "smt_ego": 2.0},
            ("f1", 1): {"proxy_optimizer": 4.0, "smt_ego": 3.0},
            ("f1", 2): {"proxy_optimizer": 1e-9, "smt_ego": 0.0},
            ("f3", 0): {"proxy_optimizer": 1.0, "cma_es": 2.0},
            ("f3", 1): {"proxy_optimizer": 1.0, "cma_es": 2.0},
        }
    )
    rows.loc[rows.index[-1], "cut"] = True
    table = pairs(rows).set_index("solver")["with 200"]
    assert table.to_dict() == {"CMA-ES (cma)": "1 : 0", "EGO (SMT)": "1 : 1"}


def test_the_page_shows_what_there_is_and_nothing_else(tmp_path):
    cache, results = tmp_path / "cache", tmp_path / "results"
    keep_cases(cache, {"random": 2.0, "proxy_optimizer": 3.0}, seeds=(0,))
    write_report(cache, results)
    shown = set(re.findall(r"(?:file: |peers/)(\S+)", (results / "results.inc").read_text()))
    tables = {
        f"{name}_{budget}.csv" for name in ("ranks", "winners", "beside") for budget in BUDGETS
    }
    assert shown == {*tables, "pairs.csv", "curves_10.png", "coverage.csv"}
    assert {path.name for path in results.iterdir()} == {
        *(*shown, "ranks.csv", "summary.csv", "results.inc")
    }
    columns = "problem,dim,solver,budget,seed,regret,overhead_seconds_per_evaluation"
    assert (results / "summary.csv").read_text().splitlines()[0] == columns
    assert set(pd.read_csv(results / "beside_200.csv")["better"]) == {"theirs"}


def test_a_trust_region_grows_with_luck_and_shrinks_without():
    region = TrustRegion(dim=20, batch=10)
    assert region.failure_tolerance == 2
    for best in (9.0, 8.0, 7.0):
        region.tell(best, best + 1.0)
    assert region.length == 1.6
    for _ in range(2):
        region.tell(7.0, 7.0)
    assert region.length == 0.8
    for _ in range(14):
        region.tell(7.0, 7.0)
    assert region.is_spent


@pytest.mark.parametrize("solver", [name for name in SOLVERS if name != "proxy_optimizer"])
def test_a_solver_spends_its_budget_and_repeats_itself_with_its_seed(solver, monkeypatch):
    if solver in PACKAGES:
        pytest.importorskip(PACKAGES[solver])
    monkeypatch.setattr(runs, "make_problem", lambda name, dim, seed: Problem(bowl, BOX, 0.0))
    first, same, other = (run_cell(Cell("f1", 2, solver, 24, seed), 120.0) for seed in (0, 0, 1))
    assert first.ended == "budget"
    assert len(first.values) == 24
    assert same.values == first.values
    assert other.values != first.values


@pytest.mark.parametrize("name", BBOB)
def test_a_function_of_bbob_has_its_lowest_value_at_its_optimum(name):
    pytest.importorskip("cocoex")
    problem = make_problem(name, 5, 1)
    X = np.random.default_rng(0).uniform(-5, 5, (50, 5))
    assert min(problem.fun(x) for x in X) > problem.f_opt
    if name == "f1":  # the sphere: a step of one along an axis costs what it is
        values = problem.fun(X[0]), problem.fun(X[0] + [1e-3, 0, 0, 0, 0])
        slope = (values[1] - values[0]) / 1e-3
        assert problem.fun(X[0] - [slope / 2, 0, 0, 0, 0]) < values[0]


def test_the_heat_pump_marks_a_run_that_fails():
    pytest.importorskip("CoolProp")
    problem = make_problem("heat_pump", 6, 0)
    assert np.isfinite(problem.fun(problem.bounds.mean(axis=1)))
    assert math.isnan(problem.fun(problem.bounds[:, 1]))


def test_ignition_is_faster_in_hotter_gas():
    pytest.importorskip("cantera")
    from peers import ignition

    logarithms = dict(zip(ignition.MIXTURES, ignition.delays(np.zeros(6)), strict=True))
    assert logarithms[(1250.0, 30.0, 2.0)] < logarithms[(1000.0, 10.0, 2.0)]
    assert 0.0 < ignition.loss(np.zeros(6)) < 3.0
