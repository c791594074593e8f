"""A proxy that has learned samples, and its minimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._proxy_search._failure_model import FailureAverse, FailureRisk
from sklearn_proxyopt._proxy_search._functions import RegressorFunction, with_names
from sklearn_proxyopt._proxy_search._mixed_search import MixedSearch
from sklearn_proxyopt._proxy_search._penalty import Merit, MeritFunction, noise_of_outputs
from sklearn_proxyopt._proxy_search._smoothed_search import SmoothedSearch
from sklearn_proxyopt._proxy_search._turned import turned_proxy
from sklearn_proxyopt._utils._goal import MINIMUM, Goal
from sklearn_proxyopt._utils._seeding import seed_argument, seeded
from sklearn_proxyopt.optimizers._functions import ProxyFunction
from sklearn_proxyopt.variables import Variables

__all__ = ["ProxyModel"]

# So often the penalty for what is violated is raised tenfold, until the search keeps out of it.
_N_PENALTIES = 4


@dataclass
class ProxyModel:
    """A proxy and an optimizer, seeded, that learn samples and search what was learned.

    Parameters
    ----------
    proxy : regressor
        Not fitted; a clone is.
    optimizer : optimizer
        Searches it; a clone does.
    seeds : dict
        A seed for "proxy" and one for "optimizer", used where they have none of their own.
    smoothing : "auto", float, sequence of float or None, default=None
        The noise of smoother proxies, by way of which the search goes.
    variables : Variables, default=None
        The space, of which the proxy learns the features; None for a plain one.
    goal : Goal, default=MINIMUM
        What is sought of the values, in which samples come to be minimized.
    is_noisy : bool, default=False
        Whether values are known to have noise, which is then no error of learned constraints.

    Attributes
    ----------
    learner : regressor
        The proxy as it learns, in the user's sign; `proxy` is it as it is searched.
    """

    proxy: Any
    optimizer: Any
    seeds: dict[str, int]
    smoothing: Any = None
    variables: Variables | None = None
    goal: Goal = MINIMUM
    is_noisy: bool = False

    def __post_init__(self) -> None:
        self.learner = seeded(self.proxy, self.seeds["proxy"])
        self.proxy = turned_proxy(self.learner, self.goal)
        self.optimizer = seeded(self.optimizer, self.seeds["optimizer"])
        self.smoothed = None
        self.merit: Merit | None = None
        if self.smoothing is not None:
            self.smoothed = SmoothedSearch(self.learner, self.smoothing, self.goal)

    def fit(
        self,
        X: NDArray[np.float64],
        y: NDArray[np.float64],
        names: NDArray[np.object_] | None,
        **fit_params: Any,
    ) -> None:
        """Let the proxy learn; rows with names reach it as a DataFrame.

        Values of shape (n, 1 + n_constraints) come with constraints.
        """
        if self.variables is not None:
            X, names = self.variables.features(X), self.variables.names_of_features(names)
        rows = with_names(X, names)
        self.proxy.fit(rows, y, **fit_params)
        if y.ndim == 2:
            predicted = np.asarray(self.proxy.predict(rows), dtype=np.float64)
            noise = noise_of_outputs(self.learner, y) if self.is_noisy else 0.0 * y[0]
            self.merit = Merit.learned(y, predicted.reshape(len(y), -1), noise)
        if self.smoothed is not None:
            self.smoothed.fit(rows, y, **fit_params)

    def search(
        self,
        bounds: NDArray[np.float64],
        starts: NDArray[np.float64],
        risk: FailureRisk | None = None,
        worst: float = np.inf,
        spread: float = 1.0,
    ) -> OptimizeResult:
        """Find the proxy's minimum, away from where evaluations fail if that is known.

        Where there are constraints, the result has them as predicted there, in `constraints`. Where
        the variables are not plain it is the lowest valid, feasible sample; `spread` tells how far
        the values known spread, by which violations are weighed.
        """
        if self.merit is None:
            function = RegressorFunction(self.proxy)
            search = self._search(function, bounds, starts, risk, worst, spread)
            # What the proxy says there to the last bit, and without the risk added for the search.
            search.fun = float(function(self.features(search.x[None]))[0])
            return search
        return self._search_constrained(self.merit, bounds, starts, risk, worst, spread)

    def _search_constrained(
        self,
        merit: Merit,
        bounds: NDArray[np.float64],
        starts: NDArray[np.float64],
        risk: FailureRisk | None,
        worst: float,
        spread: float,
    ) -> OptimizeResult:
        """Find the lowest merit: raise the penalty until it keeps out of it, then sharpen it."""
        proxy = RegressorFunction(self.proxy)
        is_kept = False
        for _ in range(_N_PENALTIES):
            function = MeritFunction(proxy, merit, adds_spread=True)
            search = self._search(function, bounds, starts, risk, worst, spread)
            (outputs,) = function.outputs(self.features(search.x[None]))
            starts = np.vstack([search.get("x_candidates", search.x[None]), starts])
            if is_kept:
                break
            self.merit, is_kept = merit, merit.is_kept(outputs)
            if is_kept and self.is_noisy:
                # A sharper penalty moves the minimum by less than the noise hides.
                break
            merit = merit.sharper() if is_kept else merit.heavier()
        search.fun, search.constraints = float(outputs[0]), outputs[1:]
        return search

    def _search(
        self,
        function: ProxyFunction,
        bounds: NDArray[np.float64],
        starts: NDArray[np.float64],
        risk: FailureRisk | None,
        worst: float,
        spread: float,
    ) -> OptimizeResult:
        if risk is not None:
            function = FailureAverse(function, risk, worst)
        if self.variables is None or self.variables.is_continuous_box:
            seed = seed_argument(self.optimizer, self.seeds["optimizer"])
            search = self.optimizer.minimize(function, bounds, x0=starts, **seed)
            if self.smoothed is not None:
                search = self.smoothed.search(
                    function, search, self.optimizer, bounds, starts, self.seeds["optimizer"]
                )
        else:
            search = self._search_valid(function, starts, spread)
        if not np.isfinite(search.fun):
            raise ValueError(
                f"proxy must predict finite values inside the box; got none from "
                f"{type(self.learner).__name__}."
            )
        return search

    def features(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return samples as the proxy learns them."""
        return X if self.variables is None else self.variables.features(X)

    def _search_valid(
        self, function: Any, starts: NDArray[np.float64], spread: float
    ) -> OptimizeResult:
        """Search the valid, feasible samples, by way of smoother proxies if there are any."""
        assert self.variables is not None
        valid = MixedSearch(function, self.variables, spread)
        seed = seed_argument(self.optimizer, self.seeds["optimizer"])
        found = valid.run(self.optimizer, starts, seed.get("random_state"))
        if self.smoothed is not None:
            found = self.smoothed.search(
                valid.on_axes(),
                found,
                self.optimizer,
                valid.variables.axes,
                valid.variables.encode(starts),
                self.seeds["optimizer"],
                valid.on_axes,
            )
        return valid.finish(found, starts)
