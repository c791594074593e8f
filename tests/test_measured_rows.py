"""Rows that were done are experiments: rounded, measured, typed, and still the ones asked for."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import LinearConstraint, NonlinearConstraint
from sklearn.gaussian_process import GaussianProcessRegressor

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.evaluation import Journal
from sklearn_proxyopt.exceptions import RowsOutsideWarning
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import Integer, Periodic, Real, Variables

BOX = np.array([[0.0, 4.0], [10.0, 50.0]])
MIXTURE = LinearConstraint([[1.0, 1.0, 1.0]], 1.0, 1.0)


def bowl(X):
    X = np.asarray(X)
    return (X[:, 0] - 1.3) ** 2 + ((X[:, 1] - 20.0) / 20.0) ** 2


def optimizer(**params):
    settings = {
        "proxy": GaussianProcessRegressor(normalize_y=True),
        "optimizer": MultiStartBFGS(8, 20, n_rounds=2, n_candidates=64),
        "verdict": False,
        "vectorized": True,
        "random_state": 0,
    }
    return ProxyOptimizer(**{**settings, **params})


def through_csv(X, digits="%.6g"):
    text = io.StringIO()
    np.savetxt(text, X, fmt=digits, delimiter=",")
    return np.loadtxt(io.StringIO(text.getvalue()), delimiter=",", ndmin=2)


def simplex_design():
    """Return a centroid design of three parts, as textbooks print it."""
    X = np.array(
        [
            [1, 0, 0],
            [0, 1, 0],
            [0, 0, 1],
            [0.5, 0.5, 0],
            [0.5, 0, 0.5],
            [0, 0.5, 0.5],
            [0.333, 0.333, 0.333],
            [0.667, 0.167, 0.167],
            [0.167, 0.667, 0.167],
            [0.167, 0.167, 0.667],
        ]
    )
    return X, ((X - 1 / 3) ** 2).sum(axis=1)


@pytest.mark.parametrize(
    "constraint", [MIXTURE, NonlinearConstraint(lambda x: x.sum(), 1.0, 1.0)], ids=["line", "curve"]
)
def test_a_mixture_of_three_decimals_is_a_mixture(constraint):
    X, y = simplex_design()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RowsOutsideWarning)
        opt = optimizer(bounds=[[0, 1]] * 3, constraints=constraint).fit(X, y)
    np.testing.assert_array_equal(opt.x_best_row_, [0.333, 0.333, 0.333])
    assert opt.x_.sum() == pytest.approx(1.0, abs=1e-7)


def test_a_mixture_that_misses_by_more_than_its_digits_is_left_out_and_counted():
    X, y = simplex_design()
    X, y = np.vstack([X, [0.353, 0.333, 0.333]]), np.append(y, -1.0)
    message = r"bounds and constraints hold 10 of 11 samples.*misses a constraint by 0.0"
    with pytest.warns(RowsOutsideWarning, match=message):
        opt = optimizer(bounds=[[0, 1]] * 3, constraints=MIXTURE).fit(X, y)
    np.testing.assert_array_equal(opt.x_best_row_, [0.333, 0.333, 0.333])


def test_a_mixture_of_three_decimals_is_given_to_minimize():
    X, y = simplex_design()
    asked = []

    def objective(X):
        asked.append(X)
        return ((X - 1 / 3) ** 2).sum(axis=1) + 1.0

    opt = optimizer(constraints=MIXTURE)
    result = opt.minimize(objective, [[0, 1]] * 3, X=X, y=y, budget=8)
    np.testing.assert_array_equal(result.x, [0.333, 0.333, 0.333])
    np.testing.assert_allclose(np.vstack(asked).sum(axis=1), 1.0, atol=1e-7)


@pytest.mark.parametrize("refiner", ["auto", None])
def test_a_row_just_outside_the_bounds_counts(refiner, tmp_path):
    X = np.vstack([SobolSampler(16, random_state=0).sample(BOX), [-1e-7, 50.000001]])
    y = np.append(bowl(X[:-1]), -5.0)
    opt = optimizer(refiner=refiner).fit(X, y)
    result = opt.minimize(bowl, BOX, X=X, y=y, budget=12)
    np.testing.assert_array_equal(result.x, X[-1])
    assert ((BOX[:, 0] <= opt.x_proxy_) & (opt.x_proxy_ <= BOX[:, 1])).all()
    assert ((BOX[:, 0] <= opt.X_[len(X) :]) & (opt.X_[len(X) :] <= BOX[:, 1])).all()
    opt.save(tmp_path / "run")
    np.testing.assert_array_equal(optimizer().load(tmp_path / "run").x_, X[-1])


def test_rows_told_that_are_left_out_are_counted_with_the_miss_of_the_nearest():
    X = SobolSampler(16, random_state=0).sample(BOX)
    X[3:5, 0] = 4.4, 9.0
    opt = optimizer(bounds=BOX)
    with pytest.warns(RowsOutsideWarning, match=r"hold 14 of 16 samples.*variable 0 by 0.1 of"):
        opt.tell(X, bowl(X))
    with pytest.raises(ValueError, match=r"got none inside.*misses the bounds of variable 1 by 3"):
        optimizer(bounds=BOX).tell(X + np.array([0.0, 160.0]), bowl(X))


@pytest.mark.parametrize(
    "back",
    [
        lambda X: np.round(X, 1),
        lambda X: X.astype(np.float32),
        lambda X: np.round(X, 1).astype(np.float32),
        lambda X: through_csv(X),
        lambda X: through_csv(X, "%.6f"),
    ],
    ids=["decimal", "float32", "decimal-float32", "csv-g", "csv-f"],
)
@pytest.mark.parametrize("has_journal", [False, True], ids=["memory", "journal"])
def test_points_come_back_as_laboratories_write_them(back, has_journal, tmp_path):
    path = tmp_path / "runs.sqlite" if has_journal else None
    opt = optimizer(bounds=BOX, journal=path)
    X = opt.ask(6)
    opt.tell(back(X[:4]), bowl(X[:4]))
    np.testing.assert_array_equal(opt.X_pending_, X[4:])
    opt.tell(back(X[4:]), bowl(X[4:]))
    assert len(opt.X_pending_) == 0
    if has_journal:
        assert len(Journal(path).pending_points()) == 0
        assert len(optimizer(bounds=BOX, journal=path).ask(3)) == 3


def test_a_row_closes_the_nearest_of_the_questions_that_it_may_answer():
    space = Variables([[0.0, 10.0]])
    points = np.array([[1.04], [0.98], [5.0]])
    np.testing.assert_array_equal(space.answered(points, np.array([[1.0]])), [-1, 0, -1])
    np.testing.assert_array_equal(space.answered(points, np.array([[1.0], [1.0]])), [1, 0, -1])
    np.testing.assert_array_equal(space.answered(points, np.array([[1.2345]])), [-1, -1, -1])


def test_digits_count_on_circles_and_logarithmic_axes_but_not_in_steps():
    space = Variables([Periodic(0, 360), Real(1e-6, 1.0, log=True), Integer(0, 9)])
    points = np.array([[359.97, 2.34567e-5, 3.0]])
    assert space.answered(points, np.array([[0.0, 2.3e-5, 3.0]]))[0] == 0
    assert space.answered(points, np.array([[359.0, 2.3e-5, 3.0]]))[0] == -1
    assert space.answered(points, np.array([[0.0, 2.3e-2, 3.0]]))[0] == -1
    assert space.answered(points, np.array([[0.0, 2.3e-5, 4.0]]))[0] == -1


@pytest.mark.parametrize("digits", ["%.6g", "%.6f", "%.3f"])
def test_a_design_read_back_from_a_file_is_not_evaluated_again(digits):
    sampler = SobolSampler(32, random_state=1)
    X = through_csv(sampler.sample(BOX), digits)
    calls = []

    def objective(X):
        calls.extend(X)
        return bowl(X)

    result = optimizer(sampler=sampler, refiner=None).minimize(objective, BOX, X=X, y=bowl(X))
    assert len(calls) == result.nfev == 1


def test_a_question_is_withdrawn_by_what_was_written_down():
    opt = optimizer(bounds=BOX)
    X = opt.ask(3)
    opt.withdraw(through_csv(X[:1], "%.2f"))
    np.testing.assert_array_equal(opt.X_pending_, X[1:])


def test_a_row_is_forgotten_by_what_was_written_down_and_no_other():
    opt = optimizer(bounds=BOX)
    X = np.vstack([SobolSampler(8, random_state=0).sample(BOX), [[3.0, 20.0], [3.01, 20.01]]])
    opt.tell(X, bowl(X))
    opt.forget([[3.0, 20.0]])
    np.testing.assert_array_equal(opt.X_, np.delete(X, 8, axis=0))
    opt.forget(through_csv(X[:1], "%.3f"))
    np.testing.assert_array_equal(opt.X_, np.delete(X, [0, 8], axis=0))


def test_a_table_of_single_precision_may_hold_what_is_fixed():
    table = pd.DataFrame({"a": np.linspace(0, 1, 12), "b": 0.1}).astype(np.float32)
    opt = optimizer(bounds={"a": (0.0, 1.0), "b": 0.1})
    opt.fit(table, (table["a"].to_numpy() - 0.4) ** 2)
    assert (opt.X_[:, 1] == 0.1).all()
