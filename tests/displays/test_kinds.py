"""Displays of runs of all kinds: what stands on the axes, and that curves lie in their bands."""

import functools

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.text import Text  # noqa: E402

from sklearn_proxyopt import ParetoOptimizer, ProxyOptimizer  # noqa: E402
from sklearn_proxyopt.displays import (  # noqa: E402
    ConvergenceDisplay,
    DiagnosisDisplay,
    FidelityDisplay,
    ImportanceDisplay,
    LandscapeDisplay,
    NearOptimalDisplay,
    OptimumSpreadDisplay,
    ParallelCoordinatesDisplay,
    ParetoDisplay,
)
from sklearn_proxyopt.displays._base import SMALL, ink  # noqa: E402
from sklearn_proxyopt.optimizers import NSGA2  # noqa: E402
from sklearn_proxyopt.samplers import SobolSampler  # noqa: E402
from sklearn_proxyopt.variables import Integer, Real, Variables  # noqa: E402

DISPLAYS = [
    ConvergenceDisplay,
    DiagnosisDisplay,
    FidelityDisplay,
    ImportanceDisplay,
    LandscapeDisplay,
    NearOptimalDisplay,
    OptimumSpreadDisplay,
    ParallelCoordinatesDisplay,
]
MIXED = {
    "flow": (0.0, 1.0),
    "rate": Real(0.01, 1.0, log=True),
    "cycles": Integer(1, 6),
    "solvent": ["MeCN", "THF", "toluene"],
    "height": 2.0,
}


def loss(X):
    by_solvent = np.array([0.3, 0.0, 1.0])[X[:, 3].astype(int)] if X.shape[1] > 3 else 0.0
    return np.square(X[:, 0] - 0.4) + np.square(np.log10(np.abs(X[:, 1]) + 0.01)) + by_solvent


def fitted(bounds, n_samples=40, values=loss, **params):
    space = Variables(bounds)
    cube = SobolSampler(n_samples, random_state=0).sample([[0.0, 1.0]] * space.n_axes)
    X = space.from_unit_cube(cube)
    rows = X if space.names is None else space.to_frame(X)
    params = {"bounds": bounds, "proxy": "gp", "random_state": 0, "on_error": "drop", **params}
    return ProxyOptimizer(**params).fit(rows, values(X))


def with_constraint(X):
    return np.column_stack([loss(X), 0.2 - X[:, 0]])


def with_noise(X):
    return loss(X) + 0.2 * np.random.default_rng(0).standard_normal(len(X))


def with_failures(X):
    return np.where(X[:, 0] > 0.8, np.nan, loss(X))


def bowl(X):
    return np.square(X / X.max(axis=0) - 0.3) @ np.arange(1.0, X.shape[1] + 1.0)


NUMBERS = [(0.0, 1.0)] * 3
INTEGERS = [Integer(1, 6), Integer(0, 30), Integer(2, 4)]
CATEGORIES = {"tool": ["drill", "mill"], "fluid": ["R32", "R290", "R744"], "coat": ["yes", "no"]}
LOG = [Real(0.01, 1.0, log=True), Real(1.0, 1e4, log=True), Real(0.1, 1.0, log=True)]
FIXED = {"flow": (0.0, 1.0), "height": 2.0, "width": (1.0, 2.0), "depth": (0.5, 1.0)}
RUNS = {
    "numbers": lambda: fitted(NUMBERS),
    "integers": lambda: fitted(INTEGERS, values=bowl),
    "categories": lambda: fitted(CATEGORIES, n_samples=24, values=bowl),
    "log": lambda: fitted(LOG, values=bowl),
    "fixed": lambda: fitted(FIXED, values=bowl),
    "mixed": lambda: fitted(MIXED),
    "maximized": lambda: fitted(NUMBERS, values=lambda X: -loss(X), direction="maximize"),
    "constrained": lambda: fitted(NUMBERS, values=with_constraint, n_constraints=1),
    "noisy": lambda: fitted(NUMBERS, values=with_noise),
    "failing": lambda: fitted(NUMBERS, values=with_failures),
    "without uncertainty": lambda: fitted(NUMBERS, proxy=LinearRegression()),
}


def check_that_a_phone_shows_it(figure):
    """Check that 390 pixels show letters of 9, and that nothing leaves the picture."""
    width, height = figure.get_size_inches()
    pixels = 390.0 / (72.0 * width)
    texts = [one for one in figure.findobj(Text) if one.get_text().strip() and one.get_visible()]
    assert min(one.get_fontsize() for one in texts) * pixels >= 9.0
    box = figure.get_tightbbox(figure.canvas.get_renderer())
    assert box.x0 >= -0.03
    assert box.y0 >= -0.03
    assert box.x1 <= width + 0.03
    assert box.y1 <= height + 0.03


