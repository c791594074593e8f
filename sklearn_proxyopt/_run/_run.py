"""The side of an optimizer that pays: what is bought, and what is remembered of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from sklearn_proxyopt._proxy_search._failure_model import FailureRisk, risk_of_features
from sklearn_proxyopt._run._oracle import Purchases
from sklearn_proxyopt._run._progress import Stages
from sklearn_proxyopt._run._stopping import Limits
from sklearn_proxyopt._utils._feasibility import feasible_values
from sklearn_proxyopt._utils._validation import as_generator
from sklearn_proxyopt.evaluation import Evaluator, Journal, RecordBook
from sklearn_proxyopt.evaluation._journal_writer import JournalWriter
from sklearn_proxyopt.variables import Variables
from sklearn_proxyopt.variables._design import Design
from sklearn_proxyopt.variables._kinds import Kinds

__all__ = ["BuyingMixin"]


class BuyingMixin:
    """The purchases of an optimizer, and the records of them that its clones share.

    The class owes the parameters of an `Evaluator`, `objective`, `journal`, `_design_sampler`, and
    what a `SpaceMixin` has. One whose function has several outputs says by `_n_outputs` how many.
    """

    objective: Any
    vectorized: bool
    on_error: str
    n_jobs: int | None
    time_limit: float | None
    n_retries: int
    named_rows: bool
    journal: Any
    random_state: Any
    # The parts that have seeds, in the order in which these are drawn.
    _seeded: tuple[str, ...] = ("sampler", "proxy", "optimizer")
    n_features_in_: int
    X_: NDArray[np.float64]
    y_: NDArray[np.float64]
    bounds_: NDArray[np.float64]
    _design_sampler: Any
    _for_evaluator: Any
    _read_rows: Any
    _space: Any
    _keep_names: Any

    @property
    def _n_outputs(self) -> int | None:
        """How many numbers the function returns for a row; None for one that is no array."""
        return None

    def _no_values(self) -> NDArray[np.float64]:
        """Return the values of no rows."""
        return np.empty(0 if self._n_outputs is None else (0, self._n_outputs))

    def _shown(self, outputs: NDArray[np.float64]) -> float:
        """Return the value of a row of several outputs as callbacks show it; NaN for none."""
        return float(feasible_values(outputs[None])[0])

    def _validate_rows(
        self, X: ArrayLike, y: ArrayLike, *, reset: bool = True, n_least: int = 1
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return rows and their values, or say what is wrong with them."""
        several = self._n_outputs is not None
        X, y = self._read_rows(
            X,
            y,
            y_numeric=True,
            multi_output=several,
            ensure_min_samples=n_least,
            reset=reset,
            order="C",
            copy=True,
        )
        values = np.array(y, dtype=np.float64)
        if values.shape[1:] != self._no_values().shape[1:]:
            raise ValueError(
                f"y must have shape (n_samples, {self._n_outputs}), a column for each output; got "
                f"shape {values.shape}."
            )
        return X, values

    def _settle_outputs(self, n_outputs: int | None) -> None:
        """Settle how many outputs there are where no parameter says so; None if nothing does."""

    def _rows_given(
        self, X: ArrayLike | None, y: ArrayLike | None, given: Any
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], Variables]:
        """Return the rows that `minimize` was given, if any, their values and the variables."""
        if (X is None) != (y is None):
            raise ValueError("X and y must be given together; got only one of them.")
        if X is not None:
            assert y is not None
            rows, values = self._validate_rows(X, y, n_least=2)
            return rows, values, self._space(given, rows)
        if given is None:
            raise ValueError("bounds must be given where no rows X tell the box; got None.")
        self._keep_names()
        space = self._space(given)
        self.n_features_in_ = space.n_features
        self._settle_outputs(None)
        return np.empty((0, space.n_features)), self._no_values(), space

    def _draw_seeds(self, purchases: Purchases | None = None) -> dict[str, int]:
        """Draw a seed for each part, in an order that does not depend on which are used."""
        rng = as_generator(self.random_state)
        if self.random_state is None and purchases is not None:
            rng = purchases.generator()
        return {name: int(rng.integers(2**31 - 1)) for name in self._seeded}

    def _learn_risk(
        self,
        X: NDArray[np.float64],
        failed: NDArray[np.float64],
        space: Variables,
        seeds: dict[str, int],
    ) -> FailureRisk | None:
        """Learn where evaluations fail, as a function of features, if that is asked for."""
        if self.on_error != "learn":
            return None
        return risk_of_features(X, failed, space, seeds["optimizer"])

    def _evaluator(self, objective: Any) -> Evaluator:
        return Evaluator(
            objective,
            vectorized=self.vectorized,
            on_error="raise" if self.on_error == "raise" else "drop",
            n_jobs=self.n_jobs,
            time_limit=self.time_limit,
            n_retries=self.n_retries,
            n_outputs=self._n_outputs,
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
        meaning = repr((space.names, space.kinds.facts())) if self.named_rows else ""
        record = self._record_book().record_of(objective, self._n_outputs)
        evaluator.record = record.of_meaning(meaning)
        box = None if given is None else space.bounds
        with self._writing_journal(box, space.kinds, patience) as evaluator.journal:
            purchases = Purchases(evaluator, X, y, space, limits)
            try:
                yield purchases
            except BaseException:
                purchases.keep_all_on_record()
                self.X_, self.y_, self.bounds_ = purchases.X, purchases.y, space.bounds
                self.X_failed_ = purchases.X_failed
                raise

    def _writing_journal(
        self, box: NDArray[np.float64] | None, kinds: Kinds, patience: float
    ) -> AbstractContextManager[JournalWriter | None]:
        """Open the journal as its writer, or nothing where there is none."""
        if self.journal is None:
            return nullcontext()
        return Journal(self.journal).writing(
            len(kinds.is_whole),
            box,
            kinds.names,
            n_outputs=1 if self._n_outputs is None else self._n_outputs,
            kinds=kinds.facts(),
            patience=patience,
        )

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
        n_new = int(purchases.are_new(design).sum())
        if n_new >= limits.n_left:
            raise ValueError(
                f"budget must exceed the {n_new} new rows of the sampler's design; "
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
            state["_records"] = self._records.only(self.objective, self._n_outputs)
        return state

    def __sklearn_clone__(self) -> Self:
        # The objective is handed on as it is: a simulator is no parameter to be copied. So is
        # the record of what was paid for.
        bare = copy.copy(self)
        bare.objective = None
        cloned = BaseEstimator.__sklearn_clone__(bare)
        cloned.objective = self.objective
        if self.objective is not None:
            cloned._records = self._record_book().only(self.objective, self._n_outputs)
        return cloned
