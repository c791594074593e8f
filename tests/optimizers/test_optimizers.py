import os
import pickle
import random
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from discovery import public_estimators
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, minimize
from sklearn.base import clone

from sklearn_proxyopt._utils._global_random import BorrowedStream
from sklearn_proxyopt.optimizers import (
    BaseOptimizer,
    DifferentialEvolution,
    GeneticAlgorithm,
    MultiStartBFGS,
    ParticleSwarm,
)
from sklearn_proxyopt.optimizers._candidates import distinct_minima
from sklearn_proxyopt.problems import Ackley, Rastrigin, Rosenbrock

OPTIMIZERS = [
    one.set_params(random_state=0)
    for one in public_estimators("optimizers")
    if isinstance(one, BaseOptimizer)
]
each_optimizer = pytest.mark.parametrize(
    "optimizer", OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__
)


class Spy:
    """Records every batch that a function is called with."""

    def __init__(self, fun):
        self.fun = fun
        self.batches = []

    def __call__(self, X):
        self.batches.append(X.copy())
        return self.fun(X)

    @property
    def rows(self):
        return np.vstack(self.batches)


@each_optimizer
@pytest.mark.parametrize("problem", [Rastrigin(2), Ackley(3).rotated_and_shifted(1)], ids=repr)
def test_the_global_minimum_of_a_rugged_function_is_found(optimizer, problem):
    result = optimizer.minimize(problem, problem.bounds)
    assert np.linalg.norm(result.x - problem.x_opt[0]) < 0.02


@each_optimizer
def test_the_value_returned_is_that_of_the_point_returned(optimizer):
    problem = Rastrigin(3)
    result = optimizer.minimize(problem, problem.bounds)
    np.testing.assert_allclose(result.fun, problem(result.x[None])[0], rtol=1e-9, atol=1e-9)


@each_optimizer
def test_no_row_outside_the_box_is_ever_evaluated(optimizer):
    box = np.array([[3.0, 4.0], [-100.0, -99.0]])
    spy = Spy(lambda X: X.sum(axis=1))
    clone(optimizer).minimize(spy, box)
    assert (spy.rows >= box[:, 0]).all()
    assert (spy.rows <= box[:, 1]).all()


@each_optimizer
def test_a_minimum_in_a_corner_of_the_box_is_reached(optimizer):
    result = optimizer.minimize(lambda X: X.sum(axis=1), [[3.0, 4.0], [-100.0, -99.0]])
    np.testing.assert_allclose(result.x, [3.0, -100.0], atol=1e-2)


@each_optimizer
def test_every_row_evaluated_is_counted(optimizer):
    spy = Spy(Rosenbrock(2))
    result = clone(optimizer).minimize(spy, Rosenbrock(2).bounds)
    assert result.nfev == len(spy.rows)


@each_optimizer
def test_the_same_seed_gives_the_same_answer(optimizer):
    problem = Ackley(2)
    first, second = (clone(optimizer).minimize(problem, problem.bounds) for _ in range(2))
    np.testing.assert_array_equal(first.x, second.x)


@each_optimizer
def test_a_seed_passed_to_minimize_replaces_the_one_of_the_optimizer(optimizer):
    spies = [Spy(Ackley(2)) for _ in range(3)]
    for spy, seed in zip(spies, [5, 5, 6], strict=True):
        clone(optimizer).minimize(spy, Ackley(2).bounds, random_state=seed)
    np.testing.assert_array_equal(spies[0].batches[0], spies[1].batches[0])
    assert not np.array_equal(spies[0].batches[0], spies[2].batches[0])


@each_optimizer
def test_no_global_generator_is_touched(optimizer):
    python, numpy = random.getstate(), np.random.get_state()[1].copy()
    clone(optimizer).minimize(Ackley(2), Ackley(2).bounds)
    assert random.getstate() == python
    np.testing.assert_array_equal(np.random.get_state()[1], numpy)