@pytest.fixture(scope="module")
def runs():
    known = {}

    def run(name):
        if name not in known:
            known[name] = RUNS[name]()
        return known[name]

    return run


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


OPTIONS = {ImportanceDisplay: {"n_samples": 64}, NearOptimalDisplay: {"within": 0.1}}


def labels_of(axis):
    return [tick.get_text() for tick in axis.get_ticklabels()]


def searched_names(opt):
    names = opt.variables_.kinds.shown_names
    return [names[place] for place in opt.variables_.searched]


def check_convergence(display, opt):
    ax = display.ax_
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("evaluations", "best measured value")
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "linear")
    sign = -1.0 if opt._known.goal.directions == ("maximize",) else 1.0
    values, best = sign * display.values, sign * display.best
    known = np.isfinite(values)
    assert (best[known] <= values[known]).all()
    assert (np.diff(best[np.isfinite(best)]) <= 0.0).all()


def check_diagnosis(display, opt):
    scale, values, _ = display.axes_
    assert labels_of(scale.xaxis) == ["0 %", "20 %", "80 %", "100 %"]
    assert (scale.get_xscale(), values.get_xscale()) == ("linear", "linear")
    assert values.get_xlabel() == "value"
    assert [label.rsplit("  ")[0] for label in labels_of(values.yaxis)] == list(display.values)
    low, high = display.diagnosis.band
    rounding = 1e-9 * (1.0 + abs(high))
    assert low - rounding <= display.diagnosis.promise <= high + rounding


def check_fidelity(display, opt):
    ax = display.ax_
    assert ax.get_xlabel() == "predicted by models of the other half of the data"
    assert ax.get_ylabel() == "measured value"
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "linear")
    low, high = display.band
    rounding = 1e-9 * (1.0 + abs(high))
    assert low - rounding <= display.promise <= high + rounding


def check_importance(display, opt):
    shares, change = display.axes_
    assert sorted(labels_of(shares.yaxis)) == sorted(display.importances.names)
    assert shares.get_xlabel() == "share of the variance"
    assert change.get_xlabel() == "change at\nthe optimum"
    assert shares.get_xlim() == (0.0, 1.0)
    assert change.get_xscale() == "linear"
    low, high = display.importances.total_order_interval.T
    total = display.importances.total_order
    assert (low <= total.clip(0.0, 1.0) + 1e-12).all()
    assert (total.clip(0.0, 1.0) <= high + 1e-12).all()


def check_landscape(display, opt):
    kinds, searched = opt.variables_.kinds, opt.variables_.searched
    assert [axis.get_xlabel() for axis in display.axes_] == searched_names(opt)
    for axis, place in zip(display.axes_, searched, strict=True):
        assert axis.get_xscale() == ("log" if kinds.is_log[place] else "linear")
        assert axis.get_yscale() == "linear"
        if place in kinds.levels:
            assert labels_of(axis.xaxis) == list(kinds.levels[place])
        elif kinds.is_whole[place]:
            ticks = np.array(axis.get_xticks())
            np.testing.assert_array_equal(ticks, ticks.round())
    value = "objective 0" if len(opt._known.goal.directions) > 1 else "value"
    assert {axis.get_ylabel() for axis in display.axes_} == {value, ""}
    assert (display.band[0] <= display.proxy + 1e-12).all()
    assert (display.proxy <= display.band[1] + 1e-12).all()


def check_near_optimal(display, opt):
    ax, near = display.ax_, display.near
    assert labels_of(ax.yaxis) == searched_names(opt)
    assert labels_of(ax.xaxis) == ["lower bound", "upper bound"]
    assert ax.get_title() == f"as good as the best to within {near.within:.3g}"
    assert (near.lower <= near.optimum).all()
    assert (near.optimum <= near.upper).all()
    bars = [line.get_xdata() for line in ax.lines if line.get_linewidth() == 8]
    assert len(bars) == (~opt.variables_.is_category_axis).sum()
    assert all(0.0 <= low <= high <= 1.0 for low, high in bars)


def check_optimum_spread(display, opt):
    ax = display.ax_
    assert labels_of(ax.yaxis) == searched_names(opt)
    assert labels_of(ax.xaxis) == ["lower bound", "upper bound"]
    places = np.concatenate([line.get_xdata() for line in ax.lines])
    assert places.min() >= 0.0
    assert places.max() <= 1.0


