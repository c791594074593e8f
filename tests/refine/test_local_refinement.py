import numpy as np
import pytest
from spies import Spy

from sklearn_proxyopt.problems import Ackley, Rastrigin, Rosenbrock
from sklearn_proxyopt.refine import LocalRefinement

METHODS = ["COBYQA", "L-BFGS-B", "Nelder-Mead"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("problem", [Rosenbrock(2), Rastrigin(3), Ackley(2)], ids=repr)
def test_the_bottom_of_the_basin_is_reached(method, problem):
    start = problem.x_opt + 0.05
    result = LocalRefinement(method).refine(problem, start, problem.bounds)
    assert np.linalg.norm(result.x - problem.x_opt[0]) < (1e-6 if method == "COBYQA" else 5e-3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("limit", [1, 2, 7, 50])
def test_no_more_evaluations_are_spent_than_allowed(method, limit):
    spy = Spy(Rosenbrock(4))
    refinement = LocalRefinement(method, max_evaluations=limit)
    result = refinement.refine(spy, np.zeros((8, 4)), Rosenbrock(4).bounds)
    assert len(spy.rows) == result.nfev <= limit


@pytest.mark.parametrize("method", METHODS)
def test_the_lowest_point_evaluated_is_the_one_returned(method):
    spy = Spy(Rastrigin(3).rotated_and_shifted(2))
    start = np.random.default_rng(0).uniform(-5, 5, (5, 3))
    result = LocalRefinement(method, max_evaluations=60).refine(spy, start, Rastrigin(3).bounds)
    values = spy.fun(np.array(spy.rows))
    np.testing.assert_allclose(result.fun, values.min(), rtol=1e-12)
    np.testing.assert_allclose(result.x, spy.rows[values.argmin()], atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_every_point_lies_inside_the_box(method):
    spy = Spy(lambda X: X.sum(axis=1))
    box = np.array([[3.0, 4.0], [-1.0, 0.0]])
    result = LocalRefinement(method).refine(spy, [[3.005, -0.5]], box)
    rows = np.array(spy.rows)
    assert ((rows >= box[:, 0]) & (rows <= box[:, 1])).all()
    np.testing.assert_allclose(result.x, [3.0, -1.0], atol=1e-5)


def test_an_incumbent_that_is_better_than_all_candidates_is_where_the_descent_starts():
    problem = Rastrigin(2)
    incumbent = np.array([0.1, -0.1])
    value = float(problem(incumbent[None])[0])
    result = LocalRefinement().refine(
        problem, [[4.0, 4.0]], problem.bounds, incumbent=(incumbent, value)
    )
    np.testing.assert_allclose(result.x, 0.0, atol=1e-6)


def test_an_incumbent_is_not_evaluated_again_and_never_lost():
    spy = Spy(lambda X: np.ones(len(X)))
    result = LocalRefinement(max_evaluations=10).refine(
        spy, [[0.5, 0.5]], [[0.0, 1.0]] * 2, incumbent=([0.2, 0.2], 0.0)
    )
    np.testing.assert_allclose(result.x, 0.2)
    assert result.fun == 0.0


def test_the_values_of_the_candidates_are_reported_in_their_order():
    candidates = np.array([[1.0, 1.0], [0.0, 0.0], [2.0, 2.0]])
    result = LocalRefinement(n_candidates=2).refine(Ackley(2), candidates, Ackley(2).bounds)
    np.testing.assert_allclose(result.candidate_values, Ackley(2)(candidates[:2]))


@pytest.mark.parametrize("method", ["COBYQA", "Nelder-Mead"])
def test_failed_evaluations_are_walked_around(method):
    def fun(X):
        return np.where(X[:, 0] > 0.5, np.nan, (X[:, 0] - 0.45) ** 2 + X[:, 1] ** 2)

    result = LocalRefinement(method).refine(fun, [[0.3, 0.2], [0.9, 0.9]], [[0.0, 1.0]] * 2)
    np.testing.assert_allclose(result.x, [0.45, 0.0], atol=1e-2)


def test_candidates_that_all_fail_are_no_success():
    result = LocalRefinement().refine(lambda X: np.full(len(X), np.nan), [[0.5]], [[0.0, 1.0]])
    assert not result.success
    assert result.message == "Every candidate failed."


@pytest.mark.parametrize("method", ["COBYQA", "Nelder-Mead"])
def test_a_descent_that_converged_says_so(method):
    result = LocalRefinement(method, n_descents=1, max_evaluations=1000).refine(
        lambda X: ((X - 0.3) ** 2).sum(axis=1), [[0.4, 0.4]], [[0.0, 1.0]] * 2
    )
    assert result.status == 0
    assert "converged" in result.message


@pytest.mark.parametrize("limit", [7, 8])
def test_a_descent_without_enough_evaluations_left_has_not_converged(limit):
    problem = Rosenbrock(5)
    result = LocalRefinement("L-BFGS-B", max_evaluations=limit).refine(
        problem, np.zeros((1, 5)), problem.bounds
    )
    assert result.status == 1
    assert "evaluations" in result.message
    assert "converged" not in result.message


def test_a_descent_ended_by_a_failed_evaluation_has_not_converged():
    def fun(X):
        return np.where(X[:, 0] > 0.5, np.nan, -X.sum(axis=1))

    result = LocalRefinement("L-BFGS-B", n_descents=1).refine(fun, [[0.4, 0.2]], [[0.0, 1.0]] * 2)
    assert result.success
    assert result.status == 2
    assert "an evaluation failed where a gradient was taken" in result.message
    assert "converged" not in result.message


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"method": "CG"}, "method"),
        ({"max_evaluations": 0}, "max_evaluations"),
        ({"n_candidates": -1}, "n_candidates"),
        ({"n_descents": 0}, "n_descents"),
        ({"initial_step": 0.0}, "initial_step"),
        ({"difference": 1.0}, "difference"),
        ({"tolerance": -1.0}, "tolerance"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name_before_any_evaluation(params, name):
    spy = Spy(Ackley(2))
    with pytest.raises(ValueError, match=f"{name} must be"):
        LocalRefinement(**params).refine(spy, [[1.0, 1.0]], Ackley(2).bounds)
    assert not spy.rows


@pytest.mark.parametrize("row", [[0.3, 0.7], [0.7, 1.1], [0.7, np.nan], [0.7]])
def test_an_incumbent_outside_the_box_is_refused_before_any_evaluation(row):
    spy = Spy(lambda X: X.sum(axis=1))
    with pytest.raises(ValueError, match="incumbent must be a row inside bounds"):
        LocalRefinement().refine(spy, [[0.6, 0.6]], [[0.5, 1.0]] * 2, incumbent=(row, 0.0))
    assert not len(spy.rows)
