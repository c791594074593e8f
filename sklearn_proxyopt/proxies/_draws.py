"""Where the random numbers of one fit come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sklearn_proxyopt._utils._global_random import BorrowedStream
from sklearn_proxyopt._utils._seeding import torch_generator

__all__ = ["Draws"]


@dataclass(frozen=True)
class Draws:
    """The generators of one fit, from which nobody else draws.

    Parameters
    ----------
    choices : torch.Generator
        Draws on the CPU the samples on which choices are made.
    weights : torch.Generator
        Draws on the CPU what networks start from, so that it does not hang on the number of
        samples.
    steps : torch.Generator
        Draws the batches and their noise, on the device of the training.
    own_modules : BorrowedStream
        Stands in for the global generators where a module of the user draws.
    """

    choices: torch.Generator
    weights: torch.Generator
    steps: torch.Generator
    own_modules: BorrowedStream

    @classmethod
    def of(cls, seed: int, device: torch.device) -> Draws:
        """Seed them all by one number."""
        rng = np.random.default_rng(seed)
        choices, weights = torch_generator(rng), torch_generator(rng)
        return cls(choices, weights, torch_generator(rng, device), BorrowedStream(rng, device))
