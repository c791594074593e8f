import numpy as np
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor

from sklearn_proxyopt.benchmark import Comparison, ComparisonDisplay, compare_regressors
from sklearn_proxyopt.problems import Levy, Rosenbrock


class Slope:
    """Twice the first variable, less the second."""

    bounds = ((0.0, 1.0), (0.0, 2.0))
    f_opt = -2.0

    def __call__(self, X):
        return 2.0 * X[:, 0] - X[:, 1]


class Oracle(LinearRegression):
    """Knows how far a line is off: by nothing, and says one."""

    def predict(self, X, return_std=False):
        mean = super().predict(X)
        return (mean, np.ones(len(X))) if return_std else mean


def test_a_line_holds_a_line():
    names = {"mean": KNeighborsRegressor(12), "line": Oracle()}
    result = compare_regressors(names, {"slope": Slope()}, n_rows=12, n_repeats=2)
    assert len(result.cells) == 4
    for values in result.values("error").values():
        assert values["line"] < 1e-12
        assert values["mean"] > 0.9
    for values in result.values("regret").values():
        assert values["line"] < 1e-6
    assert result.mean_ranks("error") == {("line", 12): 1.0, ("mean", 12): 2.0}
    assert np.isnan(result.coverage()["mean", 12])
    assert result.coverage()["line", 12] == 1
    assert result.coverage(at_minimum=True)["line", 12] == 1
    assert result.share_worse_than_best_row()["line", 12] == 0
    # An interval that holds the truth is scored by its width.
    for cell in result.cells[1::2]:
        assert cell["interval_score"] == pytest.approx(2 * 1.645 / np.sqrt(8 / 12), rel=0.05)


def test_the_lowest_tenth_of_the_values_is_judged_alone():
    problem = Rosenbrock(2).rotated_and_shifted(1)
    result = compare_regressors({"mean": DummyRegressor()}, {"valley": problem}, n_rows=50)
    for cell in result.cells:
        # The mean lies near the lowest values of a valley whose walls are high.
        assert 0.0 < cell["error_low"] < cell["error"]


def test_a_regressor_that_was_not_compared_with_as_many_samples_is_not_missed():
    def cell(n_rows, name, error):
        return {
            "problem": "one",
            "n_rows": n_rows,
            "repeat": 0,
            "regressor": name,
            "error": error,
            "lowest_known": 0.0,
            "value_at_minimum": 0.0,
            "best_row": 0.0,
            "median": 1.0,
        }

    cells = [cell(20, "a", 0.2), cell(20, "b", 0.1), cell(40, "a", 0.3)]
    result = Comparison(cells)
    assert result.mean_ranks("error") == {("a", 20): 2.0, ("b", 20): 1.0, ("a", 40): 1.0}
    assert result.rank_intervals("error")["a", 40] == (1.0, 1.0)
    axes = ComparisonDisplay.from_comparison(result).ax_
    assert [text.get_position() for text in axes.texts] == [(1.05, 1.0), (0.05, 1.0)]
    first, second = axes.get_lines()
    np.testing.assert_array_equal(first.get_ydata(), [2.0, 1.0])
    np.testing.assert_array_equal(second.get_ydata(), [1.0, np.nan])


def test_regrets_count_from_the_lowest_that_any_has_found():
    cell = {
        "problem": "one",
        "n_features": 2,
        "n_rows": 10,
        "repeat": 0,
        "lowest_known": 0.0,
        "median": 4.0,
        "best_row": 1.0,
    }
    cells = [
        {**cell, "regressor": "low", "value_at_minimum": -1.0},
        {**cell, "regressor": "high", "value_at_minimum": 2.0},
    ]
    result = Comparison(cells)
    assert result.values("regret") == {("one", 10, 0): {"low": 0.0, "high": 0.6}}
    assert result.values("guarded_regret") == {("one", 10, 0): {"low": 0.0, "high": 0.4}}
    assert result.medians("regret") == {("low", 10): 0.0, ("high", 10): 0.6}
    assert result.share_worse_than_best_row() == {("low", 10): 0.0, ("high", 10): 1.0}


def told_by(errors):
    """Return a comparison of two regressors whose errors are known, by problem and repeat."""
    cells = [
        {"problem": problem, "n_rows": 10, "repeat": repeat, "lowest_known": 0.0, "median": 1.0}
        | {"best_row": 1.0, "value_at_minimum": 1.0, "regressor": name, "error": error}
        for problem, repeats in errors.items()
        for repeat, pair in enumerate(repeats)
        for name, error in zip(("one", "other"), pair, strict=True)
    ]
    return Comparison(cells)


def test_ranks_that_all_problems_agree_on_have_no_spread():
    result = told_by({name: [(0.1, 0.2), (0.3, 0.4)] for name in "abcd"})
    assert result.rank_intervals("error") == {("one", 10): (1.0, 1.0), ("other", 10): (2.0, 2.0)}


