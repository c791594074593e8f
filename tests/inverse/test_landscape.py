import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sklearn_proxyopt.inverse import ConvNet, DenseNet, InverseProblem, LandscapeInverse
from sklearn_proxyopt.inverse._landscapes import draw_landscapes
from sklearn_proxyopt.problems.physics import Burgers, WavePacket

TIMES = torch.linspace(0.0, 2.0, 9, dtype=torch.float64)
BOX = np.array([[0.5, 3.0], [0.1, 4.0]])


def decay(unknowns):
    """Height and rate of an exponential decay."""
    return unknowns[:, :1] * torch.exp(-unknowns[:, 1:] * TIMES.to(unknowns))


def known_height(rate, height):
    """The same with the height known beforehand."""
    return decay(torch.cat([height, rate], dim=1))


PROBLEM = InverseProblem(decay, BOX)
WITH_CONDITION = InverseProblem(known_height, BOX[1:], condition_shape=(1,))
SOLVER = LandscapeInverse(
    PROBLEM,
    input_noise=(0.2, 0.05),
    n_pairs=128,
    network=DenseNet((64, 64), activation="silu", n_frequencies=0),
    hidden_layer_sizes=(64, 64),
    n_iterations=500,
    learning_rate=0.01,
    device="cpu",
    random_state=0,
)


def draw(n_problems=12, seed=0):
    unknowns = np.random.default_rng(seed).uniform(*BOX.T, (n_problems, 2))
    return decay(torch.tensor(unknowns)).numpy(), unknowns


@pytest.fixture(scope="module")
def fitted():
    return clone(SOLVER).fit(draw()[0])


@pytest.fixture(scope="module")
def wave_packet():
    problem = WavePacket()
    solver = LandscapeInverse(
        InverseProblem(problem), n_pairs=512, n_iterations=600, device="cpu", random_state=0
    )
    return solver.fit(problem.sample(24, random_state=1)[0])


def test_the_unknowns_are_found_of_rows_seen_and_new(fitted):
    np.testing.assert_allclose(fitted.solutions_, draw()[1], atol=1e-3)
    X_new, new = draw(5, seed=1)
    np.testing.assert_allclose(fitted.predict(X_new), new, atol=1e-3)
    assert -1e-8 < fitted.score(X_new) <= 0.0
    assert fitted.loss_.max() < 1e-8
    assert (fitted.loss_ <= fitted.estimate_loss_ + 1e-12).all()


def test_estimates_lie_in_the_box_near_the_truth():
    X, unknowns = draw()
    errors = []
    for seed in range(4):
        estimates = clone(SOLVER).set_params(refine=None, random_state=seed).fit(X).estimates_
        assert (estimates >= BOX[:, 0]).all()
        assert (estimates <= BOX[:, 1]).all()
        errors.append(np.median(np.abs(estimates - unknowns) / np.ptp(BOX, axis=1)))
    # The penalty draws minima away from the truth, by an eighth of the box on average.
    assert np.mean(errors) < 0.17


def test_a_refinement_begins_at_the_best_guess_where_no_landscape_leads_lower():
    middle = decay(torch.tensor(BOX.mean(axis=1)[None])).numpy()
    X = np.vstack([middle, draw(3)[0]])
    blind = clone(SOLVER).set_params(n_iterations=1).fit(X)
    assert blind.estimate_loss_[0] < 1e-20
    guess = PROBLEM.losses(torch.tensor(np.tile(BOX.mean(axis=1), (4, 1))), torch.tensor(X))
    assert (blind.estimate_loss_ <= guess.numpy() + 1e-12).all()


def test_a_refinement_begins_on_the_level_whose_minimum_is_lowest_in_truth(fitted):
    problems = fitted._problem_set(draw(12, seed=5)[0])
    chosen = problems.losses(fitted._estimate(problems)).numpy()
    unrefined = copy.copy(fitted).set_params(refine=None)
    for last in (1, 2):
        unrefined.levels_ = fitted.levels_[:last]
        ends = problems.losses(unrefined._estimate(problems)).numpy()
        assert (chosen <= ends).all()


