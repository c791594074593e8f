import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint

from sklearn_proxyopt.samplers import (
    GaussianSampler,
    GridSampler,
    LatinHypercubeSampler,
    SobolSampler,
    SubsetSampler,
)
from sklearn_proxyopt.variables import (
    Categorical,
    Integer,
    NamedFunction,
    Ordinal,
    Periodic,
    Real,
    Variables,
)
from sklearn_proxyopt.variables._design import Design
from sklearn_proxyopt.variables._frames import rows_of_frame

NAMES = ["pressure", "stages", "fluid", "flow"]
BOUNDS = {
    "pressure": (0.0, 10.0),
    "stages": Integer(1, 8),
    "fluid": ["R32", "R290", "R1234yf"],
    "flow": Real(0.1, 1000.0, log=True),
}
BUDGET = LinearConstraint([[1, 1, 0, 0]], -np.inf, 12.0)
DISK = NonlinearConstraint(lambda x: x @ x, -np.inf, 1.0)


def plant(constraints=(), **changes):
    return Variables({**BOUNDS, **changes}, constraints=constraints)


def some_rows(variables, n_rows=200, seed=0):
    u = np.random.default_rng(seed).random((n_rows, variables.n_axes))
    return variables.from_unit_cube(u)


def test_decoded_rows_are_whole_coded_and_inside_the_box():
    X = some_rows(plant())
    assert set(X[:, 1]) == set(range(1, 9))
    assert set(X[:, 2]) == {0.0, 1.0, 2.0}
    assert (X[:, 3] >= 0.1).all()
    assert (X[:, 3] <= 1000.0).all()
    assert plant().is_feasible(X).all()


def test_every_whole_number_and_category_has_a_cell_of_the_same_size():
    u = np.linspace(0.0, 1.0, 2401)[:, None] * np.ones(4)
    X = plant().from_unit_cube(u)
    counts = np.unique(X[:, 1], return_counts=True)[1]
    assert np.ptp(counts) <= 2
    assert np.ptp(np.unique(X[:, 2], return_counts=True)[1]) <= 2


def test_the_corners_of_the_unit_cube_are_the_bounds_to_the_last_bit():
    X = plant().from_unit_cube(np.array([[0.0] * 4, [1.0] * 4]))
    np.testing.assert_array_equal(X, [[0.0, 1.0, 0.0, 0.1], [10.0, 8.0, 2.0, 1000.0]])


def test_rows_come_back_from_the_unit_cube():
    variables = plant()
    X = some_rows(variables)
    np.testing.assert_allclose(variables.from_unit_cube(variables.to_unit_cube(X)), X, rtol=1e-13)


def test_a_log_scaled_variable_is_uniform_in_its_logarithm():
    variables = Variables([Real(1.0, 100.0, log=True)])
    np.testing.assert_allclose(variables.from_unit_cube(np.array([[0.5]])), [[10.0]])


def test_a_log_scaled_whole_number_stays_whole():
    variables = Variables([Integer(1, 1000, log=True)])
    X = some_rows(variables)
    np.testing.assert_array_equal(X, np.rint(X))
    assert 10 < np.median(X) < 100


def test_a_proxy_learns_indicators_of_categories_behind_the_other_axes():
    variables = plant()
    Z = variables.features(np.array([[3.0, 4.0, 1.0, np.e]]))
    np.testing.assert_allclose(Z, [[3.0, 4.0, 1.0, 0.0, 1.0, 0.0]])
    names = variables.names_of_features(np.array(NAMES, dtype=object))
    assert names.tolist() == [
        "pressure", "stages", "flow", "fluid_R32", "fluid_R290", "fluid_R1234yf",
    ]  # fmt: skip
    assert variables.feature_bounds.shape == (6, 2)


def test_a_plain_space_leaves_rows_as_they_are():
    variables = Variables(Bounds([0, 1], [1, 5]))
    X = some_rows(variables)
    assert variables.is_continuous_box
    assert variables.features(X) is X
    np.testing.assert_array_equal(variables.snap(X), X)


