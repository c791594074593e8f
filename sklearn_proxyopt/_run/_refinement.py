"""Refine the proxy's optimum on the objective, and answer by the best that is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._proxy_search._model import ProxyModel
from sklearn_proxyopt._run._infill_state import nearest_feasible
from sklearn_proxyopt._run._noise import estimates_of
from sklearn_proxyopt._run._oracle import Oracle
from sklearn_proxyopt._run._phases import Phase
from sklearn_proxyopt._run._result import RunResult
from sklearn_proxyopt._run._run import PaidRun
from sklearn_proxyopt._run._settings import SearchSettings
from sklearn_proxyopt._run._state import DEVIATIONS_IN_INTERVAL, ModelState, why_not_judged
from sklearn_proxyopt._strategies import ThreadedSearch
from sklearn_proxyopt._utils._feasibility import best_first, say_whether_feasible, values_of
from sklearn_proxyopt._utils._seeding import seeded
from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.variables import Variables

__all__ = ["answered_by_objective", "best_row", "not_worse", "refined", "refinement_by"]

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def refinement_by(run: PaidRun, optimizer: SearchSettings, state: ModelState) -> Phase:
    """Return the search by a refiner that begins once the proxy has learned."""
    refiner = _refiner_of(run, optimizer)
    strategy = ThreadedSearch(partial(_search_by, refiner, run.space, state))
    n_rows = getattr(refiner, "max_evaluations", None)
    return Phase("refine", "Refining on the function.", strategy, n_rows)


def refined(run: PaidRun, found: OptimizeResult) -> OptimizeResult:
    """Return the result of a search that no limit has ended."""
    if run.oracle.n_left <= 0:
        found.message = run.oracle.stopping.budget_is_spent
    if not run.space.is_continuous_box:
        # What was evaluated may be another sample than the point that a refiner asked for.
        found.update(_best_of_data(run.oracle))
    return found


def _refiner_of(run: PaidRun, optimizer: SearchSettings) -> Any:
    oracle = run.oracle
    if optimizer.refiner is None:
        return LocalRefinement(max_evaluations=1, n_candidates=1)
    if optimizer.refiner != "auto":
        return seeded(optimizer.refiner, run.seeds["refiner"])
    if oracle.budget is None or oracle.n_left < 1:
        return LocalRefinement()
    return LocalRefinement(max_evaluations=int(oracle.n_left))


def _search_by(
    refiner: Any, space: Variables, state: ModelState, evaluate: Function
) -> OptimizeResult:
    """Let a refiner search a function from the proxy's minima, which sees feasible samples only."""
    # A sample that was done may lie outside by its rounding.
    candidates, best_row = state.candidates, space.snap(state.x_best_row[None])[0]
    incumbent, space = (best_row, state.best_outputs), space.opened_at(candidates[0])
    if space.is_continuous_box:
        return refiner.refine(evaluate, candidates, space.bounds, incumbent=incumbent)
    if getattr(refiner, "handles_variables", False):
        nearest = partial(_at_nearest, evaluate, space, incumbent[1])
        options = {"incumbent": incumbent, "variables": space}
        return refiner.refine(nearest, candidates, space.bounds, **options)

    def on_axes(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return _at_nearest(evaluate, space, incumbent[1], space.decode(points))

    # One that knows boxes only works on the axes, where each point stands for a sample.
    best = space.encode(incumbent[0][None])[0], incumbent[1]
    return refiner.refine(on_axes, space.encode(candidates), space.axes, incumbent=best)


def _at_nearest(
    evaluate: Function, space: Variables, outputs: NDArray[np.float64], X: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return outputs for the feasible samples nearest to others; NaN where there is none."""
    rows = nearest_feasible(X, space)
    feasible = ~np.isnan(rows).any(axis=1)
    values = np.full((len(rows), *np.shape(outputs)), np.nan)
    if feasible.any():
        values[feasible] = evaluate(rows[feasible])
    return values


def _best_of_data(oracle: Oracle) -> OptimizeResult:
    """Return the best feasible sample known and its outputs."""
    starts, best = oracle.space.best_rows(oracle.data.X, oracle.data.y)
    result = OptimizeResult(x=starts[0], fun=float(np.ravel(best)[0]))
    if np.ndim(best):
        result.constraints = best[1:]
    return result


def _luckiest(oracle: Oracle) -> OptimizeResult:
    """Return the lowest single value among the samples that count, feasible ones first."""
    X, y = oracle.space.rows_that_count(oracle.data.X, oracle.data.y)
    place = best_first(y)[0]
    return OptimizeResult(x=X[place], fun=float(values_of(y)[place]))


def best_row(oracle: Oracle, message: str) -> OptimizeResult:
    """Return the best feasible sample as the result of what a limit has ended."""
    return OptimizeResult(nit=0, success=True, message=message, **_best_of_data(oracle))


def not_worse(found: OptimizeResult, state: ModelState) -> OptimizeResult:
    """Return a result, or the best sample before it where that is no worse."""
    known = state.best_outputs
    outputs = _outputs_of(found)
    if outputs.size != np.size(known):
        raise ValueError(
            f"refiner must return fun and {np.size(known) - 1} constraints; got "
            f"{outputs.size - 1} of them."
        )
    outputs = outputs.reshape(np.shape(known))
    if best_first(np.array([known, outputs]))[0] == 0:
        found.x, found.fun = state.x_best_row, float(np.ravel(known)[0])
        if np.ndim(known):
            found.constraints = known[1:]
    return found


def _outputs_of(result: OptimizeResult) -> NDArray[np.float64]:
    return np.append(result.fun, result.get("constraints", []))


def _look_into_journal(oracle: Oracle, result: OptimizeResult) -> None:
    """Let a sample that the journal had before be the answer, if it is better."""
    if oracle.evaluator.journal is None:
        return
    oracle.keep_all_on_record()
    found = _best_of_data(oracle)
    both = np.array([_outputs_of(result), _outputs_of(found)])
    if best_first(both.reshape(2, *oracle.data.y.shape[1:]))[0] == 1:
        result.update(found)
        result.message = f"The best sample was in the journal before. {result.message}"


def answered_by_objective(
    run: PaidRun,
    state: ModelState,
    refined: OptimizeResult,
    n_design: int,
    model: ProxyModel | None = None,
) -> ModelState:
    """Let the best sample be the answer, or with noise the setting of the lowest estimate.

    Parameters
    ----------
    run : PaidRun
        The run, which has ended.
    state : ModelState
        What was learned.
    refined : scipy.optimize.OptimizeResult
        The best of the refinement; `undone`, in words, what it could still gain.
    n_design : int
        The calls of the objective before the proxy learned.
    model : ProxyModel or None
        What estimates noisy values; None where values are exact.
    """
    oracle, evaluator, search = run.oracle, run.oracle.evaluator, state.search
    _look_into_journal(oracle, refined)
    lowest, std, estimates = refined, 0.0, None
    if model is not None:
        estimates = estimates_of(model, oracle.data, run.space, run.names)
        lowest = _luckiest(oracle)
        best = estimates.best
        value, *constraints = np.ravel(estimates.mean[best])
        refined = OptimizeResult(refined, x=estimates.X[best], fun=value, constraints=constraints)
        std, *constraints_std = np.ravel(estimates.std[best])
    at_proxy = np.ravel(oracle.value_at(state.x_proxy))
    n_known = run.n_evaluated - evaluator.n_calls
    known = f" {n_known} of {run.n_evaluated} evaluations were known before." if n_known > 0 else ""
    undone = f" {refined.undone}" if refined.get("undone") else ""
    result = RunResult(
        x=refined.x,
        fun=state.goal.value(float(refined.fun)),
        fun_std=float(std),
        x_lowest=lowest.x,
        fun_lowest=state.goal.value(float(lowest.fun)),
        nfev=evaluator.n_calls,
        nit=refined.nit,
        success=bool(search.success and refined.success),
        message=f"{refined.message}{known}{undone} Search on the proxy: {search.message}",
        x_proxy=state.x_proxy,
        fun_proxy=state.shown("fun_proxy"),
        true_at_proxy=state.goal.value(float(at_proxy[0])),
        nfev_design=n_design,
        n_failed=evaluator.n_failed,
        measured=True,
    )
    if model is not None:
        result.interval = result.fun + DEVIATIONS_IN_INTERVAL * std * np.array([-1.0, 1.0])
    if run.space.names is not None:
        result.x_named = run.space.named(result.x)
    if reason := why_not_judged(oracle.data, run.space):
        result.no_verdict = reason
    if state.merit is not None:
        say_whether_feasible(result, refined.constraints, search.constraints, at_proxy[1:])
        result.constraints_std = 0.0 * result.constraints
        result.probability_feasible = float(result.feasible)
        if estimates is not None:
            result.constraints_std = np.array(constraints_std)
            result.probability_feasible = float(estimates.probability_feasible()[best])
    run.progress.end(f"Best measured value {result.fun:.6g} after {evaluator.n_calls} evaluations.")
    return replace(
        state,
        data=oracle.data,
        x=result.x,
        fun=float(refined.fun),
        result=result,
        n_evaluations=run.n_evaluated,
    )
