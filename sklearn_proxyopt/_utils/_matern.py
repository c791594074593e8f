"""The Matern covariance that local and global Gaussian processes share."""

from __future__ import annotations

from typing import Any

__all__ = ["matern52"]


def matern52(scaled: Any, decay: Any) -> Any:
    """Return the Matern covariance of smoothness 5/2 with unit variance.

    Parameters
    ----------
    scaled : ndarray or Tensor
        Distances in lengthscales, times the root of 5.
    decay : ndarray or Tensor
        The exponentials of their negatives.

    Returns
    -------
    ndarray or Tensor
        The covariances.
    """
    return (1.0 + scaled + scaled * scaled / 3.0) * decay
