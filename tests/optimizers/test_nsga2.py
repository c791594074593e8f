import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sklearn_proxyopt.optimizers import NSGA2, hypervolume, nondominated
from sklearn_proxyopt.optimizers._pareto import crowding, ranks_of, spread_out

SMALL = st.integers(0, 4).map(float)


def schaffer(X):
    return np.column_stack([X[:, 0] ** 2, (X[:, 0] - 2.0) ** 2])


def zdt1(X):
    g = 1.0 + 9.0 * X[:, 1:].mean(axis=1)
    return np.column_stack([X[:, 0], g * (1.0 - np.sqrt(X[:, 0] / g))])


def dominates(a, b):
    return all(a <= b) and any(a < b)


@settings(max_examples=50, deadline=None)
@given(arrays(float, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=SMALL))
def test_the_front_holds_what_nothing_dominates(F):
    expected = [not any(dominates(other, row) for other in F) for row in F]
    np.testing.assert_array_equal(nondominated(F), expected)


@settings(max_examples=50, deadline=None)
@given(arrays(float, st.tuples(st.integers(1, 12), st.just(2)), elements=SMALL))
def test_the_fronts_are_peeled_one_after_another(F):
    ranks, left, rank = ranks_of(F, np.zeros(len(F)), len(F)), np.arange(len(F)), 0
    while len(left):
        front = nondominated(F[left])
        assert (ranks[left[front]] == rank).all()
        left, rank = left[~front], rank + 1


def test_less_violation_dominates_more():
    F = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]])
    violation = np.array([2.0, 1.0, 1.0])
    np.testing.assert_array_equal(nondominated(F, violation), [False, True, True])
    np.testing.assert_array_equal(ranks_of(F, violation, 3), [1, 0, 0])


@settings(max_examples=50, deadline=None)
@given(arrays(float, st.tuples(st.integers(1, 8), st.integers(1, 4)), elements=SMALL))
def test_the_hypervolume_counts_the_cells_that_are_dominated(F):
    corner = np.full(F.shape[1], 4.0)
    cells = np.stack(np.meshgrid(*[np.arange(4.0)] * F.shape[1]), axis=-1).reshape(-1, F.shape[1])
    n_cells = sum(any(all(row <= cell) for row in F) for cell in cells)
    assert hypervolume(F, corner) == n_cells


def test_the_hypervolume_of_an_octant_of_the_sphere():
    a, b = np.meshgrid(np.linspace(0.0, np.pi / 2.0, 60), np.linspace(0.0, np.pi / 2.0, 60))
    F = np.column_stack(
        [(np.cos(a) * np.cos(b)).ravel(), (np.cos(a) * np.sin(b)).ravel(), np.sin(a).ravel()]
    )
    assert abs(hypervolume(F, [1.0, 1.0, 1.0]) - (1.0 - np.pi / 6.0)) < 0.02


def test_rows_beyond_the_reference_add_nothing():
    assert hypervolume([[0.0, 3.0], [1.0, 1.0]], [2.0, 2.0]) == 1.0
    assert hypervolume([[3.0, 3.0]], [2.0, 2.0]) == 0.0
    assert hypervolume(np.empty((0, 2)), [2.0, 2.0]) == 0.0
    with pytest.raises(ValueError, match=r"reference must have shape \(2,\)"):
        hypervolume([[0.0, 1.0]], [1.0])


def test_the_ends_of_a_front_are_never_crowded():
    distance = crowding(np.array([[0.0, 4.0], [1.0, 2.0], [2.0, 1.0], [4.0, 0.0]]))
    np.testing.assert_array_equal(distance, [np.inf, 0.5 + 0.75, 0.75 + 0.5, np.inf])


def test_points_are_chosen_far_from_one_another_and_from_known_ones():
    F = np.column_stack([np.linspace(0.0, 1.0, 11), np.linspace(1.0, 0.0, 11)])
    assert spread_out(F, F[:0], 3) == [0, 10, 5]
    assert spread_out(F, F[[0, 10]], 1) == [5]
    assert sorted(spread_out(F, F[:0], 99)) == list(range(11))


def test_the_front_of_schaffer_is_found_and_in_order():
    result = NSGA2(40, 40, random_state=0).minimize(schaffer, [[-10.0, 10.0]])
    assert result.success
    np.testing.assert_allclose(np.sqrt(result.F).sum(axis=1), 2.0, atol=0.02)
    assert (np.diff(result.F[:, 0]) > 0.0).all()
    assert np.diff(result.X[:, 0]).max() < 0.2


