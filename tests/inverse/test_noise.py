"""Measurements as they come: with gaps, and with errors that are known."""

import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_proxyopt.inverse import (
    BestOfInverse,
    ConvNet,
    DenseNet,
    DirectInverse,
    InverseProblem,
    LandscapeInverse,
    NeuralAdjointInverse,
    ReparameterizedInverse,
    SupervisedInverse,
)

TIMES = torch.linspace(0.0, 2.0, 9, dtype=torch.float64)
BOX = np.array([[0.5, 3.0], [0.1, 4.0]])
TRUTH = np.random.default_rng(0).uniform(*BOX.T, (12, 2))


def decay(unknowns):
    return unknowns[:, :1] * torch.exp(-unknowns[:, 1:] * TIMES)


def with_gaps(rows):
    """Return rows without a third of their points, each row without others."""
    gaps = np.random.default_rng(1).random(rows.shape) < 1 / 3
    gaps[:, :2] = False
    return np.where(gaps, np.nan, rows)


EXACT = decay(torch.tensor(TRUTH)).numpy()
X = with_gaps(EXACT)
PROBLEM = InverseProblem(decay, BOX)
TRAINED = {"n_iterations": 60, "random_state": 0}
SOLVERS = {
    "direct": DirectInverse(PROBLEM),
    "several starts": DirectInverse(PROBLEM, n_starts=3, n_candidates=8, random_state=0),
    "joint": ReparameterizedInverse(PROBLEM, **TRAINED),
    "supervised": SupervisedInverse(PROBLEM, n_pairs=50, **TRAINED),
    "neural adjoint": NeuralAdjointInverse(
        PROBLEM, n_pairs=50, hidden_layer_sizes=(32,), **TRAINED
    ),
    "landscape": LandscapeInverse(PROBLEM, n_pairs=64, input_noise=(0.1, 0.0), **TRAINED),
    "best of": BestOfInverse([DirectInverse(PROBLEM), DirectInverse(PROBLEM, n_starts=2)]),
}
each_solver = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
LINE = np.column_stack([np.ones(6), np.linspace(-1.0, 1.0, 6)])


def line(unknowns):
    return unknowns @ torch.tensor(LINE).T


def line_problem(**options):
    return InverseProblem(line, [[-9.0, 9.0], [-9.0, 9.0]], hard_bounds=False, **options)


ROWS = np.random.default_rng(2).standard_normal((5, 6))


@each_solver
def test_unknowns_are_found_behind_observations_with_gaps(solver):
    solver = clone(solver).fit(X)
    np.testing.assert_allclose(solver.solutions_, TRUTH, atol=1e-3)
    np.testing.assert_allclose(solver.predict(X[:3]), TRUTH[:3], atol=1e-3)


def test_a_gap_counts_as_little_as_a_point_that_is_not_there():
    rows = ROWS.copy()
    rows[:, 2] = np.nan
    found = DirectInverse(line_problem()).fit(rows).solutions_
    expected = np.linalg.lstsq(np.delete(LINE, 2, 0), np.delete(ROWS, 2, 1).T)[0].T
    np.testing.assert_allclose(found, expected, atol=1e-7)


@each_solver
def test_a_loss_in_units_of_the_noise_has_the_same_answers(solver):
    noisy = InverseProblem(decay, BOX, noise_std=0.1)
    if isinstance(solver, BestOfInverse):
        solver = clone(solver).set_params(solvers=[DirectInverse(noisy)])
    else:
        solver = clone(solver).set_params(problem=noisy)
    np.testing.assert_allclose(solver.fit(X).solutions_, TRUTH, atol=1e-3)
    assert solver.reduced_chi2_.max() < 1e-6


def weighted(rows, weights):
    """Return the line of weighted least squares through each row."""
    return np.array(
        [
            np.linalg.solve(LINE.T @ w @ LINE, LINE.T @ w @ y)
            for y, w in zip(rows, weights, strict=True)
        ]
    )


def test_points_weigh_by_their_errors():
    deviations = np.array([0.1, 0.2, 1.0, 2.0, 0.5, 0.3])
    found = DirectInverse(line_problem(noise_std=deviations)).fit(ROWS)
    weights = [np.diag(deviations**-2.0)] * 5
    np.testing.assert_allclose(found.solutions_, weighted(ROWS, weights), atol=1e-6)
    misfit = (ROWS - found.solutions_ @ LINE.T) / deviations
    np.testing.assert_allclose(found.loss_, 0.5 * np.square(misfit).sum(axis=1))
    np.testing.assert_allclose(found.reduced_chi2_, np.square(misfit).sum(axis=1) / 4)


