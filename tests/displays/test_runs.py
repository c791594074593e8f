"""Displays of what a run did: its trials, its front, its times, several runs together."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from sklearn_proxyopt import ParetoOptimizer, ProxyOptimizer  # noqa: E402
from sklearn_proxyopt.displays import (  # noqa: E402
    ConvergenceDisplay,
    DiagnosisDisplay,
    FidelityDisplay,
    FidelityTradeoffDisplay,
    LandscapeDisplay,
    OptimumSpreadDisplay,
    ParallelCoordinatesDisplay,
    ParetoDisplay,
    TimelineDisplay,
)
from sklearn_proxyopt.optimizers import NSGA2, hypervolume  # noqa: E402
from sklearn_proxyopt.refine import LocalRefinement  # noqa: E402
from sklearn_proxyopt.samplers import SobolSampler  # noqa: E402
from sklearn_proxyopt.variables import Integer, Real, Variables  # noqa: E402

SPACE = {
    "flow": (0.0, 1.0),
    "rate": Real(0.01, 1.0, log=True),
    "cycles": Integer(1, 6),
    "solvent": ["MeCN", "THF", "toluene"],
    "height": 2.0,
}


def yields(run):
    if run["flow"] > 0.8:
        raise ArithmeticError("flooded")
    return (run["flow"] - 0.4) ** 2 + np.log10(run["rate"]) ** 2 + 0.1 * run["cycles"]


def minimized(**params):
    opt = ProxyOptimizer(
        bounds=SPACE,
        sampler=SobolSampler(20),
        proxy=LinearRegression(),
        refiner=LocalRefinement(max_evaluations=5),
        vectorized=False,
        on_error="drop",
        verdict=False,
        random_state=0,
        **params,
    )
    opt.minimize(yields)
    return opt


def two_objectives(X):
    return np.column_stack([X[:, 0], 1.0 - X[:, 0] + X[:, 1]])


@pytest.fixture(scope="module")
def mixed():
    with pytest.warns(match="failed"):
        return minimized()


@pytest.fixture(scope="module")
def front():
    opt = ParetoOptimizer(
        bounds=[(0.0, 1.0)] * 2,
        direction=["minimize", "maximize"],
        proxy=LinearRegression(),
        optimizer=NSGA2(12, 10),
        sampler=SobolSampler(16),
        budget=24,
        random_state=0,
        vectorized=True,
    )
    opt.minimize(lambda X: two_objectives(X) * [1.0, -1.0])
    return opt


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def texts(ax):
    return [text.get_text() for text in ax.texts]


# Trials.


def test_every_trial_is_a_path_between_the_bounds(mixed):
    display = ParallelCoordinatesDisplay.from_estimator(mixed)
    names = [tick.get_text() for tick in display.ax_.get_yticklabels()]
    assert names == ["flow", "rate", "cycles", "solvent", "value"]
    paths = [line.get_xdata() for line in display.ax_.lines if len(line.get_xdata()) == 5]
    # The best one is drawn once more.
    assert len(paths) == len(mixed.to_frame()) + 1
    known = np.concatenate(paths)
    known = known[np.isfinite(known)]
    assert known.min() >= 0.0
    assert known.max() <= 1.0
    assert {"0.01", "1", "6", "MeCN", "THF", "toluene"} <= set(texts(display.ax_))
    display.figure_.canvas.draw()


def test_a_trial_that_failed_has_no_place_among_the_values(mixed):
    display = ParallelCoordinatesDisplay.from_estimator(mixed)
    dotted = [line for line in display.ax_.lines if line.get_linestyle() == ":"]
    assert len(dotted) == len(mixed.X_failed_) > 0
    assert all(np.isnan(line.get_xdata()[-1]) for line in dotted)
    labels = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert labels == ["best trials", "best", "other trials", "failed"]


def test_a_log_scaled_setting_stands_where_its_logarithm_does():
    space = Variables({"rate": Real(0.01, 1.0, log=True)})
    display = ParallelCoordinatesDisplay([[0.1]], [1.0], space)
    assert display._paths()[0, 0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("directions", "best"), [(("minimize",), [0, 1]), (("maximize",), [18, 19])]
)
def test_the_best_share_of_the_trials_is_in_color(directions, best):
    values = np.arange(20.0)
    space = Variables([(0.0, 19.0)])
    display = ParallelCoordinatesDisplay(values[:, None], values, space, directions=directions)
    assert np.flatnonzero(display.is_best).tolist() == best


def test_a_trial_that_misses_a_constraint_is_not_the_best():
    outputs = np.array([[0.0, 1.0], [1.0, -1.0], [2.0, -1.0]])
    display = ParallelCoordinatesDisplay(np.zeros((3, 1)), outputs, Variables([(0.0, 1.0)]))
    assert display.is_best.tolist() == [False, True, False]


def test_the_trials_of_a_front_have_a_line_for_each_objective(front):
    display = ParallelCoordinatesDisplay.from_estimator(front)
    names = [tick.get_text() for tick in display.ax_.get_yticklabels()]
    assert names == ["x0", "x1", "objective 0", "objective 1"]
    assert display.is_best.sum() == len(front.X_front_)


@pytest.mark.filterwarnings("error")
def test_trials_that_have_all_failed_are_paths_without_values():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opt = ProxyOptimizer(bounds=[(0.0, 1.0)], on_error="drop").tell(
            [[0.2], [0.4]], [np.nan] * 2
        )
    display = ParallelCoordinatesDisplay.from_estimator(opt)
    display.figure_.canvas.draw()
    assert not display.is_best.any()
    assert texts(display.ax_) == ["0", "1"]


# Fronts.


def test_a_front_is_drawn_measured_and_predicted(front):
    display = ParetoDisplay.from_estimator(front)
    drawn = {line.get_label(): line for line in display.axes_[0].lines}
    assert set(drawn) == {"sample", "predicted", "measured front"}
    order = np.argsort(front.F_front_[:, 0])
    np.testing.assert_allclose(drawn["measured front"].get_xydata(), front.F_front_[order])
    np.testing.assert_allclose(drawn["predicted"].get_xydata(), front.F_front_proxy_)
    assert display.axes_[0].get_xlabel() == "objective 0 (minimized)"
    assert display.axes_[0].get_ylabel() == "objective 1 (maximized)"
    display.figure_.canvas.draw()


def test_the_predicted_front_has_the_intervals_of_its_model():
    X = SobolSampler(20, random_state=0).sample([(0.0, 1.0)] * 2)
    y = two_objectives(X) + 0.05 * np.random.default_rng(0).standard_normal((20, 2))
    opt = ParetoOptimizer(
        direction=["minimize", "minimize"], proxy="gp", optimizer=NSGA2(8, 5), random_state=0
    ).fit(X, y)
    display = ParetoDisplay.from_estimator(opt)
    half = 1.645 * opt.predict(opt.X_front_proxy_, return_std=True)[1]
    wanted = np.stack([opt.F_front_proxy_ - half, opt.F_front_proxy_ + half], axis=2)
    np.testing.assert_allclose(display.intervals, wanted, rtol=1e-3)
    bars = [line.get_xydata() for line in display.axes_[0].lines if len(line.get_xdata()) == 2]
    assert len(bars) == 2 * len(wanted)
    np.testing.assert_allclose(bars[0][:, 0], display.intervals[0, 0])
    np.testing.assert_allclose(bars[1][:, 1], display.intervals[0, 1])
    labels = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert "predicted, 90 % interval" in labels


def test_the_hypervolume_never_shrinks_and_ends_at_that_of_the_result(front):
    display = ParetoDisplay.from_estimator(front)
    assert len(display.hypervolumes) == len(front.y_)
    assert (np.diff(display.hypervolumes) >= 0.0).all()
    assert display.hypervolumes[-1] == pytest.approx(front.result_.hypervolume)


def test_the_hypervolume_of_the_first_samples_is_theirs_alone():
    F = np.random.default_rng(0).uniform(size=(30, 3))
    display = ParetoDisplay(F, None, reference=[1.0] * 3, directions=("minimize",) * 3)
    wanted = [hypervolume(F[: n + 1], [1.0] * 3) for n in range(30)]
    np.testing.assert_allclose(display.hypervolumes, wanted)


def test_failures_and_violations_belong_to_no_front():
    outputs = [[0.0, 0.0, 1.0], [np.nan] * 3, [1.0, 1.0, -1.0]]
    assert ParetoDisplay(outputs, None).is_front.tolist() == [False, False, True]


def test_two_of_three_objectives_are_drawn():
    display = ParetoDisplay(np.eye(3), None, directions=("minimize",) * 3, shown=(2, 1)).plot()
    assert display.axes_[0].get_xlabel() == "objective 2 (minimized)"
    with pytest.raises(ValueError, match=r"shown must be two places from 0 to 2; got \(0, 3\)"):
        ParetoDisplay(np.eye(3), None, directions=("minimize",) * 3, shown=(0, 3))


def test_one_objective_has_no_front(mixed):
    with pytest.raises(ValueError, match=r"estimator must be a ParetoOptimizer.*Convergence"):
        ParetoDisplay.from_estimator(mixed)


@pytest.mark.parametrize(
    "display", [ConvergenceDisplay, DiagnosisDisplay, FidelityDisplay, OptimumSpreadDisplay]
)
def test_what_takes_one_optimum_says_what_draws_a_front(display, front):
    with pytest.raises(ValueError, match=r"must be a ProxyOptimizer; .* draw it by ParetoDisplay"):
        display.from_estimator(front)


def test_the_landscape_of_an_objective_goes_through_its_best_point(front):
    display = LandscapeDisplay.from_estimator(
        front, output=1, features=[0], n_points=9, objective=lambda X: two_objectives(X) * [1, -1]
    )
    best = front.X_front_proxy_[np.argmax(front.F_front_proxy_[:, 1])]
    np.testing.assert_array_equal(display.optimum, best[:1])
    points = np.column_stack([display.grids[0], np.full(9, best[1])])
    np.testing.assert_allclose(display.proxy[0], front.predict(points)[:, 1])
    np.testing.assert_allclose(display.truth[0], -two_objectives(points)[:, 1])
    assert display.direction == "maximize"
    assert display.axes_[0].get_ylabel() == "objective 1"
    with pytest.raises(ValueError, match="output must be below 2"):
        LandscapeDisplay.from_estimator(front, output=2)


def test_one_optimum_has_no_other_output(mixed):
    with pytest.raises(ValueError, match="output must be 0 for a ProxyOptimizer; got 1"):
        LandscapeDisplay.from_estimator(mixed, output=1)


# Times.


def test_each_evaluation_is_a_bar_on_a_line_of_its_own_time():
    display = TimelineDisplay([0, 0, 1, 2], [2, 1, 3, 3], ["design"] * 4, [False] * 4).plot()
    assert display.workers.tolist() == [0, 1, 1, 0]
    assert display.utilization == 1.0
    bars = [(bar.get_x(), bar.get_width()) for bar in display.axes_[0].patches]
    assert bars == [(0, 2), (0, 1), (1, 2), (2, 1)]
    assert display.axes_[0].get_title(loc="left") == "4 runs; 2 workers, busy 100 % of the time"


def test_the_times_of_a_run_are_drawn_by_phase_with_its_failures(mixed):
    display = TimelineDisplay.from_estimator(mixed)
    assert len(display.stages) == len(mixed.to_frame())
    labels = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert labels == ["design", "refine", "failed"]
    assert display.failed.sum() == len(mixed.X_failed_)
    assert (display.started <= display.ended).all()
    assert display.started.min() == 0.0
    display.figure_.canvas.draw()


def test_samples_of_one_call_stand_one_after_another_on_one_line(front):
    display = TimelineDisplay.from_estimator(front)
    assert set(display.workers) == {0}
    assert (np.diff(display.started) >= 0.0).all()


def test_times_of_earlier_programs_come_from_the_journal(tmp_path):
    for _ in range(2):
        opt = ProxyOptimizer(
            sampler=SobolSampler(12),
            proxy=LinearRegression(),
            refiner=None,
            journal=tmp_path / "runs.sqlite",
            random_state=0,
            vectorized=True,
        )
        opt.minimize(lambda X: X[:, 0], [(0.0, 1.0)])
    assert opt.result_.nfev == 0
    assert TimelineDisplay.from_estimator(opt).stages == ["journal"] * len(opt.y_)


def test_samples_that_were_given_have_no_times():
    X = np.linspace(0.0, 1.0, 12)[:, None]
    opt = ProxyOptimizer(proxy=LinearRegression(), random_state=0).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="estimator must have called its objective"):
        TimelineDisplay.from_estimator(opt)


@pytest.mark.parametrize(
    ("seconds", "unit"), [(30.0, "s"), (3600.0, "minutes"), (9000.0, "hours"), (1e6, "days")]
)
def test_time_is_read_in_a_unit_of_its_size(seconds, unit):
    display = TimelineDisplay([0.0], [seconds], ["design"], [False]).plot()
    assert display.axes_[1].get_xlabel() == f"time ({unit})"


def test_times_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="must have one entry for each evaluation; got 1, 2, 1, 1"):
        TimelineDisplay([0.0], [1.0, 2.0], ["design"], [False])


# Several runs.


def test_several_runs_stand_at_their_names_with_the_spread_of_their_seeds():
    runs = {"ours": [[4.0, 2.0, 1.0], [5.0, 3.0]], "theirs": [[6.0, 5.0, 5.0]]}
    display = ConvergenceDisplay(runs).plot()
    low, middle, high = display.quartiles("ours")
    np.testing.assert_allclose(middle, [4.5, 2.5, 2.0])
    np.testing.assert_allclose([low[2], high[2]], [1.5, 2.5])
    lines = {line.get_label(): line for line in display.ax_.lines}
    np.testing.assert_allclose(lines["ours"].get_ydata(), middle)
    assert texts(display.ax_) == ["ours", "theirs"]
    assert len(display.ax_.collections) == 1
    assert lines["ours"].get_linestyle() != lines["theirs"].get_linestyle()


def test_names_of_runs_that_end_together_do_not_cover_each_other():
    display = ConvergenceDisplay({name: [3.0, 1.0] for name in "abcd"}).plot()
    display.figure_.canvas.draw()
    boxes = [text.get_window_extent() for text in display.ax_.texts]
    assert not any(
        one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place]
    )


def test_runs_of_optimizers_are_compared(mixed):
    display = ConvergenceDisplay.from_estimators({"one": mixed, "both": [mixed, mixed]}, f_opt=0.0)
    assert display.quartiles("both")[1][-1] == mixed.fun_
    assert display.ax_.get_yscale() == "log"


@pytest.mark.filterwarnings("error")
def test_a_run_in_which_all_has_failed_is_empty():
    display = ConvergenceDisplay([np.nan, np.nan], f_opt=0.0).plot()
    display.figure_.canvas.draw()
    assert np.isnan(display.best).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ConvergenceDisplay({"a": [1.0], "b": []}),
            "a run for each name; got none for 'b'",
        ),
        (lambda: FidelityDisplay([], []), "truth must hold at least one value; got none"),
        (
            lambda: FidelityTradeoffDisplay([np.nan], [np.nan]),
            "fidelity and error must be known of at least one candidate; got none. Have all fits",
        ),
        (
            lambda: TimelineDisplay([0.0, 2.0], [1.0, 1.0], ["a"] * 2, [False] * 2),
            "ended must be no earlier than started, both finite; got 2 and 1 for evaluation 1",
        ),
        (
            lambda: TimelineDisplay([np.nan], [1.0], ["a"], [False]),
            "both finite; got nan and 1 for evaluation 0",
        ),
    ],
)
def test_what_cannot_be_drawn_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("estimators", [[], {}, 3])
def test_runs_without_names_are_refused(estimators):
    with pytest.raises(ValueError, match="estimators must be a dict of names"):
        ConvergenceDisplay.from_estimators(estimators)


def test_minima_and_maxima_are_not_compared(mixed):
    X = np.linspace(0.0, 1.0, 12)[:, None]
    other = ProxyOptimizer(proxy=LinearRegression(), direction="maximize", random_state=0)
    other.fit(X, X[:, 0])
    with pytest.raises(ValueError, match="estimators must all minimize or all maximize"):
        ConvergenceDisplay.from_estimators({"a": mixed, "b": other})


@pytest.mark.parametrize("display", [ParallelCoordinatesDisplay, TimelineDisplay, ParetoDisplay])
def test_what_is_no_optimizer_is_refused(display):
    with pytest.raises(ValueError, match="estimator must be a"):
        display.from_estimator(LinearRegression())
    with pytest.raises(ValueError, match="not fitted"):
        display.from_estimator(ParetoOptimizer())
