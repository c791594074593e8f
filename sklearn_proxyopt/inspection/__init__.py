"""What a fitted surrogate model says beside its optimum.

Which variables matter, how far they may move, and what to expect at settings of your own: functions
in scikit-learn's manner, for a fitted optimizer, or for any fitted regressor with bounds.
"""

from sklearn_proxyopt.inspection._importances import Importances, importances
from sklearn_proxyopt.inspection._near_optimal import NearOptimal, near_optimal
from sklearn_proxyopt.inspection._what_if import what_if

__all__ = ["Importances", "NearOptimal", "importances", "near_optimal", "what_if"]