def test_the_interval_of_a_mean_rank_is_that_of_a_share_of_the_problems():
    # A quarter of 40 problems, with both of their repeats, is won by the other.
    errors = {str(n): 2 * [(0.1, 0.2) if n % 4 else (0.2, 0.1)] for n in range(40)}
    result = told_by(errors)
    low, high = result.rank_intervals("error", level=0.9, n_draws=20_000)["one", 10]
    assert result.mean_ranks("error")["one", 10] == 1.25
    half = 1.645 * np.sqrt(0.25 * 0.75 / 40)
    assert (low, high) == pytest.approx((1.25 - half, 1.25 + half), abs=0.02)


def test_a_level_of_intervals_out_of_its_limits_is_named():
    with pytest.raises(ValueError, match="level must be"):
        told_by({"a": [(0.1, 0.2)]}).rank_intervals("error", level=1.5)


def test_of_a_table_the_rows_that_are_left_are_predicted():
    X = np.random.default_rng(0).random((60, 2))
    y = Slope()(X)
    result = compare_regressors({"line": LinearRegression()}, {"table": (X, y)}, n_rows=[20, 30])
    assert {cell["n_rows"] for cell in result.cells} == {20, 30}
    for cell in result.cells:
        assert cell["error"] < 1e-12
        assert cell["value_at_minimum"] in y
        assert cell["lowest_known"] == y.min()


def test_a_run_goes_on_where_it_ended(tmp_path):
    path = tmp_path / "cells.csv"
    problems = {"slope": Slope(), "levy": Levy(2)}
    names = {"mean": DummyRegressor(), "line": LinearRegression()}
    first = compare_regressors({"line": names["line"]}, problems, n_rows=9, path=path)
    whole = compare_regressors(names, problems, n_rows=9, path=path)
    assert len(first.cells) == 6
    assert len(whole.cells) == 12
    for ours, theirs in zip(whole.cells[:6], first.cells, strict=True):
        np.testing.assert_equal(ours, theirs)
    anew = compare_regressors(names, problems, n_rows=9)
    for measure in ("error", "regret"):
        assert whole.values(measure) == anew.values(measure)


def test_results_survive_their_file(tmp_path):
    result = compare_regressors({"line": LinearRegression()}, {"slope": Slope()}, n_rows=9)
    result.to_csv(tmp_path / "cells.csv")
    again = Comparison.from_csv(tmp_path / "cells.csv")
    for ours, theirs in zip(again.cells, result.cells, strict=True):
        assert ours.keys() == theirs.keys()
        np.testing.assert_equal(list(ours.values()), list(theirs.values()))


@pytest.mark.parametrize(
    ("problems", "options", "message"),
    [
        ({"one": 3.0}, {}, "problems must be functions with bounds or tables .* got 'one': 3.0"),
        ({"one": len}, {}, "problems must be functions with bounds"),
        ({"one": (np.ones((9, 1)), np.ones(9))}, {}, "problems must hold tables .* than 50 rows"),
        ({"slope": Slope()}, {"n_rows": 2}, "n_rows must be"),
        ({"slope": Slope()}, {"n_repeats": 0}, "n_repeats must be"),
    ],
)
def test_parameters_out_of_their_limits_are_named(problems, options, message):
    with pytest.raises(ValueError, match=message):
        compare_regressors({"line": LinearRegression()}, problems, **{"n_rows": 50, **options})


def test_a_function_that_fails_is_named():
    class Hole(Slope):
        def __call__(self, X):
            return np.where(X[:, 0] > 0.5, np.nan, X[:, 0])

    with pytest.raises(ValueError, match=r"problems must be finite in their box; got .*Hole"):
        compare_regressors({"line": LinearRegression()}, {"hole": Hole()}, n_rows=9)


def test_a_measure_that_is_none_is_refused():
    with pytest.raises(ValueError, match="measure must be one of 'error'"):
        Comparison([]).values("errors")


def test_ranks_are_drawn():
    pytest.importorskip("matplotlib")
    names = {"mean": DummyRegressor(), "line": LinearRegression()}
    result = compare_regressors(names, {"slope": Slope()}, n_rows=[9, 12], n_repeats=1)
    display = ComparisonDisplay.from_comparison(result, "regret")
    lines = {line.get_label(): line.get_ydata().tolist() for line in display.ax_.lines}
    assert lines == {"mean": [2, 2], "line": [1, 1]}
    assert "regret" in display.ax_.get_ylabel()


def test_labels_of_equal_ranks_do_not_cover_each_other():
    pytest.importorskip("matplotlib")
    ranks = {(name, n_rows): 2.0 for name in "abc" for n_rows in (9, 12)}
    display = ComparisonDisplay(ranks, "error").plot()
    heights = [text.get_position()[1] for text in display.ax_.texts]
    np.testing.assert_allclose(heights, [1.9, 2.0, 2.1])
