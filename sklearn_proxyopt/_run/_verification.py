"""The side of an optimizer of several objectives that verifies what its proxy promises."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._proxy_search._front import PromisedFront, front_of_rows
from sklearn_proxyopt._run._oracle import Purchases
from sklearn_proxyopt._run._progress import Stages
from sklearn_proxyopt._utils._dataset import is_among
from sklearn_proxyopt.optimizers import hypervolume
from sklearn_proxyopt.variables import Variables

__all__ = ["VerifyingMixin"]


class VerifyingMixin:
    """Rounds of verification, and the front of true rows that they end in.

    The class owes its parameters, what a `BuyingMixin` has, and `_learn`, which sets the fitted
    attributes and orders the points of the proxy's front in `_candidates`.
    """

    n_constraints: int
    max_evaluations: int
    n_rounds: int
    n_objectives_: int
    X_: NDArray[np.float64]
    y_: NDArray[np.float64]
    X_failed_: NDArray[np.float64]
    X_front_proxy_: NDArray[np.float64]
    F_front_proxy_: NDArray[np.float64]
    variables_: Variables
    _candidates: NDArray[np.float64]
    _promised: PromisedFront
    _learn: Any
    _no_values: Any

    def _verify_in_rounds(
        self,
        purchases: Purchases,
        space: Variables,
        seeds: dict[str, int],
        stages: Stages,
    ) -> OptimizeResult:
        """Learn, find the front and verify points of it, again and again."""
        evaluator = purchases.evaluator
        points, promises, truths = purchases.X[:0], [self._no_values()], [self._no_values()]
        for n_done in range(self.n_rounds):
            self._learn(purchases.X, purchases.y, purchases.X_failed, space, seeds, stages)
            n_left = self.max_evaluations - len(points)
            known = np.vstack([purchases.X, purchases.X_failed])
            new = self._candidates[~is_among(self._candidates, known)]
            chosen = new[: -(-n_left // (self.n_rounds - n_done))]
            if not len(chosen):
                break
            promises.append(self._promised.outputs(chosen))
            with stages.evaluations("verify", "Verifying the front.", evaluator, len(chosen)):
                truths.append(purchases.buy(chosen))
            points = np.vstack([points, chosen])
        return OptimizeResult(
            X_verified=points,
            F_promised=np.vstack(promises)[:, : self.n_objectives_],
            F_verified=np.vstack(truths)[:, : self.n_objectives_],
            nit=len(truths) - 1,
        )

    def _answer_by_rows(
        self,
        purchases: Purchases,
        verified: OptimizeResult,
        n_design: int,
        reference: NDArray[np.float64],
    ) -> None:
        """Let the front of all true rows be the answer."""
        if purchases.evaluator.journal is not None:
            purchases.keep_all_on_record()
        self.X_, self.y_, self.X_failed_ = purchases.X, purchases.y, purchases.X_failed
        front = front_of_rows(self.X_, self.y_, self.variables_, self.n_constraints)
        self.X_front_, self.F_front_ = front.X, front.F
        message = f"A front of {len(front.F)} points after {verified.nit} rounds of verification."
        if not front.success:
            message = "No feasible point was found: X has the one with the least violation."
        self.result_ = OptimizeResult(
            **front,
            X_proxy=self.X_front_proxy_,
            F_proxy=self.F_front_proxy_,
            **verified,
            hypervolume=hypervolume(front.F, reference) if front.success else 0.0,
            reference=reference,
            nfev=purchases.evaluator.n_calls,
            nfev_design=n_design,
            n_failed=purchases.evaluator.n_failed,
            message=message,
        )
