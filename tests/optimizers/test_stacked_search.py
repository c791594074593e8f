from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression

from sklearn_proxyopt import NeuralProxyRegressor
from sklearn_proxyopt._proxy_search._functions import RegressorFunction
from sklearn_proxyopt._utils._global_random import preserved
from sklearn_proxyopt.optimizers import (
    DifferentialEvolution,
    GeneticAlgorithm,
    MultiStartBFGS,
    ParticleSwarm,
)
from sklearn_proxyopt.optimizers._particle_swarm import _import_backend, _unchanged
from sklearn_proxyopt.optimizers._stacked import FunctionStack, MemberStack, UnitCubeFunction
from sklearn_proxyopt.optimizers._swarms import BOUNDARIES, Swarms
from sklearn_proxyopt.problems import Rastrigin, Rosenbrock

BOX = np.array([[-1.0, 1.0], [-2.0, 2.0]])
swarms = partial(ParticleSwarm, 20, 60, random_state=0)


@pytest.fixture(scope="module")
def ensemble():
    """Three members that disagree, since each has a few rows of its own."""
    rng = np.random.default_rng(0)
    X = rng.uniform(BOX[:, 0], BOX[:, 1], (40, 2))
    y = np.cos(3 * X[:, 0]) + (X[:, 1] - 0.5) ** 2 + 0.3 * rng.standard_normal(40)
    return NeuralProxyRegressor(
        (16, 16), n_members=3, bootstrap=True, max_epochs=60, features=None, random_state=0
    ).fit(X, y)


def stack_of_rastrigin():
    return FunctionStack(UnitCubeFunction(Rastrigin(2), Rastrigin(2).bounds))


@pytest.mark.parametrize("boundary", sorted(BOUNDARIES))
def test_a_swarm_among_many_moves_as_pyswarms_moves_it(boundary):
    weights = {"inertia": 0.9, "cognitive": 0.5, "social": 0.3}
    rng = np.random.default_rng(1)
    position = rng.random((3, 10, 2))
    velocity = rng.uniform(-0.9, 0.9, (3, 10, 2))
    stack = stack_of_rastrigin()
    many = Swarms(
        stack, torch.tensor(position), torch.tensor(velocity), **weights, boundary=boundary
    )
    backend = _import_backend()
    with preserved():
        alone = []
        for k in range(3):
            swarm = backend.swarms.Swarm(
                position=position[k].copy(),
                velocity=velocity[k].copy(),
                options={"w": 0.9, "c1": 0.5, "c2": 0.3},
            )
            swarm.pbest_pos = swarm.position.copy()
            swarm.pbest_cost = stack.fun(swarm.position)
            alone.append(swarm)
        for move in range(25):
            draws = np.empty((2, 3, 10, 2))
            for k, swarm in enumerate(alone):
                # The numbers that pyswarms draws are handed to the swarms that fly together.
                np.random.seed(100 * move + k)
                draws[0, k], draws[1, k] = np.random.random((10, 2)), np.random.random((10, 2))
                np.random.seed(100 * move + k)
                leader = swarm.pbest_cost.argmin()
                swarm.best_pos = swarm.pbest_pos[leader]
                swarm.velocity = backend.operators.compute_velocity(swarm, None, _unchanged)
                swarm.position = backend.operators.compute_position(
                    swarm, (0.0, 1.0), lambda x, b: BOUNDARIES[boundary](torch.tensor(x)).numpy()
                )
                swarm.current_cost = stack.fun(swarm.position)
                swarm.pbest_pos, swarm.pbest_cost = backend.operators.compute_pbest(swarm)
            many.move(torch.tensor(draws))
            for k, swarm in enumerate(alone):
                np.testing.assert_allclose(many.position[k], swarm.position, atol=1e-12)
                np.testing.assert_allclose(many.best_value[k], swarm.pbest_cost, atol=1e-9)


@pytest.mark.parametrize("boundary", sorted(BOUNDARIES))
def test_a_boundary_keeps_particles_inside(boundary):
    x = torch.linspace(-3.0, 4.0, 1001, dtype=torch.float64)
    kept = BOUNDARIES[boundary](x)
    assert ((kept >= 0) & (kept <= 1)).all()
    inside = (x >= 0) & (x <= 1)
    torch.testing.assert_close(kept[inside], x[inside])


def test_each_restart_has_an_end_of_its_own_and_the_best_is_the_answer():
    problem = Rastrigin(5)
    result = swarms(n_restarts=6).minimize(problem, problem.bounds)
    assert result.x_restarts.shape == (6, 5)
    assert len(set(result.fun_restarts.round(6))) > 1
    np.testing.assert_allclose(problem(result.x_restarts), result.fun_restarts)
    assert result.fun == result.fun_restarts.min()
    assert result.nfev == 6 * 20 * (result.nit + 1)


