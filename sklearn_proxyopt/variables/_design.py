"""Designs of valid samples that meet the constraints."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from sklearn_proxyopt._utils._box import from_unit_cube
from sklearn_proxyopt._utils._dataset import is_among
from sklearn_proxyopt._utils._distances import ROUNDING
from sklearn_proxyopt.variables._repair import Repair
from sklearn_proxyopt.variables._variables import Variables

__all__ = ["Design", "can_grow"]

# A sampler may draw so many times the samples wanted, of which the feasible ones are kept.
_MOST_DRAWN = 32
# Samples that are brought to the nearest feasible ones, to walk from there.
_N_REPAIRED = 64
_N_SHRINKS = 40


class Design:
    """The design of a sampler among the valid, feasible samples of a space.

    In a plain space it is the sampler's. In another, the sampler's points on the axes are decoded.
    Where some are equal then or miss the constraints, the sampler draws more, and as many as are
    wanted are kept. Where too few of its points are feasible, the missing ones come from a random
    walk inside the feasible region, or by repair where there are equations.

    Parameters
    ----------
    sampler : sampler
        Seeded. Its parameters named `center` are in the user's units.
    variables : Variables
        The space.
    """

    def __init__(self, sampler: Any, variables: Variables) -> None:
        self._variables, self._given = variables, sampler
        self._sampler = sampler if variables.is_continuous_box else _on_axes(sampler, variables)

    def sample(self) -> NDArray[np.float64]:
        """Return the samples, of shape (n_samples, n_features), or fewer if there are no more.

        Raises
        ------
        ValueError
            If no two feasible samples are found.
        """
        variables = self._variables
        if variables.is_continuous_box:
            rows: NDArray[np.float64] = self._sampler.sample(variables.bounds)
            return rows
        drawn = variables.decode(self._sampler.sample(variables.axes))
        n_rows, kept = len(drawn), self._feasible(drawn)
        if len(kept) < n_rows and can_grow(self._sampler):
            share = max(len(kept) / n_rows, 1.2 / _MOST_DRAWN)
            larger = clone(self._sampler).set_params(n_samples=int(np.ceil(1.2 * n_rows / share)))
            more = self._feasible(variables.decode(larger.sample(variables.axes)))
            # Every so many-th of a design that has more samples than wanted.
            places = np.linspace(0, len(more) - 1, min(n_rows, len(more))).round().astype(np.intp)
            kept = more[places] if len(more) > len(kept) else kept
        if len(kept) < n_rows:
            rng = np.random.default_rng(crc32(drawn.tobytes()))
            kept = self._filled(kept, drawn, n_rows, rng)
        if len(kept) < 2:
            raise ValueError(
                "constraints must leave at least two feasible samples inside bounds; got "
                f"{len(kept)} among {len(drawn)} samples of a design and near them. The "
                "search for them failed, which proves nothing: pass feasible samples as X and y. "
                "At most k of n is found as linear constraints with a switch Integer(0, 1) for "
                "each variable: x <= high * switch, sum of the switches <= k."
            )
        return kept

    def select(self, X: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the places of the samples that are nearest to the sampler's design."""
        variables = self._variables
        places: NDArray[np.intp] = self._sampler.select(variables.encode(X), variables.axes)
        return places

    def grow(self) -> bool:
        """Let the next design have twice as many samples; return False where it cannot."""
        if not can_grow(self._sampler):
            return False
        for sampler in {id(one): one for one in (self._given, self._sampler)}.values():
            sampler.set_params(n_samples=2 * sampler.n_samples)
        return True

    def _feasible(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the feasible samples, each once."""
        rows = rows[self._variables.is_feasible(rows)]
        return rows[~is_among(rows, rows[:0])]

    def _filled(
        self,
        kept: NDArray[np.float64],
        drawn: NDArray[np.float64],
        n_rows: int,
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """Return the samples kept and others, up to as many as are wanted."""
        variables = self._variables
        pool = variables.all_settings()
        if pool is not None:
            return _joined(kept, pool[rng.permutation(len(pool))])[:n_rows]
        constraints = variables.constraints
        if constraints is None:
            return kept
        if constraints.is_equation.any():
            return _joined(kept, self._feasible(variables.snap(drawn)))[:n_rows]
        starts = kept if len(kept) >= _N_REPAIRED else self._starts(kept, drawn)
        for _ in range(3):
            if not len(starts) or len(kept) >= n_rows:
                break
            walked = _walk(variables, starts, max(n_rows, 2 * variables.n_features), rng)
            kept = _joined(kept, self._feasible(walked))
        return _joined(kept, starts)[:n_rows]

    def _starts(self, kept: NDArray[np.float64], drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return feasible samples, by repair and from the middle of what is linear."""
        variables, constraints = self._variables, self._variables.constraints
        assert constraints is not None
        near = drawn[:_N_REPAIRED]
        if len(constraints.matrix):
            center = Repair(variables, constraints).central_row()
            if center is None:
                raise ValueError(
                    "constraints must leave feasible samples inside bounds; got linear ones that "
                    "no sample meets together."
                )
            near = np.vstack([center, near])
        return _joined(kept, self._feasible(variables.snap(near)))


def can_grow(sampler: Any) -> bool:
    """Tell whether a sampler makes designs of any number of points."""
    return "n_samples" in sampler.get_params()


def _on_axes(sampler: Any, variables: Variables) -> Any:
    """Return the sampler with its centers on the axes."""
    sampler = clone(sampler)
    for name, value in sampler.get_params().items():
        if name.rpartition("__")[2] == "center" and value is not None:
            center = np.asarray(value, dtype=np.float64)
            if center.shape == (variables.n_features,):
                sampler.set_params(**{name: variables.encode(center[None])[0]})
    return sampler


def _joined(rows: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return samples and those of the others that are not among them."""
    return np.vstack([rows, others[~is_among(others, rows)]])


def _walk(
    variables: Variables,
    starts: NDArray[np.float64],
    n_walkers: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Walk inside the feasible region by hit and run, many walkers side by side.

    A walker steps in the direction from one other to another, so that they keep the shape of the
    region however thin it is, or in any direction; how far is drawn between the edges of the
    bounds, and drawn again nearer while that leads out of the region.
    """
    place = variables.to_unit_cube(starts[rng.integers(len(starts), size=n_walkers)])
    n_features = place.shape[1]
    for _ in range(20 + 5 * n_features):
        one, other = place[rng.integers(n_walkers, size=(2, n_walkers))]
        direction = rng.standard_normal((n_walkers, n_features))
        apart = np.linalg.norm(one - other, axis=1) > ROUNDING
        along = apart & (rng.random(n_walkers) < 0.7)
        direction[along] = (one - other)[along]
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = np.array([-place / direction, (1.0 - place) / direction])
        ends[:, direction == 0.0] = np.array([[-np.inf], [np.inf]])
        near, far = ends.min(axis=0).max(axis=1), ends.max(axis=0).min(axis=1)
        going = np.arange(n_walkers)
        for _ in range(_N_SHRINKS):
            step = rng.uniform(near[going], far[going])
            tried = np.clip(place[going] + step[:, None] * direction[going], 0.0, 1.0)
            rows = variables.decode(from_unit_cube(tried, variables.axes))
            met = variables.is_feasible(rows)
            place[going[met]] = tried[met]
            near[going] = np.where(step < 0.0, step, near[going])
            far[going] = np.where(step >= 0.0, step, far[going])
            going = going[~met]
            if not going.size:
                break
    return variables.from_unit_cube(place)
