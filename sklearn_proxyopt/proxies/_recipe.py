"""What a network is given to learn: the remainder of a trend, and Fourier features or none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from sklearn_proxyopt.proxies._trend import Trend, candidate_trends

__all__ = ["Recipe", "TrainingData", "candidate_recipes"]

# Spreads of random frequencies, in radians per half-width of the box: those that a network learns
# without help, those to choose from, and the ridge penalties under which each is judged.
_PLAIN_SPREADS = (1.0, 2.0)
_SPREADS = (4.0, 8.0, 16.0, 32.0)
_PENALTIES = (1e-6, 1e-3, 1e-1)
_MAX_ROWS_FOR_CHOICE = 4000
_MAX_FEATURES_FOR_CHOICE = 512
_MIN_ROWS_TO_JUDGE = 25
# Features must lower the held-out error of the smoothest ones by this share to be used at all.
_MINIMUM_GAIN = 0.10
# What a trend leaves is taken for rounding below this share of the targets' spread.
_ROUNDING = 1e-9
_ROWS_PER_BLOCK = 4096


@dataclass
class TrainingData:
    """The rows of one fit.

    Parameters
    ----------
    rows : Tensor of shape (n, n_features)
        Rows scaled to [-1, 1].
    targets : Tensor of shape (n, n_outputs)
        Their values in the user's units.
    weight : Tensor of shape (n,)
        Weights with mean one.
    kept, held_out : Tensor of int
        Indices of the rows for training and of those to judge by.
    """

    rows: Tensor
    targets: Tensor
    weight: Tensor
    kept: Tensor
    held_out: Tensor

    @cached_property
    def target_scale(self) -> Tensor:
        """Standard deviation of each target; one where it does not vary."""
        spread = self.targets[self.kept].std(dim=0, correction=0)
        return torch.where(spread > 0, spread, 1.0)


@dataclass
class Recipe:
    """A trend, the scale of what it leaves, and the features with which the network learns that.

    Parameters
    ----------
    trend : Trend
        The fitted trend.
    scale : Tensor of shape (n_outputs,)
        Root mean square of the remainder; zero where nothing but rounding is left.
    spread : float
        Spread of the Fourier features; 0.0 for none.
    """

    trend: Trend
    scale: Tensor
    spread: float = 0.0

    def remainder(self, data: TrainingData) -> Tensor:
        """Return what the trend leaves of every row, scaled to unit size."""
        blocks = [self.trend(block) for block in data.rows.split(_ROWS_PER_BLOCK)]
        return _scaled(data.targets - torch.cat(blocks), self.scale)

    def datasets(
        self, data: TrainingData, dtype: torch.dtype, device: Any
    ) -> tuple[TensorDataset, TensorDataset]:
        """Put the rows for training and those held out on the device as (X, y, weight)."""
        tensors = (data.rows, self.remainder(data), data.weight)
        training, held_out = (
            TensorDataset(*(tensor[index].to(device=device, dtype=dtype) for tensor in tensors))
            for index in (data.kept, data.held_out)
        )
        return training, held_out


def candidate_recipes(
    data: TrainingData, trend: str, features: str | float | None, generator: torch.Generator
) -> list[Recipe]:
    """Make the recipes to choose from, the one with the simplest trend first.

    Parameters
    ----------
    data : TrainingData
        The rows.
    trend : str
        A name of a trend, or "auto".
    features : "auto", float or None
        The spread of the Fourier features, "auto" to choose it by held-out error, or None.
    generator : torch.Generator
        Draws the rows and features on which choices are made.

    Returns
    -------
    list of Recipe
        One or two recipes.
    """
    rows, weight = data.rows[data.kept], data.weight[data.kept]
    targets = data.targets[data.kept]
    recipes = []
    for fitted in candidate_trends(trend, rows, targets, weight, generator):
        blocks = [fitted(block) for block in rows.split(_ROWS_PER_BLOCK)]
        remainder = targets - torch.cat(blocks)
        size = (weight[:, None] * remainder.square()).mean(dim=0).sqrt()
        scale = torch.where(size > _ROUNDING * data.target_scale, size, 0.0)
        spread = 0.0
        if features == "auto":
            spread = _choose_spread(rows, _scaled(remainder, scale), generator)
        elif features is not None:
            spread = float(features)
        recipes.append(Recipe(fitted, scale, spread))
    return recipes


def _scaled(remainder: Tensor, scale: Tensor) -> Tensor:
    return torch.where(scale > 0, remainder / scale, 0.0)


def _choose_spread(x: Tensor, y: Tensor, generator: torch.Generator) -> float:
    """Choose the spread of Fourier features by the held-out error of a ridge regression on them.

    Returns 0.0 where no features lower the error enough.
    """
    rows = torch.randperm(len(x), generator=generator)[:_MAX_ROWS_FOR_CHOICE]
    x, y = x[rows].float(), y[rows].float()
    rows = torch.arange(len(x))
    n_held_out = len(rows) // 4
    if n_held_out < _MIN_ROWS_TO_JUDGE:
        return 0.0
    held_out, kept = rows[:n_held_out], rows[n_held_out:]
    n_features = min(len(kept) // 2, _MAX_FEATURES_FOR_CHOICE)
    directions = torch.randn(x.shape[1], n_features, generator=generator, dtype=x.dtype)
    phases = 2 * torch.pi * torch.rand(n_features, generator=generator, dtype=x.dtype)
    identity = torch.eye(n_features, dtype=x.dtype)

    def held_out_error(spread: float) -> float:
        features = torch.cos(x @ (spread * directions) + phases)
        gram = features[kept].T @ features[kept]
        moment = features[kept].T @ y[kept]
        errors = []
        for penalty in _PENALTIES:
            damped = gram + penalty * gram.diagonal().mean() * identity
            weights = torch.linalg.solve(damped, moment)
            errors.append(float((y[held_out] - features[held_out] @ weights).square().mean()))
        return min(errors)

    plain = min(float(y[held_out].square().mean()), *map(held_out_error, _PLAIN_SPREADS))
    errors = {spread: held_out_error(spread) for spread in _SPREADS}
    best = min(errors, key=errors.__getitem__)
    return best if errors[best] < (1.0 - _MINIMUM_GAIN) ** 2 * plain else 0.0
