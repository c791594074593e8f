"""The way of a search, kept on request."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sklearn_proxyopt.inverse import (
    DirectInverse,
    InverseProblem,
    LandscapeInverse,
    NeuralAdjointInverse,
    ReparameterizedInverse,
    SupervisedInverse,
)

TIMES = torch.linspace(0.0, 2.0, 9, dtype=torch.float64)
BOX = np.array([[0.5, 3.0], [0.1, 4.0]])


def decay(unknowns):
    """Height and rate of a decay."""
    return unknowns[:, :1] * torch.exp(-unknowns[:, 1:] * TIMES.to(unknowns))


def decay_in_numpy(unknowns):
    return decay(torch.tensor(unknowns)).numpy()


TRUTH = np.random.default_rng(0).uniform(*BOX.T, (7, 2))
X = decay(torch.tensor(TRUTH)).numpy()
PROBLEM = InverseProblem(decay, BOX)
TRAINED = {"n_iterations": 30, "random_state": 0}
SOLVERS = {
    "direct": DirectInverse(PROBLEM),
    "several starts": DirectInverse(PROBLEM, n_starts=3, n_candidates=8, random_state=0),
    "raced starts": DirectInverse(
        PROBLEM, n_starts=3, n_candidates=8, keep_best_after=3, random_state=0
    ),
    "joint": ReparameterizedInverse(PROBLEM, **TRAINED),
    "joint, explored": ReparameterizedInverse(PROBLEM, exploration=0.3, **TRAINED),
    "supervised": SupervisedInverse(PROBLEM, n_pairs=20, **TRAINED),
    "neural adjoint": NeuralAdjointInverse(
        PROBLEM, n_pairs=20, hidden_layer_sizes=(16,), **TRAINED
    ),
    "landscape": LandscapeInverse(PROBLEM, n_pairs=32, input_noise=(0.1, 0.0), **TRAINED),
}
each_solver = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)


def fitted(solver, **params):
    return clone(solver).set_params(**{"path_length": 1000, **params}).fit(X)


def losses_at(unknowns):
    """Return the losses of all problems at the points of a path."""
    return 0.5 * np.square([decay_in_numpy(places) - X for places in unknowns]).sum(axis=2)


@each_solver
def test_a_path_ends_at_the_answer_and_at_all_simulations(solver):
    solver = fitted(solver)
    np.testing.assert_array_equal(solver.path_.unknowns[-1], solver.solutions_)
    np.testing.assert_array_equal(solver.path_.loss[-1], solver.loss_)
    assert solver.path_.n_forward_calls[-1] == solver.n_forward_calls_


@each_solver
def test_losses_of_a_path_are_those_of_its_unknowns(solver):
    path = fitted(solver).path_
    assert len(path.loss) > 5
    np.testing.assert_allclose(path.loss, losses_at(path.unknowns), rtol=1e-9, atol=1e-15)


@each_solver
def test_simulations_never_become_fewer(solver):
    assert (np.diff(fitted(solver).path_.n_forward_calls) >= 0).all()


@each_solver
def test_the_answer_is_the_same_with_a_path_and_without(solver):
    kept, plain = fitted(solver), clone(solver).fit(X)
    np.testing.assert_array_equal(kept.solutions_, plain.solutions_)
    assert kept.n_forward_calls_ == plain.n_forward_calls_


@each_solver
@pytest.mark.parametrize("length", [1, 2, 7])
def test_no_more_points_are_kept_than_asked_for(solver, length):
    path, whole = fitted(solver, path_length=length).path_, fitted(solver).path_
    assert length / 2 <= len(path.loss) <= length
    assert path.unknowns.shape == (len(path.loss), 7, 2)
    assert set(path.n_forward_calls.tolist()) <= set(whole.n_forward_calls.tolist())


@each_solver
def test_without_a_length_no_path_is_kept(solver):
    assert not hasattr(clone(solver).fit(X), "path_")


def test_a_descent_only_goes_down():
    path = fitted(SOLVERS["direct"]).path_
    assert (np.diff(path.loss, axis=0) <= 0).all()
    np.testing.assert_array_equal(path.unknowns[0], np.tile(BOX.mean(axis=1), (7, 1)))


def test_problems_in_batches_stand_still_while_others_move():
    path = fitted(SOLVERS["several starts"], batch_size=3).path_
    np.testing.assert_allclose(path.loss[-1], 0.0, atol=1e-9)
    is_there = np.isfinite(path.loss)
    assert is_there[0].sum() == 3
    assert (np.diff(is_there.astype(int), axis=0) >= 0).all()


def test_differences_count_in_a_path_as_in_the_end():
    problem = InverseProblem(decay_in_numpy, BOX, differentiable=False)
    path = fitted(SOLVERS["direct"], problem=problem).path_
    # The first point follows on four simulations that tell the spread of each loss.
    assert path.n_forward_calls[0] == 4 + 7 * 5


def test_a_length_below_zero_is_refused_by_name():
    with pytest.raises(ValueError, match="path_length must be"):
        fitted(SOLVERS["direct"], path_length=-1)
