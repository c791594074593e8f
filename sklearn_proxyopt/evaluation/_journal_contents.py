"""What is in a journal, read as a whole and held against its checksums."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.evaluation._journal_file import DAMAGE
from sklearn_proxyopt.evaluation._journal_format import (
    APPLICATION_ID,
    SEALED,
    STATES,
    VERSION,
    Entry,
    Head,
    columns_of,
    layout_of,
    seal,
    standing,
)
from sklearn_proxyopt.evaluation._journal_schema import schema_differences
from sklearn_proxyopt.exceptions import JournalError

__all__ = ["Contents", "inspect", "is_whole", "read"]

Row = tuple[Any, ...]

# Tables without a place of each row have a few rows, whatever a damaged file says.
_MOST_FACTS = 1000
# Rows that lie this far outside the box, as a part of its width, do so by rounding.
_ROUNDING = 1e-9
_MOST_SHOWN = 5


@dataclass
class Contents:
    """What is in a journal.

    Attributes
    ----------
    n_features, n_outputs : int
        Numbers of inputs and outputs.
    start : Head or None
        The entry after which was read; None for all.
    entries : list of Entry
        The rows of `evaluations` after it.
    variables : list of tuple
        Position, name, lower and upper bound of each input.
    facts : dict of str to str
        The rows of `facts`.
    pending : list of tuple
        The rows of `pending`.
    seals : dict of str to tuple
        The number of rows and the checksum of each table.
    is_cut_short : bool
        Whether the rows of a table could not be read to their end.
    findings : list of str
        What is wrong.
    """

    n_features: int
    n_outputs: int
    start: Head | None = None
    entries: list[Entry] = field(default_factory=list)
    variables: list[Row] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    pending: list[Row] = field(default_factory=list)
    seals: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    is_cut_short: bool = False
    findings: list[str] = field(default_factory=list)

    @property
    def journal(self) -> str:
        """The id of the journal, which every checksum holds."""
        return str(self.facts.get("journal"))

    @property
    def before(self) -> Head:
        """The entry that the entries follow."""
        return self.start or Head(0, self.journal, 0)

    @property
    def head(self) -> Head:
        """The last entry."""
        if not self.entries:
            return self.before
        last = self.entries[-1]
        return Head(self.before.n_rows + len(self.entries), last.digest, last.id)

    @property
    def n_written(self) -> int:
        """How many entries were written, if that can be read."""
        n_rows = self.seals.get("evaluations", (0, ""))[0]
        return n_rows if isinstance(n_rows, int) else 0

    def expected_seal(self, table: str) -> tuple[int, str]:
        """Return the number of rows and the checksum of a table as it is."""
        heads = {"journal": (0, self.journal), "evaluations": self.head[:2]}
        if table in heads:
            return heads[table]
        rows = self.rows_of(table)
        return len(rows), seal(self.journal, rows)

    def is_sealed(self, table: str) -> bool:
        """Tell whether a table is as it was written."""
        return self.seals.get(table) == self.expected_seal(table)

    @property
    def names(self) -> list[str] | None:
        """Names of the inputs, None where they have none."""
        names = [name for _, name, *_ in self.variables]
        return names if all(names) else None

    @property
    def asked(self) -> list[list[Any]]:
        """What leads to the run again that points were asked of."""
        asked: list[list[Any]] = json.loads(self.facts.get("asked", "[]"))
        return asked

    @property
    def pending_points(self) -> NDArray[np.float64]:
        """The points handed out and not told, in the order in which they were."""
        rows = [row[1 : 1 + self.n_features] for row in self.pending]
        return np.array(rows, dtype=np.float64).reshape(-1, self.n_features)

    @property
    def pending_repeats(self) -> NDArray[np.intp]:
        """How many results of each of these were known when it was handed out."""
        numbers = [json.loads(row[-1] or "{}").get("repeat", 0) for row in self.pending]
        return np.array(numbers, dtype=np.intp)

    def rows(self, *status: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return inputs and values of the entries that hold and have one of these states."""
        chosen = [entry for entry in standing(self.entries) if entry.status in status]
        X = np.array([entry.x for entry in chosen], dtype=np.float64)
        values = np.array([entry.value for entry in chosen], dtype=np.float64)
        return X.reshape(-1, self.n_features), values.reshape(-1, self.n_outputs)

    def rows_of(self, table: str) -> list[Row]:
        """Return the rows of a table that is sealed as a whole."""
        rows = {
            "variables": self.variables,
            "facts": sorted(self.facts.items()),
            "pending": self.pending,
        }
        return rows[table]

    def outside(self) -> Iterator[str]:
        """Say which entries were evaluated outside the bounds, as no optimizer does."""
        bounds = [(lower, upper) for *_, lower, upper in self.variables]
        if any(None in pair for pair in bounds):
            return
        for entry in self.entries:
            for index, (x, (lower, upper)) in enumerate(zip(entry.x, bounds, strict=True)):
                margin = _ROUNDING * (upper - lower)
                if entry.round is not None and not lower - margin <= x <= upper + margin:
                    yield (
                        f"row {entry.id} was evaluated outside the bounds: x{index} is {x}, not "
                        f"from {lower} to {upper}"
                    )


