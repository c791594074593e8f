"""The problems of one call: their losses, what these spread, and descents on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult
from torch import Tensor

from sklearn_proxyopt.inverse._noise import Noise
from sklearn_proxyopt.inverse._path import PathRecorder
from sklearn_proxyopt.inverse._problem import InverseProblem
from sklearn_proxyopt.optimizers import batched_bfgs
from sklearn_proxyopt.optimizers._bfgs_batch import RUNNING

__all__ = ["ProblemSet", "Step", "Tell", "spread_of"]

# Points of the box, the same for all problems, from which the spread of a loss is taken.
_N_PRIOR = 4
# A loss that differs by less than this share of its size counts as the same everywhere.
_FLAT = 1e-12
# Distances from a side of the box, in its half-widths, at which its mapping hides slopes, and
# slopes in spreads a half-width that count.
_AT_SIDE, _SLOPE = 1e-3, 1e-6


@dataclass(frozen=True)
class Step:
    """How far a fit has come, after a step of it.

    Parameters
    ----------
    phase : {"train", "descend"}
        What it is about.
    n_done, n_all : int
        Steps of a training taken and planned, or descents ended and begun.
    """

    phase: str
    n_done: int
    n_all: int


# Hears of each step, and says whether to stop.
Tell = Callable[[Step], bool]


class ProblemSet:
    """The problems of one call, and the count of what their solution costs.

    Parameters
    ----------
    problem : InverseProblem
        What they have in common.
    rows : Tensor of shape (n_problems, n_columns)
        Rows of X, NaN where nothing was measured.
    noise_std : array-like of shape (n_problems,) or (n_problems, n_observed), default=None
        Standard deviations of the measurements; None takes those of the problem.
    batch_size : int, default=None
        Most problems that are simulated at once; None for all.

    Attributes
    ----------
    noise : Noise or None
        The errors of the measurements, as far as they are known.
    n_forward_calls : int
        Simulations so far, of one problem each; one with its gradient by torch counts once.
    has_gaps : bool
        Whether any point of a problem was not measured.
    recorder : PathRecorder or None
        Who is told where searches stand.
    spread : Tensor of shape (n_problems,)
        How much the loss of each problem differs over the box, in its own units. Losses are
        compared with tolerances in units of it.
    """

    def __init__(
        self,
        problem: InverseProblem,
        rows: Tensor,
        noise_std: Any = None,
        batch_size: int | None = None,
    ) -> None:
        self.problem = problem
        self.rows = rows
        self.batch_size = batch_size
        observed, conditions = problem.split(rows)
        if conditions.isnan().any():
            raise ValueError(
                f"X must hold a number for every condition, in its last {problem.n_conditions} "
                "columns; got NaN."
            )
        self._gaps = observed.flatten(1).isnan()
        empty = self._gaps.all(dim=1).nonzero()[:, 0].tolist()
        if empty:
            raise ValueError(f"X must hold a measured value in each row; row {empty[0]} has none.")
        self.has_gaps = bool(self._gaps.any())
        self.noise = problem.noise_of(rows, noise_std)
        self.start = problem.start_for(rows)
        self.n_forward_calls = 0
        self.recorder: PathRecorder | None = None
        self._surveyed: tuple[Tensor, Tensor] | None = None

    def losses(self, latent: Tensor, index: Tensor | None = None) -> Tensor:
        """Return the losses at unbounded variables, of all problems or of those of an index.

        Without a gradient they are computed in batches.
        """
        with_gradient = latent.requires_grad and torch.is_grad_enabled()
        if not with_gradient and self._is_large(latent):
            return self._losses_in_batches(latent, index)
        n = len(latent)
        self.n_forward_calls += self.calls_for_gradients(n) if with_gradient else n
        rows, noise = self.rows, self.noise
        if index is not None:
            rows, noise = rows[index], None if noise is None else noise.of(index)
        observed, conditions = self.problem.split(rows)
        unknowns = self.problem.to_unknowns(latent)
        predicted = self.problem.predict(unknowns, conditions, observed.shape[1:])
        return self.problem.compare(predicted, observed, noise)

    def _is_large(self, latent: Tensor) -> bool:
        return self.batch_size is not None and len(latent) > self.batch_size

    def _losses_in_batches(self, latent: Tensor, index: Tensor | None) -> Tensor:
        if index is None:
            index = torch.arange(len(latent), device=latent.device)
        parts = zip(self.batches_of(latent), self.batches_of(index), strict=True)
        return torch.cat([self.losses(own, number) for own, number in parts])

    def batches_of(self, values: Tensor) -> tuple[Tensor, ...]:
        """Return values in batches, each of as many problems as are simulated at once."""
        return values.split(self.batch_size or max(len(values), 1))

    def losses_at(self, points: Tensor) -> Tensor:
        """Return the losses (n_points, n_problems) at unbounded variables that all share."""
        n_problems = len(self.rows)
        with torch.no_grad():
            if not self.problem.n_conditions:
                return self._losses_of_one_pool(points)
            return torch.stack([self.losses(point.expand(n_problems, -1)) for point in points])

    def _losses_of_one_pool(self, points: Tensor) -> Tensor:
        """Return the same where one simulation serves all problems."""
        self.n_forward_calls += len(points)
        observed, conditions = self.problem.split(self.rows)
        known = conditions[:1].expand(len(points), -1)
        unknowns = self.problem.to_unknowns(points)
        parts = zip(self.batches_of(unknowns), self.batches_of(known), strict=True)
        predicted = torch.cat([self.problem.predict(*part, observed.shape[1:]) for part in parts])
        return torch.stack(
            [
                self.problem.compare(one.expand_as(observed), observed, self.noise)
                for one in predicted
            ]
        )

    def survey(self, points: Tensor) -> Tensor:
        """Return the losses (n_points, n_problems) at shared points, and keep what they say."""
        losses = self.losses_at(points)
        self._surveyed = (points, losses)
        return losses

    @cached_property
    def spread(self) -> Tensor:
        """How much the loss of each problem differs over the box."""
        if self._surveyed is None or len(self._surveyed[0]) < _N_PRIOR:
            rng = np.random.default_rng(0)
            places = rng.uniform(-1.0, 1.0, (_N_PRIOR, self.problem.n_unknowns))
            points = self.problem.from_box(torch.as_tensor(places, device="cpu").to(self.rows))
            self.survey(self.problem.to_latent(points))
        assert self._surveyed is not None
        return spread_of(self._surveyed[1])

    @property
    def best_known(self) -> Tensor:
        """For each problem the lowest of the points that its spread was taken from."""
        assert self._surveyed is not None
        points, losses = self._surveyed
        return points[torch.nan_to_num(losses, nan=torch.inf).argmin(dim=0)]

    def draw_pairs(self, n_pairs: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Draw synthetic problems and their solutions, which costs a simulation each."""
        self.n_forward_calls += n_pairs
        if self.problem.draw is not None or self.batch_size is None:
            return self.problem.draw_pairs(n_pairs, self.rows, rng)
        sizes = [len(part) for part in self.batches_of(torch.arange(n_pairs, device="cpu"))]
        drawn = [self.problem.draw_pairs(size, self.rows, rng) for size in sizes]
        rows, unknowns = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        return rows, unknowns

    def as_measured(self, rows: Tensor, rng: np.random.Generator) -> tuple[Tensor, Noise | None]:
        """Return synthetic rows with the gaps and errors of the problems, each those of one.

        Errors are added where the package simulates; a `draw` of the user does it by itself. The
        errors of each row are returned too.
        """
        if self.noise is None and not self.has_gaps:
            return rows, None
        index = torch.as_tensor(rng.integers(len(self.rows), size=len(rows)), device="cpu")
        index = index.to(rows.device)
        noise = None if self.noise is None else self.noise.of(index)
        observed, conditions = self.problem.split(rows)
        flat = observed.flatten(1)
        if noise is not None and self.problem.draw is None:
            flat = flat + self._errors(noise, flat, rng)
        flat = torch.where(self._gaps[index], torch.nan, flat)
        return torch.cat([flat, conditions], dim=1), noise

    def _errors(self, noise: Noise, like: Tensor, rng: np.random.Generator) -> Tensor:
        """Draw errors of measurements."""
        white = torch.as_tensor(rng.standard_normal(like.shape), device="cpu").to(like)
        if noise.deviations is not None:
            return white * noise.deviations.flatten(1)
        covariance = torch.as_tensor(self.problem.noise_covariance, device="cpu").to(like)
        return white @ torch.linalg.cholesky(covariance).T

    @property
    def half_width(self) -> Tensor:
        """Half of the width of the box."""
        bounds = torch.as_tensor(self.problem.bounds, device="cpu").to(self.rows)
        return (bounds[:, 1] - bounds[:, 0]) / 2

    def inside(self, unknowns: Tensor) -> Tensor:
        """Return unknowns moved to where a simulation may be: the sides of a hard box."""
        if not self.problem.hard_bounds:
            return unknowns
        return self.problem.from_box(self.problem.to_box(unknowns).clamp(-1.0, 1.0))

    def losses_of(self, unknowns: Tensor, index: Tensor | None = None) -> Tensor:
        """Return the losses at unknowns, without a gradient."""
        if index is None:
            index = torch.arange(len(unknowns), device=unknowns.device)
        parts = zip(self.batches_of(unknowns), self.batches_of(index), strict=True)
        with torch.no_grad():
            return torch.cat([self._losses_of(own, number) for own, number in parts])

    def _losses_of(self, unknowns: Tensor, index: Tensor) -> Tensor:
        self.n_forward_calls += len(unknowns)
        noise = None if self.noise is None else self.noise.of(index)
        observed, conditions = self.problem.split(self.rows[index])
        predicted = self.problem.predict(unknowns, conditions, observed.shape[1:])
        return self.problem.compare(predicted, observed, noise)

    def curvature(self, unknowns: Tensor) -> Tensor:
        """Return the second derivatives of the losses (n, n_unknowns, n_unknowns).

        Those of squares are taken from the slopes of predictions, as Gauss and Newton do; those of
        another loss from differences of its gradients.
        """
        index = torch.arange(len(unknowns), device=unknowns.device)
        parts = zip(self.batches_of(unknowns), self.batches_of(index), strict=True)
        curvature = self._gauss_newton if self.problem.loss is None else self._second_differences
        return torch.cat([curvature(own, number) for own, number in parts])

    def _gauss_newton(self, unknowns: Tensor, index: Tensor) -> Tensor:
        n, n_unknowns = unknowns.shape
        self.n_forward_calls += n * (1 + 2 * n_unknowns)
        observed, conditions = self.problem.split(self.rows[index])
        slopes = self.problem.jacobian(unknowns, conditions, tuple(observed.shape[1:]))
        gaps = observed.isnan()[:, None].expand_as(slopes)
        slopes = torch.where(gaps, 0.0, slopes).flatten(0, 1)
        if self.noise is not None:
            slopes = self.noise.of(index.repeat_interleave(n_unknowns)).in_units(slopes)
        flat = slopes.view(n, n_unknowns, -1)
        return flat @ flat.transpose(1, 2)

    def _second_differences(self, unknowns: Tensor, index: Tensor) -> Tensor:
        steps = torch.diag(self.problem.difference_step * self.half_width)
        rows = []
        for step in steps:
            up, down = (self.inside(unknowns + one) for one in (step, -step))
            change = self._gradient(up, index) - self._gradient(down, index)
            rows.append(change / (up - down).sum(dim=1, keepdim=True))
        hessian = torch.stack(rows, dim=1)
        return (hessian + hessian.transpose(1, 2)) / 2

    def _gradient(self, unknowns: Tensor, index: Tensor) -> Tensor:
        places = unknowns.detach().requires_grad_()
        with torch.enable_grad():
            loss = self._losses_of(places, index)
        self.n_forward_calls += self.calls_for_gradients(len(places)) - len(places)
        return torch.autograd.grad(loss.sum(), places)[0]

    def fall_inside(self, latent: Tensor, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which losses, among some, fall from a side of a hard box towards its inside.

        In unbounded variables they hardly have a slope there, at which a search may end.
        """
        falls = torch.zeros(len(latent), dtype=torch.bool, device=latent.device)
        unknowns = self.problem.to_unknowns(latent.detach())
        places = self.problem.to_box(unknowns)
        at_side = places.abs() > 1.0 - _AT_SIDE
        is_asked = at_side.any(dim=1) & torch.as_tensor(among, device="cpu").to(falls.device)
        if not self.problem.hard_bounds or not is_asked.any():
            return falls.cpu().numpy()
        for index in self.batches_of(is_asked.nonzero()[:, 0]):
            own = places[index].requires_grad_()
            with torch.enable_grad():
                there = self.problem.from_box(own)
            (slopes,) = torch.autograd.grad(there, own, self._gradient(unknowns[index], index))
            outward = own.sign() * slopes / self.spread[index][:, None]
            falls[index] = (at_side[index] & (outward > _SLOPE)).any(dim=1)
        return falls.cpu().numpy()

    def variance_of(self, losses: Tensor) -> tuple[Tensor, NDArray[np.float64] | None]:
        """Return the variance of an error in units of the loss, and its degrees of freedom.

        It is 1, with None, where the loss knows the noise: where that is given, or the loss is the
        user's. Otherwise it is estimated from what a solution leaves.
        """
        if self.noise is not None or self.problem.loss is not None:
            return torch.ones_like(losses), None
        variance = 2.0 * losses / losses.new_tensor(np.maximum(self.freedom, 1.0))
        return variance.clamp_min(torch.finfo(losses.dtype).tiny), self.freedom

    def reduced_chi2(self, losses: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Return squared misfits over degrees of freedom, or None if the errors are not known.

        About 1 for a good fit; NaN for a problem with no more points than unknowns.
        """
        if self.noise is None or self.problem.loss is not None:
            return None
        return 2.0 * losses / np.where(self.freedom > 0, self.freedom, np.nan)

    @property
    def freedom(self) -> NDArray[np.float64]:
        """Degrees of freedom of each problem: points measured, less the unknowns."""
        n_measured = (~self._gaps).sum(dim=1).cpu().numpy()
        return (n_measured - self.problem.n_unknowns).astype(np.float64)

    def calls_for_gradients(self, n: int) -> int:
        """Return how many simulations some gradients take."""
        return n * self.problem.calls_for_gradient

    @property
    def is_static(self) -> bool:
        """Whether a GPU may record a simulation and its loss, of which nobody hears then."""
        return self.problem.is_static and self.recorder is None

    def note_step(self, index: Tensor | None, latent: Tensor, losses: Tensor) -> None:
        """Tell the recorder what a network says of some problems."""
        if self.recorder is not None:
            unknowns = self.problem.to_unknowns(latent)
            self.recorder.note_step(index, unknowns, losses, self.n_forward_calls)

    def note_trials(self, index: Tensor, latent: Tensor, losses: Tensor) -> None:
        """Tell the recorder of points of a descent."""
        if self.recorder is not None:
            unknowns = self.problem.to_unknowns(latent)
            self.recorder.note_trials(index, unknowns, losses, self.n_forward_calls)

    def descend(
        self,
        latent: Tensor,
        tell: Tell | None = None,
        number: Tensor | None = None,
        **options: Any,
    ) -> OptimizeResult:
        """Minimize the losses by BFGS from starts (n, n_unknowns).

        They are starts of the problems of some numbers, for None of all problems in turn.

        Tolerances are in units of the spread of the losses, and so are the values of the result.
        """
        if self.recorder is not None:
            self.recorder.begin_descent()
        if self._is_large(latent):
            return self._descend_in_batches(latent, tell, number, options)
        callback = None if tell is None else _Listener(tell, len(latent))
        return self._descend(latent, callback, number, options)

    def _descend(
        self,
        latent: Tensor,
        callback: _Listener | None,
        number: Tensor | None,
        options: dict[str, Any],
    ) -> OptimizeResult:
        losses = _Losses(self, number)
        n_before = self.n_forward_calls
        result = batched_bfgs(losses, latent, callback=callback, **options)
        # What a GPU has recorded is not counted by the calls from here.
        self.n_forward_calls = n_before + self.calls_for_gradients(int(result.nfev.sum()))
        return result

    def _descend_in_batches(
        self, latent: Tensor, tell: Tell | None, number: Tensor | None, options: dict[str, Any]
    ) -> OptimizeResult:
        if number is None:
            number = torch.arange(len(latent), device=latent.device) % len(self.rows)
        results, n_before = [], 0
        for own, index in zip(self.batches_of(latent), self.batches_of(number), strict=True):
            callback = None if tell is None else _Listener(tell, len(latent), n_before)
            results.append(self._descend(own, callback, index, options))
            n_before += len(own)
        names = ("x", "fun", "nit", "nfev", "status", "success")
        return OptimizeResult(
            {name: np.concatenate([one[name] for one in results]) for name in names}
        )


class _Listener:
    """Hears where the descents of a batch stand, and tells of how many of all have ended.

    Parameters
    ----------
    tell : callable
        Who is told.
    n_all : int
        How many descents there are, in all batches.
    n_before : int, default=0
        How many ended in the batches before.
    """

    def __init__(self, tell: Tell, n_all: int, n_before: int = 0) -> None:
        self._tell, self._n_all, self._n_before = tell, n_all, n_before

    def __call__(self, state: OptimizeResult) -> bool:
        """Tell of the descents that no longer run."""
        n_ended = int((state.status != RUNNING).sum())
        return self._tell(Step("descend", self._n_before + n_ended, self._n_all))


class _Losses:
    """The losses of problems in turn, as a function that says whether it may be recorded."""

    def __init__(self, problems: ProblemSet, number: Tensor | None) -> None:
        self.is_static = problems.is_static
        self._problems, self._spread, self._number = problems, problems.spread, number

    def __call__(self, latent: Tensor, row: Tensor) -> Tensor:
        """Return the losses of some rows of the starts, in units of their spread."""
        index = row % len(self._spread) if self._number is None else self._number[row]
        losses = self._problems.losses(latent, index)
        self._problems.note_trials(index, latent, losses)
        return losses / self._spread[index]


def spread_of(losses: Tensor) -> Tensor:
    """Return how much losses differ from point to point.

    Parameters
    ----------
    losses : Tensor of shape (n_points, n_problems)
        The losses of each problem at some points; those that are not finite say nothing.

    Returns
    -------
    Tensor of shape (n_problems,)
        Standard deviations; the mean size of a loss that is the same everywhere, and 1 for one
        that is zero everywhere or nowhere finite.
    """
    known = torch.isfinite(losses)
    n_known = known.sum(dim=0).clamp_min(1)
    mean = torch.where(known, losses, 0.0).sum(dim=0) / n_known
    deviation = torch.where(known, losses - mean, 0.0)
    spread = (deviation.square().sum(dim=0) / n_known).sqrt()
    spread = torch.where(spread > _FLAT * mean.abs(), spread, mean.abs())
    return torch.where(torch.isfinite(spread) & (spread > 0), spread, 1.0)