def test_each_problem_may_have_errors_of_its_own():
    deviations = np.random.default_rng(3).uniform(0.1, 2.0, ROWS.shape)
    rows, known = ROWS.copy(), deviations.copy()
    rows[0, 3] = known[0, 3] = np.nan
    found = DirectInverse(line_problem()).fit(rows, noise_std=known)
    weights = [np.diag(own**-2.0) for own in deviations]
    weights[0][3, 3] = 0.0
    expected = weighted(ROWS, weights)
    np.testing.assert_allclose(found.solutions_, expected, atol=1e-6)
    np.testing.assert_allclose(found.predict(rows, noise_std=known), expected, atol=1e-6)
    np.testing.assert_allclose(found.score(rows, noise_std=known), -found.loss_.mean())
    one = DirectInverse(line_problem()).fit(ROWS, noise_std=deviations[:, 0])
    np.testing.assert_allclose(one.solutions_, weighted(ROWS, [np.eye(6)] * 5), atol=1e-6)


@pytest.mark.parametrize("gap", [None, 2])
def test_correlated_errors_weigh_as_in_generalized_least_squares(gap):
    covariance = np.exp(-np.abs(np.subtract.outer(np.arange(6), np.arange(6))) / 2.0)
    rows, there = ROWS.copy(), np.arange(6) != (-1 if gap is None else gap)
    rows[1:, ~there] = np.nan
    found = DirectInverse(line_problem(noise_covariance=covariance), loss_tolerance=0.0)
    found.fit(rows)
    weights = np.zeros((5, 6, 6))
    weights[1:, np.ix_(there, there)[0], np.ix_(there, there)[1]] = np.linalg.inv(
        covariance[np.ix_(there, there)]
    )
    weights[0] = np.linalg.inv(covariance)
    np.testing.assert_allclose(found.solutions_, weighted(ROWS, weights), atol=1e-6)


@pytest.mark.parametrize(
    "options", [{"noise_std": 0.05}, {"noise_covariance": 0.0025 * (np.eye(9) + 0.5)}]
)
def test_a_good_fit_has_a_reduced_chi2_of_one(options):
    rng = np.random.default_rng(4)
    truth = rng.uniform(*BOX.T, (200, 2))
    covariance = options.get("noise_covariance", 0.0025 * np.eye(9))
    errors = rng.multivariate_normal(np.zeros(9), covariance, 200)
    rows = with_gaps(decay(torch.tensor(truth)).numpy() + errors)
    found = DirectInverse(InverseProblem(decay, BOX, **options)).fit(rows)
    assert 0.9 < found.reduced_chi2_.mean() < 1.1


def test_no_more_points_than_unknowns_leave_no_freedom():
    rows = np.full((1, 6), np.nan)
    rows[0, :2] = 1.0
    assert np.isnan(DirectInverse(line_problem(noise_std=1.0)).fit(rows).reduced_chi2_[0])


def test_a_loss_of_ones_own_sees_gaps_and_values_in_units_of_the_noise():
    def robust(predicted, observed):
        seen.append((predicted[0, 0].item(), observed[0].numpy()))
        return (predicted - observed).abs().nan_to_num().sum(dim=1)

    seen = []
    problem = line_problem(loss=robust, noise_std=0.5)
    rows = ROWS.copy()
    rows[0, 1] = np.nan
    solver = DirectInverse(problem, refine=None).fit(rows)
    np.testing.assert_allclose(seen[0][1], rows[0] / 0.5)
    assert not hasattr(solver, "reduced_chi2_")


class Recorder(torch.nn.Module):
    """A network that keeps what it is given."""

    def __init__(self, observation_shape, condition_shape, n_unknowns):
        super().__init__()
        self.shapes = observation_shape, condition_shape
        self.layer = torch.nn.Linear(int(np.prod(condition_shape)), n_unknowns)

    def forward(self, observed, conditions):
        self.seen = observed, conditions
        return self.layer(conditions.flatten(1))


@pytest.mark.parametrize("kind", [ReparameterizedInverse, SupervisedInverse])
def test_a_network_is_told_where_nothing_was_measured(kind):
    solver = kind(PROBLEM, network=Recorder, n_iterations=1, refine=None, random_state=0).fit(X)
    assert solver.network_.network.shapes == ((9,), (9,))
    solver.predict(X)
    observed, measured = solver.network_.network.seen
    np.testing.assert_array_equal(measured, ~np.isnan(X))
    assert (observed[measured == 0] == 0).all()
    assert torch.isfinite(observed).all()


def test_what_was_measured_is_a_channel_of_a_convolution_or_joins_the_conditions():
    def dosed(unknowns, dose):
        return dose * decay(unknowns)

    rows = np.hstack([X, np.ones((12, 1))])
    dosed_problem = InverseProblem(dosed, BOX, condition_shape=(1,))
    for problem, data, shape in ((PROBLEM, X, (9,)), (dosed_problem, rows, (10,))):
        solver = SupervisedInverse(
            problem, network=Recorder, n_iterations=1, refine=None, random_state=0
        ).fit(data)
        assert solver.network_.network.shapes[1] == shape
    solver = SupervisedInverse(PROBLEM, network=ConvNet((4,)), n_iterations=1).fit(X)
    assert solver.network_.network.blocks[0].in_channels == 2


