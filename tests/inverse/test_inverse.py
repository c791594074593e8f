import pickle
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_proxyopt.inverse import (
    BestOfInverse,
    ConvNet,
    DenseNet,
    DirectInverse,
    InverseProblem,
    NeuralAdjointInverse,
    ReparameterizedInverse,
    SupervisedInverse,
)
from sklearn_proxyopt.problems.physics import BilliardShot, KuramotoSivashinsky, WavePacket

TIMES = torch.linspace(0.0, 2.0, 9, dtype=torch.float64)


def decay(unknowns):
    """Height and rate of an exponential decay."""
    return unknowns[:, :1] * torch.exp(-unknowns[:, 1:] * TIMES.to(unknowns))


def decay_in_numpy(unknowns):
    return unknowns[:, :1] * np.exp(-unknowns[:, 1:] * TIMES.numpy())


BOX = [[0.5, 3.0], [0.1, 4.0]]
PROBLEM = InverseProblem(decay, BOX)
SOLVERS = {
    "direct": DirectInverse(PROBLEM),
    "several starts": DirectInverse(PROBLEM, n_starts=3, n_candidates=8, random_state=0),
    "raced starts": DirectInverse(
        PROBLEM, n_starts=3, n_candidates=8, keep_best_after=3, random_state=0
    ),
    "reparameterized": ReparameterizedInverse(PROBLEM, n_iterations=60, random_state=0),
    "supervised": SupervisedInverse(PROBLEM, n_pairs=50, n_iterations=60, random_state=0),
    "neural adjoint": NeuralAdjointInverse(
        PROBLEM, n_pairs=50, hidden_layer_sizes=(32,), n_iterations=60, random_state=0
    ),
}
each_solver = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
with_network = pytest.mark.parametrize(
    "solver", [SOLVERS["reparameterized"], SOLVERS["supervised"]], ids=["joint", "supervised"]
)


def draw(n_problems=12, seed=0):
    rng = np.random.default_rng(seed)
    unknowns = rng.uniform(*np.array(BOX).T, (n_problems, 2))
    return decay(torch.tensor(unknowns)).numpy(), unknowns


@each_solver
def test_the_unknowns_are_found(solver):
    X, unknowns = draw()
    solver = clone(solver).fit(X)
    np.testing.assert_allclose(solver.solutions_, unknowns, atol=1e-3)
    assert solver.loss_.max() < 1e-8
    assert not solver.failed_.any()


@each_solver
def test_new_rows_are_solved_like_those_of_the_fit(solver):
    X, _ = draw()
    X_new, unknowns = draw(5, seed=1)
    solver = clone(solver).fit(X)
    np.testing.assert_allclose(solver.predict(X_new), unknowns, atol=1e-3)
    assert -1e-8 < solver.score(X_new) <= 0.0


@each_solver
def test_refinement_never_raises_the_loss(solver):
    X, _ = draw()
    X = X + 0.1 * np.random.default_rng(0).standard_normal(X.shape)
    solver = clone(solver).fit(X)
    assert (solver.loss_ <= solver.estimate_loss_ + 1e-12).all()


@each_solver
def test_without_refinement_the_solutions_are_the_estimates(solver):
    X, _ = draw()
    solver = clone(solver).set_params(refine=None).fit(X)
    np.testing.assert_array_equal(solver.solutions_, solver.estimates_)
    np.testing.assert_array_equal(solver.loss_, solver.estimate_loss_)


@each_solver
def test_one_problem_alone_can_be_solved(solver):
    X, unknowns = draw(1)
    np.testing.assert_allclose(clone(solver).fit(X).solutions_, unknowns, atol=1e-3)


@each_solver
def test_observations_that_no_unknowns_explain_have_finite_answers_inside_the_box(solver):
    X = np.vstack([draw(4)[0], np.full((1, 9), 1e3), np.full((1, 9), -5.0)])
    solver = clone(solver).fit(X)
    assert np.isfinite(solver.solutions_).all()
    low, high = np.array(BOX).T
    assert (solver.solutions_ >= low - 1e-12).all()
    assert (solver.solutions_ <= high + 1e-12).all()
    assert solver.loss_[-2] > 1e6