def check_parallel_coordinates(display, opt):
    ax, kinds = display.ax_, opt.variables_.kinds
    assert labels_of(ax.yaxis) == [*searched_names(opt), *display.objectives]
    said = [text.get_text() for text in ax.texts]
    for place in opt.variables_.searched:
        ends = opt.variables_.bounds[place]
        wanted = kinds.levels.get(place, [f"{end:.3g}" for end in ends])
        assert set(wanted) <= set(said)
    paths = np.concatenate([line.get_xdata() for line in ax.lines])
    assert np.nanmin(paths) >= 0.0
    assert np.nanmax(paths) <= 1.0


CHECKS = {
    ConvergenceDisplay: check_convergence,
    DiagnosisDisplay: check_diagnosis,
    FidelityDisplay: check_fidelity,
    ImportanceDisplay: check_importance,
    LandscapeDisplay: check_landscape,
    NearOptimalDisplay: check_near_optimal,
    OptimumSpreadDisplay: check_optimum_spread,
    ParallelCoordinatesDisplay: check_parallel_coordinates,
}


def drawn_of(display, opt):
    """Draw a display, whose letters a phone must show."""
    drawn = display.from_estimator(opt, **OPTIONS.get(display, {}))
    drawn.figure_.canvas.draw()
    check_that_a_phone_shows_it(drawn.figure_)
    return drawn


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("name", RUNS)
def test_every_display_of_every_kind_has_its_labels_scales_and_curves_in_bands(display, name, runs):
    opt = runs(name)
    CHECKS[display](drawn_of(display, opt), opt)


# Several objectives.


def front_of(bounds, change=lambda y: y, **params):
    space = Variables(bounds)
    cube = SobolSampler(24, random_state=0).sample([[0.0, 1.0]] * space.n_axes)
    X = space.from_unit_cube(cube)
    rows = X if space.names is None else space.to_frame(X)
    y = change(np.column_stack([bowl(X), bowl(X[:, ::-1])]))
    params = {"proxy": "gp", "optimizer": NSGA2(8, 5), "random_state": 0, **params}
    return ParetoOptimizer(bounds=bounds, on_error="drop", **params).fit(rows, y)


def noise_of(y):
    return 0.2 * np.random.default_rng(0).standard_normal(y.shape)


FRONTS = {
    "numbers": lambda: front_of(NUMBERS),
    "integers": lambda: front_of(INTEGERS),
    "categories": lambda: front_of(CATEGORIES),
    "log": lambda: front_of(LOG),
    "fixed": lambda: front_of(FIXED),
    "maximized": lambda: front_of(NUMBERS, lambda y: -y, direction=["maximize"] * 2),
    "constrained": lambda: front_of(
        NUMBERS, lambda y: np.column_stack([y, y[:, 0] - 2.0]), n_constraints=1
    ),
    "noisy": lambda: front_of(NUMBERS, lambda y: y + noise_of(y)),
    "failing": lambda: front_of(NUMBERS, lambda y: np.where(y[:, :1] > 2.0, np.nan, y)),
}


def check_pareto(display, opt):
    front, growth = display.axes_
    done = opt._known.goal.directions
    assert front.get_xlabel() == f"objective 0 ({done[0]}d)"
    assert front.get_ylabel() == f"objective 1 ({done[1]}d)"
    assert (growth.get_xlabel(), growth.get_ylabel()) == ("evaluations", "hypervolume")
    assert {ax.get_xscale() for ax in (front, growth)} == {"linear"}
    assert (np.diff(display.hypervolumes) >= 0.0).all()
    low, high = display.intervals[..., 0], display.intervals[..., 1]
    assert (low <= display.predicted + 1e-12).all()
    assert (display.predicted <= high + 1e-12).all()


FRONT_CHECKS = {
    ImportanceDisplay: check_importance,
    LandscapeDisplay: check_landscape,
    ParallelCoordinatesDisplay: check_parallel_coordinates,
    ParetoDisplay: check_pareto,
}


@pytest.fixture(scope="module")
def fronts():
    return functools.cache(lambda name: FRONTS[name]())


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
@pytest.mark.parametrize("display", FRONT_CHECKS)
@pytest.mark.parametrize("name", FRONTS)
def test_every_display_of_a_front_has_its_labels_scales_and_curves_in_bands(display, name, fronts):
    opt = fronts(name)
    FRONT_CHECKS[display](drawn_of(display, opt), opt)


# Names and numbers that nobody expects.


def odd_run(X, y, **params):
    return ProxyOptimizer(proxy=LinearRegression(), random_state=0, **params).fit(X, y)


