"""A record for each function."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from types import MethodType
from typing import Any

import numpy as np

from sklearn_proxyopt.evaluation._record import EvaluationRecord

__all__ = ["RecordBook"]

Function = Callable[..., Any]


class RecordBook:
    """Finds the record of a function among those of all functions evaluated so far.

    The latest function is kept alive, so that an equal one, such as a problem of the same class
    and size, still finds its record; the record of an earlier one lasts as long as the function.

    Examples
    --------
    >>> from sklearn_proxyopt.evaluation import RecordBook
    >>> from sklearn_proxyopt.problems import Ackley, Rastrigin
    >>> book = RecordBook()
    >>> record = book.record_of(Ackley(2))
    >>> book.record_of(Ackley(2)) is record, book.record_of(Rastrigin(2)) is record
    (True, False)
    """

    def __init__(self) -> None:
        self._entries: list[tuple[Callable[[], Function | None], EvaluationRecord]] = []
        self._latest: Function | None = None

    def record_of(self, function: Function, n_outputs: int | None = None) -> EvaluationRecord:
        """Return the record of a function, a new one if it has none.

        Parameters
        ----------
        function : callable
            The function; the same one or one equal to it finds the record again.
        n_outputs : int or None, default=None
            How many numbers its values are made of; None for those that are no arrays.

        Returns
        -------
        EvaluationRecord
            Its record.
        """
        record = None
        kept = []
        for reference, known in self._entries:
            owner = reference()
            if owner is None:
                continue
            is_of_it = known.n_outputs == n_outputs and _is_same(owner, function)
            if record is None and is_of_it:
                record = known
            else:
                kept.append((reference, known))
        record = EvaluationRecord(n_outputs) if record is None else record
        self._entries = [*kept, (_reference(function), record)]
        self._latest = function
        return record

    def only(self, function: Function, n_outputs: int | None = None) -> RecordBook:
        """Return a book that holds the record of one function and keeps that function alive.

        Parameters
        ----------
        function : callable
            The function.
        n_outputs : int or None, default=None
            How many numbers its values are made of.

        Returns
        -------
        RecordBook
            The record in it is shared with this book.
        """
        book = RecordBook()
        record = self.record_of(function, n_outputs)
        book._entries = [(_Kept(function), record)]
        book._latest = function
        return book


class _Kept:
    """A reference that keeps a function alive, and can be pickled where the function can."""

    def __init__(self, function: Function) -> None:
        self.function = function

    def __call__(self) -> Function:
        return self.function


def _reference(function: Function) -> Callable[[], Function | None]:
    if isinstance(function, MethodType):
        return weakref.WeakMethod(function)
    try:
        return weakref.ref(function)
    except TypeError:
        return _Kept(function)


def _is_same(one: Function, other: Function) -> bool:
    return one is other or (type(one) is type(other) and _is_equal(one, other))


def _is_equal(one: Any, other: Any) -> bool:
    """Tell whether two objects say that they are equal; an array or an error says nothing."""
    try:
        answer = one == other
    except Exception:
        return False
    return isinstance(answer, bool | np.bool_) and bool(answer)