@pytest.mark.parametrize(
    "kind",
    [
        Integer(1, 9),
        Categorical([7, 8]),
        Ordinal([7, 8]),
        Periodic(1, 9),
        Real(1, 9, log=True),
        Real(1, 9, step=2),
        Real(1, 1),
    ],
)
def test_a_space_with_kinds_is_not_plain(kind):
    assert not Variables([(0, 1), kind]).is_continuous_box


def test_a_space_with_constraints_is_not_plain():
    assert not Variables([(0, 1)], constraints=DISK).is_continuous_box


def test_decimals_alone_leave_a_space_plain():
    assert Variables([Real(0, 1, decimals=2)]).is_continuous_box


# Feasible rows.


def test_a_feasible_row_is_valid_and_meets_every_constraint():
    rows = np.array(
        [
            [4.0, 8.0, 0.0, 1.0],
            [4.1, 8.0, 0.0, 1.0],
            [4.0, 7.5, 0.0, 1.0],
            [4.0, 8.0, 3.0, 1.0],
            [4.0, 8.0, 0.0, 1001.0],
        ]
    )
    found = plant(constraints=BUDGET).is_feasible(rows)
    assert found.tolist() == [True, False, False, False, False]


@pytest.mark.parametrize("n_features", [3, 6, 10])
def test_whether_a_row_at_the_limit_is_feasible_does_not_depend_on_the_rows_beside_it(n_features):
    rng = np.random.default_rng(0)
    matrix, X = rng.uniform(0.1, 1.0, (3, n_features)), rng.random((500, n_features))
    X /= (X @ matrix[0])[:, None]
    limits = LinearConstraint(matrix, ub=[1.0, np.inf, np.inf])
    variables = Variables([(0, 50)] * n_features, constraints=limits)
    alone = np.concatenate([variables.is_feasible(x[None]) for x in X])
    assert 0 < alone.sum() < len(X)
    np.testing.assert_array_equal(variables.is_feasible(X), alone)
    np.testing.assert_array_equal(variables.is_feasible(np.asfortranarray(X)), alone)


def test_snapping_leaves_feasible_rows_and_is_the_same_when_repeated():
    variables = plant(constraints=BUDGET)
    X = some_rows(variables)
    snapped = variables.snap(X)
    feasible = variables.is_feasible(X)
    assert 0 < feasible.sum() < len(X)
    np.testing.assert_array_equal(snapped[feasible], X[feasible])
    assert variables.is_feasible(snapped).all()
    np.testing.assert_array_equal(variables.snap(snapped), snapped)


def test_the_nearest_point_of_a_disk_lies_on_its_ray():
    variables = Variables([(-2, 2)] * 2, constraints=DISK)
    snapped = variables.snap([[1.5, 2.0], [0.1, 0.2]])
    np.testing.assert_allclose(snapped, [[0.6, 0.8], [0.1, 0.2]], atol=1e-4)


def test_equations_between_whole_numbers_are_met_exactly():
    equations = LinearConstraint([[1, 1, 1, 1], [1, -2, 0, 0]], [7, 0], [7, 0])
    variables = Variables([Integer(0, 10)] * 4, constraints=equations)
    snapped = variables.snap(some_rows(variables, 50))
    np.testing.assert_array_equal(snapped.sum(axis=1), 7.0)
    np.testing.assert_array_equal(snapped[:, 0], 2 * snapped[:, 1])


def test_a_curved_equation_is_met_to_eight_digits():
    sphere = NonlinearConstraint(lambda x: x @ x, 1.0, 1.0)
    variables = Variables([(-2, 2)] * 3, constraints=sphere)
    snapped = variables.snap(some_rows(variables, 50))
    np.testing.assert_allclose(np.square(snapped).sum(axis=1), 1.0, atol=1e-6)
    assert variables.is_feasible(snapped).all()


def test_whole_numbers_are_moved_where_no_continuous_variable_can_help():
    both = [NonlinearConstraint(lambda x: x[0] * x[1], 20.0, 24.0)]
    variables = Variables([Integer(0, 9)] * 2, constraints=both)
    snapped = variables.snap(some_rows(variables))
    assert variables.is_feasible(snapped).mean() > 0.9