def _check_format(connection: sqlite3.Connection, path: Path) -> tuple[int, int]:
    """Return the numbers of inputs and outputs, or raise an error unless the format is known."""
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = dict(
            connection.execute(
                "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'"
            ).fetchmany(_MOST_FACTS)
        )
        layout = layout_of(connection) if tables else (0, 0)
    except (*DAMAGE, TypeError) as error:
        raise JournalError(
            f"journal must be a journal of evaluations; got {path}: {error}."
        ) from error
    if application != APPLICATION_ID:
        kind = (
            "another kind of database"
            if tables
            else ("a database without tables, whose rows may be in a file beside it")
        )
        raise JournalError(f"journal must be a journal of evaluations; got {path}, {kind}.")
    if version != VERSION:
        age = "a newer" if version > VERSION else "an older"
        raise JournalError(
            f"journal must have a format of version {VERSION}; got {path} of version {version}, "
            f"which {age} sklearn_proxyopt wrote. Give the run a new journal; sqlite3 reads this "
            "one."
        )
    differences = list(schema_differences(connection, tables, layout))
    if differences:
        raise JournalError(
            f"journal must have the tables of a journal and nothing else; got {path}: "
            f"{', '.join(differences[:_MOST_SHOWN])}."
        )
    return layout


def read(connection: sqlite3.Connection, path: Path, start: Head | None = None) -> Contents:
    """Return what is in a journal, or raise an error that names the first row that is not right.

    With `start` the entries after that one, which is there.
    """
    contents = inspect(connection, path, start)
    if contents.findings:
        n_others = len(contents.findings) - 1
        others = f" (and {n_others} more)" if n_others else ""
        raise JournalError(
            f"journal must be undamaged; got {path}: {contents.findings[0]}{others}. "
            "Journal.check() says all, and Journal.repair() saves what is whole."
        )
    return contents


def inspect(connection: sqlite3.Connection, path: Path, start: Head | None = None) -> Contents:
    """Return what is in a journal, with all that is wrong in its `findings`."""
    contents = Contents(*_check_format(connection, path), start)
    seals = _few(connection, "SELECT name, n_rows, digest FROM seals", contents)
    contents.seals = {name: (n_rows, digest) for name, n_rows, digest in seals}
    contents.facts = dict(_few(connection, "SELECT name, value FROM facts", contents))
    for table in ("variables", "pending"):
        rows = _in_order(connection, f"SELECT {SEALED[table]} FROM {table} ORDER BY 1", contents)
        setattr(contents, table, rows)
    names = ", ".join(columns_of(contents.n_features, contents.n_outputs))
    after = "" if start is None else f"WHERE id > {start.last}"
    rows = _in_order(connection, f"SELECT {names} FROM evaluations {after} ORDER BY id", contents)
    contents.entries = [Entry.of(row, contents.n_features) for row in rows]
    contents.findings.extend(_broken(contents))
    if not contents.findings and start is None:
        contents.findings.extend(_pages(connection))
    return contents


def _broken(contents: Contents) -> Iterator[str]:
    """Say where entries and tables differ from their checksums."""
    _, previous, last = contents.before
    for entry in contents.entries:
        if not is_whole(entry, contents.journal):
            yield f"row {entry.id} of evaluations does not match its checksum"
        elif entry.previous != previous:
            missing = "" if entry.id == last + 1 else f": rows after {last} are missing"
            yield f"row {entry.id} of evaluations does not follow row {last}{missing}"
        last, previous = entry.id, entry.digest
    for table in ("journal", "evaluations", *SEALED):
        if not contents.is_sealed(table):
            written = contents.seals.get(table, ("no",))[0]
            there = contents.expected_seal(table)[0]
            is_cut = table == "evaluations" and isinstance(written, int) and written > there
            yield (
                f"the table {table} does not match its checksum: {written} rows were written, "
                f"{there} are there{f', those after row {last} are missing' if is_cut else ''}"
            )
    bounds = [(lower, upper) for *_, lower, upper in contents.variables]
    if len(bounds) != contents.n_features or not all(map(_is_box, bounds)):
        yield f"the bounds of {contents.n_features} variables are none: {bounds[:_MOST_SHOWN]}"


def is_whole(entry: Entry, journal: str) -> bool:
    """Tell whether an entry matches its checksum, and holds what its columns are for."""
    values = [value for value in entry.value if value is not None]
    numbers = [*entry.x, *values]
    return (
        entry.digest == entry.expected_digest(journal)
        and all(isinstance(number, float) and math.isfinite(number) for number in numbers)
        and entry.status in STATES
        and (entry.status != "done" or len(values) == len(entry.value))
    )


def _is_box(pair: tuple[Any, Any]) -> bool:
    """Tell whether these are two bounds, or none."""
    if pair == (None, None):
        return True
    return all(isinstance(bound, float) for bound in pair) and pair[0] <= pair[1]


def _pages(connection: sqlite3.Connection) -> Iterator[str]:
    """Say what SQLite finds wrong with its own pages."""
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except DAMAGE as error:
        found = error
    if found != "ok":
        yield f"the database is damaged: {found}"


def _few(connection: sqlite3.Connection, query: str, contents: Contents) -> list[Row]:
    """Return the rows of a small table, as far as they can be read."""
    try:
        return connection.execute(query).fetchmany(_MOST_FACTS)
    except DAMAGE as error:
        contents.findings.append(f"{_table_of(query)} cannot be read: {error}")
        return []


def _in_order(connection: sqlite3.Connection, query: str, contents: Contents) -> list[Row]:
    """Return rows as far as they can be read and their first numbers grow.

    In a damaged file the same pages may come again without end.
    """
    rows: list[Row] = []
    last = None
    try:
        for row in connection.execute(query):
            if type(row[0]) is not int or (last is not None and row[0] <= last):
                raise sqlite3.DatabaseError(f"row {row[0]!r} comes after it")
            last = row[0]
            rows.append(row)
    except DAMAGE as error:
        where = "" if last is None else f" after row {last}"
        contents.findings.append(f"{_table_of(query)}{where} cannot be read: {error}")
        contents.is_cut_short = True
    return rows


def _table_of(query: str) -> str:
    return "the table " + query.split(" FROM ")[1].split(" ")[0]
