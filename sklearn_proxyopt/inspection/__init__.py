"""What a fitted surrogate model says beside its optimum.

Which variables matter, how far they may move, and what to expect at settings of your own: functions
in scikit-learn's manner, for a fitted optimizer, or for any fitted regressor with bounds. And a
report that has it all in one file.
"""

from sklearn_proxyopt._inspect._importances import Importances, importances
from sklearn_proxyopt._inspect._near_optimal import NearOptimal, near_optimal
from sklearn_proxyopt._inspect._what_if import what_if
from sklearn_proxyopt.inspection._report import report

__all__ = ["Importances", "NearOptimal", "importances", "near_optimal", "report", "what_if"]
