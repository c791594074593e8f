"""A network that predicts the losses of many problems at many parameters, more or less smoothed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_proxyopt._utils._seeding import torch_generator
from sklearn_proxyopt.inverse._landscapes import Landscapes
from sklearn_proxyopt.inverse._networks import RowNetwork, drawn_layer
from sklearn_proxyopt.inverse._problem_set import Step, Tell

__all__ = ["LandscapeNetwork", "train_landscapes"]

# Terms of the product.
N_PRODUCTS = 128
# Length of the frequencies in the features of the parameters, in radians per half-width of the box.
_SLOWEST, _FASTEST = 1.0, 50.0
# Observations and parameters of a step of training.
_ROWS_A_STEP, _PLACES_A_STEP = 128, 256
# Below this share of the mean loss the logarithm levels off.
_FLOOR = 0.03


class LandscapeNetwork(nn.Module):
    """Losses as products of what is seen in observations and what is known of parameters.

    The loss of problem i at parameters p and noise s is the inner product of a branch b(row_i)
    and a trunk t(p, s), as in a DeepONet [1]_: half a squared distance, |P(p)|^2 / 2 - <P(p), y>
    + |y|^2 / 2, is such a product, and so is its mean under noise on p. Many problems are thereby
    computed at many parameters for the cost of each once.

    The trunk sees waves of p whose amplitude is their mean under the noise,
    exp(-(s |w|)^2 / 2) cos(w p + phase), so that a smooth landscape is made of slow waves.

    Parameters
    ----------
    branch : RowNetwork
        Maps rows of X to n_products numbers.
    n_unknowns : int
        Number of parameters.
    hidden_layer_sizes : sequence of int
        Widths of the trunk's hidden layers.
    n_frequencies : int
        Number of waves.
    mean_loss : float
        The mean of the losses that are learned.
    logarithmic : bool
        Whether what is predicted is the logarithm of the loss in units of the mean.
    dtype : torch.dtype
        Type that the trunk computes in.
    generator : torch.Generator
        Draws waves and starting weights, on the CPU.

    References
    ----------
    .. [1] Lu et al., "Learning Nonlinear Operators via DeepONet", Nature Machine Intelligence 3,
       2021, :doi:`10.1038/s42256-021-00302-5`.
    """

    frequencies: Tensor
    phases: Tensor
    mean_loss: Tensor

    def __init__(
        self,
        branch: RowNetwork,
        n_unknowns: int,
        hidden_layer_sizes: Sequence[int],
        n_frequencies: int,
        mean_loss: float,
        logarithmic: bool,
        dtype: torch.dtype,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.branch = branch
        draws: dict[str, Any] = {"generator": generator, "dtype": torch.float32, "device": "cpu"}
        direction = nn.functional.normalize(torch.randn(n_unknowns, n_frequencies, **draws), dim=0)
        length = _SLOWEST * (_FASTEST / _SLOWEST) ** torch.rand(n_frequencies, **draws)
        phases = 2 * torch.pi * torch.rand(n_frequencies, **draws)
        self.register_buffer("frequencies", (length * direction).to(dtype))
        self.register_buffer("phases", phases.to(dtype))
        self.logarithmic = logarithmic
        level = torch.tensor(mean_loss, dtype=torch.float64, device="cpu")
        self.register_buffer("mean_loss", level)
        layers: list[nn.Module] = []
        widths = [n_unknowns + 1 + n_frequencies, *hidden_layer_sizes, N_PRODUCTS]
        for n_in, n_out in pairwise(widths):
            layers += [drawn_layer(nn.Linear, n_in, n_out, generator=generator), nn.SiLU()]
        self.trunk = nn.Sequential(*layers[:-1]).to(dtype)

    def in_double_precision(self) -> LandscapeNetwork:
        """Return itself for a search, which needs more digits than a training."""
        self.branch.dtype, self.branch.stream = torch.float64, None
        return self.double().eval().requires_grad_(False)

    def of_problems(self, rows: Tensor) -> Tensor:
        """Return what is seen in rows (n, n_columns), of shape (n, n_products)."""
        return self.branch(rows).to(self.frequencies.dtype)

    def of_parameters(self, places: Tensor, noise: Tensor) -> Tensor:
        """Return what is known of places (..., n_unknowns) at noises (..., 1), (..., n_products).

        Both are in half-widths of the box.
        """
        places = places.to(self.frequencies.dtype)
        noise = noise.to(places.dtype)
        damping = torch.exp(-0.5 * noise.square() * self.frequencies.square().sum(dim=0))
        waves = 2**0.5 * damping * torch.cos(places @ self.frequencies + self.phases)
        level = torch.log(noise + 1e-2) / 2.0
        return self.trunk(torch.cat([places, level, waves], dim=-1))

    def forward(self, seen: Tensor, known: Tensor) -> Tensor:
        """Return the heights of the landscapes, (n,), of problems at one place each."""
        return (seen * known).mean(dim=-1)

    def heights_of(self, losses: Tensor) -> Tensor:
        """Return what is to be predicted where the losses are these."""
        relative = losses / self.mean_loss
        return torch.log(relative + _FLOOR) if self.logarithmic else relative


def train_landscapes(
    network: LandscapeNetwork,
    data: Landscapes,
    noise: Tensor,
    penalty: float,
    n_iterations: int,
    learning_rate: float,
    rng: np.random.Generator,
    tell: Tell,
) -> NDArray[np.float64]:
    """Train with noise on the parameters, each time at one of the levels.

    Parameters
    ----------
    network : LandscapeNetwork
        Its weights are changed.
    data : Landscapes
        What it learns.
    noise : Tensor of shape (n_levels,)
        Standard deviations of the noise, in half-widths of the box.
    penalty : float
        How many times an error counts where the prediction is too high.
    n_iterations : int
        Steps of Adam.
    learning_rate : float
        Highest rate, after which it falls (one cycle).
    rng : numpy.random.Generator
        Draws the batches and the noise.
    tell : callable
        Called after each step; a true return value ends the training.

    Returns
    -------
    ndarray of shape (n_steps,)
        Loss of each step.
    """
    dtype = network.frequencies.dtype
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=n_iterations + 1, pct_start=0.1
    )
    rows, places = data.rows.to(dtype), data.places.to(dtype)
    heights, noise = network.heights_of(data.losses).to(dtype), noise.to(dtype)
    n_groups, n_rows, n_places = heights.shape
    places_drawn: dict[str, Any] = {"generator": torch_generator(rng), "device": "cpu"}
    noise_drawn: dict[str, Any] = {
        "generator": torch_generator(rng, noise.device),
        "dtype": dtype,
        "device": noise.device,
    }
    history = []
    for _ in range(n_iterations):
        group = torch.randperm(n_groups, **places_drawn)[: max(_ROWS_A_STEP // n_rows, 1)]
        row = torch.randperm(n_rows, **places_drawn)[:_ROWS_A_STEP]
        place = torch.randperm(n_places, **places_drawn)[:_PLACES_A_STEP]
        target = heights[group[:, None, None], row[:, None], place]
        level = torch.randint(len(noise), (len(group), len(place), 1), **places_drawn)
        moved, own_noise = places[group[:, None], place], noise[level]
        moved = moved + own_noise * torch.randn(moved.shape, **noise_drawn)
        seen = network.of_problems(rows[group[:, None], row].flatten(0, 1))
        known = network.of_parameters(moved, own_noise)
        predicted = seen.unflatten(0, (len(group), -1)) @ known.transpose(1, 2) / N_PRODUCTS
        error = predicted - target
        squares = error.square()
        loss = torch.where(error > 0, penalty * squares, squares).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        history.append(loss.detach())
        if tell(Step("train", len(history), n_iterations)):
            break
    return torch.stack(history).cpu().double().numpy()
