"""What an infill strategy is told after a round."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from sklearn_proxyopt._proxy_search._failure_model import FailureRisk
from sklearn_proxyopt._proxy_search._model import LearnedProxy, without_names
from sklearn_proxyopt._proxy_search._on_axes import AxesProxy
from sklearn_proxyopt._proxy_search._penalty import MeritFunction, merit_of_rows
from sklearn_proxyopt._run._oracle import Purchases, nearest_feasible
from sklearn_proxyopt._utils._dataset import best_rows
from sklearn_proxyopt.diagnosis._opinions import SecondOpinions
from sklearn_proxyopt.infill import Knowledge
from sklearn_proxyopt.proxies import NeuralProxyRegressor
from sklearn_proxyopt.variables import Variables

__all__ = ["knowledge_of", "warm_up"]

# After the first round a proxy that can go on from its weights trains for this share of the epochs.
_SHARE_OF_EPOCHS = 1 / 3
_MIN_EPOCHS = 20
# What a violation of one span of a constraint on the variables costs, in spreads of the values.
_PENALTY = 100.0


def knowledge_of(
    learned: LearnedProxy,
    purchases: Purchases,
    space: Variables,
    names: NDArray[np.object_] | None,
    rng: np.random.Generator,
    risk: FailureRisk | None = None,
) -> Knowledge:
    """Return what is known after a round, on the axes, where a strategy sees a plain box.

    Values that come with constraints count by their merit, in the rows and in the proxy alike.
    Minima are looked for away from where evaluations fail, if `risk` tells that of features.
    """
    merit = learned.merit
    X, y = space.rows_that_count(purchases.X, purchases.y)
    starts, _ = space.best_rows(X, y)
    values = merit_of_rows(y, merit)
    spread = float(np.median(values) - values.min())

    def minima_of(
        proxy: LearnedProxy, box: NDArray[np.float64], starts: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        search = proxy.search(box, starts, risk, float(values.max()), spread)
        return np.atleast_2d(search.get("x_candidates", search.x))

    minima = minima_of(learned, space.bounds, starts)
    seed = int(rng.integers(2**31 - 1))

    def learn(
        rows: NDArray[np.intp], region: NDArray[np.float64]
    ) -> tuple[Any, NDArray[np.float64]]:
        local = _learned_anew(learned, X[rows], y[rows], names)
        if space.is_plain:
            return local.proxy, minima_of(local, region, best_rows(X[rows], y[rows], region)[0])
        starts, _ = space.best_rows(X[rows], y[rows])
        found = space.encode(minima_of(local, space.bounds, starts))
        return local.proxy, np.clip(found, *region.T)

    def doubts() -> NDArray[np.float64]:
        opinions = SecondOpinions(
            learned.proxy, space.features(purchases.X), purchases.y, seed, merit
        )
        return space.encode(opinions.minima(space, np.vstack([minima, starts]), seed)[0])

    proxy = without_names(learned.proxy)
    if merit is not None:
        proxy = MeritFunction(proxy, merit)
    return Knowledge(
        proxy=proxy if space.is_plain else AxesProxy(proxy, space, _PENALTY * spread),
        optimizer=learned.optimizer,
        X=space.encode(X),
        y=values,
        bounds=space.axes,
        minima=space.encode(minima),
        taken=space.encode(np.vstack([purchases.X, purchases.X_failed])),
        rng=rng,
        learn=learn,
        doubts=doubts,
        rows_at=None if space.is_plain else partial(_rows_at, space),
        caution=None if risk is None else partial(_caution, space, risk),
    )


def warm_up(proxy: Any) -> None:
    """Let a fitted proxy go on from its weights, where it can."""
    if isinstance(proxy, NeuralProxyRegressor):
        n_epochs = max(round(_SHARE_OF_EPOCHS * proxy.n_iter_), _MIN_EPOCHS)
        if not proxy.warm_start:
            proxy.set_params(warm_start=True, max_epochs=n_epochs)


def _rows_at(space: Variables, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the feasible rows nearest to points, all on the axes; NaN where there is none."""
    return space.encode(nearest_feasible(space.decode(points), space))


def _caution(
    space: Variables, risk: FailureRisk, points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far the rows that points on the axes stand for are to be avoided."""
    return risk.caution(space.features(space.decode(points)))


def _learned_anew(
    learned: LearnedProxy,
    X: NDArray[np.float64],
    y: NDArray[np.float64],
    names: NDArray[np.object_] | None,
) -> LearnedProxy:
    """Return a copy of a proxy that has learned other rows, from weights of its own."""
    proxy = clone(learned.proxy)
    if isinstance(proxy, NeuralProxyRegressor):
        proxy.set_params(warm_start=False)
    local = LearnedProxy(proxy, learned.optimizer, learned.seeds, variables=learned.variables)
    local.fit(X, y, names)
    return local
