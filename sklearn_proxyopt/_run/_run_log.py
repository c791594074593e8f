"""How each sample came to be known: when, why, and what it took."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._dataset import Dataset, row_keys
from sklearn_proxyopt._utils._pandas import pandas_for
from sklearn_proxyopt.evaluation import Journal
from sklearn_proxyopt.variables import Variables

__all__ = ["RunLog", "frame_of_samples"]

_GIVEN = "given"


@dataclass(frozen=True)
class _Entry:
    """An evaluation: its place among all, and what is told of it."""

    place: int
    stage: str
    n_round: int | None = None
    seconds: float | None = None
    error: str | None = None


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
        self._add(x, self.stage, n_round, seconds, error or None)

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
        facts = zip(keys, places, frame["round"], frame["duration"], frame["error"], strict=True)
        known = set(self._entries)
        for key, place, n_round, seconds, error in facts:
            if key not in known:
                is_round = np.isfinite(float(n_round if n_round is not None else np.nan))
                number = int(n_round) if is_round else None
                told = None if error is None or error != error else str(error)
                self._entries[key].append(_Entry(place, "journal", number, seconds, told))

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


def frame_of_samples(
    log: RunLog, data: Dataset, y: NDArray[np.float64], variables: Variables
) -> Any:
    """Return samples as a table, in the order in which they came.

    Parameters
    ----------
    log : RunLog
        What is noted of them.
    data : Dataset
        The samples.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Their values, as they are shown.
    variables : Variables
        Names and labels.

    Returns
    -------
    pandas.DataFrame
        Variables, values and notes.
    """
    pandas_for("to_frame")
    X = data.evaluated
    entries = log.entries_of(data.X, False) + log.entries_of(data.X_failed, True)
    values = np.full((len(X), *y.shape[1:]), np.nan)
    values[: len(y)] = y
    frame, values = variables.to_frame(X), values.reshape(len(X), -1)
    columns: dict[str, Any] = {
        "value" if values.shape[1] == 1 else f"value_{i}": values[:, i]
        for i in range(values.shape[1])
    }
    columns |= {
        "round": [one.n_round for one in entries],
        "stage": [one.stage for one in entries],
        "reason": log.reasons_of(X),
        "seconds": [one.seconds for one in entries],
        "failure": [one.error for one in entries],
    }
    for name, column in columns.items():
        while name in frame.columns:
            name += "_"
        frame[name] = column
    order = np.argsort([one.place for one in entries], kind="stable")
    return frame.iloc[order].reset_index(drop=True)
