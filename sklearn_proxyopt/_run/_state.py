"""What an optimizer has learned, as one value: published, saved and forgotten as a whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import Field, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._proxy_search._failure_model import EncodedRisk, FailureRisk
from sklearn_proxyopt._proxy_search._front import FrontSearch
from sklearn_proxyopt._proxy_search._functions import RegressorFunction
from sklearn_proxyopt._proxy_search._penalty import Merit, MeritFunction
from sklearn_proxyopt._proxy_search._turned import turned_proxy
from sklearn_proxyopt._utils._dataset import Dataset
from sklearn_proxyopt._utils._goal import MINIMUM, Goal
from sklearn_proxyopt.diagnosis._collector import EvidenceCollector
from sklearn_proxyopt.diagnosis._settings import Settings
from sklearn_proxyopt.variables import Variables

__all__ = [
    "DEVIATIONS_IN_INTERVAL",
    "FittedState",
    "FrontState",
    "LearnedState",
    "ModelState",
    "why_not_judged",
]

# Standard deviations on either side that hold 90 %.
DEVIATIONS_IN_INTERVAL = 1.645
# Fewer samples cannot be halved and still say anything.
_MIN_DIAGNOSED = 10


# Kinds of fields: one that is no attribute of the optimizer; one that a file does not hold as it
# is, but what it is made of; one that is both; one that is an attribute also where it is None; and
# those that are in units of the values, and so in the user's sign wherever they are shown.
_PRIVATE = {"is_public": False}
_REBUILT = {"is_rebuilt": True}
_INNER = {"is_public": False, "is_rebuilt": True}
_SHOWN = {"is_rebuilt": True, "shows_none": True}
_VALUE = {"is_value": True}


@dataclass(frozen=True, eq=False, kw_only=True)
class FittedState:
    """What an optimizer knows; a field `name` is its attribute `name_`, unless it is private.

    Inside, values are to be minimized; attributes and files have them in the user's sign. Every
    field is forgotten where a run begins anew, and saved in a file, by itself: nothing is listed
    anywhere else. None stands for what is not known.

    Parameters
    ----------
    data : Dataset or None
        The evaluated samples; `X_`, `y_` and `X_failed_`.
    bounds : ndarray of shape (n_features, 2) or None
        The box.
    variables : Variables or None
        The variables inside the box.
    keeps_box : bool
        Whether the box was given to `minimize`, and so does not follow the parameter.
    goal : Goal
        What is sought of the values.
    n_evaluations : int
        How many samples the last run asked the objective for, those on record among them.
    is_due : bool
        Whether the proxy is to learn the samples as soon as somebody looks at it.
    """

    data: Dataset | None = field(default=None, metadata=_INNER)
    bounds: NDArray[np.float64] | None = field(default=None, metadata=_REBUILT)
    variables: Variables | None = field(default=None, metadata=_REBUILT)
    keeps_box: bool = field(default=False, metadata=_INNER)
    goal: Goal = field(default=MINIMUM, metadata=_INNER)
    n_evaluations: int = 0
    is_due: bool = field(default=False, metadata=_INNER)

    def unlearned(self, data: Dataset) -> FittedState:
        """Return what is known of samples from which nothing is learned, in the same box."""
        return FittedState(
            data=data,
            bounds=self.bounds,
            variables=self.variables,
            keeps_box=self.keeps_box,
            goal=self.goal,
        )

    def published(self) -> dict[str, Any]:
        """Return the attributes that the state gives an optimizer."""
        public = {
            f"{one.name}_": self.shown(one.name)
            for one in fields(self)
            if one.metadata.get("is_public", True) and self._shows(one)
        }
        if self.data is not None:
            y = self.goal.turned(self.data.y)
            public |= {"X_": self.data.X, "y_": y, "X_failed_": self.data.X_failed}
        return public

    @classmethod
    def attributes(cls) -> set[str]:
        """Return the names of the attributes that a state of this class may give an optimizer."""
        return {f"{one.name}_" for one in fields(cls) if one.metadata.get("is_public", True)}

    def shown(self, name: str) -> Any:
        """Return a field, in the user's sign if it is in units of the values."""
        value = getattr(self, name)
        return self.goal.turned(value) if value is not None and self._is_value(name) else value

    @classmethod
    def _is_value(cls, name: str) -> bool:
        return bool(cls.__dataclass_fields__[name].metadata.get("is_value", False))

    @classmethod
    def saved_fields(cls) -> list[str]:
        """Return the names of the fields that a file holds as they are."""
        return [one.name for one in fields(cls) if not one.metadata.get("is_rebuilt", False)]

    def with_data(self, data: Dataset, space: Variables) -> Self:
        """Return the state with samples that were evaluated since, in the box of a space."""
        return replace(self, data=data, bounds=space.bounds, variables=space)

    def _shows(self, one: Field[Any]) -> bool:
        return getattr(self, one.name) is not None or one.metadata.get("shows_none", False)


