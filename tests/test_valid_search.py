import itertools

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, NonlinearConstraint, minimize

from sklearn_proxyopt import NeuralProxyRegressor
from sklearn_proxyopt._proxy_search._functions import RegressorFunction
from sklearn_proxyopt._proxy_search._mixed_search import MixedSearch
from sklearn_proxyopt._proxy_search._on_axes import AxesFunction
from sklearn_proxyopt.optimizers import (
    DifferentialEvolution,
    GeneticAlgorithm,
    MultiStartBFGS,
    ParticleSwarm,
)
from sklearn_proxyopt.optimizers._functions import ProxyFunction
from sklearn_proxyopt.variables import Integer, Ordinal, Periodic, Real, Variables

OPTIMIZERS = [
    MultiStartBFGS(32, n_rounds=6, random_state=0),
    ParticleSwarm(random_state=0),
    GeneticAlgorithm(random_state=0),
    DifferentialEvolution(random_state=0),
]


def rosenbrock(X):
    return 100 * (X[:, 1] - X[:, 0] ** 2) ** 2 + (1 - X[:, 0]) ** 2


class OnFeatures(ProxyFunction):
    """A function of rows as one of features, which spies on the rows it is asked about."""

    def __init__(self, fun, variables):
        self.fun, self.variables = fun, variables

    def __call__(self, Z):
        kinds = self.variables.kinds
        is_plain = ~(kinds.is_category | kinds.is_periodic)
        X = np.empty((len(Z), len(kinds.is_whole)))
        X[:, is_plain] = Z[:, : is_plain.sum()]
        column = is_plain.sum()
        for index in np.flatnonzero(kinds.is_periodic):
            (low, high), (sine, cosine) = kinds.box[index], Z[:, column : column + 2].T
            X[:, index] = low + (high - low) * (np.arctan2(sine, cosine) / 2 / np.pi % 1.0)
            column += 2
        for index, labels in kinds.levels.items():
            X[:, index] = Z[:, column : column + len(labels)].argmax(axis=1)
            column += len(labels)
        X[:, kinds.is_log] = np.exp(X[:, kinds.is_log])
        return self.fun(X)


def search(fun, variables, optimizer=OPTIMIZERS[0], n_starts=10):
    u = np.random.default_rng(0).random((n_starts, variables.n_features))
    starts = variables.snap(variables.from_unit_cube(u))
    starts = starts[variables.is_feasible(starts)]
    values = fun(starts)
    valid = MixedSearch(
        OnFeatures(fun, variables), variables, float(np.median(values) - values.min())
    )
    return valid.finish(valid.run(optimizer, starts, None), starts)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda one: type(one).__name__)
def test_rosenbrock_in_a_disk_is_solved(optimizer):
    disk = NonlinearConstraint(lambda x: x @ x, -np.inf, 1.0)
    variables = Variables([(-1.5, 1.5)] * 2, constraints=disk)
    result = search(rosenbrock, variables, optimizer)
    known = minimize(
        lambda x: rosenbrock(x[None])[0], [0.5, 0.5], constraints=disk, method="SLSQP", tol=1e-12
    )
    np.testing.assert_allclose(result.x, known.x, atol=1e-3)
    assert variables.is_feasible(result.x_candidates).all()


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda one: type(one).__name__)
def test_whole_numbers_are_those_of_an_enumeration(optimizer):
    matrix = np.array([[1.3, 0.4, 0.2], [0.4, 0.9, -0.3], [0.2, -0.3, 1.1]])

    def bowl(X):
        away = X - np.array([2.4, 7.6, 4.5])
        return np.einsum("ij,jk,ik->i", away, matrix, away)

    every = np.array(list(itertools.product(range(11), repeat=3)), dtype=float)
    every = every[every.sum(axis=1) <= 12]
    limit = LinearConstraint([[1, 1, 1]], ub=12.0)
    result = search(bowl, Variables([Integer(0, 10)] * 3, constraints=limit), optimizer)
    np.testing.assert_array_equal(result.x, every[bowl(every).argmin()])


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda one: type(one).__name__)
def test_the_best_category_is_found_with_its_own_optimum(optimizer):
    centers, levels = np.array([-1.0, 2.0, 0.5]), np.array([0.3, 0.0, 0.1])

    def pits(X):
        code = X[:, 1].astype(int)
        return (X[:, 0] - centers[code]) ** 2 + levels[code]

    result = search(pits, Variables([(-3, 3), list("abc")]), optimizer)
    np.testing.assert_allclose(result.x, [2.0, 1.0], atol=1e-2)


