"""What to do next about an optimum, and how many evaluations that takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.diagnosis._edges import sides_of
from sklearn_proxyopt.diagnosis._evidence import Evidence
from sklearn_proxyopt.diagnosis._question import Question
from sklearn_proxyopt.diagnosis._wording import number, point_in_words

__all__ = ["MOVE_ON", "Advice"]

MOVE_ON = "move on: inspection.near_optimal tells how far you may move"

_N_STEPS = 3
# From this share of the refitted models on that have their optimum elsewhere, one looks there.
_SHARE_ELSEWHERE = 0.3
# Bounds on which refitted models may differ, as a mean of them, without a doubt about all.
_EDGES_IN_DOUBT = 0.5
# Samples that are added at once, and most that an estimate may tell of.
_N_MORE, _MOST = 10, 1000
# Errors fall with this power of the number of samples a variable, as they did on the functions that
# the verdict was learned from; and the logarithm of the most that samples may grow.
_ORDER, _MOST_GROWTH = 6.0, 7.0


@dataclass(frozen=True)
class Advice:
    """What to do next.

    Parameters
    ----------
    question : Question
        What is judged.
    evidence : Evidence
        What is known, to be minimized.
    numbers : dict of str to float
        Its numbers, in units of the regret.
    verdict : {"credible", "doubtful", "false"}
        The verdict.
    sides_taken : dict of str to bool
        Of the numbers that a given reason tells of, whether it speaks for the optimum.
    """

    question: Question
    evidence: Evidence
    numbers: dict[str, float]
    verdict: str
    sides_taken: dict[str, bool]

    @property
    def steps(self) -> list[str]:
        """At most three steps, the most urgent first."""
        return [step for step in self._in_order() if step][:_N_STEPS]

    def _in_order(self) -> list[str]:
        if self.numbers["known_regret"] > 1.0:
            return [self._take_the_best(), self._widen(self.question.x_best)]
        if self.verdict == "credible":
            widen = self._widen(self.question.x) if self._agree_on_bounds else ""
            return [widen or MOVE_ON]
        return [
            self._tell_noise(),
            self._measure_here(),
            self._repeat(),
            self._widen_where_believed(),
            self._search_elsewhere(),
            self._add_samples(),
        ]

    @property
    def n_to_settle(self) -> int | None:
        """Evaluations after which the verdict is expected to be settled; None if none can tell."""
        if self.verdict == "credible" or self.numbers["known_regret"] > 1.0:
            return 0
        if self.numbers["noise_or_structure"] > 1.0:
            # One repeat tells which of the two it is.
            return 1
        if self.numbers["r2_unseen"] <= 0.0:
            return None
        n = self._n_here + self._n_repeats + self._n_rivals + self._n_samples
        return None if n > _MOST else max(n, 1)

    @property
    def _n_here(self) -> int:
        return int(np.isnan(self.evidence.measured))

    @property
    def _n_repeats(self) -> int:
        """Repeats that average the noise down to the regret."""
        noise = self.numbers["noise"]
        return int(np.ceil(noise**2)) if noise > 1.0 else 0

    @property
    def _n_rivals(self) -> int:
        """Other points that may be lower by more than the regret."""
        return int((self.evidence.rival_lows < self._here - self.question.regret).sum())

    @property
    def _n_samples(self) -> int:
        """Samples with which the errors among the best and the chosen ones fall to the regret."""
        errors = [self.numbers["error_of_best"], self.numbers["error_of_chosen"]]
        excess = np.nanmax([*errors, 1.0])
        n_rows, n_axes = self.evidence.rows.shape
        growth = np.exp(min(np.log(excess) * n_axes / _ORDER, _MOST_GROWTH))
        return int(np.ceil(n_rows * (growth - 1.0)))

    @property
    def _here(self) -> float:
        measured = self.evidence.measured
        return self.evidence.predicted if np.isnan(measured) else measured

    def _take_the_best(self) -> str:
        value = number(self.question.goal.value(self.evidence.lowest_known))
        return f"start again from {self._point(self.question.x_best)}, where {value} was measured"

    def _measure_here(self) -> str:
        if not self._n_here:
            return ""
        low, high = self.question.goal.interval(self.evidence.band())
        between = f"between {number(low)} and {number(high)} with a probability of 90 %"
        return f"measure {self._point(self.question.x)}: expected {between}"

    def _tell_noise(self) -> str:
        noise = self.numbers["noise_or_structure"]
        if noise < 1.0:
            return ""
        return (
            f"repeat {self._point(self.question.x_best)}: one repeat tells whether the scatter of "
            f"values ({number(noise * self.question.regret)}) is noise"
        )

    def _repeat(self) -> str:
        if not self._n_repeats:
            return ""
        noise, tolerance = number(self.evidence.noise), number(self.question.regret)
        return (
            f"repeat {self._point(self.question.x)} {self._n_repeats} times: the noise ({noise}) "
            f"is larger than the tolerance ({tolerance})"
        )

    def _search_elsewhere(self) -> str:
        share = self.numbers["share_elsewhere"]
        is_denied = self.sides_taken.get("share_elsewhere", False)
        if is_denied or share < _SHARE_ELSEWHERE or not len(self.evidence.rivals):
            return ""
        rival = self.question.variables.from_unit_cube(self.evidence.rivals[:1])[0]
        return (
            f"measure {self._point(rival)}: {number(100.0 * share)} % of the models refitted on "
            "half of the data have their optimum elsewhere"
        )

    def _widen_where_believed(self) -> str:
        """Advise to widen a bound if the value measured at it is as predicted, or to look first."""
        if self.verdict == "false" or not self._agree_on_bounds:
            return ""
        if self._n_here:
            return self._widen(self.question.x, "measure there, and if the prediction comes true, ")
        return self._widen(self.question.x) if self.numbers["error_at_optimum"] <= 1.0 else ""

    @property
    def _agree_on_bounds(self) -> bool:
        """Whether the refitted models have their optima at the same bounds."""
        return self.numbers["edges_in_doubt"] <= _EDGES_IN_DOUBT

    def _widen(self, x: NDArray[np.float64], condition: str = "") -> str:
        """Name a bound at which a point lies."""
        sides = sides_of(x[None], self.question.variables)[0]
        if not sides.any():
            return ""
        place = int(np.flatnonzero(sides)[0])
        side, column = ("lower", 0) if sides[place] < 0 else ("upper", 1)
        name = list(self.question.variables.named(x))[place]
        bound = number(self.question.variables.bounds[place, column])
        why = "the optimum lies at it"
        return f"{condition}widen the {side} bound of {name} ({bound}) if you may: {why}"

    def _add_samples(self) -> str:
        if self.question.mode == "refined":
            n_rows = int(self.evidence.n_repeats.sum())
            return f"go on with X=X_, y=y_ and a budget of {n_rows} more, as many as there were"
        return f"add {_N_MORE} samples around {self._point(self.question.x)} and learn again"

    def _point(self, x: NDArray[np.float64]) -> str:
        return f"({point_in_words(self.question.variables.named(x))})"
