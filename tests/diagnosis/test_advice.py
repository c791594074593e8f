"""What to do next: what is advised where, and that it contradicts no reason."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt._run._diagnose import asked
from sklearn_proxyopt._utils._goal import MINIMUM
from sklearn_proxyopt.diagnosis._advice import Advice
from sklearn_proxyopt.diagnosis._credibility import MODES, credibility_model
from sklearn_proxyopt.diagnosis._diagnosis import verdict_of
from sklearn_proxyopt.diagnosis._reasons import _SENTENCES, _TOPICS, reasons_for, sides_taken
from sklearn_proxyopt.samplers import SobolSampler

AT_BOUND = "widen the lower bound of a (0) if you may: the optimum lies at it"
CERTAIN = dict.fromkeys(_SENTENCES, 0.0) | {"r2_unseen": 0.99, "share_agreeing": 1.0}


@pytest.fixture(scope="module")
def slope():
    """The question of the optimum of a slope, a corner, and what is known about it."""
    X = SobolSampler(64, random_state=0).sample([[0, 1], [0, 1]])
    opt = ProxyOptimizer(bounds={"a": (0, 1), "b": (0, 4)}, proxy="gp", random_state=0)
    opt.fit(X * [1, 4], X[:, 0] - X[:, 1])
    return asked(opt._known, of="proxy")


def steps(slope, numbers, verdict="doubtful", measured=np.nan, mode="checks", **taken):
    question, evidence = slope
    question = replace(question, x_best=question.x, regret=1.0, mode=mode)
    known = replace(evidence, measured=measured)
    return Advice(question, known, CERTAIN | numbers, verdict, taken).steps


def test_a_bound_is_widened_where_the_model_is_believed_at_it(slope):
    assert steps(slope, {}, "credible") == [AT_BOUND]
    assert AT_BOUND in steps(slope, {"error_at_optimum": 0.5}, measured=-1.0)
    # What was measured at a bound and is the lowest value known needs no belief.
    assert AT_BOUND in steps(slope, {"known_regret": 2.0}, "false", measured=-1.0)


def test_a_bound_is_looked_at_before_it_is_widened_where_nothing_is_measured(slope):
    said = steps(slope, {})
    assert said[0].startswith("measure (")
    assert said[1] == f"measure there, and if the prediction comes true, {AT_BOUND}"


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ({"error_at_optimum": 3.0}, "doubtful"),
        ({"error_at_optimum": 0.5, "edges_in_doubt": 0.8}, "doubtful"),
        ({"error_at_optimum": 0.5}, "false"),
    ],
)
def test_a_bound_is_not_widened_where_the_model_is_doubtful_at_it(slope, numbers, verdict):
    assert not any("widen" in step for step in steps(slope, numbers, verdict, measured=-1.0))


def test_a_credible_optimum_at_a_bound_that_refitted_models_doubt_is_left_there(slope):
    assert steps(slope, {"edges_in_doubt": 0.8}, "credible")[0].startswith("move on")


def test_nobody_is_sent_elsewhere_by_models_that_are_praised_for_agreeing(slope):
    numbers = {"share_elsewhere": 0.5, "error_at_optimum": 3.0}
    assert any("optimum elsewhere" in step for step in steps(slope, numbers, measured=-1.0))
    said = steps(slope, numbers, measured=-1.0, share_elsewhere=True)
    assert not any("optimum elsewhere" in step for step in said)


@given(seed=st.integers(0, 10**6), mode=st.sampled_from(MODES), is_measured=st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_reasons_and_steps_contradict_each_other(slope, seed, mode, is_measured):
    rng = np.random.default_rng(seed)
    numbers = {name: float(10.0 ** rng.uniform(-3.0, 2.0)) for name in _SENTENCES}
    for name in ("r2_unseen", "order_of_best", "share_misjudged", "share_agreeing"):
        numbers[name] = float(rng.random())
    for name in ("share_elsewhere", "chance_elsewhere", "share_of_draws", "draws_elsewhere"):
        numbers[name] = float(rng.random())
    for name in ("known_regret", "noise", "noise_or_structure", "edges_in_doubt"):
        numbers[name] *= rng.integers(2)
    question, evidence = slope
    evidence = replace(evidence, measured=-1.0 if is_measured else np.nan)
    model = credibility_model(mode)
    verdict = verdict_of(model.probability(numbers))
    contributions = model.contributions(numbers)
    reasons = reasons_for(numbers, contributions, evidence, 1.0, MINIMUM)
    question = replace(question, x_best=question.x, regret=1.0, mode=mode)
    taken = sides_taken(numbers, contributions)
    advice = Advice(question, evidence, numbers, verdict, taken)
    said, good = " ".join(advice.steps), " ".join(one for one in reasons if one[0] == "+")
    bad = " ".join(one for one in reasons if one[0] == "-")
    is_disproved = numbers["known_regret"] > 1.0
    if "widen" in said:
        assert "at other bounds" not in bad
        assert is_disproved or verdict != "false"
    if "optimum elsewhere" in said:
        assert "models refitted on half of the data predict nothing" not in good
        assert "see no value" not in good
    if "is larger than the tolerance" in said:
        assert "the noise of a value" not in good
    assert ("move on" in said) <= (verdict == "credible")
    assert ("measure" in said or "add" in said) <= (verdict != "credible")


def test_a_run_whose_answer_is_doubtful_goes_on_from_what_it_knows(slope):
    said = steps(slope, {"error_at_optimum": 3.0}, measured=-1.0, mode="refined")
    assert said == ["go on with X=X_, y=y_ and a budget of 64 more, as many as there were"]
    said = steps(slope, {"error_at_optimum": 3.0}, measured=-1.0, mode="checks")
    assert said[0].startswith("add 10 samples")


def test_a_value_is_told_to_be_the_lowest_known_or_not_but_not_both():
    assert any({"shortfall", "known_regret"} <= set(topic) for topic in _TOPICS)


def test_the_samples_that_settle_a_verdict_grow_with_the_number_of_variables():
    numbers = dict.fromkeys(("known_regret", "noise", "noise_or_structure"), 0.0)
    numbers |= {"r2_unseen": 0.9, "error_of_best": 9.0, "error_of_chosen": 4.0}
    counts = []
    for n_variables in (1, 3, 6):
        known = SimpleNamespace(
            rows=np.zeros((40, n_variables)), measured=0.0, rival_lows=np.empty(0)
        )
        advice = Advice(SimpleNamespace(regret=1.0), known, numbers, "doubtful", {})
        counts.append(advice.n_to_settle)
    np.testing.assert_allclose(counts, [40 * (9 ** (n / 6) - 1) for n in (1, 3, 6)], atol=1.0)
