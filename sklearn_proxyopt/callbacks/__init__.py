"""Callbacks, by scikit-learn's protocol: the progress of a run while it runs."""

from sklearn_proxyopt.callbacks._evaluation_progress import EvaluationProgress
from sklearn_proxyopt.callbacks._inverse_progress import InverseProgress

__all__ = ["EvaluationProgress", "InverseProgress"]
