"""The verdict on an optimum."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._goal import Direction
from sklearn_proxyopt._utils._pandas import pandas_for
from sklearn_proxyopt.diagnosis._advice import MOVE_ON, Advice
from sklearn_proxyopt.diagnosis._card import card_of
from sklearn_proxyopt.diagnosis._credibility import credibility_model
from sklearn_proxyopt.diagnosis._evidence import Evidence
from sklearn_proxyopt.diagnosis._question import Question
from sklearn_proxyopt.diagnosis._reasons import reasons_for, sides_taken
from sklearn_proxyopt.diagnosis._wording import chance_in_words, number, point_in_words

__all__ = [
    "CREDIBLE",
    "FALSE",
    "SHARE_TOLERATED",
    "Diagnosis",
    "judge",
    "stated_regret",
    "verdict_of",
]

# Probabilities from which on an optimum is credible, and up to which it is false.
CREDIBLE = 0.8
FALSE = 0.2
# The regret that is tolerated where none is stated: this share of how far the middle sample lies
# above the lowest value known.
SHARE_TOLERATED = 0.02
# Shares of a value, and of nothing, that rounding may change.
_ROUNDING, _SMALLEST = 1e-12, 1e-100


@dataclass(frozen=True)
class Diagnosis:
    """Whether you can rely on an optimum, why, and what to do next.

    Parameters
    ----------
    verdict : {"credible", "doubtful", "false"} or None
        Credible from a probability of 0.8 on, false up to 0.2. None if the data contradict what you
        stated about them, such as their noise; `reasons` says how.
    probability : float
        Probability that the objective at `x` lies within `regret` of its best value in the search
        space; NaN without a verdict.
    regret : float
        The tolerance: how much worse than the best value `x` may be, in units of the values.
    subject : {"the answer", "the model's optimum"}
        What is judged: the best evaluated sample, or the optimum of the proxy.
    x : ndarray of shape (n_features,)
        The point that is judged.
    settings : dict
        The same by the names of the variables (x0, x1, ... without names), with labels of
        categories.
    promise : float
        The value that the proxy predicts there.
    truth : float
        The measured value there, with noise an estimate of it; NaN if nothing was measured.
    band : tuple of two floats
        Interval that holds the measured value with a probability of 90 %, if nothing was measured,
        from the errors that the proxy makes where an optimizer goes.
    best : float
        The best value known anywhere in the search space.
    mode : {"rows", "checks", "refined"}
        What the verdict rests on: the samples alone ("rows"), also a measurement at the optimum
        ("checks"), or an optimum that was refined on the objective ("refined").
    reasons : list of str
        At most four facts, the weightiest first: "+ " before those for the optimum, "- " before
        those against it.
    next_steps : list of str
        What to do next, the most urgent first: what to measure or repeat, where to search, which
        bound to widen.
    n_to_settle : int or None
        About how many evaluations settle the verdict; 0 if it is settled, None if unknown.
    evidence : dict of str to float
        Every number behind the verdict, values in units of `regret`; NaN where a measurement is
        missing.
    contributions : dict of str to float
        What each of them adds to the log-odds of the probability; they add up to it.
    X_checks : ndarray of shape (n_checks, n_features)
        The points where the objective was evaluated for the verdict, the optimum first.
    y_checks : ndarray of shape (n_checks,)
        The values there; NaN where the evaluation failed.
    direction : {"minimize", "maximize"}, default="minimize"
        Which optimum is sought; values are in the user's sign.
    smoothing : dict, default=None
        With the optimizer's `smoothing`, its `smoothing_report_`: noise, basins and shift of the
        minimum of each level.
    model_check : str, default=""
        If the answer is judged: what was predicted and measured at the model's optimum.

    See Also
    --------
    sklearn_proxyopt.ProxyOptimizer.diagnose : Makes a diagnosis.

    Examples
    --------
    >>> from sklearn_proxyopt import ProxyOptimizer
    >>> from sklearn_proxyopt.problems import Rosenbrock
    >>> from sklearn_proxyopt.samplers import SobolSampler
    >>> problem = Rosenbrock(n_dims=2)
    >>> X = SobolSampler(200, random_state=0).sample(problem.bounds)
    >>> optimizer = ProxyOptimizer(random_state=0).fit(X, problem(X))
    >>> diagnosis = optimizer.diagnose(problem, n_checks=3)
    >>> diagnosis.verdict, diagnosis.subject
    ('credible', "the model's optimum")
    >>> diagnosis.X_checks.shape
    (3, 2)
    """

    verdict: str | None
    probability: float
    regret: float
    subject: str
    x: NDArray[np.float64]
    settings: dict[str, Any]
    promise: float
    truth: float
    band: tuple[float, float]
    best: float
    mode: str
    reasons: list[str]
    next_steps: list[str]
    n_to_settle: int | None
    evidence: dict[str, float] = field(repr=False)
    contributions: dict[str, float] = field(repr=False)
    X_checks: NDArray[np.float64] = field(repr=False)
    y_checks: NDArray[np.float64] = field(repr=False)
    direction: Direction = "minimize"
    smoothing: dict[str, Any] | None = field(default=None, repr=False)
    model_check: str = field(default="", repr=False)

    def __str__(self) -> str:
        steps = [f"Next: {step}." for step in self.next_steps]
        return "\n".join([self.headline, *self.reasons, *steps])

    @property
    def headline(self) -> str:
        """What is judged, and the verdict, in one sentence."""
        point = f"{self.subject} ({point_in_words(self.settings)})"
        if self.verdict is None:
            return f"No verdict on {point}: {self.reasons[0][2:]}."
        return (
            f"{point[0].upper()}{point[1:]} is {self.verdict} "
            f"({chance_in_words(self.probability)}): a {self._better} value {self._likely}."
        )

    @property
    def _better(self) -> str:
        return "lower" if self.direction == "minimize" else "higher"

    @property
    def _likely(self) -> str:
        """How likely a better value is."""
        if self.evidence["known_regret"] > 1.0:
            return f"by {number(self.evidence['known_regret'] * self.regret)} was measured"
        words = {"credible": "unlikely", "doubtful": "possible", "false": "likely"}
        return f"by more than {number(self.regret)} is {words[str(self.verdict)]}"

    def to_frame(self) -> Any:
        """Return the evidence as a pandas DataFrame, the weightiest number first.

        Returns
        -------
        pandas.DataFrame
            Indexed by name, with the columns `value` and `contribution`.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pd = pandas_for("to_frame")
        frame = pd.DataFrame(
            {"value": self.evidence, "contribution": self.contributions},
            index=pd.Index(list(self.evidence), name="evidence"),
        )
        return frame.sort_values("contribution", key=lambda c: -c.abs(), kind="stable")

    def _repr_html_(self) -> str:
        return card_of(self, (FALSE, CREDIBLE))


