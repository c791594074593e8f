"""Searches that a GPU makes without asking the host: they are those of the loops."""

import numpy as np
import pytest
import torch

from sklearn_proxyopt import NeuralProxyRegressor
from sklearn_proxyopt._proxy_search._functions import RegressorFunction
from sklearn_proxyopt._utils import _crossovers
from sklearn_proxyopt.optimizers import MultiStartBFGS, ParticleSwarm, batched_bfgs
from sklearn_proxyopt.optimizers import _batched_bfgs as batched
from sklearn_proxyopt.optimizers import _particle_swarm as swarm
from sklearn_proxyopt.optimizers._stacked import MemberStack
from sklearn_proxyopt.problems.physics import KuramotoSivashinsky

BOX = np.array([[-1.0, 1.0], [-1.0, 1.0]])
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def bowl(X):
    return np.square(X - [0.3, -0.2]).sum(axis=1)


@pytest.fixture(scope="module")
def proxy():
    X = np.random.default_rng(0).uniform(-1.0, 1.0, (200, 2))
    settings = {"n_members": 3, "max_epochs": 10, "trend": "quadratic", "random_state": 0}
    return NeuralProxyRegressor((8,), **settings).fit(X, bowl(X))


@pytest.mark.parametrize("patience", [5, None])
def test_a_flight_of_its_own_ends_in_the_minimum(monkeypatch, proxy, patience):
    flock = ParticleSwarm(20, 47, n_restarts=2, n_iter_no_change=patience, random_state=0)
    followed = flock.minimize(RegressorFunction(proxy), BOX)
    monkeypatch.setattr(swarm, "takes_one_launch", lambda stack: True)
    alone = flock.minimize(RegressorFunction(proxy), BOX)
    assert alone.fun == pytest.approx(followed.fun, abs=1e-3)
    assert alone.message == followed.message
    assert alone.nfev == 40 * (alone.nit + 1)


def test_a_flight_that_may_not_move_stays_where_it_began(monkeypatch, proxy):
    monkeypatch.setattr(swarm, "takes_one_launch", lambda stack: True)
    flock = ParticleSwarm(20, 1, n_restarts=2, random_state=0)
    (found, *_) = flock.minimize_members(proxy, BOX)
    assert (found.nit, found.nfev) == (1, 80)


class Valleys:
    """Bowls of different widths, with their lowest points in different places."""

    is_static = True

    def __init__(self, n_problems, device="cpu"):
        generator = torch.Generator().manual_seed(0)
        shape = (n_problems, 3)
        self.places = torch.randn(shape, generator=generator, dtype=torch.float64).to(device)
        self.widths = torch.rand(shape, generator=generator, dtype=torch.float64).to(device)

    def __call__(self, x, rows):
        away = (x - self.places[rows]) / (0.1 + self.widths[rows])
        return (away.square().sum(dim=1) + 1.0).log()


def test_problems_evaluated_all_together_take_the_steps_of_those_that_run(monkeypatch):
    fun = Valleys(20)
    start = np.zeros((20, 3))
    running = batched_bfgs(fun, start)
    monkeypatch.setattr(batched, "takes_static_moves", lambda *settings: True)
    every = batched_bfgs(fun, start)
    np.testing.assert_allclose(every.x, running.x, rtol=1e-9)
    np.testing.assert_array_equal(every.nfev, running.nfev)
    np.testing.assert_array_equal(every.status, running.status)


def test_problems_that_end_each_in_their_own_way_do_so_with_masks(monkeypatch):
    def fun(x, rows):
        value = Valleys(20)(x, rows)
        return torch.where(rows == 3, torch.nan, value)

    start = Valleys(20).places.numpy() + np.linspace(0.0, 3.0, 20)[:, None]
    settings = {"max_iterations": 6, "value_tolerance": 1e-3}
    running = batched_bfgs(fun, start, **settings)
    monkeypatch.setattr(batched, "takes_static_moves", lambda *settings: True)
    every = batched_bfgs(fun, start, **settings)
    assert {0, 1, 3} <= set(running.status)
    np.testing.assert_array_equal(every.status, running.status)
    np.testing.assert_array_equal(every.nit, running.nit)
    np.testing.assert_allclose(every.x, running.x, rtol=1e-9)


def test_a_callback_ends_problems_with_masks(monkeypatch):
    monkeypatch.setattr(batched, "takes_static_moves", lambda *settings: True)
    found = batched_bfgs(Valleys(5), np.zeros((5, 3)), callback=lambda state: True)
    assert found.status.tolist() == [4] * 5
    assert found.nfev.tolist() == [2] * 5


def test_a_proxy_that_may_move_is_searched_where_the_work_pays(monkeypatch, proxy):
    asked = []
    monkeypatch.setattr(
        _crossovers,
        "search_device",
        lambda work, dtype, was_there: asked.append(work) or torch.device("cpu"),
    )
    ParticleSwarm(20, 2, n_restarts=4, random_state=0).minimize_members(proxy, BOX)
    MultiStartBFGS(10, n_rounds=1, random_state=0).minimize(RegressorFunction(proxy), BOX)
    n_weights = proxy.torch_module().n_products
    assert asked == [80 * n_weights, 10 * n_weights]


@pytest.mark.cuda
@needs_cuda
class TestOnCuda:
    @pytest.mark.parametrize(
        "optimizer",
        [
            ParticleSwarm(50, 200, n_restarts=3, random_state=0),
            MultiStartBFGS(16, random_state=0),
        ],
        ids=["swarms", "bfgs"],
    )
    def test_the_minima_are_those_of_the_cpu(self, monkeypatch, proxy, optimizer):
        here = optimizer.minimize_members(proxy, BOX)
        monkeypatch.setattr(_crossovers, "_PRODUCTS_OF_A_SEARCH_STEP", 1.0)
        assert MemberStack(proxy.torch_module(), BOX, True, n_rows=9).device.type == "cuda"
        there, again = (optimizer.minimize_members(proxy, BOX) for _ in range(2))
        for one, other, same in zip(here, there, again, strict=True):
            assert other.fun == pytest.approx(one.fun, abs=1e-6)
            np.testing.assert_allclose(other.x, one.x, atol=1e-3)
            np.testing.assert_array_equal(other.x, same.x)
            assert other.nfev == same.nfev

    def test_recorded_problems_are_solved_as_on_the_cpu(self):
        there = Valleys(50, "cuda")
        start = torch.zeros(50, 3, dtype=torch.float64)
        here = batched_bfgs(Valleys(50), start)
        found = batched_bfgs(there, start.cuda())
        np.testing.assert_allclose(found.x, here.x, atol=1e-6)
        np.testing.assert_array_equal(found.status, here.status)

    def test_a_simulation_can_be_recorded(self):
        from sklearn_proxyopt.inverse import DirectInverse, InverseProblem

        model = KuramotoSivashinsky(n_points=32, n_steps=8)
        X, _ = model.sample(12, random_state=0)
        here, there = (
            DirectInverse(InverseProblem(model), device=device).fit(X) for device in ("cpu", "cuda")
        )
        np.testing.assert_allclose(there.solutions_, here.solutions_, atol=1e-6)
        assert there.n_forward_calls_ == here.n_forward_calls_