@each_optimizer
def test_the_global_generators_are_put_back_when_the_function_raises(optimizer):
    calls = []

    def fun(X):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("broken")
        return X.sum(axis=1)

    numpy = np.random.get_state()[1].copy()
    with pytest.raises(RuntimeError, match="broken"):
        clone(optimizer).minimize(fun, [[0.0, 1.0], [0.0, 1.0]])
    np.testing.assert_array_equal(np.random.get_state()[1], numpy)


@each_optimizer
def test_a_starting_point_in_a_needle_is_not_lost(optimizer):
    needle = np.array([0.31415926, 0.27182818])

    def fun(X):
        return np.where(np.abs(X - needle).max(axis=1) < 1e-7, -1.0, 0.0)

    result = clone(optimizer).minimize(fun, [[0.0, 1.0], [0.0, 1.0]], x0=needle)
    assert result.fun == -1.0


@each_optimizer
def test_a_true_answer_of_the_callback_stops_the_search(optimizer):
    states = []

    def callback(state):
        states.append(state)
        return len(states) == 2

    result = clone(optimizer).minimize(Ackley(3), Ackley(3).bounds, callback=callback)
    assert len(states) == 2
    assert states[1].fun <= states[0].fun
    assert result.fun <= states[1].fun


@each_optimizer
def test_stop_iteration_in_the_callback_stops_the_search(optimizer):
    states = []

    def callback(state):
        states.append(state)
        raise StopIteration

    clone(optimizer).minimize(Ackley(3), Ackley(3).bounds, callback=callback)
    assert len(states) == 1


@each_optimizer
def test_values_that_are_not_finite_are_avoided(optimizer):
    def fun(X):
        return np.where(X[:, 0] < 0.5, np.nan, X[:, 0])

    result = clone(optimizer).minimize(fun, [[0.0, 1.0], [0.0, 1.0]])
    assert 0.5 <= result.x[0] < 0.52


@each_optimizer
def test_a_function_without_any_finite_value_is_no_success(optimizer):
    result = clone(optimizer).minimize(lambda X: np.full(len(X), np.nan), [[0.0, 1.0]] * 2)
    assert not result.success
    assert "finite" in result.message or not np.isfinite(result.fun)


@each_optimizer
def test_the_candidates_are_distinct_and_sorted_and_the_first_is_the_answer(optimizer):
    result = clone(optimizer).minimize(Rastrigin(2), Rastrigin(2).bounds)
    np.testing.assert_array_equal(result.x_candidates[0], result.x)
    assert (np.diff(result.fun_candidates) >= 0).all()
    gaps = np.linalg.norm(result.x_candidates[:, None] - result.x_candidates, axis=2)
    assert gaps[~np.eye(len(gaps), dtype=bool)].min(initial=np.inf) > 0.1


@each_optimizer
def test_an_optimizer_survives_pickling(optimizer):
    copied = pickle.loads(pickle.dumps(optimizer))
    first, second = (one.minimize(Ackley(2), Ackley(2).bounds).x for one in (optimizer, copied))
    np.testing.assert_array_equal(first, second)


@each_optimizer
def test_bounds_of_scipy_are_taken(optimizer):
    result = clone(optimizer).minimize(lambda X: X[:, 0], Bounds([1.0, 1.0], [2.0, 2.0]))
    np.testing.assert_allclose(result.x[0], 1.0, atol=1e-3)


@each_optimizer
def test_a_function_that_gives_the_wrong_shape_is_refused(optimizer):
    with pytest.raises(ValueError, match="fun must return one value for each row"):
        clone(optimizer).minimize(lambda X: X, [[0.0, 1.0]] * 2)


