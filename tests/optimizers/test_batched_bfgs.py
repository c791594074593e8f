import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from sklearn_proxyopt.optimizers import batched_bfgs


def rosenbrock(x, rows):
    return (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(dim=1)


def rastrigin(x, rows):
    return (x**2 - 10 * torch.cos(2 * torch.pi * x) + 10).sum(dim=1)


def himmelblau(x, rows):
    return (x[:, 0] ** 2 + x[:, 1] - 11) ** 2 + (x[:, 0] + x[:, 1] ** 2 - 7) ** 2


def styblinski_tang(x, rows):
    return (x**4 - 16 * x**2 + 5 * x).sum(dim=1) / 2


def badly_scaled(x, rows):
    weights = torch.logspace(-2, 4, x.shape[1], dtype=x.dtype)
    return (weights * (x - rows[:, None]) ** 2).sum(dim=1)


def walled(x, rows):
    """A valley beside a region without values."""
    return (x - 0.1).square().sum(dim=1) - 0.2 * torch.log(x).sum(dim=1)


FUNCTIONS = {
    "rosenbrock, 2": (rosenbrock, 2, -2.0, 2.0),
    "rosenbrock, 8": (rosenbrock, 8, -2.0, 2.0),
    "rastrigin": (rastrigin, 3, -5.0, 5.0),
    "himmelblau": (himmelblau, 2, -6.0, 6.0),
    "styblinski-tang": (styblinski_tang, 4, -5.0, 5.0),
    "badly scaled": (badly_scaled, 5, -3.0, 3.0),
    "walled": (walled, 2, 0.05, 9.0),
}
each_function = pytest.mark.parametrize("name", FUNCTIONS)


def starts_of(name, n_problems=40):
    fun, n_variables, low, high = FUNCTIONS[name]
    return fun, np.random.default_rng(0).uniform(low, high, (n_problems, n_variables))


def by_scipy(fun, x0, row, tolerance=1e-5):
    number = torch.tensor([row])

    def value_and_grad(x):
        x = torch.tensor(x)[None].requires_grad_()
        value = fun(x, number)
        return value.item(), torch.autograd.grad(value.sum(), x)[0][0].numpy()

    return minimize(value_and_grad, x0, jac=True, method="BFGS", options={"gtol": tolerance})


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"walled"}))
def test_each_problem_ends_in_the_minimum_that_scipy_finds_alone(name):
    fun, x0 = starts_of(name)
    result = batched_bfgs(fun, x0)
    alone = [by_scipy(fun, start, row) for row, start in enumerate(x0)]
    x, values = np.array([one.x for one in alone]), np.array([one.fun for one in alone])
    same = np.isclose(result.x, x, rtol=0.0, atol=1e-4).all(axis=1)
    # Where there are several minima, a last digit may decide between two of them.
    assert same.mean() >= 0.9
    np.testing.assert_allclose(result.fun[same], values[same], atol=1e-8)


def test_each_problem_takes_the_steps_of_scipy():
    fun, x0 = starts_of("rosenbrock, 2")
    result = batched_bfgs(fun, x0)
    alone = [by_scipy(fun, start, row) for row, start in enumerate(x0)]
    assert np.mean([r.nit == nit for r, nit in zip(alone, result.nit, strict=True)]) > 0.9
    assert np.mean([r.nfev == nfev for r, nfev in zip(alone, result.nfev, strict=True)]) > 0.9


def test_a_short_first_step_keeps_to_the_minimum_beside_the_start():
    starts = np.arange(-4.0, 5.0)[:, None] + 0.2
    near = batched_bfgs(rastrigin, starts, first_step=0.01)
    assert near.success.all()
    assert (np.abs(near.x - starts) < 0.5).all()
    far = batched_bfgs(rastrigin, starts)
    assert (np.abs(far.x - starts) > 0.5).any()


def bowl_with_a_kink(x, rows):
    return 1.0 + x.square().sum(dim=1) + 0.01 * x[:, 0].abs()


