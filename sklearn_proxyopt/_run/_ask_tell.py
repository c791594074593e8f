"""Experiments run elsewhere: `ask` for points, `tell` their values."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.callback import with_callbacks
from sklearn.utils.validation import check_array

from sklearn_proxyopt._run._pending_points import OpenQuestions
from sklearn_proxyopt._run._progress import Stages
from sklearn_proxyopt._utils._dataset import is_among, succeeded, with_failures
from sklearn_proxyopt._utils._distances import are_new
from sklearn_proxyopt._utils._validation import check_integer, check_width
from sklearn_proxyopt.evaluation import Journal
from sklearn_proxyopt.exceptions import JournalError
from sklearn_proxyopt.variables import Variables
from sklearn_proxyopt.variables._kinds import Kinds

__all__ = ["AskTellMixin"]

# Seconds that results told wait for another who tells the same journal.
_PATIENCE = 60.0
# What a run has settled before it forgets the one before.
_SETTLED = {"n_features_in_", "feature_names_in_", "n_objectives_"}
# What `_learn` keeps beside the public attributes.
_PRIVATE = (
    "_best_outputs",
    "_candidates",
    "_diagnosis_seed",
    "_inquiry",
    "_merit",
    "_n_failed_learned",
    "_promised",
    "_questions",
    "_seeds",
    "_typical",
)


class AskTellMixin:
    """The methods `ask` and `tell` of an optimizer.

    The class owes what a `BuyingMixin` has, `check_parameters`, `_draw_seeds`, `_design_sampler`,
    `_learn`, which sets the fitted attributes once it has succeeded, and `_answer_by_proxy`.
    """

    bounds: Any
    on_error: str
    journal: Any
    feature_names: Any
    bounds_: NDArray[np.float64]
    X_: NDArray[np.float64]
    y_: NDArray[np.float64]
    X_failed_: NDArray[np.float64]
    X_pending_: NDArray[np.float64]
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    _candidates: NDArray[np.float64]
    variables_: Variables
    _space: Any
    _read_rows: Any
    _keep_names: Any
    _kinds: Any
    _draw_seeds: Any
    _design_sampler: Any
    _writing_journal: Any
    _no_values: Any
    _validate_rows: Any
    _settle_outputs: Any
    _learn: Any
    _answer_by_proxy: Any
    check_parameters: Any

    def ask(self, n_points: int = 1) -> NDArray[np.float64]:
        """Propose experiments.

        Before any are known, the points of the sampler's design are handed out in order. Then up
        to half of the points, the first one always, are the proxy's lowest minima, or of its
        front those that lie farthest from the known one; the others are those of a design that lie
        farthest from all that is known or pending.

        Parameters
        ----------
        n_points : int, default=1
            How many.

        Returns
        -------
        ndarray of shape (n_points, n_features)
            Points inside the box, that of the parameter `bounds` as it is now unless `minimize`
            was given one; none of them known or asked for before; valid rows that meet the
            constraints, in which a category has its code. `variables_.to_frame` gives them names
            and labels. With a journal the box stays that of the journal.
        """
        n_points = check_integer(n_points, "n_points")
        self.check_parameters()
        self._recall()
        space, minima = self._space_asked(), None
        if hasattr(self, "proxy_"):
            minima = self._candidates[space.is_feasible(self._candidates)]
        else:
            self.bounds_, self.variables_ = space.bounds, space
        risk = getattr(self, "failure_risk_", None)
        with self._writing_journal(self._journal_box(), space.kinds, _PATIENCE) as writer:
            questions, known = self._open_questions(), self._rows_paid_for()
            if writer is not None:
                others = writer.pending_points()
                own = questions.pending[~is_among(questions.pending, others)]
                questions.recall(np.vstack([others, own]), known, space)
            points = questions.ask(n_points, known, minima, space, risk)
            if writer is not None:
                writer.set_pending_points(questions.pending)
        self.X_pending_ = questions.pending
        return points

    def tell(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Add evaluated rows, learn anew and find the proxy's minimum or front again.

        Where it raises, the optimizer stays as it was, and the same rows can be told again. A row
        told twice with the same value is one experiment.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, asked for or not; of a category its code, or its label in a DataFrame. Where
            neither the parameter `bounds` nor `minimize` was given a box, it grows to hold them.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their values. Unless `on_error` is "raise", NaN or infinity tells that the experiment
            failed: it is kept in `X_failed_` until a value is told, and not asked for again.

        Returns
        -------
        self
            The optimizer, fitted on all rows told so far if these are at least two.

        Raises
        ------
        ValueError
            If there are two rows or more, and none of them lies inside the box and meets the
            known constraints.
        """
        self.check_parameters()
        self._recall()
        has_rows = hasattr(self, "X_")
        if not has_rows and (hasattr(self, "bounds_") or self.bounds is not None):
            box = self.bounds_ if hasattr(self, "bounds_") else self.bounds
            table: Any = X if hasattr(X, "columns") else check_array(X, dtype=np.float64)
            check_width(box, table.shape[1])
        X, y = self._validate_told(X, y, reset=not has_rows)
        kinds = self._kinds(X.shape[1])
        self._check_told(X, y, kinds)
        with self._writing_journal(self._journal_box(), kinds, _PATIENCE) as writer:
            if writer is not None:
                writer.tell(X, y)
                if hasattr(self, "bounds_"):
                    pending, space = writer.pending_points(), self._space(self.bounds_)
                    is_open = are_new(space.to_unit_cube(pending), space.to_unit_cube(X))
                    writer.set_pending_points(pending[is_open])
        self._take_in(X, y)
        return self

    def _check_told(self, X: NDArray[np.float64], y: NDArray[np.float64], kinds: Kinds) -> None:
        """Raise an error where rows cannot be learned together with those known."""
        if hasattr(self, "variables_"):
            difference = kinds.difference(self.variables_.kinds.facts())
            if difference:
                raise ValueError(
                    "categories and integrality must be those of the rows told before; "
                    f"{difference}."
                )
        rows = np.vstack([getattr(self, "X_", X[:0]), X[succeeded(y)]])
        rows = rows[~is_among(rows, rows[:0])]
        if len(rows) >= 2:
            # Before they are written down: rows of which none can be the answer are a mistake.
            self._space_told(rows).rows_that_count(rows, rows)

    def _open_questions(self) -> OpenQuestions:
        if not hasattr(self, "_questions"):
            sampler = self._design_sampler(self._draw_seeds()["sampler"])
            self._questions = OpenQuestions(sampler, len(self.bounds_))
        return self._questions

    def _validate_told(
        self, X: ArrayLike, y: ArrayLike, reset: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return rows and values, in which NaN stands for a failure."""
        values = y
        if self.on_error != "raise":
            values = np.array(y, dtype=np.float64)
            failed = ~succeeded(values)
            values[failed] = 0.0
        X, values = self._validate_rows(X, values, reset=reset)
        if self.on_error != "raise":
            values[failed] = np.nan
        return X, values

    @with_callbacks
    def _take_in(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Learn from rows told, in addition to those known; if that raises, nothing changes."""
        none = X[:0], y[:0]
        known, known_values = (self.X_, self.y_) if hasattr(self, "X_") else none
        known_failed = getattr(self, "X_failed_", X[:0])
        fails = ~succeeded(y)
        failed = np.vstack([known_failed, X[fails][~is_among(X[fails], known_failed)]])
        # A value told later is a newer word than a failure.
        failed = failed[~is_among(failed, X[~fails])]
        pairs = np.column_stack([X, y])[~fails]
        new = pairs[~is_among(pairs, np.column_stack([known, known_values]))]
        rows = np.vstack([known, new[:, : X.shape[1]]])
        new_values = new[:, X.shape[1] :].reshape(len(new), *y.shape[1:])
        values = np.concatenate([known_values, new_values])
        space = self._space_told(rows) if len(rows) >= 2 else None
        if space is None or not space.is_feasible(rows).any():
            self.X_, self.y_, self.X_failed_ = rows, values, failed
        else:
            stages = Stages(self, 2)
            search = self._learn(rows, values, failed, space, self._draw_seeds(), stages)
            self._answer_by_proxy(search)
            stages.end(f"Learned {len(rows)} rows.")
        if hasattr(self, "_questions"):
            self._questions.answer(X, self._space(self.bounds_))
            self.X_pending_ = self._questions.pending

    def _recall(self) -> None:
        """Take in what the journal knows, if nothing is known here."""
        if self.journal is None or hasattr(self, "X_"):
            return
        journal = Journal(self.journal)
        if not journal.path.exists():
            return
        self._settle_outputs(journal.n_outputs())
        n_outputs = int(np.prod(self._no_values().shape[1:]))
        if journal.n_outputs() != n_outputs:
            raise JournalError(
                f"journal must be of the same problem; the number of outputs is "
                f"{journal.n_outputs()} in {journal.path}, got {n_outputs}. Another problem needs "
                "a journal of its own."
            )
        X, y = journal.rows()
        y = y.reshape(len(y), *self._no_values().shape[1:])
        failed, pending = journal.failed_rows(), journal.pending_points()
        if len(X) + len(failed):
            self.n_features_in_ = X.shape[1]
            names = journal.names()
            if names is not None:
                self.feature_names_in_ = np.array(names, dtype=object)
            self._take_in(*with_failures(X, y, failed))
        if len(pending) and (hasattr(self, "bounds_") or self.bounds is not None):
            if not hasattr(self, "bounds_"):
                if not hasattr(self, "feature_names_in_"):
                    self._keep_names()
                self.bounds_ = self._space(self.bounds, X).bounds
            questions = self._open_questions()
            questions.recall(pending, np.vstack([X, failed]), self._space(self.bounds_))
            self.X_pending_ = questions.pending

    def _rows_paid_for(self) -> NDArray[np.float64]:
        """Return the rows known here, and those that others have told the journal."""
        none = np.empty((0, len(self.bounds_)))
        known = [getattr(self, name, none) for name in ("X_", "X_failed_")]
        if self.journal is not None:
            journal = Journal(self.journal)
            known += [journal.rows()[0], journal.failed_rows()]
        return np.vstack(known)

    def _journal_box(self) -> NDArray[np.float64] | None:
        """Return the box that belongs to the problem, None where the rows tell it."""
        box = self.bounds_ if getattr(self, "_keeps_box", False) else self.bounds
        return None if box is None else self._space(box).bounds

    def _begin_anew(self, keeps_box: bool) -> None:
        """Forget what was learned and asked before; note whether `tell` must keep the box to come.

        A run that fails then leaves what it bought, and nothing of another problem.
        """
        fitted = [name for name in vars(self) if name.endswith("_") and name not in _SETTLED]
        for name in (*fitted, *_PRIVATE):
            self.__dict__.pop(name, None)
        self._keeps_box = keeps_box

    def _space_asked(self) -> Variables:
        """Return the variables of points asked for, in the box that the user gives now."""
        box = self.bounds
        if not hasattr(self, "bounds_"):
            if box is None:
                raise ValueError("bounds must be given before rows tell the box; got None.")
            if not hasattr(self, "feature_names_in_"):
                self._keep_names()
        elif box is None or getattr(self, "_keeps_box", False):
            box = self.bounds_
        else:
            check_width(box, len(self.bounds_))
        space: Variables = self._space(box)
        return space

    def _space_told(self, X: NDArray[np.float64]) -> Variables:
        """Return the variables of rows told, in the user's box or one that grows with the rows."""
        if getattr(self, "_keeps_box", False):
            space: Variables = self._space(self.bounds_)
        elif self.bounds is not None:
            space = self._space(self.bounds, X)
        elif not hasattr(self, "bounds_"):
            space = self._space(None, X)
        else:
            space = self._space(None, np.vstack([X, self.bounds_.T]))
        return space
