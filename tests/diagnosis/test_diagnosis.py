import pickle
import warnings
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt._run._diagnose import evidence_of
from sklearn_proxyopt._utils._goal import MINIMUM
from sklearn_proxyopt.diagnosis import Diagnosis
from sklearn_proxyopt.diagnosis._band import errors_of_the_chosen, weighted_quantile
from sklearn_proxyopt.diagnosis._credibility import MODES, credibility_model
from sklearn_proxyopt.diagnosis._evidence import Evidence
from sklearn_proxyopt.diagnosis._reasons import _SENTENCES, _TOPICS, in_words, reasons_for
from sklearn_proxyopt.exceptions import FalseOptimumWarning
from sklearn_proxyopt.model_selection import credibility_scorer
from sklearn_proxyopt.problems import Ackley, Rastrigin, Rosenbrock, StyblinskiTang
from sklearn_proxyopt.samplers import SobolSampler


def fitted(problem, n_rows=200, **params):
    X = SobolSampler(n_rows, random_state=0).sample(problem.bounds)
    params = {"bounds": problem.bounds, "vectorized": True, "random_state": 0, **params}
    return ProxyOptimizer(**params).fit(X, problem(X))


@pytest.fixture(scope="module")
def smooth():
    return StyblinskiTang(3).rotated_and_shifted(2)


@pytest.fixture(scope="module")
def of_smooth(smooth):
    return fitted(smooth)


@pytest.fixture(scope="module")
def wiggly():
    return Rastrigin(3).rotated_and_shifted(3)


@pytest.fixture(scope="module")
def of_wiggly(wiggly):
    # Its ripples look like noise.
    return fitted(wiggly, noise_std=None)


class Counting:
    def __init__(self, fun):
        self.fun, self.n_rows = fun, 0

    def __call__(self, X):
        self.n_rows += len(X)
        return self.fun(X)


def test_an_optimum_of_a_function_that_is_learned_well_is_credible(smooth, of_smooth):
    assert smooth(of_smooth.x_proxy_[None])[0] < 1e-6
    assert of_smooth.diagnose().verdict == "credible"
    assert of_smooth.diagnose(smooth).probability > 0.9


def test_an_optimum_of_a_function_that_is_not_learned_is_not_credible(wiggly, of_wiggly):
    diagnosis = of_wiggly.diagnose()
    assert wiggly(of_wiggly.x_proxy_[None])[0] > diagnosis.regret
    assert diagnosis.verdict != "credible"
    assert of_wiggly.diagnose(wiggly).verdict == "false"


@pytest.fixture(scope="module")
def beaten(wiggly):
    """An optimizer that knows of a value far below the optimum of its proxy."""
    X = SobolSampler(200, random_state=0).sample(wiggly.bounds)
    opt = ProxyOptimizer(bounds=wiggly.bounds, noise_std=None, random_state=0).fit(
        np.vstack([X, wiggly.x_opt]), np.append(wiggly(X), wiggly.f_opt)
    )
    opt.x_proxy_ = X[0]
    return opt


def test_a_lower_value_that_is_known_proves_an_optimum_false(wiggly, beaten):
    diagnosis = beaten.diagnose(wiggly, n_checks=1)
    assert diagnosis.probability == 0.0
    here = float(f"{diagnosis.truth:.3g}")
    assert diagnosis.reasons == [f"- a value of 0 was measured, against {here:g} here"]
    assert diagnosis.best == wiggly.f_opt
    assert diagnosis.n_to_settle == 0


@pytest.mark.parametrize("n_checks", [1, 4])
def test_no_more_is_paid_for_than_was_asked(smooth, of_smooth, n_checks):
    objective = Counting(smooth)
    diagnosis = of_smooth.diagnose(objective, n_checks=n_checks)
    # A check at a row that was told is known.
    told = (diagnosis.X_checks[:, None] == of_smooth.X_).all(axis=2).any(axis=1)
    assert len(diagnosis.X_checks) == n_checks
    assert objective.n_rows == (~told).sum() > 0
    np.testing.assert_array_equal(diagnosis.X_checks[0], of_smooth.x_proxy_)
    np.testing.assert_allclose(diagnosis.y_checks, smooth(diagnosis.X_checks))


