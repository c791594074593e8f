"""What users may pass, as type checkers see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint

__all__ = ["BoundsLike", "Constraint", "LabelsOf", "RandomStateLike"]

# A lower and an upper bound for each variable; None for a category.
BoundsLike: TypeAlias = ArrayLike | Bounds | Sequence[object]
Constraint: TypeAlias = LinearConstraint | NonlinearConstraint
# The labels of each category, under its name or index.
LabelsOf: TypeAlias = Mapping[str | int, Sequence[object]]
RandomStateLike: TypeAlias = int | np.random.RandomState | np.random.Generator | None
