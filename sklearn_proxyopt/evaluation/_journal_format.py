"""The format of a journal: its tables, its entries, and the checksums that hold them together."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterable
from typing import Any, NamedTuple

__all__ = [
    "APPLICATION_ID",
    "MOST_COLUMNS",
    "NO_KINDS",
    "SEALED",
    "STATES",
    "VERSION",
    "Entry",
    "Head",
    "as_text",
    "checksum",
    "columns_in",
    "columns_of",
    "layout_of",
    "schema",
    "seal",
    "standing",
]

# Stands in the head of the file, as SQLite provides for file formats: "prox".
APPLICATION_ID = 0x70726F78
VERSION = 3
# SQLite's own limit of columns is 2000.
MOST_COLUMNS = 1900
# The kinds of inputs that are all continuous.
NO_KINDS: dict[str, Any] = {"whole": [], "categories": {}}
# What came of an entry; "raised" is a failure that ended the run, and is tried again by the next.
STATES = ("done", "failed", "raised", "forgotten")
# Tables that are checked as a whole, with their columns; each entry has a checksum of its own.
SEALED = {
    "variables": "position, name, lower, upper",
    "facts": "name, value",
    "pending": "*",
}
# A longer text of an error is cut.
_MOST_CHARACTERS = 10_000

_encode = json.JSONEncoder(separators=(",", ":"), default=repr).encode


class Entry(NamedTuple):
    """A row of the table `evaluations`."""

    id: int
    round: int | None
    repeat: int
    x: tuple[float, ...]
    value: tuple[float | None, ...]
    status: str
    error: str | None
    duration: float | None
    ended: str
    chosen_by: str | None
    amends: int | None
    extra: str | None
    previous: str
    digest: str

    @classmethod
    def of(cls, cells: tuple[Any, ...], n_features: int) -> Entry:
        """Return the entry that stands in these cells."""
        x, value = cells[3 : 3 + n_features], cells[3 + n_features : -9]
        return cls._make((*cells[:3], x, value, *cells[-9:]))

    @property
    def cells(self) -> tuple[Any, ...]:
        """The row as it stands in the table."""
        return (*self[:3], *self.x, *self.value, *self[5:])

    def signed(self, journal: str) -> Entry:
        """Return this entry with its checksum."""
        return self._replace(digest=self.expected_digest(journal))

    def expected_digest(self, journal: str) -> str:
        """Return the checksum that the entry must have in a journal of this id."""
        return checksum(journal, *self.cells[:-1])


class Head(NamedTuple):
    """The last entry of a journal; without entries the id of the journal stands for it."""

    n_rows: int
    digest: str
    last: int


def checksum(*values: Any) -> str:
    """Return the checksum of numbers and texts: BLAKE2b of 8 bytes of their JSON."""
    return hashlib.blake2b(_encode(values).encode(), digest_size=8).hexdigest()


def seal(journal: str, rows: Iterable[tuple[Any, ...]]) -> str:
    """Return the checksum of a whole table, in the order of its rows."""
    digest = journal
    for row in rows:
        digest = checksum(digest, *row)
    return digest


def standing(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries that hold: an amendment stands in the place of what it amends."""
    root_of: dict[int, int] = {}
    found: dict[int, Entry] = {}
    for entry in entries:
        amended = entry.id if entry.amends is None else entry.amends
        root_of[entry.id] = root_of.get(amended, amended)
        found[root_of[entry.id]] = entry
    return list(found.values())


def as_text(text: str, most: int = _MOST_CHARACTERS) -> str:
    """Return a text that UTF-8 can hold: what it cannot hold is escaped, and too much is cut."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
    return text if len(text) <= most else f"{text[:most]}..."


def columns_of(n_features: int, n_outputs: int) -> list[str]:
    """Return the columns of the table `evaluations`."""
    return [
        "id",
        "round",
        "repeat",
        *(f"x{i}" for i in range(n_features)),
        # `value`, `value1`, `value2`, ...
        *(f"value{i or ''}" for i in range(n_outputs)),
        *("status", "error", "duration", "ended", "chosen_by", "amends", "extra"),
        *("previous", "digest"),
    ]


def schema(n_features: int, n_outputs: int) -> dict[str, str]:
    """Return the statement that makes each table, by its name."""
    inputs = ", ".join(f"x{i} REAL NOT NULL" for i in range(n_features))
    outputs = ", ".join(f"value{i or ''} REAL" for i in range(n_outputs))
    return {
        "variables": "CREATE TABLE variables "
        "(position INTEGER PRIMARY KEY, name TEXT, lower REAL, upper REAL)",
        "facts": "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        "seals": "CREATE TABLE seals (name TEXT PRIMARY KEY, n_rows INTEGER NOT NULL, "
        "digest TEXT NOT NULL) WITHOUT ROWID",
        "evaluations": "CREATE TABLE evaluations (id INTEGER PRIMARY KEY, round INTEGER, "
        f"repeat INTEGER NOT NULL, {inputs}, {outputs}, status TEXT NOT NULL, error TEXT, "
        "duration REAL, ended TEXT NOT NULL, chosen_by TEXT, amends INTEGER, extra TEXT, "
        "previous TEXT NOT NULL, digest TEXT NOT NULL)",
        "pending": f"CREATE TABLE pending (id INTEGER PRIMARY KEY, {inputs}, "
        "asked TEXT NOT NULL, chosen_by TEXT, extra TEXT)",
    }


def columns_in(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """Return the type of each column that a table has, none where there is no such table."""
    query = "SELECT name, type FROM pragma_table_info(?)"
    return dict(connection.execute(query, (table,)).fetchall())


def layout_of(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the numbers of inputs and outputs, as the tables have columns for them."""

    def n_columns(table: str, pattern: str) -> int:
        names = columns_in(connection, table)
        return sum(re.fullmatch(pattern, name) is not None for name in names)

    n_features = max(n_columns(table, r"x\d+") for table in ("evaluations", "pending"))
    return n_features, n_columns("evaluations", r"value\d*")
