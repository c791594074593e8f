"""The optimum of a model that is called as it is."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._proxy_search._mixed_search import MixedSearch
from sklearn_proxyopt._utils._seeding import seed_argument
from sklearn_proxyopt.optimizers._functions import ProxyFunction
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import Variables
from sklearn_proxyopt.variables._design import Design

__all__ = ["search_model"]

# Samples of the design that a search begins with, and those that it starts from.
_N_SAMPLED, _N_STARTS = 1024, 10


def search_model(
    function: ProxyFunction,
    variables: Variables,
    search: Any,
    x0: ArrayLike | None,
    seed: int,
) -> OptimizeResult:
    """Return what a search finds from the lowest samples of a design and of those given.

    Parameters
    ----------
    function : ProxyFunction
        The model, to be minimized.
    variables : Variables
        What samples may be.
    search : optimizer
        Seeded.
    x0 : array-like of shape (n_starts, n_features) or None
        Samples to start from.
    seed : int
        Seeds the design.

    Returns
    -------
    OptimizeResult
        The lowest valid, feasible sample, and the best distinct ones.
    """
    starts = _starts(function, variables, x0, seed)
    if variables.is_continuous_box:
        seeding = seed_argument(search, seed)
        return search.minimize(function, variables.bounds, x0=starts, **seeding)
    spread = float(np.ptp(function(starts)))
    mixed = MixedSearch(function, _as_rows(variables), spread)
    return mixed.finish(mixed.run(search, starts, seed), starts)


def _as_rows(variables: Variables) -> Variables:
    """Return variables of which a model is told the samples as they are."""

    class Rows(Variables):
        def features(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
            return X

    told = copy.copy(variables)
    told.__class__ = Rows
    return told


def _starts(
    function: ProxyFunction, variables: Variables, x0: ArrayLike | None, seed: int
) -> NDArray[np.float64]:
    """Return the lowest feasible samples of a design and of those given."""
    rows = Design(SobolSampler(_N_SAMPLED, random_state=seed), variables).sample()
    if x0 is not None:
        given = np.atleast_2d(np.asarray(x0, dtype=np.float64))
        if given.shape[1] != variables.n_features:
            raise ValueError(
                f"x0 must have a column for each of the {variables.n_features} variables; got "
                f"shape {given.shape}."
            )
        rows = np.vstack([variables.snap(given), rows])
    rows = rows[variables.is_feasible(rows)]
    values = np.where(np.isfinite(found := function(rows)), found, np.inf)
    return rows[np.argsort(values, kind="stable")[:_N_STARTS]]
