"""What is sought of a function: of each objective the lowest value, or the highest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["DIRECTIONS", "MINIMUM", "Direction", "Goal", "check_direction", "check_directions"]

Direction: TypeAlias = Literal["minimize", "maximize"]
DIRECTIONS: tuple[Direction, ...] = ("minimize", "maximize")


@dataclass(frozen=True)
class Goal:
    """The direction of each objective, and with it the one rule of signs.

    Inside the package everything is minimized. Outputs are turned where they come in, from the
    user, the function or the journal, and turned again where they go out, so that all that users
    see is in their own sign. A proxy learns them as the user has them; see `TurnedProxy`.

    Parameters
    ----------
    directions : tuple of {"minimize", "maximize"}
        That of each objective. Constraints, which come after them, have none.
    """

    directions: tuple[Direction, ...] = ("minimize",)

    @classmethod
    def of(cls, direction: Direction | Sequence[Direction] | None, n_objectives: int = 1) -> Self:
        """Return the goal of a parameter: None minimizes, one word holds for all objectives."""
        if direction is None or isinstance(direction, str):
            return cls((direction or "minimize",) * n_objectives)
        return cls(tuple(direction))

    @property
    def is_plain(self) -> bool:
        """Whether nothing is turned."""
        return "maximize" not in self.directions

    @property
    def lowest(self) -> str:
        """What users call the best value of the first objective."""
        return "lowest" if self.directions[0] == "minimize" else "highest"

    @property
    def optimum(self) -> str:
        """What users call the optimum of the first objective."""
        return "minimum" if self.directions[0] == "minimize" else "maximum"

    def turned(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn the objectives of outputs.

        Parameters
        ----------
        outputs : ndarray of shape (n,), or (..., n_objectives) and more columns
            Values of one objective, or rows of objectives with any constraints after them.

        Returns
        -------
        ndarray of the same shape
            Those to be maximized with the other sign; the array itself where there are none.
        """
        if self.is_plain:
            return outputs
        signs = [-1.0 if one == "maximize" else 1.0 for one in self.directions]
        if np.ndim(outputs) < 2:
            return signs[0] * outputs
        return outputs * np.array(signs + [1.0] * (np.shape(outputs)[-1] - len(signs)))

    def value(self, value: float) -> float:
        """Turn a value of the first objective."""
        return value if self.directions[0] == "minimize" else -value

    def interval(self, ends: tuple[float, float]) -> tuple[float, float]:
        """Turn an interval of values of the first objective; the lower end stays first."""
        low, high = sorted(self.value(end) for end in ends)
        return low, high


MINIMUM = Goal()


def check_direction(direction: Any) -> None:
    """Raise an error unless it is None or a direction."""
    if not (direction is None or (isinstance(direction, str) and direction in DIRECTIONS)):
        raise ValueError(f"direction must be None, 'minimize' or 'maximize'; got {direction!r}.")


def check_directions(direction: Any, n_objectives: int | None) -> None:
    """Raise an error unless it is None, a direction, or one for each of so many objectives.

    How many there are may not be known yet.
    """
    if direction is None or isinstance(direction, str):
        check_direction(direction)
        return
    listed = list(direction) if np.iterable(direction) else []
    if not listed or not all(one in DIRECTIONS for one in listed):
        raise ValueError(
            "direction must be None, 'minimize' or 'maximize', or one of these words for each "
            f"objective; got {direction!r}."
        )
    if n_objectives is not None and len(listed) != n_objectives:
        raise ValueError(
            f"direction must be one word for each of the {n_objectives} objectives; got "
            f"{direction!r}."
        )
