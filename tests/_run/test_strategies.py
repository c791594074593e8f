"""Strategies: points proposed, results observed in any order."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator
from sklearn.gaussian_process import GaussianProcessRegressor

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt._run._design import FarPoints, InitialDesign, far_points
from sklearn_proxyopt._run._phases import InfillRounds
from sklearn_proxyopt._run._progress import Progress
from sklearn_proxyopt._run._run import Run, draw_seeds
from sklearn_proxyopt._run._verification import Verification
from sklearn_proxyopt._strategies import Routine, Strategy, ThreadedSearch, solve
from sklearn_proxyopt._utils._dataset import Dataset
from sklearn_proxyopt._utils._goal import MINIMUM
from sklearn_proxyopt.infill import ProxyMinima
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.refine import LocalRefinement, SurrogateCMAES
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import Variables

BOX = np.array([[-1.0, 1.0], [-2.0, 2.0]])
SPACE = Variables(BOX)


def bowl(X):
    return ((X - [0.3, -0.4]) ** 2).sum(axis=1) + 0.1 * np.cos(6 * X[:, 0])


def known_samples():
    X = SobolSampler(16, random_state=1).sample(BOX)
    return Dataset.of(X, bowl(X))


def design():
    return InitialDesign(SobolSampler(8, random_state=0), SPACE)


def infill_rounds():
    optimizer = ProxyOptimizer(
        proxy=GaussianProcessRegressor(normalize_y=True),
        optimizer=MultiStartBFGS(8, 20, n_rounds=1, n_candidates=64),
        random_state=0,
    )
    run = Run(optimizer, SPACE, draw_seeds(optimizer), Progress(optimizer, 1), MINIMUM)
    return InfillRounds(run, optimizer, ProxyMinima(3), n_rounds=2)


def exploration():
    search = SurrogateCMAES(random_state=0).begin(BOX)
    known = known_samples()
    search.note(known.X, known.y)
    search.allow(40)
    return Routine(search.explore(25))


def refinement_by_cmaes():
    search = SurrogateCMAES(random_state=0).begin(BOX)
    search.allow(20)
    return Routine(search.refine_from(np.array([[0.2, -0.2], [0.5, 0.5]])))


def refinement_by_cobyqa():
    candidates = [[0.2, -0.2], [0.5, 0.5], [-0.5, 1.0]]
    refiner = LocalRefinement(max_evaluations=15)
    return ThreadedSearch(lambda fun: refiner.refine(fun, candidates, BOX))


def verification():
    points = SobolSampler(8, random_state=5).sample(BOX)
    return Verification(points, np.zeros(8))


def exploration_far_away():
    return FarPoints(SobolSampler(64, random_state=0), SPACE, 4)


STRATEGIES = [
    design,
    exploration,
    infill_rounds,
    refinement_by_cmaes,
    refinement_by_cobyqa,
    verification,
    exploration_far_away,
]


def told(known, X):
    return known.told(X, bowl(X))


def drive_serially(strategy):
    """Return all points of a strategy that is told whole batches."""
    known, asked = known_samples(), []
    while True:
        points = strategy.propose(None, known, known.X[:0])
        if strategy.has_ended:
            return np.vstack(asked)
        asked.append(points)
        strategy.observe(points, bowl(points))
        known = told(known, points)


def drive_out_of_order(strategy, n, rng):
    """Return all points, asked `n` at a time; any pending result may be the next to come."""
    known, pending, asked = known_samples(), np.empty((0, 2)), []
    while True:
        points = strategy.propose(n, known, pending)
        if strategy.has_ended:
            assert not len(pending)
            return np.vstack(asked)
        assert len(points) <= n
        assert len(points) or len(pending)
        asked.append(points)
        pending = np.vstack([pending, points])
        answered = rng.permutation(len(pending))[: rng.integers(1, len(pending) + 1)]
        strategy.observe(pending[answered], bowl(pending[answered]))
        known = told(known, pending[answered])
        pending = np.delete(pending, answered, axis=0)


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize(
    "make", [design, exploration, verification, refinement_by_cmaes, refinement_by_cobyqa]
)
def test_results_out_of_order_lead_to_the_same_points(make, n):
    serial = drive_serially(make())
    assert len(serial) >= 8
    assert_array_equal(drive_out_of_order(make(), n, np.random.default_rng(n)), serial)


@pytest.mark.parametrize("n", [1, 2])
def test_rounds_of_infill_wait_for_the_results_of_the_round(n):
    points = drive_out_of_order(infill_rounds(), n, np.random.default_rng(n))
    assert len(points) == len(np.unique(points, axis=0)) == 6


@pytest.mark.parametrize("make", STRATEGIES)
def test_a_strategy_that_has_ended_proposes_nothing_more(make):
    strategy, known = make(), known_samples()
    drive_serially(strategy)
    assert strategy.propose(3, known, known.X[:0]).shape == (0, 2)


@pytest.mark.parametrize("make", STRATEGIES)
def test_a_strategy_can_be_given_up(make):
    strategy, known = make(), known_samples()
    strategy.propose(2, known, known.X[:0])
    strategy.close()
    assert strategy.has_ended
    assert strategy.propose(2, known, known.X[:0]).shape == (0, 2)


def test_results_of_others_are_passed_over():
    strategy, known = design(), known_samples()
    points = strategy.propose(None, known, known.X[:0])
    strategy.observe(points + 0.1, bowl(points))
    assert not len(strategy.propose(None, known, points))
    assert not strategy.has_ended


def test_what_is_asked_for_is_neither_known_nor_pending():
    known, sampler = known_samples(), SobolSampler(64, random_state=0)
    first = far_points(sampler, SPACE, 4, known.X)
    second = far_points(sampler, SPACE, 4, np.vstack([known.X, first]))
    both = np.vstack([known.X, first, second])
    assert len(np.unique(both, axis=0)) == len(known) + 8


def test_an_error_of_a_search_in_its_thread_reaches_the_driver():
    def search(fun):
        fun(np.zeros((1, 2)))
        raise ValueError("lost")

    strategy, known = ThreadedSearch(search), known_samples()
    points = strategy.propose(None, known, known.X[:0])
    strategy.observe(points, bowl(points))
    with pytest.raises(ValueError, match="lost"):
        strategy.propose(None, known, known.X[:0])


def test_a_search_that_is_given_up_leaves_no_thread():
    strategy, known = refinement_by_cobyqa(), known_samples()
    before = set(threading.enumerate())
    strategy.propose(None, known, known.X[:0])
    (own,) = set(threading.enumerate()) - before
    strategy.close()
    own.join(timeout=10.0)
    assert not own.is_alive()


def test_a_strategy_without_a_hook_is_refused_by_its_name():
    class Mute(Strategy):
        def propose(self, n, known, pending):
            return known.X[:0]

    with pytest.raises(TypeError, match="observe"):
        Mute()


def test_a_generator_is_answered_by_a_function():
    def batches():
        first = yield np.zeros((2, 1))
        second = yield np.ones((1, 1))
        return first.sum() + second.sum()

    assert solve(batches(), lambda X: X[:, 0] + 1.0) == 4.0


class Wrapped(BaseEstimator):
    """A refiner that is another one, and no subclass of anything."""

    begins_before_proxy = True

    def __init__(self, refiner):
        self.refiner = refiner

    @property
    def max_evaluations(self):
        return self.refiner.max_evaluations

    def check_parameters(self):
        self.refiner.check_parameters()

    def refine(self, fun, candidates, bounds=None, *, incumbent=None):
        return self.refiner.refine(fun, candidates, bounds, incumbent=incumbent)

    def begin(self, *args):
        return self.refiner.begin(*args)


@pytest.mark.parametrize("arguments", [{"budget": 40}, {}])
def test_a_wrapper_of_a_refiner_behaves_as_the_refiner_does(arguments):
    def run(refiner):
        optimizer = ProxyOptimizer(
            sampler=SobolSampler(12),
            proxy=NeuralProxyRegressor((8,), max_epochs=5),
            optimizer=MultiStartBFGS(8, 20, n_rounds=1, n_candidates=64),
            refiner=refiner,
            verdict=False,
            random_state=0,
            vectorized=True,
        )
        optimizer.minimize(bowl, BOX, **arguments)
        return optimizer

    own = SurrogateCMAES(max_evaluations=25, random_state=3)
    one, other = run(own), run(Wrapped(own))
    assert_array_equal(one.X_, other.X_)
    assert one.result_.message == other.result_.message


def test_a_refiner_draws_from_the_seed_of_the_run_without_a_budget_too():
    make = partial(
        ProxyOptimizer,
        sampler=SobolSampler(12),
        proxy=GaussianProcessRegressor(),
        refiner=SurrogateCMAES(max_evaluations=15),
        verdict=False,
        vectorized=True,
        random_state=0,
    )
    one, other = make(), make()
    one.minimize(bowl, BOX)
    other.minimize(bowl, BOX)
    assert_array_equal(one.X_, other.X_)
