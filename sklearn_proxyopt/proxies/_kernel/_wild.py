"""Values that no smooth function has: penalties, outliers, and values that span many decades."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.proxies._spacing import rows_apart

__all__ = ["AS_THEY_ARE", "KINDS", "Taming", "is_wild", "n_decades", "tamings_for"]

# Fewer samples say nothing of what is usual.
_N_LEAST = 10
# Values are wild that lie so many times the spread of the others from these, at either end of which
# so large a share of the samples is looked at, as usual values, and from the middle of these so
# many times as far as any that is not wild.
_FAR, _SHARE_USUAL, _GAP = 30.0, 0.7, 10.0
# Limits of tamed values lie this share of the span of the usual ones beyond them.
_MARGIN = 0.1
# Values of one sign span too much if their first and last twentieths lie so many decades apart;
# if some are wild, fewer make a logarithm worth a trial.
_MOST_DECADES, _FEWEST_DECADES = 6.0, 2.0


@dataclass(frozen=True)
class Taming:
    """How the values of a target are changed before processes learn them.

    Lower stays lower where values are limited, and where they are learned by their logarithm.
    Scattered ones are learned as what other samples predict there, but no better than the median.

    Parameters
    ----------
    kind : {"", "limited", "scattered", "logarithm"}
        What is done; nothing by default.
    low, high : float
        The ends of the usual values.
    middle : float
        The median of them.
    sign : float
        That of the values that are learned by their logarithm.
    """

    kind: str = ""
    low: float = -np.inf
    high: float = np.inf
    middle: float = 0.0
    sign: float = 1.0

    @property
    def numbers(self) -> tuple[float, ...]:
        """The parameters that are numbers, in their order."""
        return (self.low, self.high, self.middle, self.sign)

    def unit(self, learned: float) -> float:
        """Return the unit of small differences about a value that was learned."""
        return float(np.exp(self.sign * learned)) if self.kind == "logarithm" else 1.0

    def are_usual(self, y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which values are usual."""
        return (y >= self.low) & (y <= self.high)

    def learned(
        self, y: NDArray[np.float64], predicted: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return what is learned in place of values, of which other samples predict something."""
        if self.kind == "logarithm":
            # Samples told later may have another sign.
            sizes = np.maximum(self.sign * y, np.finfo(np.float64).tiny)
            return np.asarray(self.sign * np.log(sizes))
        if self.kind == "limited":
            return self._limited(y)
        if self.kind == "scattered":
            above, below = np.maximum(predicted, self.middle), np.minimum(predicted, self.middle)
            return np.where(y > self.high, above, np.where(y < self.low, below, y))
        return y

    def _limited(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        margin = _MARGIN * (self.high - self.low)
        above, below = np.maximum(y - self.high, 0.0), np.maximum(self.low - y, 0.0)
        beyond = above / (1.0 + above / margin) - below / (1.0 + below / margin)
        return np.asarray(np.clip(y, self.low, self.high) + beyond)


AS_THEY_ARE = Taming()
KINDS = ("", "limited", "scattered", "logarithm")


def tamings_for(X: NDArray[np.float64], y: NDArray[np.float64]) -> list[Taming]:
    """Return what is worth a trial: nothing unless values (n,) of samples are wild or span much."""
    if len(y) < _N_LEAST or not (_outliers(y).any() or n_decades(y) > _MOST_DECADES):
        return []
    # Where a search has gathered samples around a minimum, the others are no outliers.
    values = y[rows_apart(X)]
    is_outlier, decades, found = _outliers(values), n_decades(values), []
    if is_outlier.any():
        others = values[~is_outlier]
        usual = y[(y >= others.min()) & (y <= others.max())]
        low, high, middle = float(usual.min()), float(usual.max()), float(np.median(usual))
        found += [Taming(kind, low, high, middle) for kind in ("limited", "scattered")]
    if decades > (_FEWEST_DECADES if found else _MOST_DECADES):
        found.append(Taming("logarithm", sign=float(np.sign(y[0]))))
    return found


def is_wild(X: NDArray[np.float64], y: NDArray[np.float64]) -> bool:
    """Tell whether values (n,) or (n, n_outputs) may have to be changed before they are learned."""
    return any(tamings_for(X, column) for column in y.reshape(len(X), -1).T)


def n_decades(y: NDArray[np.float64]) -> float:
    """Return how many decades most values span, 0 unless all have one sign."""
    sizes = np.abs(y)
    if not sizes.all() or ((y > 0.0).any() and (y < 0.0).any()):
        return 0.0
    small, large = np.log10(np.quantile(sizes, [0.05, 0.95]))
    return float(large - small)


def _outliers(y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which values are far from all others, with a gap between."""
    none = np.zeros(len(y), dtype=bool)
    if len(y) < _N_LEAST:
        return none
    ordered = np.sort(y)
    n_usual = int(np.ceil(_SHARE_USUAL * len(y)))
    lower, upper = ordered[:n_usual], ordered[-n_usual:]
    high = lower[-1] + _FAR * _quartiles_apart(lower)
    low = upper[0] - _FAR * _quartiles_apart(upper)
    is_near = (y >= low) & (y <= high)
    if is_near.sum() < n_usual or np.ptp(y[is_near]) == 0.0:
        return none
    away = np.abs(y - np.median(y[is_near]))
    distances = np.sort(away)
    is_gap = (distances[1:] > _GAP * distances[:-1]) & (distances[1:] > away[is_near].max())
    return away > distances[int(np.argmax(is_gap))] if is_gap.any() else none


def _quartiles_apart(values: NDArray[np.float64]) -> float:
    return float(np.subtract(*np.quantile(values, [0.75, 0.25])))
