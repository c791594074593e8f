import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_proxyopt.problems import (
    Ackley,
    Ellipsoid,
    GaussianPits,
    GramacyLee,
    Griewank,
    Levy,
    Rastrigin,
    RippledBowl,
    Rosenbrock,
    StyblinskiTang,
)

PROBLEMS = [
    problem
    for original in [
        Rosenbrock(2),
        Rosenbrock(5),
        Rastrigin(1),
        Rastrigin(4),
        Ackley(3),
        GramacyLee(),
        Ellipsoid(3),
        GaussianPits(2),
        GaussianPits(6, random_state=2),
        Griewank(4),
        Levy(1),
        Levy(3),
        StyblinskiTang(3),
    ]
    for problem in (original, original.rotated_and_shifted(3))
]
each_problem = pytest.mark.parametrize("problem", PROBLEMS, ids=repr)


@each_problem
def test_the_known_optimum_has_the_known_value(problem):
    np.testing.assert_allclose(problem(problem.x_opt), problem.f_opt, atol=1e-12)


@each_problem
def test_the_known_optimum_lies_inside_the_box(problem):
    assert (problem.x_opt > problem.bounds[:, 0]).all()
    assert (problem.x_opt < problem.bounds[:, 1]).all()


@each_problem
@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_point_of_the_box_lies_below_the_known_optimum(problem, seed):
    rng = np.random.default_rng(seed)
    X = rng.uniform(problem.bounds[:, 0], problem.bounds[:, 1], (50, problem.n_dims))
    assert (problem(X) >= problem.f_opt).all()


@each_problem
def test_a_fine_search_near_the_optimum_finds_nothing_lower(problem):
    rng = np.random.default_rng(0)
    X = problem.x_opt + 1e-3 * rng.standard_normal((2000, problem.n_dims))
    assert (problem(X) >= problem.f_opt - 1e-15).all()


@pytest.mark.parametrize("problem", [p for p in PROBLEMS if "Ackley" not in repr(p)], ids=repr)
def test_the_gradient_at_the_optimum_is_zero(problem):
    x = torch.tensor(problem.x_opt, requires_grad=True)
    (gradient,) = torch.autograd.grad(problem(x).sum(), x)
    np.testing.assert_allclose(gradient.numpy(), 0.0, atol=1e-9)


@each_problem
def test_numpy_and_torch_give_the_same_values(problem):
    X = np.random.default_rng(1).uniform(
        problem.bounds[:, 0], problem.bounds[:, 1], (20, problem.n_dims)
    )
    values = problem(torch.tensor(X, dtype=torch.float64))
    assert values.dtype == torch.float64
    np.testing.assert_allclose(values.numpy(), problem(X), rtol=1e-12)


@each_problem
def test_a_tensor_in_single_precision_gives_one(problem):
    X = torch.tensor(problem.bounds.mean(axis=1)[None], dtype=torch.float32)
    assert problem(X).dtype == torch.float32


def test_gramacy_and_lee_is_the_formula_of_the_paper():
    x = np.array([[0.5], [1.3], [2.5]])
    expected = [np.sin(10 * np.pi * v) / (2 * v) + (v - 1) ** 4 for v in (0.5, 1.3, 2.5)]
    np.testing.assert_allclose(GramacyLee()(x), expected)


@pytest.mark.parametrize("seed", range(5))
def test_gramacy_and_lee_have_their_minimum_on_a_fine_grid_where_it_is_said_to_be(seed):
    for problem in (GramacyLee(), GramacyLee().rotated_and_shifted(seed)):
        grid = np.linspace(*problem.bounds[0], 20_001)[:, None]
        assert abs(grid[problem(grid).argmin()] - problem.x_opt[0]) <= 1e-4


def test_rosenbrock_is_the_sum_of_its_terms():
    x = np.array([0.3, -1.2, 0.7])
    terms = [100 * (x[i + 1] - x[i] ** 2) ** 2 + (x[i] - 1) ** 2 for i in range(2)]
    np.testing.assert_allclose(Rosenbrock(3)(x[None]), [sum(terms)])


def test_ackley_is_the_formula_of_the_paper():
    x = np.array([1.3, -2.2])
    expected = (
        -20 * np.exp(-0.2 * np.sqrt((x**2).sum() / 2))
        - np.exp(np.cos(2 * np.pi * x).sum() / 2)
        + 20
        + np.e
    )
    np.testing.assert_allclose(Ackley(2)(x[None]), [expected])


def test_rastrigin_is_the_formula_of_the_paper():
    x = np.array([1.3, -2.2, 0.1])
    expected = 30 + sum(v**2 - 10 * np.cos(2 * np.pi * v) for v in x)
    np.testing.assert_allclose(Rastrigin(3)(x[None]), [expected])


def test_levy_is_the_formula_of_the_paper():
    x = np.array([1.3, -2.2, 0.1])
    w = 1 + (x - 1) / 4
    middle = sum((v - 1) ** 2 * (1 + 10 * np.sin(np.pi * v + 1) ** 2) for v in w[:-1])
    last = (w[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[-1]) ** 2)
    np.testing.assert_allclose(Levy(3)(x[None]), [np.sin(np.pi * w[0]) ** 2 + middle + last])


def test_griewank_is_the_formula_of_the_paper():
    x = np.array([1.3, -2.2, 0.1])
    waves = np.cos(x[0]) * np.cos(x[1] / np.sqrt(2)) * np.cos(x[2] / np.sqrt(3))
    np.testing.assert_allclose(Griewank(3)(x[None]), [(x**2).sum() / 4000 - waves + 1])


