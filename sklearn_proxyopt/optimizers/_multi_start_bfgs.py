"""BFGS from many starts at once, as one batch of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult
from scipy.stats import qmc

from sklearn_proxyopt._utils._validation import check_integer, check_real
from sklearn_proxyopt.optimizers._base import (
    BaseOptimizer,
    SearchCallback,
    UnitCubeFunction,
    report,
)
from sklearn_proxyopt.optimizers._descents import DescentBatch, Search
from sklearn_proxyopt.optimizers._stacked import MemberStack, Stack, stack_of

__all__ = ["MultiStartBFGS"]

_ROWS_PER_BLOCK = 4096
# After so many iterations of a round the higher half of its descents ends.
_HALVINGS = (10, 20, 40, 80)
# After so many, those end that have come to a minimum already known.
_VISITS = (3, 6, 9, 12, 16, 20, 30)


class MultiStartBFGS(BaseOptimizer):
    """BFGS from many starts at once, inside the bounds.

    The starts are the lowest of a quasi-random sample; all advance together as one batch, each
    with its own inverse Hessian, step length and stop; as they go on, the higher half of them
    ends early, some times over. Further rounds start from the lowest of
    many children of the minima found, which take each variable from one of two minima or move
    one minimum by the difference of two others, until some rounds in a row find nothing lower.

    Variables that push against a side of the box are held there (projected BFGS [1]_). A neural
    proxy is searched on its own device by its own gradient; a function with `value_and_grad` by
    that; any other by forward differences, taken as one batch too.

    Parameters
    ----------
    n_starts : int, default=128
        Number of starts.
    n_iterations : int, default=200
        Most steps that a start tries in a round.
    n_rounds : int, default=20
        Most rounds.
    n_candidates : int, default=4096
        Size of the quasi-random sample, and number of children in a round, of which the lowest
        become starts.
    tolerance : float, default=1e-8
        A start has converged when no free component of its gradient, over the width of the bounds,
        exceeds this share of the spread of the sample's values.
    random_state : None, int, RandomState or Generator, default=None
        Scrambles the sample and draws the children.

    Attributes
    ----------
    bounds_ : ndarray of shape (n_features, 2)
        The bounds read by `fit`, if it was called.

    References
    ----------
    .. [1] Bertsekas, "Projected Newton Methods for Optimization Problems with Simple Constraints",
       SIAM Journal on Control and Optimization 20 (2), 1982, :doi:`10.1137/0320018`.

    Examples
    --------
    >>> from sklearn_proxyopt.optimizers import MultiStartBFGS
    >>> from sklearn_proxyopt.problems import Rosenbrock
    >>> problem = Rosenbrock(n_dims=2)
    >>> result = MultiStartBFGS(n_starts=8, random_state=0).minimize(problem, problem.bounds)
    >>> bool(result.fun < 1e-6)
    True
    """

    def __init__(
        self,
        n_starts: int = 128,
        n_iterations: int = 200,
        *,
        n_rounds: int = 20,
        n_candidates: int = 4096,
        tolerance: float = 1e-8,
        random_state: Any = None,
    ) -> None:
        self.n_starts = n_starts
        self.n_iterations = n_iterations
        self.n_rounds = n_rounds
        self.n_candidates = n_candidates
        self.tolerance = tolerance
        self.random_state = random_state

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        for name in ("n_starts", "n_iterations", "n_rounds", "n_candidates"):
            check_integer(getattr(self, name), name)
        check_real(self.tolerance, "tolerance", minimum=0.0)

    def _search(
        self,
        fun: UnitCubeFunction,
        x0: NDArray[np.float64] | None,
        rng: np.random.Generator,
        callback: SearchCallback | None,
    ) -> OptimizeResult:
        return self._search_stack(stack_of(fun, self.n_starts), x0, rng, callback)[0]

    def _search_members(
        self,
        proxy: Any,
        bounds: NDArray[np.float64],
        x0: NDArray[np.float64] | None,
        rng: np.random.Generator,
    ) -> list[OptimizeResult]:
        stack = MemberStack(proxy.torch_module(), bounds, each=True, n_rows=self.n_starts)
        return self._search_stack(stack, x0, rng, None)

    def _search_stack(
        self,
        stack: Stack,
        x0: NDArray[np.float64] | None,
        rng: np.random.Generator,
        callback: SearchCallback | None,
    ) -> list[OptimizeResult]:
        """Search every function of a stack at once."""
        with stack.context():
            return self._descend(stack, x0, rng, callback)

    def _descend(
        self,
        stack: Stack,
        x0: NDArray[np.float64] | None,
        rng: np.random.Generator,
        callback: SearchCallback | None,
    ) -> list[OptimizeResult]:
        n_features = len(stack.bounds)
        size = max(self.n_candidates, self.n_starts)
        pool = qmc.Sobol(n_features, rng=rng).random_base2(int(np.ceil(np.log2(size))))[:size]
        values = _values_at(stack, np.broadcast_to(pool, (stack.n_functions, *pool.shape)))
        searches = [Search(pool, value, x0, self.n_starts, self.tolerance) for value in values]
        nit, stopped = 0, False
        for n_done in range(self.n_rounds):
            which = [index for index, search in enumerate(searches) if search.is_open]
            if not which or stopped:
                break
            if n_done:
                self._breed_starts(stack, searches, which, rng)
            batch = DescentBatch(stack, which, [searches[index] for index in which])
            first_iteration = nit
            while nit < first_iteration + self.n_iterations and batch.n_running and not stopped:
                batch.advance()
                nit += 1
                if (nit - first_iteration) in _HALVINGS:
                    batch.halve()
                if (nit - first_iteration) in _VISITS:
                    batch.end_where_known()
                if callback is not None:
                    stopped = report(callback, stack, *batch.lowest(searches[0]), nit)
            for index, ends in zip(which, batch.ends(), strict=True):
                searches[index].take(*ends)
        return [
            search.result(nit, stopped, int(nfev))
            for search, nfev in zip(searches, stack.nfev, strict=True)
        ]

    def _breed_starts(
        self, stack: Stack, searches: list[Search], which: list[int], rng: np.random.Generator
    ) -> None:
        """Give some searches the lowest children of their minima as their next starts."""
        n_children = max(self.n_candidates, self.n_starts)
        children = np.full((stack.n_functions, n_children, len(stack.bounds)), 0.5)
        for index in which:
            children[index] = _breed(searches[index].minima, n_children, rng)
        values = _values_at(stack, children)
        for index in which:
            searches[index].start_from(children[index], values[index], max(self.n_starts // 4, 1))


def _values_at(stack: Stack, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values (n_functions, n) at points (n_functions, n, n_features)."""
    import torch

    rows = torch.tensor(points, dtype=stack.dtype, device=stack.device)
    blocks = [stack.values(block) for block in rows.split(_ROWS_PER_BLOCK, dim=1)]
    return torch.cat(blocks, dim=1).cpu().double().numpy()


def _breed(
    minima: NDArray[np.float64], n_children: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Make points near to where the minima found suggest further ones.

    Half of the children take each variable from one of two minima, which finds the others of a
    function that is a sum over variables. Half move one minimum by the difference of two others,
    which finds those of a lattice in any direction. Some variables of each are moved a little.
    """
    n_minima, n_features = minima.shape
    # The rank of a parent is the lower of two draws, so that low minima are parents more often.
    first, second, third = minima[rng.integers(n_minima, size=(2, 3, n_children)).min(axis=0)]
    mixed = np.where(rng.random((n_children, n_features)) < 0.5, first, second)
    shifted = first + second - third
    children = np.where(rng.random((n_children, 1)) < 0.5, mixed, shifted)
    moved = rng.random((n_children, n_features)) < rng.random((n_children, 1))
    size = 10.0 ** rng.uniform(-3.0, -0.5, size=(n_children, 1))
    children = children + moved * size * rng.standard_normal((n_children, n_features))
    return np.clip(children, 0.0, 1.0)
