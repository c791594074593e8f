"""A network that stands in for the simulator, and a search on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_proxyopt._utils._seeding import torch_generator
from sklearn_proxyopt._utils._validation import check_integer, check_real
from sklearn_proxyopt.inverse._base import BaseInverse
from sklearn_proxyopt.inverse._networks import drawn_layer
from sklearn_proxyopt.inverse._problem import InverseProblem
from sklearn_proxyopt.inverse._problem_set import ProblemSet, Step, Tell
from sklearn_proxyopt.optimizers import batched_bfgs
from sklearn_proxyopt.proxies._device import resolve_dtype

__all__ = ["NeuralAdjointInverse"]


class NeuralAdjointInverse(BaseInverse):
    """Learn the simulator by a network, then find the unknowns by BFGS on the network.

    A network is trained on synthetic simulations; for each problem BFGS minimizes the loss of its
    predictions plus a boundary loss, which grows with the distance from the box outside of which
    nothing was learned [1]_. The simulator needs no gradient.

    Parameters
    ----------
    problem : InverseProblem, default=None
        The simulator and its unknowns. None fits a straight line to each row.
    n_pairs : int, default=None
        Number of synthetic simulations; None takes as many as there are rows in `fit`.
    hidden_layer_sizes : sequence of int, default=(64, 256, 256)
        Widths of the hidden layers of the network.
    n_iterations : int, default=1000
        Steps of Adam, each on all synthetic simulations. They cost no simulations.
    learning_rate : float, default=0.001
        Step size of Adam.
    boundary_weight : float, default=0.1
        Boundary loss for each half-width of the box beyond a side, in units of what the loss of
        the problem spreads over the box.
    refine : {"bfgs", None}, default="bfgs"
        Whether each answer is then improved by BFGS on the simulator.
    tolerance : float, default=1e-8
        A search has converged when no component of its gradient exceeds this, in units of what
        its loss spreads over the box.
    loss_tolerance : float, default=1e-9
        Or a refinement, when a step gained no more than this share of its loss.
    batch_size : int, default=None
        Most problems that are simulated at once; None takes all. Smaller ones need less memory.
    path_length : int, default=0
        Most points of the way of the search that `path_` keeps, each of which takes 8 bytes for
        each problem and each of its unknowns and its loss. 0 keeps none.
    device : str or torch.device, default="auto"
        Where network and simulator run: "cpu", "cuda". "auto" is the CPU, and a GPU where a
        model of `sklearn_proxyopt.problems.physics` has very many numbers to match.
    dtype : {"float64", "float32"}, default="float64"
        Precision in which the network is trained; the search on it and the simulator run in
        float64.
    random_state : None, int, RandomState or Generator, default=None
        Draws the synthetic simulations and the starting weights.

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
        Mean squared error of the network at each step, in units of the variance of what is
        observed.
    n_iter_ : int
        Steps taken.
    n_forward_calls_ : int
        Simulations of one problem that `fit` has used.
    path_ : SearchPath
        With `path_length`: where the search of each problem stood after how many simulations.
    surrogate_ : torch.nn.Module
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
    SupervisedInverse : Learns the inverse of the simulator instead.

    References
    ----------
    .. [1] Ren, Padilla and Malof, "Benchmarking Deep Inverse Models over Time, and the
       Neural-Adjoint Method", 2020, :arxiv:`2009.12919`.

    Examples
    --------
    >>> from sklearn_proxyopt.inverse import InverseProblem, NeuralAdjointInverse
    >>> from sklearn_proxyopt.problems.physics import BilliardShot
    >>> X, unknowns = BilliardShot().sample(20, random_state=0)
    >>> solver = NeuralAdjointInverse(
    ...     InverseProblem(BilliardShot()), n_iterations=100, random_state=0
    ... )
    >>> solver.fit(X).solutions_.shape
    (20, 2)
    """

    def __init__(
        self,
        problem: InverseProblem | None = None,
        *,
        n_pairs: int | None = None,
        hidden_layer_sizes: Sequence[int] = (64, 256, 256),
        n_iterations: int = 1000,
        learning_rate: float = 1e-3,
        boundary_weight: float = 0.1,
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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_iterations = n_iterations
        self.learning_rate = learning_rate
        self.boundary_weight = boundary_weight
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
        for size in self.hidden_layer_sizes:
            check_integer(size, "hidden_layer_sizes")
        check_integer(self.n_iterations, "n_iterations")
        check_real(self.learning_rate, "learning_rate", minimum=0.0, include_minimum=False)
        check_real(self.boundary_weight, "boundary_weight", minimum=0.0)
        resolve_dtype(self.dtype)

    def _learn(self, problems: ProblemSet, rng: np.random.Generator, tell: Tell) -> Tensor:
        problem = problems.problem
        n_pairs = len(problems.rows) if self.n_pairs is None else self.n_pairs
        rows, unknowns = problems.draw_pairs(n_pairs, rng)
        usable = torch.isfinite(rows).all(dim=1) & torch.isfinite(unknowns).all(dim=1)
        if not usable.any():
            raise ValueError("problem must have finite synthetic observations; got none.")
        observed, conditions = problem.split(rows[usable])
        surrogate = _Surrogate(
            problem,
            observed,
            conditions,
            self.hidden_layer_sizes,
            resolve_dtype(self.dtype),
            torch_generator(rng),
        ).to(rows.device)
        optimizer = torch.optim.Adam(surrogate.parameters(), lr=self.learning_rate)
        scaled = surrogate.to_box(unknowns[usable])
        history = []
        for _ in range(self.n_iterations):
            error = ((surrogate(scaled, conditions) - observed) / surrogate.scale).square().mean()
            optimizer.zero_grad(set_to_none=True)
            error.backward()
            optimizer.step()
            history.append(float(error.detach()))
            if tell(Step("train", len(history), self.n_iterations)):
                break
        self.surrogate_ = surrogate.in_double_precision().requires_grad_(False)
        self.history_, self.n_iter_ = np.array(history), len(history)
        return self._estimate(problems)

    def _untrained(self, n_columns: int) -> dict[str, nn.Module]:
        rows = torch.zeros(2, n_columns, dtype=torch.float64, device="cpu")
        surrogate = _Surrogate(
            self.problem_,
            *self.problem_.split(rows),
            self.hidden_layer_sizes,
            resolve_dtype(self.dtype),
            torch_generator(np.random.default_rng(0)),
        )
        return {"surrogate_": surrogate.in_double_precision().requires_grad_(False)}

    def _estimate(self, problems: ProblemSet) -> Tensor:
        """Return the minimum, for each problem, of the surrogate's loss and the boundary loss."""
        problem, surrogate = problems.problem, self.surrogate_
        observed, conditions = problem.split(problems.rows)
        spread, noise = problems.spread, problems.noise

        def losses(scaled: Tensor, index: Tensor) -> Tensor:
            predicted = surrogate(scaled, conditions[index])
            outside = (scaled.abs() - 1.0).clamp_min(0.0).sum(dim=1)
            own = None if noise is None else noise.of(index)
            loss = problem.compare(predicted, observed[index], own) / spread[index]
            return loss + self.boundary_weight * outside

        start = surrogate.to_box(problem.to_unknowns(problems.start))
        found = torch.cat(
            [
                self._searched(losses, start, own)
                for own in problems.batches_of(torch.arange(len(start), device=start.device))
            ]
        )
        return problem.to_latent(surrogate.from_box(found))

    def _searched(self, losses: Any, start: Tensor, own: Tensor) -> Tensor:
        """Return where the search on the network ends for some of the problems."""
        result = batched_bfgs(
            lambda scaled, row: losses(scaled, own[row]), start[own], tolerance=self.tolerance
        )
        return torch.as_tensor(result.x, device="cpu").to(start)