def test_a_thin_linear_polytope_of_ten_variables_is_solved():
    rng = np.random.default_rng(1)
    target = rng.uniform(0.0, 0.3, 10)
    matrix = np.vstack([np.ones(10), np.eye(10)[0] - np.eye(10)[1]])
    thin = LinearConstraint(matrix, [-np.inf, -1e-3], [1.0, 1e-3])

    def bowl(X):
        return np.square(X - target).sum(axis=1)

    variables = Variables([(0, 1)] * 10, constraints=thin)
    result = search(bowl, variables)
    known = minimize(
        lambda x: bowl(x[None])[0],
        np.full(10, 0.05),
        bounds=[(0, 1)] * 10,
        constraints=thin,
        method="SLSQP",
        tol=1e-12,
    )
    assert result.fun < known.fun + 1e-6
    assert variables.is_feasible(result.x[None])[0]


def test_an_equation_is_kept():
    sphere = NonlinearConstraint(lambda x: x @ x, 1.0, 1.0)
    result = search(lambda X: X.sum(axis=1), Variables([(-2, 2)] * 3, constraints=sphere))
    np.testing.assert_allclose(result.x, -np.ones(3) / np.sqrt(3), atol=1e-4)


# The function on the axes.


def proxy_of(variables, n_rows=60):
    X = variables.from_unit_cube(np.random.default_rng(0).random((n_rows, variables.n_axes)))
    y = np.sin(X[:, 0]) + X[:, 1] + np.log(X[:, -1])
    proxy = NeuralProxyRegressor(max_epochs=5, random_state=0)
    return RegressorFunction(proxy.fit(variables.features(X), y))


def mixed(constraints=()):
    return Variables(
        [(0.0, 10.0), Integer(1, 8), ["a", "b", "c"], Real(0.1, 100.0, log=True)],
        constraints=constraints,
    )


