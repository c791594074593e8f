"""Model selection by the quality of the optimum."""

from sklearn_proxyopt.model_selection._scorers import (
    credibility_scorer,
    optimum_error_scorer,
    optimum_of,
    regret_scorer,
)

__all__ = ["credibility_scorer", "optimum_error_scorer", "optimum_of", "regret_scorer"]
