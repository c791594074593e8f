"""The evidence in words: facts for and against an optimum."""

from __future__ import annotations

import re

import numpy as np

from sklearn_proxyopt._utils._goal import Goal
from sklearn_proxyopt.diagnosis._evidence import Evidence
from sklearn_proxyopt.diagnosis._wording import number

__all__ = ["N_REASONS", "reasons_for", "sides_taken"]

N_REASONS = 4
# What adds less than this to the log-odds is not worth a sentence.
_LEAST = 0.1
# A number of no more than this is none.
_NEXT_TO_NOTHING = 1e-3

# Numbers that tell of the same thing. Of each there is one reason, which is for or against.
_TOPICS: tuple[tuple[str, ...], ...] = (
    (
        "r2_unseen",
        "order_of_best",
        "error_of_best",
        "error_of_chosen",
        "bias_of_chosen",
        "share_misjudged",
    ),
    (
        "regret_in_opinions",
        "share_agreeing",
        "optimism",
        "left_in_opinions",
        "distance_of_lows",
        "share_elsewhere",
    ),
    ("spread_at_optimum", "spread_of_lows", "optimism_of_halves", "deviation"),
    ("gain_elsewhere", "chance_elsewhere", "share_of_draws", "left_in_draws", "draws_elsewhere"),
    ("noise", "noise_or_structure"),
    ("search_error", "left_in_proxy"),
    ("distance_to_rows", "rows_per_variable", "n_variables"),
    ("edges_in_doubt",),
    ("error_at_optimum", "error_at_checks"),
    ("gain_over_rows", "shortfall", "known_regret", "lead_over_checks"),
    ("gained_lately", "spread_of_best"),
)

# Up to where a number speaks for an optimum, beyond which it speaks against it; values within the
# regret speak for it.
_TURNS = {
    "distance_of_lows": 0.05,
    "share_misjudged": 0.3,
    "share_elsewhere": 0.3,
    "chance_elsewhere": 0.3,
    "draws_elsewhere": 0.3,
    "edges_in_doubt": 0.5,
    "distance_to_rows": 0.5,
    "n_variables": 6.0,
}
# And those that speak for it beyond.
_TURNS_UPWARD = {
    "r2_unseen": 0.8,
    "order_of_best": 0.6,
    "share_agreeing": 0.6,
    "share_of_draws": 0.6,
    "rows_per_variable": 20.0,
    "lead_over_checks": 0.0,
}

