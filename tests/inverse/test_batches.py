"""Problems in batches: the same answers in less memory."""

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_proxyopt.inverse import (
    DirectInverse,
    InverseProblem,
    LandscapeInverse,
    NeuralAdjointInverse,
    ReparameterizedInverse,
    SupervisedInverse,
)
from sklearn_proxyopt.problems.physics import BilliardShot

SHOT = BilliardShot()
X, _ = SHOT.sample(23, random_state=0)
TRAINED = {"n_iterations": 20, "random_state": 0}
SEARCHES = {
    "direct": DirectInverse(),
    "candidates": DirectInverse(n_starts=3, n_candidates=8, random_state=0),
    "best candidate": DirectInverse(n_candidates=8, refine=None, random_state=0),
}
SOLVERS = {
    **SEARCHES,
    "joint": ReparameterizedInverse(**TRAINED),
    "supervised": SupervisedInverse(n_pairs=50, **TRAINED),
    "neural adjoint": NeuralAdjointInverse(n_pairs=50, hidden_layer_sizes=(8,), **TRAINED),
    "landscape": LandscapeInverse(n_pairs=64, input_noise=0.1, n_starts=2, **TRAINED),
}


def watched(sizes):
    def forward(unknowns, conditions):
        sizes.append(len(unknowns))
        return SHOT(unknowns, conditions)

    return InverseProblem(
        forward,
        SHOT.bounds,
        start=SHOT.start,
        hard_bounds=False,
        observation_shape=(2,),
        condition_shape=(1,),
    )


@pytest.mark.parametrize("solver", SEARCHES.values(), ids=SEARCHES)
def test_searches_in_batches_give_the_same_answers(solver):
    solver = clone(solver).set_params(problem=InverseProblem(SHOT))
    whole, parts = clone(solver).fit(X), clone(solver).set_params(batch_size=5).fit(X)
    np.testing.assert_array_equal(parts.solutions_, whole.solutions_)
    np.testing.assert_array_equal(parts.converged_, whole.converged_)
    assert parts.n_forward_calls_ == whole.n_forward_calls_
    np.testing.assert_array_equal(parts.predict(X[:7]), whole.predict(X[:7]))


@pytest.mark.parametrize(
    "solver",
    [one for name, one in SOLVERS.items() if name != "landscape"],
    ids=[name for name in SOLVERS if name != "landscape"],
)
def test_no_more_problems_are_simulated_at_once_than_a_batch_has(solver):
    sizes = []
    solver = clone(solver).set_params(problem=watched(sizes), batch_size=5).fit(X)
    assert max(sizes) <= 5
    assert sum(sizes) == solver.n_forward_calls_
    sizes.clear()
    solver.predict(X)
    assert max(sizes) <= 5


def test_a_joint_training_in_batches_sees_each_problem_once_a_pass_and_learns_more_of_it():
    solver = ReparameterizedInverse(
        InverseProblem(SHOT), n_iterations=30, refine=None, random_state=0
    )
    parts = clone(solver).set_params(batch_size=5).fit(X)
    assert len(parts.history_) == parts.n_iter_ == 30
    assert parts.n_forward_calls_ == clone(solver).fit(X).n_forward_calls_
    assert parts.loss_.mean() < solver.fit(X).loss_.mean()


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_a_batch_of_no_problems_is_refused(solver):
    solver = clone(solver).set_params(problem=InverseProblem(SHOT), batch_size=0)
    with pytest.raises(ValueError, match="batch_size must be an integer of at least 1; got 0"):
        solver.fit(X)