def test_the_front_of_zdt1_is_found():
    result = NSGA2(60, 150, random_state=0).minimize(zdt1, [[0.0, 1.0]] * 5)
    assert hypervolume(result.F, [1.1, 1.1]) > 0.98 * (1.21 - 1.0 / 3.0)


def test_constraints_hold_on_the_front():
    def with_constraint(X):
        return np.column_stack([schaffer(X), 1.0 - X[:, 0]])

    result = NSGA2(40, 40, random_state=0).minimize(
        with_constraint, [[-10.0, 10.0]], n_constraints=1
    )
    assert result.X.min() >= 1.0
    assert result.X.min() < 1.01
    assert (result.constraints <= 0.0).all()


def test_without_a_feasible_point_the_least_violation_comes_back():
    def infeasible(X):
        return np.column_stack([schaffer(X), 1.0 + X[:, 0] ** 2])

    result = NSGA2(20, 30, random_state=0).minimize(infeasible, [[-10.0, 10.0]], n_constraints=1)
    assert not result.success
    assert result.message == "No feasible point was found."
    assert abs(result.X[0, 0]) < 0.1


def test_each_generation_is_one_call_and_no_row_is_asked_for_twice_in_it():
    calls = []

    def fun(X):
        calls.append(X)
        return schaffer(X)

    result = NSGA2(20, 10, random_state=0).minimize(fun, [[-10.0, 10.0]])
    assert len(calls) == 11
    assert all(len(np.unique(X, axis=0)) == len(X) for X in calls)
    assert result.nfev == sum(map(len, calls))


def test_values_that_are_not_finite_are_as_bad_as_can_be():
    def fails(X):
        F = schaffer(X)
        F[X[:, 0] < 1.0] = np.nan
        return F

    result = NSGA2(20, 20, random_state=0).minimize(fails, [[-10.0, 10.0]])
    assert result.success
    assert result.X.min() >= 1.0
    nothing = NSGA2(8, 2, random_state=0).minimize(lambda X: schaffer(X) * np.nan, [[0.0, 1.0]])
    assert not nothing.success


def test_starts_are_in_the_first_population():
    seen = []

    def fun(X):
        seen.append(X)
        return schaffer(X)

    NSGA2(8, 1, random_state=0).minimize(fun, [[-10.0, 10.0]], x0=[[1.25]])
    assert 1.25 in seen[0]


def test_the_callback_ends_the_search():
    states = []

    def callback(state):
        states.append(state)
        return len(states) == 3

    result = NSGA2(8, 50, random_state=0).minimize(schaffer, [[0.0, 1.0]], callback=callback)
    assert result.nit == 3
    assert result.message == "Stopped by the callback."
    assert states[-1].F.shape[1] == 2


def test_the_same_seed_gives_the_same_front_and_leaves_the_global_generators_alone():
    random.seed(5)
    before = random.getstate()
    first = NSGA2(20, 10, random_state=3).minimize(schaffer, [[-10.0, 10.0]])
    assert random.getstate() == before
    second = NSGA2(20, 10, random_state=3).minimize(schaffer, [[-10.0, 10.0]])
    np.testing.assert_array_equal(first.X, second.X)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"population_size": 3}, "population_size must be an integer of at least 4; got 3"),
        ({"n_generations": 0}, "n_generations must be an integer of at least 1; got 0"),
        ({"crossover_probability": 2.0}, "crossover_probability must be a finite number"),
        ({"mutation_probability": -1.0}, "mutation_probability must be a finite number"),
        ({"crossover_eta": -1.0}, "crossover_eta must be a finite number"),
        ({"mutation_eta": "a"}, "mutation_eta must be a finite number"),
    ],
)
def test_bad_parameters_are_named(params, message):
    with pytest.raises(ValueError, match=message):
        NSGA2(**params).minimize(schaffer, [[0.0, 1.0]])


def test_a_function_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"fun must return shape \(8, .*got shape \(8,\)"):
        NSGA2(8, 2).minimize(lambda X: X[:, 0], [[0.0, 1.0]])
    with pytest.raises(ValueError, match="with at least 3 columns; got shape"):
        NSGA2(8, 2).minimize(schaffer, [[0.0, 1.0]], n_constraints=2)
