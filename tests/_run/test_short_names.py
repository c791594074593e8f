"""Components by short names."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_proxyopt import NeuralProxyRegressor, ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt.optimizers import (
    DifferentialEvolution,
    GeneticAlgorithm,
    MultiStartBFGS,
    ParticleSwarm,
)
from sklearn_proxyopt.proxies import KernelProxyRegressor, ProxyRegressor
from sklearn_proxyopt.samplers import (
    HaltonSampler,
    LatinHypercubeSampler,
    SobolSampler,
    UniformSampler,
)

BOX = [[-1.0, 1.0], [-1.0, 1.0]]
X = SobolSampler(32, random_state=0).sample(BOX)
SAMPLERS = {
    "halton": HaltonSampler,
    "lhs": LatinHypercubeSampler,
    "sobol": SobolSampler,
    "uniform": UniformSampler,
}
OPTIMIZERS = {
    "bfgs": MultiStartBFGS,
    "de": DifferentialEvolution,
    "ga": GeneticAlgorithm,
    "pso": ParticleSwarm,
}


def bowl(X):
    return ((X - 0.3) ** 2).sum(axis=1)


def quick(**parameters):
    defaults = {
        "proxy": NeuralProxyRegressor((8,), max_epochs=5),
        "verdict": False,
        "vectorized": True,
        "random_state": 0,
    }
    return ProxyOptimizer(**(defaults | parameters))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_by_name_is_that_optimizer(name):
    by_name = quick(optimizer=name).fit(X, bowl(X))
    assert type(by_name.optimizer_) is OPTIMIZERS[name]
    assert_array_equal(by_name.x_, quick(optimizer=OPTIMIZERS[name]()).fit(X, bowl(X)).x_)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_by_name_has_the_size_that_the_budget_pays_for(name):
    opt = quick(sampler=name, optimizer=MultiStartBFGS(4, 10, n_rounds=1, n_candidates=32))
    opt.minimize(bowl, BOX, budget=30)
    design = SAMPLERS[name](10, random_state=0).sample(BOX)
    assert len(design) == 30 // 3
    assert opt.result_.nfev <= 30
    assert opt.get_params()["sampler"] == name


def test_a_sampler_by_name_has_the_usual_size_without_a_budget():
    opt = ParetoOptimizer(sampler="halton", bounds=BOX, random_state=0)
    assert len(opt.ask(256)) == 256


def test_gaussian_processes_by_name_are_the_kernel_proxy():
    opt = ProxyOptimizer(proxy="gp", random_state=0).fit(X, bowl(X))
    assert type(opt.proxy_) is KernelProxyRegressor
    assert np.abs(opt.x_ - 0.3).max() < 1e-3


def test_the_network_is_taken_by_name_and_for_a_ladder_of_smooth_ones():
    opt = ProxyOptimizer(proxy="neural", optimizer="bfgs", random_state=0).fit(X, bowl(X))
    assert type(opt.proxy_) is NeuralProxyRegressor
    smoothed = ProxyOptimizer(smoothing=0.2, random_state=0).fit(X, bowl(X))
    assert type(smoothed.proxy_) is NeuralProxyRegressor


def test_the_default_takes_what_the_rows_favour():
    opt = ProxyOptimizer(random_state=0).fit(X, bowl(X))
    assert type(opt.proxy_) is ProxyRegressor
    assert np.abs(opt.x_ - 0.3).max() < 1e-3
    front = ParetoOptimizer(random_state=0).fit(X, np.column_stack([bowl(X), bowl(X + 0.3)]))
    assert type(front.proxy_) is ProxyRegressor


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"sampler": "sobl"}, "sampler must be an instance, None, or one of the names 'halton', "),
        ({"proxy": "krig"}, "proxy must be .* one of the names 'gp', 'neural'; got 'krig'"),
        ({"optimizer": "PSO"}, "optimizer must be .* 'bfgs', 'de', 'ga', 'pso'; got 'PSO'"),
    ],
)
def test_an_unknown_name_is_refused_with_those_there_are(parameters, message):
    with pytest.raises(ValueError, match=message):
        quick(**parameters).fit(X, bowl(X))


@pytest.mark.parametrize("value", [None, "neural"])
def test_a_grid_over_parameters_of_no_instance_is_told_which_one_to_pass(value):
    search = GridSearchCV(
        ProxyOptimizer(proxy=value), {"proxy__max_epochs": [3, 5]}, cv=2, error_score="raise"
    )
    with pytest.raises(ValueError, match=r"proxy must be an instance .*NeuralProxyRegressor\(\)"):
        search.fit(X, bowl(X))


def test_a_component_and_its_parameters_are_set_together():
    opt = ProxyOptimizer().set_params(proxy=NeuralProxyRegressor(), proxy__max_epochs=7)
    assert opt.proxy.max_epochs == 7


def test_names_are_kept_by_clones():
    opt = clone(ProxyOptimizer(sampler="lhs", optimizer="ga"))
    assert (opt.sampler, opt.optimizer) == ("lhs", "ga")


def test_a_front_is_not_found_by_an_optimizer_of_one_value():
    with pytest.raises(ValueError, match="optimizer must find a front"):
        ParetoOptimizer(optimizer="pso").fit(X, np.column_stack([bowl(X), bowl(-X)]))
