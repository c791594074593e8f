import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer  # noqa: E402
from sklearn_proxyopt._run._diagnose import measured_merit  # noqa: E402
from sklearn_proxyopt.displays import (  # noqa: E402
    ConvergenceDisplay,
    DiagnosisDisplay,
    FidelityDisplay,
    FidelityTradeoffDisplay,
    LandscapeDisplay,
    OptimumSpreadDisplay,
)
from sklearn_proxyopt.problems import Ackley, GramacyLee  # noqa: E402
from sklearn_proxyopt.samplers import SobolSampler  # noqa: E402

DISPLAYS = [
    ConvergenceDisplay,
    DiagnosisDisplay,
    FidelityDisplay,
    LandscapeDisplay,
    OptimumSpreadDisplay,
]


def run(problem):
    opt = ProxyOptimizer(
        sampler=SobolSampler(60),
        proxy=NeuralProxyRegressor(max_epochs=10),
        verdict=False,
        random_state=0,
        vectorized=True,
    )
    opt.minimize(problem, problem.bounds)
    return opt


@pytest.fixture(scope="module")
def planar():
    return run(Ackley(2))


@pytest.fixture(scope="module")
def spatial():
    return run(Ackley(3))


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("which", ["planar", "spatial"])
def test_every_display_is_drawn_from_a_fitted_optimizer(display, which, request):
    drawn = display.from_estimator(request.getfixturevalue(which))
    drawn.figure_.canvas.draw()
    again = drawn.plot()
    assert again is drawn


@pytest.mark.parametrize("display", DISPLAYS)
def test_another_estimator_is_refused_by_name(display):
    with pytest.raises(ValueError, match="estimator must be a ProxyOptimizer"):
        display.from_estimator(LinearRegression())


@pytest.mark.parametrize("display", DISPLAYS)
def test_an_optimizer_that_is_not_fitted_is_refused(display):
    with pytest.raises(ValueError, match="not fitted"):
        display.from_estimator(ProxyOptimizer())


@pytest.mark.parametrize("display", DISPLAYS)
def test_what_is_no_axes_is_refused_by_name(display, planar):
    with pytest.raises(ValueError, match="ax must be"):
        display.from_estimator(planar, ax="here")


def test_the_best_value_never_rises(planar):
    display = ConvergenceDisplay.from_estimator(planar, f_opt=0.0)
    assert (np.diff(display.best) <= 0).all()
    assert display.best[-1] == planar.fun_
    assert display.ax_.get_yscale() == "log"
    assert display.stages == {"samples learned from": 0, "refinement": planar.n_learned_}


def test_axes_passed_in_are_drawn_on(planar):
    ax = plt.figure().add_subplot()
    assert FidelityDisplay.from_estimator(planar, ax=ax).ax_ is ax
    axes = plt.figure().subplots(3, 1)
    assert DiagnosisDisplay.from_estimator(planar, ax=axes).axes_[0] is axes[0]


def test_two_variables_are_drawn_as_levels_beside_the_function(planar):
    problem = Ackley(2)
    display = LandscapeDisplay.from_estimator(planar, objective=problem, n_points=7)
    grid = np.linspace(*problem.bounds[0], 7)
    corner = problem(np.array([[grid[0], grid[-1]]]))[0]
    assert display.truth[0, -1] == pytest.approx(corner)
    assert display.proxy[0, -1] == pytest.approx(planar.predict([[grid[0], grid[-1]]])[0])
    assert len(display.axes_) == 2


def test_a_function_is_drawn_as_the_optimizer_calls_its_objective():
    X = np.random.default_rng(0).uniform(size=(9, 2))
    opt = ProxyOptimizer(proxy=LinearRegression(), random_state=0)
    display = LandscapeDisplay.from_estimator(
        opt.fit(X, X[:, 0]), objective=lambda x: float(x[0]), n_points=3
    )
    frame = pd.DataFrame(X, columns=["a", "b"])
    named = LandscapeDisplay.from_estimator(
        opt.fit(frame, X[:, 0]), objective=lambda run: run["a"], n_points=3
    )
    np.testing.assert_array_equal(display.truth, named.truth)
    at_once = LandscapeDisplay.from_estimator(
        opt.set_params(vectorized=True), objective=lambda table: table["a"], n_points=3
    )
    np.testing.assert_array_equal(display.truth, at_once.truth)