def test_a_row_without_a_feasible_one_stays_valid():
    nothing = NonlinearConstraint(lambda x: x @ x, 9.0, 10.0)
    variables = Variables([(-1, 1)] * 2, constraints=nothing)
    X = some_rows(variables, 3)
    np.testing.assert_array_equal(variables.snap(X), X)
    assert not variables.is_feasible(X).any()


def test_slopes_given_with_a_constraint_are_used():
    asked = []

    def jac(x):
        asked.append(x)
        return 2 * x

    disk = NonlinearConstraint(lambda x: x @ x, -np.inf, 1.0, jac=jac)
    variables = Variables([(-2, 2)] * 2, constraints=[disk])
    np.testing.assert_allclose(variables.snap([[1.5, 2.0]]), [[0.6, 0.8]], atol=1e-4)
    assert asked


def test_constraints_see_valid_rows_only():
    seen = []

    def fun(x):
        seen.append(x.copy())
        return x[0] + x[1]

    variables = Variables(
        [(0, 10), Integer(1, 8)], constraints=NonlinearConstraint(fun, -np.inf, 9.0)
    )
    variables.snap(some_rows(variables))
    column = np.array(seen)[:, 1]
    np.testing.assert_array_equal(column, np.rint(column))


def raises_beyond_half(x):
    return math.sqrt(0.5 - x[0])


def says_none_beyond_half(x):
    return None if x[0] > 0.5 else 0.1


def says_one_number_beyond_half(x):
    return np.nan if x[0] > 0.5 else [0.1, 0.2]


@pytest.mark.parametrize(
    "fun", [raises_beyond_half, says_none_beyond_half, says_one_number_beyond_half]
)
def test_a_row_at_which_a_constraint_does_not_answer_misses_it(fun):
    variables = Variables([(0, 1)] * 2, constraints=NonlinearConstraint(fun, 0.0, 1.0))
    rows = np.array([[0.2, 0.2], [0.6, 0.2]])
    assert variables.is_feasible(rows).tolist() == [True, False]
    assert len(Design(SobolSampler(16, random_state=0), variables).sample()) == 16


def test_slopes_that_are_not_known_at_a_row_are_flat_there():
    def jac(x):
        return [[-0.5 / math.sqrt(0.5 - x[0]), 0.0]]

    root = NonlinearConstraint(raises_beyond_half, 0.1, 1.0, jac=jac)
    constraints = Variables([(0, 1)] * 2, constraints=root).constraints
    box, is_free = np.array([[0.0, 1.0]] * 2), np.array([True, True])
    rows = np.array([[0.495, 0.2], [0.6, 0.2]])
    _, gradient = constraints.penalty_and_grad(rows, box, is_free)
    assert gradient[0, 0] > 0.0
    np.testing.assert_array_equal(gradient[1], 0.0)


def test_constraints_are_not_asked_about_unknown_numbers_where_one_does_not_answer():
    seen = []

    def fun(x):
        seen.append(x)
        return raises_beyond_half(x)

    both = [NonlinearConstraint(fun, -np.inf, 0.5), LinearConstraint([[1, 1]], ub=0.7)]
    Variables([(0, 1)] * 2, constraints=both).snap(np.random.default_rng(0).random((50, 2)))
    assert np.isfinite(seen).all()


KINDS = {
    "plain": (-1, 1),
    "integer": Integer(1, 6),
    "steps": Real(-0.3, 0.9, step=0.1),
    "category": ["a", "b", "c"],
    "ordered": Ordinal([1, 2, 4, 8]),
    "log": Real(0.01, 5.0, log=True),
    "circle": Periodic(-180, 180),
    "fixed": 0.7,
}


# The limits of this space are met where a circle ends, which is where it begins.
@example(kinds=["circle", "circle"], limit=0.5, seed=288)
@settings(max_examples=40, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=4),
    limit=st.floats(0.5, 0.9),
    seed=st.integers(0, 2**16),
)
def test_designs_of_any_space_are_valid_feasible_and_distinct(kinds, limit, seed):
    bounds = [(2.0, 3.0), *(KINDS[kind] for kind in kinds)]
    box = Variables(bounds).valid_bounds
    weights = np.random.default_rng(seed).uniform(-1.0, 1.0, len(bounds))
    ends = np.sort(weights * box.T, axis=0).sum(axis=1)
    limit = LinearConstraint(weights, -np.inf, ends[0] + limit * (ends[1] - ends[0]))
    variables = Variables(bounds, constraints=limit)
    rows = Design(SobolSampler(40, random_state=seed), variables).sample()
    assert variables.is_feasible(rows).all()
    assert len(np.unique(rows, axis=0)) == len(rows)
    assert len(rows) == 40
    snapped = variables.snap(some_rows(variables, 10, seed))
    assert variables.is_feasible(snapped).all()


