"""Fit the proxy and search it: from samples to what was learned of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult
from sklearn.base import clone

from sklearn_proxyopt._proxy_search._failure_model import (
    FailureRisk,
    risk_in_units,
    risk_of_features,
)
from sklearn_proxyopt._proxy_search._model import ProxyModel
from sklearn_proxyopt._proxy_search._penalty import merit_of_rows
from sklearn_proxyopt._proxy_search._smoothed_search import SmoothedSearch
from sklearn_proxyopt._run._known_noise import has_noise
from sklearn_proxyopt._run._result import RunResult
from sklearn_proxyopt._run._run import Run
from sklearn_proxyopt._run._settings import SearchSettings, Settings
from sklearn_proxyopt._run._short_names import resolved
from sklearn_proxyopt._run._state import DEVIATIONS_IN_INTERVAL, ModelState, why_not_judged
from sklearn_proxyopt._utils._dataset import Dataset
from sklearn_proxyopt._utils._feasibility import values_of
from sklearn_proxyopt._utils._goal import Goal
from sklearn_proxyopt.proxies import NeuralProxyRegressor, ProxyRegressor
from sklearn_proxyopt.proxies._plain_skorch import with_nets_wrapped
from sklearn_proxyopt.variables import Variables

__all__ = [
    "answered_by_model",
    "in_users_sign",
    "learn_model",
    "learn_risk",
    "proxy_of",
    "search_of",
    "takes_noise",
    "unfitted_model",
]


def proxy_of(optimizer: Settings) -> Any:
    """Return the proxy of an optimizer, not fitted.

    Of those that an optimizer takes by itself, only a network has a ladder of smoother ones.
    """
    if optimizer.proxy is not None:
        return _told_of_noise(with_nets_wrapped(resolved("proxy", optimizer.proxy)), optimizer)
    is_smoothed = getattr(optimizer, "smoothing", None) is not None
    return NeuralProxyRegressor() if is_smoothed else _told_of_noise(ProxyRegressor(), optimizer)


def _told_of_noise(proxy: Any, optimizer: Settings) -> Any:
    """Return a proxy that knows what the user says of noise, if it takes that."""
    if isinstance(optimizer.noise_std, str) or not takes_noise(proxy):
        return proxy
    return clone(proxy).set_params(noise_std=optimizer.noise_std)


def takes_noise(proxy: Any) -> bool:
    """Tell whether a proxy has a parameter for the noise of values."""
    return hasattr(proxy, "get_params") and "noise_std" in proxy.get_params(deep=False)


def unfitted_model(optimizer: SearchSettings, run: Run, smoothing: Any = None) -> ProxyModel:
    """Return the proxy and what will search it, seeded."""
    proxy, search = proxy_of(optimizer), search_of(optimizer)
    return ProxyModel(proxy, search, run.seeds, smoothing, run.space, run.goal)


def search_of(optimizer: Settings) -> Any:
    """Return what searches the proxy for its minimum."""
    return resolved("optimizer", "bfgs" if optimizer.optimizer is None else optimizer.optimizer)


def learn_risk(
    optimizer: Settings, data: Dataset, space: Variables, seeds: dict[str, int]
) -> FailureRisk | None:
    """Learn where evaluations fail, as a function of features, if that is asked for."""
    if optimizer.on_error != "learn":
        return None
    return risk_of_features(data.X, data.X_failed, space, seeds["optimizer"])


def learn_model(
    run: Run, optimizer: SearchSettings, data: Dataset, **fit_params: Any
) -> ModelState:
    """Fit the proxy to samples and find its minimum, which is the answer until a better one."""
    space, progress = run.space, run.progress
    starts, best = space.best_rows(data.X, data.y)
    model = unfitted_model(optimizer, run, optimizer.smoothing)
    model.is_noisy = has_noise(optimizer.noise_std, data)
    text = f"Training {type(model.learner).__name__} on {len(data)} samples."
    with (
        progress.phase("train", text) as training,
        training.propagate_callback_context(model.learner),
    ):
        model.fit(data.X, data.y, run.names, **fit_params)
    with progress.phase("search", f"Searching the proxy by {type(model.optimizer).__name__}."):
        risk = learn_risk(optimizer, data, space, run.seeds)
        search = _search(model, space, data, space.snap(starts), risk)
    smoothed = model.smoothed
    state = ModelState(
        data=data,
        bounds=space.bounds,
        variables=space,
        goal=run.goal,
        keeps_box=optimizer._known.keeps_box,
        failure_risk=risk_in_units(risk, space),
        n_learned=len(data),
        n_evaluations=run.n_evaluated,
        n_failed_learned=len(data.X_failed),
        seeds=run.seeds,
        usual=values_of(data.y),
        merit=model.merit,
        best_outputs=best,
        x_best_row=starts[0].copy(),
        fun_best_row=float(np.ravel(best)[0]),
        noise_std=getattr(model.learner, "noise_std_", None),
        proxy=model.learner,
        optimizer=model.optimizer,
        ladder=None if smoothed is None else smoothed.ladder,
        smoothing_report=None if smoothed is None else _report_of(smoothed, run.goal),
        x_proxy=search.x,
        fun_proxy=float(search.fun),
        candidates=np.atleast_2d(search.get("x_candidates", search.x)),
        search=search,
    )
    best_row = run.goal.value(state.fun_best_row)
    progress.say(f"{state.summary[:-1]}; best sample {best_row:.6g}.")
    return answered_by_model(state)


def _report_of(smoothed: SmoothedSearch, goal: Goal) -> dict[str, NDArray[Any]]:
    """Return what a search found out about its levels, in the user's sign."""
    return smoothed.report | {"promise": goal.turned(smoothed.report["promise"])}


def _search(
    model: ProxyModel,
    space: Variables,
    data: Dataset,
    starts: NDArray[np.float64],
    risk: FailureRisk | None,
) -> OptimizeResult:
    """Search the proxy, with what is known of the values of samples."""
    merits = merit_of_rows(data.y, model.merit)
    spread = float(np.median(merits) - merits.min())
    return model.search(space.bounds, starts, risk, float(merits.max()), spread)


def answered_by_model(state: ModelState) -> ModelState:
    """Let the proxy's optimum be the answer, where nothing can be evaluated."""
    result = RunResult(in_users_sign(state.search, state.goal))
    result.x_proxy, result.fun_proxy, result.measured = state.x_proxy, result.fun, False
    if state.merit is not None:
        result.constraints_proxy = result.constraints
        result.feasible = bool((result.constraints <= 0.0).all())
    if state.variables.names is not None:
        result.x_named = state.variables.named(state.x_proxy)
    if reason := why_not_judged(state.data, state.variables):
        result.no_verdict = reason
    deviation = state.deviations(state.x_proxy[None])
    if deviation is not None:
        half = DEVIATIONS_IN_INTERVAL * float(deviation[0, 0])
        result.interval = np.array([result.fun - half, result.fun + half])
    return replace(state, x=state.x_proxy, fun=state.fun_proxy, result=result)


def in_users_sign(search: OptimizeResult, goal: Goal) -> OptimizeResult:
    """Return the result of a search of the proxy with values in the user's sign."""
    result = OptimizeResult(search)
    for name in result:
        if name.startswith("fun"):
            result[name] = goal.turned(result[name])
    return result
