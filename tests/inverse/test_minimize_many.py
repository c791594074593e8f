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


CORNERS = np.array([[4.0, 4.0], [-4.0, 4.0], [4.0, -4.0], [-4.0, -4.0]])


@pytest.mark.parametrize("fun", [valleys, LISTED], ids=["torch", "scipy"])
@pytest.mark.parametrize("corner", CORNERS)
def test_searches_come_off_the_sides_of_the_box(fun, corner):
    found = minimize_many(fun, np.tile(corner, (8, 1)), BOX)
    np.testing.assert_allclose(found.x, 1.0 + SHIFTS, atol=1e-2)
    assert found.success.all()


def test_minima_on_a_side_are_those_of_scipy():
    centers = np.random.default_rng(2).uniform(-8.0, 8.0, (30, 2))

    def bowls(x, index):
        u = x - torch.tensor(centers)[index]
        return u[:, 0] ** 2 + 100.0 * u[:, 1] ** 2 + u.prod(dim=1)

    def bowl(i):
        return lambda x: bowls(torch.tensor(x[None]), [i]).item()

    starts = CORNERS[np.arange(30) % 4]
    found = minimize_many(bowls, starts, BOX)
    alone = [minimize(bowl(i), [0.0, 0.0], bounds=BOX, method="L-BFGS-B").x for i in range(30)]
    np.testing.assert_allclose(found.x, alone, atol=1e-3)
    assert (np.abs(found.x) > 4.0 - 1e-6).sum() > 10
    assert found.success.all()


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
        ({"x0": X0 + 5.0}, r"x0 must lie inside bounds; got \[5\.0.*\] in row 0\. Use numpy\.clip"),
        ({"x0": X0[:, :1]}, "x0 must have a column for each of the 2 rows of bounds; got 1"),
        ({"x0": np.zeros((0, 2))}, r"x0 must be finite and of shape .*; got shape \(0, 2\)"),
        ({"x0": [["a", "b"]]}, r"x0 must be an array of numbers; got \[\['a', 'b'\]\]"),
        ({"bounds": None, "method": "BFGS"}, "method must be one of 'direct', .*; got 'BFGS'"),
        ({"method": "magic"}, "method must be one of 'direct', 'multistart', 'joint'; got 'magic'"),
        ({"bounds": None, "method": "joint"}, "bounds must be given for a method other than"),
        ({"fun": LISTED[:3]}, "fun must hold a function for each of the 8 rows of x0; got 3"),
        ({"fun": LISTED, "jac": SLOPES[:1]}, "jac must hold a function for each of the 8 rows"),
        ({"fun": []}, "fun must hold a function for each of the 8 rows of x0; got 0"),
        ({"fun": None}, "fun must be a function of torch or a sequence of functions; got None"),
        ({"fun": [*LISTED[:7], 3]}, r"fun\[7\] must be callable; got 3"),
        ({"fun": LISTED, "jac": "2-point"}, "jac must be True, None or a sequence of functions"),
        ({"fun": LISTED, "jac": rosen_der}, "jac must be True, None or a sequence of functions"),
        ({"jac": SLOPES}, "jac must be None for a function of torch, which has its gradient; got"),
        ({"features": [["a"]] * 8}, r"features must be an array of numbers; got \[\['a'\]"),
        ({"features": np.zeros((3, 1))}, r"features must have shape \(8, n_features\); got \(3, 1"),
        ({"fun": lambda x, index: x.sum()}, r"fun must return a tensor of shape \(\d,\); got \(\)"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        minimize_many(**{"fun": valleys, "x0": X0, "bounds": BOX, **arguments})


def test_a_value_may_be_an_array_of_one():
    one = minimize_many([lambda x: np.array([rosen(x)])], np.zeros((1, 2)))
    pair = minimize_many(
        [lambda x: (np.array([[rosen(x)]]), rosen_der(x)[None])], [[0, 0]], jac=True
    )
    for found in (one, pair):
        np.testing.assert_allclose(found.x, 1.0, atol=1e-3)


@pytest.mark.parametrize(
    ("second", "jac", "message"),
    [
        (lambda x: None, None, r"fun\[1\] must return one number; got None"),
        (lambda x: "no", None, r"fun\[1\] must return one number; got 'no'"),
        (lambda x: x, None, r"fun\[1\] must return one number; got array"),
        (lambda x: (1.0, x), None, r"fun\[1\] must return one number; got .* set jac=True"),
        (rosen, True, r"fun\[1\] must return a value and a gradient where jac=True; got np"),
        (lambda x: (1.0, x, x), True, r"fun\[1\] must return a value and a gradient"),
        (lambda x: (x, x), True, r"fun\[1\] must return one number; got array"),
        (
            lambda x: (1.0, x[:1]),
            True,
            r"the gradient of fun\[1\] must be 2 numbers; got array",
        ),
        (rosen, [rosen_der, lambda x: x[:1]], r"jac\[1\] must return 2 numbers; got array"),
        (rosen, [rosen_der, lambda x: None], r"jac\[1\] must return 2 numbers; got None"),
    ],
)
def test_what_a_function_returns_wrongly_is_named(second, jac, message):
    first = (lambda x: (rosen(x), rosen_der(x))) if jac is True else rosen
    with pytest.raises(ValueError, match=message):
        minimize_many([first, second], np.zeros((2, 2)), jac=jac)


def test_a_solver_that_learns_from_simulations_draws_them_from_the_box():
    solver = SupervisedInverse(n_iterations=2, random_state=0)
    found = minimize_many(valleys, X0, BOX, method=solver, features=SHIFTS)
    assert np.isfinite(found.fun).all()
