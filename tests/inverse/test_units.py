"""Answers to inverse problems do not depend on the units of what is measured."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sklearn_proxyopt.exceptions import StartReturnedWarning
from sklearn_proxyopt.inverse import (
    BestOfInverse,
    DirectInverse,
    InverseProblem,
    LandscapeInverse,
    NeuralAdjointInverse,
    ReparameterizedInverse,
    SupervisedInverse,
)
from sklearn_proxyopt.problems.physics import BilliardShot

TIMES = torch.linspace(0.0, 2.0, 9, dtype=torch.float64)
BOX = np.array([[0.5, 3.0], [0.1, 4.0]])
TRUTH = np.random.default_rng(0).uniform(*BOX.T, (12, 2))


def decay(unknowns):
    return unknowns[:, :1] * torch.exp(-unknowns[:, 1:] * TIMES)


NOISE = 0.05 * np.random.default_rng(1).standard_normal((12, 9))
X = decay(torch.tensor(TRUTH)).numpy() + NOISE


def half_sum(predicted, observed):
    return 0.5 * (predicted - observed).square().sum(dim=1)


def mean(predicted, observed):
    return (predicted - observed).square().mean(dim=1)


def in_units(unit, loss=None):
    return InverseProblem(lambda unknowns: unit * decay(unknowns), BOX, loss=loss)


SEARCHES = {
    "one start": DirectInverse(),
    "several starts": DirectInverse(n_starts=3, n_candidates=8, random_state=0),
    "raced starts": DirectInverse(n_starts=3, n_candidates=8, keep_best_after=3, random_state=0),
}
TRAINED = {"n_iterations": 60, "random_state": 0, "refine": None}
NETWORKS = {
    "joint": ReparameterizedInverse(**TRAINED),
    "supervised": SupervisedInverse(n_pairs=50, **TRAINED),
    "neural adjoint": NeuralAdjointInverse(n_pairs=50, hidden_layer_sizes=(32,), **TRAINED),
    "landscape": LandscapeInverse(n_pairs=128, input_noise=(0.1, 0.0), dtype="float64", **TRAINED),
}
each_search = pytest.mark.parametrize("solver", SEARCHES.values(), ids=SEARCHES)
each_network = pytest.mark.parametrize("solver", NETWORKS.values(), ids=NETWORKS)


def fitted(solver, unit=1.0, loss=None):
    return clone(solver).set_params(problem=in_units(unit, loss)).fit(unit * X)


@each_search
@pytest.mark.parametrize("power", [-40, -1, 30])
def test_searches_in_units_of_powers_of_two_give_the_same_bits(solver, power):
    unit = 2.0**power
    there, here = fitted(solver, unit), fitted(solver)
    np.testing.assert_array_equal(there.solutions_, here.solutions_)
    np.testing.assert_array_equal(there.loss_, unit**2 * here.loss_)


@each_search
@pytest.mark.parametrize("loss", [None, half_sum, mean])
@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1e9])
def test_searches_find_the_same_in_any_unit_and_by_sum_or_mean(solver, loss, unit):
    found = fitted(solver, unit, loss).solutions_
    difference = np.abs(found - fitted(solver).solutions_) / np.ptp(BOX, axis=1)
    assert difference.max() < 1e-6
    assert np.abs(found - TRUTH).max() < 0.5


@each_network
@pytest.mark.parametrize("unit", [2.0**-30, 1e-9, 1e9])
def test_networks_trained_in_any_unit_are_as_good(solver, unit):
    there, here = fitted(solver, unit).loss_ / unit**2, fitted(solver).loss_
    assert abs(there.mean() / here.mean() - 1) < 0.1


def test_a_joint_network_trained_on_means_is_as_good_as_on_sums():
    solver = NETWORKS["joint"]
    by_mean = fitted(solver, loss=mean).loss_ * 9 / 2
    assert abs(by_mean.mean() / fitted(solver).loss_.mean() - 1) < 0.1


def test_an_answer_depends_on_its_own_row_alone():
    solver = DirectInverse(in_units(1.0))
    far = np.vstack([X, 1e6 * X[:1]])
    alone, among = solver.fit(X[:1]).solutions_, clone(solver).fit(far).solutions_
    np.testing.assert_allclose(among[:1], alone, atol=1e-8)


def test_problems_of_small_signals_are_solved_beside_those_of_large_ones():
    def scaled(unknowns, height):
        return height * decay(unknowns)

    height = 10.0 ** np.linspace(-6, 6, 12)[:, None]
    rows = np.hstack([height * decay(torch.tensor(TRUTH)).numpy(), height])
    problem = InverseProblem(scaled, BOX, condition_shape=(1,))
    found = DirectInverse(problem).fit(rows)
    np.testing.assert_allclose(found.solutions_, TRUTH, atol=1e-4)
    assert found.converged_.all()


def test_searches_say_which_problems_have_converged():
    solver = DirectInverse(in_units(1.0))
    assert solver.fit(X).converged_.all()
    assert not clone(solver).set_params(refine=None).fit(X).converged_.any()
    both = BestOfInverse([solver, clone(solver).set_params(refine=None)]).fit(X)
    np.testing.assert_array_equal(both.converged_, both.winners_ == 0)


def test_a_problem_that_ends_where_it_began_is_warned_of():
    rows, _ = BilliardShot().sample(20, random_state=0)
    solver = DirectInverse(InverseProblem(BilliardShot()))
    with pytest.warns(StartReturnedWarning, match=r"\d of 20 problems end at the best guess"):
        solver.fit(rows)
    with pytest.warns(StartReturnedWarning):
        solver.predict(rows)


def test_a_problem_that_the_best_guess_solves_is_not_warned_of():
    middle = decay(torch.tensor(BOX.mean(axis=1)[None])).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = DirectInverse(in_units(1e-6)).fit(1e-6 * middle)
    np.testing.assert_allclose(found.solutions_[0], BOX.mean(axis=1))
    assert found.converged_.all()