def test_checks_stay_inside_the_box_and_apart(smooth, of_smooth):
    checks = of_smooth.diagnose(smooth, n_checks=5).X_checks
    assert (checks >= smooth.bounds[:, 0]).all()
    assert (checks <= smooth.bounds[:, 1]).all()
    assert len(np.unique(checks, axis=0)) == 5


def test_rows_outside_the_box_are_no_rivals(smooth):
    X = SobolSampler(200, random_state=0).sample(smooth.bounds)
    opt = ProxyOptimizer(bounds=0.5 * smooth.bounds, random_state=0).fit(X, smooth(X))
    evidence = evidence_of(opt).about(opt.x_proxy_)
    assert (evidence.rivals >= 0).all()
    assert (evidence.rivals <= 1).all()


def test_what_a_check_paid_for_is_not_paid_for_again(smooth, of_smooth):
    objective = Counting(smooth)
    of_smooth.diagnose(objective, n_checks=3)
    n_paid_for = objective.n_rows
    assert 0 < n_paid_for <= 3
    of_smooth.diagnose(objective, n_checks=3)
    assert objective.n_rows == n_paid_for


def test_a_diagnosis_changes_nothing_about_the_optimizer(smooth):
    opt = fitted(smooth, 60, proxy=NeuralProxyRegressor(max_epochs=5))
    before = {name: vars(opt)[name] for name in vars(opt) if name.endswith("_")}
    opt.diagnose(smooth)
    for name, value in before.items():
        assert vars(opt)[name] is value, name


def test_the_same_seed_gives_the_same_verdict(smooth, of_smooth):
    again = fitted(smooth)
    assert again.diagnose().evidence == pytest.approx(of_smooth.diagnose().evidence, nan_ok=True)


def test_a_larger_regret_is_tolerated_with_a_higher_probability(of_wiggly):
    chances = [of_wiggly.diagnose(regret=regret).probability for regret in (0.1, 3.0, 100.0)]
    assert chances == sorted(chances)
    assert chances[0] < chances[-1]


def test_values_in_other_units_lead_to_the_same_verdict(smooth):
    X = SobolSampler(100, random_state=0).sample(smooth.bounds)
    verdicts = []
    for scale, shift in ((1.0, 0.0), (1e6, -3e7)):
        proxy = NeuralProxyRegressor(trend="quadratic", max_epochs=5)
        opt = ProxyOptimizer(bounds=smooth.bounds, proxy=proxy, random_state=0)
        verdicts.append(opt.fit(X, scale * smooth(X) + shift).diagnose().probability)
    assert verdicts[0] == pytest.approx(verdicts[1], rel=1e-3)


def test_any_regressor_can_be_diagnosed(wiggly):
    opt = fitted(wiggly, proxy=RandomForestRegressor(20))
    assert evidence_of(opt).opinions.n_halves == 2
    assert opt.diagnose(wiggly).verdict in ("doubtful", "false")


def test_second_opinions_on_a_frozen_proxy_learn_anew(wiggly):
    X = SobolSampler(100, random_state=0).sample(wiggly.bounds)
    frozen = FrozenEstimator(RandomForestRegressor(20, random_state=0).fit(X, wiggly(X)))
    opinions = evidence_of(fitted(wiggly, 100, proxy=frozen)).opinions
    assert np.ptp(opinions.predict(X), axis=0).max() > 0


def test_names_reach_the_second_opinions(smooth):
    pd = pytest.importorskip("pandas")
    X = SobolSampler(60, random_state=0).sample(smooth.bounds)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opt = ProxyOptimizer(proxy=RandomForestRegressor(5), random_state=0).fit(frame, smooth(X))
        assert 0.0 <= opt.diagnose().probability <= 1.0


def test_rows_are_judged_by_opinions_that_have_not_seen_them(of_smooth):
    opinions = evidence_of(of_smooth).opinions
    unseen = opinions.predict_unseen(of_smooth.X_)
    row = int(np.flatnonzero(opinions.has_seen.any(axis=0))[0])
    others = ~opinions.has_seen[:, row]
    said = opinions.predict(of_smooth.X_)[others, row]
    assert unseen[row] == pytest.approx(said.mean())


def test_minimize_ends_with_a_verdict(smooth):
    opt = ProxyOptimizer(sampler=SobolSampler(128), random_state=0, vectorized=True)
    result = opt.minimize(smooth, smooth.bounds)
    assert result.verdict == "credible"
    assert opt.diagnose().headline in result.message
    assert result.n_to_settle == opt.diagnose().n_to_settle == 0
    assert result.probability == opt.diagnose().probability == opt.diagnose(of="answer").probability


