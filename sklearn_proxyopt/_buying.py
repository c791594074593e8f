"""The side of an optimizer that pays: what is bought, and what is remembered of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from sklearn_proxyopt._limits import Limits
from sklearn_proxyopt._purchases import Purchases
from sklearn_proxyopt._stages import Stages
from sklearn_proxyopt.evaluation import Evaluator, Journal, RecordBook
from sklearn_proxyopt.variables import Variables
from sklearn_proxyopt.variables._design import Design

__all__ = ["BuyingMixin"]


class BuyingMixin:
    """The purchases of an optimizer, and the records of them that its clones share.

    The class owes the parameters of an `Evaluator`, `objective`, `journal`, `_design_sampler`
    and `_for_evaluator`.
    """

    objective: Any
    vectorized: bool
    on_error: str
    n_jobs: int | None
    time_limit: float | None
    n_retries: int
    journal: Any
    X_: NDArray[np.float64]
    y_: NDArray[np.float64]
    bounds_: NDArray[np.float64]
    _design_sampler: Any
    _for_evaluator: Any

    def _evaluator(self, objective: Any) -> Evaluator:
        return Evaluator(
            objective,
            vectorized=self.vectorized,
            on_error="raise" if self.on_error == "raise" else "drop",
            n_jobs=self.n_jobs,
            time_limit=self.time_limit,
            n_retries=self.n_retries,
        )

    def _record_book(self) -> RecordBook:
        if not hasattr(self, "_records"):
            self._records = RecordBook()
        return self._records

    @contextmanager
    def _buying(
        self,
        objective: Callable[..., Any],
        X: NDArray[np.float64],
        y: NDArray[np.float64],
        space: Variables,
        given: Any,
        patience: float,
        limits: Limits | None = None,
    ) -> Iterator[Purchases]:
        """Open a run's purchases; if the block fails, leave those made in `X_` and `y_`."""
        evaluator = self._evaluator(self._for_evaluator(objective, space))
        evaluator.record = self._record_book().record_of(objective)
        box = None if given is None else space.bounds
        writing: Any = nullcontext()
        if self.journal is not None:
            facts = space.kinds.facts()
            writing = Journal(self.journal).writing(
                space.n_features, box, space.names, kinds=facts, patience=patience
            )
        with writing as evaluator.journal:
            purchases = Purchases(evaluator, X, y, limits)
            try:
                yield purchases
            except BaseException:
                purchases.keep_all_on_record()
                self.X_, self.y_, self.bounds_ = purchases.X, purchases.y, space.bounds
                raise

    def _buy_design(
        self,
        purchases: Purchases,
        space: Variables,
        seeds: dict[str, int],
        stages: Stages,
    ) -> None:
        limits = purchases.limits
        sampler = self._design_sampler(seeds["sampler"], limits, space.n_features)
        design = Design(sampler, space).sample()
        if len(design) >= limits.n_left:
            raise ValueError(
                f"budget must exceed the {len(design)} rows of the sampler's design; "
                f"got {limits.budget}."
            )
        text = f"Evaluating a design of {len(design)} rows."
        with stages.evaluations("design", text, purchases.evaluator, len(design)):
            purchases.buy_design(design)

    def __getstate__(self) -> dict[str, Any]:
        # The record of a function that is no parameter would drag that function along.
        state: dict[str, Any] = dict(BaseEstimator.__getstate__(self))
        state.pop("_records", None)
        # Second opinions on the proxy are asked anew where they are needed again.
        state.pop("_inquiry", None)
        if self.objective is not None and hasattr(self, "_records"):
            state["_records"] = self._records.only(self.objective)
        return state

    def __sklearn_clone__(self) -> Self:
        # The objective is handed on as it is: a simulator is no parameter to be copied. So is
        # the record of what was paid for.
        bare = copy.copy(self)
        bare.objective = None
        cloned = BaseEstimator.__sklearn_clone__(bare)
        cloned.objective = self.objective
        if self.objective is not None:
            cloned._records = self._record_book().only(self.objective)
        return cloned