@pytest.mark.parametrize("network", [DenseNet((64,)), ConvNet((8,))], ids=["dense", "conv"])
def test_networks_learn_to_read_observations_with_gaps(network):
    rng = np.random.default_rng(5)
    rows = with_gaps(decay(torch.tensor(rng.uniform(*BOX.T, (200, 2)))).numpy())
    solver = SupervisedInverse(
        PROBLEM, network=network, n_pairs=400, n_iterations=300, refine=None, random_state=0
    )
    found = solver.fit(rows).predict(X)
    blind = TRUTH - BOX.mean(axis=1)
    assert np.abs(found - TRUTH).mean() < 0.6 * np.abs(blind).mean()


def test_synthetic_problems_are_as_noisy_as_the_measured_ones():
    seen = []

    class Watched(Recorder):
        def forward(self, observed, conditions):
            seen.append(observed)
            return super().forward(observed, observed)

    def make(observation_shape, condition_shape, n_unknowns):
        return Watched(observation_shape, observation_shape, n_unknowns)

    def spread(noise_std):
        seen.clear()
        problem = line_problem(noise_std=noise_std)
        SupervisedInverse(
            problem, network=make, n_pairs=200, n_iterations=1, refine=None, random_state=0
        ).fit(ROWS)
        return max(seen, key=len)

    exact = spread(None)
    lines = exact @ torch.tensor(LINE @ np.linalg.pinv(LINE)).T
    np.testing.assert_allclose(exact, lines, atol=1e-9)
    noisy = spread(2.0)
    assert (noisy - noisy @ torch.tensor(LINE @ np.linalg.pinv(LINE)).T).abs().mean() > 0.05


def test_a_solver_that_learned_with_gaps_is_saved_and_loaded(tmp_path):
    for name in ("joint", "supervised", "landscape"):
        solver = clone(SOLVERS[name]).fit(X)
        solver.save(tmp_path / "solver.npz")
        loaded = clone(SOLVERS[name]).load(tmp_path / "solver.npz")
        np.testing.assert_array_equal(loaded.predict(X), solver.predict(X))


def test_errors_are_routed_as_metadata_in_a_grid_search():
    deviations = np.random.default_rng(3).uniform(0.1, 2.0, (12, 9))
    with sklearn.config_context(enable_metadata_routing=True):
        solver = DirectInverse(PROBLEM).set_fit_request(noise_std=True)
        solver.set_score_request(noise_std=True)
        search = GridSearchCV(solver, {"refine": ["bfgs", None]}, cv=2)
        search.fit(X, noise_std=deviations)
    alone = DirectInverse(PROBLEM).fit(X, noise_std=deviations)
    np.testing.assert_array_equal(search.best_estimator_.loss_, alone.loss_)


@each_solver
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            np.vstack([X, np.full((1, 9), np.nan)]),
            "X must hold a measured value in each row; row 12",
        ),
        (np.vstack([X, np.full((1, 9), np.inf)]), "infinity"),
    ],
)
def test_rows_that_say_nothing_are_refused(solver, rows, message):
    with pytest.raises(ValueError, match=message):
        clone(solver).fit(rows)


def test_conditions_without_a_number_are_refused():
    problem = InverseProblem(lambda u, dose: dose * decay(u), BOX, condition_shape=(1,))
    with pytest.raises(ValueError, match="X must hold a number for every condition, in its last 1"):
        DirectInverse(problem).fit(np.hstack([X, np.full((12, 1), np.nan)]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise_std": 0.0}, "noise_std must hold positive, finite numbers; got 0.0"),
        ({"noise_std": [1.0, np.nan]}, "noise_std must hold positive, finite numbers"),
        ({"noise_covariance": [1.0, 2.0]}, "noise_covariance must be a square matrix; got shape"),
        ({"noise_covariance": [[1, 2], [0, 1]]}, "noise_covariance must be symmetric"),
        ({"noise_covariance": [[1, 2], [2, 1]]}, "noise_covariance must be positive definite"),
        ({"noise_covariance": np.eye(9), "noise_std": 1.0}, "noise_std and loss must be None"),
    ],
)
def test_errors_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        InverseProblem(decay, BOX, **options)


@pytest.mark.parametrize(
    ("options", "given", "message"),
    [
        ({"noise_std": [1.0, 2.0]}, None, r"noise_std must be a number or have the shape \(9,\)"),
        ({"noise_covariance": np.eye(4)}, None, "noise_covariance must have a row for each of the"),
        (
            {},
            np.ones((12, 4)),
            r"noise_std must be a number or have the shape \(12, 9\) of the obs",
        ),
        ({"noise_covariance": np.eye(9)}, np.ones(12), "noise_std must be None for a problem with"),
    ],
)
def test_errors_that_do_not_fit_the_rows_are_refused(options, given, message):
    with pytest.raises(ValueError, match=message):
        DirectInverse(InverseProblem(decay, BOX, **options)).fit(X, noise_std=given)
