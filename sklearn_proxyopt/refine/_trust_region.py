"""A region around the best sample of a descent, as large as its quadratic can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._distances import SAME_POINT, along_farthest_axis, smallest
from sklearn_proxyopt.refine._ledger import Ledger
from sklearn_proxyopt.refine._local_model import LocalModel, most_samples
from sklearn_proxyopt.refine._local_process import Settings

__all__ = ["RegionStep", "TrustRegion"]

# The region has ended when half of its width is smaller than this, and never becomes larger than
# the cube.
_SMALLEST, _LARGEST = 1e-7, 1.0
# It grows where more than so much of a predicted gain came true in a step of some length, and
# shrinks where less than so much did.
_GOOD, _BAD, _LONG = 0.5, 0.1, 0.5
_FACTOR = 2.0
# The quadratic learns samples within so many half widths, but always two for each variable.
_REACH = 3.0
# As long as fewer samples than variables lie within so many half widths, a quadratic that was wrong
# is shown another sample before the region shrinks.
_NEAR = 2.0
# Less than this share of the height of the samples that were learned is no gain.
_NO_GAIN = 1e-10
# So many predictions tell whether it can be trusted.
_N_LATEST = 4


@dataclass
class RegionStep:
    """A point to evaluate, and the gain that the quadratic predicts, NaN where it only learns."""

    point: NDArray[np.float64]
    predicted_gain: float


class TrustRegion:
    """Steps to the minimum of a quadratic inside a cube that grows and shrinks.

    The quadratic is the mean of a local process of the samples nearby, so that few samples suffice
    and the limits of the box are met exactly. Half of the predicted gain lets the region grow; a
    quadratic that was wrong is shown the direction that its samples tell the least of, and once
    they span all, the region shrinks.

    Parameters
    ----------
    ledger : Ledger
        What is known.
    width : float
        Half its width at first, as a share of the unit cube's.
    is_fixed : ndarray of bool of shape (n_features,), default=None
        The axes along which it has no width.

    Attributes
    ----------
    width : float
        Half the width of the region, as a share of the unit cube's.
    has_converged : bool
        Whether nothing is to be gained from the center of the last step.
    """

    def __init__(
        self, ledger: Ledger, width: float, is_fixed: NDArray[np.bool_] | None = None
    ) -> None:
        self._ledger, self._first_width = ledger, width
        self._is_free = np.ones(len(ledger.bounds), dtype=bool) if is_fixed is None else ~is_fixed
        self.width = width
        self.has_converged = False
        self._kept = [True] * _N_LATEST
        self._settings: list[Settings] = []
        self._margin = np.zeros(1)
        self._center: NDArray[np.float64] | None = None
        self._was_wrong = False
        # How far samples lie from a point along the axis where they are farthest, and the point.
        self._away: NDArray[np.float64] = np.empty(0)
        self._away_from: NDArray[np.float64] | None = None

    @property
    def is_trusted(self) -> bool:
        """Whether half of the latest predictions came true."""
        return bool(np.mean(self._kept) >= 0.5)

    def next(self, center: NDArray[np.float64], is_kin: NDArray[np.bool_]) -> RegionStep | None:
        """Return the next point to evaluate, None if nothing is to be gained.

        Parameters
        ----------
        center : ndarray of shape (n_features,)
            The best sample, around which the region lies.
        is_kin : ndarray of bool of shape (n,)
            Which of the samples known may be learned.
        """
        self._move(center)
        near = self._nearest(center, is_kin)
        while self.width >= _SMALLEST:
            model, height = self._learn(center, near)
            if not (self._was_wrong and self._lacks_rows(center)):
                step = self._minimum(model, center)
                if step is not None and step.predicted_gain > _NO_GAIN * height:
                    return step
            if self._lacks_rows(center):
                step = self._direction_unknown(model, center)
                if step is not None:
                    return step
            self.width /= _FACTOR
            self._was_wrong = False
        self.has_converged = True
        return None

    def _move(self, center: NDArray[np.float64]) -> None:
        """Go on around another center, which may have been found from elsewhere."""
        if self._center is not None:
            distance = float(np.abs(center - self._center).max())
            if distance > 0.0:
                self.has_converged = False
            if distance > 1.01 * self.width:
                self.width = min(distance, self._first_width)
        self._center = center

    def learn(self, step: RegionStep, gain: float) -> None:
        """Take in what a step has gained, minus infinity where it failed."""
        self._was_wrong = False
        if np.isnan(step.predicted_gain):
            return
        kept = gain / step.predicted_gain
        assert self._center is not None
        length = float(np.abs(step.point - self._center).max())
        self._kept = [*self._kept[1:], kept >= _GOOD]
        if kept >= _GOOD:
            if length > _LONG * self.width:
                self.width = min(_FACTOR * self.width, _LARGEST)
        elif kept < _BAD:
            if self._lacks_rows(self._center):
                self._was_wrong = True
            else:
                self.width /= _FACTOR

    def _distances(self, center: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far samples lie from the center; those seen before are not measured again."""
        if self._away_from is None or (center != self._away_from).any():
            self._away, self._away_from = np.empty(0), center
        new = self._ledger.points[len(self._away) :]
        self._away = np.append(self._away, along_farthest_axis(new, center))
        return self._away

    def _nearest(self, center: NDArray[np.float64], is_kin: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return the places of as many samples as may be learned, the nearest first."""
        away = np.where(is_kin, self._distances(center), np.inf)
        near = smallest(away, most_samples(len(center)))
        return near[is_kin[near]]

    def _learn(
        self, center: NDArray[np.float64], near: NDArray[np.intp]
    ) -> tuple[LocalModel, float]:
        """Return a process of the samples nearby, and how high they lie above the lowest."""
        ledger = self._ledger
        within = self._distances(center)[near] <= _REACH * self.width
        within[: 2 * len(center) + 1] = True
        rows = near[within]
        Z = (ledger.points[rows] - center) / self.width
        outputs = ledger.outputs[rows]
        settings = self._settings or [Settings(along_variables=True)] * outputs[0].size
        model = LocalModel(Z, outputs, ledger.merit, settings)
        self._settings = model.settings
        return model, float(np.ptp(ledger.values[rows]))

    def _lacks_rows(self, center: NDArray[np.float64]) -> bool:
        n_near = np.count_nonzero(self._distances(center) <= _NEAR * self.width)
        return bool(n_near - 1 < self._is_free.sum())

    def _minimum(self, model: LocalModel, center: NDArray[np.float64]) -> RegionStep | None:
        """Return the step to the lowest prediction in the region; None if it is known."""
        limits = np.clip(np.column_stack([-center, 1.0 - center]) / self.width, -1.0, 1.0)
        limits[~self._is_free] = 0.0
        origin = np.zeros(len(center))
        known = self._ledger.limits_of_steps(center, np.full(len(center), self.width))
        z = model.minimum(origin, np.eye(len(center)), limits, self._margin, known)
        point = np.clip(center + self.width * z, 0.0, 1.0)
        if self._ledger.is_known(point, SAME_POINT):
            return None
        here, there = model.predict(np.vstack([origin, z]))
        return RegionStep(point, float(here - there))

    def _direction_unknown(
        self, model: LocalModel, center: NDArray[np.float64]
    ) -> RegionStep | None:
        """Return a step along the direction in which the samples nearby spread the least."""
        # A little farther, since a division rounds.
        near = self._distances(center) <= 1.01 * _NEAR * self.width
        Z = (self._ledger.points[near] - center) / self.width
        Z = Z[np.abs(Z).max(axis=1) <= _NEAR]
        free, direction = np.flatnonzero(self._is_free), np.zeros(len(center))
        direction[free] = np.linalg.eigh((Z.T @ Z)[np.ix_(free, free)])[1][:, 0]
        direction /= np.abs(direction).max()
        both = np.clip(center + self.width * np.outer([1.0, -1.0], direction), 0.0, 1.0)
        lengths = np.abs(both - center).max(axis=1)
        predicted = model.predict((both - center) / self.width)
        predicted[lengths < _LONG * lengths.max()] = np.inf
        point = both[np.argmin(predicted)]
        return None if self._ledger.is_known(point, SAME_POINT) else RegionStep(point, np.nan)