@each_optimizer
def test_starting_points_of_another_dimension_are_refused(optimizer):
    with pytest.raises(ValueError, match="x0 must hold finite rows of 2 variables"):
        clone(optimizer).minimize(Ackley(2), Ackley(2).bounds, x0=[1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("optimizer", "name"),
    [
        (ParticleSwarm(0), "n_particles"),
        (ParticleSwarm(inertia=-1.0), "inertia"),
        (ParticleSwarm(boundary="shrink"), "boundary"),
        (ParticleSwarm(n_iter_no_change=0), "n_iter_no_change"),
        (GeneticAlgorithm(1), "population_size"),
        (GeneticAlgorithm(mutation_probability=2.0), "mutation_probability"),
        (GeneticAlgorithm(10, n_elites=10), "n_elites"),
        (GeneticAlgorithm(n_iter_no_change=0), "n_iter_no_change"),
        (DifferentialEvolution(4), "population_size"),
        (DifferentialEvolution(strategy="best"), "strategy"),
        (DifferentialEvolution(mutation=3.0), "mutation"),
        (MultiStartBFGS(0), "n_starts"),
        (MultiStartBFGS(n_rounds=1.5), "n_rounds"),
        (MultiStartBFGS(tolerance=np.nan), "tolerance"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name_before_any_evaluation(optimizer, name):
    spy = Spy(Ackley(2))
    with pytest.raises(ValueError, match=f"{name} must be"):
        optimizer.minimize(spy, Ackley(2).bounds)
    assert not spy.batches


@pytest.mark.parametrize("boundary", ["reflective", "nearest", "periodic"])
def test_the_swarm_of_the_published_study_can_be_had(boundary):
    swarm = ParticleSwarm(
        100, 200, inertia=0.9, cognitive=0.5, social=0.3, boundary=boundary, random_state=0
    )
    spy = Spy(Rastrigin(2))
    result = swarm.set_params(n_iter_no_change=None).minimize(spy, Rastrigin(2).bounds)
    assert result.nit == 200
    assert len(spy.batches) == 201
    assert result.fun < 1.1


def test_the_genetic_algorithm_evaluates_a_generation_in_one_call():
    spy = Spy(Ackley(2))
    GeneticAlgorithm(30, 20, random_state=0).minimize(spy, Ackley(2).bounds)
    assert len(spy.batches) <= 21


def test_the_genetic_algorithm_stops_where_nothing_lower_comes():
    stopping = GeneticAlgorithm(20, 100, n_iter_no_change=7, random_state=0)
    flat = stopping.minimize(lambda X: np.zeros(len(X)), Ackley(2).bounds)
    # The first generation has the first value there is to beat.
    assert flat.nit == 8
    assert flat.message == "No lower value in 7 generations."
    assert stopping.minimize(Ackley(2), Ackley(2).bounds).nit > 8


def test_the_genetic_algorithm_makes_all_generations_unless_asked_to_stop():
    flat = GeneticAlgorithm(20, 30, random_state=0)
    assert flat.minimize(lambda X: np.zeros(len(X)), Ackley(2).bounds).nit == 30


def test_differential_evolution_evaluates_a_generation_in_one_call():
    spy = Spy(Ackley(2))
    result = DifferentialEvolution(30, 20, random_state=0).minimize(spy, Ackley(2).bounds)
    assert len(spy.batches) == result.nit + 1


def test_bfgs_finds_the_minima_that_scipy_finds_from_the_same_starts():
    problem = Rosenbrock(3)
    starts = np.random.default_rng(0).uniform(-2.0, 2.0, (20, 3))
    for start in starts:
        ours = MultiStartBFGS(1, n_rounds=1, n_candidates=1, random_state=0).minimize(
            problem, problem.bounds, x0=start
        )
        scipys = minimize(
            lambda x: problem(x[None])[0], start, method="L-BFGS-B", bounds=problem.bounds
        )
        assert ours.fun <= scipys.fun + 1e-4


def test_bfgs_uses_the_gradient_that_a_function_offers():
    class Quadratic:
        n_gradients = 0

        def __call__(self, X):
            return ((X - 0.3) ** 2).sum(axis=1)

        def value_and_grad(self, X):
            self.n_gradients += 1
            return self(X), 2 * (X - 0.3)

    fun = Quadratic()
    result = MultiStartBFGS(random_state=0).minimize(fun, [[-1.0, 2.0]] * 4)
    assert fun.n_gradients > 0
    np.testing.assert_allclose(result.x, 0.3, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_features=st.integers(1, 5),
    condition=st.floats(0.0, 3.0),
)
def test_bfgs_solves_any_convex_quadratic_in_a_box(seed, n_features, condition):
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((n_features, n_features)))[0]
    matrix = basis @ np.diag(10.0 ** rng.uniform(0, condition, n_features)) @ basis.T
    center = rng.uniform(-2.0, 2.0, n_features)

    def fun(X):
        return 0.5 * np.einsum("ni,ij,nj->n", X - center, matrix, X - center)

    def value_and_grad(X):
        return fun(X), (X - center) @ matrix

    class Quadratic:
        def __call__(self, X):
            return fun(X)

    Quadratic.value_and_grad = staticmethod(value_and_grad)
    result = MultiStartBFGS(16, random_state=0).minimize(Quadratic(), [[-1.0, 1.0]] * n_features)
    gradient = (result.x - center) @ matrix
    at_lower, at_upper = result.x <= -1.0, result.x >= 1.0
    # The conditions of Karush, Kuhn and Tucker for a minimum in a box.
    assert (gradient[at_lower] >= -1e-5 * 10**condition).all()
    assert (gradient[at_upper] <= 1e-5 * 10**condition).all()
    np.testing.assert_allclose(gradient[~at_lower & ~at_upper], 0.0, atol=1e-5 * 10**condition)


def test_distinct_minima_keep_the_lowest_of_each_cluster():
    points = np.array([[0.5, 0.5], [0.501, 0.5], [0.9, 0.1], [0.9, 0.101]])
    values = np.array([1.0, 0.5, 2.0, 3.0])
    kept, lows = distinct_minima(points, values)
    np.testing.assert_array_equal(kept, [[0.501, 0.5], [0.9, 0.1]])
    np.testing.assert_array_equal(lows, [0.5, 2.0])


def test_a_borrowed_stream_goes_on_where_it_stopped():
    first, second = (BorrowedStream(np.random.default_rng(3)) for _ in range(2))
    with first.borrowed():
        whole = np.random.random(4), [random.random() for _ in range(4)]
    parts = []
    for _ in range(2):
        with second.borrowed():
            parts.append((np.random.random(2), [random.random() for _ in range(2)]))
    np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), whole[0])
    assert parts[0][1] + parts[1][1] == whole[1]


def test_a_swarm_writes_no_file_and_leaves_the_log_handlers_alone(tmp_path):
    code = """
    import logging, os, sys
    handler = logging.StreamHandler(sys.stdout)
    logging.getLogger().addHandler(handler)
    from sklearn_proxyopt.optimizers import ParticleSwarm
    ParticleSwarm(10, 5, random_state=0).minimize(lambda X: X.sum(axis=1), [[0, 1]] * 2)
    assert logging.getLogger().handlers == [handler], logging.getLogger().handlers
    assert os.listdir(".") == [], os.listdir(".")
    logging.getLogger().warning("still here")
    """
    os.chmod(tmp_path, 0o555)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "still here" in done.stdout


def test_hundreds_of_variables_descend_without_a_matrix_for_each_start():
    n = 300
    scales = np.geomspace(1.0, 100.0, n)

    class Valley:
        def __call__(self, X):
            return (scales * (X - 0.4) ** 2).sum(axis=1) + np.cos(X.sum(axis=1) / 20.0)

        def value_and_grad(self, X):
            slopes = 2.0 * scales * (X - 0.4)
            return self(X), slopes - np.sin(X.sum(axis=1) / 20.0)[:, None] / 20.0

    search = MultiStartBFGS(n_starts=64, n_rounds=1, n_candidates=256, random_state=0)
    result = search.minimize(Valley(), np.array([[0.0, 1.0]] * n))
    slope = Valley().value_and_grad(result.x[None])[1]
    assert np.abs(slope).max() < 1e-4
