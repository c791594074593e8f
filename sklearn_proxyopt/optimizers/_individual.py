"""The individuals of the genetic algorithm.

They are classes of a module, not made by deap's `creator`, so that they can be pickled and exist
in worker processes; and lists, since deap's operators corrupt slices of arrays in silence.
"""

from __future__ import annotations

from typing import Self

from deap import base

__all__ = ["Individual", "Minimum"]


class Minimum(base.Fitness):
    """A fitness of one value, the lower the better."""

    weights = (-1.0,)

    def reset(self) -> None:
        """Forget the value of an individual that was changed."""
        del self.values


class Individual(list[float]):
    """A point of the unit cube with its fitness."""

    def __init__(self, values: list[float]) -> None:
        super().__init__(values)
        self.fitness = Minimum()

    def copy(self) -> Self:
        """Return an individual of its own with the same fitness."""
        twin = type(self)(list(self))
        if self.fitness.valid:
            twin.fitness.values = self.fitness.values
        return twin