def valley_with_a_kink(x, rows):
    return 1.0 + (x[:, 0] - x[:, 1] ** 2).abs() + 0.1 * (1.0 - x[:, 1]) ** 2


def test_a_search_ends_at_a_kink_where_nothing_is_left_to_gain():
    starts = np.random.default_rng(0).uniform(-2.0, 2.0, (50, 2))
    endless = batched_bfgs(bowl_with_a_kink, starts)
    assert endless.success.mean() < 0.5
    result = batched_bfgs(bowl_with_a_kink, starts, value_tolerance=1e-6)
    assert result.success.all()
    assert result.nfev.mean() < 0.5 * endless.nfev.mean()
    np.testing.assert_allclose(result.fun, endless.fun, rtol=1e-5)


def test_what_a_search_found_at_a_kink_is_kept():
    starts = np.random.default_rng(0).uniform(-2.0, 2.0, (50, 2))
    lost = batched_bfgs(valley_with_a_kink, starts)
    kept = batched_bfgs(valley_with_a_kink, starts, value_tolerance=1e-9)
    assert (kept.fun <= lost.fun + 1e-9).all()
    assert np.mean(kept.fun - 1.0) < 0.3 * np.mean(lost.fun - 1.0)


@each_function
def test_a_tolerance_of_values_ends_a_search_on_its_way(name):
    fun, x0 = starts_of(name)
    # A share of the value is a share of ten at the least.
    coarse = batched_bfgs(lambda x, rows: 10.0 + fun(x, rows), x0, value_tolerance=1e-2)
    exact = batched_bfgs(fun, x0)
    assert coarse.nfev.sum() < 0.95 * exact.nfev.sum()
    result = batched_bfgs(fun, x0, value_tolerance=1e-9)
    assert np.mean(result.nfev <= exact.nfev) >= 0.9
    assert np.mean(np.isclose(result.fun, exact.fun, rtol=1e-5, atol=1e-9)) >= 0.9


def test_what_a_search_found_at_a_wall_of_failures_is_kept():
    def wall(x, rows):
        value = 1.0 + (x[:, 0] - 0.4).abs() + x[:, 1].square()
        return torch.where(x[:, 0] > 0.5, value, torch.nan)

    starts = np.random.default_rng(0).uniform([0.6, -2.0], [2.0, 2.0], (50, 2))
    endless = batched_bfgs(wall, starts)
    result = batched_bfgs(wall, starts, value_tolerance=1e-6)
    assert np.isfinite(result.fun).all()
    assert result.success.mean() > endless.success.mean() + 0.2
    assert result.fun.mean() < endless.fun.mean() - 0.1


@each_function
@pytest.mark.parametrize("memory", [None, 6])
def test_converged_problems_have_no_gradient_left(name, memory):
    fun, x0 = starts_of(name)
    result = batched_bfgs(fun, x0, memory=memory, max_iterations=2000)
    assert result.success.mean() > 0.95
    assert np.abs(result.jac[result.success]).max() <= 1e-5
    assert (result.fun <= fun(torch.tensor(x0), torch.arange(len(x0))).numpy() + 1e-12).all()


@pytest.mark.parametrize("memory", [None, 4])
def test_a_batch_of_one_gives_the_answer_of_a_batch_of_many(memory):
    fun, x0 = starts_of("rosenbrock, 8")
    together = batched_bfgs(fun, x0, memory=memory)
    alone = batched_bfgs(fun, x0[[7]], memory=memory)
    np.testing.assert_allclose(alone.x[0], together.x[7], atol=1e-5)
    assert alone.x.shape == (1, 8)


def test_a_problem_without_a_finite_start_fails_alone():
    def fun(x, rows):
        return torch.where(rows == 2, torch.nan, 1.0) * (x - 3).square().sum(dim=1)

    result = batched_bfgs(fun, np.zeros((5, 2)))
    np.testing.assert_array_equal(result.status, [0, 0, 3, 0, 0])
    np.testing.assert_allclose(result.x[[0, 1, 3, 4]], 3.0)
    np.testing.assert_array_equal(result.x[2], 0.0)
    assert "1: The value or the gradient at the start is not finite" in result.message


