"""The curvature that descents remember: exact for quadratics, small where variables are many."""

import numpy as np
import pytest
import torch

from sklearn_proxyopt.optimizers._curvature import LimitedCurvature, ScaledCurvature
from sklearn_proxyopt.optimizers._descents import DescentBatch, Search
from sklearn_proxyopt.optimizers._stacked import Stack


class Quadratic(Stack):
    """A bowl as a stack of one function."""

    def __init__(self):
        self.device, self.dtype = torch.device("cpu"), torch.float64

        self.n_functions = 1

    def values(self, u):
        return (u - 0.4).square().sum(dim=2)

    def values_and_gradients(self, u):
        return self.values(u), 2.0 * (u - 0.4)


def steps_along_axes(n):
    """Steps along each axis, and the changes that the Hessian with entries 1, 2, ... makes."""
    return torch.eye(n, dtype=torch.float64), torch.diag(torch.arange(1.0, n + 1)).double()


@pytest.mark.parametrize("kind", [ScaledCurvature, lambda like: LimitedCurvature(like, 4)])
def test_the_curvature_of_a_quadratic_is_learned_in_as_many_steps_as_variables(kind):
    n, row = 4, torch.tensor([0])
    steps, changes = steps_along_axes(n)
    curvature = kind(torch.zeros(1, n, dtype=torch.float64))
    for step, change in zip(steps, changes, strict=True):
        curvature.learn(row, step[None], change[None])
    newton = curvature.times(row, torch.ones(1, n, dtype=torch.float64))
    np.testing.assert_allclose(newton[0], 1.0 / np.arange(1.0, n + 1))
    curvature.forget(row)
    np.testing.assert_array_equal(curvature.times(row, changes[:1]), changes[:1])


@pytest.mark.parametrize(("n_features", "has_matrices"), [(100, True), (101, False)])
def test_there_is_a_matrix_for_each_start_where_variables_are_few(n_features, has_matrices):
    starts = np.random.default_rng(0).random((8, n_features))
    batch = DescentBatch(Quadratic(), [0], [Search(starts, np.arange(8.0), None, 8, 1e-8)])
    held = sum(one.numel() for one in vars(batch._curvature).values())
    assert (held >= 8 * n_features**2) == has_matrices
    while batch.n_running:
        batch.advance()
    ((points, _, _),) = batch.ends()
    assert np.abs(points - 0.4).max() < 1e-6
