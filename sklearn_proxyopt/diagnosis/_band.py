"""How far a measured value may lie from its prediction, calibrated where an optimizer goes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["errors_of_the_chosen", "weighted_quantile"]

# An optimizer is taken to choose the lowest among one sample in so many.
_CHOICE = 20
_MIN_ROWS_A_CHOICE = 5


def errors_of_the_chosen(
    predicted: NDArray[np.float64], truth: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return errors of predictions, and how likely an optimizer would have met each of them.

    An optimizer does not meet the errors of a proxy at random. It takes the point of the lowest
    prediction, which is low also because the proxy is wrong there. The samples show how large this
    effect is: of m samples drawn at random, the one predicted lowest is chosen. Sample r in the
    order of the predictions (from 0) is chosen with probability C(n - 1 - r, m - 1) / C(n, m).
    These are the weights of a weighted conformal band [1]_.

    Parameters
    ----------
    predicted : ndarray of shape (n,)
        Predictions by proxies that had not seen the samples.
    truth : ndarray of shape (n,)
        The values of the samples.

    Returns
    -------
    errors : ndarray of shape (n,)
        Measured values less predictions, in the order of the predictions.
    weights : ndarray of shape (n,)
        The probabilities, which add up to one.

    References
    ----------
    .. [1] Tibshirani, Foygel Barber, Candes and Ramdas, "Conformal Prediction Under Covariate
       Shift", 2019, :arxiv:`1904.06019`.
    """
    order = np.argsort(predicted, kind="stable")
    n = len(order)
    m = min(max(n // _CHOICE, _MIN_ROWS_A_CHOICE), n)
    # The ratio of the probabilities of neighbors in the order; their product from the first on.
    rank = np.arange(1, n)
    ratios = np.clip((n - rank - m + 1) / np.maximum(n - rank, 1), 0.0, 1.0)
    weights = np.concatenate([[1.0], np.cumprod(ratios)])
    return (truth - predicted)[order], weights / weights.sum()


def weighted_quantile(
    values: NDArray[np.float64], weights: NDArray[np.float64], share: float
) -> float:
    """Return the lowest value below or at which lies the share of the weight."""
    order = np.argsort(values, kind="stable")
    reached = np.searchsorted(np.cumsum(weights[order]), share - 1e-12)
    return float(values[order[min(int(reached), len(values) - 1)]])