class _Surrogate(nn.Module):
    """A dense network from unknowns, in half-widths of the box, and conditions to observations."""

    middle: Tensor
    half_width: Tensor
    level: Tensor
    scale: Tensor
    condition_level: Tensor
    condition_scale: Tensor

    def __init__(
        self,
        problem: InverseProblem,
        observed: Tensor,
        conditions: Tensor,
        hidden_layer_sizes: Sequence[int],
        dtype: torch.dtype,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        box = torch.as_tensor(problem.bounds, dtype=observed.dtype, device="cpu")
        self.register_buffer("middle", box.mean(dim=1))
        self.register_buffer("half_width", (box[:, 1] - box[:, 0]) / 2)
        self.register_buffer("level", observed.mean())
        self.register_buffer("scale", _spread(observed))
        self.register_buffer("condition_level", conditions.mean(dim=0))
        self.register_buffer("condition_scale", _spread(conditions))
        self.shape = observed.shape[1:]
        layers: list[nn.Module] = []
        width = len(box) + conditions.shape[1]
        for size in hidden_layer_sizes:
            layers += [drawn_layer(nn.Linear, width, size, generator=generator), nn.ReLU()]
            width = size
        layers.append(drawn_layer(nn.Linear, width, self.shape.numel(), generator=generator))
        self.layers = nn.Sequential(*layers).to(dtype)
        self.dtype = dtype

    def in_double_precision(self) -> _Surrogate:
        # A line search needs more digits than a training.
        self.layers, self.dtype = self.layers.double(), torch.float64
        return self

    def to_box(self, unknowns: Tensor) -> Tensor:
        return (unknowns - self.middle.to(unknowns)) / self.half_width.to(unknowns)

    def from_box(self, scaled: Tensor) -> Tensor:
        return self.middle + self.half_width * scaled

    def forward(self, scaled: Tensor, conditions: Tensor) -> Tensor:
        known = (conditions - self.condition_level) / self.condition_scale
        inputs = torch.cat([scaled, known], dim=1).to(self.dtype)
        outputs = self.layers(inputs).to(scaled.dtype).reshape(len(scaled), *self.shape)
        return self.level + self.scale * outputs


def _spread(values: Tensor) -> Tensor:
    """Return the standard deviation of all values, 1 where there is none."""
    spread = values.std(correction=0) if values.numel() else values.new_ones(())
    return torch.where(spread > 0, spread, 1.0)
