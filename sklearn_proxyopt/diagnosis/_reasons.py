"""The evidence in words."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from sklearn_proxyopt._utils._goal import Goal
from sklearn_proxyopt.diagnosis._evidence import Evidence

__all__ = ["reasons_for"]

_N_REASONS = 4
# What adds less than this to the log-odds is not worth a sentence.
_LEAST = 0.25

# What each number says of a minimum: "{v}" is the number in units of values, "{a}" its size
# without the sign, "{p}" in percent, "{n}" the number itself.
_SENTENCES: dict[str, str] = {
    "r2_unseen": "proxies of half of the rows predict the other half with an R2 of {n:.3g}",
    "order_of_best": "among the best rows, predictions and values have a rank correlation of "
    "{n:.2f}",
    "error_of_best": "the best rows are predicted with an error of {v:.3g}",
    "error_of_chosen": "where an optimizer would go, rows are predicted with an error of {v:.3g}",
    "bias_of_chosen": "rows that look best lie {a:.3g} {above} what they promised",
    "share_misjudged": "where an optimizer would go, {p:.0f} % of the rows are predicted worse "
    "than the regret allows",
    "regret_in_opinions": "proxies of half of the rows think that {v:.3g} is left to gain",
    "share_agreeing": "{p:.0f} % of the proxies of half of the rows agree with this optimum",
    "spread_at_optimum": "proxies of half of the rows differ by {v:.3g} on the value here",
    "spread_of_lows": "proxies of half of the rows differ by {v:.3g} on the lowest value",
    "optimism": "proxies of half of the rows put the value here {a:.3g} {above} the promise",
    "optimism_of_halves": "what one half of the rows promises is {a:.3g} too {low} by the other",
    "distance_of_lows": "proxies of half of the rows have their minima {p:.3g} % of the box away",
    "share_elsewhere": "{p:.0f} % of the proxies of half of the rows have their minimum in another "
    "basin",
    "search_error": "the search was stuck: the proxy has a value {v:.3g} lower elsewhere",
    "distance_to_rows": "the nearest row is {n:.2g} times as far as rows are from each other",
    "n_on_edge": "the optimum lies on the edge of the box in {n:.0f} variables",
    "gain_over_rows": "the promise is {v:.3g} lower than the best row",
    "shortfall": "the promise is {v:.3g} higher than the best row",
    "rows_per_variable": "there are {n:.3g} rows for each variable",
    "known_regret": "a value {v:.3g} lower is known",
    "error_at_optimum": "the truth here differs from the promise by {v:.3g}",
    "left_in_opinions": "proxies of half of the rows promise values {v:.3g} below the truth here",
    "left_in_proxy": "the proxy promises values {v:.3g} below the truth here",
    "error_at_checks": "elsewhere the checks found errors of {v:.3g}",
    "lead_over_checks": "the best of the other checks lies {a:.3g} {above} this optimum",
}
# And what it says at zero, where the sentence would read badly.
_SENTENCES_AT_ZERO = {
    "share_elsewhere": "all proxies of half of the rows have their minimum in this basin",
    "search_error": "no search found the proxy lower elsewhere",
    "n_on_edge": "the optimum lies off the edges of the box",
    "gain_over_rows": "the promise is not lower than the best row",
    "shortfall": "the promise is not higher than the best row",
    "known_regret": "no lower value is known",
    "left_in_opinions": "proxies of half of the rows promise nothing below the truth here",
    "left_in_proxy": "the proxy promises nothing below the truth here",
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

    What is usual is the mean of the cases that the model was learned from.

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
        What is sought; the evidence comes to be minimised.

    Returns
    -------
    list of str
        Sentences, what decides most first.
    """
    if numbers["known_regret"] > 1.0:
        lower, here = goal.value(evidence.lowest_known), goal.value(evidence.measured)
        return [f"Proof against it: a true value of {lower:.6g} is known, against {here:.6g}."]
    order = sorted(contributions, key=lambda name: -abs(contributions[name]))
    said = []
    for name in order[:_N_REASONS]:
        if abs(contributions[name]) < _LEAST:
            break
        side = "Better than usual" if contributions[name] > 0 else "Worse than usual"
        said.append(f"{side}: {_of_goal(_sentence(name, numbers[name], regret), goal)}.")
    if np.isfinite(evidence.measured):
        low, high = goal.interval(evidence.band())
        truth, promise = goal.value(evidence.measured), goal.value(evidence.predicted)
        where = "inside" if low <= truth <= high else "outside"
        said.append(
            f"The truth here is {truth:.6g}, promised was {promise:.6g}: "
            f"{where} the band from {low:.4g} to {high:.4g}."
        )
    return said


def _of_goal(sentence: str, goal: Goal) -> str:
    """Return what a sentence about a minimum says about the optimum that is sought."""
    if goal.is_plain:
        return sentence
    return re.sub(r"[a-z]+", lambda word: _OF_MAXIMA.get(word[0], word[0]), sentence)


def _sentence(name: str, number: float, regret: float) -> str:
    if number == 0.0 and name in _SENTENCES_AT_ZERO:
        return _SENTENCES_AT_ZERO[name]
    form: Callable[..., str] = _SENTENCES[name].format
    above, low = ("above", "low") if number >= 0 else ("below", "high")
    value = number * regret
    return form(n=number, v=value, a=abs(value), p=100 * number, above=above, low=low)