def fails_for_the_third(unknowns, conditions):
    return torch.where(conditions > 0.5, torch.nan, 1.0) * decay(unknowns)


@each_solver
def test_a_problem_without_a_finite_loss_fails_alone(solver):
    X, unknowns = draw(6)
    failing = np.hstack([X, [[0.0], [0.0], [1.0], [0.0], [0.0], [0.0]]])
    problem = InverseProblem(fails_for_the_third, BOX, condition_shape=(1,))
    solver = clone(solver).set_params(problem=problem).fit(failing)
    np.testing.assert_array_equal(solver.failed_, np.arange(6) == 2)
    assert np.isnan(solver.solutions_[2]).all()
    others = np.arange(6) != 2
    near = np.abs(solver.solutions_ - unknowns)[others].max(axis=1) < 1e-3
    assert near.sum() >= 4
    assert solver.score(failing) == -np.inf


@each_solver
def test_the_same_seed_gives_the_same_answer_and_no_global_generator_is_used(solver):
    X, _ = draw()
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    first = clone(solver).set_params(refine=None).fit(X)
    second = clone(solver).set_params(refine=None).fit(X)
    np.testing.assert_array_equal(first.solutions_, second.solutions_)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])


@each_solver
def test_a_fitted_solver_survives_pickling(solver):
    X, _ = draw()
    solver = clone(solver).fit(X)
    twin = pickle.loads(pickle.dumps(solver))
    np.testing.assert_array_equal(twin.predict(X), solver.predict(X))


@each_solver
def test_simulations_are_counted(solver):
    X, _ = draw()
    counted = 0

    def forward(unknowns):
        nonlocal counted
        counted += len(unknowns)
        return decay(unknowns)

    solver = clone(solver).set_params(problem=InverseProblem(forward, BOX)).fit(X)
    assert counted == solver.n_forward_calls_


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda solver, X: solver.fit([["a", "b"]]), r"X must be an array of numbers; got \[\['a'"),
        (lambda solver, X: solver.fit([[1.0], [1.0, 2.0]]), "X must be an array of numbers; got"),
        (lambda solver, X: solver.fit(X).predict(X.astype(str) + "a"), "X must be an array of num"),
        (lambda solver, X: solver.fit(X, noise_std=["a"] * 3), "noise_std must be an array of num"),
        (lambda solver, X: solver.fit(X).diagnose(X, ["a"]), "unknowns must be an array of num"),
        (lambda solver, X: InverseProblem(decay, BOX, start="a"), "start must be an array of numb"),
        (lambda solver, X: InverseProblem(decay, BOX, noise_std="a"), "noise_std must be an array"),
        (
            lambda solver, X: InverseProblem(decay, BOX, noise_covariance=[["a"]]),
            "noise_covariance must be an array of numbers",
        ),
    ],
)
@pytest.mark.parametrize("kind", [DirectInverse, lambda one: BestOfInverse([DirectInverse(one)])])
def test_arguments_that_hold_text_are_named(kind, call, message):
    with pytest.raises(ValueError, match=message):
        call(kind(InverseProblem(decay, BOX)), draw()[0][:3])


def test_an_estimate_that_is_the_answer_is_simulated_once():
    X, _ = draw()
    only_start = DirectInverse(InverseProblem(decay, BOX), refine=None).fit(X)
    assert only_start.n_forward_calls_ == len(X)
    np.testing.assert_array_equal(only_start.estimates_, only_start.solutions_)
    np.testing.assert_array_equal(only_start.estimate_loss_, only_start.loss_)
    both = BestOfInverse([only_start, DirectInverse(InverseProblem(decay, BOX))]).fit(X)
    assert both.solvers_[1].estimate_loss_.tolist() == only_start.loss_.tolist()