def test_minimize_warns_of_an_answer_that_it_does_not_believe():
    problem = Ackley(8).rotated_and_shifted(1)
    opt = ProxyOptimizer(
        sampler=SobolSampler(64),
        proxy=NeuralProxyRegressor((4,), max_epochs=2, trend="constant"),
        refiner=None,
        random_state=0,
        vectorized=True,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = opt.minimize(problem, problem.bounds)
    warned = [one for one in caught if issubclass(one.category, FalseOptimumWarning)]
    assert bool(warned) == (result.verdict == "false")
    assert result.verdict != "credible"


def test_minimize_is_silent_about_verdicts_where_none_is_asked_for(smooth):
    opt = ProxyOptimizer(sampler=SobolSampler(32), verdict=False, random_state=0, vectorized=True)
    assert "verdict" not in opt.minimize(smooth, smooth.bounds)


def test_after_minimize_what_it_evaluated_is_used_without_paying(wiggly):
    objective = Counting(wiggly)
    opt = ProxyOptimizer(sampler=SobolSampler(128), random_state=0, vectorized=True)
    result = opt.minimize(objective, wiggly.bounds)
    n_rows = objective.n_rows
    diagnosis = opt.diagnose(of="proxy")
    assert diagnosis.truth == result.true_at_proxy
    assert diagnosis.mode == "checks"
    assert objective.n_rows == n_rows


def test_a_failed_check_leaves_the_verdict_to_the_others(smooth):
    def fails_at_first(X):
        return np.where(np.arange(len(X)) == 0, np.nan, smooth(X))

    opt = fitted(smooth, 60, on_error="drop")
    with pytest.warns(UserWarning, match="failed"):
        diagnosis = opt.diagnose(fails_at_first, n_checks=3)
    assert diagnosis.mode == "rows"
    assert np.isnan(diagnosis.y_checks[0])


def test_a_pickled_optimizer_gives_the_same_verdict(of_smooth):
    copy = pickle.loads(pickle.dumps(of_smooth))
    assert copy.diagnose().probability == of_smooth.diagnose().probability


def test_a_diagnosis_can_be_read_printed_and_tabulated(smooth, of_smooth):
    diagnosis = of_smooth.diagnose(smooth)
    assert str(diagnosis).startswith(diagnosis.headline)
    assert diagnosis.headline in unescape(diagnosis._repr_html_())
    frame = diagnosis.to_frame()
    assert list(frame.columns) == ["value", "contribution"]
    assert set(frame.index) == set(diagnosis.evidence)
    assert isinstance(diagnosis, Diagnosis)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objective": 3}, "objective must be callable or None; got 3"),
        ({"n_checks": 0}, "n_checks must be an integer of at least 1; got 0"),
        ({"regret": -1.0}, "regret must be a finite number"),
        ({"of": "best"}, "of must be one of 'answer', 'proxy'; got 'best'"),
    ],
)
def test_wrong_arguments_are_named(of_smooth, arguments, message):
    with pytest.raises(ValueError, match=message):
        of_smooth.diagnose(**arguments)


def test_what_smoothing_measured_is_part_of_the_diagnosis(wiggly):
    proxy = NeuralProxyRegressor((16,), max_epochs=5)
    opt = fitted(wiggly, 60, proxy=proxy, smoothing=(0.1, 0.05))
    assert opt.diagnose().smoothing is opt.smoothing_report_
    opt.set_params(smoothing=None).fit(opt.X_, opt.y_)
    assert opt.diagnose().smoothing is None


def test_too_few_rows_cannot_be_judged(smooth):
    opt = fitted(smooth, 8, proxy=NeuralProxyRegressor(max_epochs=2))
    with pytest.raises(ValueError, match="X must have at least 10 samples for a diagnosis; got 8"):
        opt.diagnose()


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.ConstantWarning")
def test_samples_of_a_single_setting_cannot_be_judged():
    opt = ProxyOptimizer(bounds=[(0, 2)] * 2, proxy="gp", random_state=0)
    opt.fit(np.ones((20, 2)), np.arange(20.0))
    with pytest.raises(ValueError, match="at least 2 distinct settings for a diagnosis; got 1"):
        opt.diagnose()


