"""Displays of runs of all kinds: what stands on the axes, and that curves lie in their bands."""

import numpy as np
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
)
from sklearn_proxyopt.displays._base import ink  # noqa: E402
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


NUMBERS = [(0.0, 1.0)] * 3
RUNS = {
    "numbers": lambda: fitted(NUMBERS),
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


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("name", RUNS)
def test_every_display_is_drawn_of_every_kind_of_run(display, name, runs):
    options = {"n_samples": 64} if display is ImportanceDisplay else {}
    options |= {"within": 0.1} if display is NearOptimalDisplay else {}
    drawn = display.from_estimator(runs(name), **options)
    drawn.figure_.canvas.draw()
    check_that_a_phone_shows_it(drawn.figure_)


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
