"""Simulators as they come: in NumPy or in single precision, with holes, with errors."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sklearn_proxyopt.exceptions import FailedEvaluationWarning
from sklearn_proxyopt.inverse import (
    DirectInverse,
    InverseProblem,
    LandscapeInverse,
    NeuralAdjointInverse,
    ReparameterizedInverse,
    SupervisedInverse,
)

TIMES = np.linspace(0.0, 2.0, 9)
BOX = np.array([[0.5, 3.0], [0.1, 4.0]])
TRUTH = np.random.default_rng(0).uniform(*BOX.T, (12, 2))


def decay(unknowns):
    """Height and rate of a decay, in NumPy and in torch alike."""
    times, exp = (TIMES, np.exp)
    if isinstance(unknowns, torch.Tensor):
        times, exp = torch.tensor(TIMES).to(unknowns), torch.exp
    return unknowns[:, :1] * exp(-unknowns[:, 1:] * times)


X = decay(TRUTH)
PROBLEM = InverseProblem(decay, BOX)
IN_NUMPY = InverseProblem(decay, BOX, differentiable=False)
TRAINED = {"n_iterations": 60, "random_state": 0}
SOLVERS = {
    "direct": DirectInverse(),
    "several starts": DirectInverse(n_starts=3, n_candidates=8, random_state=0),
    "joint": ReparameterizedInverse(**TRAINED),
    "supervised": SupervisedInverse(n_pairs=50, **TRAINED),
    "neural adjoint": NeuralAdjointInverse(n_pairs=50, hidden_layer_sizes=(32,), **TRAINED),
    "landscape": LandscapeInverse(n_pairs=64, input_noise=(0.1, 0.0), **TRAINED),
}
each_solver = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)


@each_solver
def test_a_function_of_numpy_is_solved_as_one_of_torch(solver):
    found = clone(solver).set_params(problem=IN_NUMPY).fit(X)
    np.testing.assert_allclose(found.solutions_, TRUTH, atol=1e-3)
    assert found.loss_.max() < 1e-8


def in_place(unknowns, conditions):
    """The decay, written over its arguments and into an array of its own."""
    unknowns[:, 1] *= -1.0
    conditions *= TIMES if isinstance(unknowns, np.ndarray) else torch.tensor(TIMES)
    if isinstance(unknowns, torch.Tensor):
        return unknowns[:, :1] * torch.exp(unknowns[:, 1:] * conditions)
    values = BUFFERS.setdefault(len(unknowns), np.empty((len(unknowns), len(TIMES))))
    values[:] = unknowns[:, :1] * np.exp(unknowns[:, 1:] * conditions)
    return values


BUFFERS: dict[int, np.ndarray] = {}


@pytest.mark.parametrize("differentiable", [True, False], ids=["torch", "numpy"])
@each_solver
def test_a_simulator_may_change_its_arguments_in_place(solver, differentiable):
    options = {"condition_shape": (9,), "differentiable": differentiable}
    rows = np.hstack([X, np.ones((12, 9))])
    careful = InverseProblem(lambda u, c: decay(u), BOX, **options)
    careless = InverseProblem(in_place, BOX, **options)
    expected, found = (clone(solver).set_params(problem=p).fit(rows) for p in (careful, careless))
    np.testing.assert_allclose(found.solutions_, expected.solutions_, atol=1e-3)
    assert found.diagnose(rows, TRUTH).fits.all()


def test_a_loss_may_change_its_arguments_in_place():
    def loss(predicted, observed):
        gaps = observed.isnan()
        observed[gaps] = 0.0
        return 0.5 * torch.where(gaps, 0.0, predicted - observed).square().sum(dim=1)

    rows = X.copy()
    rows[:, 4:] = np.nan
    found = DirectInverse(InverseProblem(decay, BOX, loss=loss)).fit(rows)
    np.testing.assert_allclose(found.solutions_, TRUTH, atol=1e-3)


def test_differences_are_the_gradient():
    unknowns, conditions = torch.tensor(TRUTH), torch.zeros(12, 0)
    slopes = []
    for problem in (PROBLEM, IN_NUMPY):
        places = unknowns.clone().requires_grad_()
        loss = problem.losses(places, torch.tensor(X[::-1].copy())).sum()
        slopes.append(torch.autograd.grad(loss, places)[0])
    torch.testing.assert_close(*slopes, rtol=1e-6, atol=1e-8)
    exact = torch.func.vmap(torch.func.jacfwd(lambda one: decay(one[None])[0]))(unknowns)
    found = IN_NUMPY.jacobian(unknowns, conditions, (9,))
    torch.testing.assert_close(found, exact.transpose(1, 2), rtol=1e-6, atol=1e-7)


def test_differences_never_leave_a_hard_box_nor_need_the_side_that_fails():
    def watched(unknowns):
        seen.append(unknowns)
        return np.where(unknowns[:, 1:] < 1.0, np.nan, decay(unknowns))

    seen = []
    problem = InverseProblem(watched, BOX, differentiable=False)
    edge = torch.tensor([[BOX[0, 1], 1.0], [BOX[0, 0], BOX[1, 1]]])
    found = problem.jacobian(edge, torch.zeros(2, 0), (9,))
    places = np.vstack(seen)
    assert (places >= BOX[:, 0]).all()
    assert (places <= BOX[:, 1]).all()
    exact = torch.func.vmap(torch.func.jacfwd(lambda one: decay(one[None])[0]))(edge)
    torch.testing.assert_close(found, exact.transpose(1, 2), rtol=1e-3, atol=1e-3)


@each_solver
@pytest.mark.parametrize("refine", ["bfgs", None])
def test_simulations_for_differences_are_counted(solver, refine):
    def forward(unknowns):
        nonlocal counted
        counted += len(unknowns)
        return decay(unknowns)

    counted = 0
    problem = InverseProblem(forward, BOX, differentiable=False)
    solver = clone(solver).set_params(problem=problem, refine=refine).fit(X)
    assert counted == solver.n_forward_calls_


def test_a_function_of_numpy_may_run_in_several_processes():
    side_by_side = InverseProblem(decay, BOX, differentiable=False, n_jobs=2)
    alone, together = (DirectInverse(one).fit(X[:4]) for one in (IN_NUMPY, side_by_side))
    np.testing.assert_array_equal(together.solutions_, alone.solutions_)


class Watched(ThreadPoolExecutor):
    """Keeps the sizes of what it is given."""

    def __init__(self, n):
        super().__init__(n)
        self.sizes = []

    def submit(self, function, *arguments):
        self.sizes.append(len(arguments[0]))
        return super().submit(function, *arguments)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_an_executor_runs_the_parts_of_each_batch(n_jobs):
    with Watched(3) as executor:
        problem = InverseProblem(decay, BOX, differentiable=False, n_jobs=n_jobs, executor=executor)
        solver = clone(DirectInverse(problem)).fit(X)
    alone = DirectInverse(IN_NUMPY).fit(X)
    np.testing.assert_array_equal(solver.solutions_, alone.solutions_)
    assert sum(executor.sizes) >= alone.n_forward_calls_
    assert max(executor.sizes) == -(-12 * 4 // (n_jobs or 3))


def test_an_error_in_an_executor_leaves_fit():
    def broken(unknowns):
        raise ZeroDivisionError("no flow")

    with ThreadPoolExecutor(2) as executor:
        problem = InverseProblem(broken, BOX, differentiable=False, executor=executor)
        with pytest.raises(ZeroDivisionError, match="no flow"):
            DirectInverse(problem).fit(X)


def test_noise_of_the_simulator_is_bridged_by_larger_differences():
    def rough(unknowns):
        return decay(unknowns) + 1e-6 * np.sin(1e7 * unknowns.sum(axis=1, keepdims=True))

    problem = InverseProblem(rough, BOX, differentiable=False, difference_step=1e-2)
    found = DirectInverse(problem).fit(X)
    np.testing.assert_allclose(found.solutions_, TRUTH, atol=1e-2)


class Decay(torch.nn.Module):
    """A simulator with parameters of its own."""

    def __init__(self, dtype):
        super().__init__()
        self.times = torch.nn.Parameter(torch.tensor(TIMES, dtype=dtype))

    def forward(self, unknowns, dose):
        assert unknowns.dtype == dose.dtype == self.times.dtype
        return dose * unknowns[:, :1] * torch.exp(-unknowns[:, 1:] * self.times)


@each_solver
def test_a_module_in_single_precision_is_a_simulator(solver):
    problem = InverseProblem(Decay(torch.float32), BOX, condition_shape=(1,))
    rows = np.hstack([2.0 * X, np.full((12, 1), 2.0)])
    found = clone(solver).set_params(problem=problem).fit(rows)
    np.testing.assert_allclose(found.solutions_, TRUTH, atol=1e-2)
    assert found.solutions_.dtype == np.float64


# The answers lie beside a hole, in which the middle of the box lies too.
HOLE = np.array([[1.0, 2.2], [1.2, 3.0]])
BESIDE = np.array([[0.9, 1.5], [2.4, 1.5], [1.5, 1.1], [2.3, 3.2], [0.8, 2.5]])


def has_hole(unknowns):
    inside = (unknowns > HOLE[:, 0]) & (unknowns < HOLE[:, 1])
    return np.where(inside.all(axis=1, keepdims=True), np.nan, decay(unknowns))


def torch_with_hole(unknowns):
    low, high = torch.tensor(HOLE).T
    inside = ((unknowns > low) & (unknowns < high)).all(dim=1, keepdim=True)
    return torch.where(inside, torch.nan, decay(unknowns))


@each_solver
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_answers_beside_a_hole_in_the_box_are_found(solver, seed):
    solver = clone(solver).set_params(problem=InverseProblem(torch_with_hole, BOX))
    if "random_state" in solver.get_params() and not isinstance(solver, DirectInverse):
        solver.set_params(random_state=seed)
    found = solver.fit(decay(BESIDE))
    assert not found.failed_.any()
    assert (np.abs(found.solutions_ - BESIDE).max(axis=1) < 1e-2).sum() >= 3


def raises_in_the_hole(unknowns):
    if np.isnan(has_hole(unknowns)).any():
        raise ZeroDivisionError("no such beam")
    return decay(unknowns)


@each_solver
def test_a_simulation_that_raises_fails_alone_and_is_warned_of(solver):
    problem = InverseProblem(raises_in_the_hole, BOX, differentiable=False, on_error="drop")
    nan = InverseProblem(has_hole, BOX, differentiable=False)
    with pytest.warns(FailedEvaluationWarning, match="forward raised ZeroDivisionError: no such"):
        dropped = clone(solver).set_params(problem=problem).fit(decay(BESIDE))
    np.testing.assert_array_equal(
        dropped.solutions_, clone(solver).set_params(problem=nan).fit(decay(BESIDE)).solutions_
    )


def test_an_error_of_the_simulator_leaves_fit_by_default():
    problem = InverseProblem(raises_in_the_hole, BOX, differentiable=False)
    with pytest.raises(ZeroDivisionError, match="no such beam"):
        DirectInverse(problem).fit(decay(BESIDE))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_error": "ignore"}, "on_error must be one of 'raise', 'drop'; got 'ignore'"),
        ({"difference_step": 0.0}, "difference_step must be a finite number"),
        ({"n_jobs": 0}, "n_jobs must be"),
        ({"executor": 3, "differentiable": False}, "executor must have a method submit"),
        ({"executor": ThreadPoolExecutor(1)}, "differentiable must be False"),
    ],
)
def test_settings_of_a_simulator_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        InverseProblem(decay, BOX, **options)
