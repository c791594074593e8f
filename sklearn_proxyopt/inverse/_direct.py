"""Each problem by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.stats import qmc
from torch import Tensor

from sklearn_proxyopt._utils._validation import check_integer
from sklearn_proxyopt.inverse._base import BaseInverse
from sklearn_proxyopt.inverse._problem import InverseProblem
from sklearn_proxyopt.inverse._problem_set import ProblemSet, Tell

__all__ = ["DirectInverse"]


class DirectInverse(BaseInverse):
    """Solve each inverse problem by itself, by BFGS from the best guess or from several starts.

    All problems advance in one batch, but none learns from another. With further starts, candidates
    drawn from the box are simulated and the best of them, for each problem its own, started from.

    Parameters
    ----------
    problem : InverseProblem, default=None
        The simulator and its unknowns. None fits a straight line to each row.
    n_starts : int, default=1
        Starts of each problem; the first is the best guess of the problem. With one start and
        candidates, that is the best of them and the guess.
    n_candidates : int, default=None
        Points of the box, spread evenly, from which the further starts are chosen by their loss.
        None takes as many as there are further starts.
    keep_best_after : int, default=None
        Iterations after which BFGS begins anew from the lowest point of each problem alone. None
        lets the descents from all starts end. Of no effect with one start or without refinement.
    refine : {"bfgs", None}, default="bfgs"
        Whether to descend from the starts; None returns the best of starts and candidates.
    tolerance : float, default=1e-8
        A problem has converged when no component of its gradient exceeds this, in units of what
        its loss spreads over the box.
    loss_tolerance : float, default=1e-9
        Or when a step gained no more than this share of its loss.
    batch_size : int, default=None
        Most problems that are simulated at once; None takes all. Smaller ones need less memory.
    path_length : int, default=0
        Most points of the way of the search that `path_` keeps, each of which takes 8 bytes for
        each problem and each of its unknowns and its loss. 0 keeps none.
    device : str or torch.device, default="auto"
        Where the simulator runs: "cpu", "cuda". "auto" is the CPU, and a GPU where a
        model of `sklearn_proxyopt.problems.physics` has very many numbers to match.
    random_state : None, int, RandomState or Generator, default=None
        Shuffles the candidates.

    Attributes
    ----------
    solutions_ : ndarray of shape (n_problems, n_unknowns)
        The unknowns found for the rows of `fit`.
    loss_ : ndarray of shape (n_problems,)
        Their losses.
    failed_ : ndarray of shape (n_problems,)
        True for a problem without a finite loss, whose solution is NaN.
    converged_ : ndarray of shape (n_problems,)
        True where the refinement ended by its tolerances, and not at a bound from which the loss
        falls towards the inside; False for all without one.
    reduced_chi2_ : ndarray of shape (n_problems,)
        Squared misfits in units of the noise over degrees of freedom, about 1 for a good fit; only
        where the noise is known and no `loss` is given.
    estimates_, estimate_loss_ : ndarray
        Starts, the best of each problem, and their losses; with several starts and refinement, the
        lowest points of their descents.
    n_forward_calls_ : int
        Simulations of one problem that `fit` has used.
    path_ : SearchPath
        With `path_length`: where the search of each problem stood after how many simulations.
    problem_ : InverseProblem
        The problem in use.
    device_ : str
        Where the simulator runs.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if `X` had any.

    See Also
    --------
    ReparameterizedInverse : Solves all problems together.

    Examples
    --------
    >>> from sklearn_proxyopt.inverse import DirectInverse, InverseProblem
    >>> from sklearn_proxyopt.problems.physics import BilliardShot
    >>> shot = BilliardShot()
    >>> X, unknowns = shot.sample(20, random_state=0)
    >>> one = DirectInverse(InverseProblem(shot)).fit(X)
    >>> more = DirectInverse(InverseProblem(shot), n_starts=4, n_candidates=32).fit(X)
    >>> bool(more.loss_.mean() < one.loss_.mean())
    True
    >>> race = DirectInverse(InverseProblem(shot), n_starts=4, n_candidates=32, keep_best_after=3)
    >>> race.fit(X).n_forward_calls_ < more.n_forward_calls_
    True
    """

    def __init__(
        self,
        problem: InverseProblem | None = None,
        *,
        n_starts: int = 1,
        n_candidates: int | None = None,
        keep_best_after: int | None = None,
        refine: str | None = "bfgs",
        tolerance: float = 1e-8,
        loss_tolerance: float = 1e-9,
        batch_size: int | None = None,
        path_length: int = 0,
        device: Any = "auto",
        random_state: Any = None,
    ) -> None:
        self.problem = problem
        self.n_starts = n_starts
        self.n_candidates = n_candidates
        self.keep_best_after = keep_best_after
        self.refine = refine
        self.tolerance = tolerance
        self.loss_tolerance = loss_tolerance
        self.batch_size = batch_size
        self.path_length = path_length
        self.device = device
        self.random_state = random_state

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        super().check_parameters()
        check_integer(self.n_starts, "n_starts")
        if self.n_candidates is not None:
            check_integer(self.n_candidates, "n_candidates", minimum=self.n_starts - 1)
        if self.keep_best_after is not None:
            check_integer(self.keep_best_after, "keep_best_after")

    def _learn(self, problems: ProblemSet, rng: np.random.Generator, tell: Tell) -> Tensor:
        n_candidates = self.n_starts - 1 if self.n_candidates is None else self.n_candidates
        self._candidates = np.empty((0, problems.problem.n_unknowns))
        if n_candidates:
            sampler = qmc.Sobol(problems.problem.n_unknowns, rng=rng)
            unit = sampler.random_base2(int(np.ceil(np.log2(n_candidates))))[:n_candidates]
            places = torch.as_tensor(2.0 * unit - 1.0, device="cpu")
            self._candidates = problems.problem.from_box(places).numpy()
        return self._estimate(problems, tell)

    def _estimate(self, problems: ProblemSet, tell: Tell | None = None) -> Tensor:
        """Return the best guess, or the end of the best of several descents."""
        starts = self._starts(problems)
        n_problems, n_starts = len(problems.rows), len(starts)
        if n_starts == 1:
            return starts[0]
        flat = starts.flatten(0, 1)

        if self.refine is None:
            with torch.no_grad():
                number = torch.arange(len(flat), device=flat.device) % n_problems
                values = problems.losses(flat, number)
        else:
            result = problems.descend(
                flat, tell, max_iterations=self.keep_best_after, **self._tolerances()
            )
            flat = torch.as_tensor(result.x, device="cpu").to(flat)
            values = torch.as_tensor(result.fun, device="cpu").to(flat)
        values = torch.nan_to_num(values.view(n_starts, n_problems), nan=torch.inf)
        best = values.argmin(dim=0)
        each = torch.arange(n_problems, device=flat.device)
        return flat.view(n_starts, n_problems, -1)[best, each]

    def _starts(self, problems: ProblemSet) -> Tensor:
        """Return the starts, of shape (n_starts, n_problems, n_unknowns)."""
        start = problems.start[None]
        if not len(self._candidates):
            return start
        candidates = problems.problem.to_latent(
            torch.as_tensor(self._candidates, device="cpu").to(start)
        )
        if self._screens_one_start():
            candidates = torch.cat([start[:, 0], candidates])
        values = problems.survey(candidates)
        order = torch.nan_to_num(values, nan=torch.inf).argsort(dim=0, stable=True)
        if self._screens_one_start():
            return candidates[order[:1]]
        n_further = max(self.n_starts - 1, 1 if self.refine is None else 0)
        return torch.cat([start, candidates[order[:n_further]]])

    def _screens_one_start(self) -> bool:
        return self.n_starts == 1 and bool(self.n_candidates) and self.refine is not None

    def _first_step(self) -> float:
        # From the best guess the steps are those of SciPy.
        is_estimate = self._screens_one_start() or self.keep_best_after is not None
        return super()._first_step() if is_estimate else 1.0