@each_solver
def test_grid_search_tunes_the_solvers(solver):
    X, _ = draw()
    search = GridSearchCV(solver, {"refine": ["bfgs", None]}, cv=2).fit(X)
    assert search.best_params_ == {"refine": "bfgs"}
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_grid_search_reaches_into_the_network():
    X, _ = draw()
    solver = SupervisedInverse(
        PROBLEM, network=DenseNet(), n_pairs=60, n_iterations=40, refine=None, random_state=0
    )
    grid = {"network__hidden_layer_sizes": [(2,), (64, 64)], "network__activation": ["tanh"]}
    search = GridSearchCV(solver, grid, cv=2).fit(X)
    assert search.best_params_["network__hidden_layer_sizes"] == (64, 64)


def test_names_of_columns_are_kept():
    X, _ = draw()
    frame = pd.DataFrame(X, columns=[f"t{i}" for i in range(9)])
    solver = DirectInverse(PROBLEM).fit(frame)
    assert solver.feature_names_in_[3] == "t3"


class Watch:
    """A callback that counts steps and asks to stop."""

    seen: ClassVar[int] = 0

    def __init__(self, stop_at=np.inf):
        self.stop_at = stop_at

    def setup(self, estimator, context):
        type(self).seen = 0

    def on_fit_task_begin(self, estimator, context, **_):
        pass

    def on_fit_task_end(self, estimator, context, **_):
        if context.task_name == "step":
            type(self).seen += 1
        return type(self).seen >= self.stop_at

    def teardown(self, estimator, context):
        pass


@with_network
def test_a_callback_sees_each_step_of_the_training_and_may_stop_it(solver):
    X, _ = draw()
    solver = clone(solver).set_params(refine=None)
    solver.set_callbacks(Watch()).fit(X)
    assert Watch.seen == solver.n_iter_ == 60
    solver.set_callbacks(Watch(stop_at=7)).fit(X)
    assert solver.n_iter_ == 7


def test_the_joint_search_leaves_flat_regions_that_stop_a_single_one():
    shot = BilliardShot()
    X, _ = shot.sample(64, random_state=0)
    problem = InverseProblem(shot)
    alone = DirectInverse(problem).fit(X)
    joint = ReparameterizedInverse(problem, n_iterations=300, random_state=0).fit(X)
    assert (alone.loss_ < 1e-6).mean() < 0.5
    assert (joint.loss_ < 1e-6).mean() > 0.8


def test_what_is_kept_of_a_joint_search_is_the_lowest_or_the_last():
    X, _ = WavePacket().sample(6, random_state=0)
    solver = ReparameterizedInverse(
        InverseProblem(WavePacket()),
        network=ConvNet((4, 4), hidden_layer_sizes=(8,)),
        n_iterations=30,
        learning_rate=0.05,
        refine=None,
        random_state=0,
    )
    best = clone(solver).fit(X)
    last = clone(solver).set_params(keep="last").fit(X)
    assert (best.loss_ <= last.loss_ + 1e-12).all()
    assert (best.loss_ < last.loss_ - 1e-6).any()


def test_several_networks_keep_the_best_of_each_and_find_more_than_one_of_as_many_steps():
    packet = WavePacket(n_times=64, bounds=[[16.0, 48.0]])
    X, _ = packet.sample(12, random_state=0)
    network = DenseNet((16,), activation="relu", n_frequencies=0)

    def mean_loss(n_networks, keep):
        losses = []
        for seed in range(3):
            solver = ReparameterizedInverse(
                InverseProblem(packet),
                network=network,
                n_networks=n_networks,
                n_iterations=60 // n_networks,
                keep=keep,
                refine=None,
                random_state=seed,
            ).fit(X)
            assert solver.n_iter_ == len(solver.history_) == 60
            losses.append(solver.loss_.mean())
        return np.mean(losses), solver.n_forward_calls_

    (one, n_calls), (several, n_calls_of_several) = mean_loss(1, "best"), mean_loss(6, "best")
    assert n_calls_of_several == n_calls
    assert several < one
    assert mean_loss(6, "last")[0] < mean_loss(1, "last")[0]


