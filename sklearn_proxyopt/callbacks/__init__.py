"""Callbacks, by scikit-learn's protocol: the progress of a run while it runs."""

from sklearn_proxyopt.callbacks._evaluation_progress import EvaluationProgress

__all__ = ["EvaluationProgress"]
