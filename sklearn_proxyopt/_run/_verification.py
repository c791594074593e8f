"""Verify the front that a proxy predicts, and answer by the front of what was evaluated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._proxy_search._failure_model import risk_in_units
from sklearn_proxyopt._proxy_search._front import FrontSearch, front_of_rows
from sklearn_proxyopt._run._learning import learn_risk, proxy_of
from sklearn_proxyopt._run._phases import Phase, drive
from sklearn_proxyopt._run._run import PaidRun, Run
from sklearn_proxyopt._run._settings import Settings
from sklearn_proxyopt._run._state import FrontState
from sklearn_proxyopt._strategies import Batches, Routine
from sklearn_proxyopt._utils._dataset import Dataset, is_among
from sklearn_proxyopt.optimizers import NSGA2, hypervolume
from sklearn_proxyopt.optimizers._pareto import spread_out

__all__ = ["Verification", "answered_by_front", "learn_front", "verify"]


class Verification(Routine):
    """Evaluate points of a predicted front.

    Parameters
    ----------
    points : ndarray of shape (n_points, n_features)
        The points.
    predicted : ndarray of shape (n_points, n_outputs)
        What the proxy says there.

    Attributes
    ----------
    measured : ndarray of shape (n_points, n_outputs)
        What the objective says there, NaN where it is not known.
    """

    def __init__(self, points: NDArray[np.float64], predicted: NDArray[np.float64]) -> None:
        super().__init__()
        self.points, self.predicted = points, predicted
        self.measured = np.full_like(predicted, np.nan)

    def _run(self) -> Batches:
        self.measured = yield self.points


def learn_front(run: Run, optimizer: Settings, data: Dataset, **fit_params: Any) -> FrontState:
    """Fit the proxy to samples and find its front, the answer until one is verified."""
    space, progress = run.space, run.progress
    search_by = NSGA2() if optimizer.optimizer is None else optimizer.optimizer
    front = FrontSearch(proxy_of(optimizer), search_by, run.seeds, optimizer.n_constraints, space)
    text = f"Training {type(front.proxy).__name__} on {len(data)} rows."
    with (
        progress.phase("train", text) as training,
        training.propagate_callback_context(front.proxy),
    ):
        front.fit(data.X, data.y, run.names, **fit_params)
    with progress.phase("search", f"Searching the proxy by {type(front.optimizer).__name__}."):
        risk = risk_in_units(learn_risk(optimizer, data, space, run.seeds), space)
        search = front.search(data.X, data.y, risk)
    # Those that tell most come first: `ask` hands them out in this order.
    known = front_of_rows(data.X, data.y, space, optimizer.n_constraints)
    search.X_proxy, search.F_proxy = search.X, search.F
    return FrontState(
        data=data,
        bounds=space.bounds,
        variables=space,
        keeps_box=optimizer._known.keeps_box,
        failure_risk=risk,
        n_learned=len(data),
        candidates=search.X[spread_out(search.F, known.F, len(search.F))],
        proxy=front.proxy,
        optimizer=front.optimizer,
        front_search=front,
        X_front_proxy=search.X,
        F_front_proxy=search.F,
        X_front=search.X,
        F_front=search.F,
        search=search,
        result=search,
    )


def verify(
    run: PaidRun, optimizer: Settings, max_evaluations: int, n_rounds: int
) -> tuple[FrontState, list[Verification]]:
    """Learn, find the front and evaluate points of it, again and again."""
    rounds: list[Verification] = []
    for n_done in range(n_rounds):
        state = learn_front(run, optimizer, run.oracle.data)
        optimizer._publish(state.unanswered())
        n_left = max_evaluations - sum(len(one.points) for one in rounds)
        new = state.candidates[~is_among(state.candidates, run.oracle.data.evaluated)]
        chosen = new[: -(-n_left // (n_rounds - n_done))]
        if not len(chosen):
            break
        rounds.append(Verification(chosen, state.front_search.outputs(chosen)))
        drive(run, Phase("verify", "Verifying the front.", rounds[-1], len(chosen)))
    return state, rounds


def answered_by_front(
    run: PaidRun,
    state: FrontState,
    rounds: list[Verification],
    n_constraints: int,
    n_design: int,
    reference: NDArray[np.float64],
) -> FrontState:
    """Let the front of all samples be the answer.

    Parameters
    ----------
    run : PaidRun
        The run, which has ended.
    state : FrontState
        What was learned last.
    rounds : list of Verification
        What was verified.
    n_constraints : int
        How many of the outputs are constraints.
    n_design : int
        The calls of the objective before the proxy learned.
    reference : ndarray of shape (n_objectives,)
        The corner that the hypervolume is measured from.
    """
    oracle, evaluator = run.oracle, run.oracle.evaluator
    if evaluator.journal is not None:
        oracle.keep_all_on_record()
    data = oracle.data
    front = front_of_rows(data.X, data.y, run.space, n_constraints)
    message = f"A front of {len(front.F)} points after {len(rounds)} rounds of verification."
    if not front.success:
        message = "No feasible point was found: X has the one with the least violation."
    n_objectives, nothing = len(reference), data.y[:0]
    result = OptimizeResult(
        **front,
        X_proxy=state.X_front_proxy,
        F_proxy=state.F_front_proxy,
        X_verified=np.vstack([data.X[:0], *(one.points for one in rounds)]),
        F_promised=np.vstack([nothing, *(one.predicted for one in rounds)])[:, :n_objectives],
        F_verified=np.vstack([nothing, *(one.measured for one in rounds)])[:, :n_objectives],
        nit=len(rounds),
        hypervolume=hypervolume(front.F, reference) if front.success else 0.0,
        reference=reference,
        nfev=evaluator.n_calls,
        nfev_design=n_design,
        n_failed=evaluator.n_failed,
        message=message,
    )
    return replace(state, data=data, X_front=front.X, F_front=front.F, result=result)
