import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_proxyopt import NeuralProxyRegressor
from sklearn_proxyopt.optimizers import (
    GraduatedSearch,
    Ladder,
    MultiStartBFGS,
    ParticleSwarm,
    descend,
)
from sklearn_proxyopt.problems import Rastrigin, Rosenbrock

BOX = [[-4.0, 3.0], [-4.0, 3.0]]


def bowl(X):
    return ((X - 0.2) ** 2).sum(axis=1)


def rough(X):
    return (X**2 + 3.0 * (1.0 - np.cos(6.0 * X))).sum(axis=1)


def descent_alone(optimizer=None, **params):
    few = MultiStartBFGS(4, n_rounds=1, n_candidates=4) if optimizer is None else optimizer
    return GraduatedSearch(few, random_state=0, **params)


@parametrize_with_checks([GraduatedSearch(ParticleSwarm(10, 5))])
def test_the_search_follows_the_conventions_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("optimizer", [None, ParticleSwarm(20, 50)], ids=repr)
def test_a_minimum_is_followed_from_the_smooth_function_to_the_rough_one(optimizer):
    result = descent_alone(optimizer).minimize(Ladder([bowl, rough]), BOX)
    np.testing.assert_allclose(result.x, 0.0, atol=1e-5)
    assert result.fun == pytest.approx(rough(result.x[None])[0])
    np.testing.assert_allclose(result.x_levels, [[0.2, 0.2], [0.0, 0.0]], atol=1e-3)
    np.testing.assert_allclose(result.drift, [0.2 / 7, 0.0], atol=1e-4)


def test_a_function_that_is_no_ladder_is_searched_by_the_optimizer():
    problem = Rosenbrock(2)
    optimizer = MultiStartBFGS(8, random_state=3)
    alone = optimizer.minimize(problem, problem.bounds)
    through = GraduatedSearch(optimizer, random_state=0).minimize(problem, problem.bounds)
    np.testing.assert_array_equal(through.x, alone.x)


def test_a_ladder_answers_as_its_last_function():
    X = np.random.default_rng(0).uniform(-1, 1, (5, 2))
    np.testing.assert_array_equal(Ladder([bowl, rough])(X), rough(X))


def test_members_of_a_proxy_are_levels_whose_basins_are_counted():
    X = np.random.default_rng(0).uniform(-4.0, 4.0, (400, 1))
    y = X[:, 0] ** 2 / 4 - 2.0 * np.cos(3.0 * X[:, 0])
    proxy = NeuralProxyRegressor(
        (32, 32),
        n_members=2,
        input_noise=(0.2, 0.0),
        device="cpu",
        random_state=0,
    ).fit(X, y)
    ladder = Ladder.of_members(proxy, lambda rows: rows[:, 0] ** 2 / 4 - 2 * np.cos(3 * rows[:, 0]))
    result = GraduatedSearch(n_starts=16, random_state=0).minimize(ladder, [[-4.0, 4.0]])
    assert result.basins[0] == 1
    # Two of the five lie on the sides of the box.
    assert result.basins[1] == 5
    assert np.isnan(result.basins[2])
    assert abs(result.x[0]) < 1e-4


def test_every_start_descends_by_itself_and_in_its_place():
    problem = Rastrigin(1)
    starts = np.array([[1.9], [-0.1], [2.95]])
    result = descend([problem], starts, problem.bounds)
    np.testing.assert_allclose(result.x[:, 0], [1.98991, 0.0, 2.98486], atol=1e-3)
    np.testing.assert_allclose(result.fun, problem(result.x))


def test_descents_go_on_where_the_function_before_has_left_them():
    result = descend([bowl, rough], [[3.0, -3.0], [-3.5, 2.0]], BOX)
    assert result.x_levels.shape == (2, 2, 2)
    np.testing.assert_allclose(result.x_levels[0], 0.2, atol=1e-4)
    np.testing.assert_allclose(result.x, 0.0, atol=1e-4)


def test_starts_outside_the_box_begin_on_its_side():
    result = descend([lambda X: X[:, 0]], [[9.0], [0.5]], [[0.0, 1.0]])
    np.testing.assert_array_equal(result.x, 0.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Ladder([]), "levels must hold at least one callable"),
        (lambda: Ladder([bowl, 3]), "levels must hold at least one callable"),
        (lambda: descend([bowl], [[0.0]], BOX), "x0 must hold finite rows of 2 variables"),
        (lambda: GraduatedSearch("swarm").minimize(bowl, BOX), "optimizer must be an optimizer"),
        (lambda: GraduatedSearch(n_starts=0).minimize(bowl, BOX), "n_starts must be"),
    ],
)
def test_a_wrong_argument_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
