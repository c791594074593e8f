"""What users may pass, as type checkers see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint

__all__ = ["BoundsLike", "Constraint", "InputFormat", "Order", "RandomStateLike"]

# What each variable may be, by name or in their order.
BoundsLike: TypeAlias = ArrayLike | Bounds | Mapping[str, object] | Sequence[object]
Constraint: TypeAlias = LinearConstraint | NonlinearConstraint
InputFormat: TypeAlias = Literal["auto", "array", "named"]
# How the results of evaluations side by side are used.
Order: TypeAlias = Literal["seed", "results"]
RandomStateLike: TypeAlias = int | np.random.RandomState | np.random.Generator | None
