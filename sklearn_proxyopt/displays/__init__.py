"""Displays: pictures of a fitted optimizer, in scikit-learn's manner.

Each has `from_estimator`, which computes what is shown, and `plot`, which draws it and may be
called again on other axes. They need matplotlib: ``pip install "sklearn_proxyopt[plot]"``.
"""

from sklearn_proxyopt.displays._convergence import ConvergenceDisplay
from sklearn_proxyopt.displays._diagnosis import DiagnosisDisplay
from sklearn_proxyopt.displays._fidelity import FidelityDisplay
from sklearn_proxyopt.displays._fidelity_tradeoff import FidelityTradeoffDisplay
from sklearn_proxyopt.displays._importance import ImportanceDisplay
from sklearn_proxyopt.displays._landscape import LandscapeDisplay
from sklearn_proxyopt.displays._near_optimal import NearOptimalDisplay
from sklearn_proxyopt.displays._optimum_spread import OptimumSpreadDisplay
from sklearn_proxyopt.displays._parallel_coordinates import ParallelCoordinatesDisplay
from sklearn_proxyopt.displays._pareto import ParetoDisplay
from sklearn_proxyopt.displays._timeline import TimelineDisplay

__all__ = [
    "ConvergenceDisplay",
    "DiagnosisDisplay",
    "FidelityDisplay",
    "FidelityTradeoffDisplay",
    "ImportanceDisplay",
    "LandscapeDisplay",
    "NearOptimalDisplay",
    "OptimumSpreadDisplay",
    "ParallelCoordinatesDisplay",
    "ParetoDisplay",
    "TimelineDisplay",
]
