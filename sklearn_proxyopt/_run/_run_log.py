"""How each sample came to be known: when, why, and what it took."""

from __future__ import annotations

import copy
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._dataset import Dataset, row_keys
from sklearn_proxyopt._utils._pandas import add_notes, numbered, pandas_for
from sklearn_proxyopt.evaluation import Journal
from sklearn_proxyopt.variables import Variables

__all__ = ["History", "RunLog", "frame_of_samples"]

_GIVEN = "given"


@dataclass(frozen=True)
class _Entry:
    """An evaluation: its index among all, and what is noted about it."""

    place: int
    stage: str
    n_round: int | None = None
    seconds: float | None = None
    error: str | None = None
    ended: float | None = None


class RunLog:
    """What is noted of evaluations beside their values.

    Attributes
    ----------
    stage : str
        The phase to which the next evaluations belong.
    """

    def __init__(self) -> None:
        self.stage = _GIVEN
        self._entries: dict[bytes, list[_Entry]] = defaultdict(list)
        self._reasons: dict[bytes, str] = {}
        self._n_entries = 0

    def evaluated(self, x: NDArray[np.float64], n_round: int, seconds: float, error: str) -> None:
        """Note an evaluation of the objective."""
        self._add(x, self.stage, n_round, seconds, error or None, time.time())

    def told(self, X: NDArray[np.float64]) -> None:
        """Note results that were told."""
        for x in X:
            self._add(x, "told")

    def asked(self, X: NDArray[np.float64], reasons: list[str]) -> None:
        """Note why points were asked for."""
        self._reasons.update(zip(row_keys(X), reasons, strict=True))

    def _add(self, x: NDArray[np.float64], *facts: Any) -> None:
        self._entries[row_keys(x[None])[0]].append(_Entry(self._n_entries, *facts))
        self._n_entries += 1

    def recall(self, journal: Journal) -> None:
        """Note what a journal tells of evaluations that are not noted."""
        frame = journal.to_frame(labels=False)
        n_features = list(frame.columns).index("value") - 2
        keys = row_keys(frame.iloc[:, 2 : 2 + n_features].to_numpy(dtype=np.float64))
        places = [-len(keys) + place for place in range(len(keys))]
        ended = [datetime.fromisoformat(one).timestamp() for one in frame["ended"]]
        columns = (frame[name] for name in ("round", "duration", "error"))
        known = set(self._entries)
        for key, place, n_round, seconds, error, end in zip(
            keys, places, *columns, ended, strict=True
        ):
            if key not in known:
                is_round = np.isfinite(float(n_round if n_round is not None else np.nan))
                number = int(n_round) if is_round else None
                told = None if error is None or error != error else str(error)
                self._entries[key].append(_Entry(place, "journal", number, seconds, told, end))

    def entries_of(self, X: NDArray[np.float64], failed: bool) -> list[_Entry]:
        """Return the entry of each sample; repeats of a setting take theirs in turn."""
        left = {
            key: [
                one for one in entries if (one.error is not None) == failed or one.stage == "told"
            ]
            for key, entries in self._entries.items()
        }
        none = _Entry(-self._n_entries - len(X), _GIVEN)
        return [left[key].pop(0) if left.get(key) else none for key in row_keys(X)]

    def reasons_of(self, X: NDArray[np.float64]) -> list[str | None]:
        """Return why each sample was asked for, None where it was not."""
        return [self._reasons.get(key) for key in row_keys(X)]


@dataclass(frozen=True)
class History:
    """Every sample that is known, in the order in which they came.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        The samples.
    outputs : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Their values in the user's sign, NaN where an evaluation failed.
    entries : list of _Entry
        What is noted of each.
    reasons : list of str or None
        Why each was asked for.
    """

    X: NDArray[np.float64]
    outputs: NDArray[np.float64]
    entries: list[_Entry]
    reasons: list[str | None]

    @classmethod
    def of(
        cls, log: RunLog, data: Dataset, y: NDArray[np.float64], journal: Journal | None
    ) -> History:
        """Return the history of samples.

        Parameters
        ----------
        log : RunLog
            What is noted of them.
        data : Dataset
            The samples.
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Their values, as they are shown.
        journal : Journal or None
            Tells of evaluations of earlier runs.
        """
        if journal is not None:
            log = copy.deepcopy(log)
            log.recall(journal)
        X = data.evaluated
        entries = log.entries_of(data.X, False) + log.entries_of(data.X_failed, True)
        outputs = np.full((len(X), *y.shape[1:]), np.nan)
        outputs[: len(y)] = y
        reasons = log.reasons_of(X)
        order = np.argsort([one.place for one in entries], kind="stable")
        return cls(
            X[order], outputs[order], [entries[i] for i in order], [reasons[i] for i in order]
        )

    @property
    def stages(self) -> list[str]:
        """The phase of the run that each belongs to, or where it came from."""
        return [one.stage for one in self.entries]

    @property
    def seconds(self) -> NDArray[np.float64]:
        """What each took, NaN where that is not known."""
        return np.array([one.seconds for one in self.entries], dtype=np.float64)

    @property
    def ended(self) -> NDArray[np.float64]:
        """When the result of each was there, in seconds since 1970; NaN where not known."""
        return np.array([one.ended for one in self.entries], dtype=np.float64)


def frame_of_samples(
    history: History, variables: Variables, interval: NDArray[np.float64] | None
) -> Any:
    """Return samples as a table.

    Parameters
    ----------
    history : History
        The samples.
    variables : Variables
        Names and labels.
    interval : ndarray of shape (n_samples, n_outputs, 2) or None
        Where the values of each lie by the surrogate model, NaN where that is not known.

    Returns
    -------
    pandas.DataFrame
        Variables, values and notes.
    """
    pandas_for("to_frame")
    frame = variables.to_frame(history.X)
    outputs = history.outputs
    values = outputs[:, None] if outputs.ndim == 1 else outputs
    ends = np.full((*values.shape, 2), np.nan) if interval is None else interval
    table, n_outputs = np.dstack([values, ends]), values.shape[1]
    notes: dict[str, Any] = {
        numbered(name, output, n_outputs): table[:, output, place]
        for output in range(n_outputs)
        for place, name in enumerate(("value", "lower", "upper"))
    }
    notes |= {
        "round": [one.n_round for one in history.entries],
        "stage": history.stages,
        "reason": history.reasons,
        "seconds": [one.seconds for one in history.entries],
        "failure": [one.error for one in history.entries],
    }
    add_notes(frame, notes)
    return frame
