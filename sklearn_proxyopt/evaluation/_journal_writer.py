"""The one writer of a journal."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._dataset import (
    are_new,
    occurrences,
    row_keys,
    succeeded,
)
from sklearn_proxyopt.evaluation._call import Outcome
from sklearn_proxyopt.evaluation._journal_contents import Contents
from sklearn_proxyopt.evaluation._journal_file import DAMAGE, connect, is_new, open_to_write, real
from sklearn_proxyopt.evaluation._journal_format import NO_KINDS, Entry, Head, as_text
from sklearn_proxyopt.evaluation._journal_memory import JournalMemory
from sklearn_proxyopt.evaluation._journal_problem import check_kinds, check_problem
from sklearn_proxyopt.evaluation._journal_tables import create, insert, reseal
from sklearn_proxyopt.evaluation._record import EvaluationRecord
from sklearn_proxyopt.evaluation._writer_lock import WriterLock
from sklearn_proxyopt.exceptions import JournalError

__all__ = ["JournalWriter"]


class JournalWriter:
    """Writes evaluations into a journal, and reads those that it has; opened by `Journal.writing`.

    Parameters
    ----------
    memory : JournalMemory
        What was read of the journal before; it knows the file.
    n_features : int
        Number of inputs of the function.
    bounds : ndarray of shape (n_features, 2) or None
        The box, where the user gave one.
    names : list of str or None
        Names of the inputs, where they have any.
    patience : float
        Seconds to wait for another writer to end before raising.
    n_outputs : int, default=1
        Number of outputs of the function.
    kinds : dict, default=None
        Which inputs are integers or categories.
    """

    def __init__(
        self,
        memory: JournalMemory,
        n_features: int,
        bounds: NDArray[np.float64] | None,
        names: list[str] | None,
        patience: float,
        n_outputs: int = 1,
        kinds: dict[str, Any] | None = None,
    ) -> None:
        self.path = path = memory.path
        self._memory = memory
        self._n_features, self._n_outputs = n_features, n_outputs
        self._problem = (n_features, bounds, names, 0.0, n_outputs, kinds)
        if not path.parent.is_dir():
            raise JournalError(f"journal must be in an existing folder; got {path}.")
        self._file = real(path)
        self._lock = WriterLock(self._file, patience)
        try:
            self._open(bounds, names, kinds or NO_KINDS)
        except BaseException:
            self.close()
            raise

    def _open(
        self, bounds: NDArray[np.float64] | None, names: list[str] | None, kinds: dict[str, Any]
    ) -> None:
        if is_new(self._file):
            self._connection = connect(self._file, "rwc")
            with self._named_errors():
                create(self._connection, self._n_features, self._n_outputs, bounds, names)
        else:
            with self._named_errors():
                self._connection = open_to_write(self._file)
        with self._named_errors():
            contents = self._memory.look(self._connection)
        check_problem(contents, self.path, self._n_features, bounds, names, self._n_outputs)
        facts = {"writer": as_text(f"process {os.getpid()} on {platform.node()}")}
        if check_kinds(contents, self.path, kinds, names):
            facts["kinds"] = json.dumps(kinds)
        self._journal = contents.journal
        self._note_file()
        if not facts.items() <= contents.facts.items():
            self._set_facts(facts)

    def _known(self) -> Contents:
        """Return what is in the other tables of the journal now; the memory has the entries."""
        head = self._head
        with self._named_errors():
            contents = self._memory.look(self._connection)
        if self._head != head:
            self._refuse_other_rows()
        return contents

    @property
    def _head(self) -> Head:
        assert self._memory.head is not None
        return self._memory.head

    def evaluated(self) -> NDArray[np.float64]:
        """Return the samples that succeeded and those that failed, of shape (n, n_features)."""
        return np.vstack([self._memory.rows(status)[0] for status in ("done", "failed")])

    def read_into(self, record: EvaluationRecord) -> None:
        """Write what the journal knows into a record, and the other way round.

        A failure that ended a run is left out: the next run tries again.
        """
        is_plain = record.n_outputs is None
        rows, values, repeats = self._entries()
        # In the order of the file, so that a run that goes on takes the way that it took.
        for row, value, repeat in zip(rows, values, repeats, strict=True):
            record.add(row, float(value[0]) if is_plain else value, int(repeat))
        known = Counter(row_keys(rows))
        X, y = record.rows(self._n_features)
        numbers = zip(row_keys(X), occurrences(X), strict=True)
        missing = [i for i, (key, number) in enumerate(numbers) if number >= known[key]]
        self._append((None, X[i], y[i], "done", None, None) for i in missing)

    def _entries(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
        """Return the samples evaluated, their values and which repeat each is, as in the file."""
        rows, values = self._memory.rows("done", "failed")
        # A value is a newer word than a failure: failures are repeats after those with a value.
        order = np.argsort(np.isnan(values).any(axis=1), kind="stable")
        repeats = np.empty(len(rows), dtype=np.intp)
        repeats[order] = occurrences(rows[order])
        return rows, values, repeats

    def taken_up(self, budget: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Return the evaluations that a run takes up from others with smaller budgets.

        Parameters
        ----------
        budget : int
            Its own. A run that is begun again takes up the same as the first time.

        Returns
        -------
        X : ndarray of shape (n, n_features)
            The samples, in the order in which they were evaluated.
        repeats : ndarray of int of shape (n,)
            Which repeat each is.
        """
        X, _, repeats = self._entries()
        known = json.loads(self._known().facts.get("budgets", "{}"))
        n_taken = {int(one): n for one, n in known.items()}
        if budget not in n_taken:
            n_taken[budget] = len(X) if n_taken and budget > max(n_taken) else 0
            self._set_facts({"budgets": json.dumps(n_taken)})
        return X[: n_taken[budget]], repeats[: n_taken[budget]]

    def write(
        self, n_round: int, X: NDArray[np.float64], outcomes: list[Outcome], is_final: bool
    ) -> None:
        """Write evaluations; they are on disk when this returns.

        Parameters
        ----------
        n_round : int
            The batch that they were asked for in.
        X : ndarray of shape (n, n_features)
            The samples.
        outcomes : list of Outcome
            What came of each.
        is_final : bool
            Whether one that failed is not tried again by the next run.

        Raises
        ------
        JournalError
            If the file is not as this writer left it, or cannot be written to.
        """
        failed = "failed" if is_final else "raised"
        self._append(
            (
                n_round,
                row,
                None if outcome.error else outcome.value,
                failed if outcome.error else "done",
                as_text(outcome.error) or None,
                outcome.duration,
            )
            for row, outcome in zip(X, outcomes, strict=True)
        )

    def tell(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Write experiments that were run elsewhere, those that are not there yet.

        Which are not, `are_new` says; a pending point that had results when it was asked for is a
        repeat.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            The samples.
        y : ndarray of shape (n,) or (n, n_outputs)
            Their values, NaN throughout for one that failed.
        """
        known = np.column_stack(self._memory.rows_at(set(row_keys(X))))
        contents = self._known()
        repeats = contents.pending_points[contents.pending_repeats > 0]
        good = succeeded(y)
        self._append(
            (None, X[i], y[i] if good[i] else None, "done" if good[i] else "failed", None, None)
            for i in np.flatnonzero(are_new(np.column_stack([X, y]), known, repeats))
        )

    def amend(
        self, X: NDArray[np.float64], y: NDArray[np.float64] | None = None
    ) -> NDArray[np.bool_]:
        """Write that the entries of some samples hold no longer; nothing that stands is deleted.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            The samples.
        y : ndarray of shape (n,) or (n, n_outputs), default=None
            The values that hold in their place, NaN for a failure; None for no values.

        Returns
        -------
        ndarray of bool of shape (n,)
            Which samples had entries.
        """
        amendments: list[tuple[Any, ...]] = []
        keys = row_keys(X)
        first_of: dict[bytes, int] = {}
        for i, key in enumerate(keys):
            first_of.setdefault(key, i)
        for key, i in first_of.items():
            for place, entry in enumerate(self._memory.entries_at(key)):
                value, status = None, "forgotten"
                if y is not None and place == 0:
                    is_good = bool(np.isfinite(y[i]).all())
                    value, status = (y[i], "done") if is_good else (None, "failed")
                amendments.append((None, X[i], value, status, None, None, entry))
        known = {row_keys(row[1][None])[0] for row in amendments}
        self._append(amendments)
        return np.array([key in known for key in keys], dtype=bool)

    def pending_points(self) -> NDArray[np.float64]:
        """Return the points handed out and not told, of shape (n_pending, n_features)."""
        return self._known().pending_points

    def pending_repeats(self) -> NDArray[np.intp]:
        """Return how many results of each were known when it was handed out, (n_pending,)."""
        return self._known().pending_repeats

    def withdrawn_points(self) -> NDArray[np.float64]:
        """Return the points that were withdrawn, by whomever, of shape (n, n_features)."""
        points = [x for _, _, _, *withdrawn in self._known().asked for x in withdrawn]
        return np.array(points).reshape(-1, self._n_features)

    def set_asked(self, asked: list[list[Any]]) -> None:
        """Keep what leads to the run again that points were asked of."""
        self._set_facts({"asked": json.dumps(asked)})

    def set_pending_points(
        self, X: NDArray[np.float64], repeats: NDArray[np.intp] | None = None
    ) -> None:
        """Keep these points as those handed out and not told.

        Parameters
        ----------
        X : ndarray of shape (n_pending, n_features)
            The points.
        repeats : ndarray of int of shape (n_pending,), default=None
            How many results of each were known when it was handed out; None for none of any.
        """
        known = {row[1 : 1 + self._n_features]: row[1:] for row in self._known().pending}
        points = [tuple(row) for row in (X + 0.0).tolist()]
        numbers = [0] * len(X) if repeats is None else repeats.tolist()
        extras = [json.dumps({"repeat": number}) if number else None for number in numbers]
        now = _now()
        rows = [
            (i, *known.get(x, (*x, now, None, extra)))
            for i, (x, extra) in enumerate(zip(points, extras, strict=True), 1)
        ]
        with self._transaction() as connection:
            connection.execute("DELETE FROM pending")
            insert(connection, "pending", rows)
            reseal(connection, "pending", self._journal)

    def seed(self, seed: int) -> int:
        """Return the seed that the journal was begun with, which is this one in a new journal."""
        known = self._known().facts.get("seed")
        if known is None:
            self._set_facts({"seed": str(seed)})
            return seed
        if not known.isdecimal():
            raise JournalError(f"journal must hold a seed that is a number; got {known!r}.")
        return int(known)

    def rescue(self, lost: Iterable[tuple[int, NDArray[np.float64], list[Outcome], bool]]) -> str:
        """Write a journal beside one that was taken away; say where, "" if there is no need or way.

        Parameters
        ----------
        lost : iterable of tuple
            What `write` was called with and could not write.
        """
        if self._is_there() or Path(f"{self._file}-journal").exists():
            # That one would be of another file by this name, and be taken for one of ours.
            return ""
        target = next(path for path in _names_beside(self._file) if not path.exists())
        try:
            with closing(connect(target, "rwc")) as copy:
                self._connection.backup(copy)
            with closing(JournalWriter(JournalMemory(target), *self._problem)) as writer:
                for arguments in lost:
                    writer.write(*arguments)
        except (JournalError, sqlite3.Error, OSError):
            with suppress(OSError):
                target.unlink()
            return ""
        return f" All of its rows are in {target}."

    def finish(self) -> None:
        """Raise an error unless the file is still the one that was written.

        Raises
        ------
        JournalError
            If it was deleted, replaced or cut; its samples are then in another file, where
            possible.
        """
        try:
            self._check_file()
        except JournalError as error:
            raise JournalError(f"{error}{self.rescue([])}") from error

    def close(self) -> None:
        """Let the next writer in."""
        if hasattr(self, "_connection"):
            self._connection.close()
        self._lock.release()

    def _append(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Write entries, all of them or none."""
        ended, new = _now(), Counter[bytes]()
        n_rows, previous, last = self._head
        entries: list[Entry] = []
        for n_round, x, value, status, error, duration, *amended in rows:
            key = row_keys(x[None])[0]
            entry = Entry(
                last + len(entries) + 1,
                n_round,
                self._memory.n_repeats(key) + new[key],
                tuple((x + 0.0).tolist()),
                self._cells(value),
                status,
                error,
                None if duration is None else float(duration),
                ended,
                None,
                amended[0] if amended else None,
                None,
                previous,
                "",
            ).signed(self._journal)
            new[key] += status in ("done", "failed") and not amended
            previous = entry.digest
            entries.append(entry)
        if not entries:
            return
        head = Head(n_rows + len(entries), previous, entries[-1].id)
        with self._transaction() as connection:
            insert(connection, "evaluations", [entry.cells for entry in entries])
            reseal(connection, "evaluations", self._journal, head[:2])
        self._memory.take(entries, head)

    def _cells(self, value: Any) -> tuple[float | None, ...]:
        """Return a value as it stands in the columns of the outputs."""
        if value is None:
            return (None,) * self._n_outputs
        return tuple((np.ravel(value) + 0.0).tolist())

    def _set_facts(self, facts: dict[str, str]) -> None:
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())
            reseal(connection, "facts", self._journal)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all of the block or nothing, into the file that this writer left."""
        self._check_file()
        connection = self._connection
        with self._named_errors():
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._check_head()
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                raise
        self._note_file()

    def _check_head(self) -> None:
        query = "SELECT n_rows, digest FROM seals WHERE name = 'evaluations'"
        if self._connection.execute(query).fetchone() != self._head[:2]:
            self._refuse_other_rows()

    def _refuse_other_rows(self) -> NoReturn:
        raise JournalError(
            f"journal must not be changed by another program while a run writes it; got "
            f"{self.path} with other rows than this run has written."
        )

    def _check_file(self) -> None:
        """Raise an error unless the file of this name is still the one that was opened."""
        try:
            found = self._file.stat()
        except OSError as error:
            raise JournalError(
                f"journal must stay where it is while a run writes it; {self.path} was deleted or "
                f"moved: {error}."
            ) from error
        if (found.st_dev, found.st_ino) != self._identity:
            raise JournalError(
                f"journal must stay where it is while a run writes it; {self.path} was replaced by "
                "another file."
            )
        if found.st_size < self._size:
            raise JournalError(
                f"journal must stay as it is while a run writes it; {self.path} was cut from "
                f"{self._size} to {found.st_size} bytes."
            )

    def _is_there(self) -> bool:
        try:
            self._check_file()
        except JournalError:
            return False
        return True

    def _note_file(self) -> None:
        with suppress(OSError):
            found = self._file.stat()
            self._identity, self._size = (found.st_dev, found.st_ino), found.st_size

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Let an error of the database name the journal."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise JournalError(
                f"journal must be a file that can be written to; got {self.path}: {error}."
            ) from error
        except DAMAGE as error:
            raise JournalError(
                f"journal must be a journal of evaluations; got {self.path}: {error}."
            ) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _names_beside(path: Path) -> Iterator[Path]:
    yield Path(f"{path}.rescued")
    number = 1
    while True:
        number += 1
        yield Path(f"{path}.rescued-{number}")
