"""One writer of a journal at a time."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

from sklearn_proxyopt.evaluation._journal_file import connect
from sklearn_proxyopt.exceptions import JournalError

__all__ = ["WriterLock"]

# Seconds after which a writer who waits for another asks again.
_PAUSE = 0.1


class WriterLock:
    """One writer at a time, among threads and among processes.

    The operating system lets go of the lock when its process ends, however it ends: it is the
    exclusive lock of a second, empty database beside the journal.

    Parameters
    ----------
    path : Path
        The file of the journal itself, not a link to it.
    patience : float
        Seconds to wait for another writer.
    """

    _threads: dict[Path, threading.Lock] = {}  # noqa: RUF012
    _guard = threading.Lock()

    def __init__(self, path: Path, patience: float) -> None:
        self._path = path
        end = time.monotonic() + patience
        with self._guard:
            self._thread_lock = self._threads.setdefault(self._path, threading.Lock())
        if not self._thread_lock.acquire(timeout=min(patience, threading.TIMEOUT_MAX)):
            raise self._refusal("another thread of this process")
        try:
            self._connection = self._open()
            while not self._has_locked():
                if time.monotonic() >= end:
                    raise self._refusal(self._holder())
                time.sleep(_PAUSE)
        except BaseException:
            self.release()
            raise

    def _open(self) -> sqlite3.Connection:
        lock = Path(f"{self._path}.lock")
        try:
            connection = connect(lock, "rwc", 0.0)
        except JournalError as error:
            raise self._unwritable(error.__cause__ or error) from error
        if not os.access(lock, os.W_OK):
            # SQLite would open it to read, and lock nothing.
            connection.close()
            raise self._unwritable(f"{lock} cannot be written to")
        return connection

    def _has_locked(self) -> bool:
        try:
            self._connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                return False
            raise self._unwritable(error) from error
        return True

    def release(self) -> None:
        """Let the next writer in."""
        if hasattr(self, "_connection"):
            self._connection.close()
        if self._thread_lock.locked():
            self._thread_lock.release()

    def _unwritable(self, error: BaseException | str) -> JournalError:
        return JournalError(
            f"journal must be in a folder that can be written to; got {self._path}: {error}."
        )

    def _refusal(self, holder: str) -> JournalError:
        return JournalError(
            f"journal must not be written by another run at the same time; got {self._path}, which "
            f"{holder} is writing."
        )

    def _holder(self) -> str:
        try:
            with closing(connect(self._path, "ro")) as connection:
                query = "SELECT value FROM facts WHERE name = 'writer'"
                fact = connection.execute(query).fetchone()
        except (sqlite3.Error, JournalError):
            fact = None
        return fact[0] if fact else "another process"
