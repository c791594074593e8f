"""An optimum at a bound that all refitted models contradict is no answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._run._learning import answered_by_model
from sklearn_proxyopt._run._state import ModelState
from sklearn_proxyopt.diagnosis._diagnosis import stated_regret
from sklearn_proxyopt.diagnosis._edges import sides_of
from sklearn_proxyopt.diagnosis._half_samples import are_learned_as_stack

__all__ = ["agreed"]


def agreed(state: ModelState) -> ModelState:
    """Return a state whose optimum is none that every model refitted on half of the data denies.

    A model that extrapolates falls towards a corner without a sample. Where each of those that
    learned from half of the data predicts a lower value at one other point, this is the optimum.
    Optima away from all bounds, or no lower than the best sample, are not asked about, nor those of
    regressors whose refits would take as long as the fit did once more.
    """
    if not are_learned_as_stack(state.proxy) or not _is_in_doubt(state):
        return state
    collector = state.evidence
    evidence = collector.about(state.x_proxy)
    margin = stated_regret(evidence, state.typical_above(evidence.lowest_known))
    x = collector.agreed_point(state.x_proxy, margin)
    return state if x is None else _moved(state, x)


def _is_in_doubt(state: ModelState) -> bool:
    """Tell whether the optimum lies at a bound and below the best sample, and may be judged."""
    if state.merit is not None or not state.can_be_judged:
        return False
    at_bound = sides_of(state.x_proxy[None], state.variables).any()
    return bool(at_bound and state.fun_proxy < state.fun_best_row)


def _moved(state: ModelState, x: NDArray[np.float64]) -> ModelState:
    """Return the state with another optimum of its proxy; its candidates stay as they are."""
    value = float(state.evidence.predict(x[None])[0])
    search = type(state.search)(state.search)
    search.x, search.fun = x, value
    search.message = (
        f"{search.message} A lower prediction at a bound is left out: all models refitted on half "
        "of the data contradict it."
    )
    return answered_by_model(replace(state, x_proxy=x, fun_proxy=value, search=search))
