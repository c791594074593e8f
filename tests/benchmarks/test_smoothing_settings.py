"""What the benchmark of regularizers changes in a network, and its simulator of 1 to 8 unknowns."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import smoothing_settings

from sklearn_proxyopt.inverse import DenseNet
from sklearn_proxyopt.inverse._landscape_network import LandscapeNetwork
from sklearn_proxyopt.inverse._networks import build_network


@pytest.fixture
def network():
    rows = torch.zeros(2, 5, dtype=torch.float64)
    branch = build_network(
        DenseNet((8,)), rows, (5,), (0,), 128, torch.float32, np.random.default_rng(0), False
    )
    generator = torch.Generator().manual_seed(0)
    return LandscapeNetwork(branch, 2, (16, 16), 8, 1.0, True, torch.float32, generator)


def known(network):
    return network.of_parameters(torch.full((1, 2), 0.3), torch.zeros(1, 1))


def test_dropout_acts_while_a_network_learns_and_not_after(network):
    plain = known(network)
    smoothing_settings.drop_out(network, 0.5)
    assert not torch.equal(known(network), plain)
    torch.testing.assert_close(known(network.eval()), plain)


def test_spectral_norms_of_all_layers_are_bounded(network):
    smoothing_settings.bound_norms(network, 0.5)
    known(network)
    layers = [layer for layer in network.trunk if isinstance(layer, torch.nn.Sequential)]
    assert len(layers) == 3
    for layer in layers:
        direct = layer[1](layer[0].weight)
        assert float(torch.linalg.matrix_norm(direct, 2)) == pytest.approx(0.5, rel=0.2)


def test_decay_pulls_weights_to_zero(network):
    smoothing_settings.decay_weights(network, 0.1)
    weight = network.trunk[0].weight
    (0.0 * known(network).sum()).backward()
    torch.testing.assert_close(weight.grad, 0.1 * weight.detach())


def test_unknowns_that_are_given_have_the_values_of_the_best_guess():
    few, all_of_them = (smoothing_settings.BurgersUnknowns(n) for n in (3, 8))
    given = torch.tensor([[0.5, 10.0, 3.0]], dtype=torch.float64)
    rest = torch.tensor(all_of_them.start[None, 3:])
    torch.testing.assert_close(few(given), all_of_them(torch.cat([given, rest], dim=1)))
