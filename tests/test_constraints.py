import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor, GradientBoostingRegressor, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from spies import Spy

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt._proxy_search._functions import RegressorFunction
from sklearn_proxyopt._proxy_search._penalty import Merit, MeritFunction
from sklearn_proxyopt._strategies import solve
from sklearn_proxyopt._utils._feasibility import best_first, feasible_values, violations
from sklearn_proxyopt.evaluation import Journal
from sklearn_proxyopt.exceptions import EvaluationError, FailedEvaluationWarning, JournalError
from sklearn_proxyopt.infill import (
    DoubtfulMinima,
    ExpectedImprovement,
    LowerConfidenceBound,
    ProxyMinima,
    ThompsonSampling,
    TrustRegion,
)
from sklearn_proxyopt.optimizers import DifferentialEvolution, MultiStartBFGS, ParticleSwarm
from sklearn_proxyopt.refine import LocalRefinement, SurrogateCMAES
from sklearn_proxyopt.refine._ledger import Ledger
from sklearn_proxyopt.refine._local_process import LocalProcess, Settings
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import Integer

BOX = np.array([[-2.0, 2.0], [-2.0, 2.0]])
UNIT = np.array([[0.0, 1.0], [0.0, 1.0]])


def disk(X):
    """The lowest sum of two numbers whose squares add up to at most 2: -2, at (-1, -1)."""
    return np.column_stack([X.sum(axis=1), (X**2).sum(axis=1) - 2.0])


def g6(X):
    """Problem G6 of Floudas and Pardalos: a thin wedge, with the minimum at its tip."""
    x, y = X.T
    return np.column_stack(
        [
            (x - 10.0) ** 3 + (y - 20.0) ** 3,
            100.0 - (x - 5.0) ** 2 - (y - 5.0) ** 2,
            (x - 6.0) ** 2 + (y - 5.0) ** 2 - 82.81,
        ]
    )


G6_BOX = np.array([[13.0, 100.0], [0.0, 100.0]])
G6_LOWEST = -6961.81387558


def nowhere_feasible(X):
    return np.column_stack([X.sum(axis=1), (X**2).sum(axis=1) + 1.0])


def quick(**params):
    params = {
        "n_constraints": 1,
        "sampler": SobolSampler(64),
        "proxy": NeuralProxyRegressor(max_epochs=30),
        "optimizer": MultiStartBFGS(16, n_rounds=2),
        "verdict": False,
        "vectorized": True,
        "random_state": 0,
        **params,
    }
    return ProxyOptimizer(**params)


def test_feasible_rows_come_first_then_those_that_violate_less():
    Y = np.array([[1.0, 2.0, 0.0], [5.0, -1.0, 0.0], [0.0, 0.5, 0.5], [3.0, 0.0, -2.0]])
    np.testing.assert_array_equal(best_first(Y), [3, 1, 2, 0])
    np.testing.assert_array_equal(violations(Y), [2.0, 0.0, 1.0, 0.0])
    np.testing.assert_array_equal(feasible_values(Y), [np.nan, 5.0, np.nan, 3.0])


def test_values_without_constraints_are_ordered_as_they_are():
    y = np.array([2.0, 1.0, 1.0])
    np.testing.assert_array_equal(best_first(y), [1, 2, 0])
    np.testing.assert_array_equal(feasible_values(y), y)


def test_the_merit_bends_smoothly_from_the_value_into_the_penalty():
    merit = Merit(np.array([3.0]), np.array([0.5]), np.array([0.1]))
    c = np.linspace(-1.0, 0.5, 20001)
    value = merit(np.column_stack([np.full(len(c), 2.0), c]))
    slope = np.gradient(value, c)
    assert (value[c < -0.6] == 2.0).all()
    np.testing.assert_allclose(value[c > -0.4], 2.0 + 3.0 * (c[c > -0.4] + 0.5))
    assert np.abs(np.diff(slope)).max() < 0.01


def test_the_merit_as_a_torch_module_is_that_of_arrays():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2.0, 2.0, (60, 2))
    proxy = NeuralProxyRegressor(max_epochs=5, n_members=2, random_state=0).fit(X, disk(X))
    import torch

    for adds_spread in (False, True):
        function = MeritFunction(
            RegressorFunction(proxy),
            Merit.learned(disk(X), proxy.predict(X), np.zeros(2)),
            adds_spread,
        )
        module = function.torch_module()
        with torch.no_grad():
            np.testing.assert_allclose(module(torch.tensor(X))[:, 0].numpy(), function(X))
    members = function.torch_module().members(torch.tensor(X))[:, :, 0].detach().numpy()
    np.testing.assert_allclose(members, function.predict_members(X))


