import math
import random

import numpy as np
import pytest
import torch
from discovery import public_estimators
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_proxyopt.samplers import (
    GaussianSampler,
    GridSampler,
    HaltonSampler,
    LatinHypercubeSampler,
    SobolSampler,
    SubsetSampler,
    UniformSampler,
)
from sklearn_proxyopt.samplers._grid import _levels

BOX = np.array([[-1.0, 1.0], [10.0, 30.0], [0.0, 1e-3]])
CLIPPED = GaussianSampler(outside="clip", spread=2.0)
SAMPLERS = [*public_estimators("samplers"), CLIPPED]
each_sampler = pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
RANDOM = [sampler for sampler in SAMPLERS if not isinstance(sampler, GridSampler)]


@parametrize_with_checks([CLIPPED])
def test_a_clipped_gaussian_follows_the_conventions_of_scikit_learn(estimator, check):
    check(estimator)


@each_sampler
def test_the_design_stays_inside_the_box(sampler):
    design = clone(sampler).set_params(random_state=0).sample(BOX)
    assert (design >= BOX[:, 0]).all()
    assert (design <= BOX[:, 1]).all()


@each_sampler
def test_the_same_seed_gives_the_same_design(sampler):
    first, second = (clone(sampler).set_params(random_state=4).sample(BOX) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("sampler", RANDOM, ids=repr)
def test_another_seed_gives_another_design(sampler):
    first, second = (clone(sampler).set_params(random_state=s).sample(BOX) for s in (1, 2))
    assert not np.array_equal(first, second)


@each_sampler
def test_no_global_generator_is_touched(sampler):
    before = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()
    clone(sampler).sample(BOX)
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])
    assert random.getstate() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])


@settings(max_examples=100, deadline=None)
@given(n_samples=st.integers(1, 300), n_features=st.integers(1, 8), index=st.integers(0, 4))
def test_any_number_of_points_in_any_dimension_is_had_without_duplicates(
    n_samples, n_features, index
):
    sampler = [UniformSampler, GridSampler, LatinHypercubeSampler, SobolSampler, HaltonSampler][
        index
    ]
    design = sampler(n_samples, random_state=0).sample([[0.0, 1.0]] * n_features)
    assert design.shape == (n_samples, n_features)
    assert len(np.unique(design, axis=0)) == n_samples


def test_a_grid_of_a_full_power_is_the_full_factorial():
    levels = np.linspace(-2.0, 2.0, 5)
    expected = np.array(np.meshgrid(levels, levels, levels, indexing="ij")).reshape(3, -1).T
    np.testing.assert_allclose(GridSampler(125).sample([[-2.0, 2.0]] * 3), expected)


def test_a_thinned_grid_keeps_to_equally_spaced_levels():
    design = GridSampler(90).sample([[0.0, 1.0]] * 2)
    assert [len(np.unique(column)) for column in design.T] == [10, 9]


@settings(max_examples=60, deadline=None)
@given(n_samples=st.integers(64, 1500), n_features=st.integers(2, 9))
def test_thinning_a_grid_ties_no_variable_to_another(n_samples, n_features):
    design = GridSampler(n_samples).sample([[0.0, 1.0]] * n_features)
    moving = design[:, np.ptp(design, axis=0) > 0]
    correlation = np.atleast_2d(np.corrcoef(moving.T)) - np.eye(moving.shape[1])
    assert np.abs(correlation).max() < 0.25


def test_thinning_a_grid_takes_about_as_many_points_from_each_level():
    design = GridSampler(95).sample([[0.0, 1.0]] * 2)
    counts = [np.unique(column, return_counts=True)[1] for column in design.T]
    assert all(9 <= count <= 10 for column in counts for count in column)


def test_a_grid_of_more_variables_than_an_array_has_dimensions_keeps_the_rest_in_the_middle():
    design = GridSampler(100).sample([[0.0, 1.0]] * 200)
    assert design.shape == (100, 200)
    np.testing.assert_array_equal(design[:, 7:], 0.5)


def test_more_points_than_any_grid_are_refused_at_once():
    with pytest.raises(
        ValueError, match="n_samples must be an integer from 1 to 1073741824; got 1"
    ):
        GridSampler(10**12).sample([[0.0, 1.0]] * 2)


@pytest.mark.parametrize("sampler", [UniformSampler, LatinHypercubeSampler, HaltonSampler])
def test_more_points_than_any_memory_are_refused_by_the_parameter(sampler):
    with pytest.raises(ValueError, match=r"n_samples must be at most .*; got 10000000000"):
        sampler(10**30).sample([[0.0, 1.0]] * 2)


@given(st.integers(1, 10**12), st.integers(1, 40))
def test_the_levels_of_a_grid_are_the_fewest_that_suffice(n_samples, n_features):
    levels = _levels(n_samples, n_features)
    assert max(levels) - min(levels) <= 1
    assert math.prod(levels) >= n_samples > (max(levels) - 1) ** n_features


def test_a_latin_hypercube_has_one_point_in_each_slice():
    design = LatinHypercubeSampler(50, random_state=1).sample([[0.0, 1.0]] * 4)
    for column in design.T:
        np.testing.assert_array_equal(np.sort((column * 50).astype(int)), np.arange(50))


def test_a_sobol_design_is_the_beginning_of_a_longer_one():
    short, long = (SobolSampler(n, random_state=3).sample(BOX) for n in (50, 60))
    np.testing.assert_array_equal(short, long[:50])


