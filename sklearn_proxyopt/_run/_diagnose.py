"""Judge what was learned: whether its optimum can be believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sklearn_proxyopt._proxy_search._penalty import merit_of_rows
from sklearn_proxyopt._run._state import MIN_DIAGNOSED, ModelState
from sklearn_proxyopt._utils._distances import SAME_SAMPLE
from sklearn_proxyopt._utils._warning import warn_user
from sklearn_proxyopt.diagnosis import Diagnosis
from sklearn_proxyopt.diagnosis._diagnosis import Question, judge, stated_regret
from sklearn_proxyopt.diagnosis._evidence import EvidenceCollector
from sklearn_proxyopt.exceptions import FalseOptimumWarning

__all__ = ["add_verdict", "diagnose", "evidence_of", "measured_merit"]

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def diagnose(
    state: ModelState,
    evaluate: Function | None = None,
    *,
    n_checks: int = 5,
    regret: float | None = None,
    of: str | None = None,
) -> Diagnosis:
    """Judge the answer, or the proxy's optimum, by what is known or by a few evaluations.

    Parameters
    ----------
    state : ModelState
        What was learned.
    evaluate : callable, default=None
        Returns the outputs of rows; None judges by what is known.
    n_checks : int, default=5
        Most rows to evaluate.
    regret : float, default=None
        What is tolerated, in units of the values; None for a share of their spread.
    of : {"answer", "proxy"}, default=None
        Which optimum; None for the answer, which is the proxy's optimum where nothing is measured.

    Returns
    -------
    Diagnosis
        Verdict, probability, reasons and evidence.
    """
    is_answer = of != "proxy" and _is_measured(state)
    x = state.x if is_answer else state.x_proxy
    assert x is not None
    collector = state.evidence
    evidence = collector.about(x)
    if evaluate is None:
        rows, measured = _known_checks(state, x)
    else:
        rivals = collector.rows_at(evidence.rivals[: n_checks - 1])
        rows = np.vstack([x[None], rivals[state.variables.is_feasible(rivals)]])
        measured = measured_merit(state, evaluate(rows))
    x_best, lowest = _lowest(state, rows, measured)
    evidence = replace(evidence, lowest_known=min(evidence.lowest_known, lowest))
    mode = "rows"
    if len(rows) and np.isfinite(measured[0]):
        predicted = collector.predict(rows[1:]) if len(rows) > 1 else np.empty(0)
        evidence = evidence.checked(float(measured[0]), predicted, measured[1:])
        mode = "refined" if is_answer else "checks"
    question = Question(
        subject="the answer" if is_answer else "the model's optimum",
        x=x,
        x_best=x_best,
        regret=stated_regret(evidence, state.typical) if regret is None else float(regret),
        mode=mode,
        variables=state.variables,
        goal=state.goal,
        X_checks=rows,
        y_checks=measured,
    )
    return replace(judge(question, evidence), smoothing=state.smoothing_report)


def _is_measured(state: ModelState) -> bool:
    """Tell whether the answer was evaluated."""
    return state.result is not None and bool(state.result.get("measured", True))


def _lowest(
    state: ModelState, rows: NDArray[np.float64], measured: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return the point of the lowest value known, checks included, and the value."""
    X = np.vstack([state.data.X, rows])
    values = np.append(measured_merit(state, state.data.y), measured)
    place = int(np.nanargmin(values))
    return X[place], float(values[place])


def measured_merit(state: ModelState, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what is judged of measured outputs: values, with a penalty for what is violated."""
    return merit_of_rows(outputs, state.merit)


def _known_checks(
    state: ModelState, x: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the optimum and other low points of the proxy whose values are known.

    The first is the optimum; without its own value the others are of no use.
    """
    space, data = state.variables, state.data
    known = cKDTree(space.places(data.X))
    points = np.vstack([x[None], state.candidates])
    distance, row = known.query(space.places(points))
    used = distance <= SAME_SAMPLE
    used[1:] &= row[1:] != row[0]
    if not used[0]:
        return points[:0], np.empty(0)
    return points[used], measured_merit(state, data.y[row[used]])


def add_verdict(state: ModelState) -> None:
    """Add the verdict on the answer to the result; warn where it is not believed."""
    result = state.result
    if result is None or state.n_learned < MIN_DIAGNOSED:
        return
    diagnosis = diagnose(state, of="answer")
    result.verdict, result.probability = diagnosis.verdict, diagnosis.probability
    result.regret, result.next_steps = diagnosis.regret, diagnosis.next_steps
    result.message = f"{result.message} {diagnosis.headline}"
    if diagnosis.verdict == "false":
        warn_user(f"x_ is hardly the {state.goal.optimum}. {diagnosis}", FalseOptimumWarning)


def evidence_of(optimizer: Any) -> EvidenceCollector:
    """Return the second opinions on a fitted optimizer's proxy, collected once for each fit."""
    evidence: EvidenceCollector = optimizer._known.evidence
    return evidence