def test_slices_run_through_the_optimum_and_lie_in_their_band(spatial):
    display = LandscapeDisplay.from_estimator(spatial, features=[2, 0, 1], n_points=11)
    point = spatial.x_proxy_.copy()
    point[2] = display.grids[0][4]
    assert display.proxy[0, 4] == pytest.approx(spatial.predict(point[None])[0])
    assert (display.band[0] <= display.band[1]).all()
    assert display.names == ["x2", "x0", "x1"]


def test_one_variable_is_drawn_as_a_line():
    display = LandscapeDisplay.from_estimator(run(GramacyLee()), objective=GramacyLee())
    assert display.proxy.shape == (1, 60)


@pytest.mark.parametrize("features", [["x9"], [3], [], [-1]])
def test_unknown_variables_are_refused(spatial, features):
    with pytest.raises(ValueError, match="features must"):
        LandscapeDisplay.from_estimator(spatial, features=features)


def test_the_best_rows_are_marked():
    truth = np.arange(200.0)
    display = FidelityDisplay(truth, truth)
    assert display.is_best[:20].all()
    assert not display.is_best[20:].any()


def test_predictions_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="predicted must have the shape of truth"):
        FidelityDisplay([1.0, 2.0], [1.0])


def test_the_fidelity_of_a_run_with_constraints_shows_the_merit_of_its_optimum():
    def disk(X):
        return np.column_stack([X.sum(axis=1), (X**2).sum(axis=1) - 1.0])

    opt = ProxyOptimizer(
        proxy=NeuralProxyRegressor((8,), max_epochs=5),
        sampler=SobolSampler(24),
        refiner=None,
        n_constraints=1,
        random_state=0,
        vectorized=True,
    )
    opt.minimize(disk, [[-2.0, 2.0]] * 2)
    display = FidelityDisplay.from_estimator(opt)
    outputs = disk(opt.x_proxy_[None])
    assert display.truth_at_optimum == pytest.approx(measured_merit(opt._known, outputs)[0])


# Fidelity against the optimum, over a grid.


def results_of(names=("fidelity", "optimum"), sizes=(4, 8, 16, 4)):
    fidelity, error = np.array([0.1, 0.5, 0.9, 0.2]), np.array([3.0, 1.0, 0.5, 2.0])
    return {
        "params": [{"size": size, "same": 1} for size in sizes],
        f"mean_test_{names[0]}": fidelity,
        f"std_test_{names[0]}": np.full(4, 0.05),
        f"mean_test_{names[1]}": -error,
        f"std_test_{names[1]}": np.full(4, 4.0),
    }


def test_each_candidate_is_a_point_of_fidelity_and_error():
    display = FidelityTradeoffDisplay.from_cv_results(results_of())
    np.testing.assert_array_equal(display.fidelity, [0.1, 0.5, 0.9, 0.2])
    np.testing.assert_array_equal(display.error, [3.0, 1.0, 0.5, 2.0])
    assert display.correlation == pytest.approx(-1.0)
    assert display.ax_.get_xlabel() == "fidelity"
    assert display.ax_.get_ylabel() == "error of the optimum"
    assert display.ax_.get_title() == "rank correlation -1.00"
    legend = display.ax_.get_legend()
    assert legend.get_title().get_text() == "size"
    assert [text.get_text() for text in legend.get_texts()] == ["4", "8", "16"]


def test_bars_of_the_error_stay_above_zero():
    display = FidelityTradeoffDisplay.from_cv_results(results_of())
    lows = [
        segment[:, 1].min() for bars in display.ax_.collections for segment in bars.get_segments()
    ]
    assert min(lows) > 0.0


def test_scorers_of_other_names_are_asked_for():
    results = results_of(names=("neg_mae", "distance"))
    with pytest.raises(ValueError, match=r"fidelity must be .* neg_mae, distance; got None"):
        FidelityTradeoffDisplay.from_cv_results(results)
    display = FidelityTradeoffDisplay.from_cv_results(
        results, fidelity="neg_mae", optimum="distance"
    )
    assert display.ax_.get_xlabel() == "fidelity (neg_mae)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FidelityTradeoffDisplay([1.0, 2.0], [1.0]), "error must have the shape of fid"),
        (lambda: FidelityTradeoffDisplay.from_cv_results(3), "search must be a fitted search"),
        (
            lambda: FidelityTradeoffDisplay.from_cv_results(results_of(), group="same"),
            "group must be one of 'size'; got 'same'",
        ),
    ],
)
def test_a_mistake_in_a_tradeoff_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_one_candidate_has_no_correlation_and_no_legend():
    display = FidelityTradeoffDisplay([0.5], [1.0]).plot()
    assert np.isnan(display.correlation)
    assert display.ax_.get_legend() is None
