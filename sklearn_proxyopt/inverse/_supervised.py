"""A network trained on synthetic problems with known solutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_proxyopt._utils._validation import check_integer
from sklearn_proxyopt.inverse._network_inverse import NetworkInverse
from sklearn_proxyopt.inverse._problem import InverseProblem
from sklearn_proxyopt.inverse._problem_set import ProblemSet, Step, Tell

__all__ = ["SupervisedInverse"]


class SupervisedInverse(NetworkInverse):
    """Learn from synthetic problems to read unknowns off an observation.

    Unknowns are drawn, simulated, and a network is trained to find them again; then it answers the
    given problems [1]_. Where these have gaps or known errors, so have the simulated ones. The
    simulator needs no gradient. As the network never sees the loss, its answers are near rather
    than exact, and refinement improves them. Where several unknowns explain an observation alike,
    it answers with something between them.

    Parameters
    ----------
    problem : InverseProblem, default=None
        The simulator and its unknowns. None fits a straight line to each row.
    n_pairs : int, default=None
        Number of synthetic problems; None takes as many as there are rows in `fit`.
    network : DenseNet, ConvNet or callable, default=None
        The network; see `ReparameterizedInverse`.
    n_iterations : int, default=1000
        Steps of Adam, each on all synthetic problems. They cost no simulations.
    learning_rate : float, default=0.003
        Step size of Adam.
    refine : {"bfgs", None}, default="bfgs"
        Whether each answer is then improved by BFGS on the simulator.
    tolerance : float, default=1e-8
        A refinement has converged when no component of its gradient exceeds this, in units of what
        its loss spreads over the box.
    loss_tolerance : float, default=1e-9
        Or when a step gained no more than this share of its loss.
    batch_size : int, default=None
        Most problems that are simulated at once; None takes all. Smaller ones need less memory.
    path_length : int, default=0
        Most points of the way of the search that `path_` keeps, each of which takes 8 bytes for
        each problem and each of its unknowns and its loss. 0 keeps none.
    device : str or torch.device, default="auto"
        Where network and simulator run: "cpu", "cuda". "auto" is the CPU, and a GPU where a
        model of `sklearn_proxyopt.problems.physics` has very many numbers to match.
    dtype : {"float64", "float32"}, default="float64"
        Precision of the network. The simulator always runs in float64.
    random_state : None, int, RandomState or Generator, default=None
        Draws the synthetic problems and the starting weights.

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
        Unknowns and losses before the refinement.
    history_ : ndarray of shape (n_iter_,)
        Mean squared error at each step, in units of the half-widths of the box.
    n_iter_ : int
        Steps taken.
    n_forward_calls_ : int
        Simulations of one problem that `fit` has used.
    path_ : SearchPath
        With `path_length`: where the search of each problem stood after how many simulations.
    network_ : torch.nn.Module
        The trained network.
    problem_ : InverseProblem
        The problem in use.
    device_ : str
        Where network and simulator run.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if `X` had any.

    See Also
    --------
    NeuralAdjointInverse : Learns the simulator instead of its inverse.

    References
    ----------
    .. [1] "Can Neural Networks Improve Classical Optimization of Inverse Problems?", 2023,
       equation 3.

    Examples
    --------
    >>> from sklearn_proxyopt.inverse import InverseProblem, SupervisedInverse
    >>> from sklearn_proxyopt.problems.physics import BilliardShot
    >>> X, unknowns = BilliardShot().sample(20, random_state=0)
    >>> solver = SupervisedInverse(InverseProblem(BilliardShot()), n_pairs=100, random_state=0)
    >>> solver.fit(X).solutions_.shape
    (20, 2)
    """

    def __init__(
        self,
        problem: InverseProblem | None = None,
        *,
        n_pairs: int | None = None,
        network: Any = None,
        n_iterations: int = 1000,
        learning_rate: float = 3e-3,
        refine: str | None = "bfgs",
        tolerance: float = 1e-8,
        loss_tolerance: float = 1e-9,
        batch_size: int | None = None,
        path_length: int = 0,
        device: Any = "auto",
        dtype: str = "float64",
        random_state: Any = None,
    ) -> None:
        self.problem = problem
        self.n_pairs = n_pairs
        self.network = network
        self.n_iterations = n_iterations
        self.learning_rate = learning_rate
        self.refine = refine
        self.tolerance = tolerance
        self.loss_tolerance = loss_tolerance
        self.batch_size = batch_size
        self.path_length = path_length
        self.device = device
        self.dtype = dtype
        self.random_state = random_state

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        super().check_parameters()
        if self.n_pairs is not None:
            check_integer(self.n_pairs, "n_pairs")

    def _learn(self, problems: ProblemSet, rng: np.random.Generator, tell: Tell) -> Tensor:
        problem = problems.problem
        n_pairs = len(problems.rows) if self.n_pairs is None else self.n_pairs
        rows, unknowns = problems.draw_pairs(n_pairs, rng)
        width = torch.as_tensor(problem.bounds[:, 1] - problem.bounds[:, 0], device="cpu")
        half_width = width.to(rows) / 2
        start = problem.start_for(rows)
        usable = torch.isfinite(rows).all(dim=1) & torch.isfinite(unknowns).all(dim=1)
        if not usable.any():
            raise ValueError("problem must have finite synthetic observations; got none.")
        unknowns, start = unknowns[usable], start[usable]
        rows, _ = problems.as_measured(rows[usable], rng)
        network = self._build(problems, rows, rng)
        optimizer = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        history = []
        for _ in range(self.n_iterations):
            answer = problem.to_unknowns(start + network(rows))
            error = ((answer - unknowns) / half_width).square().mean()
            optimizer.zero_grad(set_to_none=True)
            error.backward()
            optimizer.step()
            history.append(float(error.detach()))
            if tell(Step("train", len(history), self.n_iterations)):
                break
        network.stream = None
        self.network_ = network
        self.history_, self.n_iter_ = np.array(history), len(history)
        return self._estimate(problems)
