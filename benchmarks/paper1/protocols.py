"""What each protocol runs in a cell: designs, proxies that learn them, searches of the proxies."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from sklearn.model_selection import cross_validate

from paper1.cells import Cell
from paper1.networks import PublishedProxy, train_together
from paper1.searches import PublishedGenetic, PublishedSwarm, ThenDescent
from paper1.shelf import Shelf, ShelvedProxy
from paper1.smoother import ThenWalk
from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt.model_selection import optimum_error_scorer
from sklearn_proxyopt.optimizers import GeneticAlgorithm, MultiStartBFGS, ParticleSwarm
from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.samplers import UniformSampler

__all__ = ["PROTOCOLS", "Protocol", "refiner_for", "run_cell", "run_ground_truth", "train_missing"]

_N_HELD_OUT = 1000
_CALLS_PER_VARIABLE = 60
# The answer, the minima of six smoother proxies, the end of the walk from them, and some others.
_N_CANDIDATES = 12


@dataclass(frozen=True)
class Protocol:
    """A way of running the study.

    Parameters
    ----------
    make_proxy : callable
        Maps a cell and a seed to a proxy.
    optimizers : dict
        The searches, by their names.
    n_designs : int
        Designs a cell; their seeds are 0, 1, and so on.
    n_networks : int, default=1
        Networks trained on each.
    refines : bool, default=False
        Whether the function itself is called after the search, up to 60 times a variable.
    """

    make_proxy: Callable[[Cell, int], Any]
    optimizers: dict[str, Any] = field(hash=False)
    n_designs: int
    n_networks: int = 1
    refines: bool = False

    def replicates(self, cell: Cell) -> Iterator[tuple[int, int, Any]]:
        """Yield the seed of the design, the number of the network on it, and the proxy."""
        for design in range(self.n_designs):
            for network in range(self.n_networks):
                seed = self.n_networks * design + network
                yield design, network, self.make_proxy(cell, seed)


def _paper_proxy(cell: Cell, seed: int) -> PublishedProxy:
    return PublishedProxy(**cell.network(), random_state=seed)


def _corrected_proxy(cell: Cell, seed: int) -> PublishedProxy:
    """Return the same network, trained in fewer steps by a rate that rises and falls.

    Targets are divided by about their standard deviation, and nothing flattens the output. With
    more than two variables networks are at their best early.
    """
    return PublishedProxy(
        hidden_layer_sizes=cell.network()["hidden_layer_sizes"],
        target_scale={"rosenbrock": 1000.0, "rastrigin": 20.0, "ackley": 2.0}[cell.function],
        max_epochs=200 if cell.dim == 2 else 30,
        batch_size=16,
        learning_rate=3e-3,
        schedule="one-cycle",
        dtype="float32",
        random_state=seed,
    )


def _default_proxy(cell: Cell, seed: int) -> NeuralProxyRegressor:
    return NeuralProxyRegressor(random_state=seed)


PROTOCOLS = {
    "paper": Protocol(
        _paper_proxy,
        {"pso": PublishedSwarm(random_state=0), "ga": PublishedGenetic(random_state=0)},
        n_designs=3,
    ),
    "corrected": Protocol(
        _corrected_proxy,
        {
            "pso": PublishedSwarm(n_restarts=3, random_state=0),
            "ga": PublishedGenetic(n_restarts=3, random_state=0),
            # Finds the proxy's own minimum, which errors are split at.
            "bfgs": MultiStartBFGS(64, 50, n_rounds=3, random_state=0),
        },
        n_designs=10,
        n_networks=2,
    ),
    "proxyopt": Protocol(
        _default_proxy,
        {
            "pso": ThenWalk(ThenDescent(ParticleSwarm(random_state=0))),
            "ga": ThenWalk(ThenDescent(GeneticAlgorithm(random_state=0))),
            "bfgs": MultiStartBFGS(random_state=0),
        },
        n_designs=3,
        refines=True,
    ),
}


class RefiningOptimizer(ProxyOptimizer):
    """A `ProxyOptimizer` whose `fit` refines the optimum on its objective."""

    def fit(self, X: Any, y: Any) -> Self:
        """Buy the design, learn it, search and refine; rows given are not looked at."""
        self.set_params(verdict=False).minimize()
        return self


def refiner_for(n_features: int) -> LocalRefinement:
    """Return the refinement of an answer, by at most 60 calls a variable."""
    return LocalRefinement(
        max_evaluations=_CALLS_PER_VARIABLE * n_features, n_candidates=_N_CANDIDATES
    )


def train_missing(
    cell: Cell, protocol: Protocol, shelf: Shelf, on_epoch: Callable[[int], Any] | None = None
) -> None:
    """Train those published networks of a cell that are not on the shelf, as one stack."""
    problem = cell.problem()
    missing, data = [], []
    for design, _, proxy in protocol.replicates(cell):
        X = cell.sampler(design).sample(problem.bounds)
        y = problem(X)
        if shelf.find(proxy, X, y) is None:
            missing.append(proxy)
            data.append((X, y))
    if missing:
        train_together(missing, data, on_epoch)
        for proxy, (X, y) in zip(missing, data, strict=True):
            shelf.put(proxy, X, y)


def run_cell(
    cell: Cell, protocol: Protocol, shelf: Shelf, on_epoch: Callable[[int], Any] | None = None
) -> list[dict[str, Any]]:
    """Run all that a protocol has for a cell.

    Every combination of design, proxy and optimizer is a `ProxyOptimizer`, judged by
    `cross_validate` with the package's scorers on rows that it has not seen.

    Returns
    -------
    list of dict
        For each combination `design`, `network`, `optimizer`, `fidelity` (R^2 on uniform rows of
        the box), `ends` and `promises`, where each run of the search ended and what the proxy says
        there, `before_descent` and `before_walk`, where the search was before what follows it, or
        None, `refined`, where refinement ended, or None, `n_calls` of it, and the CPU `seconds` of
        the training.
    """
    problem = cell.problem()
    if isinstance(protocol.make_proxy(cell, 0), PublishedProxy):
        train_missing(cell, protocol, shelf, on_epoch)
    X = UniformSampler(_N_HELD_OUT, random_state=0).sample(problem.bounds)
    y = problem(X)
    every = np.arange(len(X))
    scoring = {"fidelity": "r2", "optimum": optimum_error_scorer(problem)}
    kind = RefiningOptimizer if protocol.refines else ProxyOptimizer
    records = []
    for design, network, proxy in protocol.replicates(cell):
        for name, optimizer in protocol.optimizers.items():
            study = kind(
                problem,
                problem.bounds,
                sampler=cell.sampler(design),
                proxy=ShelvedProxy(proxy, shelf),
                optimizer=optimizer,
                refiner=refiner_for(cell.dim),
            )
            # The design is bought, so no row is needed for training.
            judged = cross_validate(
                study,
                X,
                y,
                scoring=scoring,
                cv=[(every[:2], every)],
                return_estimator=True,
                error_score="raise",
            )
            records.append(
                {
                    "design": design,
                    "network": network,
                    "optimizer": name,
                    "fidelity": float(judged["test_fidelity"][0]),
                    **_answers(judged["estimator"][0], protocol.refines),
                }
            )
    return records


def _answers(fitted: ProxyOptimizer, refined: bool) -> dict[str, Any]:
    """Return where the search ended, before and after what followed it."""
    result = fitted.result_
    before = {
        "before_descent": getattr(fitted.optimizer_, "x_search_", None),
        "before_walk": getattr(fitted.optimizer_, "x_before_walk_", None),
    }
    promises = np.atleast_1d(result.get("fun_restarts", fitted.fun_proxy_))
    return {
        "ends": result.get("x_restarts", np.atleast_2d(fitted.x_proxy_)).tolist(),
        "promises": promises.tolist(),
        **{name: None if x is None else x.tolist() for name, x in before.items()},
        "refined": result.x.tolist() if refined else None,
        "n_calls": int(result.nfev - result.nfev_design) if refined else 0,
        "seconds": fitted.proxy_.seconds_,
    }


def run_ground_truth(cell: Cell, protocol: Protocol) -> list[dict[str, Any]]:
    """Run the searches of a protocol on the function itself, in the form of `run_cell`."""
    problem = cell.problem()
    records = []
    for replicate in range(protocol.n_designs):
        for name, optimizer in protocol.optimizers.items():
            start = time.process_time()
            result = optimizer.minimize(problem, problem.bounds, random_state=replicate)
            records.append(
                {
                    "design": replicate,
                    "network": 0,
                    "optimizer": name,
                    "fidelity": 1.0,
                    "ends": result.get("x_restarts", result.x[None]).tolist(),
                    "promises": np.atleast_1d(result.get("fun_restarts", result.fun)).tolist(),
                    "before_descent": None,
                    "before_walk": None,
                    "refined": None,
                    "n_calls": 0,
                    "seconds": time.process_time() - start,
                }
            )
    return records
