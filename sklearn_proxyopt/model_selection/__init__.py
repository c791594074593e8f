"""Model selection by the quality of the optimum."""

from sklearn_proxyopt.model_selection._scorers import optimum_error_scorer, regret_scorer

__all__ = ["optimum_error_scorer", "regret_scorer"]