_REFITTED = "models refitted on half of the data"
_POSSIBLE = "functions drawn from the model"
# What each number says of a minimum: "{v}" is the number in units of values, "{a}" its size
# without the sign, "{r}" the tolerance, "{p}" in percent, "{n}" the number itself.
_SENTENCES: dict[str, str] = {
    "r2_unseen": f"{_REFITTED} predict the other half with an R2 of {{n}}",
    "order_of_best": "predicted and measured values of the best samples have a rank correlation "
    "of {n}",
    "error_of_best": "the best samples are predicted with an error of {v}",
    "error_of_chosen": "samples chosen by their prediction have an error of {v}",
    "bias_of_chosen": "samples chosen by their prediction turn out {a} {above} it",
    "share_misjudged": "{p} % of the samples chosen by their prediction miss it by more than the "
    "tolerance ({r})",
    "regret_in_opinions": f"{_REFITTED} expect {{v}} to be left to gain",
    "share_agreeing": f"{{p}} % of the {_REFITTED} see no value {{r}} lower elsewhere",
    "spread_at_optimum": f"{_REFITTED} differ by {{v}} on the value here",
    "spread_of_lows": f"{_REFITTED} differ by {{v}} on the lowest value",
    "optimism": f"{_REFITTED} put the value here {{a}} {{above}} the prediction",
    "optimism_of_halves": "what one half of the data predicts at its optimum is {a} too {low} by "
    "the other half",
    "distance_of_lows": f"{_REFITTED} have their minima {{p}} % of the search space away",
    "share_elsewhere": f"{{p}} % of the {_REFITTED} have their minimum in another basin",
    "search_error": "the search was stuck: the model predicts a value {v} lower elsewhere",
    "distance_to_rows": "the nearest sample is {n} times as far as on a grid of as many",
    "edges_in_doubt": f"{_REFITTED} put the optimum at other bounds ({{n}} a model)",
    "n_variables": "there are {n} variables",
    "noise": "the noise of a value is {v}",
    "noise_or_structure": "values scatter by {v}: noise, or structure finer than the samples",
    "deviation": "the standard deviation of the prediction here is {v}",
    "gain_elsewhere": "elsewhere {v} may be gained, by the standard deviation of predictions",
    "chance_elsewhere": "a value {r} lower elsewhere has a chance of {p} % by the standard "
    "deviation",
    "share_of_draws": f"{{p}} % of the {_POSSIBLE} have no value {{r}} lower elsewhere",
    "left_in_draws": f"{_POSSIBLE} have values {{v}} lower elsewhere, on average",
    "draws_elsewhere": f"{{p}} % of the {_POSSIBLE} have their minimum in another basin",
    "gain_over_rows": "the prediction is {v} lower than the best sample",
    "shortfall": "the best sample is {v} lower than the prediction",
    "rows_per_variable": "there are {n} samples for each variable",
    "known_regret": "a value {v} lower was measured",
    "error_at_optimum": "the measured value here differs from the prediction by {v}",
    "left_in_opinions": f"{_REFITTED} predict values {{v}} below the measured one here",
    "left_in_proxy": "the model predicts values {v} below the measured one here",
    "error_at_checks": "predictions elsewhere were wrong by {v} where they were checked",
    "lead_over_checks": "the best value measured elsewhere lies {a} {above} the one here",
    "gained_lately": "the last quarter of the evaluations gained {v}",
    "spread_of_best": "the best values, two more than variables, differ by {v}",
}
# And what it says at zero, where the sentence would read badly.
_SENTENCES_AT_ZERO = {
    "share_misjudged": "no sample chosen by its prediction misses it by more than the tolerance "
    "({r})",
    "optimism": f"{_REFITTED} agree with the prediction here",
    "regret_in_opinions": f"{_REFITTED} expect nothing to be left to gain",
    "spread_at_optimum": f"{_REFITTED} agree on the value here",
    "spread_of_lows": f"{_REFITTED} agree on the lowest value",
    "distance_to_rows": "there is a sample here",
    "error_at_optimum": "the measured value here is as predicted",
    "error_at_checks": "predictions elsewhere were right where they were checked",
    "share_elsewhere": f"all {_REFITTED} have their minimum in this basin",
    "search_error": "no search found the model lower elsewhere",
    "edges_in_doubt": f"{_REFITTED} agree on the bounds at which the optimum lies",
    "noise": "values are exact",
    "noise_or_structure": "values do not scatter",
    "deviation": "the prediction here is certain",
    "gain_elsewhere": "nothing is to be gained elsewhere, by the standard deviation of predictions",
    "left_in_draws": f"{_POSSIBLE} have no lower value elsewhere",
    "draws_elsewhere": f"all {_POSSIBLE} have their minimum in this basin",
    "gain_over_rows": "the prediction is not lower than the best sample",
    "shortfall": "no sample is lower than the prediction",
    "known_regret": "no lower value is known",
    "left_in_opinions": f"{_REFITTED} predict nothing below the measured value here",
    "left_in_proxy": "the model predicts nothing below the measured value here",
    "gained_lately": "the last quarter of the evaluations gained nothing",
    "spread_of_best": "the best values, two more than variables, are the same",
}
# The words that say of a maximum what the sentences say of a minimum.
_PAIRS = ("lower", "higher"), ("lowest", "highest"), ("minimum", "maximum"), ("minima", "maxima")
_PAIRS += ("above", "below"), ("low", "high")
_OF_MAXIMA = {one: other for pair in _PAIRS for one, other in (pair, pair[::-1])}


