"""How the tables of a file differ from those of a journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from sklearn_proxyopt.evaluation._journal_format import columns_in, schema

__all__ = ["schema_differences"]


def schema_differences(
    connection: sqlite3.Connection, tables: dict[Any, Any], layout: tuple[int, int]
) -> Iterator[str]:
    """Say which tables are missing, are not as they were made, or belong to no journal.

    Parameters
    ----------
    connection : Connection
        The file.
    tables : dict
        The statement that makes each table, index, view and trigger in it, by its name.
    layout : tuple of int
        Numbers of inputs and outputs.
    """
    wanted = schema(*layout)
    for name, statement in wanted.items():
        if name not in tables:
            yield f"the table {name} is missing"
        elif tables[name] != statement:
            yield f"the table {name} {_difference(columns_in(connection, name), statement)}"
    for name in sorted(map(str, tables.keys() - wanted.keys())):
        yield f"{name} is none of its tables"


def _difference(columns: dict[str, str], statement: str) -> str:
    """Say which columns are missing, are of another type or were added."""
    wanted = _columns_made(statement)
    missing = [name for name in wanted if name not in columns]
    added = [name for name in columns if name not in wanted]
    other = [name for name, kind in wanted.items() if columns.get(name, kind) != kind]
    said = [
        f"{what} {', '.join(names)}"
        for what, names in (
            ("lacks the column", missing),
            ("has the foreign column", added),
            ("has another type in the column", other),
        )
        if names
    ]
    return " and ".join(said) or "was made by another statement"


def _columns_made(statement: str) -> dict[str, str]:
    """Return the columns that a statement makes, with their types."""
    inside = statement[statement.index("(") + 1 : statement.rindex(")")]
    # A table whose inputs or outputs are all gone leaves a gap in the statement.
    columns = (column.split(" ") for column in inside.split(", ") if column)
    return {name: kind for name, kind, *_ in columns}
