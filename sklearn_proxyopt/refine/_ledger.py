"""What a search of the objective knows: evaluated points of the unit cube, and what is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import LinearConstraint

from sklearn_proxyopt._proxy_search._penalty import Merit
from sklearn_proxyopt._strategies import Batches
from sklearn_proxyopt._utils._box import from_unit_cube, to_unit_cube
from sklearn_proxyopt._utils._dataset import row_keys, succeeded
from sklearn_proxyopt._utils._distances import along_farthest_axis
from sklearn_proxyopt._utils._feasibility import best_first, values_of
from sklearn_proxyopt._utils._stopping import TOO_FEW_LEFT, StopRun
from sklearn_proxyopt.refine._evaluated_rows import EvaluatedRows
from sklearn_proxyopt.refine._growing_tree import GrowingTree

__all__ = ["Ledger", "spread_of"]

# As long as the lowest sample violates constraints, these cost so many times as much each time, up
# to so many times what the spread of the samples suggests.
_DEARER, _DEAREST = 2.0, 1e12


# Told of a point of the cube and what the objective returned for it.
_Tell = Callable[[NDArray[np.float64], NDArray[np.float64]], None]


def _tell_nobody(point: NDArray[np.float64], outputs: NDArray[np.float64]) -> None:
    """Do nothing."""


@dataclass
class _LateRow:
    """A point whose sample is pending, its key, who is told what it gives, and who asked."""

    point: NDArray[np.float64]
    key: bytes
    tell: _Tell
    is_own: bool


class Ledger(EvaluatedRows):
    """The objective in the unit cube, with a limit; every sample is asked for once.

    Where it returns constraints, what counts as the value of a sample is its merit: violations cost
    as much as the spread of the samples suggests, and more for as long as the lowest sample has
    any.

    Parameters
    ----------
    bounds : ndarray of shape (n_features, 2)
        The box.
    rows_of : callable, default=None
        Takes points of the box and returns the sample that each stands for, NaN where there is
        none; a point whose sample is known costs nothing. None lets every point be a sample.
    moved_to : callable, default=None
        Takes points of the box and their samples, and returns where these lie: values are learned
        there. None leaves points where they are.
    limits : scipy.optimize.LinearConstraint, default=None
        What points of the box must meet for their samples to be near them.

    Attributes
    ----------
    points : ndarray of shape (n, n_features)
        The points of the cube whose value is known, in the order in which it was.
    outputs : ndarray of shape (n,) or (n, 1 + n_constraints)
        What the objective returned for them.
    values : ndarray of shape (n,)
        What counts as their values.
    failed : ndarray of shape (n_failed, n_features)
        Those whose evaluation failed.
    pending : ndarray of shape (n_pending, n_features)
        Those whose evaluation has begun and is not known.
    """

    def __init__(
        self,
        bounds: NDArray[np.float64],
        rows_of: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
        moved_to: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
        | None = None,
        limits: LinearConstraint | None = None,
    ) -> None:
        super().__init__()
        self.bounds, self._rows_of, self._moved_to = bounds, rows_of, moved_to
        self._limits = limits
        self.points, self.failed = np.empty((0, len(bounds))), np.empty((0, len(bounds)))
        self.outputs, self.values = np.empty(0), np.empty(0)
        self.merit: Merit | None = None
        self.pending = self.points
        self._tree, self._failed_tree = GrowingTree(), GrowingTree()
        # The samples asked for, those of them that are answered later, and what is to be told then.
        self._asked: set[bytes] = set()
        self._expected: set[bytes] = set()
        self._late: dict[bytes, _LateRow] = {}

    @property
    def is_plain(self) -> bool:
        """Whether every point is a sample of its own."""
        return self._rows_of is None

    @property
    def lowest(self) -> float:
        """The lowest value known, infinity if there is none."""
        return float(self.values.min()) if len(self.values) else np.inf

    @property
    def lowest_point(self) -> NDArray[np.float64]:
        """The point of the lowest value."""
        return np.asarray(self.points[np.argmin(self.values)])

    @property
    def best(self) -> int:
        """The place of the best sample: the lowest value of those that violate the least."""
        return int(best_first(self.outputs)[0])

    @property
    def spread(self) -> float:
        """That of all values."""
        return spread_of(self.values)

    def limits_of_steps(
        self, start: NDArray[np.float64], units: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
        """Return the limits as a matrix and limits of steps from a point of the cube.

        Parameters
        ----------
        start : ndarray of shape (n_features,)
            The point.
        units : ndarray of shape (n_features,)
            How long a step of 1 is along each axis of the cube.
        """
        if self._limits is None:
            return None
        matrix = np.asarray(self._limits.A)
        here = matrix @ from_unit_cube(start, self.bounds)
        scaled = matrix * np.ptp(self.bounds, axis=1) * units
        return scaled, self._limits.lb - here, self._limits.ub - here

    def note(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Take samples into account that were evaluated elsewhere, in the user's units."""
        points = np.clip(to_unit_cube(X, self.bounds), 0.0, 1.0)
        self._keep(points, y, self._keys(points)[0])

    def expect(self, X: NDArray[np.float64], points: NDArray[np.float64]) -> None:
        """Take samples for pending, which these points of the box stand for.

        If they are asked for now, the answer may be NaN: it is told by `settle`.
        """
        row_of = dict(zip(row_keys(X), points, strict=True))
        self._expected = set(row_of)
        strange = [key for key in row_of if key not in self._asked]
        self._asked.update(strange)
        places = np.array([row_of[key] for key in strange]).reshape(-1, len(self.bounds))
        units = to_unit_cube(places, self.bounds)
        for row, unit in zip(strange, np.clip(units, 0.0, 1.0), strict=True):
            key = self._keys(unit[None])[0][0]
            if self._known.get(key) is not None:
                # A repeat of what is known already.
                continue
            self._put_off(row, _LateRow(unit, key, _tell_nobody, is_own=False))

    def settle(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Take the outputs of samples that were pending; others are passed over."""
        for row, outputs in zip(row_keys(X), y, strict=True):
            late = self._late.pop(row, None)
            if late is not None:
                late.tell(late.point, outputs)
                self._keep(late.point[None], outputs[None], [late.key])
        self._gather_pending()

    def withdraw(self, X: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Forget samples whose results will never come; tell which of them were pending."""
        late = [self._late.pop(row, None) for row in row_keys(X)]
        for row, one in zip(row_keys(X), late, strict=True):
            if one is not None:
                del self._known[one.key]
                self._asked.discard(row)
                self.n_evaluations -= one.is_own
        self._gather_pending()
        return np.array([one is not None for one in late], dtype=bool)

    def evaluate(self, points: NDArray[np.float64], tell: _Tell | None = None) -> Batches:
        """Yield the new samples of points; return all outputs, NaN where the objective fails.

        With NaN are also answered samples that are pending. `tell` is called with the point and the
        outputs of each once they are known, just before they enter what is known here.

        Raises
        ------
        StopRun
            If not all of them could be evaluated; those that could are known.
        """
        keys, rows = self._keys(points)
        points = self._moved(points, rows)
        places = {key: i for i, key in enumerate(keys) if key not in self._known}
        new = list(places.values())
        affordable = new[: self.n_left]
        if affordable:
            self.n_evaluations += len(affordable)
            asked = row_keys(rows[affordable])
            self._asked.update(asked)
            outputs = _checked((yield rows[affordable]), len(affordable))
            is_late = np.array([row in self._expected for row in asked], dtype=bool)
            now = [place for place, late in zip(affordable, is_late, strict=True) if not late]
            self._keep(points[now], outputs[~is_late], [keys[i] for i in now])
            for row, place in zip(asked, affordable, strict=True):
                if row in self._expected:
                    late = _LateRow(points[place], keys[place], tell or _tell_nobody, is_own=True)
                    self._put_off(row, late)
        if len(affordable) < len(new):
            raise StopRun(TOO_FEW_LEFT)
        if not self.is_plain:
            # The other points have the values of their samples.
            put_off = {late.key for late in self._late.values()}
            others = np.setdiff1d(np.arange(len(points)), new)
            others = np.array([i for i in others if keys[i] not in put_off], dtype=np.intp)
            other_keys = [keys[i] for i in others]
            self._keep(points[others], self._recall(other_keys, self._nothing), other_keys)
        return self._recall(keys, self._nothing)

    def outputs_of(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what is known of points asked for, NaN where they failed or are pending."""
        return self._recall(self._keys(points)[0], self._nothing)

    def are_pending(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which points stand for samples that are pending."""
        put_off = {late.key for late in self._late.values()}
        keys = self._keys(points)[0] if put_off else []
        return np.array([key in put_off for key in keys] or [False] * len(points), dtype=bool)

    def value_of(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what counts as the value of each sample, infinity where it failed."""
        values = values_of(outputs) if self.merit is None else self.merit(outputs)
        return np.where(succeeded(outputs), values, np.inf)

    def weigh(self) -> None:
        """Let each violation cost at least what the spread of all samples suggests."""
        if self.outputs.ndim == 2 and len(self.outputs):
            suggested = Merit.of_rows(self.outputs)
            self.merit = suggested if self.merit is None else self.merit.at_least(suggested)
            self.values = self.value_of(self.outputs)

    def press(self) -> None:
        """Let the violations of the lowest sample cost more, if it has any."""
        if self.merit is None:
            return
        violated = self.outputs[np.argmin(self.values), 1:] > 0.0
        if violated.any():
            rises = violated & (self.merit.prices < _DEAREST * Merit.of_rows(self.outputs).prices)
            self.merit = self.merit.heavier(np.where(rises, _DEARER, 1.0))
            self.values = self.value_of(self.outputs)

    def placed(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points of the cube where the samples lie that they stand for."""
        return points if self._moved_to is None else self._moved(points, self._keys(points)[1])

    def _moved(self, points: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points of the cube moved to where their samples lie."""
        if self._moved_to is None:
            return points
        moved, found = points.copy(), ~np.isnan(rows).any(axis=1)
        places = self._moved_to(from_unit_cube(points[found], self.bounds), rows[found])
        moved[found] = np.clip(to_unit_cube(places, self.bounds), 0.0, 1.0)
        return moved

    @property
    def _nothing(self) -> NDArray[np.float64]:
        """The outputs of a point that stands for no sample."""
        return np.full(self.outputs.shape[1:], np.nan)

    def _keys(self, points: NDArray[np.float64]) -> tuple[list[bytes], NDArray[np.float64]]:
        """Return a key for each point, the same for the same sample, and the samples."""
        rows = from_unit_cube(points, self.bounds)
        if self._rows_of is not None:
            rows = self._rows_of(rows)
        keys = row_keys(rows)
        for i in np.flatnonzero(np.isnan(rows).any(axis=1)):
            self._known[keys[i]] = None
        return keys, rows

    def is_known(self, point: NDArray[np.float64], distance: float) -> bool:
        """Tell whether a point lies nearer than a distance to a known one, along every axis."""
        known = (self.points, self.failed, self.pending)
        return any((along_farthest_axis(points, point) < distance).any() for points in known)

    def is_near_failure(
        self, points: NDArray[np.float64], whitening: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Tell of which points the nearest known one failed, in white coordinates."""
        if not len(self.failed):
            return np.zeros(len(points), dtype=bool)
        to_failed = self._failed_tree.nearest(self.failed, points, whitening)
        return np.asarray(to_failed < self._tree.nearest(self.points, points, whitening))

    def _put_off(self, row: bytes, late: _LateRow) -> None:
        """Note that what a sample gives will be known later."""
        self._late[row] = late
        self._known[late.key] = None
        self._gather_pending()

    def _gather_pending(self) -> None:
        points = [late.point for late in self._late.values()]
        self.pending = np.array(points).reshape(-1, len(self.bounds))

    def _keep(
        self, points: NDArray[np.float64], outputs: NDArray[np.float64], keys: list[bytes]
    ) -> None:
        if len(self.points) and outputs.shape[1:] != self.outputs.shape[1:]:
            shape = (len(points), *self.outputs.shape[1:])
            raise ValueError(
                f"fun must return outputs of shape {shape}, like those of the rows known before; "
                f"got shape {outputs.shape}."
            )
        self._known.update(zip(keys, outputs, strict=True))
        good = succeeded(outputs)
        if outputs.ndim > self.outputs.ndim:
            self.outputs = outputs[:0]
        self.points = np.vstack([self.points, points[good]])
        self.outputs = np.concatenate([self.outputs, outputs[good]])
        if self.merit is None:
            self.weigh()
        self.values = self.value_of(self.outputs)
        self.failed = np.vstack([self.failed, points[~good]])


def spread_of(values: NDArray[np.float64]) -> float:
    """Return how far the median of some values lies above the lowest, 0 if there are none."""
    return float(np.median(values) - values.min()) if len(values) else 0.0


def _checked(outputs: Any, n_rows: int) -> NDArray[np.float64]:
    """Return what the function returned, if it has a value, or value and constraints, a sample."""
    outputs = np.asarray(outputs, dtype=np.float64)
    if len(outputs.shape) not in (1, 2) or len(outputs) != n_rows or outputs.shape[1:] == (1,):
        raise ValueError(
            f"fun must return values of shape ({n_rows},), or ({n_rows}, 1 + n_constraints), for "
            f"{n_rows} rows; got shape {outputs.shape}."
        )
    return outputs
