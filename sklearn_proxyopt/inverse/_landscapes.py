"""The losses of synthetic problems at parameters all over the box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sklearn_proxyopt.inverse._noise import Noise
from sklearn_proxyopt.inverse._problem import InverseProblem

__all__ = ["Landscapes", "draw_landscapes"]

# Observations that share the parameters at which their losses are known, and values compared at
# once.
_GROUP = 32
_VALUES_AT_ONCE = 2_000_000


@dataclass
class Landscapes:
    """The losses of synthetic problems at parameters drawn from the box, in groups.

    Attributes
    ----------
    rows : Tensor of shape (n_groups, n_rows, n_columns)
        The problems.
    places : Tensor of shape (n_groups, n_places, n_unknowns)
        Where losses are known, in half-widths of the box from its middle.
    losses : Tensor of shape (n_groups, n_rows, n_places)
        The losses; where a simulation failed, the highest that its problem has elsewhere.
    n_simulations : int
        What they cost.
    """

    rows: Tensor
    places: Tensor
    losses: Tensor
    n_simulations: int


def draw_landscapes(
    problem: InverseProblem,
    synthetic: Tensor,
    n_places: int,
    rng: np.random.Generator,
    noise: Noise | None = None,
) -> Landscapes:
    """Simulate synthetic problems at parameters drawn uniformly from the box.

    Without conditions one pool of simulations serves all problems. With them each problem needs
    its own, at parameters that a group of problems shares; problems that fill no group are left
    out.

    Parameters
    ----------
    problem : InverseProblem
        What the problems have in common.
    synthetic : Tensor of shape (n, n_columns)
        The problems, rows of X.
    n_places : int
        Number of simulations: of the pool, or of each problem.
    rng : numpy.random.Generator
        Draws the parameters.
    noise : Noise, default=None
        The errors of the problems.

    Returns
    -------
    Landscapes
        The losses.

    Raises
    ------
    ValueError
        If every simulation fails.
    """
    size = min(_GROUP, len(synthetic)) if problem.n_conditions else len(synthetic)
    n_groups = len(synthetic) // size
    kept = slice(None, n_groups * size)
    rows = synthetic[kept].reshape(n_groups, size, -1)
    drawn = rng.uniform(-1.0, 1.0, (n_groups, n_places, problem.n_unknowns))
    places = torch.as_tensor(drawn, device="cpu").to(synthetic)
    index = torch.arange(n_groups * size, device=rows.device).view(n_groups, size)
    groups = zip(rows, places, index, strict=True)
    losses = torch.stack(
        [
            _losses(problem, own, at, None if noise is None else noise.of(number))
            for own, at, number in groups
        ]
    )
    finite = torch.isfinite(losses)
    if not finite.any():
        raise ValueError("problem must have finite losses somewhere in the box; got none.")
    highest = torch.where(finite, losses, 0.0).amax(dim=2, keepdim=True)
    losses = torch.where(finite, losses, highest)
    n_simulations = n_places * (n_groups * size if problem.n_conditions else 1)
    return Landscapes(rows, places, losses, n_simulations)


def _losses(problem: InverseProblem, rows: Tensor, places: Tensor, noise: Noise | None) -> Tensor:
    """Return the losses of each row at each place, (n_rows, n_places)."""
    observed, conditions = problem.split(rows)
    parameters = problem.from_box(places)
    n_rows, n_places = len(rows), len(places)
    is_plain = problem.loss is None and noise is None and not observed.isnan().any()
    with torch.no_grad():
        if not problem.n_conditions:
            predicted = problem.predict(parameters, parameters[:, :0], observed.shape[1:])
            if is_plain:
                return 0.5 * torch.cdist(observed.flatten(1), predicted.flatten(1)).square()
            predicted = predicted.expand(n_rows, *predicted.shape)
        else:
            known = conditions.repeat_interleave(n_places, dim=0)
            repeated = parameters.repeat(n_rows, 1)
            predicted = problem.predict(repeated, known, observed.shape[1:])
            predicted = predicted.unflatten(0, (n_rows, n_places))
        n_at_once = max(_VALUES_AT_ONCE // predicted[0].numel(), 1)
        numbers = torch.arange(n_rows, device=rows.device).split(n_at_once)
        blocks = []
        for own in numbers:
            repeated = own.repeat_interleave(n_places)
            errors = None if noise is None else noise.of(repeated)
            losses = problem.compare(predicted[own].flatten(0, 1), observed[repeated], errors)
            blocks.append(losses.unflatten(0, (len(own), n_places)))
    return torch.cat(blocks)
