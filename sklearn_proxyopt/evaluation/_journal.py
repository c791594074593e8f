"""The journal of paid evaluations: a SQLite file that anyone can read."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.evaluation._journal_format import (
    check_format,
    connect,
    n_features_of,
    n_outputs_of,
    pending_points,
    value_columns,
    x_columns,
)
from sklearn_proxyopt.evaluation._journal_writer import JournalWriter
from sklearn_proxyopt.exceptions import JournalError

__all__ = ["Journal"]


class Journal:
    """The evaluations of one function, each on disk before it was used.

    A `ProxyOptimizer` writes it where it is given a path as `journal`; a run that was killed then
    goes on from it when the same program is started again. This class reads it, also while it is
    being written. It is a SQLite file of plain numbers and text: any tool that reads SQLite reads
    it too.

    Parameters
    ----------
    path : str or path-like
        The file.

    See Also
    --------
    sklearn_proxyopt.ProxyOptimizer : Writes a journal by its parameter `journal`.

    Notes
    -----
    The table `evaluations` has a row for each evaluation: `id`, in the order in which they ended;
    `round`, the batch it was asked for in; the inputs `x0`, `x1`, ...; `value`, and for a function
    of several outputs `value1`, `value2`, ...; `status`, "done", "failed", or "raised" for a
    failure that ended the run and is tried again by the next; `error`, what went wrong;
    `duration` in seconds; `ended`, the time in UTC. The table `variables` has the name and the
    bounds of each input, where they were given; the table `facts` tells under `kinds` which are
    whole numbers, and the labels of categories. The table `pending`, there after the first `ask`,
    has the inputs of the points that were asked for and not told yet.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn_proxyopt import ProxyOptimizer
    >>> from sklearn_proxyopt.evaluation import Journal
    >>> from sklearn_proxyopt.problems import Rosenbrock
    >>> from sklearn_proxyopt.samplers import SobolSampler
    >>> path = os.path.join(tempfile.mkdtemp(), "runs.sqlite")
    >>> problem = Rosenbrock(n_dims=2)
    >>> optimizer = ProxyOptimizer(sampler=SobolSampler(64), journal=path, random_state=0)
    >>> result = optimizer.minimize(problem, problem.bounds)
    >>> len(Journal(path)) == result.nfev
    True
    >>> optimizer = ProxyOptimizer(sampler=SobolSampler(64), journal=path, random_state=0)
    >>> optimizer.minimize(problem, problem.bounds).nfev
    0
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not isinstance(path, str | os.PathLike):
            raise ValueError(f"journal must be a path or None; got {path!r}.")
        self.path = Path(path)

    def __len__(self) -> int:
        with self._reading() as connection:
            count: int = connection.execute("SELECT count(*) FROM evaluations").fetchone()[0]
        return count

    def n_outputs(self) -> int:
        """Return the number of outputs of the function.

        Returns
        -------
        int
            How many numbers the value of a row is made of.
        """
        with self._reading() as connection:
            return n_outputs_of(connection)

    def names(self) -> list[str] | None:
        """Return the names of the inputs.

        Returns
        -------
        list of str or None
            A name for each, None where they have none.
        """
        with self._reading() as connection:
            found = connection.execute("SELECT name FROM variables ORDER BY position").fetchall()
        return [name for (name,) in found] if all(name for (name,) in found) else None

    def rows(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return every row and value of the evaluations that succeeded.

        Returns
        -------
        X : ndarray of shape (n_rows, n_features)
            The rows, in the order in which their evaluations ended.
        y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            Their values, a row each where there are several outputs.
        """
        return self._select("done")

    def failed_rows(self) -> NDArray[np.float64]:
        """Return the rows whose evaluation failed.

        Returns
        -------
        ndarray of shape (n_failed, n_features)
            The rows, in the order in which their evaluations ended.
        """
        return self._select("failed")[0]

    def pending_points(self) -> NDArray[np.float64]:
        """Return the points that `ask` handed out and nobody told yet.

        Returns
        -------
        ndarray of shape (n_pending, n_features)
            The points, in the order in which they were handed out.
        """
        with self._reading() as connection:
            return pending_points(connection)

    def _select(self, status: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        with self._reading() as connection:
            n_features = n_features_of(connection)
            n_outputs = n_outputs_of(connection)
            columns = f"{x_columns(n_features)}, {value_columns(n_outputs)}"
            found = connection.execute(
                f"SELECT {columns} FROM evaluations WHERE status = ? ORDER BY id", (status,)
            ).fetchall()
        table = np.array(found, dtype=np.float64).reshape(-1, n_features + n_outputs)
        values = table[:, n_features] if n_outputs == 1 else table[:, n_features:]
        return table[:, :n_features].copy(), values.copy()

    def to_frame(self) -> Any:
        """Return every evaluation as a table.

        Returns
        -------
        pandas.DataFrame
            The columns of the table `evaluations`, with the inputs under their names where they
            have any; one that has the name of another column, such as `value`, has an underscore
            after it, `value_`. Needs pandas.
        """
        import pandas as pd

        names = self.names() or []
        with self._reading() as connection:
            frame = pd.read_sql_query("SELECT * FROM evaluations ORDER BY id", connection)
        frame = frame.set_index("id")
        inputs = [f"x{i}" for i in range(len(names))]
        others = {frame.index.name, *frame.columns} - set(inputs)
        return frame.rename(columns=dict(zip(inputs, _told_apart(names, others), strict=True)))

    @contextmanager
    def writing(
        self,
        n_features: int,
        bounds: NDArray[np.float64] | None = None,
        names: Iterable[str] | None = None,
        *,
        n_outputs: int = 1,
        kinds: dict[str, Any] | None = None,
        patience: float = 0.0,
    ) -> Iterator[JournalWriter]:
        """Open the journal as its only writer.

        Parameters
        ----------
        n_features : int
            Number of inputs of the function.
        bounds : ndarray of shape (n_features, 2), default=None
            The box, where the user gave one.
        names : sequence of str, default=None
            Names of the inputs, where they have any.
        n_outputs : int, default=1
            Number of outputs of the function.
        kinds : dict, default=None
            The places of whole numbers under "whole", the labels of categories by their place under
            "categories". None takes all inputs to be continuous.
        patience : float, default=0.0
            Seconds to wait for another writer to end before raising; infinity waits as long as it
            takes.

        Yields
        ------
        JournalWriter
            Open until the end of the block.

        Raises
        ------
        JournalError
            If another process is writing, if the journal is of another problem, or if the file is
            no journal.
        """
        known = None if names is None else [str(name) for name in names]
        writer = JournalWriter(self.path, n_features, bounds, known, patience, n_outputs, kinds)
        try:
            yield writer
        finally:
            writer.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if not self.path.exists():
            raise JournalError(f"journal must be an existing file; got {self.path}.")
        connection = connect(self.path)
        try:
            check_format(connection, self.path)
            yield connection
        finally:
            connection.close()

    def __repr__(self) -> str:
        return f"Journal({str(self.path)!r})"


def _told_apart(names: list[str], others: set[str]) -> list[str]:
    """Return names with underscores after those that are among others."""
    labels = []
    for name in names:
        label = name
        while label in others or (label != name and label in names):
            label += "_"
        labels.append(label)
    return labels