def test_conditions_are_known_to_the_network():
    rng = np.random.default_rng(0)
    rate, height = (torch.tensor(rng.uniform(*side, (20, 1))) for side in BOX[::-1])
    X = torch.cat([known_height(rate, height), height], dim=1).numpy()

    def draw_pairs(n, random_state):
        rate, height = (torch.tensor(random_state.uniform(*side, (n, 1))) for side in BOX[::-1])
        return torch.cat([known_height(rate, height), height], dim=1).numpy(), rate.numpy()

    problem = InverseProblem(known_height, BOX[1:], condition_shape=(1,), draw=draw_pairs)
    solver = clone(SOLVER).set_params(problem=problem, n_places=16).fit(X)
    np.testing.assert_allclose(solver.solutions_, rate, atol=1e-3)


def test_the_losses_learned_are_those_of_the_simulator():
    rng = np.random.default_rng(0)
    rows = torch.tensor(draw(6)[0])
    data = draw_landscapes(PROBLEM, rows, 5, rng)
    assert (data.rows.shape, data.losses.shape) == ((1, 6, 9), (1, 6, 5))
    assert data.n_simulations == 5
    expected = PROBLEM.losses(PROBLEM.from_box(data.places[0, 3:4]), rows[2:3])
    np.testing.assert_allclose(data.losses[0, 2, 3], expected[0], rtol=1e-9)

    height = torch.full((70, 1), 2.0, dtype=torch.float64)
    rows = torch.cat([decay(torch.tensor(draw(70)[1])), height], dim=1)
    data = draw_landscapes(WITH_CONDITION, rows, 4, rng)
    assert data.losses.shape == (2, 32, 4)
    assert data.n_simulations == 2 * 32 * 4
    rate = WITH_CONDITION.from_box(data.places[1, 1:2])
    expected = WITH_CONDITION.losses(rate, data.rows[1, 7:8])
    np.testing.assert_allclose(data.losses[1, 7, 1], expected[0], rtol=1e-9)


def test_a_loss_of_the_user_is_learned_alike():
    own = InverseProblem(decay, BOX, loss=lambda p, o: 0.5 * (p - o).square().sum(dim=1))
    rows = torch.tensor(draw(6)[0])
    usual, same = (
        draw_landscapes(problem, rows, 5, np.random.default_rng(0)).losses
        for problem in (PROBLEM, own)
    )
    np.testing.assert_allclose(usual, same, rtol=1e-6, atol=1e-12)


def test_the_dial_leaves_fewer_basins_and_more_drift_the_further_it_is_turned(wave_packet):
    report = wave_packet.smoothing_report_
    assert report["noise"][0] == 0.28
    assert report["noise"][-1] == 0.0
    assert report["basins"][0] < 1.5
    assert report["basins"][-2] > report["basins"][0] + 1
    assert report["drift"][0] > 1.2 * report["drift"][3]
    np.testing.assert_array_equal(report["noise"][report["used"]], wave_packet.levels_)


def test_levels_that_are_given_are_all_walked(fitted):
    np.testing.assert_array_equal(fitted.levels_, [0.2, 0.05])
    assert fitted.smoothing_report_["used"].all()


def test_a_landscape_melts_and_the_walk_ends_in_its_minimum(wave_packet):
    X, _ = WavePacket().sample(6, random_state=1)
    places = np.linspace(64.0, 192.0, 400)[:, None]
    sharp, smooth = (wave_packet.landscape(X, places, noise) for noise in (0.025, 0.2))
    assert sharp.shape == (6, 400)

    def n_minima(height):
        return ((height[:, 1:-1] < height[:, :-2]) & (height[:, 1:-1] < height[:, 2:])).sum(axis=1)

    assert n_minima(smooth).mean() < n_minima(sharp).mean() / 2
    starts = np.full((6, 1, 1), 128.0)
    ends = wave_packet.walk(X, starts, 0.28)
    assert ends.shape == (1, 6, 1, 1)
    lowest = places[wave_packet.landscape(X, places, 0.28).argmin(axis=1), 0]
    np.testing.assert_allclose(ends[0, :, 0, 0], lowest, atol=0.5)
    assert wave_packet.walk(X, starts).shape == (len(wave_packet.levels_), 6, 1, 1)


