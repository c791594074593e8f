"""What networks are given to learn: the remainder of a trend, and Fourier features or none."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from sklearn_proxyopt.proxies._member_rows import MemberRows
from sklearn_proxyopt.proxies._trend import Trend, candidate_trends

__all__ = ["FEATURES", "Features", "Recipe", "TrainingData", "candidate_recipes"]

FEATURES = ("random", "axes")

# Spreads of random frequencies, in radians per half-width of the box: those that a network learns
# without help, those to choose from, and the ridge penalties under which each is judged.
_PLAIN_SPREADS = (1.0, 2.0)
_SPREADS = (4.0, 8.0, 16.0, 32.0)
_PENALTIES = (1e-6, 1e-3, 1e-1)
_MAX_ROWS_FOR_CHOICE = 4000
# Trends are fitted to so many samples at most, which is many more than they have functions.
_MAX_ROWS_TO_FIT = 50_000
_MAX_FEATURES_FOR_CHOICE = 512
_MIN_ROWS_TO_JUDGE = 25
# Features must lower the held-out error of the smoothest ones by this share to be used at all.
_MINIMUM_GAIN = 0.10
# What a trend leaves is taken for rounding below this share of the targets' spread.
_ROUNDING = 1e-9
_ROWS_PER_BLOCK, _ROWS_PER_BLOCK_ON_GPU = 4096, 65_536
# Features along axes are at least so many for each variable.
_MIN_FEATURES_AN_AXIS = 8


@dataclass
class TrainingData:
    """The samples of one fit.

    Parameters
    ----------
    rows : Tensor of shape (n, n_features)
        Samples scaled to [-1, 1].
    targets : Tensor of shape (n, n_outputs)
        Their values in the user's units.
    weight : Tensor of shape (n,)
        Weights with mean one.
    kept : Tensor of shape (1 or n_members, n_kept)
        The samples that each member is trained on, with repetitions where they are drawn with
        replacement.
    held_out : Tensor of shape (n_held_out,)
        The samples to judge by.
    """

    rows: Tensor
    targets: Tensor
    weight: Tensor
    kept: Tensor
    held_out: Tensor

    @cached_property
    def target_scale(self) -> Tensor:
        """Standard deviation of each target; one where it does not vary."""
        spread = self.targets[self.kept[0]].std(dim=0, correction=0)
        return torch.where(spread > 0, spread, 1.0)

    def to(self, device: torch.device) -> TrainingData:
        """Return the samples on a device."""
        tensors = (self.rows, self.targets, self.weight, self.kept, self.held_out)
        return TrainingData(*(tensor.to(device) for tensor in tensors))

    def member_weights(self) -> Tensor:
        """Return how much each sample counts for each member, of shape (1 or n_members, n)."""
        counts = self.weight.new_zeros(len(self.kept), len(self.rows))
        ones = torch.ones_like(self.kept, dtype=counts.dtype)
        return counts.scatter_add_(1, self.kept, ones) * self.weight


@dataclass(frozen=True)
class Features:
    """Fourier features: cosines along random directions, or along the axes.

    Parameters
    ----------
    kind : {"random", "axes"} or None
        Which, or none.
    spread : float
        Standard deviation of their frequencies, in radians per half-width of the box.
    """

    kind: str | None = None
    spread: float = 0.0

    def mask(self, n_inputs: int, n_frequencies: int) -> Tensor:
        """Return which variables each feature varies with, of shape (n_inputs, n_features)."""
        if self.kind is None:
            return torch.ones(n_inputs, 0, dtype=torch.float32, device="cpu")
        if self.kind == "random":
            return torch.ones(n_inputs, n_frequencies, dtype=torch.float32, device="cpu")
        n_each = max(-(-n_frequencies // n_inputs), _MIN_FEATURES_AN_AXIS)
        return torch.eye(n_inputs, dtype=torch.float32, device="cpu").repeat(1, n_each)


@dataclass
class Recipe:
    """A trend, the scale of what it leaves, and the features with which networks learn that.

    Parameters
    ----------
    trend : Trend
        The fitted trend.
    scale : Tensor of shape (1 or n_members, 1, n_outputs)
        Root mean square of the remainder; zero where nothing but rounding is left.
    features : Features
        The features of the networks.
    remainder : Tensor of shape (1 or n_members, n, n_outputs) or None
        What the trend leaves of every sample, scaled to unit size, until it is handed out.
    """

    trend: Trend
    scale: Tensor
    features: Features
    remainder: Tensor | None = field(default=None, repr=False)

    def settle(self) -> Recipe:
        """Put all but the remainder on the CPU, from where a proxy takes them."""
        self.trend, self.scale = self.trend.cpu(), self.scale.cpu()
        return self

    def hand_out(
        self, data: TrainingData, dtype: torch.dtype, device: Any, generator: torch.Generator
    ) -> tuple[MemberRows, MemberRows]:
        """Put the samples for training and those held out on the device, and let go of them.

        The generator, of that device, says in which order the samples are trained on.
        """
        remainder = self.remainder
        if remainder is None:
            remainder = _scaled(_remainder(self.trend, data), self.scale)
        self.remainder = None
        return member_rows(data, remainder, dtype, device, generator)


def member_rows(
    data: TrainingData,
    targets: Tensor,
    dtype: torch.dtype,
    device: Any,
    generator: torch.Generator,
) -> tuple[MemberRows, MemberRows]:
    """Put the samples for training and those held out on the device."""
    rows, targets, weight = (
        tensor.to(device=device, dtype=dtype) for tensor in (data.rows, targets, data.weight)
    )
    training = MemberRows(rows, targets, weight, data.kept.to(device), generator)
    return training, MemberRows(rows, targets, weight, data.held_out[None].to(device))


def candidate_recipes(
    data: TrainingData,
    trend: str,
    kind: str | None,
    spread: str | float,
    generator: torch.Generator,
) -> list[Recipe]:
    """Make the recipes to choose from, the one with the simplest trend first.

    Parameters
    ----------
    data : TrainingData
        The samples.
    trend : str
        A name of a trend, or "auto".
    kind : "auto", "random", "axes" or None
        The features; "auto" chooses them, or none, by held-out error.
    spread : "auto" or float
        Their spread; "auto" chooses it by held-out error.
    generator : torch.Generator
        Draws the samples and features on which choices are made, and of a great many samples those
        to which trends are fitted.

    Returns
    -------
    list of Recipe
        One or two recipes.
    """
    weights = data.member_weights()
    used = weights.sum(dim=0).nonzero()[:, 0]
    if len(used) > _MAX_ROWS_TO_FIT:
        drawn = torch.randperm(len(used), generator=generator, device="cpu")[:_MAX_ROWS_TO_FIT]
        used = used[drawn.to(used.device)]
    rows, targets, weights = data.rows[used], data.targets[used], weights[:, used]
    recipes = []
    for fitted in candidate_trends(trend, rows, targets, weights, generator):
        remainder = _remainder(fitted, data)
        squares = weights[:, :, None] * remainder[:, used].square()
        size = (squares.sum(dim=1) / weights.sum(dim=1)[:, None]).sqrt()[:, None, :]
        scale = torch.where(size > _ROUNDING * data.target_scale, size, 0.0)
        remainder = _scaled(remainder, scale)
        # What is exact already leaves nothing to choose by.
        own_kind = kind if scale.any() or kind != "auto" else None
        features = _choose_features(rows, remainder[0, used], own_kind, spread, generator)
        recipes.append(Recipe(fitted, scale, features, remainder))
    return recipes


def _remainder(trend: Trend, data: TrainingData) -> Tensor:
    # Written into one tensor: small ones kept among large ones would scatter over the heap.
    remainder = data.targets.expand(len(trend.coefficients), -1, -1).clone()
    size = _ROWS_PER_BLOCK if data.rows.device.type == "cpu" else _ROWS_PER_BLOCK_ON_GPU
    for part, rows in zip(remainder.split(size, dim=1), data.rows.split(size), strict=True):
        part -= trend(rows)
    return remainder


def _scaled(remainder: Tensor, scale: Tensor) -> Tensor:
    return torch.where(scale > 0, remainder / scale, 0.0)


def _choose_features(
    x: Tensor, y: Tensor, kind: str | None, spread: str | float, generator: torch.Generator
) -> Features:
    """Choose features by the held-out error of a ridge regression on them.

    Left to itself it chooses none where none lower the error enough.
    """
    if kind is None:
        return Features()
    if kind != "auto" and spread != "auto":
        return Features(kind, float(spread))
    device = x.device
    rows = torch.randperm(len(x), generator=generator, device="cpu")[:_MAX_ROWS_FOR_CHOICE]
    rows = rows.to(device)
    x, y = x[rows].float(), y[rows].float()
    n_held_out = len(rows) // 4
    if n_held_out < _MIN_ROWS_TO_JUDGE:
        return Features() if kind == "auto" else Features(kind, _SPREADS[0])
    held_out, kept = slice(None, n_held_out), slice(n_held_out, None)
    n_features = min((len(rows) - n_held_out) // 2, _MAX_FEATURES_FOR_CHOICE)
    draws: dict[str, Any] = {"generator": generator, "dtype": x.dtype, "device": "cpu"}
    directions = torch.randn(x.shape[1], n_features, **draws)
    phases = 2 * torch.pi * torch.rand(n_features, **draws)
    directions, phases = directions.to(device), phases.to(device)
    identity = torch.eye(n_features, dtype=x.dtype, device=device)

    def held_out_error(candidate: Features) -> float:
        frequencies = candidate.spread * directions
        if candidate.kind == "axes":
            mask = candidate.mask(x.shape[1], n_features)[:, :n_features]
            frequencies = frequencies * mask.to(device)
        features = torch.cos(x @ frequencies + phases)
        gram = features[kept].T @ features[kept]
        moment = features[kept].T @ y[kept]
        errors = []
        for penalty in _PENALTIES:
            damped = gram + penalty * gram.diagonal().mean() * identity
            weights = torch.linalg.solve(damped, moment)
            errors.append(float((y[held_out] - features[held_out] @ weights).square().mean()))
        return min(errors)

    kinds = FEATURES if kind == "auto" else (kind,)
    spreads = _SPREADS if spread == "auto" else (float(spread),)
    candidates = [Features(one, size) for one in kinds for size in spreads]
    errors = [held_out_error(candidate) for candidate in candidates]
    lowest = min(errors)
    if kind == "auto":
        smooth = [held_out_error(Features("random", size)) for size in _PLAIN_SPREADS]
        plain = min(float(y[held_out].square().mean()), *smooth)
        if lowest >= (1.0 - _MINIMUM_GAIN) ** 2 * plain:
            return Features()
    return candidates[errors.index(lowest)]
