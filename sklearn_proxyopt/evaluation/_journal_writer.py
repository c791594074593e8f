"""The one writer of a journal."""

from __future__ import annotations

import os
import platform
import sqlite3
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._dataset import is_among, row_keys, succeeded
from sklearn_proxyopt.evaluation._call import Outcome
from sklearn_proxyopt.evaluation._journal_format import (
    NO_KINDS,
    check_format,
    check_kinds,
    check_problem,
    connect,
    create,
    is_empty,
    pending_points,
    set_pending_points,
    value_columns,
    x_columns,
)
from sklearn_proxyopt.evaluation._record import EvaluationRecord
from sklearn_proxyopt.exceptions import JournalError

__all__ = ["JournalWriter"]

# Seconds after which a writer who waits for another asks again.
_PAUSE = 0.1


class JournalWriter:
    """Writes evaluations into a journal, and reads those that it has; opened by `Journal.writing`.

    Parameters
    ----------
    path : Path
        The file.
    n_features : int
        Number of inputs of the function.
    bounds : ndarray of shape (n_features, 2) or None
        The box, where the user gave one.
    names : list of str or None
        Names of the inputs, where they have any.
    patience : float
        Seconds to wait for another writer to end before raising.
    n_outputs : int, default=1
        Number of outputs of the function.
    kinds : dict, default=None
        Which inputs are whole numbers or categories.
    """

    def __init__(
        self,
        path: Path,
        n_features: int,
        bounds: NDArray[np.float64] | None,
        names: list[str] | None,
        patience: float,
        n_outputs: int = 1,
        kinds: dict[str, Any] | None = None,
    ) -> None:
        self.path = path
        self._n_features, self._n_outputs = n_features, n_outputs
        self._columns = f"{x_columns(n_features)}, {value_columns(n_outputs)}"
        self._lock = _WriterLock(path, patience)
        try:
            self._connection = connect(path)
            self._open(bounds, names)
            check_kinds(self._connection, self.path, kinds or NO_KINDS, names)
        except BaseException:
            self.close()
            raise

    def _open(self, bounds: NDArray[np.float64] | None, names: list[str] | None) -> None:
        connection = self._connection
        if is_empty(connection, self.path):
            connection.execute("PRAGMA journal_mode = WAL")
            create(connection, self._n_features, bounds, names, self._n_outputs)
        check_format(connection, self.path)
        check_problem(connection, self.path, self._n_features, bounds, names, self._n_outputs)
        # On disk means on disk, through a power cut too.
        connection.execute("PRAGMA synchronous = FULL")
        self._set_fact("writer", f"process {os.getpid()} on {platform.node()}")

    def read_into(self, record: EvaluationRecord) -> None:
        """Write what the journal knows into a record, and the other way round.

        A failure that ended a run is left out: the next run tries again.
        """
        known = set()
        for *numbers, status in self._connection.execute(
            f"SELECT {self._columns}, status FROM evaluations WHERE status <> 'raised' ORDER BY id"
        ):
            row = np.array(numbers[: self._n_features], dtype=np.float64)
            known.add(row_keys(row[None])[0])
            value = np.array(numbers[self._n_features :], dtype=np.float64)
            if status != "done":
                value[:] = np.nan
            record.add(row, float(value[0]) if record.n_outputs is None else value)
        X, y = record.rows(self._n_features)
        missing = [i for i, key in enumerate(row_keys(X)) if key not in known]
        self._insert(
            (None, *X[i].tolist(), *np.ravel(y[i]).tolist(), "done", None, None) for i in missing
        )

    def write(
        self, n_round: int, X: NDArray[np.float64], outcomes: list[Outcome], is_final: bool
    ) -> None:
        """Write evaluations; they are on disk when this returns.

        Parameters
        ----------
        n_round : int
            The batch that they were asked for in.
        X : ndarray of shape (n, n_features)
            Their rows.
        outcomes : list of Outcome
            What came of each.
        is_final : bool
            Whether one that failed is not tried again by the next run.
        """
        failed = "failed" if is_final else "raised"
        self._insert(
            (
                n_round,
                *row,
                *self._cells(outcome.value, bool(outcome.error)),
                failed if outcome.error else "done",
                outcome.error or None,
                outcome.duration,
            )
            for row, outcome in zip((X + 0.0).tolist(), outcomes, strict=True)
        )

    def tell(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Write experiments that were run elsewhere, those that are not there yet.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Their rows.
        y : ndarray of shape (n,) or (n, n_outputs)
            Their values, NaN throughout for one that failed.
        """
        known = self._connection.execute(
            f"SELECT {self._columns} FROM evaluations WHERE status <> 'raised'"
        ).fetchall()
        width = self._n_features + self._n_outputs
        known_pairs = np.array(known, dtype=np.float64).reshape(-1, width)
        is_new = ~is_among(np.column_stack([X, y]), known_pairs)
        failed = ~succeeded(y)
        self._insert(
            (
                None,
                *X[i].tolist(),
                *self._cells(y[i], bool(failed[i])),
                "failed" if failed[i] else "done",
                None,
                None,
            )
            for i in np.flatnonzero(is_new)
        )

    def pending_points(self) -> NDArray[np.float64]:
        """Return the points handed out and not told, of shape (n_pending, n_features)."""
        return pending_points(self._connection)

    def set_pending_points(self, X: NDArray[np.float64]) -> None:
        """Keep these points, of shape (n_pending, n_features), as those handed out and not told."""
        set_pending_points(self._connection, X)

    def _cells(self, value: float | NDArray[np.float64], has_failed: bool) -> list[float | None]:
        """Return a value as it stands in the columns of the outputs."""
        if has_failed:
            return [None] * self._n_outputs
        cells: list[float | None] = np.ravel(value).tolist()
        return cells

    def seed(self, seed: int) -> int:
        """Return the seed that the journal was begun with, which is this one in a new journal."""
        found = self._connection.execute("SELECT value FROM facts WHERE name = 'seed'").fetchone()
        if found is None:
            self._set_fact("seed", str(seed))
            return seed
        return int(found[0])

    def close(self) -> None:
        """Let the next writer in."""
        if hasattr(self, "_connection"):
            self._connection.close()
        self._lock.release()

    def _insert(self, rows: object) -> None:
        ended = datetime.now(UTC).isoformat(timespec="milliseconds")
        places = ", ".join("?" for _ in range(self._n_features + self._n_outputs + 5))
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(
                f"INSERT INTO evaluations (round, {self._columns}, status, error, duration, ended) "
                f"VALUES ({places})",
                ((*row, ended) for row in rows),  # type: ignore[attr-defined]
            )
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _set_fact(self, name: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


class _WriterLock:
    """One writer at a time, among threads and among processes.

    The operating system lets go of the lock when its process ends, however it ends: it is the
    exclusive lock of a second, empty database beside the journal.
    """

    _threads: dict[Path, threading.Lock] = {}  # noqa: RUF012
    _guard = threading.Lock()

    def __init__(self, path: Path, patience: float) -> None:
        self._path = path.absolute()
        end = time.monotonic() + patience
        with self._guard:
            self._thread_lock = self._threads.setdefault(self._path, threading.Lock())
        if not self._thread_lock.acquire(timeout=min(patience, threading.TIMEOUT_MAX)):
            raise self._refusal("another thread of this process")
        try:
            self._connection = connect(Path(f"{self._path}.lock"), 0.0)
            while not self._has_locked():
                if time.monotonic() >= end:
                    raise self._refusal(self._holder())
                time.sleep(_PAUSE)
        except BaseException:
            self.release()
            raise

    def _has_locked(self) -> bool:
        try:
            self._connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                return False
            raise JournalError(
                f"journal must be in a folder that can be written to; got {self._path}: {error}."
            ) from error
        return True

    def release(self) -> None:
        """Let the next writer in."""
        if hasattr(self, "_connection"):
            self._connection.close()
        if self._thread_lock.locked():
            self._thread_lock.release()

    def _refusal(self, holder: str) -> JournalError:
        return JournalError(
            f"journal must not be written by another run at the same time; got {self._path}, which "
            f"{holder} is writing."
        )

    def _holder(self) -> str:
        try:
            connection = connect(self._path)
            fact = connection.execute("SELECT value FROM facts WHERE name = 'writer'").fetchone()
            connection.close()
        except sqlite3.Error:
            fact = None
        return fact[0] if fact else "another process"
