"""Of many rows a search looks at those nearby, and finds the same as by a look at all."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist
from scipy.stats import special_ortho_group

from sklearn_proxyopt._utils._distances import along_farthest_axis, smallest
from sklearn_proxyopt.refine._descent import _shortest
from sklearn_proxyopt.refine._growing_tree import GrowingTree
from sklearn_proxyopt.refine._ledger import Ledger
from sklearn_proxyopt.refine._trust_region import TrustRegion

RNG = np.random.default_rng(0)
TURN = special_ortho_group.rvs(3, random_state=0)


@pytest.mark.parametrize("scales", [[1.0, 1.0, 1.0], [1.0, 30.0, 1000.0], [1e8, 1e9, 1e8]])
def test_the_nearest_of_points_that_become_more_are_found_in_skewed_coordinates(scales):
    points, centers = RNG.uniform(size=(6000, 3)), RNG.uniform(size=(20, 3))
    tree, whitening = GrowingTree(), TURN * scales
    for n_points in (10, 900, 3000, 3100, 6000):
        expected = cdist(centers @ whitening, points[:n_points] @ whitening).min(axis=1)
        assert_allclose(tree.nearest(points[:n_points], centers, whitening), expected, rtol=1e-5)


def test_failures_are_told_from_many_rows_as_from_all_of_them():
    ledger = Ledger(np.array([[0.0, 1.0]] * 3))
    X = RNG.uniform(size=(5000, 3))
    ledger.note(X, np.where(X[:, 0] > 0.5, np.nan, X.sum(axis=1)))
    points = RNG.uniform(size=(50, 3))
    fails = ledger.is_near_failure(points, TURN)
    nearest = X[cdist(points, X).argmin(axis=1)]
    assert_array_equal(fails, nearest[:, 0] > 0.5)


@pytest.mark.parametrize("n_rows", [30, 5000])
def test_the_shortest_vectors_come_in_order_and_equal_ones_as_they_stand(n_rows):
    vectors = np.round(RNG.uniform(-1, 1, size=(n_rows, 3)), 1)
    order = np.argsort(np.square(vectors).sum(axis=1), kind="stable")
    assert_array_equal(_shortest(vectors, 20), order[:20])


def test_the_smallest_values_come_in_order_and_equal_ones_as_they_stand():
    values = RNG.integers(5, size=200).astype(float)
    values[:20] = np.inf
    for n in (1, 10, 190, 300):
        assert_array_equal(smallest(values, n), np.argsort(values, kind="stable")[:n])


def test_the_farthest_axis_counts():
    points = RNG.uniform(size=(40, 3))
    expected = np.abs(points - points[3]).max(axis=1)
    assert_array_equal(along_farthest_axis(points, points[3]), expected)


def test_a_region_steps_alike_with_and_without_rows_far_away():
    def fun(X):
        return np.square(X - 0.43).sum(axis=1) + X[:, 0] * X[:, 1]

    near, far = RNG.uniform(0.4, 0.5, size=(200, 3)), RNG.uniform(0.7, 1.0, size=(5000, 3))
    steps = []
    for X in (near, np.vstack([near, far])):
        ledger = Ledger(np.array([[0.0, 1.0]] * 3))
        ledger.note(X, fun(X))
        region = TrustRegion(ledger, 0.01)
        for _ in range(4):
            before = ledger.lowest
            step = region.next(ledger.lowest_point, np.ones(len(ledger.points), dtype=bool))
            value = fun(step.point[None])
            ledger.note(step.point[None], value)
            region.learn(step, before - value[0])
        steps.append(ledger.points[len(X) :])
    assert_array_equal(*steps)
