"""What a result prints, and the table of all samples."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression

from sklearn_proxyopt import ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt._run._result import RunResult
from sklearn_proxyopt.diagnosis._wording import chance_in_words, check_in_words
from sklearn_proxyopt.evaluation import Journal
from sklearn_proxyopt.optimizers import NSGA2
from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.samplers import SobolSampler

SPACE = {"speed": (0.0, 2.0), "tool": ["drill", "mill"]}


def wear(run):
    if run["speed"] > 1.8:
        raise ArithmeticError("no chip")
    return (run["speed"] - 1.0) ** 2 + (run["tool"] == "mill")


def optimizer(**params):
    return ProxyOptimizer(
        **{
            "proxy": "gp",
            "vectorized": False,
            "on_error": "drop",
            "sampler": SobolSampler(12),
            "refiner": LocalRefinement(max_evaluations=6),
            "random_state": 0,
            **params,
        }
    )


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
def test_a_measured_result_is_printed_in_six_lines():
    opt = optimizer()
    result = opt.minimize(wear, SPACE)
    lines = str(result).splitlines()
    names = ["Best value", "Settings", "Interval", "Verdict", "Model", "Next"]
    assert [line[:13].strip() for line in lines] == names
    assert lines[0].endswith(f"{result.fun:.6g}, measured; {result.nfev} new runs, 1 failed")
    assert lines[1].endswith(f"speed {result.x[0]:.6g}, tool drill")
    chance = chance_in_words(result.probability)
    assert lines[3][13:].startswith(f"{result.verdict} ({chance})")
    assert lines[5][13:83] in f"{result.next_steps[0]}."
    assert not any("nit" in line or len(line) > 100 for line in lines)


@pytest.mark.parametrize(
    ("measured", "missed", "said"),
    [
        (1.02, None, "predicted 1, measured 1.02: the model is right there"),
        (1.2, None, "predicted 1, measured 1.2: the model is wrong there"),
        (1.02, 0.25, "predicted 1, measured 1.02, a constraint violated by 0.25"),
    ],
)
def test_a_result_says_whether_the_model_was_right_at_its_optimum(measured, missed, said):
    result = RunResult(x=[0.5], fun=1.0, nfev=9, fun_proxy=1.0, true_at_proxy=measured, regret=0.1)
    if missed is not None:
        result.constraints_at_proxy = [-1.0, missed]
    assert str(result).splitlines()[4] == f"Model        optimum checked: {said}"
    assert f"optimum checked: {said}" in result._repr_html_()


def test_a_result_of_few_samples_sends_nobody_to_a_diagnosis_that_refuses_them():
    opt = optimizer(sampler=None, refiner="auto", on_error="raise")
    result = opt.minimize(lambda run: run["speed"], SPACE, budget=8)
    assert result.no_verdict == "fewer than 10 samples"
    lines = str(result).splitlines()
    assert lines[3] == "Verdict      none; fewer than 10 samples"
    assert lines[5] == "Next         a larger budget: samples are too few for a verdict."
    with pytest.raises(ValueError, match="X must have at least 10 samples"):
        opt.diagnose()
    result = opt.set_params(verdict=False).minimize(lambda run: run["speed"], SPACE, budget=12)
    assert str(result).splitlines()[3] == "Verdict      none; call optimizer.diagnose()"


def test_without_a_tolerance_it_is_not_said_whether_the_model_was_right():
    result = RunResult(x=[0.5], fun=1.0, nfev=9, fun_proxy=1.0, true_at_proxy=1.5)
    assert str(result).splitlines()[4].endswith("optimum checked: predicted 1, measured 1.5")
    result.true_at_proxy = np.nan
    assert str(result).splitlines()[4].endswith("at its own optimum, not measured there")


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
def test_the_card_of_the_answer_tells_what_was_measured_at_the_optimum_of_the_model():
    opt = optimizer()
    result = opt.minimize(wear, SPACE)
    said = check_in_words(result.fun_proxy, result.true_at_proxy, result.regret)
    assert f"<th>model&#x27;s optimum</th><td>{said}</td>" in opt.diagnose()._repr_html_()
    assert "model&#x27;s optimum</th>" not in opt.diagnose(of="proxy")._repr_html_()


def test_a_predicted_result_says_that_nothing_was_measured():
    X = np.random.default_rng(0).uniform(size=(30, 2))
    opt = optimizer(sampler=None).fit(X, np.square(X - 0.5).sum(axis=1))
    lines = str(opt.result_).splitlines()
    assert lines[0].endswith("predicted; not measured yet")
    assert lines[1].startswith("Settings     x0 0.5")
    low, high = opt.result_.interval
    assert low <= opt.result_.fun <= high
    assert lines[5].startswith("Next         measure these settings")


def test_a_result_comes_out_of_a_file_as_it_was(tmp_path):
    X = np.random.default_rng(0).uniform(size=(30, 2))
    opt = optimizer(sampler=None).fit(X, np.square(X - 0.5).sum(axis=1))
    opt.save(tmp_path / "state.npz")
    loaded = optimizer(sampler=None).load(tmp_path / "state.npz")
    assert str(loaded.result_) == str(opt.result_)


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
def test_what_to_do_next_comes_out_of_a_file_too(tmp_path):
    opt = optimizer(bounds=SPACE)
    opt.minimize(wear)
    opt.save(tmp_path / "state.npz")
    loaded = optimizer(bounds=SPACE).load(tmp_path / "state.npz")
    assert loaded.result_.next_steps == opt.result_.next_steps != []
    assert str(loaded.result_) == str(opt.result_)


def test_many_settings_are_cut_to_a_line():
    X = np.random.default_rng(0).uniform(size=(30, 12))
    opt = optimizer(sampler=None, proxy=LinearRegression()).fit(X, X.sum(axis=1))
    assert str(opt.result_).splitlines()[1].endswith("and 4 more")


def test_a_front_is_printed_in_six_lines():
    opt = ParetoOptimizer(
        proxy=LinearRegression(),
        optimizer=NSGA2(16, 5),
        sampler=SobolSampler(8),
        budget=16,
        random_state=0,
        vectorized=True,
    )
    lines = str(opt.minimize(lambda X: np.column_stack([X, 1.0 - X]), [(0.0, 1.0)])).splitlines()
    assert [line[:13].strip() for line in lines][:3] == ["Front", "Objectives", "Hypervolume"]
    assert len(lines) == 6
    assert lines[0].endswith("measured; 16 new runs")


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
def test_the_table_has_every_evaluation_with_its_phase_and_its_failure():
    opt = optimizer()
    opt.minimize(wear, SPACE)
    frame = opt.to_frame()
    assert frame.columns.tolist() == [
        *("speed", "tool", "value", "lower", "upper"),
        *("round", "stage", "reason", "seconds", "failure"),
    ]
    assert len(frame) == opt.result_.nfev == len(opt.X_) + len(opt.X_failed_)
    assert frame["stage"].tolist() == ["design"] * 12 + ["refine"] * (len(frame) - 12)
    failed = frame["value"].isna()
    assert failed.sum() == len(opt.X_failed_)
    assert (frame.loc[failed, "failure"] == "raised ArithmeticError: no chip").all()
    assert set(frame["tool"]) == {"drill", "mill"}
    assert (frame["seconds"] >= 0.0).all()
    good = frame[~failed]
    np.testing.assert_array_equal(good["value"], opt.y_)
    X = opt.variables_.to_frame(opt._history.X)
    predicted, deviation = opt.predict(X), opt.predict(X, return_std=True)[1]
    np.testing.assert_allclose(frame["lower"] + frame["upper"], 2.0 * predicted)
    np.testing.assert_allclose(frame["upper"] - frame["lower"], 2.0 * 1.645 * deviation)


@pytest.mark.parametrize(
    ("kind", "params"),
    [(ParetoOptimizer, {"optimizer": NSGA2(12, 5)}), (ProxyOptimizer, {"n_constraints": 1})],
)
def test_the_table_has_an_interval_for_each_of_several_outputs(kind, params):
    X = np.random.default_rng(0).uniform(size=(25, 2))
    y = np.column_stack([np.sin(5.0 * X).sum(axis=1), 0.5 - X[:, 0] * X[:, 1]])
    y += 0.05 * np.random.default_rng(1).standard_normal(y.shape)
    opt = kind(proxy="gp", random_state=0, **params).fit(X, y)
    frame = opt.to_frame()
    assert frame.columns.tolist()[2:8] == [
        *("value_0", "lower_0", "upper_0"),
        *("value_1", "lower_1", "upper_1"),
    ]
    predicted, deviation = opt.predict(opt.X_), opt.predict(opt.X_, return_std=True)[1]
    for output in (0, 1):
        low, high = frame[f"lower_{output}"], frame[f"upper_{output}"]
        np.testing.assert_allclose(low + high, 2.0 * predicted[:, output])
        np.testing.assert_allclose(high - low, 2.0 * 1.645 * deviation[:, output], rtol=1e-3)
        np.testing.assert_array_equal(frame[f"value_{output}"], y[:, output])


def test_the_table_says_why_points_were_asked_for():
    opt = optimizer(bounds=SPACE)
    for _ in range(2):
        asked = opt.ask(4)
        opt.tell(asked, asked["speed"].to_numpy())
    frame = opt.to_frame()
    assert frame["stage"].tolist() == ["told"] * 8
    assert frame["reason"].tolist()[:5] == ["design"] * 4 + ["proxy's optima"]


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
def test_the_table_tells_of_an_earlier_program_what_the_journal_knows(tmp_path):
    params = {"journal": tmp_path / "runs.sqlite", "verdict": False}
    first = optimizer(**params)
    first.minimize(wear, SPACE)
    second = optimizer(**params)
    second.minimize(wear, SPACE)
    frame = second.to_frame()
    assert (frame["stage"] == "journal").all()
    wanted = first.to_frame()
    for name in ("speed", "tool", "value", "round", "seconds", "failure"):
        pd.testing.assert_series_equal(frame[name], wanted[name], check_dtype=False)


def test_samples_given_to_a_run_stand_first_in_the_table():
    X = np.random.default_rng(0).uniform(size=(10, 1))
    opt = optimizer(sampler=None, refiner=LocalRefinement(max_evaluations=3), verdict=False)
    opt.minimize(lambda x: x[0], [(0.0, 1.0)], X=X, y=X[:, 0])
    assert opt.to_frame()["stage"].tolist()[:11] == ["given"] * 10 + ["refine"]


def test_repeats_of_a_setting_are_rows_of_their_own():
    opt = optimizer(bounds=[(0.0, 1.0)])
    opt.tell([[0.5], [0.5], [0.25]], [1.0, 2.0, 3.0])
    assert opt.to_frame()["value"].tolist() == [1.0, 2.0, 3.0]


def test_there_is_no_table_before_there_are_samples():
    with pytest.raises(NotFittedError):
        optimizer().to_frame()


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
def test_the_table_of_a_journal_has_labels_or_codes(tmp_path):
    opt = optimizer(journal=tmp_path / "runs.sqlite", verdict=False)
    opt.minimize(wear, SPACE)
    journal = Journal(tmp_path / "runs.sqlite")
    labels, codes = journal.to_frame()["tool"], journal.to_frame(labels=False)["tool"]
    assert set(labels) == {"drill", "mill"}
    assert labels.map({"drill": 0.0, "mill": 1.0}).tolist() == codes.tolist()
