"""Seeds and generators for the parts of an estimator that have none of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

if TYPE_CHECKING:
    from torch import Generator

__all__ = ["seed_argument", "seeded", "torch_generator"]


def seeded(estimator: Any, seed: int) -> Any:
    """Return a clone in which every random_state that was None has a seed."""
    estimator = clone(estimator)
    rng = np.random.default_rng(seed)
    params = estimator.get_params(deep=True)
    names = sorted(
        name for name in params if name == "random_state" or name.endswith("__random_state")
    )
    seeds = {name: int(rng.integers(2**31 - 1)) for name in names}
    missing = {name: seeds[name] for name in names if params[name] is None}
    if missing:
        estimator.set_params(**missing)
    return estimator


def seed_argument(optimizer: Any, seed: int) -> dict[str, int]:
    """Return the seed as an argument of a search; none where the optimizer has one of its own."""
    return {} if "random_state" in optimizer.get_params(deep=False) else {"random_state": seed}


def torch_generator(rng: np.random.Generator, device: Any = "cpu") -> Generator:
    """Return a generator of torch that nobody else draws from, seeded by one of NumPy."""
    import torch

    return torch.Generator(device).manual_seed(int(rng.integers(2**63)))