def test_noise_on_the_unknowns_leads_a_network_out_of_local_minima():
    packet = WavePacket(n_times=64, bounds=[[16.0, 48.0]])
    X, _ = packet.sample(12, random_state=0)

    def mean_loss(exploration):
        losses = []
        for seed in range(3):
            solver = ReparameterizedInverse(
                InverseProblem(packet),
                network=DenseNet((16,), activation="relu", n_frequencies=0),
                n_iterations=60,
                exploration=exploration,
                random_state=seed,
            ).fit(X)
            losses.append(solver.loss_.mean())
        return np.mean(losses), solver.n_forward_calls_ / len(X)

    (still, n_calls), (noisy, n_calls_of_noisy) = mean_loss(0.0), mean_loss(1.0)
    assert noisy < 0.7 * still
    assert abs(n_calls_of_noisy - n_calls) < 10


def test_a_callback_that_stops_ends_all_networks():
    X, _ = draw()
    solver = ReparameterizedInverse(PROBLEM, n_iterations=5, n_networks=4, refine=None)
    assert solver.set_callbacks(Watch(stop_at=7)).fit(X).n_iter_ == 7


def test_refinement_stays_in_the_minimum_that_an_estimate_lies_in():
    packet = WavePacket(noise=0.0)
    X, _ = packet.sample(40, random_state=0)
    solver = SupervisedInverse(InverseProblem(packet), n_iterations=1, random_state=0).fit(X)
    # The minima are a period apart.
    assert (np.abs(solver.solutions_ - solver.estimates_) < 2 * np.pi).mean() > 0.9


def test_one_start_is_the_best_of_the_candidates_and_the_guess():
    packet = WavePacket()
    X, _ = packet.sample(20, random_state=0)
    guess = DirectInverse(InverseProblem(packet)).fit(X)
    screened = DirectInverse(InverseProblem(packet), n_candidates=32, random_state=0).fit(X)
    assert (screened.estimate_loss_ <= guess.estimate_loss_).all()
    assert screened.loss_.mean() < guess.loss_.mean()
    assert screened.n_forward_calls_ < 20 * (33 + 20)


def test_more_starts_are_never_worse_than_one():
    X, _ = WavePacket().sample(20, random_state=0)
    problem = InverseProblem(WavePacket())
    one = DirectInverse(problem).fit(X)
    more = DirectInverse(problem, n_starts=4, n_candidates=64, random_state=0).fit(X)
    assert (more.loss_ <= one.loss_ + 1e-6).all()
    assert more.loss_.mean() < 0.7 * one.loss_.mean()


def test_a_race_of_starts_costs_less_than_all_of_them_and_finds_nearly_the_same():
    X, _ = WavePacket().sample(20, random_state=0)
    problem = InverseProblem(WavePacket())
    starts = {"n_starts": 4, "n_candidates": 16, "random_state": 0}
    one = DirectInverse(problem).fit(X)
    more = DirectInverse(problem, **starts).fit(X)
    sizes = []

    def watched(unknowns):
        sizes.append(len(unknowns))
        return WavePacket()(unknowns)

    watched.bounds, watched.observation_shape = problem.bounds, problem.observation_shape
    race = DirectInverse(InverseProblem(watched), keep_best_after=2, **starts).fit(X)
    assert race.n_forward_calls_ < 0.9 * more.n_forward_calls_
    assert np.mean(race.loss_ <= more.loss_ * (1 + 1e-3)) >= 0.8
    assert race.loss_.mean() < 0.7 * one.loss_.mean()
    # Candidates are judged, four begin, and then one of them goes on.
    n_together = np.flatnonzero(np.array(sizes) > 20)
    assert sizes[n_together[0]] == 80
    assert sizes[: n_together[0]] == [16]
    assert len(sizes) - n_together[-1] > 5


