"""Many functions minimized together."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, rosen, rosen_der

from sklearn_proxyopt.inverse import DirectInverse, SupervisedInverse, minimize_many

BOX = [[-4.0, 4.0], [-4.0, 4.0]]
SHIFTS = np.random.default_rng(0).uniform(-1.0, 1.0, (8, 2))
X0 = np.random.default_rng(1).uniform(-1.0, 1.0, (8, 2))


def valleys(x, index):
    """Rosenbrock's valley, shifted for each function."""
    u = x - torch.tensor(SHIFTS)[index]
    return 100.0 * (u[:, 1] - u[:, 0] ** 2) ** 2 + (1.0 - u[:, 0]) ** 2


def waves(x, index):
    u = x - torch.tensor(SHIFTS)[index]
    return u.square().sum(dim=1) + 10.0 * (1.0 - torch.cos(2 * torch.pi * u)).sum(dim=1)


LISTED = [lambda x, shift=shift: rosen(x - shift) for shift in SHIFTS]
SLOPES = [lambda x, shift=shift: rosen_der(x - shift) for shift in SHIFTS]
BOTH = [lambda x, shift=shift: (rosen(x - shift), rosen_der(x - shift)) for shift in SHIFTS]


@pytest.mark.parametrize("bounds", [BOX, None])
@pytest.mark.parametrize(
    ("fun", "jac"),
    [(valleys, None), (LISTED, None), (LISTED, SLOPES), (BOTH, True)],
    ids=["torch", "differences", "slopes", "both"],
)
def test_functions_of_torch_and_of_scipy_have_the_same_minima(fun, jac, bounds):
    found = minimize_many(fun, X0, bounds, jac=jac)
    np.testing.assert_allclose(found.x, 1.0 + SHIFTS, atol=1e-3)
    assert found.x.shape == X0.shape
    assert found.fun.shape == found.success.shape == (8,)
    assert found.success.all()


def careless(x):
    x -= 1.0
    return float((x**2).sum())


def careless_slope(x):
    x -= 1.0
    return 2.0 * x


def careless_pair(x):
    return careless(x), 2.0 * x


def careless_in_torch(x, index):
    x -= 1.0
    return x.square().sum(dim=1)


@pytest.mark.parametrize(
    ("fun", "jac"),
    [
        (careless_in_torch, None),
        ([careless] * 2, None),
        ([careless] * 2, [careless_slope] * 2),
        ([careless_pair] * 2, True),
    ],
    ids=["torch", "differences", "slopes", "both"],
)
def test_functions_may_change_their_argument_in_place(fun, jac):
    found = minimize_many(fun, np.zeros((2, 2)), jac=jac)
    np.testing.assert_allclose(found.x, 1.0, atol=1e-5)


def test_each_function_begins_at_its_own_start():
    found = minimize_many(waves, SHIFTS + 0.2 * X0, BOX)
    np.testing.assert_allclose(found.x, SHIFTS, atol=1e-3)
    far = minimize_many(waves, X0, BOX)
    alone = [
        minimize(lambda x, i=i: waves(torch.tensor(x[None]), [i]).item(), far.x[i]).fun
        for i in range(8)
    ]
    np.testing.assert_allclose(far.fun, alone, atol=1e-4)


def test_several_starts_find_lower_minima_than_one():
    one = minimize_many(waves, X0, BOX)
    more = minimize_many(waves, X0, BOX, method="multistart", random_state=0)
    assert (more.fun <= one.fun + 1e-6).all()
    assert more.fun.mean() < 0.5 * one.fun.mean()
    many = {"n_starts": 20, "n_candidates": 256}
    most = minimize_many(waves, X0, BOX, method="multistart", options=many, random_state=0)
    assert most.fun.mean() <= more.fun.mean()


@pytest.mark.parametrize("features", [None, SHIFTS])
def test_one_network_searches_for_all(features):
    options = {"n_iterations": 200}
    found = minimize_many(
        valleys, X0, BOX, method="joint", features=features, options=options, random_state=0
    )
    np.testing.assert_allclose(found.x, 1.0 + SHIFTS, atol=1e-3)
    assert found.nfev > 200 * 8


def test_a_solver_may_be_the_method():
    solver = DirectInverse(n_starts=4, n_candidates=8, random_state=0)
    found = minimize_many(valleys, X0, BOX, method=solver)
    np.testing.assert_allclose(found.x, 1.0 + SHIFTS, atol=1e-3)
    assert found.solver.n_starts == 4
    assert solver.problem is None


def test_results_show_the_names_of_the_functions():
    listed = minimize_many([rosen, rosen], np.zeros((2, 2)))
    assert "minimize_many([rosen, rosen], n_unknowns=2)" in repr(listed.solver)
    assert "rosen" in str(listed)
    many = minimize_many([rosen] * 40, np.zeros((40, 2)))
    assert "minimize_many([rosen, rosen, rosen, ...], n_unknowns=2)" in repr(many.solver)
    assert "minimize_many(valleys, n_unknowns=2)" in repr(minimize_many(valleys, X0).solver)
    assert "waves" in minimize_many(waves, X0).solver._repr_html_()


@pytest.mark.parametrize("fun", [valleys, LISTED], ids=["torch", "scipy"])
def test_values_that_are_no_numbers_fail_alone(fun):
    def broken(x, index):
        return torch.where(index == 2, torch.nan, valleys(x, index))

    listed = [*LISTED[:2], lambda x: np.nan, *LISTED[3:]]
    found = minimize_many(broken if callable(fun) else listed, X0, BOX)
    np.testing.assert_array_equal(found.success, np.arange(8) != 2)
    assert np.isnan(found.x[2]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x0": np.zeros(2)}, r"x0 must be finite and of shape \(n_functions, n_variables\)"),
        ({"method": "magic"}, "method must be one of 'direct', 'multistart', 'joint'; got 'magic'"),
        ({"bounds": None, "method": "joint"}, "bounds must be given for a method other than"),
        ({"fun": LISTED[:3]}, "fun must hold a function for each of the 8 rows of x0; got 3"),
        ({"fun": LISTED, "jac": SLOPES[:1]}, "jac must hold a function for each of the 8 rows"),
        ({"features": np.zeros((3, 1))}, r"features must have shape \(8, n_features\); got \(3, 1"),
        ({"fun": lambda x, index: x.sum()}, r"fun must return a tensor of shape \(\d,\); got \(\)"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        minimize_many(**{"fun": valleys, "x0": X0, "bounds": BOX, **arguments})


def test_a_solver_that_learns_from_simulations_draws_them_from_the_box():
    solver = SupervisedInverse(n_iterations=2, random_state=0)
    found = minimize_many(valleys, X0, BOX, method=solver, features=SHIFTS)
    assert np.isfinite(found.fun).all()