def test_regions_without_values_are_stepped_back_from():
    fun, x0 = starts_of("walled")
    result = batched_bfgs(fun, x0)
    np.testing.assert_allclose(result.x, 0.05 + np.sqrt(0.1025), atol=1e-5)


def test_a_minimum_beside_a_region_without_values_is_found():
    def fun(x, rows):
        return torch.where(x[:, 0] > 1.0, torch.nan, (x[:, 0] - 0.99) ** 2 * 50)

    result = batched_bfgs(fun, np.array([[-8.0], [0.5]]))
    np.testing.assert_allclose(result.x, 0.99, atol=1e-5)


def test_a_flat_function_has_converged_where_it_starts():
    result = batched_bfgs(lambda x, rows: (0 * x).sum(dim=1), np.ones((3, 2)))
    np.testing.assert_array_equal(result.status, 0)
    np.testing.assert_array_equal(result.nfev, 1)


def test_the_limit_of_iterations_holds_for_each_problem():
    fun, x0 = starts_of("rosenbrock, 8")
    result = batched_bfgs(fun, x0, max_iterations=3)
    assert result.nit.max() == 3
    assert set(result.status) == {1}
    assert batched_bfgs(fun, x0, max_iterations=0).nfev.max() == 1


def test_more_precision_than_there_is_ends_the_search_without_harm():
    fun, x0 = starts_of("rosenbrock, 2")
    result = batched_bfgs(lambda x, rows: 1e6 + fun(x, rows), x0, tolerance=0.0)
    np.testing.assert_allclose(result.x, 1.0, atol=1e-3)


def test_only_running_problems_are_evaluated():
    seen = []

    def fun(x, rows):
        seen.append(len(rows))
        return rosenbrock(x, rows)

    x0 = np.array([[1.0, 1.0], [-1.2, 1.0], [1.0, 1.0]])
    result = batched_bfgs(fun, x0)
    assert seen[:2] == [3, 1]
    assert sum(seen) == result.nfev.sum()


def test_the_callback_sees_all_problems_and_can_stop():
    states = []

    def stop_at_five(state):
        states.append(state)
        return len(states) == 5

    fun, x0 = starts_of("rosenbrock, 8")
    result = batched_bfgs(fun, x0, callback=stop_at_five)
    assert len(states) == 5
    assert set(result.status) == {4}
    assert states[0].x.shape == x0.shape
    assert states[-1].fun.mean() < states[0].fun.mean()


def test_a_tensor_gives_the_precision():
    result = batched_bfgs(rastrigin, torch.full((2, 2), 0.3), tolerance=1e-3)
    assert result.x.dtype == np.float32
    np.testing.assert_allclose(result.x, 0.0, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x0": np.zeros(3)}, r"x0 must have shape \(n_problems, n_variables\); got \(3,\)"),
        ({"tolerance": -1.0}, "tolerance must be a finite number"),
        ({"value_tolerance": np.nan}, "value_tolerance must be a finite number"),
        ({"first_step": 0.0}, "first_step must be a finite number"),
        ({"memory": 0}, "memory must be an integer of at least 1; got 0"),
        ({"max_iterations": 1.5}, "max_iterations must be an integer of at least 0; got 1.5"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        batched_bfgs(rastrigin, **{"x0": np.zeros((2, 2)), **arguments})


@pytest.mark.parametrize("wrong", [lambda x, rows: x.sum(), lambda x, rows: x, lambda x, rows: 1.0])
def test_a_function_without_one_value_a_problem_is_refused(wrong):
    with pytest.raises(ValueError, match=r"fun must return a tensor with one value a problem"):
        batched_bfgs(wrong, np.zeros((2, 2)))