def test_the_best_of_several_solvers_is_kept_for_each_problem():
    X, _ = WavePacket().sample(10, random_state=0)
    problem = InverseProblem(WavePacket())
    solvers = [DirectInverse(problem), SupervisedInverse(problem, n_iterations=50, random_state=0)]
    best = BestOfInverse(solvers).fit(X)
    losses = np.array([solver.loss_ for solver in best.solvers_])
    np.testing.assert_array_equal(best.loss_, losses.min(axis=0))
    np.testing.assert_array_equal(best.winners_, losses.argmin(axis=0))
    assert best.n_forward_calls_ == sum(s.n_forward_calls_ for s in best.solvers_)
    assert best.predict(X).shape == (10, 1)


def test_a_search_that_stuck_at_a_side_has_not_converged():
    def rosen(predicted, observed):
        x, y = (predicted - observed).T
        return 100.0 * (y - x**2) ** 2 + (1.0 - x) ** 2

    shifts = np.random.default_rng(0).uniform(-1.0, 1.0, (60, 2))
    problem = InverseProblem(lambda u: u, [[-3.0, 3.0]] * 2, loss=rosen, start=[2.7, -2.7])
    found = DirectInverse(problem).fit(shifts)
    places = torch.tensor(found.solutions_, requires_grad=True)
    (slopes,) = torch.autograd.grad(rosen(places, torch.tensor(shifts)).sum(), places)
    outward = (np.sign(found.solutions_) * slopes.numpy())[found.converged_]
    assert (outward[np.abs(found.solutions_[found.converged_]) > 2.999] <= 0.1).all()
    assert 0 < found.converged_.sum() < 60


@pytest.mark.parametrize("name", ["supervised", "neural adjoint"])
def test_a_simulator_outside_torch_is_solved_without_its_gradient(name):
    X, unknowns = draw()
    problem = InverseProblem(decay_in_numpy, BOX, differentiable=False)
    solver = clone(SOLVERS[name]).set_params(
        problem=problem, refine=None, n_pairs=200, n_iterations=400
    )
    assert np.abs(solver.fit(X).solutions_ - unknowns).mean() < 0.3


@pytest.mark.parametrize(
    ("network", "model"),
    [
        (ConvNet((4, 8)), WavePacket()),
        (ConvNet((4, 8)), KuramotoSivashinsky(n_points=16, n_steps=8)),
        (DenseNet((8,), n_frequencies=2), KuramotoSivashinsky(n_points=16, n_steps=8)),
        (lambda observed, known, n: torch.nn.Bilinear(2, 1, n), BilliardShot()),
    ],
    ids=["1d", "2d", "dense", "own"],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_networks_of_all_kinds_take_observations_and_conditions(network, model, dtype):
    X, _ = model.sample(4, random_state=0)
    solver = SupervisedInverse(
        InverseProblem(model), network=network, n_iterations=3, dtype=dtype, random_state=0
    )
    assert solver.fit(X).solutions_.shape == (4, model.n_unknowns)


def test_conditions_on_the_grid_of_the_observation_become_channels():
    module = ConvNet((4,)).build((2, 8, 4), (2, 8, 4), 3)
    assert module.blocks[0].in_channels == 4
    module = ConvNet((4,)).build((5, 8), (8,), 3)
    assert module.blocks[0].in_channels == 1


def test_bounded_unknowns_come_from_unbounded_variables_and_go_back():
    unknowns = torch.tensor(draw()[1])
    torch.testing.assert_close(PROBLEM.to_unknowns(PROBLEM.to_latent(unknowns)), unknowns)
    far = PROBLEM.to_unknowns(torch.tensor([[-50.0, 50.0]], dtype=torch.float64))
    np.testing.assert_allclose(far, [[0.5, 4.0]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InverseProblem(3, BOX), "forward must be callable; got 3"),
        (lambda: InverseProblem(decay), "bounds must be given for a forward model without any"),
        (lambda: InverseProblem(decay, [[1, 0]]), "bounds must have each lower bound below"),
        (lambda: InverseProblem(decay, BOX, start=[1.0]), "start must hold one finite number"),
        (lambda: InverseProblem(decay, BOX, start=[9.0, 1.0]), "start must lie inside bounds"),
    ],
)
def test_a_problem_that_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@each_solver
@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (InverseProblem(lambda u: decay(u)[:, :4], BOX), r"forward must return predictions of sha"),
        (InverseProblem(lambda u: decay(u).sum(), BOX), r"forward must return predictions of sha"),
        (InverseProblem(lambda u: 1.0, BOX), "forward must return a torch.Tensor; got float"),
        (InverseProblem(decay, BOX, observation_shape=(7,)), "X must have 7 columns, 7 observed"),
        (InverseProblem(decay, BOX, condition_shape=(9,)), "X must have more columns than the 9"),
        (InverseProblem(decay, BOX, loss=lambda p, y: p.sum()), "loss must return a tensor with"),
        ("line", "problem must be an InverseProblem or None; got 'line'"),
    ],
)
def test_a_problem_that_does_not_fit_the_rows_is_refused(solver, problem, message):
    with pytest.raises(ValueError, match=message):
        clone(solver).set_params(problem=problem).fit(draw(4)[0])