def test_the_optimum_on_the_edge_of_a_disk_is_found():
    fun = Spy(disk)
    opt = ProxyOptimizer(
        n_constraints=1, sampler=SobolSampler(128), random_state=0, vectorized=True
    )
    result = opt.minimize(fun, BOX)
    assert result.feasible
    assert result.success
    assert result.maxcv == 0.0
    assert result.constraints <= 0.0
    assert -2.0 <= result.fun < -2.0 + 1e-6
    np.testing.assert_allclose(disk(result.x[None])[0], [result.fun, *result.constraints])
    assert result.nfev == len(fun.rows) == len(np.unique(fun.rows, axis=0))
    assert result.verdict == "credible"
    assert abs(result.fun_proxy + 2.0) < 0.01
    assert abs(result.true_at_proxy + 2.0) < 0.01
    assert result.constraints_proxy.shape == result.constraints_at_proxy.shape == (1,)


def test_the_optimum_in_the_tip_of_a_wedge_is_found():
    missed = []
    for seed in range(5):
        sampler = SobolSampler(128)
        opt = ProxyOptimizer(
            n_constraints=2, sampler=sampler, verdict=False, random_state=seed, vectorized=True
        )
        result = opt.minimize(g6, G6_BOX)
        assert result.feasible
        assert result.fun >= G6_LOWEST
        missed.append(result.fun - G6_LOWEST)
    # The search of SciPy that refines now and then ends on a side of the wedge.
    assert np.median(missed) < 0.05


@pytest.mark.parametrize(
    ("proxy", "optimizer"),
    [
        (GaussianProcessRegressor(), None),
        (MultiOutputRegressor(GaussianProcessRegressor()), ParticleSwarm(20, 40)),
        (RandomForestRegressor(20), DifferentialEvolution(20, 40)),
        (NeuralProxyRegressor(max_epochs=20, n_members=3), None),
    ],
)
def test_any_regressor_of_several_targets_learns_constraints(proxy, optimizer):
    opt = quick(proxy=proxy, optimizer=optimizer)
    result = opt.minimize(disk, BOX)
    assert result.feasible
    assert result.fun < -2.0 + 1e-3
    assert opt.predict(BOX.T).shape == (2, 2)


def test_the_promise_keeps_the_constraints_that_were_learned():
    X = SobolSampler(128, random_state=0).sample(BOX)
    opt = quick(bounds=BOX).fit(X, disk(X))
    assert opt.result_.feasible
    np.testing.assert_allclose(
        opt.predict(opt.x_[None])[0], [opt.fun_proxy_, *opt.result_.constraints_proxy]
    )


def test_the_best_row_is_the_best_feasible_one():
    X = np.array([[-1.9, -1.9], [0.5, 0.5], [-0.5, -0.5], [1.0, 1.0]])
    opt = quick(bounds=BOX, proxy=LinearRegression(), sampler=None).fit(X, disk(X))
    np.testing.assert_array_equal(opt.x_best_row_, X[2])
    assert opt.fun_best_row_ == -1.0


def test_a_feasible_row_is_never_given_up():
    class Bad:
        def refine(self, fun, candidates, bounds, *, incumbent):
            from scipy.optimize import OptimizeResult

            x = np.array([-2.0, -2.0])
            (outputs,) = fun(x[None])
            return OptimizeResult(
                x=x,
                fun=outputs[0],
                constraints=outputs[1:],
                nfev=1,
                nit=0,
                success=True,
                message="",
            )

        def get_params(self, deep=True):
            return {}

    result = quick(refiner=Bad()).minimize(disk, BOX)
    assert result.feasible


def test_where_nothing_is_feasible_the_least_violation_is_the_answer():
    result = quick(sampler=SobolSampler(128)).minimize(nowhere_feasible, BOX)
    assert not result.feasible
    assert not result.success
    assert result.message.startswith("No feasible point was found: x has the least violation")
    assert 1.0 <= result.maxcv < 1.01
    assert np.abs(result.x).max() < 0.1


