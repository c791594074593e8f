"""Landscapes learned once for many observations, smooth at first and sharp in the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import qmc
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from sklearn_proxyopt._utils._seeding import torch_generator
from sklearn_proxyopt._utils._threads import all_threads
from sklearn_proxyopt._utils._torch_modes import plain_torch
from sklearn_proxyopt._utils._validation import (
    as_numbers,
    check_integer,
    check_option,
    check_real,
    check_rows,
)
from sklearn_proxyopt.inverse._base import BaseInverse
from sklearn_proxyopt.inverse._landscape_network import (
    N_PRODUCTS,
    LandscapeNetwork,
    train_landscapes,
)
from sklearn_proxyopt.inverse._landscape_search import survey, walk_down
from sklearn_proxyopt.inverse._landscapes import Landscapes, draw_landscapes
from sklearn_proxyopt.inverse._networks import DenseNet, build_network
from sklearn_proxyopt.inverse._problem import InverseProblem
from sklearn_proxyopt.inverse._problem_set import ProblemSet, Tell
from sklearn_proxyopt.proxies._device import resolve_dtype

__all__ = ["LandscapeInverse"]

# The ladder that "auto" chooses from, as shares of the width of the box.
_LADDER = (0.28, 0.2, 0.14, 0.1, 0.07, 0.05, 0.025, 0.0)
# Synthetic problems, and starts on each, by which it chooses.
_N_JUDGED, _N_JUDGED_STARTS = 32, 8


class LandscapeInverse(BaseInverse):
    """Learn the loss of any observation at any parameters, and descend on the learned loss.

    Synthetic problems are simulated, and their losses at parameters all over the box train a
    network that takes an observation and parameters and predicts the loss, once for all
    observations [1]_. Gaussian noise on the parameters smooths the landscape that it predicts: the
    basin stays, local minima go. The amount of noise is an input, so that one network holds all
    levels from smooth to sharp. A problem is solved by BFGS on the smoothest landscape, from there
    on the next, and so on, and last on the simulator. This last descent begins at the best guess or
    at the minimum of one of the levels, whichever has the lowest simulated loss.

    Parameters
    ----------
    problem : InverseProblem, default=None
        The simulator and its unknowns. None fits a straight line to each row.
    input_noise : "auto", float or sequence of float, default="auto"
        Standard deviations of the noise, in widths of the box, from smooth to sharp. One is the
        two-step method of [1]_. "auto" learns eight, from 0.28 to none, and measures on synthetic
        problems held out how far from the true parameters searches through any part of them end. It
        takes the part that ends nearest, and begins on a smoother level, with fewer basins, where
        that ends no farther away than chance may have it.
    over_prediction_penalty : float, default=30.0
        How many times an error counts where the prediction is too high. Above 1, the landscape
        keeps to the low losses under the noise, so that its minimum shifts less.
    logarithmic : bool, default=True
        Whether the logarithm of the loss is learned, which has the same minima and more of its
        depth near them, instead of the loss itself. It levels off at 3 % of the mean loss.
    n_pairs : int, default=2048
        Number of synthetic problems.
    n_places : int, default=None
        Number of parameters at which their losses are simulated: for each problem, 32 if None,
        where there are conditions; for all of them together, `n_pairs` if None, where there are
        none.
    network : DenseNet, ConvNet or callable, default=None
        The network that reads an observation; see `ReparameterizedInverse`. None takes a dense one
        with two layers of 256.
    hidden_layer_sizes : sequence of int, default=(256, 256)
        Widths of the hidden layers of the network that reads the parameters.
    n_frequencies : int, default=128
        Number of Fourier features of the parameters.
    n_starts : int, default=8
        Descents for each problem: from the best guess, and from a quasi-random sample. They cost no
        simulations. The lowest end on each level by its landscape is simulated once before a
        refinement; without one the answer is the lowest on the last landscape.
    n_iterations : int, default=2000
        Steps of Adam. They cost no simulations.
    learning_rate : float, default=0.003
        Highest step size of Adam.
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
    dtype : {"float64", "float32"}, default="float32"
        Precision of the training. The search and the simulator always run in float64.
    random_state : None, int, RandomState or Generator, default=None
        Draws the synthetic problems, the starting weights, the noise and the starts.

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
    levels_ : ndarray of shape (n_levels,)
        The noise of the landscapes that are searched, in widths of the box, from smooth to sharp.
    smoothing_report_ : dict
        What the smoothing does to synthetic problems held out, with an entry for each level:
        `noise`; `basins`, in how many distinct minima eight random starts end; `drift`, how far the
        lowest of them lies from the true parameters, as the root mean square in widths of the box;
        and `used`, whether the level is searched.
    history_ : ndarray of shape (n_iter_,)
        Training loss at each step.
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
    NeuralAdjointInverse : Learns the simulator instead of the loss.
    sklearn_proxyopt.optimizers.GraduatedSearch : The same search for one function.

    Notes
    -----
    The loss at z under noise s is the mean over the parameters that noise takes to z, of those in
    the box: near its sides the Gaussian is cut off and its rest weighed up, which draws minima
    inwards. With a penalty it is an expectile below the mean.

    The features of the parameters have up to 16 waves across the box. Finer valleys are not
    learned; the refinement on the simulator finds them.

    References
    ----------
    .. [1] "Optimization Landscapes Learned: Proxy Networks Boost Convergence in Physics-based
       Inverse Problems", :arxiv:`2501.16573`, 2025. The penalty is 3 / 0.1 in its first author's
       code.

    Examples
    --------
    >>> from sklearn_proxyopt.inverse import InverseProblem, LandscapeInverse
    >>> from sklearn_proxyopt.problems.physics import WavePacket
    >>> X, unknowns = WavePacket().sample(20, random_state=0)
    >>> solver = LandscapeInverse(
    ...     InverseProblem(WavePacket()), input_noise=(0.1, 0.03), n_pairs=64, n_iterations=10,
    ...     random_state=0,
    ... )
    >>> solver.fit(X).solutions_.shape
    (20, 1)
    """

    def __init__(
        self,
        problem: InverseProblem | None = None,
        *,
        input_noise: str | float | Sequence[float] = "auto",
        over_prediction_penalty: float = 30.0,
        logarithmic: bool = True,
        n_pairs: int = 2048,
        n_places: int | None = None,
        network: Any = None,
        hidden_layer_sizes: Sequence[int] = (256, 256),
        n_frequencies: int = 128,
        n_starts: int = 8,
        n_iterations: int = 2000,
        learning_rate: float = 3e-3,
        refine: str | None = "bfgs",
        tolerance: float = 1e-8,
        loss_tolerance: float = 1e-9,
        batch_size: int | None = None,
        path_length: int = 0,
        device: Any = "auto",
        dtype: str = "float32",
        random_state: Any = None,
    ) -> None:
        self.problem = problem
        self.input_noise = input_noise
        self.over_prediction_penalty = over_prediction_penalty
        self.logarithmic = logarithmic
        self.n_pairs = n_pairs
        self.n_places = n_places
        self.network = network
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_frequencies = n_frequencies
        self.n_starts = n_starts
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
        self._ladder()
        check_real(
            self.over_prediction_penalty,
            "over_prediction_penalty",
            minimum=0.0,
            include_minimum=False,
        )
        check_option(self.logarithmic, "logarithmic", (True, False))
        for name in ("n_pairs", "n_frequencies", "n_starts", "n_iterations"):
            check_integer(getattr(self, name), name)
        if self.n_places is not None:
            check_integer(self.n_places, "n_places")
        for size in self.hidden_layer_sizes:
            check_integer(size, "hidden_layer_sizes")
        check_real(self.learning_rate, "learning_rate", minimum=0.0, include_minimum=False)
        check_option(self.dtype, "dtype", ("float32", "float64"))

    @plain_torch()
    @all_threads()
    def walk(
        self, X: ArrayLike, starts: ArrayLike, input_noise: float | Sequence[float] | None = None
    ) -> NDArray[np.float64]:
        """Descend on the predicted landscapes of problems, from level to level.

        Parameters
        ----------
        X : array-like of shape (n_problems, n_columns)
            Observations and conditions, as in `fit`.
        starts : array-like of shape (n_problems, n_starts, n_unknowns)
            Unknowns where descents begin; those outside the box begin on its side.
        input_noise : float or sequence of float, default=None
            The levels, from smooth to sharp; None takes `levels_`. The network has learned those
            of the parameter `input_noise` only.

        Returns
        -------
        ndarray of shape (n_levels, n_problems, n_starts, n_unknowns)
            Where the descents end on each level.
        """
        rows = self._rows(X)
        places = self._places(starts, 3, len(rows)).clamp(-1.0, 1.0)
        noise = np.atleast_1d(self.levels_ if input_noise is None else input_noise)
        ends, _ = walk_down(self.network_, rows, places.cpu().numpy(), list(2.0 * noise))
        return self.problem_.from_box(torch.as_tensor(ends, device="cpu")).numpy()

    @plain_torch()
    @all_threads()
    def landscape(
        self, X: ArrayLike, unknowns: ArrayLike, input_noise: float
    ) -> NDArray[np.float64]:
        """Predict the losses of problems all over the box, smoothed by `input_noise`.

        Parameters
        ----------
        X : array-like of shape (n_problems, n_columns)
            Observations and conditions, as in `fit`.
        unknowns : array-like of shape (n_places, n_unknowns)
            Where to predict, for all problems.
        input_noise : float
            The noise, in widths of the box.

        Returns
        -------
        ndarray of shape (n_problems, n_places)
            Losses in units of the mean loss of the synthetic problems, or their logarithms.
        """
        rows, places = self._rows(X), self._places(unknowns, 2)
        with torch.no_grad():
            noise = torch.full_like(places[:, :1], 2.0 * input_noise)
            known = self.network_.of_parameters(places, noise)
            heights = self.network_.of_problems(rows) @ known.T / N_PRODUCTS
        return heights.cpu().numpy()

    def _rows(self, X: ArrayLike) -> Tensor:
        check_is_fitted(self)
        X = check_rows(self, X, reset=False)
        return torch.tensor(np.ascontiguousarray(X), dtype=torch.float64, device=self.device_)

    def _places(self, unknowns: ArrayLike, n_axes: int, n_problems: int | None = None) -> Tensor:
        """Return unknowns in half-widths of the box, their shape checked."""
        name = "starts" if n_axes == 3 else "unknowns"
        values = as_numbers(unknowns, name)
        expected = ("n_problems", "n_starts", "n_unknowns")[3 - n_axes :]
        fits = values.ndim == n_axes and values.shape[-1] == self.problem_.n_unknowns
        if not fits or (n_problems is not None and len(values) != n_problems):
            raise ValueError(
                f"{name} must have shape ({', '.join(expected)}) with {self.problem_.n_unknowns} "
                f"unknowns; got {values.shape}."
            )
        return self.problem_.to_box(torch.as_tensor(values, device="cpu")).to(self.device_)

    def _ladder(self) -> tuple[float, ...]:
        """Return the levels that are learned, from smooth to sharp."""
        noise = self.input_noise
        if isinstance(noise, str):
            check_option(noise, "input_noise", ("auto",))
            return _LADDER
        levels = tuple(np.atleast_1d(noise).tolist())
        if not levels:
            raise ValueError("input_noise must hold at least one level; got none.")
        for level in levels:
            check_real(level, "input_noise", minimum=0.0)
        if list(levels) != sorted(set(levels), reverse=True):
            raise ValueError(f"input_noise must fall from level to level; got {noise!r}.")
        return levels

    def _learn(self, problems: ProblemSet, rng: np.random.Generator, tell: Tell) -> Tensor:
        ladder = 2.0 * np.array(self._ladder())
        data = self._draw(problems, self.n_pairs, rng)
        network = self._build(problems, data, rng)
        self.history_ = train_landscapes(
            network,
            data,
            torch.as_tensor(ladder, device="cpu").to(problems.rows),
            self.over_prediction_penalty,
            self.n_iterations,
            self.learning_rate,
            rng,
            tell,
        )
        self.n_iter_ = len(self.history_)
        self.network_ = network.in_double_precision()
        n_unknowns = problems.problem.n_unknowns
        sampler = qmc.Sobol(n_unknowns, rng=rng)
        sample = sampler.random_base2(int(np.ceil(np.log2(self.n_starts))))
        self._starts = 2.0 * sample[: self.n_starts - 1] - 1.0
        self._choose_levels(problems, ladder, rng)
        return self._estimate(problems)

    def _draw(self, problems: ProblemSet, n_pairs: int, rng: np.random.Generator) -> Landscapes:
        """Draw synthetic problems and simulate their losses all over the box."""
        problem = problems.problem
        rows, unknowns = problems.draw_pairs(n_pairs, rng)
        usable = torch.isfinite(rows).all(dim=1) & torch.isfinite(unknowns).all(dim=1)
        if not usable.any():
            raise ValueError("problem must have finite synthetic observations; got none.")
        measured, noise = problems.as_measured(rows[usable], rng)
        self._has_gaps = problems.has_gaps
        n_places = self.n_places
        if n_places is None:
            n_places = 32 if problem.n_conditions else n_pairs
        data = draw_landscapes(problem, measured, n_places, rng, noise)
        problems.n_forward_calls += data.n_simulations
        return data

    def _build(
        self, problems: ProblemSet, data: Landscapes, rng: np.random.Generator
    ) -> LandscapeNetwork:
        mean_loss = float(data.losses.mean())
        return self._network(data.rows.flatten(0, 1), mean_loss if mean_loss > 0 else 1.0, rng)

    def _untrained(self, n_columns: int) -> dict[str, torch.nn.Module]:
        rows = torch.zeros(2, n_columns, dtype=torch.float64, device="cpu")
        network = self._network(rows, 1.0, np.random.default_rng(0))
        return {"network_": network.in_double_precision()}

    def _network(
        self, rows: Tensor, mean_loss: float, rng: np.random.Generator
    ) -> LandscapeNetwork:
        """Return an untrained network, scaled to some rows."""
        problem, dtype = self.problem_, resolve_dtype(self.dtype)
        network = self.network
        if network is None:
            network = DenseNet((256, 256), activation="silu", n_frequencies=0)
        shapes = problem.shape_of_rows(rows.shape[1]), problem.condition_shape
        has_gaps = bool(getattr(self, "_has_gaps", False))
        branch = build_network(network, rows, *shapes, N_PRODUCTS, dtype, rng, has_gaps)
        return LandscapeNetwork(
            branch,
            problem.n_unknowns,
            tuple(self.hidden_layer_sizes),
            self.n_frequencies,
            mean_loss,
            self.logarithmic,
            dtype,
            torch_generator(rng),
        ).to(rows.device)

    def _choose_levels(
        self, problems: ProblemSet, ladder: NDArray[np.float64], rng: np.random.Generator
    ) -> None:
        """Measure the ladder on synthetic problems not learned from, and choose what to walk."""
        rows, unknowns = problems.draw_pairs(_N_JUDGED, rng)
        truth = problems.problem.to_box(unknowns).cpu().numpy()
        usable = torch.isfinite(rows).all(dim=1)
        rows, _ = problems.as_measured(rows[usable], rng)
        truth = truth[usable.cpu().numpy()]
        starts = rng.uniform(-1.0, 1.0, (len(rows), _N_JUDGED_STARTS, truth.shape[1]))
        is_auto = isinstance(self.input_noise, str)
        found = survey(self.network_, rows, truth, starts, list(ladder), with_walks=is_auto)
        first, last = found.best_walk if is_auto else (0, len(ladder) - 1)
        index = np.arange(len(ladder))
        self.levels_ = ladder[first : last + 1] / 2.0
        self.smoothing_report_ = {
            "noise": ladder / 2.0,
            "basins": found.basins,
            "drift": found.drift,
            "used": (index >= first) & (index <= last),
        }

    def _estimate(self, problems: ProblemSet) -> Tensor:
        """Return where the coarse-to-fine searches end, or where a refinement best begins."""
        problem, n_problems = problems.problem, len(problems.rows)
        guess = problem.to_box(problem.to_unknowns(problems.start[:1])).cpu().numpy()
        starts = np.clip(np.vstack([guess, self._starts]), -1.0, 1.0)
        starts = np.tile(starts, (n_problems, 1, 1))
        ends, heights = walk_down(self.network_, problems.rows, starts, list(2.0 * self.levels_))
        lowest = heights.argmin(axis=2)[:, :, None, None]
        found = torch.as_tensor(np.take_along_axis(ends, lowest, axis=2)[:, :, 0], device="cpu")
        flat = problem.from_box(found.to(problems.start).flatten(0, 1))
        levels = problem.to_latent(flat).unflatten(0, found.shape[:2])
        if self.refine is None:
            return levels[-1]
        return _lowest(problems, torch.cat([levels.flip(0), problems.start[None]]))


def _lowest(problems: ProblemSet, candidates: Tensor) -> Tensor:
    """Return the candidate (n_candidates, n_problems, n_unknowns) of each problem that fits best.

    What a landscape smooths away may lie deeper than its minimum; the simulator knows.
    """
    with torch.no_grad():
        losses = torch.stack([problems.losses(latent) for latent in candidates])
    best = torch.nan_to_num(losses, nan=torch.inf).argmin(dim=0)
    return candidates[best, torch.arange(len(best), device=best.device)]
