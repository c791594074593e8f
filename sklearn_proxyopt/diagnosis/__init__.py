"""Diagnosis: whether you can rely on an optimum, and why."""

from sklearn_proxyopt.diagnosis._diagnosis import Diagnosis

__all__ = ["Diagnosis"]
