"""What a search says that it has left undone."""

from types import SimpleNamespace

import numpy as np
import pytest

from sklearn_proxyopt.problems import Rosenbrock
from sklearn_proxyopt.refine import SurrogateCMAES
from sklearn_proxyopt.refine._basins import Basin, basins_of, left_undone


def _descent(point, value, gain_left, tells_gains=True):
    return SimpleNamespace(
        lowest=value,
        center=(np.array(point), value),
        gain_left=gain_left,
        tells_gains=tells_gains,
    )


def test_descents_into_one_basin_count_once_and_the_lowest_speaks_for_it():
    descents = [_descent([0.52, 0.5], 3.0, 9.0), _descent([0.5, 0.5], 1.0, 0.25)]
    (basin,) = basins_of(descents)
    assert (basin.value, basin.gain) == (1.0, 0.25)


def test_another_basin_gains_what_it_gets_below_the_lowest_value():
    best, other, high = basins_of(
        [
            _descent([0.9, 0.9], 6.0, 2.0),
            _descent([0.1, 0.1], 1.0, 0.0),
            _descent([0.1, 0.9], 3.0, 2.5),
        ]
    )
    assert (best.gain, other.gain, high.gain) == (0.0, 0.5, 0.0)


def test_a_descent_whose_evaluations_all_failed_is_no_basin():
    assert basins_of([_descent([0.5], np.inf, 0.0)]) == []
    assert left_undone([], 0, 0.1) == ""


def test_the_basins_that_may_gain_the_most_are_named_by_their_values():
    basins = [Basin(np.zeros(1), 1.0, 0.02), Basin(np.ones(1), 4.0, 0.5)]
    text = left_undone(basins, 0, 0.01, shown=lambda value: -value)
    assert text == (
        "More evaluations may gain about 0.5 in that of -4 or about 0.02 in the best basin, of the "
        "2 basins found."
    )


def test_few_evaluations_do_not_tell_what_is_left():
    basins = basins_of([_descent([0.1], 1.0, 0.0, tells_gains=False)])
    assert left_undone(basins, 0, 0.1) == (
        "After so few evaluations nothing tells how much is left to gain."
    )
    result = SurrogateCMAES(max_evaluations=5, random_state=0).refine(
        lambda X: np.square(X).sum(axis=1), [[0.2] * 6], [(-1.0, 1.0)] * 6
    )
    assert "nothing tells how much is left" in result.message


def test_gains_too_small_to_mention_are_said_to_be_and_refinement_is_counted():
    text = left_undone([Basin(np.zeros(1), 1.0, 0.02)], 30, 0.1)
    assert text == (
        "By the latest gains less than 0.1 is left in the one basin found; the last 30 evaluations "
        "refined the best point."
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_search_cut_off_in_a_valley_has_something_left_and_a_long_one_has_not(seed):
    problem = Rosenbrock(n_dims=4)
    short, long = (
        SurrogateCMAES(max_evaluations=n, random_state=seed).refine(
            problem, [[0.0, 0.0, 0.0, 0.0]], problem.bounds
        )
        for n in (30, 400)
    )
    assert short.message.startswith("Refinement used all of its 30 evaluations. More evaluations")
    assert "evaluations. By the latest gains less than " in long.message


def test_prices_of_constraints_are_not_named_as_gains():
    result = SurrogateCMAES(max_evaluations=30, random_state=0).refine(
        lambda X: np.column_stack([X.sum(axis=1), 0.5 - X[:, 0]]), [[0.9, 0.9]], [(0, 1)] * 2
    )
    assert result.message == "Refinement used all of its 30 evaluations."
