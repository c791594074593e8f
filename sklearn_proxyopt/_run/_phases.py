"""How a run spends its true evaluations between the first design and the refinement."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult
from sklearn.base import clone

from sklearn_proxyopt._proxy_search._model import LearnedProxy
from sklearn_proxyopt._run._infill_state import knowledge_of, warm_up
from sklearn_proxyopt._run._oracle import Purchases, nearest_feasible
from sklearn_proxyopt._run._progress import Stages
from sklearn_proxyopt._run._stopping import Limits
from sklearn_proxyopt._utils._seeding import seeded
from sklearn_proxyopt._utils._validation import check_integer
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.proxies import NeuralProxyRegressor
from sklearn_proxyopt.refine import LocalRefinement, SurrogateCMAES
from sklearn_proxyopt.refine._surrogate_cmaes import SurrogateSearch
from sklearn_proxyopt.samplers import LatinHypercubeSampler, SobolSampler
from sklearn_proxyopt.variables import Variables

__all__ = ["SpendingMixin", "refinement_of"]

_DEFAULT_N_SAMPLES = 1024
# Rounds of infill without a budget that would say how many there can be.
_DEFAULT_N_ROUNDS = 10
# With a budget: rows of the first design for each variable and in all, and the share of what it
# leaves that is spent before the proxy learns and is searched.
_DESIGN_PER_VARIABLE = 2
_SMALLEST_DESIGN = 12
_SHARE_BEFORE_PROXY = 0.5


class SpendingMixin:
    """The spending of an optimizer: its first design, its infill, its refiner.

    The class owes the parameters used here.
    """

    sampler: Any
    proxy: Any
    optimizer: Any
    smoothing: Any
    refiner: Any
    infill: Any
    n_rounds: int | None
    n_constraints: int
    _learn_risk: Any
    feature_names_in_: NDArray[np.object_]

    def _check_spending(self) -> None:
        """Raise an error that names the first parameter of the spending that is wrong."""
        if self.n_rounds is not None:
            check_integer(self.n_rounds, "n_rounds")
        if self.n_constraints:
            self._check_that_constraints_are_borne()
        if self.infill is None:
            return
        if not hasattr(self.infill, "propose") or isinstance(self.infill, type):
            raise ValueError(
                f"infill must be None or a strategy with the method propose; got {self.infill!r}."
            )
        self.infill.check_proxy(self._new_proxy())

    def _check_that_constraints_are_borne(self) -> None:
        """Raise an error that names the refiner if it knows nothing of constraints."""
        is_descent = isinstance(self.refiner, LocalRefinement) and self.refiner.method != "COBYQA"
        if is_descent:
            raise ValueError(
                "refiner must be one with method='COBYQA', or a SurrogateCMAES, with n_constraints="
                f"{self.n_constraints}; got {self.refiner!r}."
            )

    def _new_proxy(self) -> Any:
        return NeuralProxyRegressor() if self.proxy is None else self.proxy

    def _new_optimizer(self) -> Any:
        return MultiStartBFGS() if self.optimizer is None else self.optimizer

    def _design_sampler(self, seed: int, limits: Limits | None = None, n_features: int = 0) -> Any:
        """Return the sampler of the first design, seeded."""
        sampler: Any = SobolSampler(_DEFAULT_N_SAMPLES) if self.sampler is None else self.sampler
        if self.sampler is None and limits is not None and limits.budget is not None:
            n_samples = max(_DESIGN_PER_VARIABLE * n_features, _SMALLEST_DESIGN)
            n_samples = max(min(n_samples, limits.budget // 3), 2)
            if self.infill is not None or not isinstance(self.refiner, (str, SurrogateCMAES)):
                # Nothing but the design tells the proxy of the whole box.
                n_samples = max(limits.budget // 3, 2)
            sampler = LatinHypercubeSampler(n_samples)
        return seeded(sampler, seed)

    def _explore(
        self,
        purchases: Purchases,
        space: Variables,
        seeds: dict[str, int],
        stages: Stages,
    ) -> SurrogateSearch | None:
        """With a budget, begin to search the truth before the proxy learns; return the search."""
        limits = purchases.limits
        is_default = isinstance(self.refiner, str)
        if limits.budget is None or not (is_default or isinstance(self.refiner, SurrogateCMAES)):
            return None
        refiner = seeded(SurrogateCMAES() if is_default else self.refiner, seeds["refiner"])
        # Where not every point of the box is a row, the search works on the axes.
        rows_of = None if space.is_plain else lambda Z: nearest_feasible(space.decode(Z), space)
        search = refiner.begin(purchases.buy, space.axes, rows_of, space.kinds.is_category)
        inside = space.is_feasible(purchases.X)
        search.note(space.encode(purchases.X[inside]), purchases.y[inside])
        failed = space.encode(purchases.X_failed)
        search.note(failed, np.full((len(failed), *purchases.y.shape[1:]), np.nan))
        n_allowed = int(limits.n_left)
        if refiner.max_evaluations is not None:
            n_allowed = min(n_allowed, refiner.max_evaluations)
        search.allow(n_allowed)
        if self.infill is None:
            n_rows = int(_SHARE_BEFORE_PROXY * n_allowed)
            text = f"Searching the function, {n_rows} evaluations."
            with stages.evaluations("explore", text, purchases.evaluator, n_rows):
                search.run(n_rows)
        return search

    def _fill_in(
        self,
        purchases: Purchases,
        space: Variables,
        seeds: dict[str, int],
        stages: Stages,
    ) -> None:
        """Buy the rounds of the infill strategy."""
        if self.infill is None:
            return
        rng = np.random.default_rng(seeds["infill"])
        infill = clone(self.infill)
        n_left = purchases.limits.n_left
        n_rounds = _DEFAULT_N_ROUNDS if self.n_rounds is None else self.n_rounds
        if np.isfinite(n_left):
            n_affordable = max(int(_SHARE_BEFORE_PROXY * n_left) // infill.n_points, 1)
            n_rounds = n_affordable if self.n_rounds is None else min(n_rounds, n_affordable)
        names = getattr(self, "feature_names_in_", None)
        learned = LearnedProxy(self._new_proxy(), self._new_optimizer(), seeds, variables=space)
        text = f"Infill by {type(infill).__name__}, {n_rounds} rounds."
        n_rows = n_rounds * infill.n_points
        with stages.evaluations("infill", text, purchases.evaluator, n_rows):
            for n_round in range(n_rounds):
                if n_round:
                    warm_up(learned.proxy)
                learned.fit(purchases.X, purchases.y, names)
                risk = self._learn_risk(purchases.X, purchases.X_failed, space, seeds)
                points = infill.propose(knowledge_of(learned, purchases, space, names, rng, risk))
                if space.is_plain:
                    purchases.buy(points)
                else:
                    purchases.buy_on_axes(points, space)

    def _make_refiner(self, limits: Limits) -> Any:
        if self.refiner is None:
            return LocalRefinement(max_evaluations=1, n_candidates=1)
        if not isinstance(self.refiner, str):
            return clone(self.refiner)
        if limits.budget is None or limits.n_left < 1:
            return LocalRefinement()
        return LocalRefinement(max_evaluations=int(limits.n_left))


def refinement_of(
    refiner: Any,
    purchases: Purchases,
    candidates: NDArray[np.float64],
    space: Variables,
    incumbent: tuple[NDArray[np.float64], Any],
) -> Callable[[], OptimizeResult]:
    """Return the refinement of some candidates, which buys feasible rows only."""
    if space.is_plain:
        return partial(refiner.refine, purchases.buy, candidates, space.bounds, incumbent=incumbent)
    if "variables" in signature(refiner.refine).parameters:
        buy = partial(purchases.buy_nearest, space=space)
        named = {"incumbent": incumbent, "variables": space}
        return partial(refiner.refine, buy, candidates, space.bounds, **named)
    # A refiner that knows boxes only works on the axes, where each point stands for a row.
    on_axes = partial(purchases.buy_on_axes, space=space)
    best = space.encode(incumbent[0][None])[0], incumbent[1]
    return partial(refiner.refine, on_axes, space.encode(candidates), space.axes, incumbent=best)
