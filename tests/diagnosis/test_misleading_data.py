"""Verdicts where data repeat, have noise or are learned by a model that extrapolates."""

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.metrics import roc_auc_score

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt._run import _agreement
from sklearn_proxyopt.diagnosis._credibility import MODES, credibility_model
from sklearn_proxyopt.problems import Rastrigin, StyblinskiTang
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import Integer

SQUARE = [(-1.0, 1.0), (-1.0, 1.0)]
GRID = np.stack(np.meshgrid(*[np.linspace(-1.0, 1.0, 5)] * 2), axis=-1).reshape(-1, 2)


def bowl(X):
    return np.square(X - [0.2, -0.3]).sum(axis=1)


def learned(X, y, bounds=SQUARE, **params):
    return ProxyOptimizer(bounds=bounds, random_state=0, **params).fit(X, y)


def test_a_factorial_in_duplicate_is_judged_as_one():
    once = learned(GRID, bowl(GRID)).diagnose()
    twice = learned(np.repeat(GRID, 2, axis=0), np.repeat(bowl(GRID), 2)).diagnose()
    assert once.verdict == twice.verdict == "credible"
    assert twice.probability == pytest.approx(once.probability, abs=0.02)


@pytest.mark.parametrize("shift", [0.0, 1e-12])
def test_samples_twice_are_judged_as_once(shift):
    problem = StyblinskiTang(2).rotated_and_shifted(1)
    X = 0.99 * SobolSampler(64, random_state=0).sample(problem.bounds)
    once = learned(X, problem(X), problem.bounds).diagnose()
    both = np.vstack([X, X + shift])
    twice = learned(both, problem(both), problem.bounds).diagnose()
    assert twice.probability == pytest.approx(once.probability, abs=0.02)


def test_rows_given_twice_do_not_make_a_poor_answer_credible():
    problem = Rastrigin(3)
    X = np.repeat(SobolSampler(60, random_state=0).sample(problem.bounds), 2, axis=0)
    opt = ProxyOptimizer(bounds=problem.bounds, verdict=False, random_state=0, vectorized=True)
    result = opt.minimize(problem, X=X, y=problem(X), budget=10)
    diagnosis = opt.diagnose()
    assert result.fun > diagnosis.regret
    assert diagnosis.verdict != "credible"


def test_the_lowest_of_noisy_values_is_not_taken_for_the_truth():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1.0, 1.0, (200, 2))
    y = bowl(X) + 0.2 * rng.standard_normal(200)
    told = learned(X, y, noise_std=0.2)
    assert bowl(told.x_[None])[0] < 0.02
    diagnosis = told.diagnose()
    assert diagnosis.verdict == "credible"
    assert diagnosis.regret >= 0.2
    assert y.min() < -0.3 < diagnosis.best
    assert diagnosis.evidence["shortfall"] < 1.0


def test_scatter_that_may_be_noise_or_structure_asks_for_a_repeat():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1.0, 1.0, (200, 2))
    diagnosis = learned(X, bowl(X) + 0.2 * rng.standard_normal(200)).diagnose()
    assert diagnosis.evidence["noise_or_structure"] > 1.0
    assert diagnosis.evidence["noise"] == 0.0
    assert diagnosis.verdict == "doubtful"
    assert "one repeat tells whether the scatter of values" in diagnosis.next_steps[0]
    assert diagnosis.n_to_settle == 1


def test_one_repeat_settles_whether_scatter_is_noise():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1.0, 1.0, (200, 2))
    y = bowl(X) + 0.2 * rng.standard_normal(200)
    best = y.argmin()
    y_again = bowl(X[[best]]) + 0.2 * rng.standard_normal(1)
    diagnosis = learned(np.vstack([X, X[best]]), np.append(y, y_again)).diagnose()
    assert diagnosis.evidence["noise_or_structure"] == 0.0
    assert diagnosis.verdict == "credible"


def test_draws_that_a_measured_value_contradicts_say_nothing():
    opt = learned(GRID, bowl(GRID))
    evidence = opt._known.evidence.about(opt.x_proxy_)
    names = ("share_of_draws", "left_in_draws", "draws_elsewhere")
    assert evidence.numbers(0.1)["share_of_draws"] == 1.0
    as_predicted = evidence.checked(evidence.predicted, np.empty(0), np.empty(0))
    assert as_predicted.numbers(0.1)["share_of_draws"] == 1.0
    contradicted = evidence.checked(evidence.predicted + 5.0, np.empty(0), np.empty(0))
    assert all(np.isnan(contradicted.numbers(0.1)[name]) for name in names)


def test_a_model_that_draws_nothing_is_judged_without_draws():
    opt = learned(GRID, bowl(GRID), proxy=Dipping())
    assert np.isnan(opt.diagnose().evidence["share_of_draws"])
    assert 0.0 <= opt.diagnose().probability <= 1.0


