"""What evaluations could still gain in the basins that descents have found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._distances import SAME_BASIN
from sklearn_proxyopt.refine._descent import Descent

__all__ = ["Basin", "basins_of", "left_undone"]

# So many basins are named.
_MOST_NAMED = 2


@dataclass(frozen=True)
class Basin:
    """A basin that descents have found.

    Parameters
    ----------
    point : ndarray of shape (n_features,)
        Its lowest sample, in the unit cube.
    value : float
        The value there.
    gain : float
        How far the lowest value of all would fall if the gains here went on shrinking as they did
        last, at least 0; NaN after too few evaluations to tell.
    """

    point: NDArray[np.float64]
    value: float
    gain: float


def basins_of(descents: Sequence[Descent]) -> list[Basin]:
    """Return the basins of some descents, the lowest first."""
    found: list[Basin] = []
    for descent in sorted(descents, key=lambda one: one.lowest):
        center = descent.center
        if center is None or not np.isfinite(descent.lowest):
            continue
        point, value = center
        if all(np.abs(point - basin.point).max() > SAME_BASIN for basin in found):
            above = value - found[0].value if found else 0.0
            gain = max(descent.gain_left - above, 0.0) if descent.tells_gains else np.nan
            found.append(Basin(point, value, gain))
    return found


def left_undone(
    basins: Sequence[Basin],
    n_refined: int,
    least: float,
    shown: Callable[[float], float] = lambda value: value,
) -> str:
    """Return in words what more evaluations could gain, "" where no basin was found.

    Parameters
    ----------
    basins : sequence of Basin
        The basins, the lowest first.
    n_refined : int
        How many of the last evaluations refined the best point.
    least : float
        A gain that is not worth mentioning.
    shown : callable, optional
        Takes a value of a basin and returns it as the user knows it.
    """
    if not basins:
        return ""
    all_of_them = f"the {len(basins)} basins found" if len(basins) > 1 else "the one basin found"
    gains = np.array([basin.gain for basin in basins])
    most = np.argsort(-gains, kind="stable")[:_MOST_NAMED].tolist()
    parts = [
        f"about {gains[place]:.2g} {_name(basins, place, shown)}"
        for place in most
        if gains[place] > least
    ]
    if parts:
        text = f"More evaluations may gain {' or '.join(parts)}, of {all_of_them}"
    elif np.isnan(gains[0]):
        text = "After so few evaluations nothing tells how much is left to gain"
    else:
        text = f"By the latest gains less than {least:.2g} is left in {all_of_them}"
    if n_refined:
        text += f"; the last {n_refined} evaluations refined the best point"
    return f"{text}."


def _name(basins: Sequence[Basin], place: int, shown: Callable[[float], float]) -> str:
    return f"in that of {shown(basins[place].value):.4g}" if place else "in the best basin"
