"""Callbacks, by scikit-learn's protocol: what a run is doing while it runs."""

from sklearn_proxyopt.callbacks._evaluation_progress import EvaluationProgress

__all__ = ["EvaluationProgress"]
