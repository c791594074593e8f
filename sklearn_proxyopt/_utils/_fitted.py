"""What fitting gives an estimator, handed on to another."""

from __future__ import annotations

from typing import Any

__all__ = ["take_over"]


def take_over(estimator: Any, loaded: Any) -> None:
    """Give an estimator what a fitted one has beside its parameters."""
    params = loaded.get_params(deep=False)
    fitted = {name: value for name, value in vars(loaded).items() if name not in params}
    for name in [name for name in vars(estimator) if name.endswith("_") and name not in fitted]:
        delattr(estimator, name)
    vars(estimator).update(fitted)
