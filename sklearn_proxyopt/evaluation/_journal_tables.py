"""Writing the tables of a journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.evaluation._journal_file import mode_of_one_file
from sklearn_proxyopt.evaluation._journal_format import (
    APPLICATION_ID,
    SEALED,
    VERSION,
    schema,
    seal,
)

__all__ = ["create", "insert", "reseal"]


def create(
    connection: sqlite3.Connection,
    n_features: int,
    n_outputs: int,
    bounds: NDArray[np.float64] | None,
    names: Sequence[str | None] | None,
) -> str:
    """Make the tables of a new journal, all of them or none; return its id."""
    journal = uuid4().hex[:16]
    box: Any = np.full((n_features, 2), None) if bounds is None else (bounds + 0.0).tolist()
    labels = [None] * n_features if names is None else list(names)
    mode_of_one_file(connection)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    for statement in schema(n_features, n_outputs).values():
        connection.execute(statement)
    rows = [(i, label, *pair) for i, (label, pair) in enumerate(zip(labels, box, strict=True))]
    insert(connection, "variables", rows)
    insert(connection, "facts", [("journal", journal)])
    reseal(connection, "journal", journal, (0, journal))
    reseal(connection, "evaluations", journal, (0, journal))
    for table in SEALED:
        reseal(connection, table, journal)
    connection.execute("COMMIT")
    return journal


def insert(connection: sqlite3.Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Put rows into a table."""
    if rows:
        places = ", ".join("?" for _ in rows[0])
        connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)


def reseal(
    connection: sqlite3.Connection, table: str, journal: str, head: tuple[int, str] | None = None
) -> None:
    """Note the number of rows of a table and their checksum, as given or as they are now."""
    if head is None:
        rows = connection.execute(f"SELECT {SEALED[table]} FROM {table} ORDER BY 1").fetchall()
        head = len(rows), seal(journal, rows)
    connection.execute("INSERT OR REPLACE INTO seals VALUES (?, ?, ?)", (table, *head))