def test_failed_rows_are_left_out_and_counted():
    def fails_on_the_right(X):
        Y = disk(X)
        Y[X[:, 0] > 1.0, 1] = np.nan
        return Y

    with pytest.warns(FailedEvaluationWarning):
        result = quick(on_error="learn").minimize(fails_on_the_right, BOX)
    assert result.n_failed > 5
    assert result.feasible
    assert result.fun < -2.0 + 1e-4


def test_constraints_of_a_function_of_one_row_are_kept():
    result = quick(vectorized=False).minimize(lambda x: disk(x[None])[0], BOX)
    assert result.feasible
    assert result.fun < -2.0 + 1e-4


def test_a_second_run_goes_on_from_the_journal_to_the_same_answer(tmp_path):
    path = tmp_path / "runs.sqlite"
    first = quick(journal=path).minimize(disk, BOX)
    fun = Spy(disk)
    second = quick(journal=path).minimize(fun, BOX)
    assert not fun.rows
    assert second.nfev == 0
    np.testing.assert_array_equal(first.x, second.x)
    np.testing.assert_array_equal(Journal(path).rows()[1].shape, (first.nfev, 2))
    with pytest.raises(JournalError, match=r"there are 2 outputs in .*, got 3"):
        quick(journal=path, n_constraints=2).minimize(disk, BOX)


def test_a_run_that_was_interrupted_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "runs.sqlite"
    whole = quick().minimize(disk, BOX)

    class Breaks(Spy):
        def __call__(self, X):
            if len(self.rows) > 70:
                raise KeyboardInterrupt
            return super().__call__(X)

    broken, rest = Breaks(disk), Spy(disk)
    with pytest.raises(KeyboardInterrupt):
        quick(journal=path).minimize(broken, BOX)
    result = quick(journal=path).minimize(rest, BOX)
    np.testing.assert_array_equal(result.x, whole.x)
    assert len(broken.rows) + len(rest.rows) == whole.nfev


def test_experiments_with_constraints_are_asked_for_told_saved_and_loaded(tmp_path):
    opt = quick(bounds=BOX, on_error="drop")
    for _ in range(3):
        X = opt.ask(16)
        Y = disk(X)
        Y[0] = np.nan
        opt.tell(X, Y)
    assert opt.y_.shape == (45, 2)
    assert len(opt.X_failed_) == 3
    opt.save(tmp_path / "state.npz")
    again = quick(bounds=BOX, on_error="drop").load(tmp_path / "state.npz")
    np.testing.assert_array_equal(again.x_, opt.x_)
    with pytest.raises(ValueError, match=r"path must be a file of 1 outputs; got .* of 2"):
        quick(n_constraints=0, bounds=BOX).load(tmp_path / "state.npz")


