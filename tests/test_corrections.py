"""What was asked for and told can be taken back, in the journal too."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.evaluation import Journal
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import Real

BOX = np.array([[0.0, 1.0], [10.0, 50.0]])


def bowl(X):
    X = np.asarray(X)
    return (X[:, 0] - 0.3) ** 2 + ((X[:, 1] - 20.0) / 20.0) ** 2


def optimizer(**params):
    settings = {
        "bounds": BOX,
        "proxy": GaussianProcessRegressor(normalize_y=True),
        "optimizer": MultiStartBFGS(8, 20, n_rounds=2, n_candidates=64),
        "sampler": SobolSampler(32),
        "on_error": "drop",
        "vectorized": True,
        "random_state": 0,
    }
    return ProxyOptimizer(**{**settings, **params})


@pytest.fixture(params=[False, True], ids=["memory", "journal"])
def journal(request, tmp_path):
    return tmp_path / "runs.sqlite" if request.param else None


def test_a_typing_error_is_corrected(journal):
    opt = optimizer(journal=journal)
    X = opt.ask(20)
    wrong = bowl(X)
    wrong[3] = -1000.0
    opt.tell(X, wrong)
    assert opt.fun_best_row_ == -1000.0
    opt.tell(X[3:4], bowl(X[3:4]), replace=True)
    np.testing.assert_array_equal(np.sort(opt.y_), np.sort(bowl(X)))
    right = optimizer().tell(np.roll(X, -4, axis=0), bowl(np.roll(X, -4, axis=0)))
    np.testing.assert_allclose(opt.x_, right.x_, atol=1e-3)


def test_a_row_that_was_told_is_forgotten(journal):
    opt = optimizer(journal=journal)
    X = opt.ask(20)
    opt.tell(X, bowl(X))
    opt.forget(X[:5])
    np.testing.assert_array_equal(opt.X_, X[5:])
    assert opt.n_learned_ == 15
    opt.tell(X[:5], bowl(X[:5]))
    assert len(opt.X_) == 20


def test_corrections_hold_for_who_goes_on_from_the_journal(tmp_path):
    path = tmp_path / "runs.sqlite"
    opt = optimizer(journal=path)
    X = opt.ask(10)
    opt.tell(X, np.append(bowl(X[:9]), np.nan))
    opt.tell(X[[0, 9]], [5.0, 6.0], replace=True)
    opt.forget(X[1:3])
    again = optimizer(journal=path)
    again.ask(1)
    np.testing.assert_array_equal(np.sort(again.y_), np.sort(opt.y_))
    assert (
        set(map(tuple, again.X_))
        == set(map(tuple, opt.X_))
        == set(map(tuple, X[[0, *range(3, 10)]]))
    )
    assert len(again.X_failed_) == 0
    assert Journal(path).check() == []
    rows, values = Journal(path).rows()
    assert len(rows) == 8
    assert 5.0 in values


def test_a_failure_told_by_mistake_is_replaced_and_so_is_a_value():
    opt = optimizer()
    X = opt.ask(6)
    opt.tell(X, [np.nan, *bowl(X[1:])])
    opt.tell(X[:2], [1.0, np.nan], replace=True)
    np.testing.assert_array_equal(opt.X_failed_, X[1:2])
    assert 1.0 in opt.y_


def test_a_point_that_will_not_be_told_is_withdrawn(journal):
    opt = optimizer(journal=journal)
    X = opt.ask(8)
    opt.withdraw(X[2:5])
    np.testing.assert_array_equal(opt.X_pending_, X[[0, 1, 5, 6, 7]])
    if journal is not None:
        np.testing.assert_array_equal(Journal(journal).pending_points(), opt.X_pending_)
    with pytest.raises(ValueError, match="X must hold points that were asked for and not told"):
        opt.withdraw(X[2:3])


def test_rows_are_found_by_the_decimals_to_which_they_are_known():
    space = {"dose": Real(0.0, 1.0, decimals=2), "heat": Real(10.0, 50.0, decimals=1)}
    opt = optimizer(bounds=space)
    asked = opt.ask(6)
    typed = asked.assign(dose=asked["dose"].round(2), heat=asked["heat"].round(1))
    opt.withdraw(typed[:2])
    assert len(opt.X_pending_) == 4
    opt.tell(typed[2:], bowl(typed[["dose", "heat"]][2:]))
    opt.forget(asked[2:3])
    assert len(opt.X_) == 3


def test_too_few_rows_that_are_left_have_no_answer():
    opt = optimizer()
    X = opt.ask(4)
    opt.tell(X, bowl(X)).forget(X[1:])
    assert len(opt.X_) == 1
    assert not hasattr(opt, "x_")
    assert not hasattr(opt, "proxy_")
    opt.tell(X[1:], bowl(X[1:]))
    assert len(opt.X_) == 4
    assert hasattr(opt, "x_")


def test_what_was_never_told_is_named():
    with pytest.raises(ValueError, match="forget must come after samples were told"):
        optimizer().forget(BOX.mean(axis=1)[None])


@pytest.mark.parametrize("bounds", [BOX, None])
def test_points_are_withdrawn_only_after_some_were_asked_for(bounds):
    opt = optimizer(bounds=bounds)
    x = BOX.mean(axis=1)[None]
    for told in ([], [1.0]):
        opt = opt.tell(x, told) if told else opt
        with pytest.raises(ValueError, match="withdraw must come after points were asked for; got"):
            opt.withdraw(x)
    with pytest.raises(AttributeError, match=r"'X_pending_' now\. It is there after ask\."):
        _ = opt.X_pending_


@pytest.mark.parametrize("bounds", [BOX, None])
def test_a_single_sample_is_corrected_shown_and_forgotten_too(bounds):
    opt, x = optimizer(bounds=bounds), BOX.mean(axis=1)[None]
    opt.tell(x, [1.0]).tell(x, [2.0], replace=True)
    assert opt.y_.tolist() == opt.to_frame()["value"].tolist() == [2.0]
    opt.forget(x)
    assert len(opt.X_) == len(opt.to_frame()) == 0
    with pytest.raises(ValueError, match="X must hold samples that were told; got 1 of 1 others"):
        opt.forget(x)
    opt = optimizer()
    X = opt.ask(4)
    opt.tell(X, bowl(X))
    with pytest.raises(ValueError, match="X must hold samples that were told; got 1 of 2 others"):
        opt.forget([X[0], [0.5, 33.0]])
    assert len(opt.X_) == 4
    with pytest.raises(ValueError, match="replace must be"):
        opt.tell(X, bowl(X), replace="yes")
