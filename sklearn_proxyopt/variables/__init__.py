"""Variables: kinds, names, bounds and constraints of the search space."""

from sklearn_proxyopt.variables._domains import Categorical, Integer, Ordinal, Periodic, Real
from sklearn_proxyopt.variables._named import NamedFunction
from sklearn_proxyopt.variables._variables import Variables

__all__ = [
    "Categorical",
    "Integer",
    "NamedFunction",
    "Ordinal",
    "Periodic",
    "Real",
    "Variables",
]
