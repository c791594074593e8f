import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sklearn_proxyopt.inverse import (
    BestOfInverse,
    ConvNet,
    DirectInverse,
    InverseProblem,
    LandscapeInverse,
    NeuralAdjointInverse,
    ReparameterizedInverse,
    SupervisedInverse,
)
from sklearn_proxyopt.problems.physics import WavePacket

PROBLEM = InverseProblem(WavePacket())
X = WavePacket().sample(10, random_state=0)[0]
NEW = WavePacket().sample(4, random_state=1)[0]


class Flat(torch.nn.Module):
    def __init__(self, observation_shape, condition_shape, n_unknowns):
        super().__init__()
        self.layer = torch.nn.Linear(int(np.prod(observation_shape)), n_unknowns)

    def forward(self, observed, conditions):
        return self.layer(observed.flatten(1))


NETWORK = {"n_iterations": 5, "random_state": 0}
SOLVERS = {
    "direct": DirectInverse(PROBLEM, n_starts=3, n_candidates=8, random_state=0),
    "reparameterized": ReparameterizedInverse(PROBLEM, network=ConvNet((4, 4)), **NETWORK),
    "supervised": SupervisedInverse(PROBLEM, dtype="float32", **NETWORK),
    "network of one's own": SupervisedInverse(PROBLEM, network=Flat, **NETWORK),
    "adjoint": NeuralAdjointInverse(PROBLEM, hidden_layer_sizes=(8,), **NETWORK),
    "landscape": LandscapeInverse(PROBLEM, n_pairs=64, input_noise=(0.1, 0.0), **NETWORK),
    "best of": BestOfInverse([DirectInverse(PROBLEM), SupervisedInverse(PROBLEM, **NETWORK)]),
    "a straight line": DirectInverse(),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "solver.npz"


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_a_loaded_solver_answers_to_the_last_bit(solver, path):
    solver = clone(solver).fit(X)
    solver.save(path)
    loaded = clone(solver).load(path)
    np.testing.assert_array_equal(loaded.predict(NEW), solver.predict(NEW))
    kept = [
        name
        for name, value in vars(solver).items()
        if name.endswith("_") and isinstance(value, int | np.ndarray)
    ]
    assert {"solutions_", "loss_", "n_features_in_"} <= set(kept)
    for name in kept:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(solver, name))


def test_a_landscape_is_loaded_with_its_report(path):
    solver = clone(SOLVERS["landscape"]).fit(X)
    solver.save(path)
    loaded = clone(solver).load(path)
    np.testing.assert_equal(loaded.smoothing_report_, solver.smoothing_report_)
    places = np.linspace(*PROBLEM.bounds.T, 5)
    np.testing.assert_array_equal(
        loaded.landscape(NEW, places, 0.1), solver.landscape(NEW, places, 0.1)
    )


def test_a_solver_that_is_not_fitted_cannot_be_saved(path):
    with pytest.raises(NotFittedError):
        DirectInverse().save(path)


@pytest.mark.parametrize(
    ("reader", "message"),
    [
        (DirectInverse(PROBLEM), "path must be of a DirectInverse; got .* of 'SupervisedInverse'"),
        (SupervisedInverse(), "path must be a file that fits .* shape"),
        (SupervisedInverse(PROBLEM, network=Flat), "its network is not one that the parameters"),
        (SupervisedInverse(PROBLEM), "its network is not one that the parameters make"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_leaves_the_solver_as_it_was(reader, message, path):
    clone(SOLVERS["supervised"]).fit(X).save(path)
    reader = clone(reader)
    with pytest.raises(ValueError, match=message):
        reader.load(path)
    assert not hasattr(reader, "solutions_")


def test_solvers_of_another_number_are_refused(path):
    clone(SOLVERS["best of"]).fit(X).save(path)
    with pytest.raises(ValueError, match="path must be a file that fits the parameters"):
        BestOfInverse([DirectInverse(PROBLEM)]).load(path)


def test_a_damaged_file_is_refused(path):
    clone(SOLVERS["direct"]).fit(X).save(path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"DirectInverse\.save wrote"):
        DirectInverse(PROBLEM).load(path)
