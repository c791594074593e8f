"""The format of a journal, and what is refused because it has another one."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.exceptions import JournalError
from sklearn_proxyopt.variables._kinds import kind_of

__all__ = [
    "NO_KINDS",
    "check_format",
    "check_kinds",
    "check_problem",
    "connect",
    "create",
    "n_features_of",
]

# Stands in the head of the file, as SQLite provides for file formats: "prox".
APPLICATION_ID = 0x70726F78
VERSION = 1
# SQLite's own limit of columns is 2000.
MOST_FEATURES = 1900
# The kinds of inputs that are all continuous.
NO_KINDS: dict[str, Any] = {"whole": [], "categories": {}}


def connect(path: Path, wait: float = 60.0) -> sqlite3.Connection:
    """Open the file, whose transactions are begun by `BEGIN` and by nothing else."""
    if not path.parent.is_dir():
        raise JournalError(f"journal must be in an existing folder; got {path}.")
    try:
        return sqlite3.connect(path, timeout=wait, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise JournalError(
            f"journal must be a file that can be opened; got {path}: {error}."
        ) from error


def check_format(connection: sqlite3.Connection, path: Path) -> None:
    """Raise an error unless the file is a journal of a version that is understood."""
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise JournalError(
            f"journal must be a journal of evaluations; got {path}: {error}."
        ) from error
    if application != APPLICATION_ID:
        raise JournalError(
            f"journal must be a journal of evaluations; got {path}, another kind of database."
        )
    if version > VERSION:
        raise JournalError(
            f"journal must have a format up to version {VERSION}; got {path} of version {version}, "
            "which a newer sklearn_proxyopt wrote."
        )
    if damage != "ok":
        raise JournalError(f"journal must be undamaged; got {path}: {damage}.")


def is_empty(connection: sqlite3.Connection, path: Path) -> bool:
    """Tell whether the file is a new one."""
    try:
        return not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise JournalError(
            f"journal must be a journal of evaluations; got {path}: {error}."
        ) from error


def create(
    connection: sqlite3.Connection,
    n_features: int,
    bounds: NDArray[np.float64] | None,
    names: list[str] | None,
) -> None:
    """Make the tables of a new journal, all of them or none."""
    if n_features > MOST_FEATURES:
        raise JournalError(
            f"journal must have at most {MOST_FEATURES} variables; got {n_features}."
        )
    columns = ", ".join(f"x{i} REAL NOT NULL" for i in range(n_features))
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute(
        "CREATE TABLE variables (position INTEGER PRIMARY KEY, name TEXT, lower REAL, upper REAL)"
    )
    connection.execute(
        f"CREATE TABLE evaluations (id INTEGER PRIMARY KEY, round INTEGER, {columns}, value REAL, "
        "status TEXT NOT NULL, error TEXT, duration REAL, ended TEXT NOT NULL)"
    )
    connection.execute("CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT)")
    lower, upper = (None, None) if bounds is None else bounds.T.tolist()
    connection.executemany(
        "INSERT INTO variables VALUES (?, ?, ?, ?)",
        [
            (
                i,
                names[i] if names else None,
                lower[i] if lower else None,
                upper[i] if upper else None,
            )
            for i in range(n_features)
        ],
    )
    connection.execute("COMMIT")


def n_features_of(connection: sqlite3.Connection) -> int:
    """Return the number of inputs."""
    count: int = connection.execute("SELECT count(*) FROM variables").fetchone()[0]
    return count


def check_problem(
    connection: sqlite3.Connection,
    path: Path,
    n_features: int,
    bounds: NDArray[np.float64] | None,
    names: list[str] | None,
) -> None:
    """Raise an error that names the first difference to the problem that the journal is of.

    Bounds and names are compared where both are known.
    """
    rows = connection.execute("SELECT name, lower, upper FROM variables ORDER BY position")
    variables = rows.fetchall()

    def refuse(known: str, got: str) -> None:
        raise JournalError(
            f"journal must be of the same problem; {known} in {path}, got {got}. Another problem "
            "needs a journal of its own."
        )

    if len(variables) != n_features:
        refuse(f"there are {len(variables)} variables", f"{n_features}")
    for i, (name, lower, upper) in enumerate(variables):
        if names and name is not None and name != names[i]:
            refuse(f"variable {i} is {name!r}", repr(names[i]))
        if bounds is not None and lower is not None and (lower, upper) != tuple(bounds[i]):
            label = repr(name) if name else i
            refuse(
                f"the bounds of variable {label} are [{lower}, {upper}]",
                f"[{bounds[i, 0]}, {bounds[i, 1]}]",
            )


def check_kinds(
    connection: sqlite3.Connection, path: Path, kinds: dict[str, Any], names: list[str] | None
) -> None:
    """Note the kinds of the variables in a new journal; raise an error if an old one has others.

    A journal without a note is of continuous variables.
    """
    found = connection.execute("SELECT value FROM facts WHERE name = 'kinds'").fetchone()
    is_new = not connection.execute("SELECT count(*) FROM evaluations").fetchone()[0]
    if found is None and is_new and kinds != NO_KINDS:
        connection.execute("INSERT INTO facts VALUES ('kinds', ?)", (json.dumps(kinds),))
        return
    known = NO_KINDS if found is None else json.loads(found[0])
    for i in range(n_features_of(connection)):
        there, got = (kind_of(one, i) for one in (known, kinds))
        if there != got:
            label = repr(names[i]) if names else f"variable {i}"
            raise JournalError(
                f"journal must be of the same problem; {label} is {there} in {path}, got {got}. "
                "Another problem needs a journal of its own."
            )
