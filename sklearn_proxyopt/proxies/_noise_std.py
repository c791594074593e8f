"""What a user says of the noise of values: that it be learned, none, or how large it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["GivenNoise", "check_noise_std", "check_row_noise"]

# No sample is taken for more exact than this share of the noise of all.
_MOST_EXACT = 1e-4


def check_noise_std(noise_std: Any, n_outputs: int | None = None) -> NDArray[np.float64] | None:
    """Return the standard deviation of each target, or None where it is to be learned.

    Parameters
    ----------
    noise_std : "auto", None, float or array-like of shape (n_outputs,)
        What the user gave; None says that values are exact.
    n_outputs : int, default=None
        Number of targets. None takes as many as are given.
    """
    if isinstance(noise_std, str) and noise_std == "auto":
        return None
    stds = _as_numbers(0.0 if noise_std is None else noise_std)
    n_given = stds.size if n_outputs is None or not stds.ndim else n_outputs
    if stds.ndim > 1 or stds.size != n_given or not (np.isfinite(stds) & (stds >= 0)).all():
        each = "target" if n_outputs is None else f"of {n_outputs} outputs"
        alternative = "" if n_outputs == 1 else f", or one for each {each}"
        raise ValueError(
            f'noise_std must be "auto", None, or a non-negative number{alternative}; '
            f"got {noise_std!r}."
        )
    return np.broadcast_to(stds, (n_outputs or stds.size,))


def _as_numbers(noise_std: Any) -> NDArray[np.float64]:
    """Return an argument as an array of numbers, NaN if it is none."""
    try:
        numbers = np.asarray(noise_std)
        return numbers.astype(np.float64) if numbers.dtype.kind in "iufO" else np.array(np.nan)
    except (TypeError, ValueError):
        return np.array(np.nan)


@dataclass(frozen=True)
class GivenNoise:
    """The noise of samples, as far as it was given.

    Parameters
    ----------
    std : ndarray of shape (n_outputs,) or None
        Root mean square of the standard deviations of samples of average weight; None where it is
        to be learned.
    weight : ndarray of shape (n, n_outputs)
        What the variance of the noise of each sample is divided by.
    average : float
        The average weight of samples that are as noisy as most.
    """

    std: NDArray[np.float64] | None
    weight: NDArray[np.float64]
    average: float

    @classmethod
    def of(
        cls,
        noise_std: Any,
        of_rows: NDArray[np.float64] | None,
        sample_weight: NDArray[np.float64],
        n_outputs: int,
    ) -> Self:
        """Put together what a parameter, samples and weights say.

        Parameters
        ----------
        noise_std : "auto", None, float or array-like of shape (n_outputs,)
            The parameter.
        of_rows : ndarray of shape (n,) or (n, n_outputs), or None
            A standard deviation for each sample, which counts in place of the parameter.
        sample_weight : ndarray of shape (n,)
            Non-negative weights of the samples; those of weight zero are left out.
        n_outputs : int
            Number of targets.
        """
        used = sample_weight > 0
        weight = np.repeat(sample_weight[used, None], n_outputs, axis=1)
        average = float(sample_weight[used].mean())
        if of_rows is None:
            return cls(check_noise_std(noise_std, n_outputs), weight, average)
        stds = of_rows[used].reshape(weight.shape)
        size = stds.max(axis=0)
        shares = (stds / np.where(size > 0, size, 1.0)) ** 2
        mean = shares.mean(axis=0)
        relative = np.maximum(shares / np.where(mean > 0, mean, 1.0), _MOST_EXACT**2)
        return cls(size * np.sqrt(mean), weight / np.where(mean > 0, relative, 1.0), average)

    def of_target(self, place: int) -> Self:
        """Return that of one target."""
        std = None if self.std is None else self.std[[place]]
        return type(self)(std, self.weight[:, [place]], self.average)


def check_row_noise(noise_std: ArrayLike, y: NDArray[Any]) -> NDArray[np.float64]:
    """Return a standard deviation for each value, in a shape that values `y` may have."""
    stds = np.asarray(noise_std, dtype=np.float64)
    is_column = y.ndim == 2 and y.shape[1] == 1 and stds.shape == y.shape[:1]
    if stds.shape != y.shape and not is_column:
        raise ValueError(
            f"noise_std must have shape {y.shape}, a standard deviation for each value; got "
            f"{stds.shape}."
        )
    if not (np.isfinite(stds) & (stds >= 0)).all():
        raise ValueError("noise_std must be finite and non-negative for each value.")
    return stds
