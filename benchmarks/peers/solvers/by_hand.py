"""The proxy that people write by hand."""

from __future__ import annotations

import warnings

import numpy as np

from peers.meter import Meter

__all__ = ["by_hand"]

SHARE_OF_DESIGN = 0.6


def by_hand(fun: Meter, dim: int, budget: int, seed: int) -> None:
    """Learn a Latin hypercube by a network, search that once, go on by Nelder-Mead.

    Nelder-Mead starts at the proxy's optimum or the best row, whichever is better, and again at
    the best point where it converges early.
    """
    from scipy.optimize import differential_evolution, minimize
    from scipy.stats import qmc
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X = qmc.LatinHypercube(dim, rng=np.random.default_rng(seed)).random(
        round(SHARE_OF_DESIGN * budget)
    )
    y = np.array([fun(point) for point in X])
    network = MLPRegressor(hidden_layer_sizes=(100, 100), max_iter=2000, random_state=seed)
    proxy = TransformedTargetRegressor(
        make_pipeline(StandardScaler(), network), transformer=StandardScaler()
    )
    box = [(0.0, 1.0)] * dim
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        proxy.fit(X, y)
        found = differential_evolution(
            lambda columns: proxy.predict(columns.T),
            box,
            vectorized=True,
            updating="deferred",
            polish=False,
            rng=seed,
        )
        best, value = found.x, fun(found.x)
        if y.min() < value:
            best, value = X[np.argmin(y)], float(y.min())
        while True:
            best = minimize(
                fun,
                best,
                method="Nelder-Mead",
                bounds=box,
                options={"maxfev": budget, "adaptive": True},
            ).x
