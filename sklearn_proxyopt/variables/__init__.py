"""Variables: which are whole numbers, categories or log-scaled, and what constrains them."""

from sklearn_proxyopt.variables._named import NamedFunction
from sklearn_proxyopt.variables._variables import Variables

__all__ = ["NamedFunction", "Variables"]
