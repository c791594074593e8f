"""What ends a run: its budget, a target, the time, or evaluations without a gain."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._feasibility import feasible_values
from sklearn_proxyopt._utils._goal import MINIMUM, Goal
from sklearn_proxyopt._utils._stopping import StopRun
from sklearn_proxyopt._utils._validation import check_integer, check_real
from sklearn_proxyopt.optimizers import hypervolume, nondominated

__all__ = ["FrontCriteria", "StoppingCriteria"]

# A lower value is a gain if it is lower by more than this share of its size.
_LEAST_GAIN = 1e-12


@dataclass
class StoppingCriteria:
    """What ends a run; None for no limit of that kind.

    Parameters
    ----------
    budget : int, default=None
        Samples that may be evaluated.
    target : float, default=None
        A value good enough, in the user's sign.
    max_seconds : float, default=None
        Seconds since `begin`.
    patience : int, default=None
        Samples evaluated one after another without a gain, looked at after each batch.
    goal : Goal, default=MINIMUM
        What is sought; outputs come to be minimized.
    """

    budget: int | None = None
    target: float | None = None
    max_seconds: float | None = None
    patience: int | None = None
    goal: Goal = MINIMUM
    n_evaluated: int = field(default=0, init=False)
    _lowest: float = field(default=float("inf"), init=False)
    # The value that a further one has to fall below to be a gain.
    _mark: float = field(default=float("inf"), init=False)
    _n_without_gain: int = field(default=0, init=False)
    _start: float = field(default=0.0, init=False)
    _reads_estimates: bool = field(default=False, init=False)

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

    def begin(self, outputs: NDArray[np.float64]) -> None:
        """Begin to count the time; note the outputs of samples that are known."""
        self._start = time.monotonic()
        self._gains(outputs)

    def read_estimates(self) -> None:
        """Take no single value for what it says from now on: values have noise."""
        if not self._reads_estimates:
            self._reads_estimates, self._lowest, self._mark = True, float("inf"), float("inf")
            self._n_without_gain = 0

    def estimate(self, lowest: float, at_most: float) -> None:
        """Note what the lowest value is estimated to be.

        Parameters
        ----------
        lowest : float
            The estimate, by which gains are told.
        at_most : float
            The upper end of its interval, by which a target is reached: among many estimates the
            lowest is often too low, above all early in a run.

        Raises
        ------
        StopRun
            If a limit has been reached.
        """
        self.read_estimates()
        self._lowest = lowest
        if self._marks_gain():
            self._n_without_gain = 0
        self._lowest = at_most
        self.count(0, np.empty(0))

    @property
    def reaches_target(self) -> bool:
        """Whether what was taken into account reaches the target."""
        return self.would_reach(self._lowest)

    def would_reach(self, lowest: float) -> bool:
        """Tell whether a value to be minimized would reach the target."""
        return self.target is not None and lowest <= self.goal.value(self.target)

    @property
    def n_left(self) -> float:
        """Samples that may still be evaluated."""
        return float("inf") if self.budget is None else self.budget - self.n_evaluated

    @property
    def budget_is_spent(self) -> str:
        """What is said when nothing is left of the budget."""
        return f"The budget of {self.budget} evaluations is spent."

    def lets_begin(self, outputs: NDArray[np.float64]) -> bool:
        """Tell whether target and time let another sample begin, with outputs not yet counted."""
        return not (self._reaches(outputs) or self._is_late)

    def count(self, n_new: int, outputs: NDArray[np.float64], was_cut: bool = False) -> None:
        """Count samples that were evaluated.

        Parameters
        ----------
        n_new : int
            How many.
        outputs : ndarray of shape (n,) or (n, n_outputs)
            Their outputs, NaN where they failed, and any of samples that were known.
        was_cut : bool, default=False
            Whether there were more of them than the budget allowed.

        Raises
        ------
        StopRun
            If a limit has been reached. A budget ends the run when more is asked for than it has.
        """
        self.n_evaluated += n_new
        # Before the first estimate there is nothing that could have been improved.
        begins = self._reads_estimates and not self._is_estimated
        has_gained = begins or self._gains(outputs)
        self._n_without_gain = 0 if has_gained else self._n_without_gain + n_new
        if self._reaches(outputs[:0]):
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

    @property
    def _is_estimated(self) -> bool:
        """Whether an estimate was noted."""
        return bool(np.isfinite(self._mark))

    def _gains(self, outputs: NDArray[np.float64]) -> bool:
        """Take outputs into account; tell whether they are better than all before."""
        if self._reads_estimates:
            return False
        self._lowest = min(self._lowest, _lowest_of(outputs))
        return self._marks_gain()

    def _marks_gain(self) -> bool:
        """Tell whether the lowest value is better than all before, and note it."""
        if not self._lowest < self._mark - _LEAST_GAIN * abs(self._lowest):
            return False
        self._mark = self._lowest
        return True

    def _reaches(self, outputs: NDArray[np.float64]) -> bool:
        """Tell whether the target is reached, with outputs that were not yet taken into account."""
        if self.target is None:
            return False
        new = np.inf if self._reads_estimates else _lowest_of(outputs)
        return min(self._lowest, new) <= self.goal.value(self.target)

    @property
    def _is_late(self) -> bool:
        return self.max_seconds is not None and time.monotonic() - self._start >= self.max_seconds


@dataclass
class FrontCriteria(StoppingCriteria):
    """What ends a run for a Pareto front.

    A target is a hypervolume; a gain is a sample that no sample before dominates. Where outputs
    have noise, both are of estimated fronts.

    Parameters
    ----------
    reference : ndarray of shape (n_objectives,) or None
        The corner that the hypervolume is measured from, of outputs to be minimized.
    """

    reference: NDArray[np.float64] | None = None
    _front: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), init=False)
    _estimated: NDArray[np.float64] | None = field(default=None, init=False)

    def read_estimates(self) -> None:
        """Take no single sample for what it says from now on: outputs have noise."""
        if not self._reads_estimates:
            self._front = np.empty(0)
        super().read_estimates()

    def estimate_front(self, outputs: NDArray[np.float64]) -> None:
        """Note what the outputs of the front are estimated to be, (n_points, n_outputs).

        Raises
        ------
        StopRun
            If a limit has been reached.
        """
        self.read_estimates()
        self._estimated = outputs
        if self._adds(outputs):
            self._n_without_gain = 0
        self.count(0, outputs[:0])

    @property
    def _is_estimated(self) -> bool:
        return self._estimated is not None

    def _gains(self, outputs: NDArray[np.float64]) -> bool:
        return not self._reads_estimates and self._adds(outputs)

    def _adds(self, outputs: NDArray[np.float64]) -> bool:
        """Tell whether outputs add to the front, and let them."""
        before = self._front
        self._front = self._front_with(outputs)
        return len(before) != len(self._front) or not np.array_equal(before, self._front)

    def _reaches(self, outputs: NDArray[np.float64]) -> bool:
        if self.target is None or self.reference is None:
            return False
        if not self._reads_estimates:
            front = self._front_with(outputs)
        elif self._estimated is not None:
            front = self._estimated
        else:
            return False
        return hypervolume(front[:, : len(self.reference)], self.reference) >= self.target

    def _front_with(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the outputs of the known front and of further samples, each once, in order."""
        outputs = outputs[np.isfinite(outputs).all(axis=1)]
        n = len(self.goal.directions)
        outputs = outputs[(outputs[:, n:] <= 0.0).all(axis=1)]
        every = np.unique(np.vstack([self._front.reshape(-1, outputs.shape[1]), outputs]), axis=0)
        return every[nondominated(every[:, :n])]


def _lowest_of(outputs: NDArray[np.float64]) -> float:
    """Return the lowest value of samples that keep their constraints, infinity if there is none."""
    return float(np.fmin.reduce(feasible_values(outputs), initial=np.inf))
