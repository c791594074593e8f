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

from sklearn_proxyopt._utils._constants import Constants
from sklearn_proxyopt._utils._validation import check_bounds, check_option, check_real
from sklearn_proxyopt.inverse._noise import (
    Noise,
    check_covariance,
    check_deviations,
    whitening,
)
from sklearn_proxyopt.inverse._polytope import Polytope
from sklearn_proxyopt.inverse._simulator import (
    ByDifferences,
    Simulator,
    jacobian_by_differences,
)

__all__ = ["InverseProblem", "straight_line"]

# Starts and estimates on a side of the box are moved inside by this share of its half-width:
# on the side itself the scaled tanh has no slope.
_MARGIN = 1e-3
# Those that constraints forbid are moved in farther.
_WELL_INSIDE = 0.9
_OWNER = "an observation"


class InverseProblem:
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
        Processes among which a batch is divided if `differentiable` is False; None is one, -1 all
        processors.

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
    ) -> None:
        if not callable(forward):
            raise ValueError(f"forward must be callable; got {forward!r}.")

        def given(value: Any, name: str, default: Any) -> Any:
            return getattr(forward, name, default) if value is None else value

        self.forward = forward
        bounds = given(bounds, "bounds", None)
        if bounds is None:
            raise ValueError("bounds must be given for a forward model without any; got None.")
        self.bounds = check_bounds(bounds)
        self._constants = Constants(self.bounds)
        lower, upper = self.bounds.T
        self.hard_bounds = bool(given(hard_bounds, "hard_bounds", True))
        self._polytope = self._polytope_of(constraints)
        middle = (lower + upper) / 2
        if self._polytope is not None:
            middle = middle + (upper - lower) / 2 * self._polytope.middle
        self.start = np.array(given(start, "start", middle), dtype=np.float64)
        if self.start.shape != lower.shape or not np.isfinite(self.start).all():
            raise ValueError(
                f"start must hold one finite number for each of the {len(lower)} unknowns; "
                f"got {start!r}."
            )
        if self.hard_bounds and ((self.start < lower) | (self.start > upper)).any():
            raise ValueError(f"start must lie inside bounds; got {start!r}.")
        if self._polytope is not None and not self._polytope.are_met(self.start[None])[0]:
            raise ValueError(f"start must meet the constraints; got {self.start.tolist()}.")
        self.observation_shape = given(observation_shape, "observation_shape", None)
        self.condition_shape = tuple(given(condition_shape, "condition_shape", ()))
        self.loss = loss
        if noise_covariance is not None and (noise_std is not None or loss is not None):
            raise ValueError(
                "noise_std and loss must be None where noise_covariance is given; got both."
            )
        self.noise_std, self.noise_covariance = noise_std, noise_covariance
        if noise_std is not None:
            check_deviations(noise_std, self.observation_shape or np.shape(noise_std), _OWNER)
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
        self._simulator = Simulator(forward, differentiable, on_error, n_jobs)

    def _polytope_of(self, constraints: Any) -> Polytope | None:
        """Return what constraints leave of the box, or None without any."""
        if isinstance(constraints, (list, tuple)) and not constraints:
            return None
        if not self.hard_bounds:
            raise ValueError("hard_bounds must be True where constraints are given; got False.")
        return Polytope(constraints, self.bounds)

    @property
    def is_static(self) -> bool:
        """Whether a GPU may record a simulation and its loss: those of a model that says so."""
        return (
            self.differentiable and self.loss is None and getattr(self.forward, "is_static", False)
        )

    @property
    def n_unknowns(self) -> int:
        """Number of unknowns of one problem."""
        return len(self.bounds)

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
            unknowns, simulate, conditions, self._steps(unknowns), self._is_inside
        )
        return found

    def _steps(self, like: Tensor) -> Tensor:
        """Return the steps of differences, in the units of the unknowns."""
        return self.difference_step * self._box(like)[1]

    def _is_inside(self, unknowns: Tensor) -> Tensor:
        """Return which unknowns lie inside a hard box."""
        if not self.hard_bounds:
            return torch.ones_like(unknowns[:, 0], dtype=torch.bool)
        lower, upper = self._constants.on(unknowns.device, unknowns.dtype)[0].T
        inside = ((unknowns >= lower) & (unknowns <= upper)).all(dim=1)
        if self._polytope is not None:
            are_met = self._polytope.are_met(unknowns.detach().cpu().numpy())
            inside &= torch.as_tensor(are_met, device="cpu").to(inside.device)
        return inside

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
        torch.Tensor of shape (n, n_unknowns, *shape)
            The slopes, NaN where a simulation fails on both sides.
        """

        def simulate(places: Tensor, known: Tensor) -> Tensor:
            return self.predict(places, known, shape)

        with torch.no_grad():
            here = simulate(unknowns, conditions)
            return jacobian_by_differences(
                simulate, unknowns, conditions, here, self._steps(unknowns), self._is_inside
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
            None where nothing is known of them.

        Raises
        ------
        ValueError
            If they do not fit the rows.
        """
        observed, _ = self.split(rows)
        shape = tuple(observed.shape)
        if noise_std is not None:
            if self.noise_covariance is not None:
                raise ValueError(
                    "noise_std must be None for a problem with noise_covariance; got both."
                )
            given = np.asarray(noise_std, dtype=np.float64)
            given = given[:, None] if given.ndim == 1 else given
            if given.shape == (shape[0], int(np.prod(shape[1:]))):
                # Nobody knows the error of what was not measured.
                given = np.where(observed.flatten(1).isnan().cpu().numpy(), 1.0, given)
            flat = (shape[0], int(np.prod(shape[1:])))
            deviations = check_deviations(given, flat, "the observations in X")
        elif self.noise_std is not None:
            deviations = check_deviations(self.noise_std, shape[1:], _OWNER)
            deviations = np.broadcast_to(deviations, shape)
        elif self.noise_covariance is not None:
            covariance = torch.as_tensor(self.noise_covariance, device="cpu").to(rows)
            measured = ~observed.flatten(1).isnan()
            if len(covariance) != measured.shape[1]:
                raise ValueError(
                    f"noise_covariance must have a row for each of the {measured.shape[1]} values "
                    f"observed; got {len(covariance)}."
                )
            return whitening(covariance, measured)
        else:
            return None
        copied = torch.as_tensor(np.array(deviations).reshape(shape), device="cpu")
        return Noise(deviations=copied.to(rows))

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
        torch.Tensor of shape (n, *shape)
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
        values = self.loss(predicted, observed)
        if not isinstance(values, Tensor) or values.shape != (len(observed),):
            raise ValueError(
                f"loss must return a tensor with one value a problem, of shape "
                f"({len(observed)},); got shape {tuple(getattr(values, 'shape', ()))}."
            )
        return values

    def to_unknowns(self, latent: Tensor) -> Tensor:
        """Map unbounded variables, in which solvers search, to unknowns.

        Parameters
        ----------
        latent : torch.Tensor of shape (n, n_unknowns)
            Unbounded variables; zero stands for the middle of the box.

        Returns
        -------
        torch.Tensor of shape (n, n_unknowns)
            Unknowns in their units: middle + half_width tanh(latent), or without the tanh where
            the box is not hard.
        """
        middle, half_width = self._box(latent)
        if not self.hard_bounds:
            return middle + half_width * latent
        # The sum may round to a value just outside.
        bounded = self.from_box(torch.tanh(latent))
        return torch.clamp(bounded, middle - half_width, middle + half_width)

    def to_latent(self, unknowns: Tensor) -> Tensor:
        """Map unknowns to unbounded variables.

        Parameters
        ----------
        unknowns : torch.Tensor of shape (n, n_unknowns)
            Unknowns; on and beyond a side of a hard box they are moved just inside.

        Returns
        -------
        torch.Tensor of shape (n, n_unknowns)
            The variables that `to_unknowns` maps there.
        """
        scaled = self.to_box(unknowns)
        if not self.hard_bounds:
            return scaled
        if self._polytope is not None:
            # Along a constraint the slope turns at once: a search would not come off it.
            is_outside = (scaled.abs() > 1.0).any(dim=1, keepdim=True)
            scaled = torch.where(is_outside, scaled.clamp(-_WELL_INSIDE, _WELL_INSIDE), scaled)
        return torch.atanh(scaled.clamp(_MARGIN - 1.0, 1.0 - _MARGIN))

    def from_box(self, places: Tensor) -> Tensor:
        """Map places in the box to unknowns.

        Constraints shorten the way from the middle of what they leave.

        Parameters
        ----------
        places : torch.Tensor of shape (n, n_unknowns)
            Distances from the middle of the box, in its half-widths.

        Returns
        -------
        torch.Tensor of shape (n, n_unknowns)
            Unknowns in their units.
        """
        middle, half_width = self._box(places)
        if self._polytope is not None:
            places = self._polytope.inward(places)
        return middle + half_width * places

    def to_box(self, unknowns: Tensor) -> Tensor:
        """Map unknowns to places in the box.

        Parameters
        ----------
        unknowns : torch.Tensor of shape (n, n_unknowns)
            Unknowns in their units.

        Returns
        -------
        torch.Tensor of shape (n, n_unknowns)
            The places that `from_box` maps there.
        """
        middle, half_width = self._box(unknowns)
        places = (unknowns - middle) / half_width
        return places if self._polytope is None else self._polytope.outward(places)

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
        return self.to_latent(start.expand(len(rows), -1))

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

    def _box(self, like: Tensor) -> tuple[Tensor, Tensor]:
        lower, upper = self._constants.on(like.device, like.dtype)[0].T
        return (lower + upper) / 2, (upper - lower) / 2

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
