"""How well unknowns are known, and which answers can be relied on."""

import numpy as np
import pytest
import torch
from scipy.stats import norm
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from sklearn_proxyopt.inverse import (
    BestOfInverse,
    DirectInverse,
    InverseProblem,
    SupervisedInverse,
)
from sklearn_proxyopt.problems.physics import BilliardShot, WavePacket

LINE = np.column_stack([np.ones(8), np.linspace(-1.0, 1.0, 8)])
TIMES = torch.linspace(0.0, 2.0, 9, dtype=torch.float64)
BOX = np.array([[0.5, 3.0], [0.1, 4.0]])


def line(unknowns):
    return unknowns @ torch.tensor(LINE).T


def decay(unknowns):
    return unknowns[:, :1] * torch.exp(-unknowns[:, 1:] * TIMES)


def diagnosed(problem, X, **options):
    solver = DirectInverse(problem, loss_tolerance=0.0).fit(X)
    return solver.diagnose(X, solver.solutions_, **options)


def line_problem(**options):
    return InverseProblem(line, [[-9.0, 9.0], [-5.0, 5.0]], hard_bounds=False, **options)


ROWS = np.random.default_rng(0).standard_normal((5, 8))


def test_the_covariance_of_a_linear_model_is_that_of_least_squares():
    deviations = np.linspace(0.5, 2.0, 8)
    rows = ROWS.copy()
    rows[0, 2] = np.nan
    found = diagnosed(line_problem(noise_std=deviations), rows, level=0.9)
    for covariance, row in zip(found.covariance, rows, strict=True):
        weighted = (LINE / deviations[:, None])[~np.isnan(row)]
        np.testing.assert_allclose(
            covariance, np.linalg.inv(weighted.T @ weighted), rtol=1e-6, atol=1e-12
        )
    half = norm.ppf(0.95) * found.std
    np.testing.assert_allclose(found.upper - found.unknowns, half, rtol=0.05)
    np.testing.assert_allclose(found.unknowns - found.lower, half, rtol=0.05)


def test_noise_that_is_not_known_is_taken_from_what_the_fit_leaves():
    found = diagnosed(line_problem(), ROWS)
    left = np.square(ROWS - found.unknowns @ LINE.T).sum(axis=1) / 6
    expected = left[:, None, None] * np.linalg.inv(LINE.T @ LINE)
    np.testing.assert_allclose(found.covariance, expected, rtol=1e-6, atol=1e-12)
    half = student.ppf(0.975, 6) * found.std
    np.testing.assert_allclose(found.upper - found.unknowns, half, rtol=0.05)


def test_the_curvature_of_a_loss_of_ones_own_is_that_of_squares_where_it_is_one():
    def own(predicted, observed):
        return 0.5 * ((predicted - observed) / 0.3).square().sum(dim=1)

    X = decay(torch.tensor([[1.0, 0.7], [2.0, 1.5]])).numpy()
    by_squares = diagnosed(InverseProblem(decay, BOX, noise_std=0.3), X)
    by_loss = diagnosed(InverseProblem(decay, BOX, loss=own), X)
    np.testing.assert_allclose(by_loss.covariance, by_squares.covariance, rtol=1e-3)


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    truth = rng.uniform([0.8, 0.3], [2.8, 3.0], (300, 2))
    errors = 0.05 * rng.standard_normal((300, 9))
    X = decay(torch.tensor(truth)).numpy() + errors
    found = diagnosed(InverseProblem(decay, BOX, noise_std=0.05), X)
    inside = (found.lower <= truth) & (truth <= found.upper)
    assert (np.abs(inside.mean(axis=0) - 0.95) < 0.03).all()
    assert (found.verdict == "credible").mean() > 0.9
    assert found.fits.mean() > 0.95


def test_ends_of_an_interval_lie_where_the_loss_has_risen_as_the_level_asks():
    problem = InverseProblem(torch.exp, [[-4.0, 4.0]], noise_std=1.0)
    found = diagnosed(problem, np.array([[3.0]]))
    for end in (found.lower, found.upper):
        rise = 0.5 * (np.exp(end) - 3.0) ** 2
        np.testing.assert_allclose(rise, 0.5 * norm.ppf(0.975) ** 2, rtol=0.1)
    # Below the solution the loss rises more slowly.
    assert found.unknowns - found.lower > 1.5 * (found.upper - found.unknowns)


def test_intervals_stay_in_a_hard_box():
    problem = InverseProblem(lambda u: u.expand(-1, 4), [[0.0, 1.0]], noise_std=1.0)
    found = diagnosed(problem, np.full((1, 4), 0.9))
    assert found.upper[0, 0] == 1.0
    assert found.lower[0, 0] >= 0.0