def test_styblinski_and_tang_is_the_formula_of_the_paper_above_its_minimum():
    x = np.array([1.3, -2.2])
    quartic = 0.5 * sum(v**4 - 16 * v**2 + 5 * v for v in x)
    np.testing.assert_allclose(StyblinskiTang(2)(x[None]), [quartic + 2 * 39.16616570377142])


def test_each_pit_is_as_deep_as_it_is_said_to_be_or_lies_within_a_deeper_one():
    problem = GaussianPits(3, n_pits=8, random_state=4)
    assert (problem(problem.places) <= 10.0 - problem.depths + 1e-12).all()
    assert problem(problem.places).argmin() == 0


@pytest.mark.parametrize("seed", range(6))
def test_the_lowest_trough_of_a_rippled_bowl_is_found(seed):
    problem = RippledBowl(1, height=3.0**seed / 10, n_ripples=2.0 + 3 * seed, random_state=seed)
    grid = np.linspace(*problem.bounds[0], 100_001)[:, None]
    assert problem.f_opt <= problem(grid).min() <= problem.f_opt + 1e-4
    x = torch.tensor(problem.x_opt, requires_grad=True)
    (gradient,) = torch.autograd.grad(problem(x).sum(), x)
    np.testing.assert_allclose(gradient.numpy(), 0.0, atol=1e-8)


def test_a_rippled_bowl_keeps_its_optimum_where_it_is_turned_and_pickled():
    problem = RippledBowl(3, random_state=2)
    turned = problem.rotated_and_shifted(1)
    np.testing.assert_allclose(turned(turned.x_opt), problem.f_opt)
    assert pickle.loads(pickle.dumps(problem)) == problem != RippledBowl(3, random_state=3)


def test_the_rotation_keeps_distances():
    rotation = Ackley(4).rotated_and_shifted(1).rotation
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(4), atol=1e-12)


def test_a_rotated_problem_is_the_original_at_the_turned_point():
    original = Rosenbrock(3)
    turned = original.rotated_and_shifted(5)
    z = np.array([[0.3, 0.1, -0.4]])
    x = (z - original.x_opt) @ turned.rotation + turned.x_opt
    np.testing.assert_allclose(turned(x), original(z))


def test_the_mirrored_function_of_one_variable_takes_the_same_values_over_its_box():
    original = GramacyLee()
    mirrored = original.rotated_and_shifted(2)
    line = np.linspace(0, 1, 101)[:, None]
    low, high = original.bounds[0]
    new_low, new_high = mirrored.bounds[0]
    np.testing.assert_allclose(
        mirrored(new_high - line * (new_high - new_low)), original(low + line * (high - low))
    )


def test_problems_of_the_same_parameters_are_equal_and_others_are_not():
    assert Ackley(3) == Ackley(3)
    assert hash(Ackley(3)) == hash(Ackley(3))
    assert Ackley(3) != Ackley(2)
    assert Ackley(3) != Rastrigin(3)
    assert Ackley(3).rotated_and_shifted(1) == Ackley(3).rotated_and_shifted(1)
    assert Ackley(3).rotated_and_shifted(1) != Ackley(3).rotated_and_shifted(2)


@each_problem
def test_a_problem_survives_pickling(problem):
    assert pickle.loads(pickle.dumps(problem)) == problem


@each_problem
def test_one_sample_has_the_value_that_it_has_among_others(problem):
    X = problem.bounds.mean(axis=1) + 0.1 * np.arange(3)[:, None]
    values = [problem(x) for x in X]
    assert np.shape(values) == (3,)
    np.testing.assert_allclose(values, problem(X), rtol=1e-14)


def test_rows_of_another_dimension_are_refused_by_shape():
    with pytest.raises(ValueError, match=r"X must have shape \(n, 3\) or \(3,\).*got \(2, 2\)"):
        Ackley(3)(np.zeros((2, 2)))


@pytest.mark.parametrize("X", [[["a", "b"]], [[1.0, 2.0], [3.0]]])
def test_rows_that_are_no_numbers_are_refused_by_name(X):
    with pytest.raises(ValueError, match=r"X must be numbers of shape \(n, 2\)"):
        Ackley(2)(X)


def test_a_tensor_of_integers_is_refused_by_its_type():
    with pytest.raises(ValueError, match=r"X must be a tensor of floating .* got torch\.int64"):
        Ackley(2)(torch.zeros((1, 2), dtype=torch.int64))


def test_rosenbrock_needs_two_variables():
    with pytest.raises(ValueError, match="n_dims must be an integer of at least 2; got 1"):
        Rosenbrock(1)


def test_the_box_of_a_problem_cannot_be_overwritten():
    with pytest.raises(ValueError, match="read-only"):
        Ackley(2).bounds[0, 0] = 3.0


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_the_box_of_a_copy_cannot_be_overwritten(duplicate):
    with pytest.raises(ValueError, match="read-only"):
        duplicate(Ackley(2).rotated_and_shifted(1)).bounds[0, 0] = 3.0


@pytest.mark.parametrize("name", ["n_dims", "bounds", "x_opt"])
def test_an_attribute_of_a_problem_cannot_be_replaced(name):
    with pytest.raises(AttributeError, match=f"{name} of Ackley.* cannot be changed"):
        setattr(Ackley(2), name, 3)
