"""The journal of evaluations: a SQLite file that anyone can read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._html import card, table
from sklearn_proxyopt._utils._validation import check_bounds, check_integer
from sklearn_proxyopt.evaluation._journal_contents import Contents, inspect, read
from sklearn_proxyopt.evaluation._journal_file import reading
from sklearn_proxyopt.evaluation._journal_format import MOST_COLUMNS, as_text, columns_of
from sklearn_proxyopt.evaluation._journal_memory import JournalMemory
from sklearn_proxyopt.evaluation._journal_problem import kinds_known
from sklearn_proxyopt.evaluation._journal_rescue import back_up, repair
from sklearn_proxyopt.evaluation._journal_writer import JournalWriter
from sklearn_proxyopt.exceptions import JournalError

__all__ = ["Journal"]


class Journal:
    """The evaluations of one function, each on disk before it was used.

    A `ProxyOptimizer` with a path as `journal` writes it. If the run is killed, start the same
    program again: it goes on from the journal. This class reads a journal, also while it is being
    written. It is a SQLite file of plain numbers and text: any tool that reads SQLite reads it too.

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
    `round`, the batch it was asked for in; `repeat`, how often the same inputs were evaluated
    before; the inputs `x0`, `x1`, ...; `value`, and for a function of several outputs `value1`,
    `value2`, ...; `status`, "done", "failed", or "raised" for a failure that ended the run and is
    tried again by the next; `error`, what went wrong; `duration` in seconds; `ended`, the time in
    UTC. The table `variables` has the name and the bounds of each input, where they were given; the
    table `facts` tells under `kinds` which are integers, and the labels of categories. The table
    `pending` has the inputs of the points that were asked for and not told yet.

    Each row has a checksum that holds that of the row before, and the table `seals` has the number
    of samples. They are verified whenever the journal is read: a value that was changed, a row that
    was moved and one that is missing are errors. The user guide describes the format in full.

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
        self.path = _as_path(path, "journal", "a path or None")
        # What was read to write; the methods that read begin anew, and verify everything.
        self.memory = JournalMemory(self.path)

    def __len__(self) -> int:
        return len(self._contents().entries)

    def n_outputs(self) -> int:
        """Return the number of outputs of the function.

        Returns
        -------
        int
            How many numbers the value of a sample is made of.
        """
        return self._contents().n_outputs

    def names(self) -> list[str] | None:
        """Return the names of the inputs.

        Returns
        -------
        list of str or None
            A name for each, None where they have none.
        """
        return self._contents().names

    def kinds(self) -> dict[str, Any] | None:
        """Return what the inputs are, as the fact `kinds` of the file has it.

        Returns
        -------
        dict or None
            The indices of integers under "whole", labels by their index under "categories", and
            other kinds; None if no run has noted it.
        """
        return kinds_known(self._contents(), self.path)

    def rows(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return every sample and value of the evaluations that succeeded.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            The samples, in the order in which their evaluations ended.
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Their values, a row each where there are several outputs.
        """
        X, values = self._contents().rows("done")
        return X, values[:, 0] if values.shape[1] == 1 else values

    def failed_rows(self) -> NDArray[np.float64]:
        """Return the samples whose evaluation failed.

        Returns
        -------
        ndarray of shape (n_failed, n_features)
            The samples, in the order in which their evaluations ended.
        """
        return self._contents().rows("failed")[0]

    def pending_points(self) -> NDArray[np.float64]:
        """Return the points that `ask` handed out and nobody told yet.

        Returns
        -------
        ndarray of shape (n_pending, n_features)
            The points, in the order in which they were handed out.
        """
        return self._contents().pending_points

    def to_frame(self, *, labels: bool = True) -> Any:
        """Return every evaluation as a table.

        Parameters
        ----------
        labels : bool, default=True
            Whether categories have their labels, or the codes that the file holds.

        Returns
        -------
        pandas.DataFrame
            The columns of the table `evaluations` without its checksums, with the inputs under
            their names where they have any; one that has the name of another column, such as
            `value`, has an underscore after it, `value_`. Needs pandas.
        """
        import pandas as pd

        contents = self._contents()
        columns = columns_of(contents.n_features, contents.n_outputs)
        frame = pd.DataFrame([entry.cells for entry in contents.entries], columns=columns)
        frame = frame.drop(columns=["previous", "digest"]).set_index("id")
        if labels:
            _label(frame, kinds_known(contents, self.path) or {})
        names = contents.names or []
        inputs = [f"x{i}" for i in range(len(names))]
        others = {frame.index.name, *frame.columns} - set(inputs)
        return frame.rename(columns=dict(zip(inputs, _told_apart(names, others), strict=True)))

    def check(self) -> list[str]:
        """Return all that is wrong with the journal.

        Returns
        -------
        list of str
            A sentence for each row or table that does not match its checksum, that is missing or
            cannot be read, and for each row that was evaluated outside the bounds. Empty for a
            journal in order.

        Raises
        ------
        JournalError
            If the file is no journal, or is of another format.
        """
        with reading(self.path) as connection:
            contents = inspect(connection, self.path)
        return contents.findings or list(contents.outside())

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Copy the journal, also while it is being written.

        A copy made by the operating system may catch a half-written commit; this one never does.

        Parameters
        ----------
        path : str or path-like
            The copy: a new file, or an older copy of the same journal, which is replaced. It is
            there whole or not at all.
        """
        back_up(self.path, _as_path(path, "path"))

    def repair(self, path: str | os.PathLike[str]) -> list[str]:
        """Write what is whole in a damaged journal into a new one.

        Rows keep their numbers. The damaged file is left as it is.

        Parameters
        ----------
        path : str or path-like
            The new journal.

        Returns
        -------
        list of str
            A sentence for each row, or other part, that was left out.
        """
        return repair(self.path, _as_path(path, "path"))

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
            What the inputs are, as `kinds` returns it: the indices of integers under "whole",
            labels by their index under "categories", and other kinds. None takes all inputs to be
            continuous.
        patience : float, default=0.0
            Seconds to wait for another writer to end before raising; infinity waits as long as it
            takes.

        Yields
        ------
        JournalWriter
            Open until the end of the block.

        Raises
        ------
        ValueError
            If an argument is not what it must be.
        JournalError
            If another process is writing, if the journal is of another problem, if the file is no
            journal or a damaged one, or if it is deleted, replaced or changed meanwhile.
        """
        check_integer(n_features, "n_features", maximum=MOST_COLUMNS - 1)
        check_integer(n_outputs, "n_outputs", maximum=MOST_COLUMNS - n_features)
        if not isinstance(patience, Real) or not patience >= 0.0:
            raise ValueError(f"patience must be a number of seconds from 0 on; got {patience!r}.")
        box = None if bounds is None else check_bounds(bounds, n_features, allow_equal=True)
        known = None if names is None else _as_names(names, n_features)
        writer = JournalWriter(
            self.memory, n_features, box, known, float(patience), n_outputs, kinds
        )
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()

    def _contents(self) -> Contents:
        with reading(self.path) as connection:
            return read(connection, self.path)

    def __repr__(self) -> str:
        return f"Journal({str(self.path)!r})"

    def _repr_html_(self) -> str:
        rows: list[tuple[str, Any]] = [("journal", self.path)]
        try:
            return card(table(rows + _summary(self._contents())))
        except (JournalError, OSError) as error:
            return card(table([*rows, ("not readable", error)]))


def _summary(contents: Contents) -> list[tuple[str, Any]]:
    """Return what is in a journal, in a few lines."""
    values, failed = contents.rows("done")[1], contents.rows("failed")[0]
    names = contents.names or [f"x{place}" for place in range(contents.n_features)]
    ranges = [f"{low:.6g} to {high:.6g}" for low, high in _ends(values)]
    return [
        ("variables", ", ".join(names)),
        ("evaluated", f"{len(values) + len(failed)}, of which {len(failed)} failed"),
        ("asked for", f"{len(contents.pending_points)} points without a result"),
        ("values", "; ".join(ranges) or "none yet"),
    ]


def _ends(values: NDArray[np.float64]) -> Iterator[tuple[float, float]]:
    """Yield the lowest and the highest value of each output."""
    for column in values.T if len(values) else ():
        yield float(column.min()), float(column.max())


def _as_names(names: Any, n_features: int) -> list[str]:
    listed = [] if isinstance(names, str) or not np.iterable(names) else list(names)
    if len(listed) != n_features or not all(isinstance(name, str) for name in listed):
        raise ValueError(f"names must be {n_features} texts or None; got {names!r}.")
    return [as_text(name) for name in listed]


def _as_path(path: Any, name: str, what: str = "a path") -> Path:
    if not isinstance(path, str | os.PathLike) or "\0" in str(path):
        raise ValueError(f"{name} must be {what}; got {path!r}.")
    return Path(path)


def _label(frame: Any, kinds: dict[str, Any]) -> None:
    """Put labels into a table in the place of codes."""
    for place, known in kinds.get("categories", {}).items():
        codes = frame[f"x{place}"].astype(int)
        frame[f"x{place}"] = [known[code] for code in codes]


def _told_apart(names: list[str], others: set[str]) -> list[str]:
    """Return names with underscores after those that are among others."""
    labels = []
    for name in names:
        label = name
        while label in others or (label != name and label in names):
            label += "_"
        labels.append(label)
    return labels