def test_rows_with_names_are_learned_under_them():
    X = pd.DataFrame(SobolSampler(64, random_state=0).sample(BOX), columns=["a", "b"])
    opt = quick(sampler=None).fit(X, disk(X.to_numpy()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert opt.predict(X).shape == (64, 2)
    opt.diagnose()


def costly_limit(X):
    """The lowest sum of two numbers whose product is at least 0.5: most sums below break that."""
    return np.column_stack([X.sum(axis=1), 0.5 - X[:, 0] * X[:, 1]])


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["minimize", "maximize"])
def test_the_tolerance_is_a_share_of_the_spread_where_limits_cost_more_than_a_usual_value(sign):
    X = SobolSampler(64, random_state=0).sample(UNIT)
    outputs = costly_limit(X)
    best = np.nanmin(feasible_values(outputs))
    assert best > np.median(outputs[:, 0])
    direction = "minimize" if sign > 0.0 else "maximize"
    opt = quick(bounds=UNIT, proxy="gp", sampler=None, direction=direction)
    regret = opt.fit(X, outputs * [sign, 1.0]).diagnose().regret
    assert regret == pytest.approx(0.02 * np.median(np.abs(outputs[:, 0] - best)))


def test_without_a_feasible_sample_the_tolerance_is_a_share_of_the_spread_too():
    X = SobolSampler(64, random_state=0).sample(BOX)
    Y = nowhere_feasible(X)
    opt = quick(bounds=BOX, proxy="gp", sampler=None).fit(X, Y)
    assert 0.002 < opt.diagnose().regret / np.ptp(Y[:, 0]) < 0.02


@pytest.mark.parametrize("seed", range(3))
def test_the_right_optimum_on_a_costly_limit_is_credible(seed):
    opt = ProxyOptimizer(n_constraints=1, random_state=seed, vectorized=True)
    result = opt.minimize(costly_limit, UNIT, budget=40)
    assert result.fun == pytest.approx(np.sqrt(2.0), abs=1e-5)
    assert result.verdict == "credible"
    assert result.regret > 1e-3


def test_values_without_constraints_are_tolerated_by_their_median():
    X = SobolSampler(64, random_state=0).sample(BOX)
    y = disk(X)[:, 1]
    opt = quick(bounds=BOX, proxy="gp", sampler=None, n_constraints=0).fit(X, y)
    assert opt.diagnose().regret == 0.02 * (np.median(y) - y.min())


def test_the_verdict_sees_a_promise_that_breaks_its_constraint():
    def pit(X):
        """A bowl whose bottom is not feasible, which no row of a small design tells."""
        bowl = ((X - 0.3) ** 2).sum(axis=1)
        return np.column_stack([bowl, 9.0 * np.exp(-bowl / 0.1**2) - 1.0])

    opt = quick(bounds=BOX).fit(X := SobolSampler(64, random_state=0).sample(BOX), pit(X))
    assert pit(opt.x_[None])[0, 1] > 0.0
    assert opt.diagnose(pit).verdict == "false"
    fine = quick(bounds=BOX, proxy=NeuralProxyRegressor(max_epochs=50)).fit(X, disk(X))
    assert fine.diagnose(disk).verdict == "credible"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_constraints": -1}, "n_constraints must be an integer of at least 0; got -1"),
        ({"proxy": GradientBoostingRegressor()}, "proxy must bear 2 targets, those of all outputs"),
        (
            {"proxy": make_pipeline(StandardScaler(), GradientBoostingRegressor())},
            "proxy must bear 2 targets, those of all outputs",
        ),
        ({"smoothing": 0.1}, "smoothing must be None with n_constraints=1; got 0.1"),
        ({"infill": "best"}, "infill must be None or a strategy with the method propose; got"),
        (
            {"refiner": LocalRefinement("Nelder-Mead")},
            "refiner must be one with method='COBYQA', or a SurrogateCMAES, with n_constraints=1",
        ),
    ],
)
def test_bad_parameters_are_named_before_anything_is_paid_for(params, message):
    fun = Spy(disk)
    with pytest.raises(ValueError, match=message):
        quick(**params).minimize(fun, BOX)
    assert fun.rows == []


def test_a_function_of_another_number_of_outputs_is_refused():
    with pytest.raises(EvaluationError, match=r"shape \(64, 3\), 3 values .*got shape \(64, 2\)"):
        quick(n_constraints=2).minimize(disk, BOX)
    X = SobolSampler(64).sample(BOX)
    with pytest.raises(ValueError, match=r"y must have shape \(n_samples, 2\).*got shape \(64,\)"):
        quick().fit(X, X.sum(axis=1))


def test_a_proxy_of_one_target_is_refused():
    class OneTarget(LinearRegression):
        def fit(self, X, y):
            return super().fit(X, y[:, 0])

    X = SobolSampler(16).sample(BOX)
    with pytest.raises(ValueError, match="proxy must predict the value and 1 constraints a row"):
        quick(proxy=OneTarget(), sampler=None).fit(X, disk(X))


def test_a_refiner_without_gradients_for_constraints_is_refused():
    with pytest.raises(ValueError, match="method must be 'COBYQA' for a function that returns"):
        LocalRefinement("L-BFGS-B").refine(disk, [[0.0, 0.0]], BOX)


def test_the_refinement_evaluates_value_and_constraints_once():
    fun = Spy(disk)
    result = LocalRefinement(max_evaluations=60).refine(fun, [[0.5, -0.5]], BOX)
    assert len(fun.rows) == result.nfev <= 60
    assert len(np.unique(fun.rows, axis=0)) > 0.9 * len(fun.rows)
    assert result.constraints <= 0.0
    assert result.fun < -2.0 + 1e-5


