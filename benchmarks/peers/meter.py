"""A function that is paid for: calls counted and ended, the solver's own seconds set apart."""

from __future__ import annotations

import math
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["BudgetSpent", "Meter", "TimeSpent", "processor_limit", "processor_seconds"]


# No `Exception`: a solver that catches those of its objective must not swallow the end.
class BudgetSpent(BaseException):
    """The solver asked for one evaluation more than it has."""


class TimeSpent(BaseException):
    """The solver used up its processor seconds."""


def processor_seconds() -> float:
    """Return the processor seconds of this process and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@contextmanager
def processor_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeSpent` in the block once it has used that many processor seconds."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeSpent

    before = signal.signal(signal.SIGPROF, stop)
    # Again each second, as code that ignores exceptions, such as `__del__`, may meet the first.
    signal.setitimer(signal.ITIMER_PROF, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)


class Meter:
    """A problem on the unit cube, as a solver sees it.

    Parameters
    ----------
    problem : callable
        Takes a point of the box, of shape (dim,), and returns a value; NaN is a failed run.
    bounds : array-like of shape (dim, 2)
        The box.
    budget : int
        How many calls there are.
    failure_value : float, default=0.0
        What a solver that knows no failures is told instead of one.

    Attributes
    ----------
    values : list of float
        The value of each call, NaN where it failed.
    overhead : list of float
        The seconds that the solver had used for itself by the time of each call.
    """

    def __init__(
        self,
        problem: Callable[[NDArray[np.float64]], float],
        bounds: ArrayLike,
        budget: int,
        failure_value: float = 0.0,
    ) -> None:
        self._problem = problem
        self._lower, self._upper = np.asarray(bounds, dtype=float).T
        self.budget = budget
        self._failure_value = failure_value
        self.values: list[float] = []
        self.overhead: list[float] = []
        self._own_seconds = 0.0
        self._since = processor_seconds()

    @property
    def left(self) -> int:
        """How many calls are left."""
        return self.budget - len(self.values)

    def evaluate(self, point: ArrayLike) -> float:
        """Return the value at a point of the unit cube, NaN if the run fails."""
        self._own_seconds += processor_seconds() - self._since
        try:
            if not self.left:
                raise BudgetSpent
            unit = np.asarray(point, dtype=float).reshape(len(self._lower))
            if not ((unit >= -1e-9) & (unit <= 1 + 1e-9)).all():
                raise ValueError(f"point must lie in the unit cube; got {unit}.")
            x = self._lower + np.clip(unit, 0.0, 1.0) * (self._upper - self._lower)
            value = float(self._problem(x))
            self.values.append(value if math.isfinite(value) else math.nan)
            self.overhead.append(self._own_seconds)
        finally:
            self._since = processor_seconds()
        return self.values[-1]

    def __call__(self, point: ArrayLike) -> float:
        """Return the value at a point, a large one if the run fails."""
        value = self.evaluate(point)
        return self._failure_value if math.isnan(value) else value

    def close(self) -> float:
        """Return all the seconds that the solver used for itself."""
        self._own_seconds += processor_seconds() - self._since
        self._since = processor_seconds()
        return self._own_seconds
