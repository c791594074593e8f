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

from sklearn_proxyopt._axes_function import AxesProxy
from sklearn_proxyopt._learned_proxy import LearnedProxy, function_of
from sklearn_proxyopt._limits import Limits
from sklearn_proxyopt._purchases import Purchases, nearest_feasible
from sklearn_proxyopt._rows import best_rows
from sklearn_proxyopt._seeding import seeded
from sklearn_proxyopt._stages import Stages
from sklearn_proxyopt._validation import check_integer
from sklearn_proxyopt.diagnosis._opinions import SecondOpinions
from sklearn_proxyopt.infill import Knowledge
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
# After the first round a proxy that can go on from its weights trains for this share of the epochs.
_SHARE_OF_EPOCHS = 1 / 3
_MIN_EPOCHS = 20


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
        """Raise an error that names the part that knows nothing of constraints."""
        if self.infill is not None:
            raise ValueError(
                f"infill must be None with n_constraints={self.n_constraints}; got {self.infill!r}."
            )
        is_descent = isinstance(self.refiner, LocalRefinement) and self.refiner.method != "COBYQA"
        if is_descent or isinstance(self.refiner, SurrogateCMAES):
            raise ValueError(
                "refiner must be a LocalRefinement with method='COBYQA' with n_constraints="
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
            explores = isinstance(self.refiner, str) and not self.n_constraints
            if self.infill is not None or not explores:
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
        if self.n_constraints:
            return None
        refiner = seeded(SurrogateCMAES() if is_default else self.refiner, seeds["refiner"])
        # Where not every point of the box is a row, the search works on the axes.
        rows_of = None if space.is_plain else lambda Z: nearest_feasible(space.decode(Z), space)
        search = refiner.begin(purchases.buy, space.axes, rows_of)
        inside = space.is_feasible(purchases.X)
        search.note(space.encode(purchases.X[inside]), purchases.y[inside])
        failed = space.encode(purchases.X_failed)
        search.note(failed, np.full(len(failed), np.nan))
        n_left = int(limits.n_left)
        search.allow(n_left)
        if self.infill is None:
            n_rows = int(_SHARE_BEFORE_PROXY * n_left)
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
                    _warm_up(learned.proxy)
                learned.fit(purchases.X, purchases.y, names)
                if space.is_plain:
                    known = _knowledge(learned, purchases, space, names, rng)
                    purchases.buy(infill.propose(known))
                else:
                    known = _knowledge_on_axes(learned, purchases, space, names, rng)
                    purchases.buy_on_axes(infill.propose(known), space)

    def _make_refiner(self, limits: Limits) -> Any:
        if self.refiner is None:
            return LocalRefinement(max_evaluations=1, n_candidates=1)
        if not isinstance(self.refiner, str):
            return clone(self.refiner)
        if limits.budget is None or limits.n_left < 1:
            return LocalRefinement()
        return LocalRefinement(max_evaluations=int(limits.n_left))


def _warm_up(proxy: Any) -> None:
    """Let a fitted proxy go on from its weights, where it can."""
    if isinstance(proxy, NeuralProxyRegressor):
        n_epochs = max(round(_SHARE_OF_EPOCHS * proxy.n_iter_), _MIN_EPOCHS)
        if not proxy.warm_start:
            proxy.set_params(warm_start=True, max_epochs=n_epochs)


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


def _knowledge(
    learned: LearnedProxy,
    purchases: Purchases,
    space: Variables,
    names: NDArray[np.object_] | None,
    rng: np.random.Generator,
) -> Knowledge:
    """Return what is known after a round."""
    bounds = space.bounds
    starts, _ = best_rows(purchases.X, purchases.y, bounds)
    minima = _minima(learned, bounds, starts)
    seed = int(rng.integers(2**31 - 1))

    def learn(
        X: NDArray[np.float64], y: NDArray[np.float64], region: NDArray[np.float64]
    ) -> tuple[Any, NDArray[np.float64]]:
        local = _learned_anew(learned, X, y, names)
        return local.proxy, _minima(local, region, best_rows(X, y, region)[0])

    def doubts() -> NDArray[np.float64]:
        opinions = SecondOpinions(learned.proxy, purchases.X, purchases.y, seed)
        return opinions.minima(space, np.vstack([minima, starts]), seed)[0]

    return Knowledge(
        proxy=function_of(learned.proxy).proxy,
        optimizer=learned.optimizer,
        X=purchases.X,
        y=purchases.y,
        bounds=bounds,
        minima=minima,
        taken=np.vstack([purchases.X, purchases.X_failed]),
        rng=rng,
        learn=learn,
        doubts=doubts,
    )


def _knowledge_on_axes(
    learned: LearnedProxy,
    purchases: Purchases,
    space: Variables,
    names: NDArray[np.object_] | None,
    rng: np.random.Generator,
) -> Knowledge:
    """Return what is known after a round, as of the axes, on which a strategy sees a plain box."""
    X, y = purchases.X, purchases.y
    starts, lowest = space.best_rows(X, y)
    spread = float(np.median(y) - lowest)
    minima = _minima(learned, space.bounds, starts, spread)
    feasible = space.is_feasible(X)
    seed = int(rng.integers(2**31 - 1))

    def learn(
        Z: NDArray[np.float64], y: NDArray[np.float64], region: NDArray[np.float64]
    ) -> tuple[Any, NDArray[np.float64]]:
        rows = space.decode(Z)
        local = _learned_anew(learned, rows, y, names)
        found = space.encode(_minima(local, space.bounds, space.best_rows(rows, y)[0], spread))
        return local.proxy, np.clip(found, *region.T)

    def doubts() -> NDArray[np.float64]:
        opinions = SecondOpinions(learned.proxy, space.features(X), y, seed)
        return space.encode(opinions.minima(space, np.vstack([minima, starts]), seed)[0])

    return Knowledge(
        proxy=AxesProxy(function_of(learned.proxy).proxy, space, 100.0 * spread),
        optimizer=learned.optimizer,
        X=space.encode(X[feasible]),
        y=y[feasible],
        bounds=space.axes,
        minima=space.encode(minima),
        taken=space.encode(np.vstack([X, purchases.X_failed])),
        rng=rng,
        learn=learn,
        doubts=doubts,
    )


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


def _minima(
    learned: LearnedProxy,
    bounds: NDArray[np.float64],
    starts: NDArray[np.float64],
    spread: float = 1.0,
) -> NDArray[np.float64]:
    """Return the proxy's distinct minima, the lowest first."""
    search = learned.search(bounds, starts, spread=spread)
    return np.atleast_2d(search.get("x_candidates", search.x))