# Designs.


@pytest.mark.parametrize(
    "sampler",
    [
        LatinHypercubeSampler(100, random_state=0),
        GridSampler(100),
        SubsetSampler(SobolSampler(200), 0.5, random_state=0),
        GaussianSampler(100, center=[2.0, 4.0, 1.0, 10.0], random_state=0),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_a_design_has_as_many_feasible_rows_as_asked(sampler):
    variables = plant(constraints=BUDGET)
    rows = Design(sampler, variables).sample()
    assert rows.shape == (100, 4)
    assert variables.is_feasible(rows).all()
    assert len(np.unique(rows, axis=0)) == 100


def test_the_center_of_a_gaussian_design_is_in_the_units_of_the_user():
    sampler = GaussianSampler(400, center=[30.0], spread=0.1, random_state=0)
    rows = Design(sampler, Variables([Real(1, 1000, log=True)])).sample()
    assert 20 < np.median(rows) < 45


@pytest.mark.parametrize("n_features", [10, 20])
def test_a_thin_polytope_is_filled(n_features):
    matrix = np.vstack([np.ones(n_features), np.eye(n_features)[0] - np.eye(n_features)[1]])
    thin = LinearConstraint(matrix, [-np.inf, -1e-3], [1.0, 1e-3])
    variables = Variables([(0, 1)] * n_features, constraints=thin)
    rows = Design(SobolSampler(128, random_state=0), variables).sample()
    assert variables.is_feasible(rows).all()
    assert len(np.unique(rows, axis=0)) == 128
    # The mean of the simplex is 1 / (n + 1) in each variable.
    np.testing.assert_allclose(rows.mean(axis=0)[2:], 1.0 / n_features, rtol=0.5)


def test_a_thin_shell_is_filled_on_all_sides():
    shell = NonlinearConstraint(lambda x: x @ x, 0.999, 1.0)
    variables = Variables([(-1.5, 1.5)] * 3, constraints=shell)
    rows = Design(SobolSampler(64, random_state=0), variables).sample()
    assert rows.shape == (64, 3)
    assert variables.is_feasible(rows).all()
    assert (np.abs(rows.mean(axis=0)) < 0.3).all()


def test_rows_on_a_plane_are_all_different():
    plane = LinearConstraint([[1, 1, 1]], 1.0, 1.0)
    rows = Design(
        SobolSampler(64, random_state=0), Variables([(0, 1)] * 3, constraints=plane)
    ).sample()
    np.testing.assert_allclose(rows.sum(axis=1), 1.0)
    assert len(np.unique(rows, axis=0)) > 50


def test_a_space_of_fewer_rows_than_asked_gives_all_of_them():
    rows = Design(SobolSampler(64, random_state=0), Variables([Integer(0, 4)] * 2)).sample()
    assert len(np.unique(rows, axis=0)) == len(rows) == 25


def test_the_same_seed_draws_the_same_design():
    def draw():
        return Design(SobolSampler(64, random_state=3), plant(constraints=BUDGET)).sample()

    np.testing.assert_array_equal(draw(), draw())


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (LinearConstraint([[1, 1]], 3.0, np.inf), "got linear ones that no sample meets together"),
        (
            NonlinearConstraint(lambda x: x @ x, 5.0, 9.0),
            "at least two feasible samples inside bounds",
        ),
    ],
)
def test_an_empty_region_is_refused(constraint, message):
    with pytest.raises(ValueError, match=f"constraints must leave .*{message}"):
        Design(SobolSampler(64), Variables([(0, 1)] * 2, constraints=constraint)).sample()


# Names and labels.