def test_a_failed_row_is_asked_for_once_by_the_refinement():
    def fails_below(X):
        Y = disk(X)
        Y[X[:, 0] < -0.5] = np.nan
        return Y

    fun = Spy(fails_below)
    result = LocalRefinement(max_evaluations=60).refine(fun, [[0.5, -0.5]], BOX)
    assert len(np.unique(fun.rows, axis=0)) > 0.9 * len(fun.rows)
    assert np.isnan(fails_below(np.array(fun.rows))[:, 0]).any()
    assert result.x[0] >= -0.5


def test_a_refiner_that_forgets_the_constraints_is_refused():
    class Forgetful(LocalRefinement):
        def refine(self, *args, **params):
            result = super().refine(*args, **params)
            del result["constraints"]
            return result

    with pytest.raises(ValueError, match="refiner must return fun and 1 constraints; got 0"):
        quick(refiner=Forgetful()).minimize(disk, BOX)


def test_a_budget_is_kept_and_a_target_ends_the_run_at_a_feasible_value():
    fun = Spy(disk)
    result = quick(sampler=None).minimize(fun, BOX, budget=60)
    assert result.nfev == len(fun.rows) <= 60
    assert result.feasible
    assert result.fun < -2.0 + 1e-4
    early = quick(sampler=None).minimize(disk, BOX, budget=60, target=-1.5)
    assert early.feasible
    assert early.fun <= -1.5
    assert early.nfev < 60
    assert early.message.startswith("The target of -1.5 was reached")


def tilted(X):
    """A bowl whose lowest point, (0.5, 0.5), a straight and a bent constraint cut off."""
    x, y = X.T
    value = (x - 0.5) ** 2 + 4.0 * (y - 0.5) ** 2
    return np.column_stack([value, x + y - 0.2, x**2 - y - 0.1])


# From the conditions of Karush, Kuhn and Tucker, where only the straight one binds: x + y = 0.2.
TILTED_LOWEST = 0.8**2 / (1.0 + 0.25)


@pytest.mark.parametrize("seed", range(3))
def test_a_search_of_the_truth_ends_where_a_constraint_binds(seed):
    search = SurrogateCMAES(max_evaluations=80, random_state=seed)
    result = search.refine(tilted, [[-1.5, 1.5]], BOX)
    assert (result.constraints <= 0.0).all()
    assert 0.0 <= result.fun - TILTED_LOWEST < 1e-7
    np.testing.assert_allclose(tilted(result.x[None])[0], [result.fun, *result.constraints])


def test_a_search_of_the_truth_finds_its_way_into_a_thin_wedge():
    opt = quick(n_constraints=2, sampler=None, random_state=0)
    result = opt.minimize(g6, G6_BOX, budget=120)
    assert result.feasible
    assert result.fun - G6_LOWEST < 1e-2


def test_where_nothing_is_feasible_the_search_looks_for_the_least_violation():
    result = SurrogateCMAES(max_evaluations=60, random_state=0).refine(
        nowhere_feasible, [[1.0, 1.0]], BOX
    )
    assert 1.0 <= result.constraints[0] < 1.0 + 1e-3


def test_the_search_passes_rows_whose_constraints_failed():
    def fails_above(X):
        Y = tilted(X)
        Y[X[:, 1] > 1.0, 1] = np.nan
        return Y

    result = SurrogateCMAES(max_evaluations=100, random_state=0).refine(
        fails_above, [[-1.5, 1.5], [-1.0, -1.0]], BOX
    )
    assert np.isnan(result.candidate_values[0, 1])
    assert (result.constraints <= 0.0).all()
    assert result.fun - TILTED_LOWEST < 1e-6


def test_a_violation_becomes_dearer_while_the_lowest_row_has_one():
    ledger = Ledger(BOX)
    ledger.note(X := SobolSampler(16, random_state=0).sample(BOX), disk(X))
    ledger.merit = ledger.merit.heavier(1e-6)
    ledger.values = ledger.value_of(ledger.outputs)
    before = ledger.merit.prices[0]
    for _ in range(60):
        ledger.press()
    assert ledger.merit.prices[0] > before
    assert ledger.outputs[np.argmin(ledger.values), 1] <= 0.0
    assert ledger.best == np.argmin(ledger.values)


