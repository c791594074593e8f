"""At which bounds of the variables a point lies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.variables import Variables

__all__ = ["sides_of"]

# Widths of the search space within which a number is at its bound.
_AT_BOUND = 1e-6


def sides_of(X: NDArray[np.float64], variables: Variables) -> NDArray[np.intp]:
    """Tell which variables of samples are at a bound.

    Labels without an order and angles have no bounds, and what is fixed could not be elsewhere.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Valid samples, in the user's units.
    variables : Variables
        The variables.

    Returns
    -------
    ndarray of int of shape (n, n_features)
        -1 at the lower bound, 1 at the upper one, 0 elsewhere.
    """
    kinds = variables.kinds
    has_bounds = ~(kinds.is_fixed | kinds.is_category | kinds.is_periodic)
    # On a logarithmic scale the width that counts is that of the logarithms.
    low, high, at = (_on_scale(value, kinds.is_log) for value in (*variables.bounds.T, X))
    steps = np.where(kinds.is_log, 0.0, 0.5 * kinds.steps)
    reach = np.maximum(_AT_BOUND * (high - low), steps)
    is_low, is_high = at - low < reach, high - at < reach
    return np.where(has_bounds, is_high.astype(np.intp) - is_low, 0)


def _on_scale(values: NDArray[np.float64], is_log: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return numbers, of which some are told by their logarithms."""
    scaled = np.array(values)
    scaled[..., is_log] = np.log(scaled[..., is_log])
    return scaled