def stated_regret(evidence: Evidence, typical: float) -> float:
    """Return the tolerance where none is stated; `typical` is a middle value.

    It is no less than the noise of a value, and than what rounding may do to one.
    """
    spread = typical - evidence.lowest_known
    rounding = _ROUNDING * max(abs(typical), abs(evidence.lowest_known), _SMALLEST)
    return max(SHARE_TOLERATED * spread, evidence.certain_noise, rounding)


def judge(question: Question, evidence: Evidence) -> Diagnosis:
    """Weigh the evidence.

    Parameters
    ----------
    question : Question
        What is judged.
    evidence : Evidence
        What is known about it.

    Returns
    -------
    Diagnosis
        The verdict with its reasons, and what to do next.
    """
    regret, goal = question.regret, question.goal
    numbers, model = evidence.numbers(regret), credibility_model(question.mode)
    probability = model.probability(numbers)
    contributions = model.contributions(numbers)
    verdict = verdict_of(probability)
    advice = Advice(question, evidence, numbers, verdict, sides_taken(numbers, contributions))
    diagnosis = Diagnosis(
        verdict=verdict,
        probability=probability,
        regret=regret,
        subject=question.subject,
        x=question.x,
        settings=question.variables.named(question.x),
        promise=goal.value(evidence.predicted),
        truth=goal.value(evidence.measured),
        band=goal.interval(evidence.band()),
        best=goal.value(evidence.lowest_known),
        mode=question.mode,
        reasons=reasons_for(numbers, contributions, evidence, regret, goal),
        next_steps=advice.steps,
        n_to_settle=advice.n_to_settle,
        evidence=numbers,
        contributions=contributions,
        X_checks=question.X_checks,
        y_checks=goal.turned(question.y_checks),
        direction=goal.directions[0],
    )
    if question.n_settings and numbers["known_regret"] <= 0.0:
        diagnosis = _settled(diagnosis, question.n_settings)
    return _without_verdict(diagnosis, question.contradiction)


def _settled(diagnosis: Diagnosis, n_settings: int) -> Diagnosis:
    """Return a diagnosis of the lowest of all settings that there are."""
    return replace(
        diagnosis,
        verdict="credible",
        probability=1.0,
        reasons=[f"+ all {n_settings} settings were evaluated"],
        next_steps=[MOVE_ON],
        n_to_settle=0,
        contributions=dict.fromkeys(diagnosis.contributions, 0.0),
    )


def _without_verdict(diagnosis: Diagnosis, contradiction: str) -> Diagnosis:
    """Return a diagnosis without a verdict, if the data contradict what the user stated."""
    if not contradiction:
        return diagnosis
    return replace(
        diagnosis,
        verdict=None,
        probability=np.nan,
        reasons=[f"- {contradiction}"],
        next_steps=['set noise_std="auto", or to the standard deviation of a value, and run again'],
        n_to_settle=None,
        contributions=dict.fromkeys(diagnosis.contributions, 0.0),
    )


def verdict_of(probability: float) -> str:
    """Return the word for a probability."""
    if probability >= CREDIBLE:
        return "credible"
    return "false" if probability <= FALSE else "doubtful"
