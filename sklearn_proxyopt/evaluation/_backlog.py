"""Evaluations on their way into a journal that may refuse them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.evaluation._call import Outcome
from sklearn_proxyopt.evaluation._journal_writer import JournalWriter
from sklearn_proxyopt.exceptions import JournalError

__all__ = ["Backlog"]

_MOST_SHOWN = 5


class Backlog:
    """Writes evaluations into a journal, and keeps those that it could not write.

    Parameters
    ----------
    journal : JournalWriter or None
        The journal; None writes nothing.
    n_round : int
        The batch that the evaluations were asked for in.
    is_final : bool
        Whether one that failed is not tried again by the next run.

    Attributes
    ----------
    error : JournalError or None
        The first error of the journal: no further evaluation is to begin.
    """

    def __init__(self, journal: JournalWriter | None, n_round: int, is_final: bool) -> None:
        self._journal = journal
        self._n_round, self._is_final = n_round, is_final
        self._left: list[tuple[int, NDArray[np.float64], list[Outcome], bool]] = []
        self.error: JournalError | None = None

    def write(self, X: NDArray[np.float64], results: list[Outcome]) -> None:
        """Write evaluations, after those that are left."""
        if self._journal is None:
            return
        self._left.append((self._n_round, X, results, self._is_final))
        try:
            while self._left:
                self._journal.write(*self._left[0])
                del self._left[0]
        except JournalError as error:
            self.error = self.error or error

    def finish(self) -> None:
        """Raise the error of the journal, if there was one, and say where the evaluations are."""
        if self.error is None:
            return
        assert self._journal is not None
        where = " What was evaluated is in it by now."
        if self._left:
            where = self._journal.rescue(self._left) or f" Not in it: {self._listed()}."
        raise JournalError(f"{self.error}{where}") from self.error

    def _listed(self) -> str:
        pairs = [
            f"{x.tolist()} gave {np.asarray(outcome.value).tolist()}"
            for _, X, results, _ in self._left
            for x, outcome in zip(X, results, strict=True)
        ]
        n_others = len(pairs) - _MOST_SHOWN
        return "; ".join(pairs[:_MOST_SHOWN]) + (f"; and {n_others} more" if n_others > 0 else "")