def test_a_landscape_is_near_the_losses_that_it_predicts(fitted):
    X, _ = draw(4)
    places = draw(200, seed=3)[1]
    predicted = (
        clone(SOLVER)
        .set_params(logarithmic=False, over_prediction_penalty=1.0, input_noise=0.0, n_pairs=512)
        .fit(X)
        .landscape(X, places, 0.0)
    )
    rows = torch.tensor(np.repeat(X, 200, axis=0))
    true = PROBLEM.losses(torch.tensor(np.tile(places, (4, 1))), rows).reshape(4, 200).numpy()
    assert np.corrcoef(predicted.ravel(), true.ravel())[0, 1] > 0.9


def test_the_same_seed_gives_the_same_answer_also_after_a_pickle(fitted):
    X, _ = draw()
    again = clone(fitted).fit(X)
    np.testing.assert_array_equal(again.estimates_, fitted.estimates_)
    np.testing.assert_array_equal(again.solutions_, fitted.solutions_)
    copied = pickle.loads(pickle.dumps(again))
    np.testing.assert_array_equal(copied.predict(X[:3]), again.predict(X[:3]))


def test_simulations_are_counted(fitted):
    # Pairs, their shared pool, the problems held out, and the answers.
    X, _ = draw()
    unrefined = clone(SOLVER).set_params(refine=None).fit(X)
    assert unrefined.n_forward_calls_ == 128 + 128 + 32 + len(X)
    assert fitted.n_forward_calls_ > unrefined.n_forward_calls_


def test_a_convolutional_network_reads_the_paths_of_a_simulator():
    problem = Burgers(n_steps=3)
    X, unknowns = problem.sample(4, random_state=0)
    solver = (
        clone(SOLVER)
        .set_params(
            problem=InverseProblem(problem),
            network=ConvNet((4, 4)),
            n_pairs=64,
            n_places=8,
            n_iterations=20,
        )
        .fit(X)
    )
    np.testing.assert_allclose(solver.solutions_, unknowns, atol=0.05)


def test_a_simulator_without_a_gradient_is_solved_without_refinement():
    def forward(unknowns):
        return decay(torch.as_tensor(unknowns)).numpy()

    problem = InverseProblem(forward, BOX, differentiable=False)
    X, _ = draw()
    solver = clone(SOLVER).set_params(problem=problem, refine=None)
    expected = clone(SOLVER).set_params(refine=None).fit(X).solutions_
    np.testing.assert_allclose(solver.fit(X).solutions_, expected)


def test_the_search_keeps_away_from_where_simulations_fail():
    def fragile(unknowns):
        return torch.where(unknowns[:, :1] > 2.5, torch.nan, 1.0) * decay(unknowns)

    X, unknowns = draw()
    seen = unknowns[:, 0] < 2.4
    solver = clone(SOLVER).set_params(problem=InverseProblem(fragile, BOX)).fit(X[seen])
    assert np.isfinite(solver.history_).all()
    assert (np.abs(solver.solutions_ - unknowns[seen]).max(axis=1) < 1e-3).mean() > 0.8


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"input_noise": "much"}, "input_noise must be"),
        ({"input_noise": ()}, "input_noise must hold at least one level"),
        ({"input_noise": (0.1, 0.2)}, "input_noise must fall from level to level"),
        ({"input_noise": -0.1}, "input_noise must be"),
        ({"over_prediction_penalty": 0.0}, "over_prediction_penalty must be"),
        ({"logarithmic": "yes"}, "logarithmic must be"),
        ({"n_places": 0}, "n_places must be"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes must be"),
        ({"network": DenseNet(activation="step")}, "activation must be"),
    ],
    ids=repr,
)
def test_a_wrong_parameter_is_named(params, message):
    with pytest.raises(ValueError, match=message):
        clone(SOLVER).set_params(**params).fit(draw()[0])


def test_places_of_a_wrong_shape_are_named(fitted):
    X, _ = draw()
    with pytest.raises(ValueError, match="starts must have shape"):
        fitted.walk(X, np.zeros((12, 2)))
    with pytest.raises(ValueError, match="unknowns must have shape"):
        fitted.landscape(X, np.zeros((12, 3)), 0.1)
