"""From the numbers of the evidence to a probability."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

__all__ = ["MODES", "Credibility", "credibility_model", "scaled"]

# What is measured: nothing but the samples; the value at the optimum and perhaps at further places;
# the value at an optimum that was already refined on the function.
MODES = ("rows", "checks", "refined")
_FILE = "credibility.json"
# Beyond this a number says no more.
_LARGEST = 50.0


def scaled(number: float) -> float:
    """Return a number on the scale where the model is linear: like a logarithm, with its sign."""
    if np.isnan(number):
        return np.nan
    return float(np.arcsinh(np.clip(number, -_LARGEST, _LARGEST)))


@dataclass(frozen=True)
class Credibility:
    """A logistic model of the probability that an optimum lies within the regret.

    Parameters
    ----------
    weights : dict of str to tuple of five floats
        For each number of the evidence the mean and the spread of its scaled values among the
        cases that the model was learned from, its weight, and the least and the largest of these
        values, beyond which it counts as at them.
    intercept : float
        The log-odds where every number has its mean.
    """

    weights: dict[str, tuple[float, float, float, float, float]]
    intercept: float

    def contributions(self, numbers: dict[str, float]) -> dict[str, float]:
        """Return what each number adds to the log-odds; one that is not known adds nothing.

        The log-odds of the mean case are shared out among the known numbers by their weights, so
        that they add up to those of this one: what is above zero speaks for the optimum.
        """
        known = {name: scaled(numbers[name]) for name in self.weights}
        known = {name: value for name, value in known.items() if not np.isnan(value)}
        total = sum(abs(self.weights[name][2]) for name in known)
        added = dict.fromkeys(self.weights, 0.0)
        for name, value in known.items():
            mean, spread, weight, low, high = self.weights[name]
            deviation = (min(max(value, low), high) - mean) / spread
            added[name] = weight * deviation + self.intercept * abs(weight) / total
        return added

    def probability(self, numbers: dict[str, float]) -> float:
        """Return the probability; zero if a value lower by more than the tolerance is known."""
        if numbers["known_regret"] > 1.0:
            return 0.0
        odds = sum(self.contributions(numbers).values())
        return float(1.0 / (1.0 + np.exp(-np.clip(odds, -30.0, 30.0))))


@cache
def credibility_model(mode: str) -> Credibility:
    """Return the model of one of the modes, as learned by ``benchmarks/verdicts.py``."""
    text = resources.files(__package__).joinpath(_FILE).read_text(encoding="utf-8")
    stored = json.loads(text)[mode]
    weights = {name: tuple(numbers) for name, numbers in stored["weights"].items()}
    return Credibility(weights, stored["intercept"])
