"""Refinement: a few true evaluations that make the proxy's optimum real."""

from sklearn_proxyopt.refine._local import LocalRefinement

__all__ = ["LocalRefinement"]