def test_a_direction_that_is_not_measured_is_named():
    def of_the_sum(unknowns):
        return (unknowns[:, :1] / 10.0 + unknowns[:, 1:]) * torch.ones(5, dtype=torch.float64)

    problem = InverseProblem(of_the_sum, [[0.0, 10.0], [0.0, 1.0]], noise_std=0.01)
    found = diagnosed(problem, np.full((2, 5), 0.8))
    assert not found.is_identifiable.any()
    np.testing.assert_allclose(np.abs(found.flat_direction), 0.5**0.5, atol=1e-3)
    assert (found.flat_direction.prod(axis=1) < 0).all()
    assert diagnosed(InverseProblem(decay, BOX, noise_std=0.01), DECAYS).is_identifiable.all()


DECAYS = decay(torch.tensor([[1.0, 0.7], [2.0, 1.5]])).numpy()


def test_slopes_that_fail_are_told_of():
    def spikes(unknowns):
        is_there = np.abs(unknowns[:, :1] - 1.0) < 1e-9
        return np.where(is_there, np.ones(4), np.where(unknowns[:, :1] < 0.5, 0.0, np.nan))

    problem = InverseProblem(spikes, [[0.0, 2.0]], noise_std=0.1, differentiable=False)
    found = DirectInverse(problem).fit(np.ones((1, 4))).diagnose(np.ones((1, 4)), [[1.0]])
    assert found.fits.all()
    assert np.isnan(found.flat_direction).all()
    assert "- its neighborhood could not be simulated" in found.reasons(0)


def test_other_solutions_that_fit_as_well_are_counted():
    def square(unknowns):
        return unknowns.square() * torch.ones(4, dtype=torch.float64)

    problem = InverseProblem(square, [[-2.0, 3.0]], noise_std=0.1)
    found = diagnosed(problem, np.full((1, 4), 1.0))
    np.testing.assert_array_equal(found.n_rivals, 1)
    assert not found.is_beaten.any()
    np.testing.assert_allclose(found.chance, 0.5, atol=0.01)
    assert "- 1 other solutions fit as well" in found.reasons(0)


def test_an_answer_that_is_beaten_is_called_wrong_and_shown_the_better_one():
    packet = WavePacket(noise=0.0)
    X, truth = packet.sample(20, random_state=0)
    problem = InverseProblem(packet, noise_std=0.1)
    found = DirectInverse(problem).fit(X).diagnose(X, truth + 6.2)
    assert found.is_beaten.all()
    assert (found.verdict == "wrong").all()
    np.testing.assert_allclose(found.rivals, truth, atol=1e-4)
    assert "other unknowns explain them better" in found.reasons(0)[1]


@pytest.mark.parametrize(
    ("model", "noise_std"), [(WavePacket(width=50.0), 0.1), (BilliardShot(), None)]
)
def test_chances_tell_right_answers_from_wrong_ones(model, noise_std):
    X, truth = model.sample(60, random_state=11)
    problem = InverseProblem(model, noise_std=noise_std)
    solver = DirectInverse(problem, n_starts=2, n_candidates=6, random_state=0).fit(X)
    found = solver.diagnose(X, solver.solutions_)
    width = np.ptp(model.bounds, axis=1)
    wrong = (np.abs(solver.solutions_ - truth) / width).max(axis=1) > 0.02
    assert roc_auc_score(wrong, -found.chance) > 0.9
    assert wrong[found.verdict == "wrong"].mean() > 0.9
    assert wrong[found.verdict == "credible"].mean() < 0.3


def test_measurements_that_nothing_explains_are_told_of():
    X = np.vstack([DECAYS, [[0.0, 5.0] * 4 + [0.0]]])
    found = diagnosed(InverseProblem(decay, BOX, noise_std=0.1), X)
    np.testing.assert_array_equal(found.fits, [True, True, False])
    assert "outside what is simulated" in " ".join(found.reasons(2))
    assert "1 do not fit the measurements" in str(found)


def products(scales):
    """Problems of one unknown, exactly solvable, whose losses differ by the squares of scales."""
    problem = InverseProblem(lambda u, c: u * c, [[0.0, 1.0]], condition_shape=(1,))
    truth = np.random.default_rng(0).uniform(0.05, 0.95, (len(scales), 1))
    return problem, truth, np.hstack([truth * scales[:, None], scales[:, None]])


def test_exact_fits_are_good_ones_whatever_the_scale_of_a_problem():
    problem, truth, X = products(np.logspace(-3.0, 3.0, 20))
    solver = DirectInverse(problem).fit(X)
    for answers in (truth, solver.solutions_):
        found = solver.diagnose(X, answers)
        assert found.fits.all()
        assert (found.verdict == "credible").all()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_bad_fit_among_exact_ones_of_other_scales_is_one(scale):
    problem, truth, X = products(np.append(np.logspace(-3.0, 3.0, 19), scale))
    truth[-1] += 0.04
    found = DirectInverse(problem).fit(X).diagnose(X, truth)
    np.testing.assert_array_equal(found.fits, np.arange(20) < 19)
    assert found.verdict[-1] == "wrong"


def test_an_answer_at_the_edge_of_the_box_is_told_of():
    X = decay(torch.tensor([[4.0, 1.0], [1.0, 1.0]])).numpy()
    found = diagnosed(InverseProblem(decay, BOX, noise_std=0.1), X)
    np.testing.assert_array_equal(found.is_at_edge, [True, False])
    assert "- lies at the edge of the box" in found.reasons(0)


