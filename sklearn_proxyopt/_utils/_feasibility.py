"""Values that come with constraints: which samples are feasible, and which is the best.

Outputs of shape (n,) are values alone. Of outputs of shape (n, 1 + n_constraints) the first column
is the value, and a sample is feasible where each of the others is at most 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult
from scipy.stats import norm

__all__ = [
    "best_first",
    "feasible_values",
    "probability_kept",
    "say_whether_feasible",
    "values_of",
    "violations",
]


def values_of(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the value of each sample, without its constraints."""
    return outputs if outputs.ndim == 1 else outputs[:, 0]


def violations(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum by which each sample violates its constraints; 0 where it is feasible."""
    if outputs.ndim == 1:
        return np.zeros(len(outputs))
    return np.asarray(np.maximum(outputs[:, 1:], 0.0).sum(axis=1))


def best_first(outputs: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the order of samples: the feasible ones by value, then the others by violation [1]_.

    References
    ----------
    .. [1] Deb, "An efficient constraint handling method for genetic algorithms", 2000,
       :doi:`10.1016/S0045-7825(99)00389-8`.
    """
    return np.lexsort((values_of(outputs), violations(outputs)))


def feasible_values(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the value of each sample, NaN where it is not feasible."""
    return np.where(violations(outputs) > 0.0, np.nan, values_of(outputs))


def probability_kept(mean: NDArray[np.float64], std: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return with what probability all constraints of each sample are at most 0, of shape (n,).

    Parameters
    ----------
    mean, std : ndarray of shape (n, n_constraints)
        What is estimated of constraints, whose errors count as independent and normal.
    """
    is_sure = std <= 0.0
    chances = norm.cdf(-mean / np.where(is_sure, 1.0, std))
    return np.asarray(np.where(is_sure, mean <= 0.0, chances).prod(axis=1))


def say_whether_feasible(
    result: OptimizeResult,
    constraints: NDArray[np.float64],
    promised: NDArray[np.float64],
    at_proxy: NDArray[np.float64],
) -> None:
    """Add the constraints of the answer, and of the proxy's optimum, to a result."""
    result.constraints = np.asarray(constraints, dtype=np.float64)
    result.maxcv = float(np.maximum(result.constraints, 0.0).max())
    result.feasible = result.maxcv == 0.0
    result.constraints_proxy, result.constraints_at_proxy = promised, at_proxy
    if not result.feasible:
        result.success = False
        result.message = (
            f"No feasible point was found: x has the least violation, with constraints up to "
            f"{result.maxcv:.3g} above 0. {result.message}"
        )