def test_a_constraint_is_learned_where_it_turns_whatever_it_is_elsewhere():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((60, 2))
    c = (np.exp(3.0 * Z[:, 0]) - 1.0) * 100.0
    process = LocalProcess(Z, c, Settings(), turns_at_zero=True)
    near = np.column_stack([np.zeros(9), np.linspace(-1.0, 1.0, 9)])
    assert np.abs(process.predict(near)).max() < 0.01 * np.std(c)
    value, slope = process.constraint_and_gradient(np.array([0.2, 0.1]))
    ahead, _ = process.constraint_and_gradient(np.array([0.2 + 1e-6, 0.1]))
    assert value * process.size == pytest.approx(process.predict(np.array([[0.2, 0.1]]))[0])
    assert (ahead - value) / 1e-6 == pytest.approx(slope[0], rel=1e-4)


STRATEGIES = [
    ProxyMinima,
    ThompsonSampling,
    ExpectedImprovement,
    LowerConfidenceBound,
    TrustRegion,
    DoubtfulMinima,
]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_infill_strategy_buys_rows_that_are_lower_and_feasible(strategy):
    opt = quick(
        sampler=SobolSampler(16),
        proxy=NeuralProxyRegressor(max_epochs=30, n_members=2),
        infill=strategy(4, n_rounds=2),
        refiner=None,
    )
    result = opt.minimize(disk, BOX)
    design = disk(opt.X_[:16])
    assert result.feasible
    assert result.fun < feasible_values(design)[best_first(design)[0]]
    assert result.nfev in (24, 25)  # the last one where the proxy's answer is


def test_infill_with_constraints_keeps_to_whole_numbers():
    opt = quick(sampler=SobolSampler(16), infill=TrustRegion(4, n_rounds=2))
    result = opt.minimize(disk, [Integer(*BOX[0]), BOX[1]])
    assert (opt.X_[:, 0] == np.round(opt.X_[:, 0])).all()
    assert result.feasible


def test_a_proxy_without_members_tells_the_deviation_of_the_merit():
    X = SobolSampler(32, random_state=0).sample(BOX)
    process = GaussianProcessRegressor(normalize_y=True).fit(X, disk(X))
    merit = Merit.of_rows(disk(X))
    rows = np.array([[0.1, 0.2], [1.9, 1.9]])
    mean, deviation = MeritFunction(RegressorFunction(process), merit).predict(
        rows, return_std=True
    )
    outputs, stds = process.predict(rows, return_std=True)
    np.testing.assert_allclose(mean, merit(outputs))
    # The first row is feasible, so that only the value counts; the second is not.
    assert deviation[0] == pytest.approx(stds[0, 0])
    assert deviation[1] == pytest.approx(np.hypot(stds[1, 0], merit.prices[0] * stds[1, 1]))


def test_violations_that_nothing_mends_keep_a_finite_price():
    ledger = Ledger(BOX)
    ledger.limit = 10
    solve(ledger.evaluate(np.random.default_rng(0).random((10, 2))), nowhere_feasible)
    for _ in range(1500):
        ledger.press()
    assert np.isfinite(ledger.values).all()


@pytest.mark.parametrize(
    "proxy",
    [
        make_pipeline(StandardScaler(), LinearRegression()),
        TransformedTargetRegressor(LinearRegression(), transformer=StandardScaler()),
        MultiOutputRegressor(GradientBoostingRegressor()),
        GridSearchCV(LinearRegression(), {"fit_intercept": [True, False]}),
        BaggingRegressor(LinearRegression()),
        MLPRegressor(hidden_layer_sizes=(4,), max_iter=2),
    ],
    ids=lambda proxy: type(proxy).__name__,
)
def test_every_proxy_that_bears_several_targets_is_taken_whatever_its_tags_say(proxy):
    state = np.random.get_state()[1].copy(), torch.get_rng_state()
    ProxyOptimizer(proxy=proxy, n_constraints=1).check_parameters()
    np.testing.assert_array_equal(np.random.get_state()[1], state[0])
    assert torch.equal(torch.get_rng_state(), state[1])


def test_a_proxy_that_cannot_be_tried_is_given_the_benefit_of_the_doubt():
    class NeedsManyVariables(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            raise ValueError("a hundred variables at least")

        def predict(self, X):
            raise NotImplementedError

    ProxyOptimizer(proxy=NeedsManyVariables(), n_constraints=1).check_parameters()