@each_solver
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"refine": "adam"}, "refine must be one of 'bfgs', None; got 'adam'"),
        ({"tolerance": -1}, "tolerance must be a finite number"),
        ({"loss_tolerance": -1.0}, "loss_tolerance must be a finite number"),
        ({"device": "abacus"}, "device must be"),
    ],
)
def test_bad_parameters_are_named(solver, params, message):
    with pytest.raises(ValueError, match=message):
        clone(solver).set_params(**params).fit(draw(4)[0])


def test_noise_of_less_than_nothing_is_refused():
    with pytest.raises(ValueError, match="exploration must be a finite number"):
        ReparameterizedInverse(PROBLEM, exploration=-1.0).fit(draw(4)[0])


def test_a_race_of_no_iterations_is_refused():
    with pytest.raises(ValueError, match="keep_best_after must be an integer of at least 1; got 0"):
        DirectInverse(PROBLEM, n_starts=2, keep_best_after=0).fit(draw(4)[0])


@with_network
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_iterations": 0}, "n_iterations must be an integer of at least 1; got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be a finite number"),
        ({"dtype": "float16"}, "dtype must be one of"),
        ({"network": 3}, "network must be a DenseNet, a ConvNet, a callable or None; got 3"),
        ({"network": lambda *shapes: 4}, "network must return a torch.nn.Module; got int"),
        (
            {"network": lambda observed, known, n: DenseNet().build(observed, known, n + 1)},
            r"network must give outputs of shape \(2, 2\) for 2 problems; got \(2, 3\)",
        ),
        ({"network": DenseNet(activation="cube")}, "activation must be one of"),
    ],
)
def test_bad_networks_are_named(solver, params, message):
    with pytest.raises(ValueError, match=message):
        clone(solver).set_params(**params).fit(draw(4)[0])


def test_own_draws_of_another_shape_are_refused():
    problem = InverseProblem(decay, BOX, draw=lambda n, rng: (np.zeros((n, 3)), np.zeros((n, 2))))
    with pytest.raises(ValueError, match="draw must return arrays of shapes"):
        SupervisedInverse(problem).fit(draw()[0])


def test_the_best_of_no_solvers_is_refused():
    with pytest.raises(ValueError, match="solvers must be a non-empty sequence"):
        BestOfInverse([]).fit(draw()[0])


def test_a_surrogate_trained_in_single_precision_is_searched_in_double():
    X, _ = draw()
    solver = clone(SOLVERS["neural adjoint"]).set_params(dtype="float32", refine=None).fit(X)
    assert np.isfinite(solver.solutions_).all()
    assert {parameter.dtype for parameter in solver.surrogate_.parameters()} == {torch.float64}
