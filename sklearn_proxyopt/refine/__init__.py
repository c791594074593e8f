"""Refinement: evaluations that turn the proxy's optimum into one of the objective."""

from sklearn_proxyopt.refine._base import BaseRefiner
from sklearn_proxyopt.refine._local import LocalRefinement
from sklearn_proxyopt.refine._surrogate_cmaes import SurrogateCMAES

__all__ = ["BaseRefiner", "LocalRefinement", "SurrogateCMAES"]