def reasons_for(
    numbers: dict[str, float],
    contributions: dict[str, float],
    evidence: Evidence,
    regret: float,
    goal: Goal,
) -> list[str]:
    """Put the evidence that decides into words.

    Parameters
    ----------
    numbers : dict of str to float
        The numbers, in units of the regret where they are values.
    contributions : dict of str to float
        What each adds to the log-odds.
    evidence : Evidence
        Where they come from.
    regret : float
        What is tolerated.
    goal : Goal
        What is sought; the evidence comes to be minimized.

    Returns
    -------
    list of str
        At most four facts, the weightiest first: "+ " before those for the optimum, "- " before
        those against it.
    """
    if numbers["known_regret"] > 1.0:
        here = goal.value(evidence.measured)
        known = goal.value(evidence.lowest_known)
        return [f"- a value of {number(known)} was measured, against {number(here)} here"]
    return [
        f"{'+' if weight > 0 else '-'} {in_words(name, numbers[name], regret, goal)}"
        for weight, name, _ in _said(numbers, contributions)
    ]


def sides_taken(numbers: dict[str, float], contributions: dict[str, float]) -> dict[str, bool]:
    """Return whether the reason that is given speaks for the optimum, by each number of its topic.

    What to do next must not contradict it.
    """
    if numbers["known_regret"] > 1.0:
        return {}
    said = _said(numbers, contributions)
    return {name: weight > 0 for weight, _, topic in said for name in topic}


def _said(
    numbers: dict[str, float], contributions: dict[str, float]
) -> list[tuple[float, str, tuple[str, ...]]]:
    """Return weight, number and topic of each reason that is given, the weightiest first."""
    weighed = [(*_weighed(topic, numbers, contributions), topic) for topic in _TOPICS]
    said = sorted((one for one in weighed if one[1]), key=lambda one: -abs(one[0]))
    return said[:N_REASONS]


def _weighed(
    topic: tuple[str, ...], numbers: dict[str, float], contributions: dict[str, float]
) -> tuple[float, str]:
    """Return what a topic adds to the log-odds, and the number that says so; "" if none does."""
    own = [name for name in topic if name in contributions and np.isfinite(numbers[name])]
    known = {name: contributions[name] for name in own}
    weight = sum(known.values())
    if abs(weight) < _LEAST:
        return weight, ""
    saying = [name for name in known if _speaks_for(name, numbers[name]) == (weight > 0)]
    return weight, max(saying, key=lambda one: known[one] * np.sign(weight), default="")


def _speaks_for(name: str, value: float) -> bool:
    """Tell what a number says by itself, in the sense that people have."""
    if name in _TURNS_UPWARD:
        return value >= _TURNS_UPWARD[name]
    return abs(value) <= _TURNS.get(name, 1.0)


def in_words(name: str, value: float, regret: float, goal: Goal) -> str:
    """Return what a number says of the optimum that is sought."""
    sentence = _SENTENCES[name]
    if abs(value) < _NEXT_TO_NOTHING:
        sentence = _SENTENCES_AT_ZERO.get(name, sentence)
    above, low = ("above", "low") if value >= 0 else ("below", "high")
    of_values = value * regret
    sentence = sentence.replace("{above}", above).replace("{low}", low)
    return _of_goal(sentence, goal).format(
        n=number(value),
        v=number(of_values),
        a=number(abs(of_values)),
        r=number(regret),
        p=number(100.0 * value),
    )


def _of_goal(sentence: str, goal: Goal) -> str:
    """Return what a sentence about a minimum says about the optimum that is sought."""
    if goal.is_plain:
        return sentence
    return re.sub(r"[a-z]+", lambda word: _OF_MAXIMA.get(word[0], word[0]), sentence)
