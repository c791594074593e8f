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
    "n_outputs_of",
    "pending_points",
    "set_pending_points",
    "value_columns",
    "x_columns",
]

# Stands in the head of the file, as SQLite provides for file formats: "prox".
APPLICATION_ID = 0x70726F78
VERSION = 2
# A journal of one output has the format that was there before there could be several.
VERSION_OF_ONE_OUTPUT = 1
# SQLite's own limit of columns is 2000.
MOST_COLUMNS = 1900
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


def x_columns(n_features: int) -> str:
    """Return the columns of the inputs."""
    return ", ".join(f"x{i}" for i in range(n_features))


def value_columns(n_outputs: int) -> str:
    """Return the columns of the outputs: `value`, `value1`, `value2`, ..."""
    return ", ".join(f"value{i or ''}" for i in range(n_outputs))


def _typed(columns: str, kind: str) -> str:
    return ", ".join(f"{column} {kind}" for column in columns.split(", "))


def create(
    connection: sqlite3.Connection,
    n_features: int,
    bounds: NDArray[np.float64] | None,
    names: list[str] | None,
    n_outputs: int,
) -> None:
    """Make the tables of a new journal, all of them or none."""
    if n_features + n_outputs > MOST_COLUMNS:
        raise JournalError(
            f"journal must have at most {MOST_COLUMNS} variables and outputs; got "
            f"{n_features + n_outputs}."
        )
    inputs = _typed(x_columns(n_features), "REAL NOT NULL")
    columns = f"{inputs}, {_typed(value_columns(n_outputs), 'REAL')}"
    version = VERSION_OF_ONE_OUTPUT if n_outputs == 1 else VERSION
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute(
        "CREATE TABLE variables (position INTEGER PRIMARY KEY, name TEXT, lower REAL, upper REAL)"
    )
    connection.execute(
        f"CREATE TABLE evaluations (id INTEGER PRIMARY KEY, round INTEGER, {columns}, "
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


def n_outputs_of(connection: sqlite3.Connection) -> int:
    """Return the number of outputs."""
    columns = connection.execute("SELECT name FROM pragma_table_info('evaluations')").fetchall()
    return sum(name.startswith("value") for (name,) in columns)


def pending_points(connection: sqlite3.Connection) -> NDArray[np.float64]:
    """Return the points handed out and not told, in the order in which they were."""
    n_features = n_features_of(connection)
    is_there = "SELECT count(*) FROM sqlite_schema WHERE name = 'pending'"
    found = []
    if connection.execute(is_there).fetchone()[0]:
        query = f"SELECT {x_columns(n_features)} FROM pending ORDER BY id"
        found = connection.execute(query).fetchall()
    return np.array(found, dtype=np.float64).reshape(-1, n_features)


def set_pending_points(connection: sqlite3.Connection, X: NDArray[np.float64]) -> None:
    """Keep these points as those handed out and not told, all of them or none."""
    columns = _typed(x_columns(X.shape[1]), "REAL NOT NULL")
    places = ", ".join("?" for _ in range(X.shape[1]))
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS pending (id INTEGER PRIMARY KEY, {columns})"
        )
        connection.execute("DELETE FROM pending")
        connection.executemany(
            f"INSERT INTO pending ({x_columns(X.shape[1])}) VALUES ({places})", X.tolist()
        )
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def check_problem(
    connection: sqlite3.Connection,
    path: Path,
    n_features: int,
    bounds: NDArray[np.float64] | None,
    names: list[str] | None,
    n_outputs: int,
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
    known = n_outputs_of(connection)
    if known != n_outputs:
        refuse(f"there {'is 1 output' if known == 1 else f'are {known} outputs'}", f"{n_outputs}")
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
    is_new = is_new and not len(pending_points(connection))
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
