"""What is saved of a journal: a copy while it is written, and what is whole in a damaged one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import numpy as np

from sklearn_proxyopt.evaluation._journal_contents import Contents, inspect, is_whole, read
from sklearn_proxyopt.evaluation._journal_file import DAMAGE, connect, reading, real
from sklearn_proxyopt.evaluation._journal_format import Entry, columns_of
from sklearn_proxyopt.evaluation._journal_tables import create, insert, reseal
from sklearn_proxyopt.exceptions import JournalError

__all__ = ["back_up", "repair"]

# Rows that are looked up one by one where the table cannot be read in its order.
_MOST_LOOKED_UP = 1_000_000
# What each table holds besides evaluations.
_HELD = {
    "variables": "the names and bounds of the inputs",
    "facts": "the seed and the kinds of the inputs",
    "pending": "the points asked for",
}


def back_up(path: Path, target: Path) -> None:
    """Copy a journal, also while it is written; the copy is there whole or not at all."""
    with reading(path) as connection:
        contents = read(connection, path)
        if target.exists():
            _check_same(target, contents)
        with _made_whole(target) as copy:
            connection.backup(copy)
            read(copy, target)


def repair(path: Path, target: Path) -> list[str]:
    """Write what is whole in a journal into a new one; return what was left out."""
    if target.exists():
        raise JournalError(f"path must be a new file for what is saved; got {target}.")
    with reading(path) as connection:
        contents = inspect(connection, path)
        found = {entry.id: entry for entry in contents.entries}
        if contents.is_cut_short:
            found |= {entry.id: entry for entry in _looked_up(connection, contents)}
    kept = _matching(list(found.values()), contents)
    damaged = set(found) - {entry.id for entry in kept}
    sealed = {table for table in _HELD if contents.is_sealed(table)}
    with _made_whole(target) as copy:
        _fill(copy, contents, kept, sealed)
        read(copy, target)
    lost = [f"the table {table}: {held}" for table, held in _HELD.items() if table not in sealed]
    return _left_out(kept, damaged, contents) + lost


def _matching(entries: list[Entry], contents: Contents) -> list[Entry]:
    """Return the entries that match their own checksums, in their order."""
    # The id of the journal stands in two places, of which one may be damaged.
    ids = {contents.journal, str(contents.seals.get("journal", (0, ""))[1])}
    kept = max(([entry for entry in entries if is_whole(entry, one)] for one in ids), key=len)
    return sorted(kept)


def _looked_up(connection: sqlite3.Connection, contents: Contents) -> Iterator[Entry]:
    """Yield the entries that can be read from the end, and those that can be read one by one."""
    columns = ", ".join(columns_of(contents.n_features, contents.n_outputs))
    last = contents.n_written
    with suppress(*DAMAGE, TypeError):
        previous = None
        for row in connection.execute(f"SELECT {columns} FROM evaluations ORDER BY id DESC"):
            if previous is not None and row[0] >= previous:
                break
            previous = row[0]
            last = max(last, row[0])
            yield Entry.of(row, contents.n_features)
    for index in range(1, min(last, _MOST_LOOKED_UP) + 1):
        with suppress(*DAMAGE, TypeError):
            query = f"SELECT {columns} FROM evaluations WHERE id = ?"
            row = connection.execute(query, (index,)).fetchone()
            if row is not None and row[0] == index:
                yield Entry.of(row, contents.n_features)


def _left_out(kept: list[Entry], damaged: set[int], contents: Contents) -> list[str]:
    """Say which entries are not among those that are kept."""
    notes = [f"row {index} does not match its checksum" for index in sorted(damaged, key=str)]
    last, previous, n_missing = 0, contents.journal, 0
    for entry in kept:
        if entry.previous != previous:
            between = {index for index in damaged if index in range(last + 1, entry.id)}
            n_gone = entry.id - last - 1 - len(between)
            n_missing += n_gone
            if n_gone:
                notes.append(f"{n_gone} rows between row {last} and row {entry.id} are missing")
        last, previous = entry.id, entry.digest
    n_after = contents.n_written - len(kept) - len(damaged) - n_missing
    if n_after > 0:
        notes.append(f"{n_after} rows after row {last} are missing")
    return notes


def _fill(
    connection: sqlite3.Connection, contents: Contents, kept: Iterable[Entry], sealed: set[str]
) -> None:
    """Fill a new journal with entries, under the numbers that they had, and with whole tables."""
    names, bounds = None, None
    if "variables" in sealed:
        names = [name for _, name, *_ in contents.variables]
        box = [row[2:] for row in contents.variables]
        bounds = None if None in box[0] else np.array(box, dtype=np.float64)
    journal = create(connection, contents.n_features, contents.n_outputs, bounds, names)
    head, rows = journal, []
    for entry in kept:
        signed = entry._replace(previous=head).signed(journal)
        head = signed.digest
        rows.append(signed.cells)
    connection.execute("BEGIN IMMEDIATE")
    insert(connection, "evaluations", rows)
    reseal(connection, "evaluations", journal, (len(rows), head))
    facts = contents.facts if "facts" in sealed else {}
    insert(connection, "facts", [pair for pair in facts.items() if pair[0] != "journal"])
    insert(connection, "pending", contents.pending if "pending" in sealed else [])
    for table in ("facts", "pending"):
        reseal(connection, table, journal)
    connection.execute("COMMIT")


def _check_same(target: Path, contents: Contents) -> None:
    """Raise an error unless a file that would be replaced is an older copy of the same journal."""
    if not target.is_file():
        raise JournalError(f"path must be a file; got {target}.")
    with reading(target) as connection:
        other = read(connection, target)
    if other.journal != contents.journal:
        raise JournalError(
            f"path must be a new file or an older copy of the same journal; got {target}, which is "
            "another journal."
        )


@contextmanager
def _made_whole(target: Path) -> Iterator[sqlite3.Connection]:
    """Open a database that gets its name once it is complete and on disk."""
    file = real(target)
    part = file.with_name(f"{file.name}.{uuid4().hex[:8]}.part")
    try:
        with closing(connect(part, "rwc")) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            yield connection
        os.replace(part, file)
    except (*DAMAGE, OSError) as error:
        raise JournalError(
            f"path must be a file that can be written to; got {target}: {error}."
        ) from error
    finally:
        for left in (part, Path(f"{part}-journal")):
            left.unlink(missing_ok=True)