U = np.random.default_rng(0).uniform(size=(24, 2))
ODD = {
    "long names": lambda: odd_run(
        pd.DataFrame(U, columns=["n" * 60, "temperature of the inlet of the second exchanger"]),
        U[:, 0],
    ),
    "formulas": lambda: odd_run(pd.DataFrame(U, columns=["$x^{", "cost in $ of $_{"]), U[:, 0]),
    "other letters": lambda: odd_run(
        pd.DataFrame({"Größe µm": U[:, 0], "étiquette": ["<b>", "ü"] * 12}), U[:, 0]
    ),
    "long labels": lambda: odd_run(
        pd.DataFrame({"x": U[:, 0], "k": ["a label of many words that goes on", "b"] * 12}), U[:, 0]
    ),
    "many labels": lambda: odd_run(
        pd.DataFrame({"x": U[:, 0], "k": [f"label {i}" for i in range(24)]}), U[:, 0]
    ),
    "large numbers": lambda: odd_run(1e15 + 1e12 * U, 1e12 * U[:, 0]),
    "small numbers": lambda: odd_run(1e-12 * U, 1e-15 * U[:, 0]),
    "30 variables": lambda: odd_run(np.hstack([U] * 15), U[:, 0]),
}


@pytest.fixture(scope="module")
def odd_runs():
    return functools.cache(lambda name: ODD[name]())


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("name", ODD)
def test_odd_names_and_numbers_stay_inside_the_picture(display, name, odd_runs):
    drawn = display.from_estimator(odd_runs(name), **OPTIONS.get(display, {}))
    drawn.figure_.canvas.draw()
    check_that_a_phone_shows_it(drawn.figure_)


@pytest.mark.parametrize("display", [LandscapeDisplay, ParallelCoordinatesDisplay])
def test_many_labels_do_not_cover_each_other(display, odd_runs):
    drawn = display.from_estimator(odd_runs("many labels"))
    drawn.figure_.canvas.draw()
    texts = [*drawn.axes_[-1].get_xticklabels(), *drawn.axes_[-1].texts]
    shown = [one for one in texts if one.get_text().startswith("label")]
    assert 3 <= len(shown) < 24
    places = np.sort([one.get_window_extent().x1 for one in shown])
    room = 0.9 * SMALL * drawn.figure_.dpi / 72.0
    assert (np.diff(places) >= room).all()


def test_few_samples_have_a_landscape_without_a_band():
    opt = odd_run([[0.0, 0.0, 1.0], [1.0, 2.0, 0.0], [0.5, 1.0, 0.5]], [1.0, 2.0, 1.5])
    display = LandscapeDisplay.from_estimator(opt)
    assert display.band is None
    labels = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert labels == ["model", "optimum of the model"]


def test_one_told_sample_is_a_trial():
    opt = ProxyOptimizer(bounds={"a": (0, 1)}).tell([[0.25]], [3.0])
    display = ParallelCoordinatesDisplay.from_estimator(opt)
    assert labels_of(display.ax_.yaxis) == ["a", "value"]
    assert display.is_best.tolist() == [True]


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
@pytest.mark.parametrize("name", RUNS)
def test_each_curve_lies_in_its_band(name, runs):
    display = LandscapeDisplay.from_estimator(runs(name), features=[0, 1, 2], n_points=15)
    assert (display.band[0] <= display.proxy + 1e-12).all()
    assert (display.proxy <= display.band[1] + 1e-12).all()


def test_slices_have_labels_integers_and_log_scales(runs):
    display = LandscapeDisplay.from_estimator(runs("mixed"))
    flow, rate, cycles, solvent = display.axes_
    assert [axis.get_xlabel() for axis in display.axes_] == ["flow", "rate", "cycles", "solvent"]
    assert [axis.get_xscale() for axis in display.axes_] == ["linear", "log", "linear", "linear"]
    assert [tick.get_text() for tick in solvent.get_xticklabels()] == ["MeCN", "THF", "toluene"]
    assert set(np.unique(display.grids[2])) == {1, 2, 3, 4, 5, 6}
    assert set(np.unique(display.grids[3])) == {0, 1, 2}
    display.figure_.canvas.draw()
    ticks = [tick for tick in cycles.get_xticks() if 1 <= tick <= 6]
    assert ticks == [round(tick) for tick in ticks]
    # A mark for each sample.
    marks = [line for line in flow.lines if line.get_marker() == "|"]
    assert len(marks[0].get_xdata()) == 40
    assert rate.get_xlim()[0] > 0.0


