"""A line of progress that is written over, where it can be, and callbacks that show one."""

from __future__ import annotations

import shutil
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TextIO

import numpy as np

from sklearn_proxyopt._run._progress import as_clock

__all__ = ["LineCallback", "ProgressLine"]

_BAR = 16
# Seconds between two pictures of the line, and between two lines in a file.
_SHORT, _LONG = 0.1, 30.0


class ProgressLine:
    """One line that is written over in a terminal and in a notebook, and many in a file.

    Parameters
    ----------
    file : file object or None
        Where to write; None for the standard output.
    parts_of : callable
        Returns the texts of the line, to which the time so far and left is added.
    share_of : callable
        Returns how much is done, between 0 and 1, or None where that is not known.
    """

    def __init__(
        self,
        file: TextIO | None,
        parts_of: Callable[[], list[str]],
        share_of: Callable[[], float | None],
    ) -> None:
        self._file, self._parts_of, self._share_of = file, parts_of, share_of
        self._start = self._part_start = time.monotonic()
        self._last, self._width = -np.inf, 0

    def begin_part(self) -> None:
        """Let the share, and with it the time left, be of what begins now."""
        self._part_start = time.monotonic()

    def show(self, is_last: bool = False) -> None:
        """Write the line, unless it was written just now."""
        now, file = time.monotonic(), self._file or sys.stdout
        is_live = _is_live(file)
        if not is_last and now - self._last < (_SHORT if is_live else _LONG):
            return
        self._last = now
        text = "  ".join([*self._parts_of(), *self._times(now)])
        if not is_live:
            print(text, file=file, flush=True)
            return
        room = shutil.get_terminal_size().columns - 1
        text = f"{self._bar(room - len(text))}{text}"[:room]
        # Blanks cover what a longer line has left behind.
        end = "\n" if is_last else ""
        print(f"\r{text:<{self._width}}", end=end, file=file, flush=True)
        self._width = len(text)

    def _times(self, now: float) -> list[str]:
        """Return the time so far, and that left if it goes on as before."""
        share, times = self._share_of(), [as_clock(now - self._start)]
        if share:
            left = (now - self._part_start) * (1.0 / share - 1.0)
            times.append(f"{as_clock(left)} left")
        return times

    def _bar(self, room: int) -> str:
        """Return a bar of what is done, if that is known and there is room for it."""
        share = self._share_of()
        if share is None or room < _BAR + 3:
            return ""
        n_full = int(_BAR * share)
        return f"[{'#' * n_full}{'.' * (_BAR - n_full)}] "


class LineCallback(ABC):
    """A callback that shows one line.

    Parameters
    ----------
    file : file object, default=None
        Where to write, as of `print`; None for the standard output.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        if file is not None and not hasattr(file, "write"):
            raise ValueError(f"file must be a file object or None; got {file!r}.")
        self.file = file

    def setup(self, estimator: Any, context: Any) -> None:
        """Begin the line.

        Parameters
        ----------
        estimator : estimator
            The one that runs.
        context : sklearn.callback.CallbackContext
            Its task.
        """
        self._facts = dict[str, Any]()
        self._line = ProgressLine(self.file, self._parts, self._share)

    def teardown(self, estimator: Any, context: Any) -> None:
        """Leave the line as it is.

        Parameters
        ----------
        estimator : estimator
            The one that ran.
        context : sklearn.callback.CallbackContext
            Its task.
        """
        self._line.show(is_last=True)

    @abstractmethod
    def _parts(self) -> list[str]:
        """Return the texts of the line, without the time."""

    @abstractmethod
    def _share(self) -> float | None:
        """Return how much is done, None where that is not known."""


def _is_live(file: Any) -> bool:
    """Tell whether a line can be written over: in a terminal, and in a notebook."""
    if getattr(file, "isatty", lambda: False)():
        return True
    return type(file).__module__.partition(".")[0] == "ipykernel"
