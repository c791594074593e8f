"""The command that makes the verdict: its cases, what is learned from them, and its tables."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import verdict_growth
import verdicts
from verdict_cases import FIRST_LARGE, Space, draw_case, make_case
from verdict_functions import LEARNED, UNSEEN
from verdict_growth import draw_growth, make_growth, settling_rows, stopping_rows
from verdict_model import Cases, learned
from verdict_tables import auc, calibration_error


def stage(n, verdict, gap, wanted=None, **numbers):
    said = {"n": n, "verdict": verdict, "gap": gap, "regret": 1.0, "n_to_settle": wanted}
    return {**said, "gain_elsewhere": 2.0, "left_in_draws": 2.0, **numbers}


def test_a_case_is_drawn_by_its_number_and_every_other_is_of_a_family_never_learned_from():
    assert draw_case(17) == draw_case(17) != draw_case(19)
    assert draw_case(16)["family"] in LEARNED
    assert draw_case(17)["family"] in UNSEEN
    assert not set(LEARNED) & set(UNSEEN)


def test_cases_of_large_tables_have_400_rows_and_more():
    cases = [draw_case(index) for index in range(FIRST_LARGE, FIRST_LARGE + 60)]
    assert {case["n_rows"] for case in cases} == {400, 1000, 2000, 5000}
    assert not any(case["is_run"] for case in cases)


@pytest.mark.parametrize("kind", ["box", "integers", "labels", "constraint"])
def test_the_lowest_value_of_a_space_is_that_of_its_function(kind):
    function = LEARNED["bent cigar"](3, 1)
    space = Space(function, kind, np.random.default_rng(0))
    grids = {place: list(grid) for place, grid in space._grids.items()}
    best = function.x_opt.copy()
    for place, grid in grids.items():
        best[place] = grid.index(function.x_opt[place])
    assert space(best[None])[0] == function.f_opt
    if kind == "constraint":
        assert space.constraints.A @ best <= space.constraints.ub + 1e-12


def test_the_evidence_on_a_case_is_kept_and_read_again(tmp_path):
    index = next(i for i in range(0, 400, 2) if _is_cheap(draw_case(i)))
    make_case(index, tmp_path, max_rows=40)
    path = tmp_path / f"{index:05d}.npz"
    cases = Cases([path], "rows")
    default = np.flatnonzero(cases.factor == 1.0)
    assert len(default) == 1
    assert not cases.is_tried.any()
    assert np.isfinite(cases.column("r2_unseen")).all()
    assert json.loads(str(np.load(path)["case"])) == draw_case(index)


def _is_cheap(case):
    is_plain = case["proxy"] == "gp" and case["space"] == "box" and not case["is_run"]
    return is_plain and case["n_rows"] == 20


def test_a_case_larger_than_wanted_is_put_off(tmp_path):
    make_case(FIRST_LARGE, tmp_path, max_rows=100)
    assert not list(tmp_path.iterdir())


def test_no_number_is_learned_to_count_against_its_own_sentence():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 400))
    cases = SimpleNamespace(
        numbers=[{"one": a, "other": b} for a, b in zip(x, y, strict=True)],
        is_good=x - y + rng.standard_normal(400) > 0.0,
        factor=np.ones(400),
    )
    model = learned(cases, np.ones(400, dtype=bool), {"one": 1, "other": 1}, 1.0)
    assert list(model.weights) == ["one"]
    assert model.weights["one"][2] > 0.3


def test_a_probability_that_is_the_share_of_the_right_has_no_calibration_error():
    probability = np.repeat([0.25, 0.75], 40)
    is_good = np.tile([True, False, False, False], 10)
    is_good = np.append(is_good, ~is_good)
    assert calibration_error(probability, is_good) == pytest.approx(0.0)
    assert calibration_error(1.0 - probability, is_good) == pytest.approx(0.5)
    assert auc(is_good, probability) == pytest.approx(0.75)


def test_a_number_to_settle_is_compared_with_what_settled_it():
    tables = [
        [stage(40, "doubtful", 3.0, 60), stage(60, "doubtful", 2.0), stage(90, "credible", 0.5)],
        [stage(40, "doubtful", 3.0, 30), stage(60, "doubtful", 2.0), stage(90, "doubtful", 2.0)],
        [stage(40, "false", 9.0), stage(60, "credible", 3.0)],
        [stage(40, "credible", 0.1, 0)],
    ]
    run = [stage(30, "doubtful", 3.0, 90), stage(60, "credible", 0.5), stage(120, "doubtful", 2.0)]
    grown = [{"is_run": False, "stages": stages} for stages in tables]
    of_tables, of_runs = settling_rows([*grown, {"is_run": True, "stages": run}])
    assert list(of_runs.values()) == ["runs", 1, 1, 1, 1, 3.0]
    assert of_tables == {
        "optima of": "tables",
        "not credible": 3,
        "number within what was tried": 2,
        "credible with it": 1,
        "of these right": 1,
        "number divided by what would do, median": 1.2,
    }


def test_an_end_of_a_run_is_worth_what_it_saves_and_what_it_misses():
    runs = [
        [stage(30, "credible", 0.5), stage(60, "credible", 0.2), stage(120, "credible", 0.1)],
        [stage(30, "doubtful", 5.0), stage(60, "credible", 4.0), stage(120, "credible", 0.1)],
    ]
    rows = stopping_rows([{"is_run": True, "stages": stages} for stages in runs])
    ends = {row["the run ends"]: row for row in rows}
    credible, whole = ends["when the answer is credible"], ends["when all is spent"]
    assert credible["evaluations, mean"] == 45.0
    assert credible["right, %"] == credible["missed a gain, %"] == 50.0
    assert whole["evaluations, mean"] == 120.0
    assert whole["right, %"] == 100.0
    assert whole["missed a gain, %"] == 0.0


def test_a_run_is_followed_through_all_its_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(verdict_growth, "PARTS", (12, 8))
    index = next(i for i in range(1, 400, 2) if draw_growth(i)["family"] == "Branin")
    make_growth(index, tmp_path)
    kept = json.loads((tmp_path / f"{index:05d}.json").read_text())
    assert [one["n"] for one in kept["stages"]] == [12, 20]
    assert kept["stages"][1]["gap"] <= kept["stages"][0]["gap"]


def test_a_report_without_cases_says_what_makes_them(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["verdicts.py", "--steps", "report", "--cache", str(tmp_path)])
    with pytest.raises(SystemExit, match="must hold cases, made by --steps cases"):
        verdicts.main()