def test_rows_are_shown_with_their_names_and_labels():
    frame = plant().to_frame(np.array([[3.2, 4.0, 1.0, 7.0]]))
    assert frame.to_dict("records") == [
        {"pressure": 3.2, "stages": 4, "fluid": "R290", "flow": 7.0}
    ]
    assert frame["stages"].dtype.kind == "i"


def test_labels_of_a_frame_become_codes_and_back():
    variables = plant()
    X = some_rows(variables, 20)
    np.testing.assert_array_equal(rows_of_frame(variables.to_frame(X), variables.kinds), X)


def test_an_unknown_label_is_named():
    frame = pd.DataFrame([[1.0, 2, "R22", 3.0]], columns=NAMES)
    with pytest.raises(ValueError, match=r"X must hold labels of 'fluid'.*got 'R22'"):
        rows_of_frame(frame, plant().kinds)


def test_a_function_of_a_frame_gets_labels():
    seen = []
    function = NamedFunction(
        lambda frame: seen.append(frame) or np.zeros(len(frame)), plant(), vectorized=True
    )
    function(np.array([[3.2, 4.0, 1.0, 7.0]]))
    assert seen[0]["fluid"].tolist() == ["R290"]


def test_a_function_of_a_frame_may_return_values_in_another_order():
    X = some_rows(plant(), 6)
    function = NamedFunction(lambda frame: frame["flow"].sort_values(), plant(), vectorized=True)
    np.testing.assert_array_equal(function(X), X[:, 3])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([3.0, 2.5, 0.0, 1.0], "X must hold integers in 'stages'; got 2.5"),
        ([3.0, 2.0, 3.0, 1.0], "X must hold codes from 0 to 2 of the labels of 'fluid'; got 3.0"),
        ([3.0, 2.0, 0.0, 0.0], "X must hold values above 0 in the log-scaled 'flow'; got 0.0"),
    ],
)
def test_rows_that_cannot_be_are_named(row, message):
    with pytest.raises(ValueError, match=message):
        plant().kinds.check_rows(np.array([row]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"constraints": [1]}, "constraints must be scipy.optimize.LinearConstraint"),
        (
            {"constraints": LinearConstraint([[1, 1]])},
            r"constraints\[0\] must have a finite column",
        ),
        (
            {"constraints": NonlinearConstraint(lambda x: x[9], 0, 1)},
            r"constraints\[0\] must be a function of one sample of shape \(4,\).*; got IndexError",
        ),
        (
            {"constraints": NonlinearConstraint(lambda x: None, 0, 1)},
            r"constraints\[0\] must be a function .*; got None at every sample of 256\.",
        ),
        (
            {"constraints": NonlinearConstraint(lambda x: [[x[0]]], 0, 1)},
            r"constraints\[0\] must be a function .*; got shape \(1, 1\) at every sample of 256\.",
        ),
        (
            {"constraints": [BUDGET, NonlinearConstraint(lambda x: x, [0, 0], [1, 1])]},
            r"constraints\[1\] must have a lower limit .* each of its 4 values",
        ),
        (
            {"constraints": NonlinearConstraint(lambda x: x @ x, 0, 1, jac=lambda x: x[9])},
            r"constraints\[0\] must have a jac that returns shape \(1, 4\); got IndexError",
        ),
        (
            {"constraints": NonlinearConstraint(lambda x: x @ x, 0, 1, jac=lambda x: x[:3])},
            r"constraints\[0\] must have a jac that returns shape \(1, 4\); got shape \(3,\) at",
        ),
        (
            {"constraints": [BUDGET, LinearConstraint([[1, 0, 0, 0]], 2, 1)]},
            r"constraints\[1\] must have a lower limit at or below",
        ),
    ],
)
def test_what_is_wrong_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        plant(**changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Real(2, 1), r"high of a Real must not lie below low; got Real\(low=2, high=1"),
        (lambda: Real(0, np.inf), "high of a Real must be a finite number"),
        (lambda: Real("a", 1), "low of a Real must be a finite number"),
        (lambda: Real(0, 1, log=True), "low must lie above 0 with log=True"),
        (lambda: Real(1, 2, log="yes"), "log must be one of True, False"),
        (lambda: Real(0, 1, step=0), "step must be a finite number in"),
        (lambda: Real(0, 1, decimals=-1), "decimals must be an integer from 0 to 15"),
        (lambda: Integer(0.5, 3), "low and high of an Integer must be integers"),
        (lambda: Integer(0, 9, step=0.5), "step must be an integer"),
        (lambda: Integer(0, 9, log=True), "low must lie above 0 with log=True"),
        (lambda: Categorical("R32"), "labels of a Categorical must be a list of different labels"),
        (lambda: Categorical(["a", "a"]), "labels of a Categorical must be a list of different"),
        (lambda: Categorical([["a"]]), "labels of a Categorical must be hashable"),
        (lambda: Ordinal([]), "labels of an Ordinal must be a list of different labels"),
        (lambda: Periodic(3, 3), "high of a Periodic must lie above low"),
    ],
)
def test_a_kind_that_cannot_be_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"a": [1, 2, 3]}, r"pair of numbers .* for 'a'; got .*Categorical\(.*Ordinal\("),
        ([(0, 1), [1, 2, 3]], r"pair of numbers .* for variable 1; .*Categorical\(.*Ordinal\("),
        ({"a": (0, None)}, r"pair of numbers \(low, high\) for 'a'; got \[0, None\]"),
        ([(0, 1), (0, "THF")], r"pair of numbers \(low, high\) for variable 1; got \[0, 'THF'\]"),
        ({"a": (0, 1), "b": (2, 1)}, r"bounds must hold a box; for 'b', high of a Real must not"),
        ({"a": ["x", ["y"]]}, "bounds must hold a pair or labels; for 'a', labels of a"),
        ({"a": None}, "bounds must be a pair of numbers for 'a', a list of labels"),
        ({"a": 7, "b": "THF"}, "bounds must leave at least one variable with more than one value"),
        ({}, "bounds must have names of variables as its keys"),
        ({0: (0, 1)}, "bounds must have names of variables as its keys"),
        ([(0, 1), (2, 1)], r"bounds must have each lower bound below.*reversed pair \[2"),
        (7, r"bounds must have shape \(n_features, 2\)"),
    ],
)
def test_wrong_bounds_are_named(bounds, message):
    with pytest.raises(ValueError, match=message):
        Variables(bounds)


