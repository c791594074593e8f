"""Linear constraints between the unknowns of an inverse problem."""

import numpy as np
import pytest
import torch
from scipy.optimize import LinearConstraint, NonlinearConstraint, minimize
from sklearn.base import clone

from sklearn_proxyopt.inverse import (
    DirectInverse,
    InverseProblem,
    LandscapeInverse,
    NeuralAdjointInverse,
    ReparameterizedInverse,
    SupervisedInverse,
)

BOX = np.array([[0.5, 3.0], [0.1, 4.0]])
# The rate is no more than the height.
SLOWER = LinearConstraint([-1.0, 1.0], ub=0.0)
TIMES = torch.linspace(0.0, 2.0, 9, dtype=torch.float64)
TRAINED = {"n_iterations": 60, "random_state": 0}
SOLVERS = {
    "direct": DirectInverse(),
    "several starts": DirectInverse(n_starts=3, n_candidates=8, random_state=0),
    "joint": ReparameterizedInverse(**TRAINED),
    "supervised": SupervisedInverse(n_pairs=50, **TRAINED),
    "neural adjoint": NeuralAdjointInverse(n_pairs=50, hidden_layer_sizes=(32,), **TRAINED),
    "landscape": LandscapeInverse(n_pairs=64, input_noise=(0.1, 0.0), **TRAINED),
}


def decay(unknowns):
    return unknowns[:, :1] * torch.exp(-unknowns[:, 1:] * TIMES)


def draw(n=12):
    unknowns = np.random.default_rng(0).uniform([0.9, 0.3], [2.8, 2.6], (9 * n, 2))
    return unknowns[unknowns[:, 1] < unknowns[:, 0] - 0.3][:n]


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
@pytest.mark.parametrize("differentiable", [True, False])
def test_solvers_find_what_constraints_allow_and_never_simulate_anything_else(
    solver, differentiable
):
    def watched(unknowns):
        seen.append(torch.as_tensor(unknowns).detach().numpy())
        values = decay(torch.as_tensor(unknowns))
        return values if differentiable else values.numpy()

    seen = []
    problem = InverseProblem(watched, BOX, constraints=SLOWER, differentiable=differentiable)
    truth = draw()
    found = clone(solver).set_params(problem=problem).fit(decay(torch.tensor(truth)).numpy())
    # A network's estimate may lie in a corner, which no search leaves.
    assert (np.abs(found.solutions_ - truth).max(axis=1) < 1e-3).sum() >= 10
    simulated = np.vstack(seen)
    assert (simulated[:, 1] <= simulated[:, 0]).all()
    assert ((simulated >= BOX[:, 0]) & (simulated <= BOX[:, 1])).all()


def test_an_answer_that_constraints_forbid_is_replaced_by_the_best_that_they_allow():
    forbidden = np.array([[1.0, 3.0], [2.0, 3.5]])
    X = decay(torch.tensor(forbidden)).numpy()
    problem = InverseProblem(decay, BOX, constraints=[SLOWER])
    found = DirectInverse(problem, n_starts=5, n_candidates=20, random_state=0).fit(X)
    for row, solution in zip(X, found.solutions_, strict=True):
        best = minimize(
            lambda u, row=row: 0.5 * np.square(decay(torch.tensor(u[None])).numpy() - row).sum(),
            [1.5, 1.0],
            bounds=BOX,
            constraints=SLOWER,
            method="SLSQP",
        )
        np.testing.assert_allclose(solution, best.x, atol=1e-2)
        assert solution[1] <= solution[0]


@pytest.mark.parametrize("n_unknowns", [1, 2, 5])
def test_the_box_is_mapped_onto_what_is_left_of_it_and_back(n_unknowns):
    rng = np.random.default_rng(n_unknowns)
    bounds = np.column_stack([-rng.uniform(1, 2, n_unknowns), rng.uniform(1, 2, n_unknowns)])
    constraint = LinearConstraint(rng.standard_normal((3, n_unknowns)), ub=0.3, lb=-2.0)
    problem = InverseProblem(lambda u: u, bounds, constraints=constraint)
    places = torch.tensor(rng.uniform(-1.0, 1.0, (500, n_unknowns)))
    unknowns = problem.from_box(places)
    torch.testing.assert_close(problem.to_box(unknowns), places)
    values = unknowns.numpy() @ constraint.A.T
    assert (values <= 0.3).all()
    assert (values >= -2.0).all()
    edge = problem.from_box(places / places.abs().amax(dim=1, keepdim=True)).numpy()
    values = edge @ constraint.A.T
    room = np.hstack([0.3 - values, values + 2.0, edge - bounds[:, 0], bounds[:, 1] - edge])
    assert (room.min(axis=1) < 1e-6).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"constraints": LinearConstraint([1.0, 1.0], ub=0.0)}, "must leave room inside bounds"),
        ({"constraints": LinearConstraint([1.0, 1.0], 2.0, 2.0)}, "inequalities; got an equation"),
        ({"constraints": NonlinearConstraint(np.sum, 0.0, 1.0)}, "must be linear; got a Nonlinear"),
        ({"constraints": LinearConstraint([1.0], ub=0.0)}, r"constraints\[0\] must have a finite"),
        ({"constraints": 3}, "constraints must be scipy.optimize.LinearConstraint"),
        ({"constraints": SLOWER, "hard_bounds": False}, "hard_bounds must be True where"),
        ({"constraints": SLOWER, "start": [1.0, 2.0]}, r"start must meet the constraints; got \[1"),
    ],
)
def test_constraints_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        InverseProblem(decay, BOX, **options)
