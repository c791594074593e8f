"""Steps to the minimum of a quadratic inside a region that grows and shrinks."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import LinearConstraint

from sklearn_proxyopt.problems import Rosenbrock
from sklearn_proxyopt.refine import SurrogateCMAES
from sklearn_proxyopt.refine._ledger import Ledger
from sklearn_proxyopt.refine._trust_region import TrustRegion
from sklearn_proxyopt.samplers import LatinHypercubeSampler


def region_after(fun, n_steps, n_features=3, width=0.1):
    """Return a region around the best of a design after some steps, and its ledger."""
    bounds = np.array([[0.0, 1.0]] * n_features)
    ledger = Ledger(bounds)
    X = LatinHypercubeSampler(4 * n_features, random_state=0).sample(bounds)
    ledger.note(X, fun(X))
    region = TrustRegion(ledger, width)
    for _ in range(n_steps):
        before, is_kin = ledger.lowest, np.ones(len(ledger.points), dtype=bool)
        step = region.next(ledger.lowest_point, is_kin)
        if step is None:
            break
        value = fun(step.point[None])
        ledger.note(step.point[None], value)
        region.learn(step, before - value[0])
    return region, ledger


def test_it_goes_down_a_plane_into_the_corner_and_knows_that_it_is_there():
    region, ledger = region_after(lambda X: X @ [1.0, -2.0, 0.5], 60)
    assert_allclose(ledger.lowest_point, [0.0, 1.0, 0.0])
    assert region.has_converged


def test_its_minimum_keeps_known_limits():
    bounds = np.array([[0.0, 2.0]] * 2)
    limits = LinearConstraint([[1.0, 1.0], [1.0, -1.0]], [-np.inf, -0.5], [1.0, np.inf])
    ledger = Ledger(bounds, limits=limits)
    X = np.random.default_rng(0).uniform(0.0, 0.5, size=(12, 2))
    fun = lambda X: X @ [-1.0, -2.0]  # noqa: E731
    ledger.note(X, fun(X))
    region = TrustRegion(ledger, 0.5)
    step = region.next(ledger.lowest_point, np.ones(12, dtype=bool))
    assert_allclose(2.0 * step.point, [0.25, 0.75], atol=1e-6)


def test_it_grows_while_what_it_predicts_comes_true():
    region, _ = region_after(lambda X: X @ [1.0, -2.0, 0.5], 2)
    assert region.width > 0.1


def test_it_shrinks_where_no_quadratic_holds():
    def fun(X):
        return np.random.default_rng(np.frombuffer(X.tobytes(), dtype=np.uint32)).random(len(X))

    region, _ = region_after(fun, 40)
    assert region.width < 0.1


def test_rows_that_fail_all_around_end_it_or_let_it_shrink():
    bounds = np.array([[0.0, 1.0]] * 2)
    ledger, X = Ledger(bounds), np.random.default_rng(0).uniform(size=(8, 2))
    ledger.note(X, X.sum(axis=1))
    region = TrustRegion(ledger, 0.2)
    for _ in range(60):
        step = region.next(ledger.lowest_point, np.ones(len(ledger.points), dtype=bool))
        if step is None:
            break
        ledger.note(step.point[None], np.array([np.nan]))
        region.learn(step, -np.inf)
    assert region.width < 0.05


def monotone(X):
    weights = 10.0 ** np.linspace(-1.5, 0.5, X.shape[1])
    return np.log1p((weights * np.expm1(2.0 * X)).sum(axis=1)) + X[:, 0] * X[:, -1]


@pytest.mark.parametrize("n_features", [8, 12])
def test_the_corner_of_a_monotone_function_is_found_within_sixty_evaluations(n_features):
    box, ends = [[0.0, 1.0]] * n_features, []
    for seed in range(3):
        design = LatinHypercubeSampler(20, random_state=seed).sample(np.array(box))
        search = SurrogateCMAES(max_evaluations=60, n_candidates=20, random_state=seed)
        ends.append(search.refine(monotone, design, box).fun)
    spread = np.median(monotone(np.random.default_rng(0).uniform(size=(500, n_features))))
    assert np.median(ends) < 1e-6 * spread


def test_steps_in_vain_do_not_slow_the_search_of_a_valley():
    problem = Rosenbrock(n_dims=4)
    ends = [
        SurrogateCMAES(max_evaluations=250, random_state=seed)
        .refine(problem, np.zeros((1, 4)), problem.bounds)
        .fun
        for seed in range(5)
    ]
    assert np.median(ends) < 1e-7


def test_a_region_is_left_where_rows_are_asked_for_in_batches():
    sizes = []

    def fun(X):
        sizes.append(len(X))
        return np.square(X - 0.4).sum(axis=1)

    search = SurrogateCMAES(max_evaluations=60, batch_size=4, random_state=0)
    search.refine(fun, np.full((1, 3), 0.5), [[0.0, 1.0]] * 3)
    assert np.mean(np.array(sizes[1:-1]) >= 4) > 0.8
