"""What a descent learns of the samples nearby: the value and each constraint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from sklearn_proxyopt._proxy_search._penalty import Merit
from sklearn_proxyopt.refine._local_process import LocalProcess, Settings

__all__ = ["LocalModel", "most_samples"]

# At most so many samples are learned, beyond so many for each coefficient of a quadratic.
_N_SAMPLES_BEYOND, _SAMPLES_PER_COEFFICIENT = 20, 1.4
# Rows whose products with a step are to lie between two limits each.
_Limits = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
# Takes a point and returns one value or several, with gradients.
_Function = Callable[[NDArray[np.float64]], tuple[Any, NDArray[np.float64]]]


def most_samples(n_features: int) -> int:
    """Return how many samples a local model learns at most."""
    n_coefficients = (n_features + 1) * (n_features + 2) / 2
    return int(_N_SAMPLES_BEYOND + _SAMPLES_PER_COEFFICIENT * n_coefficients)


class LocalModel:
    """A local process of the value and, where there are constraints, one of each of them.

    Parameters
    ----------
    Z : ndarray of shape (n, n_features)
        Samples, in coordinates in which the function is about as steep along every axis.
    outputs : ndarray of shape (n,) or (n, 1 + n_constraints)
        What the function returned for them.
    merit : Merit or None
        What counts as the value of outputs with constraints.
    settings : list of Settings
        Where the choice of each process begins, or what is taken; none lets all begin anew.
    chooses : bool, default=True
        Whether settings are chosen, those near to the ones given.

    Attributes
    ----------
    settings : list of Settings
        Those of the processes.
    """

    def __init__(
        self,
        Z: NDArray[np.float64],
        outputs: NDArray[np.float64],
        merit: Merit | None,
        settings: list[Settings],
        chooses: bool = True,
    ) -> None:
        columns = outputs[:, None].T if outputs.ndim == 1 else outputs.T
        self._merit = merit
        self._processes = [
            LocalProcess(Z, np.ascontiguousarray(column), one, chooses, turns_at_zero=place > 0)
            for place, (column, one) in enumerate(
                zip(columns, settings or [Settings()] * len(columns), strict=True)
            )
        ]
        self.settings = [process.settings for process in self._processes]

    def outputs(self, Z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the predicted outputs of samples, in the shape in which they were learned."""
        columns = [process.predict(Z) for process in self._processes]
        return columns[0] if self._merit is None else np.column_stack(columns)

    def predict(self, Z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what counts as the predicted value of each sample."""
        outputs = self.outputs(Z)
        return outputs if self._merit is None else self._merit(outputs)

    def minimum(
        self,
        origin: NDArray[np.float64],
        axes: NDArray[np.float64],
        bounds: NDArray[np.float64],
        margin: NDArray[np.float64],
        limits: _Limits | None = None,
    ) -> NDArray[np.float64]:
        """Return the step to the lowest prediction that keeps the constraints.

        Parameters
        ----------
        origin : ndarray of shape (n_features,)
            The sample at which the search begins.
        axes : ndarray of shape (n_features, n_features)
            `origin + step @ axes` is the sample at a step.
        bounds : ndarray of shape (n_features, 2)
            Those of the step; 0 lies within.
        margin : ndarray of shape (n_constraints,)
            How far below 0 constraints are to be kept; of shape (1,) the same for all.
        limits : tuple of ndarray, default=None
            A matrix of shape (n_limits, n_features), and between which two values, of shape
            (n_limits,) each, its product with the step must lie.

        Returns
        -------
        ndarray of shape (n_features,)
            The step; the one of the least violations where not all constraints can be kept.
        """

        def along(predict: _Function) -> _Function:
            """Return a prediction of samples as one of steps."""

            def value_and_gradient(step: NDArray[np.float64]) -> tuple[Any, NDArray[np.float64]]:
                value, gradient = predict(origin + step @ axes)
                return value, axes @ gradient

            return value_and_gradient

        value = along(self._processes[0].warped_and_gradient)
        start = np.zeros(len(origin))
        slopes, most = _one_sided(limits, len(origin))
        if self._merit is None:
            free = _descend(value, start, bounds)
            if (slopes @ free <= most).all():
                return free
        learned = self._processes[1:]
        shares = margin / [process.size for process in learned] if learned else margin[:0]
        held = [along(process.constraint_and_gradient) for process in learned]

        def excess(step: NDArray[np.float64]) -> tuple[Any, NDArray[np.float64]]:
            pairs = [one(step) for one in held]
            values = np.array([value for value, _ in pairs]) + shares
            gradients = np.array([gradient for _, gradient in pairs]).reshape(-1, len(step))
            return np.append(values, slopes @ step - most), np.vstack([gradients, slopes])

        return _descend_within(value, excess, start, bounds)


def _one_sided(
    limits: _Limits | None, n_features: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rows whose products with a step are to be at most some values, and these."""
    if limits is None:
        return np.empty((0, n_features)), np.empty(0)
    matrix, lower, upper = limits
    slopes, most = np.vstack([matrix, -matrix]), np.append(upper, -lower)
    return slopes[np.isfinite(most)], most[np.isfinite(most)]


def _descend(
    fun: _Function, start: NDArray[np.float64], bounds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return where a descent in a box ends."""
    options = {"maxiter": 40, "ftol": 1e-10, "gtol": 1e-8}
    found = minimize(fun, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(found.x)


def _descend_within(
    fun: _Function, excess: _Function, start: NDArray[np.float64], bounds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return where a descent ends that keeps some excesses at most 0, or nearly, if it can."""

    def violation(step: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        values, gradients = excess(step)
        beyond = np.maximum(values, 0.0)
        return float(beyond @ beyond), 2.0 * beyond @ gradients

    if excess(start)[0].max() > 0.0:
        start = _descend(violation, start, bounds)
    held = {
        "type": "ineq",
        "fun": lambda step: -excess(step)[0],
        "jac": lambda step: -excess(step)[1],
    }
    found = minimize(
        fun,
        start,
        jac=True,
        method="SLSQP",
        bounds=bounds,
        constraints=[held],
        options={"maxiter": 60, "ftol": 1e-12},
    ).x
    is_worse = violation(found)[0] > violation(start)[0] + 1e-16
    return start if is_worse or not np.isfinite(found).all() else np.asarray(found)