def test_points_to_start_from_are_particles_of_the_first_restart():
    problem = Rosenbrock(3)
    result = swarms(n_restarts=3).minimize(problem, problem.bounds, x0=problem.x_opt)
    assert result.fun_restarts[0] == 0.0
    assert (result.fun_restarts[1:] > 0).all()


def test_many_swarms_stop_when_none_gains():
    result = swarms(n_restarts=4, n_iter_no_change=5).minimize(lambda X: np.zeros(len(X)), BOX)
    assert result.nit == 5
    assert result.message == "No lower value in 5 moves."


def test_the_same_seed_flies_many_swarms_the_same_way(ensemble):
    first, second = (
        swarms(n_restarts=3).minimize(RegressorFunction(ensemble), BOX).fun_restarts
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_a_callback_sees_many_swarms_and_may_stop_them():
    seen = []
    result = swarms(n_restarts=3).minimize(
        Rastrigin(2),
        Rastrigin(2).bounds,
        callback=lambda state: seen.append(state) or state.nit == 4,
    )
    assert result.nit == 4
    assert result.message == "Stopped by the callback."
    values = [state.fun for state in seen]
    assert values == sorted(values, reverse=True)


OPTIMIZERS = [
    MultiStartBFGS(16, n_candidates=256, random_state=0),
    ParticleSwarm(60, random_state=0),
    ParticleSwarm(60, n_restarts=2, random_state=0),
    DifferentialEvolution(random_state=0),
    GeneticAlgorithm(100, 100, random_state=0),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_the_minimum_of_each_member_is_found(ensemble, optimizer):
    grid = np.stack(np.meshgrid(*[np.linspace(low, high, 301) for low, high in BOX]), axis=-1)
    lowest = ensemble.predict_members(grid.reshape(-1, 2)).min(axis=1)
    results = optimizer.minimize_members(ensemble, BOX)
    assert len(results) == 3
    for k, result in enumerate(results):
        assert result.fun <= lowest[k] + 5e-3 * abs(lowest[k])
        np.testing.assert_allclose(ensemble.predict_members([result.x])[k], result.fun, rtol=1e-6)
        assert result.nfev > 100


@pytest.mark.parametrize("optimizer", OPTIMIZERS[:3], ids=repr)
def test_members_are_searched_from_the_points_given(ensemble, optimizer):
    best = MultiStartBFGS(random_state=0).minimize_members(ensemble, BOX)
    start = np.array([result.x for result in best])
    for result, reference in zip(
        optimizer.minimize_members(ensemble, BOX, x0=start), best, strict=True
    ):
        assert result.fun <= reference.fun + 1e-9


def test_a_row_of_one_function_costs_no_other(ensemble):
    stack = MemberStack(ensemble.torch_module(), BOX, each=True)
    u = torch.rand(7, 2, dtype=torch.float64)
    which = torch.tensor([0, 0, 0, 0, 2, 2, 2])
    values, gradients = stack.at(u, which)
    assert list(stack.nfev) == [4, 0, 3]
    for k in (0, 2):
        rows = BOX[:, 0] + u[which == k].numpy() * (BOX[:, 1] - BOX[:, 0])
        value, gradient = ensemble.value_and_grad(rows, member=k)
        np.testing.assert_allclose(values[which == k], value, rtol=1e-10)
        np.testing.assert_allclose(
            gradients[which == k], gradient * (BOX[:, 1] - BOX[:, 0]), rtol=1e-8
        )


@pytest.mark.parametrize("proxy", [LinearRegression(), Rastrigin(2), None], ids=repr)
def test_what_has_no_members_is_refused(proxy):
    with pytest.raises(ValueError, match="proxy must have members, as NeuralProxyRegressor has"):
        MultiStartBFGS().minimize_members(proxy, BOX)


def test_members_of_several_targets_are_refused():
    X = np.random.default_rng(0).random((60, 2))
    proxy = NeuralProxyRegressor((4,), n_members=2, max_epochs=1).fit(X, X)
    with pytest.raises(ValueError, match="proxy must have one target; got 2"):
        ParticleSwarm().minimize_members(proxy, BOX)


@pytest.mark.parametrize("n_restarts", [0, 1.5, "many"])
def test_a_number_of_restarts_that_is_none_is_refused(n_restarts):
    with pytest.raises(ValueError, match="n_restarts must be an integer of at least 1; got"):
        ParticleSwarm(n_restarts=n_restarts).minimize(Rastrigin(2), Rastrigin(2).bounds)
