"""Refinement: true evaluations that make the proxy's optimum real."""

from sklearn_proxyopt.refine._local import LocalRefinement
from sklearn_proxyopt.refine._surrogate_cmaes import SurrogateCMAES

__all__ = ["LocalRefinement", "SurrogateCMAES"]
