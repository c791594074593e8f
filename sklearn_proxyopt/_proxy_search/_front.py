"""A proxy of several objectives that has learned samples, and its Pareto front."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._proxy_search._failure_model import EncodedRisk, FailureRisk
from sklearn_proxyopt._proxy_search._functions import RegressorFunction, with_names
from sklearn_proxyopt._proxy_search._penalty import margin_of, noise_of_outputs
from sklearn_proxyopt._proxy_search._turned import turned_proxy
from sklearn_proxyopt._utils._dataset import Dataset, is_among, means_of_repeats
from sklearn_proxyopt._utils._goal import Goal
from sklearn_proxyopt._utils._seeding import seeded
from sklearn_proxyopt.optimizers import nondominated
from sklearn_proxyopt.optimizers._pareto import spread_out
from sklearn_proxyopt.variables import Variables

__all__ = ["FrontSearch", "front_of_rows"]

# Points of the known front that the search begins with.
_N_STARTS = 30


class FrontSearch:
    """A proxy and an optimizer, seeded, that learn samples and find the front of what was learned.

    Parameters
    ----------
    proxy : regressor
        Not fitted; a clone is.
    optimizer : NSGA2 or None
        Searches it; a clone does. None where nothing is searched.
    seeds : dict
        A seed for "proxy" and one for "optimizer", used where they have none of their own.
    n_constraints : int
        How many of the last outputs are constraints.
    variables : Variables
        The space, of which the proxy learns the features.
    goal : Goal
        What is sought of the objectives, in which samples come to be minimized.
    is_noisy : bool, default=False
        Whether outputs are known to have noise, which is then no error of learned constraints.

    Attributes
    ----------
    learner : regressor
        The proxy as it learns, in the user's signs; `proxy` is it as it is searched.
    """

    def __init__(
        self,
        proxy: Any,
        optimizer: Any,
        seeds: dict[str, int],
        n_constraints: int,
        variables: Variables,
        goal: Goal,
        is_noisy: bool = False,
    ) -> None:
        self.learner = seeded(proxy, seeds["proxy"])
        self.proxy = turned_proxy(self.learner, goal)
        self.optimizer: Any = optimizer and seeded(optimizer, seeds["optimizer"])
        self.n_constraints = n_constraints
        self.variables, self.is_noisy = variables, is_noisy

    def fit(
        self,
        X: NDArray[np.float64],
        y: NDArray[np.float64],
        names: NDArray[np.object_] | None,
        **fit_params: Any,
    ) -> None:
        """Let the proxy learn; rows with names reach it as a DataFrame."""
        names = self.variables.names_of_features(names)
        self.proxy.fit(with_names(self.variables.features(X), names), y, **fit_params)
        self._n_outputs = y.shape[1]
        self._n_objectives = y.shape[1] - self.n_constraints
        self._margin = np.zeros(self.n_constraints)
        if self.n_constraints:
            n = self._n_objectives
            noise = noise_of_outputs(self.learner, y) if self.is_noisy else 0.0 * y[0]
            self._margin = margin_of(y[:, n:], self.outputs(X)[:, n:], noise[n:])

    def outputs(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return predictions of samples, of shape (n, n_objectives + n_constraints)."""
        features = self.variables.features(X)
        outputs = np.asarray(RegressorFunction(self.proxy).predict(features), dtype=np.float64)
        if outputs.shape == (len(X),) and self._n_outputs == 1:
            outputs = outputs[:, None]
        if outputs.shape != (len(X), self._n_outputs):
            raise ValueError(
                f"proxy must predict {self._n_outputs} numbers a row, of shape "
                f"({len(X)}, {self._n_outputs}); got shape {outputs.shape}."
            )
        return outputs

    def search(
        self,
        X: NDArray[np.float64],
        y: NDArray[np.float64],
        risk: FailureRisk | EncodedRisk | None,
    ) -> OptimizeResult:
        """Find the proxy's front from that of the samples; `F` is what the proxy says there.

        Constraints keep a margin for the proxy's errors. Where evaluations are likely to fail, the
        worst outputs known stand in for the prediction. Points on the axes count as the valid
        samples that they stand for, and known constraints as further outputs.
        """
        variables, worst = self.variables, y.max(axis=0)

        def judged(rows: NDArray[np.float64]) -> NDArray[np.float64]:
            outputs = self.outputs(rows)
            outputs[:, self._n_objectives :] += self._margin
            if risk is not None:
                outputs += risk.caution(rows)[:, None] * (worst - outputs)
            return outputs

        def on_axes(Z: NDArray[np.float64]) -> NDArray[np.float64]:
            rows = variables.decode(Z)
            if variables.constraints is None:
                return judged(rows)
            return np.hstack([judged(rows), variables.constraints.violations(rows)])

        known = front_of_rows(X, y, variables, self.n_constraints)
        starts = known.X[spread_out(known.F, known.F[:0], _N_STARTS)]
        n_known = 0 if variables.constraints is None else len(variables.constraints)
        search = self.optimizer.minimize(
            on_axes,
            variables.axes,
            n_constraints=self.n_constraints + n_known,
            x0=variables.encode(starts),
        )
        rows = variables.decode(search.X)
        if not variables.is_continuous_box:
            rows = np.vstack([self._feasible_rows_near(rows), starts])
        front = front_of_rows(rows, judged(rows), variables, self.n_constraints)
        return self._with_predictions(search, front.X)

    def known(self, data: Dataset) -> OptimizeResult:
        """Return the front of samples: measured, or with noise as the proxy predicts it there."""
        y = self.outputs(data.X) if self.is_noisy else data.y
        return front_of_rows(data.X, y, self.variables, self.n_constraints)

    def least_certain(self, data: Dataset) -> NDArray[np.float64]:
        """Return the points of the known front, those first whose prediction is least certain.

        None where the proxy tells no standard deviations.
        """
        front = self.known(data)
        deviations = RegressorFunction(self.proxy).deviations(self.variables.features(front.X))
        if deviations is None:
            return data.X[:0]
        spread = np.maximum(np.ptp(data.y, axis=0), np.finfo(np.float64).tiny)
        X: NDArray[np.float64] = front.X[np.argsort(-(deviations / spread).max(axis=1))]
        return X

    def _feasible_rows_near(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the nearest feasible samples, and those one move of an integer or label away."""
        rows = self.variables.snap(rows)
        if self.variables.is_discrete_axis.any():
            moved = np.vstack([self.variables.neighbors(x) for x in rows])
            rows = np.vstack([rows, self.variables.snap(moved)])
        rows = rows[~is_among(rows, rows[:0])]
        return rows[self.variables.is_feasible(rows)]

    def _with_predictions(self, search: OptimizeResult, X: NDArray[np.float64]) -> OptimizeResult:
        """Return the result of a search with the front that it led to, in the user's units."""
        search.X, outputs = X, self.outputs(X)
        if not np.isfinite(outputs).all():
            raise ValueError(
                f"proxy must predict finite values inside the box; got none from "
                f"{type(self.learner).__name__}."
            )
        search.F = outputs[:, : self._n_objectives]
        search.pop("constraints", None)
        if self.n_constraints:
            search.constraints = outputs[:, self._n_objectives :]
        return search


def front_of_rows(
    X: NDArray[np.float64], y: NDArray[np.float64], variables: Variables, n_constraints: int
) -> OptimizeResult:
    """Return the front of the valid samples inside the box, in the order of the first objective.

    If no sample keeps the constraints among its outputs, that is the one which violates them least.
    """
    X, y = means_of_repeats(*variables.rows_that_count(X, y))
    n = y.shape[1] - n_constraints
    violation = np.maximum(y[:, n:], 0.0).sum(axis=1)
    front = np.flatnonzero(nondominated(y[:, :n], violation))
    is_feasible = bool(violation.min() == 0.0)
    front = front[np.lexsort(y[front, :n].T[::-1])] if is_feasible else front[:1]
    result = OptimizeResult(X=X[front], F=y[front, :n], success=is_feasible)
    if n_constraints:
        result.constraints = y[front, n:]
    return result
