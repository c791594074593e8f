"""How long a network trains that has not to begin from nothing."""

from __future__ import annotations

__all__ = ["continued_epochs"]

_SHARE_OF_EPOCHS = 1 / 3
_MIN_EPOCHS = 20


def continued_epochs(n_epochs: int) -> int:
    """Return the epochs of a network like one that trained for `n_epochs`, warm or on less data."""
    return max(round(_SHARE_OF_EPOCHS * n_epochs), _MIN_EPOCHS)
