"""Benchmark: how well regressors stand in for functions and tables, and where they lead."""

from sklearn_proxyopt.benchmark._comparison import Comparison, compare_regressors
from sklearn_proxyopt.benchmark._display import ComparisonDisplay

__all__ = ["Comparison", "ComparisonDisplay", "compare_regressors"]
