"""What a run reads of the optimizer that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_proxyopt._run._pending_points import PendingPoints
from sklearn_proxyopt._run._run_log import RunLog
from sklearn_proxyopt._run._short_names import OptimizerName, ProxyName, SamplerName
from sklearn_proxyopt._run._space_spec import SpaceSpec
from sklearn_proxyopt._run._state import FittedState, LearnedState
from sklearn_proxyopt._run._stopping import StoppingCriteria
from sklearn_proxyopt._utils._goal import Direction, Goal
from sklearn_proxyopt._utils._types import BoundsLike, InputFormat, RandomStateLike
from sklearn_proxyopt.evaluation import Evaluator, Journal, RecordBook
from sklearn_proxyopt.infill import BaseInfill
from sklearn_proxyopt.optimizers import BaseOptimizer
from sklearn_proxyopt.refine import BaseRefiner
from sklearn_proxyopt.samplers import BaseSampler
from sklearn_proxyopt.variables._kinds import Kinds

__all__ = ["AskingSettings", "FrontSettings", "Regressor", "SearchSettings", "Settings"]


class Regressor(Protocol):
    """A proxy: any regressor with scikit-learn's methods."""

    def fit(self, X: Any, y: Any) -> Any:
        """Learn samples and their values."""

    def predict(self, X: Any) -> Any:
        """Predict the values of samples."""


class Settings(Protocol):
    """The parameters that both optimizers have, and what a run does to its optimizer."""

    objective: Callable[..., Any] | None
    sampler: BaseSampler | SamplerName | None
    proxy: Regressor | ProxyName | None
    optimizer: BaseOptimizer | OptimizerName | None
    n_constraints: int
    budget: int | None
    noise_std: Any
    n_repeats: int
    vectorized: bool
    input_format: InputFormat
    on_error: str
    journal: str | PathLike[str] | None
    random_state: RandomStateLike
    verbose: int
    # The parts that have seeds, in the order in which these are drawn.
    _seeded: tuple[str, ...]
    _run_log: RunLog
    # The size of the design where no sampler says it.
    _default_n_samples: int

    @property
    def _n_phases(self) -> int:
        """How many phases a run has at most."""

    @property
    def _n_outputs(self) -> int | None:
        """How many numbers the function returns for a sample; None for one that is no array."""

    @property
    def _known(self) -> FittedState:
        """What is known before and after a run."""

    @property
    def _records(self) -> RecordBook:
        """The records of what was evaluated, which clones share."""

    @property
    def _names_seen(self) -> NDArray[np.object_] | None:
        """The names of the variables, as the samples had them."""

    def _journal_at(self, path: str | PathLike[str]) -> Journal:
        """Return the journal of a path, the same object as long as the path is the same."""

    def _evaluator(self, objective: Any) -> Evaluator:
        """Return what calls the objective."""

    def _publish(self, state: FittedState) -> None:
        """Let a state be what is known."""

    def _begin_anew(self, keeps_box: bool, goal: Goal) -> None:
        """Forget what was known before."""

    def _shown(self, outputs: NDArray[np.float64]) -> float:
        """Return the value of a sample of several outputs as callbacks show it."""


class SearchSettings(Settings, Protocol):
    """The parameters of an optimizer that searches for one minimum."""

    smoothing: Literal["auto"] | float | Sequence[float] | None
    refiner: BaseRefiner | Literal["auto"] | None
    infill: BaseInfill | None


class FrontSettings(Settings, Protocol):
    """The parameters of an optimizer that searches for a front."""

    n_rounds: int


class AskingSettings(Settings, Protocol):
    """What `ask` and `tell` need of an optimizer beside its parameters."""

    bounds: BoundsLike | None
    direction: Direction | Sequence[Direction] | None
    _state_class: type[LearnedState]
    _saved_class: str
    X_pending_: NDArray[np.float64]
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    _kinds_seen: Kinds | None

    def _criteria(self, goal: Goal, **limits: Any) -> StoppingCriteria:
        """Return what ends a run; nothing of its arguments is checked yet."""

    def _plan(self, run: Any) -> Any:
        """Return what a run evaluates, and what it learns in between."""

    def _learn_if_due(self) -> None:
        """Learn what was told, if that was not done yet."""

    def _settled(self, state: LearnedState) -> LearnedState:
        """Return what was learned as the answer where nothing can be evaluated."""

    @property
    def _goal(self) -> Goal:
        """What is sought of the values."""

    @property
    def _spec(self) -> SpaceSpec:
        """The variables as bounds and the samples seen state them."""

    @property
    def _pending(self) -> PendingPoints | None:
        """The points asked for, None where none were."""

    @_pending.setter
    def _pending(self, pending: PendingPoints) -> None: ...

    def _keep_names(self, names: tuple[str, ...] | None) -> None:
        """Let the names be those of bounds, where no samples bring any."""

    def _settle_outputs(self, n_outputs: int | None) -> None:
        """Settle how many outputs there are where no parameter says so."""

    def _validate_samples(
        self, X: ArrayLike, y: ArrayLike, *, bounds: Any = None, reset: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return samples and their values, or say what is wrong with them."""

    def _take_in(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Learn from results, in addition to those known."""
