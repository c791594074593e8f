"""Noise with outcome constraints and with fronts: what is answered is estimated, and how surely."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from sklearn_proxyopt import ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt._proxy_search._penalty import margin_of, merit_of_rows
from sklearn_proxyopt._run._diagnose import diagnose, evidence_of
from sklearn_proxyopt._run._known_noise import has_noise
from sklearn_proxyopt._run._noise import NoiseWatch, best_setting
from sklearn_proxyopt._run._stopping import FrontCriteria
from sklearn_proxyopt._utils._dataset import Dataset
from sklearn_proxyopt._utils._feasibility import probability_kept
from sklearn_proxyopt._utils._goal import Goal
from sklearn_proxyopt._utils._stopping import StopRun
from sklearn_proxyopt.infill import Knowledge
from sklearn_proxyopt.optimizers import NSGA2, MultiStartBFGS
from sklearn_proxyopt.samplers import LatinHypercubeSampler

BOX = np.tile([-2.0, 2.0], (2, 1))
UNIT = np.tile([0.0, 1.0], (2, 1))


def disk(X):
    """Return a sum and how far a sample lies outside of a disk; the optimum is -2."""
    X = np.asarray(X, dtype=np.float64)
    return np.column_stack([X.sum(axis=1), np.square(X).sum(axis=1) - 2.0])


def two_bowls(X):
    """Return the squared distances to two points; the front lies on the line between them."""
    X = np.asarray(X, dtype=np.float64)
    return np.column_stack([np.square(X - place).sum(axis=1) for place in (0.3, 0.7)])


def two_bowls_and_a_limit(X):
    return np.column_stack([two_bowls(X), np.asarray(X)[:, 0] - 0.5])


class Noisy:
    def __init__(self, fun, std, seed=0):
        self.fun, self.std, self.rng = fun, np.asarray(std), np.random.default_rng(seed)

    def __call__(self, X):
        outputs = self.fun(X)
        return outputs + self.std * self.rng.standard_normal(outputs.shape)


def optimizer(**params):
    quick = MultiStartBFGS(4, 20, n_rounds=1, n_candidates=64)
    settings = {"n_constraints": 1, "optimizer": quick, "verdict": False, "random_state": 0}
    return ProxyOptimizer(**{"proxy": "gp", "vectorized": True, **settings, **params})


def front_optimizer(**params):
    settings = {"proxy": "gp", "optimizer": NSGA2(20, 20), "n_rounds": 2, "random_state": 0}
    return ParetoOptimizer(**{"vectorized": True, **settings, **params})


def rows_at(x, opt):
    return (x == opt.X_).all(axis=1)


@pytest.fixture(scope="module")
def constrained_runs():
    """Return runs of which nothing says that there is noise."""
    runs = []
    for seed in range(2):
        opt = optimizer(random_state=seed)
        runs.append((opt, opt.minimize(Noisy(disk, [0.3, 0.3], seed), BOX, budget=32)))
    return runs


@pytest.fixture(scope="module")
def front():
    opt = front_optimizer(n_rounds=3)
    return opt, opt.minimize(Noisy(two_bowls, 0.05), UNIT, budget=40)


class TestConstraints:
    def test_the_answer_has_estimated_constraints_and_says_how_sure_they_are(
        self, constrained_runs
    ):
        for opt, result in constrained_runs:
            assert result.nfev == 32
            measured = opt.y_[rows_at(result.x, opt)]
            assert len(measured)
            assert result.constraints[0] not in measured[:, 1]
            assert result.constraints_std.shape == (1,)
            chance = norm.cdf(-result.constraints / result.constraints_std)[0]
            assert result.probability_feasible == pytest.approx(chance)
            assert result.feasible == (result.constraints[0] <= 0.0) == (chance >= 0.5)
            assert f"feasible with {chance:.0%}" in str(result)

    def test_estimates_are_nearer_to_the_truth_than_the_luckiest_sample(self, constrained_runs):
        for _, result in constrained_runs:
            true, lucky = (disk(x[None])[0] for x in (result.x, result.x_lowest))
            assert abs(result.fun - true[0]) < abs(result.fun_lowest - lucky[0])
            assert true[0] < -1.5
            assert true[1] < 0.3

    def test_the_luckiest_sample_is_the_best_of_those_that_seemed_feasible(self, constrained_runs):
        for opt, result in constrained_runs:
            kept = opt.y_[opt.y_[:, 1] <= 0.0]
            assert result.fun_lowest == kept[:, 0].min()

    def test_the_verdict_is_on_estimates_and_not_on_lucky_samples(self, constrained_runs):
        for opt, result in constrained_runs:
            diagnosis = opt.diagnose()
            assert diagnosis.truth == diagnosis.best == result.fun
            assert diagnosis.evidence["known_regret"] == 0.0
            assert diagnosis.verdict != "false"
            assert not any("was measured, against" in reason for reason in diagnosis.reasons)
            assert diagnosis.regret >= opt.noise_std_[0]

    def test_noise_of_a_constraint_alone_makes_up_no_violations(self):
        X = LatinHypercubeSampler(40, random_state=0).sample(BOX)
        X = np.vstack([X, np.repeat([[-0.999, -0.999]], 4, axis=0)])
        opt = optimizer(bounds=BOX, noise_std=[0.0, 0.3]).fit(X, Noisy(disk, [0.0, 0.3])(X))
        collector = evidence_of(opt)
        assert collector.noise == 0.0
        assert collector.is_noisy
        near = np.abs(disk(X)[:, 1]) < 0.3
        raw = merit_of_rows(opt.y_, opt._known.merit) - opt.y_[:, 0]
        n_repeats = np.where(np.arange(len(X)) < 40, 1, 4)
        judged = collector.judged(X, opt.y_, n_repeats) - opt.y_[:, 0]
        true = merit_of_rows(disk(X), opt._known.merit) - opt.y_[:, 0]
        assert np.abs(judged - true)[near].mean() < 0.9 * np.abs(raw - true)[near].mean()

    def test_an_answer_with_a_lower_estimate_elsewhere_is_false(self):
        def two_pits(X):
            """Return the lower of two bowls, and a limit far from both."""
            X = np.asarray(X)
            shallow, deep = (np.square(X - place).sum(axis=1) for place in (-1.0, 1.0))
            values = np.minimum(shallow, deep - 1.0)
            return np.column_stack([values, X.sum(axis=1) - 3.0])

        X = LatinHypercubeSampler(24, random_state=0).sample(BOX)
        X = np.vstack([X, np.repeat([[-1.0, -1.0], [1.0, 1.0]], 3, axis=0)])
        opt = optimizer(bounds=BOX, noise_std=[0.1, 0.1]).fit(X, Noisy(two_pits, 0.1)(X))
        diagnosis = diagnose(replace(opt._known, x_proxy=np.array([-1.0, -1.0])))
        assert diagnosis.verdict == "false"
        assert diagnosis.evidence["known_regret"] > 1.0

    def test_noise_of_a_constraint_alone_is_found(self):
        opt = optimizer()
        result = opt.minimize(Noisy(disk, [0.0, 0.5]), BOX, budget=30)
        assert len(np.unique(opt.X_, axis=0)) < len(opt.X_)
        assert opt.noise_std_[0] < 0.05
        assert opt.noise_std_[1] == pytest.approx(0.5, rel=0.6)
        assert 0.0 < result.probability_feasible < 1.0

    def test_an_exact_function_is_answered_to_the_bit(self):
        results = [
            optimizer(noise_std=noise_std).minimize(disk, BOX, budget=24)
            for noise_std in ("auto", None)
        ]
        for result in results:
            np.testing.assert_array_equal(
                [result.fun, *result.constraints], disk(result.x[None])[0]
            )
            assert (result.fun_std, result.constraints_std[0]) == (0.0, 0.0)
            assert result.probability_feasible == 1.0
            assert "feasible with" not in str(result)
        np.testing.assert_array_equal(results[0].x, results[1].x)

    def test_noise_that_is_stated_for_each_output_is_believed(self):
        opt = optimizer(noise_std=[0.0, 0.4])
        result = opt.minimize(Noisy(disk, [0.0, 0.4]), BOX, budget=16)
        np.testing.assert_array_equal(opt.noise_std_, [0.0, 0.4])
        assert result.constraints_std[0] > 0.0

    def test_a_lucky_feasible_value_reaches_no_target(self):
        opt = optimizer(noise_std=[0.5, 0.5])
        result = opt.minimize(Noisy(disk, [0.5, 0.5]), BOX, budget=20, target=-2.4)
        assert result.fun_lowest < -2.4
        assert result.nfev == 20

    def test_where_nothing_is_feasible_the_answer_says_so(self):
        def never(X):
            return np.column_stack([np.asarray(X).sum(axis=1), np.full(len(X), 3.0)])

        result = optimizer(noise_std=0.2).minimize(Noisy(never, 0.2), BOX, budget=15)
        assert not result.feasible
        assert not result.success
        assert result.probability_feasible < 0.01

    def test_a_saved_answer_keeps_its_probability(self, tmp_path, constrained_runs):
        opt, result = constrained_runs[0]
        opt.save(tmp_path / "run")
        again = optimizer().load(tmp_path / "run")
        assert again.result_.probability_feasible == result.probability_feasible
        np.testing.assert_array_equal(again.result_.constraints_std, result.constraints_std)


class TestFronts:
    def test_the_front_is_one_of_estimates_with_their_deviations(self, front):
        opt, result = front
        assert result.F_std.shape == result.F.shape
        assert (result.F_std > 0.0).all()
        for x, F in zip(result.X, result.F, strict=True):
            measured = opt.y_[rows_at(x, opt)]
            assert len(measured)
            assert (measured != F).any()
        np.testing.assert_array_equal(opt.F_front_, result.F)
        assert "estimated from noisy values" in str(result)

    def test_estimates_are_nearer_to_the_truth_than_measured_values(self, front):
        opt, result = front
        measured = np.array([opt.y_[rows_at(x, opt)].mean(axis=0) for x in result.X])
        true = two_bowls(result.X)
        assert np.abs(result.F - true).mean() < np.abs(measured - true).mean()
        assert np.abs((result.F - true) / result.F_std).max() < 4.0

    def test_noise_is_found_by_a_repeat_and_points_of_the_front_are_repeated(self, front):
        opt, _ = front
        assert len(np.unique(opt.X_, axis=0)) < len(opt.X_) - 1
        np.testing.assert_allclose(opt.noise_std_, 0.05, rtol=0.6)

    def test_the_front_of_an_exact_function_is_measured(self):
        results = [
            front_optimizer(noise_std=noise_std).minimize(two_bowls, UNIT, budget=20)
            for noise_std in ("auto", None)
        ]
        for result in results:
            np.testing.assert_array_equal(result.F, two_bowls(result.X))
            np.testing.assert_array_equal(result.F_std, 0.0)
        np.testing.assert_array_equal(results[0].F, results[1].F)

    def test_constraints_of_a_front_are_estimated_too(self):
        opt = front_optimizer(n_constraints=1, noise_std=0.05)
        result = opt.minimize(Noisy(two_bowls_and_a_limit, 0.05), UNIT, budget=20)
        assert result.constraints_std.shape == result.constraints.shape
        chances = norm.cdf(-result.constraints / result.constraints_std)[:, 0]
        np.testing.assert_allclose(result.probability_feasible, chances)
        assert (chances >= 0.5).all()

    def test_a_maximum_is_estimated_in_the_users_sign(self):
        opt = front_optimizer(noise_std=0.05)
        result = opt.maximize(Noisy(lambda X: -two_bowls(X), 0.05), UNIT, budget=20)
        np.testing.assert_allclose(result.F, -two_bowls(result.X), atol=0.2)
        assert (result.F_std > 0.0).all()

    def test_a_fixed_number_of_repeats_is_kept_to(self):
        opt = front_optimizer(noise_std=0.05, n_repeats=2)
        result = opt.minimize(Noisy(two_bowls, 0.05), UNIT, budget=20)
        _, counts = np.unique(opt.X_, axis=0, return_counts=True)
        assert (counts == 2).all()
        assert (result.F_std > 0.0).all()


def test_lucky_samples_reach_no_hypervolume():
    stopping = FrontCriteria(
        target=0.5, goal=Goal.of("minimize", 2), reference=np.array([1.0, 1.0])
    )
    stopping.begin(np.empty((0, 2)))
    stopping.read_estimates()
    stopping.count(1, np.array([[0.0, 0.0]]))
    stopping.estimate_front(np.array([[0.5, 0.5]]))
    stopping.count(1, np.array([[0.1, 0.1]]))
    with pytest.raises(StopRun, match="was reached after 2 evaluations"):
        stopping.estimate_front(np.array([[0.2, 0.2]]))


def test_patience_of_a_front_counts_evaluations_that_add_nothing_to_its_estimate():
    stopping = FrontCriteria(patience=10, goal=Goal.of("minimize", 2))
    stopping.begin(np.array([[3.0, 3.0]]))
    stopping.read_estimates()
    # Nothing was estimated that could have been improved.
    stopping.count(20, np.array([[2.0, 2.0]]))
    stopping.estimate_front(np.array([[1.0, 1.0]]))
    stopping.count(6, np.array([[0.1, 0.1]]))
    stopping.estimate_front(np.array([[0.5, 1.5], [1.0, 1.0]]))
    stopping.count(6, np.array([[0.0, 0.0]]))
    stopping.estimate_front(np.array([[0.6, 1.5], [1.1, 1.0]]))
    with pytest.raises(StopRun, match="no gain within 12 evaluations"):
        stopping.count(6, np.array([[0.0, 0.0]]))


@pytest.mark.parametrize("place", [0, 1])
def test_repeats_of_which_one_output_differs_tell_of_noise(place):
    X = np.array([[0.0], [1.0], [1.0], [2.0]])
    y = np.array([[0.0, 3.0], [1.0, 2.0], [1.0, 2.0], [4.0, 0.0]])
    assert not has_noise("auto", Dataset.of(X, y))
    y[2, place] += 0.1
    assert has_noise("auto", Dataset.of(X, y))
    assert not has_noise(None, Dataset.of(X, y))


@pytest.mark.parametrize(
    ("noise_std", "expected"), [([0.0, 0.1], True), ([0.0, 0.0], False), ("auto", False)]
)
def test_one_noisy_output_is_enough(noise_std, expected):
    assert NoiseWatch(noise_std).is_noisy is expected


def test_the_setting_that_is_repeated_is_feasible():
    X, y = np.array([[0.0], [1.0]]), np.array([[-5.0, 1.0], [2.0, -1.0]])
    np.testing.assert_array_equal(best_setting(Dataset.of(X, y)), [[1.0]])


def test_the_probability_of_all_constraints_is_their_product():
    mean, std = np.array([[0.0, -1.0], [0.0, -1.0], [2.0, -1.0]]), np.array([[1.0, 1.0]] * 3)
    std[1:, 0] = 0.0
    kept = norm.cdf(1.0)
    np.testing.assert_allclose(probability_kept(mean, std), [0.5 * kept, kept, 0.0])


def test_noise_is_no_error_of_a_learned_constraint():
    rng = np.random.default_rng(0)
    learned = np.zeros((4000, 2))
    measured = rng.normal(0.0, 0.5, learned.shape) + np.array([0.0, 0.3])
    exact = margin_of(measured, learned, np.zeros(2))
    # Near to where it turns, differences are smaller than the noise.
    assert (exact > 0.0).all()
    np.testing.assert_array_equal(margin_of(measured, learned, np.array([0.5, 0.5])), 0.0)
    kept = margin_of(np.full((10, 1), 0.5), np.zeros((10, 1)), np.array([0.3]))
    np.testing.assert_allclose(kept, 0.4)


def test_infill_improves_on_the_best_of_the_samples_that_may_be_the_answer():
    X = LatinHypercubeSampler(3, random_state=0).sample(BOX)
    known = Knowledge(
        proxy=None,
        optimizer=None,
        X=X,
        y=np.array([1.0, 2.0, 3.0]),
        bounds=BOX,
        minima=X[:1],
        taken=X,
        rng=None,
        learn=None,
        doubts=None,
        estimates=np.array([np.inf, 2.5, 2.4]),
    )
    assert known.lowest == 2.4
    np.testing.assert_array_equal(known.best, X[2])
