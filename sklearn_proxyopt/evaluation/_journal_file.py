"""The file of a journal: how it is opened, and what is refused before anything in it is read."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sklearn_proxyopt.exceptions import JournalError

__all__ = ["DAMAGE", "connect", "is_new", "open_to_write", "reading", "real"]

# What SQLite raises over a damaged file; its own message may hold bytes that are no text.
DAMAGE = (sqlite3.Error, UnicodeError, OverflowError)

# Seconds that a reader and a writer wait for one another.
_PATIENCE = 60.0
# No text, and no row, of a journal is longer.
_MOST_BYTES = 2**26


def real(path: Path) -> Path:
    """Return the file itself, wherever links lead to it from."""
    return Path(os.path.realpath(path))


def connect(path: Path, mode: str, wait: float = _PATIENCE) -> sqlite3.Connection:
    """Open a file to read ("ro"), to write ("rw"), or to write and make it ("rwc").

    Transactions are begun by `BEGIN` and by nothing else.
    """
    if not path.parent.is_dir():
        raise JournalError(f"journal must be in an existing folder; got {path}.")
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            timeout=wait,
            isolation_level=None,
            check_same_thread=False,
            uri=True,
        )
    except sqlite3.Error as error:
        raise JournalError(
            f"journal must be a file that can be opened; got {path}: {error}."
        ) from error
    # Damaged text is for the checksums to find, and what a stranger put into a file never runs.
    connection.text_factory = lambda text: text.decode("utf-8", "backslashreplace")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def is_new(path: Path) -> bool:
    """Tell whether there is no journal yet: no file, or one of no bytes.

    Raises
    ------
    JournalError
        If what is there cannot be a journal, or has lost the file beside it that has its rows.
    """
    if path.exists() and not path.is_file():
        raise JournalError(f"journal must be a file; got {path}.")
    is_empty = not path.exists() or not path.stat().st_size
    if is_empty and _has_log(path):
        raise JournalError(
            f"journal must not lose what it has; got no {path} beside {_log_of(path)}, which has "
            "rows of it. Put the file back, or move that one away."
        )
    return is_empty


def open_to_write(path: Path) -> sqlite3.Connection:
    """Open a journal that is there, so that one file has all of it after every commit."""
    if path.stat().st_nlink > 1:
        raise JournalError(
            f"journal must have one name; got {path}, which has {path.stat().st_nlink} hard links, "
            "by which two runs could write at once."
        )
    has_log = _has_log(path)
    connection = connect(path, "rw")
    try:
        _refuse_lost_log(connection, path, has_log)
        mode_of_one_file(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def mode_of_one_file(connection: sqlite3.Connection) -> None:
    """Let one file have all that was committed, on disk, whatever ends the process or the power."""
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA synchronous = EXTRA")


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a journal to read it as it was at one moment; it is not changed.

    What a killed run has left half written is undone; where the folder cannot be written to, in a
    copy.
    """
    if not path.exists():
        raise JournalError(f"journal must be an existing file; got {path}.")
    file = real(path)
    if is_new(file):
        raise JournalError(f"journal must be a journal of evaluations; got {path}, an empty file.")
    try:
        connection = _begun(file, "ro")
    except DAMAGE as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code != sqlite3.SQLITE_READONLY_ROLLBACK:
            raise unreadable(path, error) from error
        with _rolled_back(file, path) as connection:
            yield connection
        return
    with closing(connection):
        yield connection


def unreadable(path: Path, error: Exception) -> JournalError:
    """Return the error of a file that SQLite cannot read as a database."""
    cut = _bytes_cut(path)
    why = f"; the file was cut, its last {cut} bytes are missing" if cut else ""
    return JournalError(f"journal must be a journal of evaluations; got {path}: {error}{why}.")


def _bytes_cut(path: Path) -> int:
    """Return how many bytes are missing of those that the head of a database declares."""
    with path.open("rb") as file:
        head = file.read(100)
    if len(head) < 100 or not head.startswith(b"SQLite format 3\0"):
        return 0
    # A page size of 1 stands for 65,536.
    size = int.from_bytes(head[16:18], "big")
    declared = (2**16 if size == 1 else size) * int.from_bytes(head[28:32], "big")
    return max(declared - path.stat().st_size, 0)


@contextmanager
def _rolled_back(file: Path, path: Path) -> Iterator[sqlite3.Connection]:
    """Undo what a killed run has left half written, and open what was there before."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            connection = _begun(file, "rw")
        except sqlite3.OperationalError:
            copy = Path(folder, "journal")
            shutil.copyfile(file, copy)
            shutil.copyfile(f"{file}-journal", f"{copy}-journal")
            try:
                connection = _begun(copy, "rw")
            except DAMAGE as error:
                raise unreadable(path, error) from error
        with closing(connection):
            yield connection


def _begun(file: Path, mode: str) -> sqlite3.Connection:
    """Return a connection that sees the file as it is now, until it is closed."""
    has_log = _has_log(file)
    connection = connect(file, mode)
    try:
        _refuse_lost_log(connection, file, has_log)
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_lost_log(connection: sqlite3.Connection, path: Path, has_log: bool) -> None:
    """Raise an error where rows may be in a file beside this one, and that is not there."""
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if mode == "wal" and not has_log:
        raise JournalError(
            f"journal must be whole; got {path}, which another program or version has put into "
            f"write-ahead mode, without {_log_of(path)}, which may have rows of it. Bring the two "
            "files together; where there never was one, set `PRAGMA journal_mode = DELETE` by "
            "sqlite3."
        )


def _log_of(path: Path) -> Path:
    return Path(f"{path}-wal")


def _has_log(path: Path) -> bool:
    # A reader in vain leaves an empty one.
    return _log_of(path).exists() and _log_of(path).stat().st_size > 0
