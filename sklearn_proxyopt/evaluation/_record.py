"""The record of evaluations that were paid for."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._rows import row_keys

__all__ = ["EvaluationRecord"]

# A worker process sees a record anew with every task; it keeps the latest ones alive so that
# later tasks find what earlier ones paid for.
_live_records: WeakValueDictionary[str, EvaluationRecord] = WeakValueDictionary()
_recent_records: deque[EvaluationRecord] = deque(maxlen=16)
_registry_lock = threading.Lock()


class EvaluationRecord:
    """Rows of one function and their values, in the order in which they were paid for.

    A row is found again if all of its numbers are the same to the last bit. A value of NaN stands
    for an evaluation that failed.

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

    def __init__(self) -> None:
        self.key = uuid4().hex
        self.lock = threading.RLock()
        self._values: dict[bytes, float] = {}
        with _registry_lock:
            _live_records[self.key] = self

    def __len__(self) -> int:
        return len(self._values)

    def add(self, x: NDArray[np.float64], value: float) -> None:
        """Write down the value of a row.

        Parameters
        ----------
        x : ndarray of shape (n_features,)
            The row.
        value : float
            Its value, NaN for an evaluation that failed.
        """
        self._values[row_keys(x[None])[0]] = value

    def get(self, x: NDArray[np.float64]) -> float | None:
        """Look a row up.

        Parameters
        ----------
        x : ndarray of shape (n_features,)
            The row.

        Returns
        -------
        float or None
            Its value, None if it was never paid for.
        """
        return self._values.get(row_keys(x[None])[0])

    def rows(self, n_features: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return every row and value of the evaluations that succeeded.

        Parameters
        ----------
        n_features : int
            Width of the rows; rows of another width are left out.

        Returns
        -------
        X : ndarray of shape (n_rows, n_features)
            The rows.
        y : ndarray of shape (n_rows,)
            Their values.
        """
        width = n_features * np.dtype(np.float64).itemsize
        kept = {
            key: value
            for key, value in self._values.items()
            if len(key) == width and np.isfinite(value)
        }
        X = np.frombuffer(b"".join(kept), dtype=np.float64).reshape(-1, n_features).copy()
        return X, np.array(list(kept.values()), dtype=np.float64)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.key, dict(self._values))


def _restore(key: str, values: dict[bytes, float]) -> EvaluationRecord:
    """Return the record of this process with that key, joined with the values that arrived."""
    with _registry_lock:
        record = _live_records.get(key)
    if record is None:
        record = EvaluationRecord()
        record.key = key
        with _registry_lock:
            _live_records[key] = record
    with record.lock:
        record._values.update(values)
    _recent_records.append(record)
    return record