def test_a_problem_without_an_answer_has_no_chance():
    unknowns = np.array([[np.nan, np.nan], [2.0, 1.5]])
    solver = DirectInverse(InverseProblem(decay, BOX, noise_std=0.1)).fit(DECAYS)
    found = solver.diagnose(DECAYS, unknowns)
    assert found.chance[0] == 0.0
    assert found.verdict.tolist() == ["wrong", "credible"]


def fails_above(limit):
    """The decay in NumPy, which has no value for heights above a limit."""

    def simulate(unknowns):
        values = decay(torch.tensor(unknowns)).numpy()
        return np.where(unknowns[:, :1] > limit, np.nan, values)

    return simulate


@pytest.mark.parametrize("noise_std", [None, 0.1])
@pytest.mark.parametrize("n", [1, 2])
def test_problems_that_all_fail_are_diagnosed(noise_std, n):
    problem = InverseProblem(fails_above(0.0), BOX, noise_std=noise_std, differentiable=False)
    solver = DirectInverse(problem).fit(DECAYS[:n])
    found = solver.diagnose(DECAYS[:n], solver.solutions_)
    assert not found.fits.any()
    assert (found.verdict == "wrong").all()
    assert found.reasons(0) == [
        "- has no answer with a finite loss",
        "- no unknowns that explain them were found: outside what is simulated?",
    ]
    assert f"{n} have no answer with a finite loss" in str(found)
    for values in (found.lower, found.upper, found.std, found.rivals, found.flat_direction):
        assert np.isnan(values).all()


@pytest.mark.parametrize("noise_std", [None, 0.1])
@pytest.mark.parametrize("unknowns", [[np.nan, np.nan], [2.9, 0.7]], ids=["NaN", "fails"])
def test_an_answer_without_a_loss_is_beaten_and_nothing_else(noise_std, unknowns):
    problem = InverseProblem(fails_above(2.5), BOX, noise_std=noise_std, differentiable=False)
    answers = np.array([unknowns, [2.0, 1.5]])
    found = DirectInverse(problem).fit(DECAYS).diagnose(DECAYS, answers)
    alone, *others = found.reasons(0)
    assert alone == "- has no answer with a finite loss"
    assert len(others) == 1
    assert others[0].startswith("- other unknowns explain them better: [")
    np.testing.assert_allclose(found.rivals[0], [1.0, 0.7], atol=1e-3)
    np.testing.assert_array_equal(np.isnan(found.lower), [[True, True], [False, False]])
    np.testing.assert_array_equal(np.isnan(found.std), [[True, True], [False, False]])
    np.testing.assert_array_equal(found.n_rivals, 0)
    np.testing.assert_array_equal(found.misfit[0], np.inf)
    np.testing.assert_array_equal(found.chance[0], 0.0)
    assert found.verdict.tolist() == ["wrong", "credible"]
    assert "determined" not in str(found)


def test_fewer_measurements_than_unknowns_are_fitted():
    X = np.where(np.arange(9) == 3, DECAYS, np.nan)
    assert diagnosed(InverseProblem(decay, BOX, noise_std=0.1), X).fits.all()


def test_functions_of_numpy_and_batches_are_diagnosed_alike():
    def in_numpy(unknowns):
        return decay(torch.tensor(unknowns)).numpy()

    X = np.repeat(DECAYS, 4, axis=0)
    alike = [
        InverseProblem(decay, BOX, noise_std=0.1),
        InverseProblem(in_numpy, BOX, noise_std=0.1, differentiable=False),
    ]
    solvers = [DirectInverse(alike[0]), DirectInverse(alike[1], batch_size=3)]
    one, other = (solver.fit(X).diagnose(X, solvers[0].solutions_) for solver in solvers)
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-9)
    np.testing.assert_allclose(one.upper, other.upper, rtol=1e-9)
    np.testing.assert_allclose(one.chance, other.chance, rtol=1e-6)


def test_answers_are_predicted_where_none_are_given():
    problem = InverseProblem(decay, BOX)
    solver = SupervisedInverse(problem, n_iterations=5, random_state=0).fit(DECAYS)
    found = solver.diagnose(DECAYS, noise_std=np.full(2, 0.1))
    np.testing.assert_array_equal(found.unknowns, solver.predict(DECAYS, noise_std=[0.1, 0.1]))
    both = BestOfInverse([DirectInverse(problem), solver]).fit(DECAYS)
    np.testing.assert_allclose(both.diagnose(DECAYS).unknowns, found.unknowns, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"unknowns": [1.0, 2.0]}, r"unknowns must have shape \(2, 2\); got \(2,\)"),
        ({"level": 1.5}, "level must be a finite number"),
    ],
)
def test_what_cannot_be_judged_is_refused(arguments, message):
    solver = DirectInverse(InverseProblem(decay, BOX)).fit(DECAYS)
    with pytest.raises(ValueError, match=message):
        solver.diagnose(DECAYS, **arguments)
