"""Where evaluations go next: strategies that propose points and observe results."""

from sklearn_proxyopt._strategies._base import Strategy
from sklearn_proxyopt._strategies._routine import NOBODY, Batches, LateResults, Routine, solve
from sklearn_proxyopt._strategies._threaded import ThreadedSearch

__all__ = ["NOBODY", "Batches", "LateResults", "Routine", "Strategy", "ThreadedSearch", "solve"]
