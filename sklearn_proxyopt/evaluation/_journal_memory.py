"""What was read of a journal before, so that only what is new is read again."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._dataset import row_keys
from sklearn_proxyopt.evaluation._journal_contents import Contents, read
from sklearn_proxyopt.evaluation._journal_file import reading
from sklearn_proxyopt.evaluation._journal_format import STATES, Entry, Head

__all__ = ["JournalMemory"]

_EVALUATED = ("done", "failed")
_STATE = {name: code for code, name in enumerate(STATES)}


class JournalMemory:
    """The entries of a journal that hold, verified once, as arrays that grow.

    Parameters
    ----------
    path : Path
        The file.

    Attributes
    ----------
    head : Head or None
        The last entry taken in; None before any was.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._forget(0, 0)

    def _forget(self, n_features: int, n_outputs: int) -> None:
        self.head: Head | None = None
        self._X, self._values = np.empty((0, n_features)), np.empty((0, n_outputs))
        self._states = np.empty(0, dtype=np.int8)
        # The entry that stands in each place, and the place of each entry.
        self._ids: list[int] = []
        self._place_of: dict[int, int] = {}
        self._places_at: dict[bytes, list[int]] = {}
        self._n_evaluated: Counter[bytes] = Counter()

    def contents(self) -> Contents:
        """Take in what is new in the file, and return what is in its other tables."""
        with reading(self.path) as connection:
            return self.look(connection)

    def look(self, connection: sqlite3.Connection) -> Contents:
        """Take in what is new, or all if this is not the journal that was read before."""
        start = self.head if self.head is not None and _has(connection, self.head) else None
        contents = read(connection, self.path, start)
        if start is None:
            self._forget(contents.n_features, contents.n_outputs)
        self.take(contents.entries, contents.head)
        return contents

    def take(self, entries: list[Entry], head: Head) -> None:
        """Take in entries that follow those known."""
        n_places = len(self._ids)
        new: list[Entry] = []
        changed: dict[int, Entry] = {}
        for entry in entries:
            root = entry.id if entry.amends is None else entry.amends
            place = self._place_of.setdefault(root, n_places + len(new))
            self._place_of[entry.id] = place
            if place == n_places + len(new):
                new.append(entry)
            else:
                changed[place] = entry
        self._add(new)
        for place, entry in changed.items():
            self._values[place] = np.array(entry.value, dtype=np.float64)
            self._states[place], self._ids[place] = _STATE[entry.status], entry.id
        self._count(entries)
        self.head = head

    def _add(self, entries: list[Entry]) -> None:
        if not entries:
            return
        X = np.array([entry.x for entry in entries], dtype=np.float64)
        for place, key in enumerate(row_keys(X), len(self._ids)):
            self._places_at.setdefault(key, []).append(place)
        values = np.array([entry.value for entry in entries], dtype=np.float64)
        states = np.array([_STATE[entry.status] for entry in entries], dtype=np.int8)
        values[states != _STATE["done"]] = np.nan
        self._X, self._values = np.vstack([self._X, X]), np.vstack([self._values, values])
        self._states = np.concatenate([self._states, states])
        self._ids += [entry.id for entry in entries]

    def _count(self, entries: list[Entry]) -> None:
        own = [entry.x for entry in entries if entry.amends is None and entry.status in _EVALUATED]
        self._n_evaluated.update(row_keys(np.array(own).reshape(-1, self._X.shape[1])))

    def n_repeats(self, key: bytes) -> int:
        """Return how often the inputs of a key were evaluated."""
        return self._n_evaluated[key]

    def rows(self, *status: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return inputs and values, NaN for a failure, of the entries that have these states."""
        chosen = np.any([self._states == _STATE[name] for name in status], axis=0)
        # Inputs never change; the value of an entry does if it is amended.
        X = self._X if chosen.all() else self._X[chosen]
        return X, self._values[chosen]

    def rows_at(self, keys: Iterable[bytes]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return inputs and values of what was evaluated at the inputs of some keys."""
        places = [place for key in keys for place in self._places(key)]
        return self._X[places], self._values[places]

    def entries_at(self, key: bytes) -> list[int]:
        """Return the entries that hold of what was evaluated at the inputs of a key."""
        return [self._ids[place] for place in self._places(key)]

    def _places(self, key: bytes) -> list[int]:
        evaluated = {_STATE[name] for name in _EVALUATED}
        return [place for place in self._places_at.get(key, []) if self._states[place] in evaluated]


def _has(connection: sqlite3.Connection, head: Head) -> bool:
    """Tell whether a journal has this entry still."""
    query = "SELECT digest FROM evaluations WHERE id = ?"
    try:
        return bool(connection.execute(query, (head.last,)).fetchone() == (head.digest,))
    except sqlite3.Error:
        return False
