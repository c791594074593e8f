"""The solvers: each takes the unit cube's function, its variables, a budget and a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from peers.meter import Meter
from peers.solvers.by_hand import by_hand
from peers.solvers.by_optuna import optuna_gp, optuna_tpe
from peers.solvers.classical import cma_es, differential_evolution, random_search
from peers.solvers.kriging import skopt_gp, smt_ego
from peers.solvers.log_ei import log_ei
from peers.solvers.ours import proxy_optimizer, why_not
from peers.solvers.turbo import turbo_1

__all__ = ["BUDGETS", "SOLVERS", "Solver"]

BUDGETS = (100, 200, 500, 1000)


@dataclass(frozen=True)
class Solver:
    """A solver and how it is run.

    Parameters
    ----------
    label : str
        Its name in tables.
    run : callable
        `run(fun, dim, budget, seed)`; it may go on until the budget ends it.
    is_any_time : bool, default=True
        Whether its first evaluations do not depend on how many there are: it is run once, with
        the largest budget, and read at each.
    largest_budget : int, default=1000
        The largest that it is given; more would take it hours.
    why_not : callable, default=None
        Returns why it cannot run, None if it can.
    """

    label: str
    run: Callable[[Meter, int, int, int], None]
    is_any_time: bool = True
    largest_budget: int = BUDGETS[-1]
    why_not: Callable[[], str | None] | None = None

    @property
    def runs(self) -> tuple[int, ...]:
        """The budgets that it is run with."""
        if self.is_any_time:
            return (self.largest_budget,)
        return tuple(budget for budget in BUDGETS if budget <= self.largest_budget)

    def run_for(self, budget: int) -> int:
        """Return the budget of the run from which a budget is read."""
        return self.largest_budget if self.is_any_time else budget


# The cheap ones first: they are run in this order.
SOLVERS = {
    "random": Solver("random search", random_search),
    "differential_evolution": Solver("differential evolution (scipy)", differential_evolution),
    "cma_es": Solver("CMA-ES (cma)", cma_es),
    "by_hand": Solver("proxy by hand", by_hand, is_any_time=False),
    "optuna_tpe": Solver("TPE (Optuna)", optuna_tpe),
    "turbo_1": Solver("TuRBO-1 (BoTorch)", turbo_1),
    "optuna_gp": Solver("GP (Optuna)", optuna_gp, largest_budget=200),
    "log_ei": Solver("GP, log-EI (BoTorch)", log_ei, largest_budget=200),
    "smt_ego": Solver("EGO (SMT)", smt_ego, largest_budget=200),
    "skopt_gp": Solver("gp_minimize (scikit-optimize)", skopt_gp, largest_budget=200),
    "proxy_optimizer": Solver(
        "ProxyOptimizer", proxy_optimizer, is_any_time=False, why_not=why_not
    ),
}