def test_an_optimizer_that_is_not_fitted_has_nothing_to_diagnose():
    with pytest.raises(ValueError, match="not fitted"):
        ProxyOptimizer().diagnose()


@pytest.mark.parametrize("mode", MODES)
def test_every_number_that_counts_has_a_sentence(mode):
    weights = credibility_model(mode).weights
    assert weights
    assert set(weights) <= set(_SENTENCES)


@given(seed=st.integers(0, 1000), n=st.integers(5, 60))
@settings(max_examples=30, deadline=None)
def test_the_weights_are_the_chances_of_being_chosen_among_rows_at_random(seed, n):
    rng = np.random.default_rng(seed)
    predicted, truth = rng.random(n), rng.random(n)
    _, weights = errors_of_the_chosen(predicted, truth)
    m = min(max(n // 20, 5), n)
    picks = rng.random((4000, n)).argsort(axis=1)[:, :m]
    rank = predicted.argsort().argsort()
    chosen = np.bincount(rank[picks].min(axis=1), minlength=n) / 4000
    assert weights.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(chosen, weights, atol=0.05)


def test_the_band_covers_what_the_chosen_rows_turn_out_to_be():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal(4000)
    predicted = truth + 0.5 * rng.standard_normal(4000)
    errors, weights = errors_of_the_chosen(predicted[:2000], truth[:2000])
    low, high = (weighted_quantile(errors, weights, share) for share in (0.05, 0.95))
    chosen = [
        part[predicted[part].argmin()]
        for part in (rng.choice(np.arange(2000, 4000), 100, replace=False) for _ in range(300))
    ]
    error = truth[chosen] - predicted[chosen]
    assert 0.8 <= np.mean((low <= error) & (error <= high)) <= 0.99
    assert np.mean(error) > 0.3


def test_equal_values_are_no_obstacle():
    X = SobolSampler(40, random_state=0).sample([[0, 1], [0, 1]])
    proxy = NeuralProxyRegressor(max_epochs=2)
    opt = ProxyOptimizer(bounds=[[0, 1], [0, 1]], proxy=proxy, random_state=0).fit(X, 0 * X[:, 0])
    assert np.isfinite(opt.diagnose().probability)


def test_evidence_in_units_of_the_regret_scales_with_it(of_wiggly):
    evidence = evidence_of(of_wiggly).about(of_wiggly.x_proxy_)
    assert isinstance(evidence, Evidence)
    once, twice = evidence.numbers(1.0), evidence.numbers(2.0)
    for name in ("error_of_chosen", "spread_at_optimum", "gain_over_rows"):
        assert once[name] == pytest.approx(2.0 * twice[name])


def test_a_grid_is_searched_by_credibility(smooth):
    X = SobolSampler(320, random_state=1).sample(smooth.bounds)
    search = GridSearchCV(
        ProxyOptimizer(bounds=smooth.bounds, random_state=0),
        {"proxy": [NeuralProxyRegressor(max_epochs=20), RandomForestRegressor(10)]},
        scoring=credibility_scorer(regret=1.0),
        cv=2,
    ).fit(X, smooth(X))
    assert isinstance(search.best_params_["proxy"], NeuralProxyRegressor)
    assert 0.0 <= search.best_score_ <= 1.0
    assert credibility_scorer()(search) == search.best_estimator_.diagnose().probability


def test_credibility_is_asked_of_optimizers_alone(smooth):
    with pytest.raises(ValueError, match="estimator must be a ProxyOptimizer"):
        credibility_scorer()(RandomForestRegressor(), None, None)
    with pytest.raises(ValueError, match="n_checks must be"):
        credibility_scorer(n_checks=0)


def test_a_stuck_search_is_told_from_a_false_proxy():
    problem = Rosenbrock(2)
    opt = fitted(problem)
    opt._publish(replace(opt._known, x_proxy=problem.bounds[:, 0].copy()))
    evidence = opt.diagnose().evidence
    assert evidence["search_error"] > 1.0


def test_what_is_judged_stands_in_the_first_words(wiggly):
    opt = ProxyOptimizer(sampler=SobolSampler(64), random_state=0, vectorized=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FalseOptimumWarning)
        opt.minimize(wiggly, wiggly.bounds)
    answer, optimum = opt.diagnose(), opt.diagnose(of="proxy")
    assert answer.headline.startswith(f"The answer (x0 {answer.x[0]:.3g}, x1 ")
    assert optimum.headline.startswith(f"The model's optimum (x0 {optimum.x[0]:.3g}, x1 ")
    np.testing.assert_array_equal(answer.x, opt.x_)
    np.testing.assert_array_equal(optimum.x, opt.x_proxy_)
    opt.fit(opt.X_, opt.y_)
    assert opt.diagnose().subject == opt.diagnose(of="answer").subject == "the model's optimum"


def test_a_false_verdict_does_not_read_as_its_opposite(wiggly, of_wiggly, beaten):
    diagnosis = of_wiggly.diagnose(regret=0.01)
    assert diagnosis.verdict == "false"
    assert "is false (" in diagnosis.headline
    assert diagnosis.headline.endswith("%): a lower value by more than 0.01 is likely.")
    measured = beaten.diagnose(wiggly, n_checks=1)
    gap = float(f"{measured.truth - wiggly.f_opt:.3g}")
    assert measured.headline.endswith(
        f"is false (below 1 %): a lower value by {gap:g} was measured."
    )


@pytest.mark.parametrize("regret", [None, 0.01, 1.0, 20.0])
def test_reasons_are_few_facts_for_and_against_that_do_not_contradict(
    smooth, of_smooth, wiggly, of_wiggly, regret
):
    for opt, problem in ((of_smooth, smooth), (of_wiggly, wiggly)):
        for objective in (None, problem):
            diagnosis = opt.diagnose(objective, regret=regret)
            assert len(diagnosis.reasons) <= 4
            assert all(reason[:2] in ("+ ", "- ") for reason in diagnosis.reasons)
            good = [reason for reason in diagnosis.reasons if reason.startswith("+")]
            assert not any("worse" in reason for reason in good)
            topics = [
                topic
                for topic in _TOPICS
                for reason in diagnosis.reasons
                if any(_says(reason, name, diagnosis) for name in topic)
            ]
            assert len(topics) == len(set(topics))


def _says(reason, name, diagnosis):
    return reason[2:] == in_words(name, diagnosis.evidence[name], diagnosis.regret, MINIMUM)


def test_what_is_said_of_the_best_sample_is_said_once():
    """Where the prediction lies below the best sample it does not lie above it, too."""
    numbers = dict.fromkeys(_SENTENCES, 0.0) | {"gain_over_rows": 8.0, "known_regret": np.nan}
    contributions = {"gain_over_rows": -1.0, "shortfall": 2.0}
    reasons = reasons_for(numbers, contributions, None, 0.5, MINIMUM)
    assert reasons == ["+ no sample is lower than the prediction"]
    contributions["gain_over_rows"] = -3.0
    reasons = reasons_for(numbers, contributions, None, 0.5, MINIMUM)
    assert reasons == ["- the prediction is 4 lower than the best sample"]


@pytest.mark.parametrize("mode", MODES)
def test_contributions_add_up_to_the_log_odds(mode):
    model = credibility_model(mode)
    numbers = dict.fromkeys(_SENTENCES, 0.5)
    total = sum(model.contributions(numbers).values())
    assert model.probability(numbers) == pytest.approx(1.0 / (1.0 + np.exp(-total)))
    assert sum(model.contributions(numbers | {"r2_unseen": np.nan}).values()) != 0.0


def test_next_steps_name_points_and_bounds(wiggly, of_wiggly, beaten):
    steps = of_wiggly.diagnose().next_steps
    assert 1 <= len(steps) <= 3
    assert steps[0].startswith(f"measure (x0 {of_wiggly.x_proxy_[0]:.3g}")
    best = wiggly.x_opt[0]
    again = beaten.diagnose(wiggly, n_checks=1).next_steps[0]
    assert again.startswith(f"start again from (x0 {best[0]:.3g}, x1 {best[1]:.3g}, ")
    X = SobolSampler(64, random_state=0).sample([[0, 1], [0, 1]])
    slope = ProxyOptimizer(bounds={"a": (0, 1), "b": (0, 4)}, random_state=0)
    slope.fit(X * [1, 4], X[:, 0] - X[:, 1])
    assert "widen the lower bound of a (0) if you may: the optimum lies at it" in " ".join(
        slope.diagnose().next_steps
    )


def test_a_credible_verdict_is_settled_and_a_doubtful_one_takes_evaluations(of_smooth, of_wiggly):
    assert of_smooth.diagnose().n_to_settle == 0
    assert of_wiggly.diagnose().n_to_settle > 0
