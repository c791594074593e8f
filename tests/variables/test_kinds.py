"""Steps, orders, circles and fixed values: their rows, axes and what a proxy learns of them."""

import re

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, NonlinearConstraint

from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import (
    Categorical,
    Integer,
    Ordinal,
    Periodic,
    Real,
    Variables,
)
from sklearn_proxyopt.variables._design import Design
from sklearn_proxyopt.variables._kinds import kinds_of_facts

SPACE = {
    "temperature": (40.0, 120.0),
    "batch": 7,
    "stirrer": Integer(100, 800, step=50),
    "angle": Periodic(-180, 180),
    "size": Ordinal(["S", "M", "L"]),
    "solvent": ["THF", "MeCN"],
    "operator": "Ann",
    "dose": Real(1e-4, 1e-1, log=True),
    "acid": Real(0.1, 0.9, step=0.1),
}


def some_rows(variables, n_rows=300, seed=0):
    u = np.random.default_rng(seed).random((n_rows, variables.n_axes))
    return variables.from_unit_cube(u)


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ((1, 2), Real(1, 2)),
        ([1, 2], Real(1, 2)),
        (np.array([1.0, 2.0]), Real(1, 2)),
        (["a"], Categorical(["a"])),
        (("a", "b"), Categorical(["a", "b"])),
        ([True, False], Categorical([True, False])),
        ("a", Categorical(["a"])),
        (True, Categorical([True])),
        (7, Integer(7, 7)),
        (np.int64(7), Integer(7, 7)),
        (7.5, Real(7.5, 7.5)),
        ((3, 3), Real(3, 3)),
        (Integer(1, 2), Integer(1, 2)),
    ],
    ids=repr,
)
def test_what_is_stated_of_a_variable_is_read(item, kind):
    assert Variables({"a": item, "b": (0, 1)}).kinds.domains[0] == kind
    assert Variables([item, Real(0, 1)]).kinds.domains[0] == kind


# Steps.


def test_rows_hold_the_steps_that_a_user_would_type():
    X = some_rows(Variables([Real(-0.3, 0.9, step=0.1)]))
    assert set(X[:, 0]) == {round(0.1 * k, 1) + 0.0 for k in range(-3, 10)}


def test_steps_are_counted_from_the_lower_bound_and_end_inside_the_upper_one():
    X = some_rows(Variables([Integer(5, 23, step=5), Real(0.25, 2.0, step=0.5)]))
    assert set(X[:, 0]) == {5.0, 10.0, 15.0, 20.0}
    assert set(X[:, 1]) == {0.25, 0.75, 1.25, 1.75}


def test_every_step_has_a_cell_of_the_same_size():
    u = np.linspace(0.0, 1.0, 1201)[:, None]
    for kind in (Integer(5, 23, step=5), Real(0.25, 2.0, step=0.5)):
        counts = np.unique(Variables([kind]).from_unit_cube(u), return_counts=True)[1]
        assert np.ptp(counts) <= 2


def test_steps_on_a_logarithmic_axis_stay_above_zero():
    X = some_rows(Variables([Real(0.1, 5.0, step=0.7, log=True)]))
    np.testing.assert_allclose(np.unique(X), 0.1 + 0.7 * np.arange(8))


def test_neighbors_are_one_step_away():
    variables = Variables([Integer(100, 800, step=50), Real(0.0, 1.0, step=0.1)])
    neighbors = variables.neighbors(np.array([100.0, 0.3]))
    np.testing.assert_array_equal(neighbors, [[150.0, 0.3], [100.0, 0.2], [100.0, 0.4]])


def test_equations_between_steps_are_met():
    equation = LinearConstraint([[1, 1, 2]], 7.25, 7.25)
    space = [Real(0.25, 5.0, step=0.5), Integer(0, 9, step=3), Real(0, 2, step=0.5)]
    variables = Variables(space, constraints=equation)
    snapped = variables.snap(some_rows(variables, 40))
    assert variables.is_feasible(snapped).all()
    np.testing.assert_allclose(snapped @ [1, 1, 2], 7.25)


