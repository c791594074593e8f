import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.evaluation import Journal
from sklearn_proxyopt.exceptions import JournalError
from sklearn_proxyopt.optimizers import DifferentialEvolution
from sklearn_proxyopt.samplers import SobolSampler

BOX = np.array([[-2.0, 2.0], [0.0, 50.0]])


def bowl(X):
    return (X[:, 0] - 0.5) ** 2 + ((X[:, 1] - 20.0) / 25.0) ** 2 + 3.0


@pytest.fixture
def program(tmp_path):
    """Start a program that asks and tells, with a journal that outlives it."""
    settings = {
        "bounds": BOX,
        "sampler": SobolSampler(16),
        "proxy": LinearRegression(),
        "optimizer": DifferentialEvolution(10, 5),
        "journal": tmp_path / "runs.sqlite",
        "vectorized": True,
        "random_state": 0,
    }
    return lambda **params: ProxyOptimizer(**(settings | params))


def overlap(X, others):
    return sum(any(np.allclose(x, other) for other in others) for x in X)


def test_points_asked_for_are_in_the_journal_until_they_are_told(program, tmp_path):
    opt, journal = program(), Journal(tmp_path / "runs.sqlite")
    X = opt.ask(4)
    np.testing.assert_array_equal(journal.pending_points(), X)
    opt.tell(X[[2, 0]], bowl(X[[2, 0]]))
    np.testing.assert_array_equal(journal.pending_points(), X[[1, 3]])


def test_a_restarted_program_does_not_hand_out_the_same_point_twice(program):
    first = program().ask(4)
    again = program()
    second = again.ask(4)
    assert overlap(first, second) == 0
    np.testing.assert_array_equal(again.X_pending_, np.vstack([first, second]))


def test_a_restarted_program_goes_on_as_one_that_never_stopped(program, tmp_path):
    whole = program().set_params(journal=None)
    for _ in range(3):
        X_whole = whole.ask(5)
        X = program().ask(5)
        np.testing.assert_array_equal(X, X_whole)
        whole.tell(X[:4], bowl(X[:4]))
        program().tell(X[:4], bowl(X[:4]))
    np.testing.assert_array_equal(
        Journal(tmp_path / "runs.sqlite").pending_points(), whole.X_pending_
    )


def test_a_restarted_program_knows_its_pending_points_when_it_is_told(program):
    X = program().ask(6)
    again = program().tell(X[:3], bowl(X[:3]))
    np.testing.assert_array_equal(again.X_pending_, X[3:])


def test_points_told_by_another_program_are_not_asked_for(program):
    opt, other = program(), program()
    X = opt.ask(4)
    opt.tell(X, bowl(X))
    Z = other.ask(4)
    other.tell(Z, bowl(Z))
    assert overlap(opt.ask(4), np.vstack([X, Z])) == 0


def test_points_that_minimize_has_paid_for_are_pending_no_more(program):
    opt = program(refiner=None, verdict=False)
    X = opt.ask(4)
    opt.minimize(bowl, BOX)
    opt.ask(1)
    assert overlap(X, opt.X_pending_) == 0


def noisy(x, rng):
    return float(bowl(x[None])[0] + 0.1 * rng.standard_normal())


NOISY = {"budget": 30, "sampler": None, "noise_std": 0.1}


def asked_again(opt):
    """Tell noisy values until a known setting is asked for again; return it."""
    rng = np.random.default_rng(0)
    X = opt.ask(12)
    while not overlap(X, getattr(opt, "X_", X[:0])):
        opt.tell(X, [noisy(x, rng) for x in X])
        X = opt.ask(1)
    return X[0]


@pytest.mark.parametrize("restarts", [True, False])
def test_a_repeat_stays_pending_until_it_is_told(program, tmp_path, restarts):
    opt = program(**NOISY)
    x = asked_again(opt)
    opt = program(**NOISY) if restarts else opt
    opt.ask(2)
    np.testing.assert_array_equal(opt.X_pending_[0], x)
    np.testing.assert_array_equal(Journal(tmp_path / "runs.sqlite").pending_points()[0], x)
    opt.tell(x[None], [2.5])
    # It may be asked for once more.
    n_pending = overlap(x[None], opt.ask(1))
    assert overlap(x[None], opt.X_pending_) == n_pending
    assert overlap(x[None], Journal(tmp_path / "runs.sqlite").pending_points()) == n_pending


def test_a_repeat_that_another_program_tells_is_pending_no_more(program):
    opt = program(**NOISY)
    x = asked_again(opt)
    program(**NOISY).tell(x[None], [2.5])
    opt.ask(1)
    assert overlap(x[None], opt.X_pending_) == 0


def test_a_journal_of_other_outputs_is_refused_by_ask(program, tmp_path):
    with Journal(tmp_path / "runs.sqlite").writing(2, BOX, n_outputs=3):
        pass
    with pytest.raises(JournalError, match=r"number of outputs is 3 in .*, got 1"):
        program().ask()
