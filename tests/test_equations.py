"""Equations between variables: solved to the last digits, and searched in what they leave."""

import numpy as np
from scipy.optimize import LinearConstraint, minimize

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.variables import Integer, Variables


def test_rows_that_follow_from_an_equation_become_one():
    variables = Variables(
        [Integer(0, 5), (0.0, 10.0)], constraints=LinearConstraint([[3.0, 1.0]], 7.0, 7.0)
    )
    rows = variables.snap([[2.1, 1.4], [2.0, 0.3], [1.0, 3.0], [0.2, 7.3]])
    np.testing.assert_array_equal(rows, [[2.0, 1.0], [2.0, 1.0], [1.0, 4.0], [0.0, 7.0]])


def test_an_equation_that_leaves_three_rows_takes_three_evaluations():
    def fun(X):
        return (X[:, 0] - 1.2) ** 2 + (X[:, 1] - 2.2) ** 2

    optimizer = ProxyOptimizer(
        bounds=[Integer(0, 5), (0.0, 10.0)],
        constraints=LinearConstraint([[3.0, 1.0]], 7.0, 7.0),
        verdict=False,
        random_state=0,
        vectorized=True,
    )
    result = optimizer.minimize(fun, budget=20)
    assert result.nfev == 3
    assert -1e-12 < result.fun - 2.08 < 1e-12


def test_a_mixture_is_searched_where_its_parts_add_up():
    best = np.arange(1.0, 8.0) / 28.0
    optimizer = ProxyOptimizer(
        bounds=[(0.0, 1.0)] * 7,
        constraints=LinearConstraint(np.ones((1, 7)), 1.0, 1.0),
        verdict=False,
        random_state=0,
        vectorized=True,
    )
    result = optimizer.minimize(lambda X: np.square(X - best).sum(axis=1), budget=70)
    assert result.fun < 1e-9


def test_the_order_of_ten_variables_costs_no_evaluations_where_it_does_not_bind():
    best = np.linspace(0.2, 0.9, 10)
    steps = np.eye(10)[1:] - np.eye(10)[:-1]
    optimizer = ProxyOptimizer(
        bounds=[(0.0, 1.0)] * 10,
        constraints=LinearConstraint(steps, 0.0, np.inf),
        verdict=False,
        random_state=0,
        vectorized=True,
    )
    result = optimizer.minimize(lambda X: np.square(X - best).sum(axis=1), budget=60)
    assert result.fun < 1e-7


def test_a_minimum_on_linear_inequalities_is_found_as_fast_as_inside():
    def gap(seed):
        rng = np.random.default_rng(seed)
        matrix, best = rng.uniform(size=(3, 6)), rng.uniform(0.3, 0.9, 6)
        limits = LinearConstraint(matrix, ub=0.6 * matrix @ best)

        def fun(x):
            return np.square(x - best).sum()

        lowest = minimize(fun, np.full(6, 0.2), method="SLSQP", constraints=limits).fun
        optimizer = ProxyOptimizer(
            bounds=[(0.0, 1.0)] * 6, constraints=limits, verdict=False, random_state=seed
        )
        return optimizer.minimize(fun, budget=36).fun - lowest

    assert np.median([gap(seed) for seed in range(3)]) < 1e-7
