"""Benchmark: how well regressors predict functions and tables, and how good their optima are."""

from sklearn_proxyopt.benchmark._comparison import Comparison, compare_regressors
from sklearn_proxyopt.benchmark._display import ComparisonDisplay

__all__ = ["Comparison", "ComparisonDisplay", "compare_regressors"]