def test_a_gaussian_design_has_the_spread_asked_for():
    design = GaussianSampler(20_000, spread=[0.1, 0.2], random_state=0).sample([[-1, 1], [0, 10]])
    np.testing.assert_allclose(design.mean(axis=0), [0.0, 5.0], atol=0.03)
    np.testing.assert_allclose(design.std(axis=0), [0.1, 1.0], rtol=0.03)


def test_rejected_draws_do_not_pile_up_on_the_sides_and_clipped_ones_do():
    box = [[0.0, 1.0]]
    rejected = GaussianSampler(1000, center=[1.0], random_state=0).sample(box)
    clipped = GaussianSampler(1000, center=[1.0], outside="clip", random_state=0).sample(box)
    assert (rejected == 1.0).sum() == 0
    assert 400 < (clipped == 1.0).sum() < 600


def test_a_subset_is_part_of_the_design():
    dense = SobolSampler(200, random_state=7)
    sparse = SubsetSampler(dense, 0.25, random_state=1).sample(BOX)
    assert len(sparse) == 50
    rows = {row.tobytes() for row in dense.sample(BOX)}
    assert all(row.tobytes() in rows for row in sparse)


def test_fit_reads_the_box_that_sample_then_uses():
    X = np.array([[0.0, 5.0], [2.0, 7.0], [1.0, 6.0]])
    sampler = UniformSampler(500, random_state=0).fit(X)
    np.testing.assert_array_equal(sampler.bounds_, [[0.0, 2.0], [5.0, 7.0]])
    assert sampler.sample()[:, 1].min() >= 5.0


def test_select_picks_distinct_rows():
    X = np.random.default_rng(0).random((400, 3))
    rows = LatinHypercubeSampler(300, random_state=0).select(X)
    assert len(np.unique(rows)) == 300


def test_select_gives_each_design_point_the_nearest_row_still_free():
    rng = np.random.default_rng(2)
    X = rng.random((60, 2)) * [1.0, 100.0]
    box = np.array([[0.0, 1.0], [0.0, 100.0]])
    sampler = SobolSampler(40, random_state=5)
    scaled = X / [1.0, 100.0]
    free, expected = list(range(60)), []
    for point in sampler.sample(box) / [1.0, 100.0]:
        nearest = min(free, key=lambda row, point=point: np.linalg.norm(scaled[row] - point))
        expected.append(nearest)
        free.remove(nearest)
    np.testing.assert_array_equal(sampler.select(X, box), expected)


def test_select_keeps_to_the_order_of_the_design_where_many_points_want_the_same_rows():
    X = np.random.default_rng(4).random((600, 2))
    box = np.array([[0.0, 1.0], [0.0, 1.0]])
    sampler = GaussianSampler(300, center=[0.1, 0.1], spread=0.1, random_state=1)
    free, expected = np.arange(600), []
    for point in sampler.sample(box):
        nearest = ((X[free] - point) ** 2).sum(axis=1).argmin()
        expected.append(free[nearest])
        free = np.delete(free, nearest)
    np.testing.assert_array_equal(sampler.select(X, box), expected)


def test_select_takes_every_row_of_a_pool_of_the_same_size():
    X = np.random.default_rng(3).random((50, 2))
    assert set(SobolSampler(50, random_state=0).select(X)) == set(range(50))


def test_a_pool_smaller_than_the_design_is_refused_by_number():
    with pytest.raises(ValueError, match=r"n_samples must not exceed the 5 rows.*got 100"):
        SobolSampler(100, random_state=0).select(np.random.default_rng(0).random((5, 2)))


@pytest.mark.parametrize("n_samples", [0, -1, 2.5, True, "many"])
@pytest.mark.parametrize(
    "sampler", [s for s in SAMPLERS if "n_samples" in s.get_params()], ids=repr
)
def test_a_number_of_points_that_is_no_positive_integer_is_refused(sampler, n_samples):
    with pytest.raises(ValueError, match="n_samples must be an integer of at least 1; got"):
        clone(sampler).set_params(n_samples=n_samples).sample(BOX)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([[1.0, 0.0]], "reversed"),
        ([[1.0, 1.0]], "equal"),
        ([[0.0, np.inf]], "finite"),
        ([[0.0, np.nan]], "finite"),
        ([0.0, 1.0], "shape"),
        ([["a", "b"]], "numbers"),
    ],
)
def test_bounds_that_are_no_box_are_refused_by_name(bounds, message):
    with pytest.raises(ValueError, match=f"bounds must .*{message}|bounds must be {message}"):
        SobolSampler(4).sample(bounds)


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (GaussianSampler(center=[0.0]), r"center must have shape \(3,\)"),
        (GaussianSampler(center=[0.0, 0.0, 0.0]), "center must lie inside the box"),
        (GaussianSampler(center="middle"), r"center must be numbers of shape \(3,\)"),
        (GaussianSampler(center=[np.nan] * 3), "center must lie inside the box"),
        (GaussianSampler(spread={}), "spread must be a number or have shape"),
        (GaussianSampler(spread=-1.0), "spread must be positive"),
        (GaussianSampler(spread=[1.0, 2.0]), "spread must be a number or have shape"),
        (GaussianSampler(outside="wrap"), "outside must be one of 'reject', 'clip'"),
        (SubsetSampler(fraction=0.0), "fraction must be a finite number"),
        (SubsetSampler(SobolSampler), "sampler must be an instance"),
        (LatinHypercubeSampler(optimization="best"), "optimization must be one of"),
        (LatinHypercubeSampler(3, optimization="lloyd"), "more points than variables; got n_samp"),
        (SobolSampler(random_state="seed"), "random_state must be None"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(sampler, message):
    with pytest.raises(ValueError, match=message):
        sampler.sample(BOX)
