"""The verdict on an optimum."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._goal import Direction, Goal
from sklearn_proxyopt._utils._pandas import pandas_for
from sklearn_proxyopt.diagnosis._credibility import credibility_model
from sklearn_proxyopt.diagnosis._evidence import Evidence
from sklearn_proxyopt.diagnosis._reasons import reasons_for

__all__ = ["CREDIBLE", "FALSE", "Diagnosis", "judge", "stated_regret"]

# Probabilities from which on an optimum is credible, and up to which it is false.
CREDIBLE = 0.8
FALSE = 0.2
# The regret that is tolerated where none is stated: this share of how far the middle row lies
# above the lowest value known.
_SHARE_TOLERATED = 0.02


@dataclass(frozen=True)
class Diagnosis:
    """Whether an optimum can be believed, and why.

    Parameters
    ----------
    verdict : {"credible", "doubtful", "false"}
        Credible from a probability of 0.8 on, false up to one of 0.2.
    probability : float
        That the true value at `x` lies within `regret` of the best there is in the box.
    regret : float
        What is tolerated, in units of the values.
    x : ndarray of shape (n_features,)
        The optimum in question.
    promise : float
        What the proxy says there.
    truth : float
        What the function says there; NaN where that is not known.
    band : tuple of two floats
        Where the truth lies with a probability of 90 %, if it is not known, by the errors that
        the proxy makes where an optimizer goes.
    mode : {"rows", "checks", "refined"}
        What the verdict rests on: the rows alone, also the true value at the optimum, or that
        of an optimum that was refined on the function.
    reasons : list of str
        The weightiest evidence in words, that which decides most first. What is usual is the mean
        of the cases that the model was learned from.
    evidence : dict of str to float
        Every number behind the verdict, those of values in units of the regret; NaN for those that
        take true values which are not known.
    contributions : dict of str to float
        What each of them adds to the log-odds of the probability, compared with the mean of those
        cases.
    X_checks : ndarray of shape (n_checks, n_features)
        The points where the truth was called to judge, the optimum first.
    y_checks : ndarray of shape (n_checks,)
        The values there; NaN where the evaluation failed.
    direction : {"minimize", "maximize"}, default="minimize"
        Which optimum is sought; values are in the user's sign.
    smoothing : dict, default=None
        With the optimizer's `smoothing`, its `smoothing_report_`: noise, basins and drift of each
        level.

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
    >>> diagnosis.verdict
    'credible'
    >>> diagnosis.X_checks.shape
    (3, 2)
    """

    verdict: str
    probability: float
    regret: float
    x: NDArray[np.float64]
    promise: float
    truth: float
    band: tuple[float, float]
    mode: str
    reasons: list[str]
    evidence: dict[str, float] = field(repr=False)
    contributions: dict[str, float] = field(repr=False)
    X_checks: NDArray[np.float64] = field(repr=False)
    y_checks: NDArray[np.float64] = field(repr=False)
    direction: Direction = "minimize"
    smoothing: dict[str, Any] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return "\n".join([self.headline, *(f"- {reason}" for reason in self.reasons)])

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        return (
            f"{self.verdict}: the optimum lies within {self.regret:.3g} of the "
            f"{Goal((self.direction,)).lowest} value in the box with a probability of "
            f"{self.probability:.2f}."
        )

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
        width = round(100 * self.probability)
        reasons = "".join(f"<li>{escape(reason)}</li>" for reason in self.reasons)
        return (
            f"<div><b>{escape(self.headline)}</b>"
            '<div style="width:16em;border:1px solid gray">'
            f'<div style="width:{width}%;background:gray">&nbsp;</div></div>'
            f"<ul>{reasons}</ul></div>"
        )


def stated_regret(evidence: Evidence, typical: float) -> float:
    """Return the regret that is tolerated where none is stated; `typical` is a middle value."""
    spread = max(typical - evidence.lowest_known, np.finfo(float).tiny)
    return _SHARE_TOLERATED * spread


def judge(
    evidence: Evidence,
    regret: float,
    mode: str,
    x: NDArray[np.float64],
    X_checks: NDArray[np.float64],
    y_checks: NDArray[np.float64],
    goal: Goal,
) -> Diagnosis:
    """Weigh the evidence.

    Parameters
    ----------
    evidence : Evidence
        What is known.
    regret : float
        What is tolerated, in units of the values.
    mode : {"rows", "checks", "refined"}
        What the evidence rests on.
    x : ndarray of shape (n_features,)
        The optimum in question, in the user's units.
    X_checks : ndarray of shape (n_checks, n_features)
        Where the truth was called.
    y_checks : ndarray of shape (n_checks,)
        The values there.
    goal : Goal
        What is sought; the evidence and the checks come to be minimised.

    Returns
    -------
    Diagnosis
        The verdict with its reasons.
    """
    numbers, model = evidence.numbers(regret), credibility_model(mode)
    probability = model.probability(numbers)
    contributions = model.contributions(numbers)
    verdict = "doubtful"
    if probability >= CREDIBLE:
        verdict = "credible"
    elif probability <= FALSE:
        verdict = "false"
    return Diagnosis(
        verdict=verdict,
        probability=probability,
        regret=regret,
        x=x,
        promise=goal.value(evidence.predicted),
        truth=goal.value(evidence.measured),
        band=goal.interval(evidence.band()),
        mode=mode,
        reasons=reasons_for(numbers, contributions, evidence, regret, goal),
        evidence=numbers,
        contributions=contributions,
        X_checks=X_checks,
        y_checks=goal.turned(y_checks),
        direction=goal.directions[0],
    )