def test_linear_inequalities_of_straight_axes_are_known_on_the_axes():
    variables = Variables(
        {"a": (0, 10), "b": Real(1, 100, log=True), "c": Integer(0, 5), "d": (3, 3)},
        constraints=[
            LinearConstraint([[1, 0, 2, 1]], ub=12),
            LinearConstraint([[1, 1, 0, 0]], ub=50),
            LinearConstraint([[1, 0, 1, 0]], 4, 4),
        ],
    )
    limits = variables.limits_on_axes
    assert_allclose(limits.A, [[1, 0, 2]])
    assert_allclose(limits.ub, [9], atol=1e-6)
    assert limits.lb == -np.inf


def test_without_linear_inequalities_nothing_is_known_on_the_axes():
    assert plant().limits_on_axes is None
    equation = LinearConstraint([[1, 1]], 1, 1)
    assert Variables([(0, 1)] * 2, constraints=equation).limits_on_axes is None


# All settings.


def test_a_setting_that_is_left_is_found_without_looking_at_all_of_them():
    seen = []

    def limit(x):
        seen.append(x)
        return x[0] - x[1]

    variables = Variables(
        [Integer(0, 199), Integer(0, 199)], constraints=NonlinearConstraint(limit, -np.inf, 50.0)
    )
    known, n_before = np.array([[0.0, 0.0], [1.0, 0.0]]), len(seen)
    assert variables.n_exhausted(known) == 0
    assert len(seen) - n_before < 5000


def test_all_settings_are_known_where_the_others_are_not_feasible():
    limit = LinearConstraint([[1.0, 1.0]], ub=1.0)
    variables = Variables([Integer(0, 3), Integer(0, 3)], constraints=limit)
    assert variables.n_exhausted(variables.all_settings()) == 3
    assert variables.n_exhausted(np.array([[0.0, 0.0], [1.0, 0.0], [3.0, 3.0]])) == 0
