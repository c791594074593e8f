"""Diagnosis: whether the optimum of a proxy can be believed, and why."""

from sklearn_proxyopt.diagnosis._diagnosis import Diagnosis

__all__ = ["Diagnosis"]
