"""How the samples of a fit are shared out: held out, for each member, and for each step."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_array

__all__ = ["batch_sizes", "check_sample_weight", "draw_rows", "hold_out", "plan_steps"]

# With fewer samples none are held out: too few to judge by, and each is needed for training.
_MIN_ROWS_TO_HOLD_OUT = 50
# The automatic number of epochs aims at this many steps of the optimizer.
_N_STEPS = 2000


def check_sample_weight(sample_weight: ArrayLike | None, n_rows: int) -> NDArray[np.float64]:
    """Return one weight a sample."""
    if sample_weight is None:
        return np.ones(n_rows)
    weight = check_array(
        sample_weight, dtype=np.float64, ensure_2d=False, input_name="sample_weight"
    )
    if weight.shape != (n_rows,):
        raise ValueError(
            f"sample_weight must have shape ({n_rows},), a weight a row; got {weight.shape}."
        )
    if (weight < 0).any() or not weight.any():
        raise ValueError("sample_weight must be non-negative and not all zero.")
    return weight


def hold_out(
    n_rows: int, fraction: float, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw the indices of the samples held out and of those kept for training."""
    order = rng.permutation(n_rows)
    n_held_out = round(fraction * n_rows) if n_rows >= _MIN_ROWS_TO_HOLD_OUT else 0
    return order[:n_held_out], np.sort(order[n_held_out:])


def draw_rows(
    kept: NDArray[np.intp], n_members: int, bootstrap: bool | str, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Draw the samples of each member, or of all, of shape (1 or n_members, n_drawn)."""
    if bootstrap == "halves":
        n_half = max(len(kept) // 2, 1)
        orders = [rng.permutation(kept) for _ in range(-(-n_members // 2))]
        halves = [half for one in orders for half in (one[:n_half], one[-n_half:])]
        return np.sort(np.array(halves[:n_members]), axis=1)
    if bootstrap:
        return np.sort(rng.choice(kept, size=(n_members, len(kept))), axis=1)
    return kept[None]


def batch_sizes(n_rows: int, batch_size: int) -> list[int]:
    """Cut samples into batches; a last one of a single sample is joined to the one before.

    A single sample has no spread, without which a batch cannot be normalized.
    """
    n_full, n_last = divmod(n_rows, batch_size)
    sizes = [batch_size] * n_full + [n_last] * bool(n_last)
    return [*sizes[:-2], batch_size + 1] if n_last == 1 and n_full else sizes


def plan_steps(n_rows: int, max_epochs: int | str, batch_size: int | str) -> tuple[int, int]:
    """Settle the number of epochs and the samples of a step."""
    if batch_size == "auto":
        n_batch = n_rows if n_rows <= 128 else int(np.clip(n_rows // 16, 32, 512))
    else:
        n_batch = min(int(batch_size), n_rows)
    if max_epochs != "auto":
        return int(max_epochs), n_batch
    return int(np.clip(-(-_N_STEPS // -(-n_rows // n_batch)), 20, 500)), n_batch