@pytest.mark.parametrize("relaxed", [False, True])
def test_the_torch_module_says_what_the_function_says(relaxed):
    torch = pytest.importorskip("torch")
    variables = mixed(constraints=LinearConstraint([[1, 1, 0, 0.1]], 3.0, 12.0))
    function = AxesFunction(proxy_of(variables), variables, 7.0, relaxed=relaxed)
    Z = np.random.default_rng(1).uniform(*variables.axes.T, (50, 4))
    values = function.torch_module()(torch.from_numpy(Z)).detach().numpy()[:, 0]
    np.testing.assert_allclose(values, function(Z), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("relaxed", [False, True])
@pytest.mark.parametrize(
    "constraint",
    [
        None,
        LinearConstraint([[1, 1, 0, 0.1]], 3.0, 12.0),
        NonlinearConstraint(lambda x: x[0] * np.log(x[3]), 2.0, 4.0),
    ],
    ids=["free", "linear", "nonlinear"],
)
def test_gradients_on_the_axes_are_those_of_differences(constraint, relaxed):
    variables = mixed(constraints=() if constraint is None else constraint)
    function = AxesFunction(proxy_of(variables), variables, 0.5, relaxed=relaxed)
    lower, upper = variables.axes.T
    # Not on the edge of a cell.
    Z = np.random.default_rng(1).uniform(lower + 0.6, upper - 0.6, (20, 4))
    Z[:, 2] = 1.0
    Z[:, 1] = np.rint(Z[:, 1]) + 0.2
    values, gradient = function.value_and_grad(Z)
    np.testing.assert_allclose(values, function(Z), rtol=1e-5)
    step = 1e-3
    for j in range(4):
        move = step * np.eye(4)[j]
        slope = (function(Z + move) - function(Z - move)) / (2 * step)
        np.testing.assert_allclose(gradient[:, j], slope, rtol=0.02, atol=0.02)


def test_linear_constraints_on_large_numbers_leave_finite_gradients():
    torch = pytest.importorskip("torch")
    variables = Variables(
        [(0.0, 5000.0), Real(1.0, 10.0, log=True)],
        constraints=LinearConstraint([[1, 1]], -np.inf, 2000.0),
    )
    function = AxesFunction(proxy_of(variables), variables, 1.0)
    Z = np.random.default_rng(1).uniform(*variables.axes.T, (20, 2))
    points = torch.from_numpy(Z).requires_grad_()
    (gradient,) = torch.autograd.grad(function.torch_module()(points).sum(), points)
    np.testing.assert_allclose(gradient.numpy(), function.value_and_grad(Z)[1], rtol=1e-5)


def of_every_kind(constraints=()):
    return Variables(
        [
            Integer(100, 300, step=50),
            Periodic(0, 360),
            7.0,
            Ordinal(["S", "M", "L", "XL"]),
            Real(0.5, 3.0, step=0.25),
            ["a", "b", "c"],
            Real(0.1, 100.0, log=True),
        ],
        constraints=constraints,
    )


LIMIT = LinearConstraint([[0.01, 0.01, 1, 1, 1, 0, 0.1]], 10.0, 18.0)


@pytest.mark.parametrize("relaxed", [False, True])
def test_the_torch_module_knows_every_kind_of_variable(relaxed):
    torch = pytest.importorskip("torch")
    variables = of_every_kind(LIMIT).opened_at(np.array([100, 350.0, 7, 0, 0.5, 0, 1.0]))
    function = AxesFunction(proxy_of(variables), variables, 7.0, relaxed=relaxed)
    Z = np.random.default_rng(1).uniform(*variables.axes.T, (50, 6))
    values = function.torch_module()(torch.from_numpy(Z)).detach().numpy()[:, 0]
    np.testing.assert_allclose(values, function(Z), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("relaxed", [False, True])
def test_gradients_of_every_kind_are_those_of_differences(relaxed):
    variables = of_every_kind(LIMIT).opened_at(np.array([100, 350.0, 7, 0, 0.5, 0, 1.0]))
    function = AxesFunction(proxy_of(variables), variables, 0.5, relaxed=relaxed)
    width = np.ptp(variables.axes, axis=1)
    Z = variables.encode(variables.from_unit_cube(np.random.default_rng(1).random((20, 6))))
    Z = np.clip(Z, variables.axis_limits[0] + 0.01 * width, variables.axis_limits[1] - 0.01 * width)
    values, gradient = function.value_and_grad(Z)
    np.testing.assert_allclose(values, function(Z), rtol=1e-5)
    for j in range(6):
        move = 1e-4 * width[j] * np.eye(6)[j]
        slope = (function(Z + move) - function(Z - move)) / 2e-4
        np.testing.assert_allclose(gradient[:, j] * width[j], slope, rtol=0.02, atol=0.05)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda one: type(one).__name__)
def test_a_minimum_beside_the_end_of_a_period_is_found(optimizer):
    def turn(X):
        return 1.0 - np.cos(np.deg2rad(X[:, 0] - 359.0)) + (X[:, 1] - 0.3) ** 2

    result = search(turn, Variables([Periodic(0, 360), (0, 1)]), optimizer)
    np.testing.assert_allclose(result.x, [359.0, 0.3], atol=0.05)


def test_nothing_between_whole_numbers_has_a_value_of_its_own():
    variables = mixed()
    function = AxesFunction(proxy_of(variables), variables, 1.0)
    Z = np.random.default_rng(1).uniform(*variables.axes.T, (50, 4))
    np.testing.assert_array_equal(function(Z), function(variables.encode(variables.decode(Z))))
