"""Where evaluations go next: strategies that propose points and observe results."""

from sklearn_proxyopt._strategies._base import Strategy
from sklearn_proxyopt._strategies._routine import Batches, Routine, solve
from sklearn_proxyopt._strategies._threaded import ThreadedSearch

__all__ = ["Batches", "Routine", "Strategy", "ThreadedSearch", "solve"]