def test_a_space_of_steps_and_labels_is_counted_out():
    space = [Real(0, 1, step=0.5), Ordinal(["S", "M", "L"]), "Ann", Integer(0, 8, step=4)]
    rows = Design(SobolSampler(64, random_state=0), Variables(space)).sample()
    assert len(rows) == len(np.unique(rows, axis=0)) == 27


# Orders.


def test_neighbors_of_an_ordered_label_are_those_beside_it():
    variables = Variables([Ordinal(["S", "M", "L", "XL"]), Categorical(["a", "b", "c"])])
    neighbors = variables.neighbors(np.array([0.0, 0.0]))
    np.testing.assert_array_equal(neighbors, [[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])


def test_a_proxy_learns_the_code_of_an_ordered_label_on_one_axis():
    variables = Variables({"size": Ordinal([0.8, 1.0, 1.6])})
    np.testing.assert_array_equal(variables.features(np.array([[2.0]])), [[2.0]])
    assert variables.named(np.array([2.0])) == {"size": 1.6}


# Circles.


def test_a_proxy_learns_sine_and_cosine_of_a_circle():
    variables = Variables({"dose": (0, 1), "angle": Periodic(-180, 180)})
    features = variables.features(np.array([[0.2, -180.0], [0.2, -90.0], [0.2, 0.0]]))
    np.testing.assert_allclose(features, [[0.2, 0, 1], [0.2, 1, 0], [0.2, 0, -1]], atol=1e-15)
    names = variables.names_of_features(np.array(["dose", "angle"], dtype=object))
    assert names.tolist() == ["dose", "angle_sin", "angle_cos"]
    assert (features >= variables.feature_bounds[:, 0] - 1e-15).all()


def test_both_ends_of_a_circle_are_one_setting():
    variables = Variables([Periodic(0, 360), (0, 1)])
    X = np.array([[360.0, 0.5], [370.0, 0.5], [-1e-14, 0.5]])
    np.testing.assert_array_equal(variables.snap(X), [[0.0, 0.5], [10.0, 0.5], [0.0, 0.5]])
    assert variables.is_feasible(X).all()
    np.testing.assert_allclose(variables.features(X[:1]), variables.features(X[:1] - [360, 0]))


def test_distances_are_those_around_the_circle():
    variables = Variables([Periodic(0, 360), (0, 1)])
    one, other, far = variables.places(np.array([[359.0, 0.5], [2.0, 0.5], [180.0, 0.5]]))
    assert np.linalg.norm(one - other) == pytest.approx(3.0 / 360.0, rel=1e-3)
    assert np.linalg.norm(one - far) > 0.3


def test_a_circle_is_cut_open_opposite_to_a_row():
    variables = Variables([Periodic(0, 360), (0, 1)])
    opened = variables.opened_at(np.array([350.0, 0.2]))
    U = opened.to_unit_cube(np.array([[350.0, 0.2], [20.0, 0.2], [171.0, 0.2]]))
    np.testing.assert_allclose(U[:, 0], [0.5, 0.5 + 30 / 360, 0.5 - 179 / 360])
    X = some_rows(opened)
    assert ((X[:, 0] >= 0.0) & (X[:, 0] < 360.0)).all()
    np.testing.assert_allclose(opened.from_unit_cube(opened.to_unit_cube(X)), X, rtol=1e-12)


@pytest.mark.parametrize("kind", [Periodic(0, 360), Categorical(["a", "b"])])
def test_no_rows_have_as_many_features_as_any(kind):
    variables = Variables([(0, 1), kind])
    assert variables.features(np.empty((0, 2))).shape == (0, 3)


def test_variables_without_circles_are_not_opened():
    variables = Variables([(0, 1), Integer(0, 3)])
    assert variables.opened_at(np.array([0.2, 1.0])) is variables


# Fixed values.


def test_what_is_fixed_has_no_axis_and_no_feature_and_is_in_every_row():
    variables = Variables(SPACE)
    X = some_rows(variables)
    assert variables.axes.shape == (7, 2)
    # Five on axes of their own, two of the circle, two labels.
    assert variables.features(X).shape == (300, 5 + 2 + 2)
    np.testing.assert_array_equal(X[:, [1, 6]], np.tile([7.0, 0.0], (300, 1)))
    named = variables.named(X[0])
    assert list(named) == list(SPACE)
    assert (named["batch"], named["operator"]) == (7, "Ann")


def test_rows_come_back_from_the_axes():
    variables = Variables(SPACE)
    X = some_rows(variables)
    assert variables.is_feasible(X).all()
    np.testing.assert_allclose(variables.decode(variables.encode(X)), X, rtol=1e-12)
    np.testing.assert_array_equal(variables.snap(X), X)


@pytest.mark.parametrize(
    "constraint",
    [
        LinearConstraint([[1 / 80, 0, 1 / 700, 1 / 360, 0.5, 0, 0, 0, 1]], ub=1.5),
        NonlinearConstraint(lambda x: x[0] / 80 + x[8] + x[1] / 7, 1.5, 2.0),
    ],
    ids=["linear", "nonlinear"],
)
def test_constraints_may_bind_what_is_fixed_and_all_other_kinds(constraint):
    variables = Variables(SPACE, constraints=constraint)
    rows = Design(SobolSampler(50, random_state=0), variables).sample()
    assert rows.shape == (50, 9)
    assert variables.is_feasible(rows).all()
    assert variables.is_feasible(variables.snap(some_rows(variables, 50))).mean() > 0.9


# Rows that come back.


def test_a_row_is_known_up_to_the_decimals_of_each_variable():
    variables = Variables([Real(0, 100, decimals=1), (0, 1), Periodic(0, 360, decimals=0)])
    asked = np.array([[20.0, 0.5, 0.2]])
    told = [[20.05, 0.5, 0.0], [20.06, 0.5, 0.0], [20.0, 0.51, 0.2], [20.0, 0.5, 359.8]]
    known = [bool(variables.are_known(asked, np.array([row]))[0]) for row in told]
    assert known == [True, False, False, True]


def test_without_decimals_a_row_is_known_to_the_last_digit_but_rounding():
    variables = Variables([(0, 100), (0, 1)])
    asked = np.array([[20.0, 0.5]])
    assert variables.are_known(asked, asked + 1e-12)[0]
    assert not variables.are_known(asked, asked + 1e-4)[0]


# What files hold.


def test_kinds_come_back_from_their_facts():
    space = {**SPACE, "time": Periodic(0, 24, decimals=2), "pH": Real(2, 12, decimals=1)}
    kinds = Variables(space).kinds
    again = kinds_of_facts(kinds.facts(), kinds.box, kinds.names)
    assert again == kinds
    assert again.difference(kinds.facts()) == ""


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"size": Ordinal(["M", "S", "L"])}, "'size' is ordered, .* there, got ordered"),
        ({"size": ["S", "M", "L"]}, "'size' is ordered, .* there, got a category"),
        ({"angle": Periodic(0, 360)}, "'angle' is periodic from -180 to 180 there"),
        ({"stirrer": Integer(100, 800, step=70)}, "in steps of 50 there, got .* in steps of 70"),
        ({"acid": (0.1, 0.9)}, "'acid' is continuous in steps of 0.1 there, got continuous"),
        ({"operator": "Bob"}, r"'operator' is a category of \['Ann'\] there"),
    ],
)
def test_another_kind_is_named(change, difference):
    facts = Variables(SPACE).kinds.facts()
    assert re.search(difference, Variables({**SPACE, **change}).kinds.difference(facts))
