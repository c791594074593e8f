"""The problem that inverse solvers solve: a simulator, the box of its unknowns, and a loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.optimize import LinearConstraint
from torch import Tensor

from sklearn_proxyopt._utils._validation import check_option, check_real
from sklearn_proxyopt.evaluation._workers import check_executor
from sklearn_proxyopt.inverse._noise import (
    Noise,
    check_covariance,
    check_deviations,
    correlated_noise,
    noise_of_all,
    noise_of_each,
)
from sklearn_proxyopt.inverse._search_box import SearchBox
from sklearn_proxyopt.inverse._simulator import (
    ByDifferences,
    Simulator,
    jacobian_by_differences,
)

__all__ = ["InverseProblem", "straight_line"]


class InverseProblem(SearchBox):
    """A simulator whose parameters are to be found from many measurements.

    One row of X is one problem: the flattened observation, NaN where nothing was measured, then
    what is known beforehand about it, the conditions. A solution is the row of unknowns for which
    the simulator, under the conditions, comes closest to the observation.

    Parameters
    ----------
    forward : callable
        The simulator, called as ``forward(unknowns)`` or, where there are conditions, as
        ``forward(unknowns, conditions)`` on many problems at once: tensors of shape
        (n, n_unknowns) and (n, n_conditions), of type float64. It returns a tensor of the n
        predictions, in the shape of the observations and differentiable by torch. A model of
        `sklearn_proxyopt.problems.physics` also gives the defaults of all that follows. Where its
        attribute `is_static` is True, it takes the same course whatever it computes, and a GPU
        records it and launches all of it at once.
    bounds : array-like of shape (n_unknowns, 2) or scipy.optimize.Bounds, default=None
        The box of the unknowns, in their units.
    start : array-like of shape (n_unknowns,), default=None
        The best guess without a measurement; None takes the middle of the box, or of what
        constraints leave of it.
    hard_bounds : bool, default=None
        Whether solutions must lie in the box, which a scaled tanh then ensures. Otherwise it only
        says where unknowns are likely. None stands for True.
    constraints : LinearConstraint or sequence of them, default=()
        Inequalities of `scipy.optimize` between the unknowns, in their units, that every
        simulation and every solution meets. They need a hard box.
    observation_shape : tuple of int, default=None
        Shape of one observation. None takes all columns of X that are no conditions, in one axis.
    condition_shape : tuple of int, default=None
        Shape of the conditions of one problem. None stands for none.
    loss : callable, default=None
        Maps predictions and observations, tensors of one shape, to the losses (n,). None takes
        half the sum of squared differences over the points measured. A loss of your own sees NaN
        where nothing was measured.
    noise_std : float or array-like of the shape of an observation, default=None
        Standard deviation of the error of a measurement, or of each point, in units of the
        observations. The loss sees predictions and observations divided by it, so that half a
        unit of loss for each point is a good fit. Where problems differ, pass `noise_std` to
        `fit` instead.
    noise_covariance : array-like of shape (n_observed, n_observed), default=None
        Covariance of the errors where they are correlated; in place of `noise_std` and `loss`.
    draw : callable, default=None
        Called as ``draw(n, rng)``; returns n rows of X and their true unknowns, to train on. None
        draws unknowns uniformly from the box, takes conditions from the rows to be solved, and
        simulates.
    differentiable : bool, default=True
        Whether `forward` is a function of torch. If not, it takes and returns NumPy arrays and may
        be any simulator. Where a gradient is needed it is taken by central differences, all of a
        batch in one call: two further simulations an unknown.
    difference_step : float, default=1e-4
        The step of these differences, in half-widths of the box. Larger if the simulator itself
        has noise.
    on_error : {"raise", "drop"}, default="raise"
        What happens if `forward` raises an error: "raise" lets it through; "drop" splits the batch
        until only those that raise are lost, which then count as failed, as if they were NaN, and
        warns. Simulations that return NaN count as failed in any case.
    n_jobs : int, default=None
        Workers among which a batch is divided if `differentiable` is False: processes, or what the
        backend of `joblib.parallel_config` has. None is one, -1 all processors.
    executor : object with a method `submit`, default=None
        Runs the parts of a batch instead, such as those of `concurrent.futures` or of a cluster;
        `n_jobs` then says how many parts there are, None as many as it runs at once. Copies of the
        problem share it; a problem with one cannot be pickled unless the executor can.

    Examples
    --------
    >>> import torch
    >>> from sklearn_proxyopt.inverse import DirectInverse, InverseProblem
    >>> times = torch.linspace(0.0, 2.0, 9, dtype=torch.float64)
    >>> decay = InverseProblem(lambda rate: torch.exp(-rate * times), bounds=[[0.0, 5.0]])
    >>> X = torch.exp(-torch.tensor([[0.5], [2.0]]) * times)
    >>> DirectInverse(decay).fit(X).solutions_.round(3)
    array([[0.5],
           [2. ]])
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        bounds: ArrayLike | None = None,
        *,
        start: ArrayLike | None = None,
        hard_bounds: bool | None = None,
        constraints: LinearConstraint | Sequence[LinearConstraint] = (),
        observation_shape: tuple[int, ...] | None = None,
        condition_shape: tuple[int, ...] | None = None,
        loss: Callable[[Tensor, Tensor], Tensor] | None = None,
        noise_std: ArrayLike | None = None,
        noise_covariance: ArrayLike | None = None,
        draw: Callable[[int, np.random.Generator], tuple[Any, Any]] | None = None,
        differentiable: bool = True,
        difference_step: float = 1e-4,
        on_error: str = "raise",
        n_jobs: int | None = None,
        executor: Any = None,
    ) -> None:
        if not callable(forward):
            raise ValueError(f"forward must be callable; got {forward!r}.")

        def given(value: Any, name: str, default: Any) -> Any:
            return getattr(forward, name, default) if value is None else value

        self.forward = forward
        bounds = given(bounds, "bounds", None)
        if bounds is None:
            raise ValueError("bounds must be given for a forward model without any; got None.")
        super().__init__(bounds, bool(given(hard_bounds, "hard_bounds", True)), constraints)
        self.start = self.checked_start(given(start, "start", self.middle))
        self.observation_shape = given(observation_shape, "observation_shape", None)
        self.condition_shape = tuple(given(condition_shape, "condition_shape", ()))
        self.loss = loss
        if noise_covariance is not None and (noise_std is not None or loss is not None):
            raise ValueError(
                "noise_std and loss must be None where noise_covariance is given; got both."
            )
        self.noise_std, self.noise_covariance = noise_std, noise_covariance
        if noise_std is not None:
            check_deviations(noise_std, self.observation_shape or np.shape(noise_std))
        if noise_covariance is not None:
            self.noise_covariance = check_covariance(noise_covariance)
        self.draw = given(draw, "draw_pairs", None)
        self.differentiable = differentiable
        self.difference_step = check_real(
            difference_step, "difference_step", minimum=0.0, include_minimum=False
        )
        check_option(on_error, "on_error", ("raise", "drop"))
        if n_jobs is not None and (not isinstance(n_jobs, Integral) or n_jobs == 0):
            raise ValueError(f"n_jobs must be an integer other than 0, or None; got {n_jobs!r}.")
        check_executor(executor)
        if executor is not None and differentiable:
            raise ValueError("differentiable must be False where an executor is given; got True.")
        self._simulator = Simulator(forward, differentiable, on_error, n_jobs, executor)

    @property
    def is_static(self) -> bool:
        """Whether a GPU may record a simulation and its loss: those of a model that says so."""
        return (
            self.differentiable and self.loss is None and getattr(self.forward, "is_static", False)
        )

    @property
    def n_conditions(self) -> int:
        """Number of columns of X, the last ones, that are known beforehand."""
        return int(np.prod(self.condition_shape)) if self.condition_shape else 0

    def shape_of_rows(self, n_columns: int) -> tuple[int, ...]:
        """Return the shape of an observation in rows of a given width.

        Parameters
        ----------
        n_columns : int
            Number of columns of X.

        Returns
        -------
        tuple of int
            Shape of one observation.

        Raises
        ------
        ValueError
            If the width does not fit the problem.
        """
        n_observed = n_columns - self.n_conditions
        if self.observation_shape is None:
            if n_observed < 1:
                raise ValueError(
                    f"X must have more columns than the {self.n_conditions} conditions; "
                    f"got {n_columns}."
                )
            return (n_observed,)
        expected = int(np.prod(self.observation_shape))
        if n_observed != expected:
            raise ValueError(
                f"X must have {expected + self.n_conditions} columns, {expected} observed and "
                f"{self.n_conditions} conditions; got {n_columns}."
            )
        return tuple(self.observation_shape)

    def split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Take rows of X apart.

        Parameters
        ----------
        rows : torch.Tensor of shape (n, n_columns)
            Rows of X.

        Returns
        -------
        observed : torch.Tensor of shape (n, ...)
            What was measured.
        conditions : torch.Tensor of shape (n, n_conditions)
            What was known.
        """
        shape = self.shape_of_rows(rows.shape[1])
        n_observed = rows.shape[1] - self.n_conditions
        return rows[:, :n_observed].reshape(len(rows), *shape), rows[:, n_observed:]

    def simulate(self, unknowns: Tensor, conditions: Tensor) -> Tensor:
        """Run the simulator.

        Parameters
        ----------
        unknowns : torch.Tensor of shape (n, n_unknowns)
            Parameters.
        conditions : torch.Tensor of shape (n, n_conditions)
            What is known.

        Returns
        -------
        torch.Tensor of shape (n, ...)
            Predictions.
        """
        return self._simulated(unknowns, conditions)

    def _simulated(
        self, unknowns: Tensor, conditions: Tensor, shape: tuple[int, ...] | None = None
    ) -> Tensor:
        """Return predictions, of a given shape where a simulation may fail."""

        def simulate(places: Tensor, known: Tensor) -> Tensor:
            return self._simulator(places, known if self.n_conditions else None, shape)

        if self.differentiable or not (unknowns.requires_grad and torch.is_grad_enabled()):
            return simulate(unknowns, conditions)
        found: Tensor = ByDifferences.apply(
            unknowns, simulate, conditions, self._steps(unknowns), self.is_inside
        )
        return found

    def _steps(self, like: Tensor) -> Tensor:
        """Return the steps of differences, in the units of the unknowns."""
        return self.difference_step * self._box(like)[1]

    def jacobian(self, unknowns: Tensor, conditions: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return the slopes of predictions, by central differences.

        Parameters
        ----------
        unknowns : torch.Tensor of shape (n, n_unknowns)
            Where.
        conditions : torch.Tensor of shape (n, n_conditions)
            What is known.
        shape : tuple of int
            Shape of one observation.

        Returns
        -------
        torch.Tensor of shape (n, n_unknowns, ...)
            The slopes, NaN where a simulation fails on both sides.
        """

        def simulate(places: Tensor, known: Tensor) -> Tensor:
            return self.predict(places, known, shape)

        with torch.no_grad():
            here = simulate(unknowns, conditions)
            return jacobian_by_differences(
                simulate, unknowns, conditions, here, self._steps(unknowns), self.is_inside
            )

    @property
    def calls_for_gradient(self) -> int:
        """Simulations that a prediction with its gradient takes."""
        return 1 if self.differentiable else 1 + 2 * self.n_unknowns

    def noise_of(self, rows: Tensor, noise_std: Any = None) -> Noise | None:
        """Return the errors of the measurements in rows of X.

        Parameters
        ----------
        rows : torch.Tensor of shape (n, n_columns)
            The problems.
        noise_std : array-like of shape (n,) or (n, n_observed), default=None
            Standard deviations of each problem; None takes those of all problems.

        Returns
        -------
        Noise or None
            None if nothing is known about them.

        Raises
        ------
        ValueError
            If they do not fit the rows.
        """
        observed, _ = self.split(rows)
        if noise_std is not None:
            if self.noise_covariance is not None:
                raise ValueError(
                    "noise_std must be None for a problem with noise_covariance; got both."
                )
            return noise_of_each(noise_std, observed)
        if self.noise_std is not None:
            return noise_of_all(self.noise_std, observed)
        if self.noise_covariance is None:
            return None
        return correlated_noise(self.noise_covariance, observed)

    def losses(self, unknowns: Tensor, rows: Tensor, noise: Noise | None = None) -> Tensor:
        """Return the loss of each problem at some unknowns.

        Parameters
        ----------
        unknowns : torch.Tensor of shape (n, n_unknowns)
            One row a problem.
        rows : torch.Tensor of shape (n, n_columns)
            The problems, rows of X.
        noise : Noise, default=None
            The errors of their measurements; None takes what the problem says of them.

        Returns
        -------
        torch.Tensor of shape (n,)
            Their losses.

        Raises
        ------
        ValueError
            If the simulator or the loss returns another shape than it must.
        """
        observed, conditions = self.split(rows)
        predicted = self.predict(unknowns, conditions, observed.shape[1:])
        return self.compare(predicted, observed, self.noise_of(rows) if noise is None else noise)

    def predict(self, unknowns: Tensor, conditions: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Run the simulator, whose predictions must have a given shape.

        Parameters
        ----------
        unknowns : torch.Tensor of shape (n, n_unknowns)
            Parameters.
        conditions : torch.Tensor of shape (n, n_conditions)
            What is known.
        shape : tuple of int
            Shape of one observation.

        Returns
        -------
        torch.Tensor of shape (n, ...)
            Predictions.

        Raises
        ------
        ValueError
            If the simulator returns another shape.
        """
        predicted = self._simulated(unknowns, conditions, tuple(shape))
        expected = (len(unknowns), *shape)
        if predicted.shape != expected:
            raise ValueError(
                f"forward must return predictions of shape {expected} for {len(unknowns)} "
                f"problems; got {tuple(predicted.shape)}."
            )
        return predicted

    def compare(self, predicted: Tensor, observed: Tensor, noise: Noise | None = None) -> Tensor:
        """Return the loss of each prediction.

        Parameters
        ----------
        predicted, observed : torch.Tensor of shape (n, ...)
            What the simulator gives and what was measured, NaN for nothing.
        noise : Noise, default=None
            The errors of the measurements; None takes all for one unit.

        Returns
        -------
        torch.Tensor of shape (n,)
            The losses.
        """
        if self.loss is None:
            difference = torch.where(observed.isnan(), 0.0, predicted - observed)
            if noise is not None:
                difference = noise.in_units(difference)
            return 0.5 * difference.flatten(1).square().sum(dim=1)
        if noise is not None:
            predicted, observed = noise.in_units(predicted), noise.in_units(observed)
        values = self.loss(predicted, observed.clone())
        if not isinstance(values, Tensor) or values.shape != (len(observed),):
            raise ValueError(
                f"loss must return a tensor with one value a problem, of shape "
                f"({len(observed)},); got shape {tuple(getattr(values, 'shape', ()))}."
            )
        return values

    def start_for(self, rows: Tensor) -> Tensor:
        """Return the unbounded variables of the best guess.

        Parameters
        ----------
        rows : torch.Tensor of shape (n, n_columns)
            The problems.

        Returns
        -------
        torch.Tensor of shape (n, n_unknowns)
            The same row for each.
        """
        start = torch.as_tensor(self.start, dtype=rows.dtype, device=rows.device)
        return self.start_to_latent(start.expand(len(rows), -1))

    def draw_pairs(
        self, n_pairs: int, rows: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw synthetic problems with known solutions.

        Parameters
        ----------
        n_pairs : int
            Number of problems.
        rows : torch.Tensor of shape (n, n_columns)
            The problems to be solved, whose conditions are used where `draw` is not given.
        rng : numpy.random.Generator
            Draws them.

        Returns
        -------
        synthetic : torch.Tensor of shape (n_pairs, n_columns)
            The problems.
        unknowns : torch.Tensor of shape (n_pairs, n_unknowns)
            Their solutions.
        """
        if self.draw is not None:
            drawn = (np.asarray(part, dtype=np.float64) for part in self.draw(n_pairs, rng))
            synthetic, unknowns = (
                torch.as_tensor(part, device="cpu").to(rows.device) for part in drawn
            )
            expected = ((n_pairs, rows.shape[1]), (n_pairs, self.n_unknowns))
            shapes = (tuple(synthetic.shape), tuple(unknowns.shape))
            if shapes != expected:
                raise ValueError(f"draw must return arrays of shapes {expected}; got {shapes}.")
            return synthetic, unknowns
        lower, upper = self.bounds.T
        drawn_unknowns = rng.uniform(lower, upper, (n_pairs, self.n_unknowns))
        unknowns = torch.as_tensor(drawn_unknowns, device="cpu").to(rows.device)
        if self._polytope is not None:
            middle, half_width = self._box(unknowns)
            unknowns = self.from_box((unknowns - middle) / half_width)
        _, conditions = self.split(rows)
        conditions = conditions[
            torch.as_tensor(rng.integers(len(rows), size=n_pairs), device="cpu")
        ]
        with torch.no_grad():
            observed = self.predict(unknowns, conditions, self.shape_of_rows(rows.shape[1]))
        return torch.cat([observed.flatten(1), conditions], dim=1), unknowns

    def __repr__(self) -> str:
        return f"InverseProblem({self.forward!r}, n_unknowns={self.n_unknowns})"


class _StraightLine:
    """Height and slope of a straight line, seen at equal distances from -1 to 1."""

    def __init__(self, n_points: int) -> None:
        self.n_points = n_points

    def __call__(self, unknowns: Tensor) -> Tensor:
        """Return the lines as rows of shape (n, n_points)."""
        places = torch.linspace(
            -1.0, 1.0, self.n_points, dtype=unknowns.dtype, device=unknowns.device
        )
        return unknowns[:, :1] + unknowns[:, 1:] * places


def straight_line(n_points: int) -> InverseProblem:
    """Return the problem solved where none is given: a straight line through each row."""
    return InverseProblem(_StraightLine(n_points), [[-1.0, 1.0], [-1.0, 1.0]], hard_bounds=False)