@dataclass(frozen=True, eq=False, kw_only=True)
class LearnedState(FittedState, ABC):
    """What an optimizer knows once its proxy has learned.

    Parameters
    ----------
    n_learned : int
        How many samples the proxy learned from, the first of `data`.
    noise_std : float, ndarray of shape (n_outputs,) or None
        Standard deviation of the noise, as the proxy knows it; None if it does not.
    proxy : regressor
        The fitted proxy.
    optimizer : optimizer
        What searched it.
    failure_risk : FailureRisk or None
        Where evaluations fail, in the user's units.
    candidates : ndarray of shape (n_candidates, n_features)
        Low points, or points of the front, of the proxy: the most promising first.
    search : OptimizeResult
        The search of the proxy.
    result : OptimizeResult or None
        What the run returned; None where it has not ended.
    """

    data: Dataset = field(metadata=_INNER)
    bounds: NDArray[np.float64] = field(metadata=_REBUILT)
    variables: Variables = field(metadata=_REBUILT)
    n_learned: int
    noise_std: Any = None
    candidates: NDArray[np.float64] = field(metadata=_PRIVATE)
    proxy: Any = field(metadata=_REBUILT)
    optimizer: Any = field(metadata=_REBUILT)
    failure_risk: FailureRisk | EncodedRisk | None = field(default=None, metadata=_SHOWN)
    search: OptimizeResult = field(metadata=_INNER)
    result: OptimizeResult | None = field(default=None, metadata=_REBUILT)

    @property
    @abstractmethod
    def summary(self) -> str:
        """What was learned, in a sentence."""

    @abstractmethod
    def unanswered(self) -> Self:
        """Return the state without an answer, as it is while the run goes on."""

    @abstractmethod
    def predict(self, X: NDArray[np.float64], **options: Any) -> Any:
        """Return what the proxy says of samples; with options for it, just what it says."""

    def deviations(self, X: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Return standard deviations of what is predicted, (n, n_outputs); None if not told."""
        return RegressorFunction(self.proxy).deviations(self.variables.features(X))

    def interval(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what is predicted and where 90 % lie around it, of shape (n, n_outputs, 3).

        The ends are NaN where the proxy tells no standard deviation.
        """
        predicted = np.asarray(self.predict(X), dtype=np.float64).reshape(len(X), -1)
        deviations = self.deviations(X)
        half = np.nan if deviations is None else DEVIATIONS_IN_INTERVAL * deviations
        return np.stack([predicted, predicted - half, predicted + half], axis=2)


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelState(LearnedState):
    """What is known of one minimum.

    Parameters
    ----------
    n_failed_learned : int
        How many failures the risk learned from, the first of `data`.
    seeds : dict of str to int
        The seeds of the run.
    usual : ndarray of shape (n_usual,)
        Values of samples before any search chose where to evaluate.
    best_outputs : ndarray of shape () or (1 + n_constraints,)
        The outputs of the best sample.
    merit : Merit or None
        What counts of a value and its constraints.
    """

    n_failed_learned: int = field(metadata=_PRIVATE)
    seeds: dict[str, int] = field(metadata=_PRIVATE)
    usual: NDArray[np.float64] = field(metadata=_PRIVATE | _VALUE)
    x_proxy: NDArray[np.float64]
    fun_proxy: float = field(metadata=_VALUE)
    x_best_row: NDArray[np.float64] = field(metadata=_REBUILT)
    fun_best_row: float = field(metadata=_REBUILT | _VALUE)
    best_outputs: NDArray[np.float64] = field(metadata=_INNER)
    merit: Merit | None = field(default=None, metadata=_INNER)
    ladder: Any = field(default=None, metadata=_REBUILT)
    smoothing_report: dict[str, NDArray[Any]] | None = field(default=None, metadata=_REBUILT)
    x: NDArray[np.float64] | None = None
    fun: float | None = field(default=None, metadata=_VALUE)

    @property
    def spread(self) -> float:
        """How far a usual value lies from the best one known."""
        best = float(np.ravel(self.best_outputs)[0])
        return max(self.typical_above(best) - best, 0.0)

    def typical_above(self, lowest: float) -> float:
        """Return a usual value, where the lowest one known is this.

        With constraints, samples that violate them often have lower values than the best feasible
        one. A usual value then lies as far above the lowest as the median sample from that, on
        whichever side.
        """
        if self.merit is None:
            return float(np.median(self.usual))
        return lowest + float(np.median(np.abs(self.usual - self._best_value)))

    @property
    def is_measured(self) -> bool:
        """Whether the answer was evaluated."""
        return self.result is not None and bool(self.result.get("measured", True))

    @property
    def _best_value(self) -> float:
        """The value of the best sample, as estimated with noise; a feasible one if any is."""
        if self.is_measured:
            assert self.fun is not None
            return self.fun
        return float(np.ravel(self.best_outputs)[0])

    def published(self) -> dict[str, Any]:
        """Return the attributes that the state gives an optimizer, the answer by name too."""
        public = super().published()
        if self.x is not None and self.variables.names is not None:
            public["x_named_"] = self.variables.named(self.x)
        return public

    @classmethod
    def attributes(cls) -> set[str]:
        """Return the names of the attributes that a state of this class may give an optimizer."""
        return super().attributes() | {"x_named_"}

    @property
    def summary(self) -> str:
        """What was learned, in a sentence."""
        return f"The proxy predicts {self.shown('fun_proxy'):.6g}."

    def unanswered(self) -> Self:
        """Return the state without an answer, as it is while the run goes on."""
        return replace(self, x=None, fun=None, result=None)

    def predict(self, X: NDArray[np.float64], **options: Any) -> Any:
        """Return what the proxy says of samples; with options for it, just what it says."""
        rows = self.variables.features(X)
        if options:
            return RegressorFunction(self.proxy).predict(rows, **options)
        if self.merit is not None:
            return MeritFunction(RegressorFunction(self.proxy), self.merit).outputs(rows)
        return RegressorFunction(self.proxy)(rows)

    @property
    def can_be_judged(self) -> bool:
        """Whether the proxy has learned enough for a diagnosis."""
        return not why_not_judged(self.learned, self.variables)

    @property
    def learned(self) -> Dataset:
        """The samples that the proxy learned from."""
        return self.data.first(self.n_learned, self.n_failed_learned)

    @property
    def minima(self) -> NDArray[np.float64]:
        """The candidates, behind the proxy's optimum where that is none of them."""
        if (self.candidates == self.x_proxy).all(axis=1).any():
            return self.candidates
        return np.vstack([self.x_proxy[None], self.candidates])

    @cached_property
    def evidence(self) -> EvidenceCollector:
        """Models refitted on half of the samples and what they predict, collected once."""
        return self._evidence_from(self.learned, self.minima)

    @cached_property
    def evidence_on_answer(self) -> EvidenceCollector:
        """The same from all samples, those that the proxy has not learned too."""
        if self.x is None or self.n_learned == len(self.data):
            return self.evidence
        return self._evidence_from(self.data, np.vstack([self.x[None], self.minima]))

    def _evidence_from(self, data: Dataset, minima: NDArray[np.float64]) -> EvidenceCollector:
        if why_not_judged(data, self.variables):
            is_few = len(data) < _MIN_DIAGNOSED
            least = f"{_MIN_DIAGNOSED} samples" if is_few else "2 distinct settings"
            raise ValueError(
                f"X must have at least {least} for a diagnosis; got {len(data) if is_few else 1}."
            )
        merit = None if self.merit is None else self.merit.of_measured()
        seed = self.seeds["diagnosis"]
        proxy = turned_proxy(self.proxy, self.goal)
        return EvidenceCollector(proxy, data.X, data.y, self.variables, minima, seed, merit)

    def __getstate__(self) -> dict[str, Any]:
        # Evidence is collected anew where it is needed again.
        collected = ("evidence", "evidence_on_answer")
        return {name: value for name, value in vars(self).items() if name not in collected}


@dataclass(frozen=True, eq=False, kw_only=True)
class FrontState(LearnedState):
    """What is known of a Pareto front.

    Parameters
    ----------
    front_search : FrontSearch
        The proxy and what searched it, together.
    """

    front_search: FrontSearch = field(metadata=_INNER)
    X_front_proxy: NDArray[np.float64]
    F_front_proxy: NDArray[np.float64] = field(metadata=_VALUE)
    X_front: NDArray[np.float64] | None = None
    F_front: NDArray[np.float64] | None = field(default=None, metadata=_VALUE)

    @property
    def summary(self) -> str:
        """What was learned, in a sentence."""
        return f"The proxy predicts a front of {len(self.F_front_proxy)} points."

    def unanswered(self) -> Self:
        """Return the state without an answer, as it is while the run goes on."""
        return replace(self, X_front=None, F_front=None, result=None)

    def predict(self, X: NDArray[np.float64], **options: Any) -> Any:
        """Return what the proxy says of samples; with options for it, just what it says."""
        if options:
            return RegressorFunction(self.proxy).predict(self.variables.features(X), **options)
        return self.goal.turned(self.front_search.outputs(X))


def why_not_judged(data: Dataset, variables: Variables) -> str:
    """Return why samples are too few for a diagnosis; empty where they are not."""
    if len(data) < _MIN_DIAGNOSED:
        return f"fewer than {_MIN_DIAGNOSED} samples"
    n_settings = len(Settings.of(data.X, data.y, variables).X)
    return "all samples have the same setting" if n_settings < 2 else ""
