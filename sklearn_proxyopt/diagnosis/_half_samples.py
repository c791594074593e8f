"""Models of the same kind as a proxy, refitted on half of the data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult
from sklearn.frozen import FrozenEstimator

from sklearn_proxyopt._proxy_search._functions import RegressorFunction, with_names
from sklearn_proxyopt._proxy_search._mixed_search import MixedSearch
from sklearn_proxyopt._proxy_search._penalty import Merit, MeritFunction
from sklearn_proxyopt._proxy_search._turned import turned_proxy, unturned_proxy
from sklearn_proxyopt._utils._seeding import seeded
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.optimizers._functions import ProxyFunction, member_function
from sklearn_proxyopt.variables import Variables

__all__ = ["HalfSampleEnsemble", "are_learned_as_stack", "judged_function"]


def are_learned_as_stack(proxy: Any) -> bool:
    """Tell whether the proxies of halves are learned at once, in about the time of one fit."""
    return hasattr(unturned_proxy(proxy)[0], "fit_halves")


def judged_function(proxy: Any, merit: Merit | None) -> ProxyFunction:
    """Return a fitted proxy as the function of one value a sample that is judged."""
    return (
        RegressorFunction(proxy)
        if merit is None
        else MeritFunction(RegressorFunction(proxy), merit)
    )


class HalfSampleEnsemble:
    """Models of the same kind as a fitted proxy, each refitted on half of the samples.

    A proxy with `fit_halves` fits them itself; of any other regressor there is one copy for each
    half, which together cost as much as the first fit did. Two share out the samples, two more
    share them out anew, and so on. Their spread is that of
    half-samples, which estimates the same variance as the bootstrap [1]_, and every sample can be
    predicted by some that have not seen it.

    Parameters
    ----------
    proxy : regressor
        The fitted proxy in question.
    X : ndarray of shape (n_samples, n_features)
        The samples it learned from.
    y : ndarray of shape (n_samples,)
        Their values.
    seed : int
        Draws the halves, and seeds the proxies.
    merit : Merit, default=None
        What counts of the several outputs that each learns; None where there is only one.

    Attributes
    ----------
    n_halves : int
        How many there are.
    has_seen : ndarray of bool of shape (n_halves, n_rows)
        Which samples each learned from.

    References
    ----------
    .. [1] Efron, "The Jackknife, the Bootstrap and Other Resampling Plans", SIAM, 1982,
       :doi:`10.1137/1.9781611970319`.
    """

    def __init__(
        self,
        proxy: Any,
        X: NDArray[np.float64],
        y: NDArray[np.float64],
        seed: int,
        merit: Merit | None = None,
    ) -> None:
        self._stack: Any = None
        self._merit = merit
        proxy, self._goal = unturned_proxy(proxy)
        while isinstance(proxy, FrozenEstimator):
            # A copy of a frozen estimator would not learn from its half.
            proxy = proxy.estimator
        if hasattr(proxy, "fit_halves"):
            halves = self._judge(proxy.fit_halves(X, self._goal.turned(y), seed))
        else:
            halves = self._learn_as_copies(proxy, X, y, seed)
        self.n_halves = len(halves)
        self.has_seen = np.zeros((self.n_halves, len(X)), dtype=bool)
        np.put_along_axis(self.has_seen, halves, True, axis=1)

    def _judge(self, stack: Any) -> NDArray[np.intp]:
        """Keep a stack of refitted models; return the samples that each has seen."""
        turned, merit = turned_proxy(stack, self._goal), self._merit
        self._stack = turned if merit is None else MeritFunction(RegressorFunction(turned), merit)
        rows: NDArray[np.intp] = stack.member_rows_
        return rows

    def _learn_as_copies(
        self, proxy: Any, X: NDArray[np.float64], y: NDArray[np.float64], seed: int
    ) -> NDArray[np.intp]:
        rng, names = np.random.default_rng(seed), getattr(proxy, "feature_names_in_", None)
        order, n_half = rng.permutation(len(X)), len(X) // 2
        halves = np.array([np.sort(order[:n_half]), np.sort(order[-n_half:])])
        self._functions = []
        for half in halves:
            copy = turned_proxy(seeded(proxy, int(rng.integers(2**31 - 1))), self._goal)
            copy.fit(with_names(X[half], names), y[half])
            self._functions.append(judged_function(copy, self._merit))
        return halves

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what each predicts for samples, of shape (n_halves, n)."""
        if self._stack is not None:
            members: NDArray[np.float64] = self._stack.predict_members(X)
            return members
        return np.array([function(X) for function in self._functions])

    def predict_unseen(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return, for the samples they learned from, the mean of those that have not seen each."""
        opinions = np.where(self.has_seen, np.nan, self.predict(X))
        counts = (~self.has_seen).sum(axis=0)
        with np.errstate(invalid="ignore"):
            return np.where(counts > 0, np.nansum(opinions, axis=0) / np.maximum(counts, 1), np.nan)

    def minima(
        self, variables: Variables, points: NDArray[np.float64], seed: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where each has its minimum, and the value it gives itself there.

        Members of a stack are searched from the points; of other regressors, the lowest of the
        points is taken.
        """
        values = self.predict(variables.features(points))
        if self._stack is not None:
            starts = np.unique(np.argsort(values, axis=1)[:, :3])
            search = MultiStartBFGS(32, 60, n_rounds=2, n_candidates=1024, random_state=seed)
            if variables.is_continuous_box:
                box = variables.bounds
                found = search.minimize_members(self._stack, box, x0=points[starts])
            else:
                found = self._valid_minima(variables, points[starts], search)
            return np.array([one.x for one in found]), np.array([one.fun for one in found])
        lowest = values.argmin(axis=1)
        return points[lowest], values.min(axis=1)

    def _valid_minima(
        self, variables: Variables, starts: NDArray[np.float64], search: MultiStartBFGS
    ) -> list[OptimizeResult]:
        """Return the minimum of each member of the stack among valid, feasible samples."""
        found = []
        for member in range(self.n_halves):
            function = member_function(self._stack, member)
            spread = float(np.ptp(function(variables.features(starts))))
            valid = MixedSearch(function, variables, spread)
            one = valid.run(search, starts, None)
            one.x_candidates = one.x[None]
            found.append(valid.finish(one, starts))
        return found
