"""A proxy of several objectives that has learned rows, and its Pareto front."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._failure_risk import FailureRisk
from sklearn_proxyopt._learned_proxy import named_rows, without_names
from sklearn_proxyopt._merit import margin_of
from sklearn_proxyopt._seeding import seeded
from sklearn_proxyopt.optimizers import nondominated
from sklearn_proxyopt.optimizers._pareto import spread_out

__all__ = ["PromisedFront", "front_of_rows"]

# Points of the known front that the search begins with.
_N_STARTS = 30


class PromisedFront:
    """A proxy and an optimizer, seeded, that learn rows and find the front of what was learned.

    Parameters
    ----------
    proxy : regressor
        Not fitted; a clone is.
    optimizer : NSGA2
        Searches it; a clone does.
    seeds : dict
        A seed for "proxy" and one for "optimizer", used where they have none of their own.
    n_constraints : int
        How many of the last outputs are constraints.
    """

    def __init__(
        self, proxy: Any, optimizer: Any, seeds: dict[str, int], n_constraints: int
    ) -> None:
        self.proxy = seeded(proxy, seeds["proxy"])
        self.optimizer = seeded(optimizer, seeds["optimizer"])
        self.n_constraints = n_constraints

    def fit(
        self, X: NDArray[np.float64], y: NDArray[np.float64], names: NDArray[np.object_] | None
    ) -> None:
        """Let the proxy learn; rows with names reach it as a DataFrame."""
        self.proxy.fit(named_rows(X, names), y)
        self._n_outputs = y.shape[1]
        self._n_objectives = y.shape[1] - self.n_constraints
        self._margin = np.zeros(self.n_constraints)
        if self.n_constraints:
            n = self._n_objectives
            self._margin = margin_of(y[:, n:], self.outputs(X)[:, n:])

    def outputs(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return predictions of shape (n, n_objectives + n_constraints)."""
        outputs = np.asarray(without_names(self.proxy).predict(X), dtype=np.float64)
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
        bounds: NDArray[np.float64],
        risk: FailureRisk | None,
    ) -> OptimizeResult:
        """Find the proxy's front from that of the rows; `F` is what the proxy says there.

        Constraints keep a margin for the proxy's errors. Where evaluations are likely to fail,
        the worst outputs known stand in for the promise.
        """
        n, worst = self._n_objectives, y.max(axis=0)

        def function(rows: NDArray[np.float64]) -> NDArray[np.float64]:
            outputs = self.outputs(rows)
            outputs[:, n:] += self._margin
            if risk is not None:
                outputs += risk.caution(rows)[:, None] * (worst - outputs)
            return outputs

        known = front_of_rows(X, y, bounds, self.n_constraints)
        starts = known.X[spread_out(known.F, known.F[:0], _N_STARTS)]
        search = self.optimizer.minimize(
            function, bounds, n_constraints=self.n_constraints, x0=starts
        )
        outputs = self.outputs(search.X)
        if not np.isfinite(outputs).all():
            raise ValueError(
                f"proxy must predict finite values inside the box; got none from "
                f"{type(self.proxy).__name__}."
            )
        search.F = outputs[:, :n]
        if self.n_constraints:
            search.constraints = outputs[:, n:]
        return search


def front_of_rows(
    X: NDArray[np.float64], y: NDArray[np.float64], bounds: NDArray[np.float64], n_constraints: int
) -> OptimizeResult:
    """Return the front of the rows inside the box, in the order of the first objective.

    If no row is feasible, that is the one which violates its constraints least.
    """
    inside = ((bounds[:, 0] <= X) & (bounds[:, 1] >= X)).all(axis=1)
    if not inside.any():
        raise ValueError("bounds must hold at least one of the rows; got none inside.")
    X, y = X[inside], y[inside]
    n = y.shape[1] - n_constraints
    violation = np.maximum(y[:, n:], 0.0).sum(axis=1)
    front = np.flatnonzero(nondominated(y[:, :n], violation))
    is_feasible = bool(violation.min() == 0.0)
    front = front[np.lexsort(y[front, :n].T[::-1])] if is_feasible else front[:1]
    result = OptimizeResult(X=X[front], F=y[front, :n], success=is_feasible)
    if n_constraints:
        result.constraints = y[front, n:]
    return result