def test_draws_of_a_maximum_have_its_sign():
    of_minimum = learned(GRID, bowl(GRID)).diagnose()
    of_maximum = learned(GRID, -bowl(GRID), direction="maximize").diagnose()
    assert of_minimum.evidence["share_of_draws"] == 1.0
    for name in ("share_of_draws", "draws_elsewhere"):
        assert of_maximum.evidence[name] == pytest.approx(of_minimum.evidence[name])


def behind_a_wall(X):
    return (X + 0.2 * np.sin(5.0 * X) + 20.0 * np.maximum(0.62 - X, 0.0)).sum(axis=1)


def test_a_promise_of_clustered_samples_before_a_wall_is_false():
    rng = np.random.default_rng(1)
    X = np.clip(0.75 + 0.06 * rng.standard_normal((60, 4)), 0.0, 1.0)
    y = behind_a_wall(X)
    opt = learned(X, y, [(0.0, 1.0)] * 4)
    assert opt.fun_ < y.min() - 0.1
    assert behind_a_wall(opt.x_[None])[0] > y.min() + 0.1
    diagnosis = opt.diagnose()
    assert diagnosis.verdict == "false"
    words = " ".join(one for one in diagnosis.reasons if one.startswith("- "))
    assert "the standard deviation of the prediction here" in words
    assert diagnosis.next_steps[0].startswith("measure (")


def test_answers_to_a_noisy_function_are_judged_by_their_estimate():
    rng = np.random.default_rng(0)

    def noisy(X):
        return bowl(X) + 0.3 * rng.standard_normal(len(X))

    opt = ProxyOptimizer(random_state=0, vectorized=True)
    result = opt.minimize(noisy, SQUARE, budget=50)
    diagnosis = opt.diagnose()
    assert diagnosis.truth == result.fun == diagnosis.best
    assert bowl(opt.x_[None])[0] < diagnosis.regret
    assert result.verdict == diagnosis.verdict == "credible"


@pytest.mark.parametrize("seed", range(4))
def test_a_bowl_that_was_solved_is_credible(seed):
    opt = ProxyOptimizer(random_state=seed, vectorized=True)
    result = opt.minimize(bowl, SQUARE, budget=40)
    assert result.fun < 1e-9
    assert result.verdict == "credible"
    assert opt.diagnose().truth == result.fun


def test_an_integer_at_its_bound_is_at_an_edge():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(0, 8, 40), rng.uniform(-1.0, 1.0, 40)]).astype(float)
    space = {"n": Integer(0, 8), "x": (-1.0, 1.0)}
    opt = learned(X, np.square(X - [9.0, 0.1]).sum(axis=1), space)
    assert opt.x_[0] == 8.0
    diagnosis = opt.diagnose()
    assert diagnosis.evidence["n_on_edge"] == 1.0
    assert "widen the upper bound of n (8) if you may" in " ".join(diagnosis.next_steps)


@pytest.mark.parametrize("method", ["fit", "minimize"])
def test_there_is_no_verdict_where_repeats_contradict_what_was_said_of_them(method):
    rng = np.random.default_rng(0)
    X = np.repeat(SobolSampler(16, random_state=0).sample(SQUARE), 2, axis=0)
    y = bowl(X) + 0.1 * rng.standard_normal(32)
    opt = ProxyOptimizer(bounds=SQUARE, noise_std=None, random_state=0, vectorized=True)
    if method == "fit":
        opt.fit(X, y)
    else:
        result = opt.minimize(bowl, X=X, y=y, budget=5)
        assert result.verdict is None
        assert np.isnan(result.probability)
        assert "No verdict on the answer" in result.message
        assert "Verdict      none" in str(result)
    diagnosis = opt.diagnose()
    assert diagnosis.verdict is None
    assert np.isnan(diagnosis.probability)
    assert diagnosis.n_to_settle is None
    assert "differ by up to" in diagnosis.headline
    assert diagnosis.headline.endswith("but noise_std is None.")
    assert 'set noise_std="auto"' in diagnosis.next_steps[0]
    assert "No verdict" in str(diagnosis)
    assert len(diagnosis.to_frame()) == len(diagnosis.evidence)


def test_equal_values_tolerate_no_more_than_rounding():
    opt = learned(GRID, np.full(len(GRID), 7.0))
    regret = opt.diagnose().regret
    assert 0.0 < regret < 1e-9
    assert regret > np.finfo(float).eps


class Dipping(RegressorMixin, BaseEstimator):
    """A bowl that falls towards a corner if it has learned from many rows."""

    def fit(self, X, y):
        self.n_features_in_ = X.shape[1]
        self.depth_ = 9.0 if len(X) > 40 else 0.0
        return self

    def predict(self, X):
        X = np.asarray(X)
        return bowl(X) - self.depth_ * np.exp(-3.0 * np.square(X - 1.3).sum(axis=1))