def test_two_numbers_are_levels_on_their_scales_and_a_category_is_no_axis_of_levels(runs):
    display = LandscapeDisplay.from_estimator(runs("mixed"), features=["rate", "cycles"])
    assert len(display.axes_) == 1
    assert display.axes_[0].get_xscale() == "log"
    assert display.proxy.shape == (60, 60)
    display = LandscapeDisplay.from_estimator(runs("mixed"), features=["flow", "solvent"])
    assert len(display.axes_) == 2
    assert display.proxy.shape == (2, 60)


def test_importances_stand_by_name_the_largest_on_top(runs):
    display = ImportanceDisplay.from_estimator(runs("mixed"), n_samples=256)
    names = [tick.get_text() for tick in display.axes_[0].get_yticklabels()]
    shares = display.importances.total_order
    assert names[-1] == display.importances.names[int(np.argmax(shares))]
    assert display.axes_[0].get_xlabel() == "share of the variance"
    widths = [bar.get_width() for bar in display.axes_[0].containers[0]]
    assert widths == sorted(widths)


def test_ranges_stand_beside_their_lines(runs):
    display = NearOptimalDisplay.from_estimator(runs("mixed"), 0.2)
    ax = display.ax_
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(MIXED)[:4]
    texts = [text.get_text() for text in ax.texts]
    assert texts[2] == "1 to 6"
    assert texts[3] == "THF"
    assert "within 0.2" in ax.get_title()
    only = NearOptimalDisplay.from_estimator(runs("integers"), 1e-3).ax_
    assert only.texts[2].get_text() == "2"


def test_a_front_has_importances_of_each_objective():
    X = np.random.default_rng(0).uniform(size=(30, 2))
    opt = ParetoOptimizer(
        bounds=[(0, 1)] * 2, proxy=LinearRegression(), optimizer=NSGA2(8, 5), random_state=0
    ).fit(X, np.column_stack([X[:, 0], -X[:, 1]]))
    display = ImportanceDisplay.from_estimator(opt, output=1, n_samples=64)
    assert display.axes_[0].get_yticklabels()[-1].get_text() == "x1"


@pytest.mark.parametrize("display", DISPLAYS)
def test_lines_are_light_on_a_dark_background(display, runs):
    with plt.style.context("dark_background"):
        options = {"n_samples": 64} if display is ImportanceDisplay else {}
        options |= {"within": 0.2} if display is NearOptimalDisplay else {}
        drawn = display.from_estimator(runs("numbers"), **options)
        light = matplotlib.colors.to_rgb(ink())
        colors = [
            matplotlib.colors.to_rgb(line.get_color())
            for axis in drawn.figure_.axes
            for line in axis.lines
        ]
        assert light == (1.0, 1.0, 1.0)
        assert (0.0, 0.0, 0.0) not in colors


@pytest.mark.parametrize("ax", ["here", [1, 2]])
def test_what_is_no_pair_of_axes_is_refused(runs, ax):
    with pytest.raises(ValueError, match="ax must be 2 matplotlib axes or None"):
        ImportanceDisplay.from_estimator(runs("numbers"), n_samples=64, ax=ax)


def test_the_optimum_of_each_model_stands_at_the_names_of_its_variables(runs):
    ax = OptimumSpreadDisplay.from_estimator(runs("mixed")).ax_
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(MIXED)[:4]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["lower bound", "upper bound"]
    places = np.concatenate([line.get_xdata() for line in ax.lines])
    assert places.min() >= 0.0
    assert places.max() <= 1.0


def test_predictions_stand_below_what_was_measured(runs):
    opt = runs("noisy")
    display = FidelityDisplay.from_estimator(opt)
    assert display.ax_.get_xlabel().startswith("predicted")
    assert display.ax_.get_ylabel() == "measured value"
    np.testing.assert_array_equal(np.sort(display.truth), np.sort(opt.y_))


def test_the_run_of_a_maximum_climbs(runs):
    display = ConvergenceDisplay.from_estimator(runs("maximized"))
    assert (np.diff(display.best) >= 0.0).all()
    assert display.ax_.get_xlabel() == "evaluations"
    assert display.ax_.get_ylabel() == "best measured value"
    assert display.ax_.get_yscale() == "linear"


def test_a_sample_that_misses_a_constraint_is_no_best_value(runs):
    opt = runs("constrained")
    display = ConvergenceDisplay.from_estimator(opt)
    feasible = opt.y_[:, 1] <= 0.0
    assert not feasible.all()
    assert display.best[-1] == opt.y_[feasible, 0].min()
