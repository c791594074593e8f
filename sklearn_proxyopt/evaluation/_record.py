"""The record of evaluated samples."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._dataset import row_keys

__all__ = ["EvaluationRecord"]

Value = float | NDArray[np.float64]
# The numbers of a setting, and the number of its repeat.
Key = tuple[bytes, int]

# A worker process sees a record anew with every task; it keeps the latest ones alive so that
# later tasks find what earlier ones paid for.
_live_records: WeakValueDictionary[str, EvaluationRecord] = WeakValueDictionary()
_recent_records: deque[EvaluationRecord] = deque(maxlen=16)
_registry_lock = threading.Lock()


class EvaluationRecord:
    """Samples of one function and their values, in the order of their evaluation.

    What is looked up is a setting and the number of its repeat, 0, 1, ...: one value for each
    evaluation of the setting. A setting is found again if all of its numbers are the same to the
    last bit. A value of NaN stands for an evaluation that failed.

    Parameters
    ----------
    n_outputs : int or None, default=None
        How many numbers a value is made of; None for one that is no array.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_proxyopt.evaluation import EvaluationRecord
    >>> record = EvaluationRecord()
    >>> record.add(np.array([1.0, 2.0]), 3.0)
    >>> record.get(np.array([1.0, 2.0]))
    3.0
    >>> len(record)
    1
    """

    def __init__(self, n_outputs: int | None = None) -> None:
        self.n_outputs = n_outputs
        self.key = uuid4().hex
        self.lock = threading.RLock()
        self._values: dict[Key, Value] = {}
        self._others: dict[str, EvaluationRecord] = {}
        with _registry_lock:
            _live_records[self.key] = self

    def __len__(self) -> int:
        return len(self._values)

    def of_meaning(self, meaning: str) -> EvaluationRecord:
        """Return the part of the record in which the numbers of a sample mean the same.

        Parameters
        ----------
        meaning : str
            What they stand for, such as the labels of a category, where the function is told. Empty
            for this record itself.

        Returns
        -------
        EvaluationRecord
            The part, which goes wherever this record goes.
        """
        if not meaning:
            return self
        with self.lock:
            return self._others.setdefault(meaning, EvaluationRecord(self.n_outputs))

    def add(self, x: NDArray[np.float64], value: Value, repeat: int = 0) -> None:
        """Write down the value of a sample.

        Parameters
        ----------
        x : ndarray of shape (n_features,)
            The sample.
        value : float or ndarray of shape (n_outputs,)
            Its value, NaN throughout for an evaluation that failed.
        repeat : int, default=0
            How often the setting had been evaluated before.
        """
        self._values[row_keys(x[None])[0], repeat] = value

    def get(self, x: NDArray[np.float64], repeat: int = 0) -> Value | None:
        """Look a sample up.

        Parameters
        ----------
        x : ndarray of shape (n_features,)
            The sample.
        repeat : int, default=0
            Which of its evaluations.

        Returns
        -------
        float, ndarray of shape (n_outputs,) or None
            Its value, None if it was never evaluated.
        """
        return self._values.get((row_keys(x[None])[0], int(repeat)))

    def places(self) -> dict[Key, int]:
        """Return the index of each evaluation in the order in which they were made.

        Returns
        -------
        dict
            The indices 0, 1, ... by the key of a sample and the number of its repeat.
        """
        return {key: place for place, key in enumerate(self._values)}

    def values(
        self, X: NDArray[np.float64], repeats: NDArray[np.intp] | None = None
    ) -> NDArray[np.float64]:
        """Look up samples that were all evaluated.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            The samples.
        repeats : ndarray of shape (n,), default=None
            Which evaluation of each; None for the first of all.

        Returns
        -------
        ndarray of shape (n,) or (n, n_outputs)
            Their values.
        """
        numbers = [0] * len(X) if repeats is None else repeats.tolist()
        return self._as_array([self._values[key] for key in zip(row_keys(X), numbers, strict=True)])

    def _as_array(self, values: list[Value]) -> NDArray[np.float64]:
        shape = (len(values),) if self.n_outputs is None else (len(values), self.n_outputs)
        return np.array(values, dtype=np.float64).reshape(shape)

    def rows(self, n_features: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return every sample and value of the evaluations that succeeded, the repeats in order.

        Parameters
        ----------
        n_features : int
            Width of the samples; samples of another width are left out.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            The samples.
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Their values.
        """
        width = n_features * np.dtype(np.float64).itemsize
        kept = [
            (key, value)
            for (key, _), value in dict(self._values).items()
            if len(key) == width and np.isfinite(value).all()
        ]
        joined = b"".join(key for key, _ in kept)
        X = np.frombuffer(joined, dtype=np.float64).reshape(-1, n_features).copy()
        return X, self._as_array([value for _, value in kept])

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.key, self.n_outputs, dict(self._values), dict(self._others))


def _restore(
    key: str,
    n_outputs: int | None,
    values: dict[Key, Value],
    others: dict[str, EvaluationRecord],
) -> EvaluationRecord:
    """Return the record of this process with that key, joined with the values that arrived."""
    with _registry_lock:
        record = _live_records.get(key)
    if record is None:
        record = EvaluationRecord(n_outputs)
        record.key = key
        with _registry_lock:
            _live_records[key] = record
    with record.lock:
        record._values.update(values)
        for meaning, other in others.items():
            part = record._others.setdefault(meaning, other)
            part._values.update(other._values)
    _recent_records.append(record)
    return record
