"""Infill strategies: where to evaluate next."""

from sklearn_proxyopt.infill._base import BaseInfill, Knowledge
from sklearn_proxyopt.infill._doubtful_minima import DoubtfulMinima
from sklearn_proxyopt.infill._expected_improvement import ExpectedImprovement
from sklearn_proxyopt.infill._lower_confidence_bound import LowerConfidenceBound
from sklearn_proxyopt.infill._proxy_minima import ProxyMinima
from sklearn_proxyopt.infill._thompson_sampling import ThompsonSampling
from sklearn_proxyopt.infill._trust_region import TrustRegion

__all__ = [
    "BaseInfill",
    "DoubtfulMinima",
    "ExpectedImprovement",
    "Knowledge",
    "LowerConfidenceBound",
    "ProxyMinima",
    "ThompsonSampling",
    "TrustRegion",
]
