"""One regressor on one sample of one problem, measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from sklearn_proxyopt._utils._seeding import seeded
from sklearn_proxyopt._utils._validation import check_bounds
from sklearn_proxyopt.optimizers import MultiStartBFGS

__all__ = ["FIELDS", "Sample", "function_sample", "measured", "table_sample"]

# What a row of a comparison holds, in the order of its columns.
FIELDS = (
    "problem",
    "n_features",
    "n_rows",
    "repeat",
    "regressor",
    "error",
    "error_low",
    "coverage",
    "covered_at_minimum",
    "interval_score",
    "predicted_at_minimum",
    "value_at_minimum",
    "best_row",
    "lowest_known",
    "median",
    "fit_seconds",
    "predict_seconds",
)
# The lowest values are those of this share of the test samples.
_LOW = 0.1
# Standard deviations to either side of the 90 % interval, and the share outside of it.
_DEVIATIONS, _OUTSIDE = 1.645, 0.1
_N_TEST, _N_BEST = 2000, 5


@dataclass(frozen=True)
class Sample:
    """Samples to learn and samples to be judged on.

    Parameters
    ----------
    X, y : ndarray of shape (n, n_features) and (n,)
        What is learned.
    X_test, y_test : ndarray of shape (n_test, n_features) and (n_test,)
        What it is judged on.
    function : callable or None
        The function; None of a table.
    bounds : ndarray of shape (n_features, 2)
        The bounds within which the minimum is searched.
    lowest_known : float
        The lowest known value.
    """

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    X_test: NDArray[np.float64]
    y_test: NDArray[np.float64]
    function: Callable[[Any], Any] | None
    bounds: NDArray[np.float64]
    lowest_known: float


def function_sample(problem: Any, n_rows: int, rng: np.random.Generator) -> Sample:
    """Draw a Latin hypercube to learn and uniform samples to judge by, within the bounds."""
    bounds = check_bounds(problem.bounds)
    lower, width = bounds[:, 0], bounds[:, 1] - bounds[:, 0]
    X = lower + width * qmc.LatinHypercube(len(bounds), rng=rng).random(n_rows)
    X_test = lower + width * rng.random((_N_TEST, len(bounds)))
    y, y_test = _values(problem, X), _values(problem, X_test)
    lowest = min(float(getattr(problem, "f_opt", np.inf)), float(y.min()), float(y_test.min()))
    return Sample(X, y, X_test, y_test, problem, bounds, lowest)


def table_sample(table: tuple[Any, Any], n_rows: int, rng: np.random.Generator) -> Sample:
    """Draw rows of a table to learn; the others are to judge by."""
    X, y = (np.asarray(part, dtype=np.float64) for part in table)
    order = rng.permutation(len(X))
    kept, others = order[:n_rows], order[n_rows:]
    bounds = np.column_stack([X.min(axis=0), X.max(axis=0)])
    return Sample(X[kept], y[kept], X[others], y[others], None, bounds, float(y.min()))


def measured(regressor: Any, sample: Sample, seed: int) -> dict[str, float]:
    """Fit a regressor to a sample and return what is measured of it."""
    regressor = seeded(regressor, seed)
    began = time.perf_counter()
    regressor.fit(sample.X, sample.y)
    fitted = time.perf_counter()
    mean = np.ravel(regressor.predict(sample.X_test))
    predicted = time.perf_counter()
    x, promise = _minimum(regressor, sample, mean, seed)
    spread = max(float(sample.y_test.std()), np.finfo(float).tiny)
    off, low = mean - sample.y_test, np.argsort(sample.y_test)
    low = low[: max(round(_LOW * len(low)), 1)]
    return {
        "n_features": sample.X.shape[1],
        "error": float(np.sqrt(np.square(off).mean())) / spread,
        "error_low": float(np.sqrt(np.square(off[low]).mean())) / spread,
        **_intervals(regressor, sample, x, mean, spread),
        "predicted_at_minimum": promise,
        "value_at_minimum": _value_at(sample, x),
        "best_row": float(sample.y.min()),
        "lowest_known": sample.lowest_known,
        "median": float(np.median(sample.y_test)),
        "fit_seconds": fitted - began,
        "predict_seconds": predicted - fitted,
    }


def _minimum(
    regressor: Any, sample: Sample, mean: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.float64], float]:
    """Return where a regressor has its minimum, (1, n_features), and its value there.

    Of a table it is the lowest of the rows to judge by, whose values are known.
    """
    if sample.function is None:
        lowest = int(mean.argmin())
        return sample.X_test[lowest][None], float(mean[lowest])
    search = MultiStartBFGS(n_starts=32, random_state=seed)
    starts = sample.X[np.argsort(sample.y)[:_N_BEST]]
    fun: Any = regressor if hasattr(regressor, "torch_module") else _Plain(regressor)
    found = search.minimize(fun, sample.bounds, x0=starts)
    return found.x[None], float(found.fun)


class _Plain:
    """A regressor as a function, with its gradient where it has one."""

    def __init__(self, regressor: Any) -> None:
        self._regressor = regressor
        if hasattr(regressor, "value_and_grad"):
            self.value_and_grad = regressor.value_and_grad

    def __call__(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        values: NDArray[np.float64] = np.ravel(self._regressor.predict(X))
        return values


def _intervals(
    regressor: Any,
    sample: Sample,
    x: NDArray[np.float64],
    mean: NDArray[np.float64],
    spread: float,
) -> dict[str, float]:
    """Return how well 90 % intervals hold the values; NaN for a regressor without intervals."""
    names = ("coverage", "covered_at_minimum", "interval_score")
    # One network alone has nothing to tell a deviation by.
    is_alone = getattr(regressor, "n_members", 2) < 2
    if is_alone or "return_std" not in signature(regressor.predict).parameters:
        return dict.fromkeys(names, np.nan)
    half = _DEVIATIONS * np.ravel(regressor.predict(sample.X_test, return_std=True)[1])
    beyond = np.abs(mean - sample.y_test) - half
    # The mean is not always the value of least error, so it is asked for again.
    own, deviation = (float(np.ravel(one)[0]) for one in regressor.predict(x, return_std=True))
    scores = 2.0 * half + 2.0 / _OUTSIDE * np.maximum(beyond, 0.0)
    is_covered = abs(own - _value_at(sample, x)) <= _DEVIATIONS * deviation
    values = (float((beyond <= 0.0).mean()), float(is_covered), float(scores.mean()) / spread)
    return dict(zip(names, values, strict=True))


def _value_at(sample: Sample, x: NDArray[np.float64]) -> float:
    if sample.function is not None:
        return float(_values(sample.function, x)[0])
    place = int(np.square(sample.X_test - x).sum(axis=1).argmin())
    return float(sample.y_test[place])


def _values(function: Any, X: NDArray[np.float64]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = np.ravel(np.asarray(function(X), dtype=np.float64))
    if not np.isfinite(values).all():
        raise ValueError(f"problems must be finite in their box; got {function!r}, which is not.")
    return values
