"""All problems together, through the weights of one network."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_proxyopt._utils._step_graph import StepGraph
from sklearn_proxyopt._utils._validation import check_integer, check_option, check_real
from sklearn_proxyopt.inverse._network_inverse import NetworkInverse
from sklearn_proxyopt.inverse._networks import ConvNet, DenseNet, RowNetwork
from sklearn_proxyopt.inverse._problem import InverseProblem
from sklearn_proxyopt.inverse._problem_set import ProblemSet, Step, Tell

__all__ = ["ReparameterizedInverse"]


class ReparameterizedInverse(NetworkInverse):
    """Solve inverse problems jointly: their unknowns are the outputs of one network.

    The network maps each observation to its unknowns, and its weights are trained by Adam until
    the sum of all losses, computed by the simulator, is low [1]_. No solutions are needed: the
    training is the search, and what one problem learns moves the others. It leaves local minima and
    flat regions that stop a search on one problem alone, and needs many simulations for it.

    Parameters
    ----------
    problem : InverseProblem, default=None
        The simulator and its unknowns. None fits a straight line to each row.
    network : DenseNet, ConvNet or callable, default=None
        The network; None is a `DenseNet`. A callable is called as ``network(observation_shape,
        condition_shape, n_unknowns)`` and returns a torch module that maps scaled observations and
        conditions to (n, n_unknowns).
    n_iterations : int, default=500
        Passes through the problems; each simulates every problem once. Without batches a pass is
        one step of Adam.
    n_networks : int, default=1
        Networks trained one after another, each for `n_iterations` from weights of its own; each
        problem keeps the best of their estimates. Where a training soon settles in local minima,
        many short ones find more than a long one.
    learning_rate : float, default=0.003
        Step size of Adam. Halve it where the loss jumps about.
    exploration : float, default=0.0
        Standard deviation of noise that is added to the unknowns at each step, in unbounded
        variables, in which the box is about two units wide; it falls to zero until the last step.
        With `keep="best"` a problem then keeps the best of what was tried around the network's
        answers, and leaves local minima in which the training settles at once. Try 0.5.
    keep : {"best", "last"}, default="best"
        Which estimate of a problem is kept: that of its lowest loss in all of the training, or that
        of the last step, as in the paper.
    refine : {"bfgs", None}, default="bfgs"
        Whether each estimate is then improved by BFGS on the simulator.
    tolerance : float, default=1e-8
        A refinement has converged when no component of its gradient exceeds this, in units of what
        its loss spreads over the box.
    loss_tolerance : float, default=1e-9
        Or when a step gained no more than this share of its loss.
    batch_size : int, default=None
        Most problems that are simulated at once, in one step of Adam; None takes all. Smaller
        ones need less memory, and more steps are taken for the same number of simulations.
    path_length : int, default=0
        Most points of the way of the search that `path_` keeps, each of which takes 8 bytes for
        each problem and each of its unknowns and its loss. 0 keeps none.
    device : str or torch.device, default="auto"
        Where network and simulator run: "cpu", "cuda". "auto" is the CPU, and a GPU where a
        model of `sklearn_proxyopt.problems.physics` has very many numbers to match.
    dtype : {"float64", "float32"}, default="float64"
        Precision of the network. The simulator always runs in float64.
    random_state : None, int, RandomState or Generator, default=None
        Draws the starting weights.

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
        Mean of the finite losses at each step.
    n_iter_ : int
        Steps taken, by all networks.
    n_forward_calls_ : int
        Simulations of one problem that `fit` has used.
    path_ : SearchPath
        With `path_length`: where the search of each problem stood after how many simulations.
    network_ : torch.nn.Module
        The trained network; of several the one that ended with the lowest mean loss.
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
    DirectInverse : Solves each problem by itself.
    BestOfInverse : Takes the better of several answers to each problem.

    References
    ----------
    .. [1] "Can Neural Networks Improve Classical Optimization of Inverse Problems?", 2023,
       equation 2.

    Examples
    --------
    >>> from sklearn_proxyopt.inverse import InverseProblem, ReparameterizedInverse
    >>> from sklearn_proxyopt.problems.physics import BilliardShot
    >>> shot = BilliardShot()
    >>> X, unknowns = shot.sample(20, random_state=0)
    >>> joint = ReparameterizedInverse(InverseProblem(shot), n_iterations=150, random_state=0)
    >>> bool((joint.fit(X).loss_ < 1e-6).mean() > 0.5)
    True
    """

    def __init__(
        self,
        problem: InverseProblem | None = None,
        *,
        network: Any = None,
        n_iterations: int = 500,
        n_networks: int = 1,
        learning_rate: float = 3e-3,
        exploration: float = 0.0,
        keep: str = "best",
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
        self.network = network
        self.n_iterations = n_iterations
        self.n_networks = n_networks
        self.learning_rate = learning_rate
        self.exploration = exploration
        self.keep = keep
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
        check_integer(self.n_networks, "n_networks")
        check_real(self.exploration, "exploration", minimum=0.0)
        check_option(self.keep, "keep", ("best", "last"))

    def _learn(self, problems: ProblemSet, rng: np.random.Generator, tell: Tell) -> Tensor:
        trainings: list[_Training] = []
        # A network of the user may decide by what it computes.
        is_ours = self.network is None or isinstance(self.network, (DenseNet, ConvNet))
        is_static = is_ours and problems.is_static and problems.rows.is_cuda
        is_static = is_static and not self.exploration
        stopped, n_all = False, self.n_networks * self.n_iterations
        while len(trainings) < self.n_networks and not stopped:
            network = self._build(problems, problems.rows, rng)
            tell_of = partial(_tell_of, tell, len(trainings) * self.n_iterations, n_all)
            trainings.append(_Training(problems, network, self.learning_rate, is_static, rng))
            stopped = trainings[-1].run(self.n_iterations, tell_of, self.exploration)
        self.history_ = np.concatenate([training.history for training in trainings])
        self.n_iter_ = len(self.history_)
        for training in trainings:
            training.network.stream = None
        ends = [training.history[-1] for training in trainings]
        self.network_ = trainings[int(np.argmin(np.nan_to_num(ends, nan=np.inf)))].network
        if self.keep == "best":
            answers = [training.kept for training in trainings]
            losses = [training.lowest for training in trainings]
        else:
            answers = [training.last() for training in trainings]
            if len(answers) == 1:
                return answers[0]
            with torch.no_grad():
                losses = [problems.losses(answer).nan_to_num(nan=torch.inf) for answer in answers]
        best = torch.stack(losses).argmin(dim=0)
        return torch.stack(answers)[best, torch.arange(len(best), device=best.device)]


def _tell_of(tell: Tell, n_before: int, n_all: int, n_taken: int) -> bool:
    """Tell of the passes of one of several trainings."""
    return tell(Step("train", n_before + n_taken, n_all))


class _Training:
    """A network on its way to solve all problems.

    Parameters
    ----------
    problems : ProblemSet
        The problems.
    network : RowNetwork
        Maps their rows to shifts of the best guess.
    learning_rate : float
        Step size of Adam.
    is_static : bool
        Whether a GPU records the steps.
    rng : numpy.random.Generator
        Shuffles the problems where they come in batches.

    Attributes
    ----------
    kept, lowest : Tensor
        The estimate of each problem with its lowest loss so far, and that loss.
    history : list of float
        Mean of the finite losses at each step.
    """

    def __init__(
        self,
        problems: ProblemSet,
        network: RowNetwork,
        learning_rate: float,
        is_static: bool,
        rng: np.random.Generator,
    ) -> None:
        self.network = network
        self.kept = problems.start.clone()
        self.lowest = torch.full_like(problems.start[:, 0], torch.inf)
        self.history: list[float] = []
        self._problems = problems
        self._rng = rng
        self._deviation = 0.0
        size = problems.batch_size or len(problems.rows)
        self._n_batches = math.ceil(len(problems.rows) / size)
        is_static = is_static and self._n_batches == 1
        self._is_static = is_static
        # Adam adds a constant to what it divides by. A power of two rounds nothing.
        self._unit = 2.0 ** round(math.log2(float(problems.spread.median())))
        self._optimizer = torch.optim.Adam(
            network.parameters(), lr=learning_rate, capturable=is_static
        )

    def run(self, n_iterations: int, tell_of: Callable[[int], bool], exploration: float) -> bool:
        """Go through the problems some times; return whether a callback stopped it.

        The callback is told of each pass. Noise of a deviation that falls from `exploration` to
        zero moves what the network says.
        """
        self._means = self.lowest.new_zeros(n_iterations)
        self._count = torch.zeros((), dtype=torch.long, device=self.lowest.device)
        n_before, n_problems = self._problems.n_forward_calls, len(self.lowest)
        step: Callable[[], None] = self._step
        if self._n_batches > 1:
            step = self._pass
        if self._is_static:
            step = StepGraph(self._step, self.lowest.device, self._state)
        n_taken, stopped = 0, False
        while n_taken < n_iterations and not stopped:
            self._deviation = exploration * (1.0 - n_taken / n_iterations)
            step()
            n_taken += 1
            stopped = tell_of(n_taken)
        n_calls = self._problems.calls_for_gradients(n_taken * n_problems)
        self._problems.n_forward_calls = n_before + n_calls
        self.history = self._means[:n_taken].tolist()
        return stopped

    def _state(self) -> list[Tensor]:
        moments = [value for state in self._optimizer.state.values() for value in state.values()]
        learned = [*self.network.parameters(), *self.network.buffers(), *moments]
        return [*learned, self.kept, self.lowest, self._means, self._count]

    def _step(self) -> None:
        mean = self._learn(slice(None), None)
        self._means.index_copy_(0, self._count[None], mean[None])
        self._count.add_(1)

    def _pass(self) -> None:
        """Take a step for each batch, all of about one size."""
        shuffled = torch.as_tensor(self._rng.permutation(len(self.lowest)), device="cpu")
        batches = shuffled.to(self.lowest.device).tensor_split(self._n_batches)
        means = torch.stack([self._learn(own, own) for own in batches])
        self._means[self._count] = means.nanmean()
        self._count.add_(1)

    def _learn(self, own: Any, index: Tensor | None) -> Tensor:
        """Take a step on some problems; return the mean of their finite losses."""
        shift = self.network(self._problems.rows[own])
        latent = (self._problems.start[own] + shift).detach()
        if self._deviation:
            drawn = torch.as_tensor(self._rng.standard_normal(latent.shape), device="cpu")
            latent += self._deviation * drawn.to(latent)
        latent.requires_grad_()
        loss = self._problems.losses(latent, index)
        (gradient,) = torch.autograd.grad(loss.sum(), latent)
        # A problem without a finite loss must not reach the weights that all share.
        finite = torch.isfinite(loss) & torch.isfinite(gradient).all(dim=1)
        self._optimizer.zero_grad(set_to_none=True)
        shift.backward(torch.where(finite[:, None], gradient, 0.0) / self._unit)
        self._optimizer.step()
        loss = loss.detach()
        self._problems.note_step(index, latent, loss)
        lower = finite & (loss < self.lowest[own])
        self.kept[own] = torch.where(lower[:, None], latent.detach(), self.kept[own])
        self.lowest[own] = torch.where(lower, loss, self.lowest[own])
        # Not a number where no loss is finite. A step that is recorded picks no rows.
        if self._is_static:
            return torch.where(finite, loss, torch.nan).nanmean()
        return loss[finite].mean()

    def last(self) -> Tensor:
        """Return what the network says after its last step."""
        with torch.no_grad():
            last = self._problems.start + self.network(self._problems.rows)
            # The weights that all share say nothing where a row has no finite loss.
            return torch.where(torch.isfinite(last), last, self.kept)
