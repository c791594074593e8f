"""Samples as experiments: which are the same, and which count."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.optimize import LinearConstraint

from sklearn_proxyopt._utils._dataset import Dataset, are_new, is_among
from sklearn_proxyopt.variables import Variables


def test_few_samples_are_found_among_many_by_all_of_their_numbers():
    others = np.random.default_rng(0).integers(3, size=(500, 4)).astype(float)
    others[7], others[9, 0] = [-0.0, 5.0, 0.0, 1.0], np.nan
    X = np.array([[0.0, 5.0, -0.0, 1.0], [0.0, 5.0, 0.0, 2.0], others[9], others[9]])
    assert_array_equal(is_among(X, others), [True, False, True, True])
    assert_array_equal(is_among(X, others[10:]), [False, False, False, True])


def test_many_samples_are_found_as_few_are():
    rng = np.random.default_rng(0)
    X, others = (rng.integers(3, size=(size, 4)).astype(float) for size in (60, 30))
    expected = [
        (x == others).all(axis=1).any() or (x == X[:place]).all(axis=1).any()
        for place, x in enumerate(X)
    ]
    assert_array_equal(is_among(X, others), expected)


@pytest.mark.parametrize(
    ("values", "n_repeats", "expected"),
    [
        # Of the sample, 1 was told before.
        ([1.0], 0, [False]),
        ([1.0], 1, [True]),
        ([2.0], 1, [True]),
        ([1.0, 1.0], 0, [False, True]),
        ([1.0, 1.0], 1, [False, True]),
        ([1.0, 1.0], 2, [True, True]),
        ([1.0, 2.0], 1, [False, True]),
        ([1.0, 2.0], 2, [True, True]),
        ([1.0, np.nan], 1, [False, True]),
    ],
)
def test_a_sample_told_once_more_is_new_if_it_was_asked_for_once_more(values, n_repeats, expected):
    known = np.array([[0.5, 0.0, 1.0]])
    results = np.column_stack([np.tile(known[:, :2], (len(values), 1)), values])
    repeats = np.repeat(known[:, :2], n_repeats, axis=0)
    assert_array_equal(are_new(results, known, repeats), expected)


def test_what_was_asked_for_once_more_leaves_other_samples_as_they_are():
    known = np.array([[0.5, 1.0], [0.7, 2.0]])
    assert_array_equal(are_new(known, known, np.array([[0.7], [0.9]])), [False, True])


def test_a_value_takes_its_sample_off_the_failed_ones():
    X = np.arange(6.0).reshape(3, 2)
    data = Dataset.empty(2).told(X, np.full(3, np.nan)).told(X[[1]], np.ones(1))
    assert_array_equal(data.X_failed, X[[0, 2]])
    assert_array_equal(data.X, X[[1]])


def test_one_sample_that_counts_is_found_behind_many_that_do_not():
    constraint = LinearConstraint([[1.0, 1.0]], ub=0.5)
    space = Variables([(0.0, 1.0)] * 2, constraints=constraint)
    X = np.random.default_rng(0).uniform(0.5, 1.0, size=(5000, 2))
    assert not space.any_counts(X)
    X[-1] = 0.1
    assert space.any_counts(X)
