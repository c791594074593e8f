import numpy as np
import pytest
from scipy.optimize import LinearConstraint, NonlinearConstraint
from spies import Spy

from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.variables import Integer, Periodic, Real, Variables

METHODS = ["COBYQA", "L-BFGS-B", "Nelder-Mead"]
DISK = NonlinearConstraint(lambda x: x @ x, -np.inf, 1.0)


def rosenbrock(X):
    return 100 * (X[:, 1] - X[:, 0] ** 2) ** 2 + (1 - X[:, 0]) ** 2


@pytest.mark.parametrize("method", METHODS)
def test_nothing_infeasible_is_evaluated(method):
    variables = Variables([(-1.5, 1.5)] * 2, constraints=DISK)
    spy = Spy(rosenbrock)
    start = variables.snap([[0.7, 0.6], [1.4, 1.4]])
    result = LocalRefinement(method).refine(spy, start, variables.bounds, variables=variables)
    assert variables.is_feasible(np.array(spy.rows)).all()
    assert len(spy.rows) == result.nfev
    assert result.fun == pytest.approx(rosenbrock(result.x[None])[0], rel=1e-9)
    assert result.fun == pytest.approx(min(rosenbrock(np.array(spy.rows))), rel=1e-9)


def test_cobyqa_reaches_the_optimum_on_a_curved_edge():
    variables = Variables([(-1.5, 1.5)] * 2, constraints=DISK)
    result = LocalRefinement().refine(
        rosenbrock, [[0.6, 0.5]], variables.bounds, variables=variables
    )
    np.testing.assert_allclose(result.x, [0.78641515, 0.61769831], atol=1e-4)


def test_cobyqa_reaches_the_vertex_of_linear_constraints():
    limits = LinearConstraint([[1, 2], [3, 1]], ub=[4.0, 6.0])
    variables = Variables([(0, 5)] * 2, constraints=limits)
    result = LocalRefinement().refine(
        lambda X: -X.sum(axis=1), [[0.5, 0.5]], variables.bounds, variables=variables
    )
    np.testing.assert_allclose(result.x, [1.6, 1.2], atol=1e-4)


def test_whole_numbers_and_categories_move_one_at_a_time():
    variables = Variables([Integer(0, 20), list("abc"), (-1, 1)])

    def steps(X):
        return (X[:, 0] - 6) ** 2 + np.abs(X[:, 1] - 1) + (X[:, 2] - 0.3) ** 2

    spy = Spy(steps)
    result = LocalRefinement().refine(
        spy, [[3.0, 2.0, -0.5]], variables.bounds, variables=variables
    )
    np.testing.assert_allclose(result.x, [6.0, 1.0, 0.3], atol=1e-5)
    assert variables.is_feasible(np.array(spy.rows)).all()


@pytest.mark.parametrize("method", METHODS)
def test_whole_numbers_alone_need_no_descent(method):
    variables = Variables([Integer(0, 9)] * 3)
    spy = Spy(lambda X: np.square(X - [2, 7, 4]).sum(axis=1))
    result = LocalRefinement(method).refine(
        spy, [[5.0, 5.0, 5.0]], variables.bounds, variables=variables
    )
    assert result.x.tolist() == [2.0, 7.0, 4.0]
    assert result.status == 0
    assert len(np.unique(spy.rows, axis=0)) == len(spy.rows)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("limit", [1, 2, 9, 40])
def test_no_more_evaluations_are_spent_than_allowed_with_whole_numbers(method, limit):
    variables = Variables([Integer(0, 9), (-1, 1), (-1, 1)])
    spy = Spy(lambda X: np.square(X - [2, 0.3, 0.4]).sum(axis=1))
    result = LocalRefinement(method, max_evaluations=limit).refine(
        spy, [[5.0, 0.0, 0.0]], variables.bounds, variables=variables
    )
    assert len(spy.rows) == result.nfev <= limit


def test_a_log_scaled_variable_descends_over_orders_of_magnitude():
    variables = Variables([Real(1e-4, 1e4, log=True)])
    result = LocalRefinement().refine(
        lambda X: np.square(np.log(X[:, 0]) - np.log(2e-3)),
        [[50.0]],
        variables.bounds,
        variables=variables,
    )
    np.testing.assert_allclose(result.x, [2e-3], rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_a_descent_passes_the_end_of_a_period(method):
    variables = Variables([Periodic(0, 360), 7, (-1, 1)])
    spy = Spy(lambda X: 1.0 - np.cos(np.deg2rad(X[:, 0] - 10.0)) + (X[:, 2] - 0.3) ** 2)
    result = LocalRefinement(method).refine(
        spy,
        [[340.0, 7.0, 0.0]],
        variables.bounds,
        variables=variables.opened_at(np.array([340.0, 7.0, 0.0])),
    )
    np.testing.assert_allclose(result.x, [10.0, 7.0, 0.3], atol=0.05)
    assert variables.is_feasible(np.array(spy.rows)).all()


def test_steps_move_one_at_a_time():
    variables = Variables([Integer(100, 800, step=50), Real(0.0, 2.0, step=0.1)])
    spy = Spy(lambda X: np.square((X - [430.0, 1.27]) / [100.0, 0.5]).sum(axis=1))
    result = LocalRefinement().refine(spy, [[200.0, 0.4]], variables.bounds, variables=variables)
    np.testing.assert_array_equal(result.x, [450.0, 1.3])


def test_a_failed_evaluation_beside_a_constraint_ends_nothing():
    variables = Variables([(-1.5, 1.5)] * 2, constraints=DISK)

    def patchy(X):
        return np.where(X[:, 0] > 0.75, np.nan, rosenbrock(X))

    result = LocalRefinement().refine(patchy, [[0.5, 0.3]], variables.bounds, variables=variables)
    assert result.success
    assert result.x[0] <= 0.75
