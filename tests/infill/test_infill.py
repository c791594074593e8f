"""Infill strategies."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from discovery import public_estimators
from numpy.testing import assert_allclose
from scipy.optimize import LinearConstraint, NonlinearConstraint
from scipy.spatial.distance import pdist
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt._proxy_search._on_axes import AxesProxy
from sklearn_proxyopt.infill import (
    BaseInfill,
    ExpectedImprovement,
    Knowledge,
    LowerConfidenceBound,
    ProxyMinima,
    ThompsonSampling,
    TrustRegion,
)
from sklearn_proxyopt.optimizers import DifferentialEvolution, MultiStartBFGS
from sklearn_proxyopt.problems import StyblinskiTang
from sklearn_proxyopt.samplers import LatinHypercubeSampler, SobolSampler
from sklearn_proxyopt.variables import Integer, Real, Variables

PROBLEM = StyblinskiTang(n_dims=2)
ENSEMBLE = NeuralProxyRegressor((16, 16), n_members=3, max_epochs=20)
STRATEGIES = [one.set_params(n_points=4) for one in public_estimators("infill")]


def optimizer_with(infill, n_rounds=2, **parameters):
    if isinstance(infill, BaseInfill):
        infill = clone(infill)
        infill.n_rounds = n_rounds
    defaults = {
        "sampler": LatinHypercubeSampler(24),
        "proxy": ENSEMBLE,
        "refiner": None,
        "verdict": False,
        "random_state": 0,
    }
    return ProxyOptimizer(infill=infill, vectorized=True, **(defaults | parameters))


@pytest.mark.parametrize("infill", STRATEGIES, ids=lambda one: type(one).__name__)
def test_each_round_buys_new_points_inside_the_box_that_lie_apart(infill):
    optimizer = optimizer_with(infill)
    result = optimizer.minimize(PROBLEM, PROBLEM.bounds)
    assert result.nfev_design == 24 + 2 * 4
    for bought in (optimizer.X_[24:28], optimizer.X_[28:32]):
        units = (bought + 5.0) / 10.0
        assert ((units >= 0.0) & (units <= 1.0)).all()
        assert pdist(units).min() >= 0.01
    assert len(np.unique(optimizer.X_, axis=0)) == len(optimizer.X_)


class Counting(LinearRegression):
    """A proxy of a user that counts how often it is told to go on."""

    def __init__(self, calls=None):
        super().__init__()
        self.calls = calls

    def __sklearn_clone__(self):
        return Counting(self.calls)

    def fit(self, X, y):
        self.calls.append("fit")
        return super().fit(X, y)

    def warm_up(self):
        self.calls.append("warm up")


def test_any_proxy_that_can_go_on_is_told_so_after_the_first_round():
    proxy = Counting(calls=[])
    optimizer_with(ProxyMinima(2), n_rounds=3, proxy=proxy).minimize(PROBLEM, PROBLEM.bounds)
    assert proxy.calls[:6] == ["fit", "warm up", "fit", "warm up", "fit", "fit"]
    assert "warm up" not in proxy.calls[6:]


@pytest.mark.parametrize("infill", STRATEGIES, ids=lambda one: type(one).__name__)
def test_the_same_seed_buys_the_same_points(infill):
    one, other = optimizer_with(infill, n_rounds=1), optimizer_with(infill, n_rounds=1)
    one.minimize(PROBLEM, PROBLEM.bounds)
    other.minimize(PROBLEM, PROBLEM.bounds)
    assert_allclose(one.X_, other.X_, rtol=0, atol=0)


def test_infill_finds_what_the_design_alone_does_not():
    design = optimizer_with(None)
    filled = optimizer_with(ProxyMinima(4), n_rounds=8)
    without = design.minimize(PROBLEM, PROBLEM.bounds).fun
    assert filled.minimize(PROBLEM, PROBLEM.bounds).fun < without


@pytest.mark.parametrize("infill", [ExpectedImprovement(3), LowerConfidenceBound(3)])
@pytest.mark.parametrize("proxy", [GaussianProcessRegressor(normalize_y=True), None])
def test_processes_tell_their_deviation_too(infill, proxy):
    optimizer = optimizer_with(infill, proxy=proxy, n_rounds=1)
    assert optimizer.minimize(PROBLEM, PROBLEM.bounds).nfev_design == 27


@pytest.mark.parametrize("infill", [ExpectedImprovement(), LowerConfidenceBound()])
@pytest.mark.parametrize("proxy", [LinearRegression(), NeuralProxyRegressor(), "neural"])
def test_a_proxy_without_a_deviation_is_refused_before_anything_is_paid_for(infill, proxy):
    def fun(X):
        raise AssertionError("evaluated")

    with pytest.raises(ValueError, match="proxy must predict a standard deviation"):
        optimizer_with(infill, proxy=proxy).minimize(fun, PROBLEM.bounds)


@pytest.mark.parametrize("proxy", [LinearRegression(), NeuralProxyRegressor()])
def test_thompson_sampling_needs_functions_to_draw_from(proxy):
    with pytest.raises(ValueError, match=r"proxy must draw functions.*or have members"):
        optimizer_with(ThompsonSampling(), proxy=proxy).minimize(PROBLEM, PROBLEM.bounds)


@pytest.mark.parametrize(
    ("infill", "message"),
    [
        (ProxyMinima(0), "n_points must be an integer of at least 1"),
        (TrustRegion(initial_width=0.0), "initial_width must be a finite number"),
        (TrustRegion(initial_width=0.1, min_width=0.2), "min_width must not exceed initial_width"),
        (LowerConfidenceBound(n_deviations=-1.0), "n_deviations must be a finite number"),
        (ProxyMinima, "infill must be None or a strategy"),
        ("best", "infill must be None or a strategy"),
    ],
)
def test_a_wrong_strategy_is_named(infill, message):
    with pytest.raises(ValueError, match=message):
        optimizer_with(infill).minimize(PROBLEM, PROBLEM.bounds)


def test_a_wrong_number_of_rounds_is_named():
    with pytest.raises(ValueError, match="n_rounds must be an integer of at least 1"):
        optimizer_with(ProxyMinima(), n_rounds=0).minimize(PROBLEM, PROBLEM.bounds)


def test_expected_improvement_is_that_of_a_normal_distribution():
    rng = np.random.default_rng(0)
    mean, deviation, lowest = np.array([1.0, -0.5]), np.array([0.7, 0.2]), 0.3
    draws = mean + deviation * rng.standard_normal((400_000, 2))
    expected = np.maximum(lowest - draws, 0.0).mean(axis=0)
    assert_allclose(ExpectedImprovement()._gain(mean, deviation, lowest), expected, rtol=0.02)


class Bowl:
    """A proxy that knows a bowl, and how sure it is of it."""

    def predict(self, X, return_std=False):
        mean = np.square(X - 1.234).sum(axis=1)
        return (mean, np.full(len(X), 0.1)) if return_std else mean


def knowledge(bounds, n_rows=40, **changes):
    """What is known of a bowl after some rows."""
    bounds = np.array(bounds, dtype=float)
    X = np.random.default_rng(0).uniform(*bounds.T, (n_rows, len(bounds)))
    y = Bowl().predict(X)
    fields = {
        "proxy": Bowl(),
        "optimizer": None,
        "X": X,
        "y": y,
        "bounds": bounds,
        "minima": X[[y.argmin()]],
        "taken": X,
        "rng": np.random.default_rng(1),
        "learn": None,
        "doubts": None,
    }
    return Knowledge(**(fields | changes))


def test_the_first_point_of_a_confidence_bound_is_the_lowest_of_all_that_were_looked_at():
    seen = []

    class Watched(LowerConfidenceBound):
        def _gain(self, mean, deviation, lowest):
            seen.append(mean - self.n_deviations * deviation)
            return super()._gain(mean, deviation, lowest)

    known = knowledge([(-5, 5)] * 3)
    (point,) = Watched(1).propose(known)
    assert_allclose(known.proxy.predict(point[None]) - 0.2, np.concatenate(seen).min())


class Nothing(BaseInfill):
    """A strategy without an idea."""

    def __init__(self, n_points=3):
        self.n_points = n_points

    def _propose(self, known):
        return known.X[:2]


def test_what_a_strategy_leaves_open_is_filled_up_far_from_all_that_is_known():
    optimizer = optimizer_with(Nothing(), n_rounds=1)
    optimizer.minimize(PROBLEM, PROBLEM.bounds)
    units = (optimizer.X_ + 5.0) / 10.0
    added = units[24:27]
    distances = np.linalg.norm(added[:, None] - units[:24], axis=2).min(axis=1)
    assert (distances > 0.08).all()


def test_a_trust_region_grows_after_a_gain_and_shrinks_after_none():
    class Watched(TrustRegion):
        widths: ClassVar = []

        def propose(self, known):
            points = super().propose(known)
            self.widths.append((self.width_, float(known.y.min())))
            half = self.width_ * 5.0 + 1e-9
            center = np.clip(known.best, -5.0 + half, 5.0 - half)
            assert (np.abs(points - center) <= half).all()
            return points

    optimizer_with(Watched(3), n_rounds=6).minimize(PROBLEM, PROBLEM.bounds)
    pairs = list(zip(Watched.widths, Watched.widths[1:], strict=False))
    assert len(pairs) == 5
    for (width, lowest), (next_width, next_lowest) in pairs:
        assert (next_width > width) == (next_lowest < lowest)


def test_a_trust_region_holds_the_best_row_at_any_corner_of_any_box():
    rng = np.random.default_rng(0)
    for _ in range(500):
        lower = rng.uniform(-10, 10, 3)
        bounds = np.column_stack([lower, lower + rng.uniform(0.1, 10, 3)])
        corner = np.where(rng.random(3) < 0.5, *bounds.T)
        known = knowledge(bounds, 2, X=corner[None], y=np.zeros(1))
        infill = TrustRegion()
        infill.width_ = 0.4 * 0.6 ** rng.integers(0, 16)
        region = infill._region(known)
        assert ((region[:, 0] <= corner) & (corner <= region[:, 1])).all()


@pytest.mark.parametrize("infill", STRATEGIES, ids=lambda one: type(one).__name__)
def test_rows_outside_of_the_box_are_not_what_a_strategy_looks_around(infill):
    box = np.array([[-5.0, 5.0], [0.0, 5.0]])
    X = LatinHypercubeSampler(40, random_state=0).sample(PROBLEM.bounds)
    seen = []

    class Watched(type(infill)):
        def propose(self, known):
            seen.append(known.X)
            points = super().propose(known)
            assert ((points >= box[:, 0]) & (points <= box[:, 1])).all()
            return points

    optimizer = optimizer_with(Watched(2), n_rounds=1, sampler=None)
    optimizer.minimize(PROBLEM, box, X=X, y=PROBLEM(X))
    assert_allclose(seen[0], X[X[:, 1] >= 0.0], rtol=0, atol=0)


@pytest.mark.parametrize("infill", STRATEGIES, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize(
    ("bounds", "constraints"),
    [
        ([list("abcdefghijk"), Integer(0, 10)], ()),
        ([Integer(0, 10)] * 2, LinearConstraint([[1, 1]], ub=12)),
    ],
    ids=["category", "constrained"],
)
def test_each_round_buys_as_many_new_rows_as_wanted_between_whole_numbers_too(
    infill, bounds, constraints
):
    def fun(X):
        asked.append(X)
        return np.square(X - 5.3).sum(axis=1)

    asked = []
    search = MultiStartBFGS(8, n_rounds=2)
    optimizer = optimizer_with(infill, optimizer=search, constraints=constraints)
    optimizer.minimize(fun, bounds)
    rows = np.vstack(asked)[:32]
    assert [len(X) for X in asked[1:3]] == [4, 4]
    assert len(np.unique(rows, axis=0)) == 32
    assert optimizer.variables_.is_feasible(rows).all()


def test_a_space_of_fewer_rows_than_asked_is_bought_to_the_last():
    optimizer = optimizer_with(ProxyMinima(4), sampler=LatinHypercubeSampler(6))
    optimizer.minimize(lambda X: np.square(X - 1.3).sum(axis=1), [Integer(0, 2)] * 2)
    assert len(np.unique(optimizer.X_, axis=0)) == len(optimizer.X_) == 9


def test_a_region_without_new_rows_is_filled_up_from_the_whole_box():
    infill = TrustRegion(4, initial_width=0.05)
    optimizer = optimizer_with(infill, n_rounds=3)
    optimizer.minimize(lambda X: np.square(X - 5.3).sum(axis=1), [Integer(0, 10)] * 2)
    assert len(optimizer.X_) >= 24 + 3 * 4


@pytest.mark.parametrize(
    "infill", [ExpectedImprovement(6), LowerConfidenceBound(6), ProxyMinima(6), Nothing(6)]
)
def test_no_point_is_proposed_where_evaluations_fail(infill):
    known = knowledge([(-5, 5)] * 2, caution=lambda points: (points[:, 0] < 2.0).astype(float))
    points = infill.propose(known)
    assert len(points) == 6
    assert (points[:, 0] >= 2.0).all()


def test_a_gain_counts_less_where_evaluations_may_fail():
    known = knowledge([(-5, 5)] * 2, caution=lambda points: 0.9 * (points[:, 0] < 2.0))
    (point,) = LowerConfidenceBound(1).propose(known)
    assert_allclose(point, [2.0, 1.234], atol=0.1)


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
@pytest.mark.parametrize("log", [False, True], ids=["plain", "axes"])
@pytest.mark.parametrize("infill", [ProxyMinima(4), TrustRegion(4)])
def test_minima_are_looked_for_away_from_where_evaluations_have_failed(infill, log):
    def downhill_into_failure(X):
        return np.where(X[:, 0] < 1.4, np.nan, X.sum(axis=1))

    class Watched(type(infill)):
        def _propose(self, known):
            points = super()._propose(known)
            cautions.append(known.caution(points))
            return points

    cautions = []
    optimizer = optimizer_with(
        Watched(4),
        sampler=SobolSampler(64),
        proxy=LinearRegression(),
        optimizer=DifferentialEvolution(20, 20),
        on_error="learn",
    )
    optimizer.minimize(downhill_into_failure, [Real(1, 2, log=log), (1, 2)])
    assert len(cautions) == 2
    assert np.concatenate(cautions).max() < 0.5


@pytest.mark.parametrize(
    "optimizer", [MultiStartBFGS(8, n_rounds=2), DifferentialEvolution(10, 10)]
)
@pytest.mark.parametrize(
    "space",
    [
        {},
        {"constraints": LinearConstraint([[1, 1]], ub=10)},
        {"constraints": NonlinearConstraint(np.prod, 0, 20)},
        {"constraints": NonlinearConstraint(np.prod, 0, 20), "n_constraints": 1},
    ],
    ids=["whole", "linear", "nonlinear", "learned"],
)
def test_members_are_searched_by_any_optimizer_in_any_space(optimizer, space):
    def fun(X):
        value = np.square(X - 7.3).sum(axis=1)
        return np.column_stack([value, X[:, 0] - 9.0]) if "n_constraints" in space else value

    sampling = optimizer_with(ThompsonSampling(3), optimizer=optimizer, n_rounds=1, **space)
    bounds = [(0, 10) if space else Integer(0, 10), (0, 10)]
    assert sampling.minimize(fun, bounds).nfev_design == 24 + 3
    assert sampling.variables_.is_feasible(sampling.X_).all()


@pytest.mark.parametrize("proxy", [None, "gp"])
@pytest.mark.parametrize(
    "space",
    [
        {},
        {"direction": "maximize"},
        {"constraints": NonlinearConstraint(np.prod, 0, 20)},
        {"n_constraints": 1},
    ],
    ids=["box", "maximize", "nonlinear", "learned"],
)
def test_thompson_sampling_draws_functions_from_the_processes_in_any_space(proxy, space):
    sign = -1.0 if "direction" in space else 1.0

    def fun(X):
        value = sign * (np.square(X - 7.3).sum(axis=1) + np.cos(3.0 * X[:, 0]))
        return np.column_stack([value, X[:, 0] - 9.0]) if "n_constraints" in space else value

    sampling = optimizer_with(ThompsonSampling(3), proxy=proxy, n_rounds=1, **space)
    sampling.minimize(fun, [(0, 10)] * 2) if sign > 0 else sampling.maximize(fun, [(0, 10)] * 2)
    y = np.reshape(sampling.y_, (len(sampling.X_), -1))[:, 0]
    assert sampling.result_.nfev_design == 24 + 3
    # Where the drawn functions agree, one point is their minimum, and others fill the round.
    assert (sign * y[24:27]).min() < (sign * y[:24]).min()


def test_members_on_the_axes_are_those_of_the_ensemble_with_a_penalty():
    variables = Variables([(0, 10)] * 2, constraints=NonlinearConstraint(np.prod, 0, 20))
    X = np.random.default_rng(0).uniform(0, 10, (40, 2))
    ensemble = NeuralProxyRegressor((8,), n_members=3, max_epochs=5, random_state=0)
    ensemble.fit(X, X.sum(axis=1))
    is_met = variables.is_feasible(X)
    for member, expected in zip(
        AxesProxy(ensemble, variables, 5.0).members(), ensemble.predict_members(X), strict=True
    ):
        assert_allclose(member(X)[is_met], expected[is_met])
        assert (member(X)[~is_met] > expected[~is_met]).all()