def test_a_corner_that_all_refitted_models_contradict_is_not_the_answer(monkeypatch):
    monkeypatch.setattr(_agreement, "are_learned_as_stack", lambda proxy: True)
    X = 0.7 * SobolSampler(64, random_state=0).sample(SQUARE)
    opt = learned(X, bowl(X), proxy=Dipping())
    assert opt.predict([[1.0, 1.0]])[0] < opt.fun_ - 2.0
    assert bowl(opt.x_[None])[0] < 0.05
    np.testing.assert_array_equal(opt.x_, opt.x_proxy_)
    assert opt.fun_ == opt.fun_proxy_ == opt.result_.fun == opt.predict(opt.x_[None])[0]
    assert "contradict it" in opt.result_.message


@pytest.mark.parametrize("budget", [None, 80])
def test_what_is_told_is_answered_as_what_is_fitted(monkeypatch, budget):
    monkeypatch.setattr(_agreement, "are_learned_as_stack", lambda proxy: True)
    X = 0.7 * SobolSampler(64, random_state=0).sample(SQUARE)
    fitted = learned(X, bowl(X), proxy=Dipping(), budget=budget)
    told, asked, both = (clone(fitted).tell(X, bowl(X)) for _ in range(3))
    np.testing.assert_array_equal(told.x_, fitted.x_)
    points = asked.ask(3)
    # The plan is that of a run, which evaluates the corner.
    np.testing.assert_array_equal(told.ask(3), points)
    np.testing.assert_array_equal(both.ask(3), points)
    for opt in (told, asked, both):
        np.testing.assert_array_equal(opt.x_, fitted.x_)
        assert opt.result_.message == fitted.result_.message


def test_a_regressor_whose_refits_are_dear_is_fitted_once():
    X, n_rows = 0.7 * SobolSampler(64, random_state=0).sample(SQUARE), []

    class Counted(Dipping):
        def fit(self, X, y):
            n_rows.append(len(X))
            return super().fit(X, y)

    opt = learned(X, bowl(X), proxy=Counted())
    assert opt.x_.max() == 1.0
    assert n_rows == [64]


def test_a_corner_that_refitted_models_agree_on_stays_the_answer():
    X = 0.7 * SobolSampler(64, random_state=0).sample(SQUARE)
    opt = learned(X, X.sum(axis=1))
    np.testing.assert_allclose(opt.x_, [-1.0, -1.0])
    assert opt.diagnose().evidence["edges_in_doubt"] == 0.0


def test_the_band_holds_what_refitted_models_predict():
    problem = Rastrigin(3)
    X = SobolSampler(60, random_state=0).sample(problem.bounds)
    opt = learned(X, problem(X), problem.bounds)
    low, high = opt.diagnose().band
    said = opt._known.evidence.predict_halves(opt.x_[None])[:, 0]
    assert low <= said.min()
    assert said.max() <= high
    (std,) = opt._known.deviations(opt.x_[None])[0]
    assert low <= opt.fun_ - 1.645 * std
    assert opt.fun_ + 1.645 * std <= high


@pytest.fixture(scope="module")
def cases():
    """Evidence on optima of functions that the weights were not learned from."""
    path = Path(__file__).with_name("verdict_cases.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    by_mode = {}
    for mode in MODES:
        own = [row for row in rows if row["mode"] == mode]
        numbers = [{k: float(v) for k, v in row.items() if k not in _FACTS} for row in own]
        is_good = np.array([row["is_good"] == "1" for row in own])
        model = credibility_model(mode)
        by_mode[mode] = np.array([model.probability(one) for one in numbers]), is_good
    return by_mode


_FACTS = ("mode", "family", "is_good")


@pytest.mark.parametrize(("mode", "least"), [("rows", 0.87), ("checks", 0.9), ("refined", 0.78)])
def test_right_optima_get_higher_probabilities_than_wrong_ones(cases, mode, least):
    probability, is_good = cases[mode]
    assert roc_auc_score(is_good, probability) > least


@pytest.mark.parametrize(("mode", "most"), [("rows", 0.1), ("checks", 0.1), ("refined", 0.1)])
def test_probabilities_are_what_comes_true(cases, mode, most):
    probability, is_good = cases[mode]
    thirds = np.array_split(np.argsort(probability, kind="stable"), 3)
    gaps = [abs(probability[own].mean() - is_good[own].mean()) for own in thirds]
    assert np.mean(gaps) < most


@pytest.mark.parametrize("mode", MODES)
def test_no_number_counts_without_limit(mode):
    model = credibility_model(mode)
    for name in model.weights:
        far = dict.fromkeys(model.weights, 0.0) | {"known_regret": 0.0}
        added = [model.contributions(far | {name: size})[name] for size in (50.0, 1e6, np.inf)]
        assert added[0] == added[1] == added[2]
        assert abs(added[0]) < 6.0
