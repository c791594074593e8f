"""What ends a run: its budget, a target, the time, or evaluations without a gain."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from sklearn_proxyopt._utils._stopping import StopRun
from sklearn_proxyopt._utils._validation import check_integer, check_real

__all__ = ["StoppingCriteria"]

# A lower value is a gain if it is lower by more than this share of its size.
_LEAST_GAIN = 1e-12


@dataclass
class StoppingCriteria:
    """What ends a run; None for no limit of that kind.

    Parameters
    ----------
    budget : int, default=None
        Rows that may be evaluated.
    target : float, default=None
        A value low enough.
    max_seconds : float, default=None
        Seconds since `begin`.
    patience : int, default=None
        Rows evaluated one after another without a lower value, looked at after each batch.
    """

    budget: int | None = None
    target: float | None = None
    max_seconds: float | None = None
    patience: int | None = None
    n_evaluated: int = field(default=0, init=False)
    _lowest: float = field(default=float("inf"), init=False)
    _n_without_gain: int = field(default=0, init=False)
    _start: float = field(default=0.0, init=False)

    def check_parameters(self) -> None:
        """Raise an error that names the first limit that is out of its limits."""
        if self.budget is not None:
            check_integer(self.budget, "budget", minimum=4)
        if self.target is not None:
            check_real(self.target, "target")
        if self.max_seconds is not None:
            check_real(self.max_seconds, "max_seconds", minimum=0.0, include_minimum=False)
        if self.patience is not None:
            check_integer(self.patience, "patience")

    def begin(self) -> None:
        """Begin to count the time."""
        self._start = time.monotonic()

    @property
    def n_left(self) -> float:
        """Rows that may still be evaluated."""
        return float("inf") if self.budget is None else self.budget - self.n_evaluated

    @property
    def budget_is_spent(self) -> str:
        """What is said when nothing is left of the budget."""
        return f"The budget of {self.budget} evaluations is spent."

    def lets_begin(self, lowest: float) -> bool:
        """Tell whether the target and the time let another row begin, with this lowest value."""
        return not (self._is_low_enough(lowest) or self._is_late)

    def count(self, n_new: int, lowest: float, was_cut: bool = False) -> None:
        """Count rows that were evaluated, with the lowest value known now.

        Parameters
        ----------
        n_new : int
            How many.
        lowest : float
            The lowest value of all rows known, infinity if there is none.
        was_cut : bool, default=False
            Whether there were more of them than the budget allowed.

        Raises
        ------
        StopRun
            If a limit has been reached. A budget ends the run when more is asked for than it has.
        """
        self.n_evaluated += n_new
        if lowest < self._lowest - _LEAST_GAIN * abs(lowest):
            self._lowest, self._n_without_gain = lowest, 0
        else:
            self._n_without_gain += n_new
        if self._is_low_enough(lowest):
            raise StopRun(
                f"The target of {self.target:.6g} was reached after {self.n_evaluated} evaluations."
            )
        if was_cut:
            raise StopRun(self.budget_is_spent)
        if self.patience is not None and self._n_without_gain >= self.patience:
            raise StopRun(f"There was no gain within {self._n_without_gain} evaluations.")
        if self._is_late:
            raise StopRun(
                f"The time of {self.max_seconds:g} seconds is over, after {self.n_evaluated} "
                "evaluations."
            )

    def _is_low_enough(self, lowest: float) -> bool:
        return self.target is not None and lowest <= self.target

    @property
    def _is_late(self) -> bool:
        return self.max_seconds is not None and time.monotonic() - self._start >= self.max_seconds
