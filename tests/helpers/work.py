"""Small pieces of work whose results are compared to the last bit, wherever they are done."""

import random
import warnings

import numpy as np
import torch
from skorch import NeuralNetRegressor
from torch.utils.data import DataLoader

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt.inverse import (
    ConvNet,
    InverseProblem,
    LandscapeInverse,
    NeuralAdjointInverse,
    ReparameterizedInverse,
    SupervisedInverse,
)
from sklearn_proxyopt.optimizers import GeneticAlgorithm, MultiStartBFGS, ParticleSwarm
from sklearn_proxyopt.problems.physics import WavePacket
from sklearn_proxyopt.proxies import KernelProxyRegressor
from sklearn_proxyopt.samplers import SobolSampler

BOX = np.array([[-1.0, 1.0], [0.0, 50.0]])
OWN_ITERATOR = {"iterator_train": DataLoader, "iterator_train__shuffle": True}
ROWS = np.random.default_rng(0).uniform(*BOX.T, (60, 2))


def bowl(X):
    return (X[:, 0] - 0.3) ** 2 + ((X[:, 1] - 20.0) / 25.0) ** 2 + 0.1 * np.cos(9 * X[:, 0])


def with_dropout(n_features, n_outputs):
    layers = [torch.nn.Linear(n_features, 8), torch.nn.Dropout(0.2), torch.nn.Tanh()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(8, n_outputs))


def predictions(proxy):
    return np.column_stack([*proxy.value_and_grad(ROWS[:9]), proxy.predict(ROWS[:9])])


def neural(**params):
    settings = {"hidden_layer_sizes": (8,), "max_epochs": 8, "random_state": 0, **params}
    return predictions(NeuralProxyRegressor(**settings).fit(ROWS, bowl(ROWS)))


def plain_skorch():
    sizes = {"module__n_features": 2, "module__n_outputs": 1}
    net = NeuralNetRegressor(with_dropout, **sizes, max_epochs=3, train_split=None, verbose=0)
    optimizer = MultiStartBFGS(4, 5, n_rounds=1, n_candidates=16)
    opt = ProxyOptimizer(proxy=net, optimizer=optimizer, bounds=BOX, random_state=0)
    return opt.fit(ROWS, bowl(ROWS)).predict(ROWS[:9])


def kernel():
    return predictions(KernelProxyRegressor(random_state=0).fit(ROWS, bowl(ROWS)))


def inverse(solver, **params):
    problem = WavePacket()
    X = problem.sample(8, random_state=0)[0]
    solver = solver(InverseProblem(problem), n_iterations=5, random_state=0, **params).fit(X)
    return np.vstack([solver.solutions_, solver.predict(X[:2] + 0.01)])


def minimize(**params):
    settings = {
        "proxy": NeuralProxyRegressor((8,), n_members=2, max_epochs=8),
        "optimizer": MultiStartBFGS(4, 5, n_rounds=1, n_candidates=16),
        "sampler": SobolSampler(24),
        "vectorized": True,
        "random_state": 0,
        **params,
    }
    result = ProxyOptimizer(**settings).minimize(bowl, BOX, budget=32)
    return np.append(result.x, result.fun)


def on_a_proxy(optimizer):
    proxy = NeuralProxyRegressor((8,), max_epochs=3, random_state=0).fit(ROWS, bowl(ROWS))
    return optimizer.minimize(proxy.predict, BOX).x


# Names of pieces of work, so that another process finds them too.
WORK = {
    "proxy": neural,
    "ensemble in single precision": lambda: neural(n_members=3, dtype="float32", bootstrap=True),
    "ladder of noise": lambda: neural(n_members=2, input_noise=(0.1, 0.0), features="random"),
    "all of a proxy": lambda: neural(trend="additive", features="axes", n_lbfgs_iterations=3),
    "module with dropout": lambda: neural(module=with_dropout, n_members=2),
    "iterator of one's own": lambda: neural(net=OWN_ITERATOR),
    "plain skorch net": plain_skorch,
    "kernel proxy": kernel,
    "reparameterized": lambda: inverse(ReparameterizedInverse, n_networks=2),
    "supervised": lambda: inverse(SupervisedInverse, network=ConvNet((4, 4)), dtype="float32"),
    "supervised with dropout": lambda: inverse(SupervisedInverse, network=row_network),
    "adjoint": lambda: inverse(NeuralAdjointInverse, hidden_layer_sizes=(8,)),
    "landscape": lambda: inverse(LandscapeInverse, n_pairs=32, input_noise=0.1, n_starts=2),
    "run": minimize,
    "run in single precision": lambda: minimize(
        proxy=NeuralProxyRegressor((8,), n_members=2, max_epochs=8, dtype="float32")
    ),
    "swarm": lambda: on_a_proxy(ParticleSwarm(8, 5, random_state=0)),
    "swarms": lambda: on_a_proxy(ParticleSwarm(8, 5, n_restarts=2, random_state=0)),
    "genetic": lambda: on_a_proxy(GeneticAlgorithm(8, 5, random_state=0)),
}


def row_network(observation_shape, condition_shape, n_outputs):
    return _Flat(with_dropout(int(np.prod(observation_shape)), n_outputs))


class _Flat(torch.nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = layers

    def forward(self, observed, conditions):
        return self.layers(observed.flatten(1))


def work(name):
    """Do a piece of work and return what comes of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return WORK[name]()


def generators():
    """Return where the global generators of Python, NumPy and torch stand."""
    numpy = np.random.get_state()
    return random.getstate(), numpy[1].tolist(), numpy[2:], torch.get_rng_state().tolist()
