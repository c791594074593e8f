"""Judge whether a learned optimum is reliable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sklearn_proxyopt._proxy_search._penalty import merit_of_rows
from sklearn_proxyopt._run._result import RunResult
from sklearn_proxyopt._run._state import ModelState
from sklearn_proxyopt._utils._distances import SAME_SAMPLE
from sklearn_proxyopt._utils._warning import warn_user
from sklearn_proxyopt.diagnosis import Diagnosis
from sklearn_proxyopt.diagnosis._collector import EvidenceCollector
from sklearn_proxyopt.diagnosis._diagnosis import judge, stated_regret
from sklearn_proxyopt.diagnosis._evidence import Evidence
from sklearn_proxyopt.diagnosis._question import Question
from sklearn_proxyopt.diagnosis._settings import Settings
from sklearn_proxyopt.diagnosis._wording import number
from sklearn_proxyopt.exceptions import FalseOptimumWarning

__all__ = ["add_verdict", "asked", "diagnose", "evidence_of", "measured_merit"]

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def diagnose(
    state: ModelState,
    evaluate: Function | None = None,
    *,
    n_checks: int = 5,
    regret: float | None = None,
    of: str | None = None,
    noise_std: Any = "auto",
) -> Diagnosis:
    """Judge the answer, or the proxy's optimum, by what is known or by a few evaluations.

    Parameters
    ----------
    state : ModelState
        What was learned.
    evaluate : callable, default=None
        Returns the outputs of samples; None judges by what is known.
    n_checks : int, default=5
        Most samples to evaluate.
    regret : float, default=None
        What is tolerated, in units of the values; None for a share of their spread.
    of : {"answer", "proxy"}, default=None
        Which optimum; None for the answer, which is the proxy's optimum where nothing is measured.
    noise_std : "auto", None, float or array-like, default="auto"
        What the user says of the noise of values.

    Returns
    -------
    Diagnosis
        Verdict, probability, reasons and evidence.
    """
    question = asked(state, evaluate, n_checks=n_checks, regret=regret, of=of, noise_std=noise_std)
    diagnosis = replace(judge(*question), smoothing=state.smoothing_report)
    if diagnosis.mode != "refined":
        return diagnosis
    assert isinstance(state.result, RunResult)
    return replace(diagnosis, model_check=state.result.model_check(diagnosis.regret))


def asked(
    state: ModelState,
    evaluate: Function | None = None,
    *,
    n_checks: int = 5,
    regret: float | None = None,
    of: str | None = None,
    noise_std: Any = "auto",
) -> tuple[Question, Evidence]:
    """Return what `diagnose` judges, and what is known about it."""
    is_answer = of != "proxy" and state.is_measured
    x = state.x if is_answer else state.x_proxy
    assert x is not None
    collector = state.evidence_on_answer if is_answer else state.evidence
    evidence = collector.about(x)
    known = Known(state, collector)
    if evaluate is None:
        rows, outputs = known.checks(x)
    else:
        rivals = collector.rows_at(evidence.rivals[: n_checks - 1])
        rows = np.vstack([x[None], rivals[state.variables.is_feasible(rivals)]])
        outputs = evaluate(rows)
    measured = collector.judged(rows, outputs, known.n_repeats(rows))
    x_best, lowest = known.lowest(rows, measured)
    evidence = replace(evidence, lowest_known=lowest)
    mode = "rows"
    if len(rows) and np.isfinite(measured[0]):
        predicted = collector.predict(rows[1:]) if len(rows) > 1 else np.empty(0)
        value, std = known.estimate(x, outputs[:1], evidence)
        evidence = evidence.checked(value, predicted, measured[1:], std)
        if collector.is_noisy:
            # Of noisy values none is known better than by estimates.
            evidence = replace(evidence, lowest_known=lowest)
        mode = "refined" if is_answer else "checks"
    if regret is None:
        regret = stated_regret(evidence, state.typical_above(evidence.lowest_known))
    question = Question(
        subject="the answer" if is_answer else "the model's optimum",
        x=x,
        x_best=x_best,
        regret=float(regret),
        mode=mode,
        variables=state.variables,
        goal=state.goal,
        X_checks=rows,
        y_checks=measured,
        contradiction=known.contradiction(noise_std),
        n_settings=known.n_exhausted(noise_std),
    )
    return question, evidence


class Known:
    """What is known of the objective, at one setting as at another.

    Parameters
    ----------
    state : ModelState
        What was learned.
    collector : EvidenceCollector
        Knows of the noise.
    """

    def __init__(self, state: ModelState, collector: EvidenceCollector) -> None:
        self._state, self._collector = state, collector
        self._settings = Settings.of(state.data.X, state.data.y, state.variables)
        self._is_noisy = collector.is_noisy

    def checks(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the optimum and other low points of the proxy whose outputs are known, and those.

        The first is the optimum; without its own value the others are of no use.
        """
        state, settings = self._state, self._settings
        points = np.vstack([x[None], state.minima])
        distance, row = self._nearest(points)
        used = distance <= SAME_SAMPLE
        used[1:] &= row[1:] != row[0]
        if not used[0]:
            return points[:0], state.data.y[:0]
        outputs = settings.y[settings.group] if self._is_noisy else state.data.y
        return points[used], outputs[row[used]]

    def lowest(
        self, rows: NDArray[np.float64], measured: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], float]:
        """Return the point of the lowest value known, checks included, and the value."""
        state = self._state
        if self._is_noisy and self._is_estimated:
            assert state.x is not None
            return state.x, self._estimated_answer
        if self._is_noisy:
            X, values = self._collector.settings.X, self._collector.estimates()
        else:
            X = np.vstack([state.data.X, rows])
            values = np.append(measured_merit(state, state.data.y), measured)
        is_known = np.isfinite(values)
        X, values = state.variables.rows_that_count(X[is_known], values[is_known])
        place = int(np.argmin(values))
        return X[place], float(values[place])

    def estimate(
        self, x: NDArray[np.float64], outputs: NDArray[np.float64], evidence: Evidence
    ) -> tuple[float, float]:
        """Return the value at the optimum and its standard deviation, which noise leaves.

        The mean of its measured values and the prediction are weighed by what they are sure of.
        """
        state, noise = self._state, evidence.noise
        if not self._is_noisy:
            return float(measured_merit(state, outputs)[0]), 0.0
        if self._is_estimated and state.x is x:
            assert state.result is not None
            return self._estimated_answer, float(state.result.fun_std)
        n = self.n_repeats(x[None])
        if state.merit is not None:
            mean, std = self._collector.estimated(x[None], outputs, n)
            return float(measured_merit(state, mean)[0]), float(std[0, 0])
        sure = np.array([n[0] / noise**2, 1.0 / max(np.nan_to_num(evidence.deviation), noise) ** 2])
        value = sure @ [outputs[0], evidence.predicted] / sure.sum()
        return float(value), float(1.0 / np.sqrt(sure.sum()))

    def n_exhausted(self, noise_std: Any) -> int:
        """Return how many settings there are, if all are known and surely without noise, else 0.

        A run looks for noise; in a table without repeats it may hide.
        """
        is_told = self._state.is_measured or self._settings.n_degrees > 0
        may_hide = isinstance(noise_std, str) and not is_told
        if self._is_noisy or may_hide:
            return 0
        return self._state.variables.n_exhausted(self._state.data.evaluated)

    def n_repeats(self, rows: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return how often each sample is known, 1 where it is not."""
        if not len(rows):
            return np.ones(0, dtype=np.intp)
        distance, row = self._nearest(rows)
        counts = self._settings.n_repeats[self._settings.group[row]]
        return np.where(distance <= SAME_SAMPLE, counts, 1)

    @property
    def _is_estimated(self) -> bool:
        """Whether the answer is the setting of the lowest estimate."""
        result = self._state.result
        if not self._state.is_measured or result is None:
            return False
        stds = np.append(result.get("fun_std", 0.0), result.get("constraints_std", []))
        return bool(stds.any())

    @property
    def _estimated_answer(self) -> float:
        """What is judged of the outputs estimated at the answer."""
        state = self._state
        assert state.fun is not None
        assert state.result is not None
        outputs = np.append(state.fun, state.result.get("constraints", []))
        return float(state.fun if state.merit is None else state.merit.of_measured()(outputs))

    def contradiction(self, noise_std: Any) -> str:
        """Return how repeats contradict what was said of the noise, or nothing."""
        if isinstance(noise_std, str):
            noise_std = getattr(self._state.proxy, "noise_std", "auto")
        if isinstance(noise_std, str):
            return ""
        said = 0.0 if noise_std is None else noise_std
        if not self._settings.contradicts(said):
            return ""
        most = number(float(self._settings.ranges.max()))
        return f"values at the same settings differ by up to {most}, but noise_std is {noise_std}"

    def _nearest(self, X: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Return how far the nearest sample is from each sample, and which it is."""
        places = self._state.variables.places
        distance, row = cKDTree(places(self._state.data.X)).query(places(X))
        return distance, row


def measured_merit(state: ModelState, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what is judged of measured outputs: values, with a penalty for what is violated."""
    return merit_of_rows(outputs, state.merit)


def add_verdict(state: ModelState, noise_std: Any) -> None:
    """Add the verdict on the answer to the result; warn if it is false."""
    result = state.result
    if result is None or not state.can_be_judged:
        return
    diagnosis = diagnose(state, of="answer", noise_std=noise_std)
    result.verdict, result.probability = diagnosis.verdict, diagnosis.probability
    result.regret, result.next_steps = diagnosis.regret, diagnosis.next_steps
    result.n_to_settle = diagnosis.n_to_settle
    result.message = f"{result.message} {diagnosis.headline}"
    if diagnosis.verdict == "false":
        warn_user(f"x_ is hardly the {state.goal.optimum}. {diagnosis}", FalseOptimumWarning)


def evidence_of(optimizer: Any) -> EvidenceCollector:
    """Return the models refitted to judge an optimizer's proxy, collected once for each fit."""
    evidence: EvidenceCollector = optimizer._known.evidence
    return evidence
