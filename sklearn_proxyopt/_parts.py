"""The parts that an optimizer is put together from."""

from __future__ import annotations

from typing import Any

__all__ = ["check_parts"]

# What each part owes.
_METHODS = {
    "sampler": ("sample", "select"),
    "proxy": ("fit", "predict"),
    "optimizer": ("minimize",),
    "refiner": ("refine",),
}


def check_parts(estimator: Any) -> None:
    """Raise an error that names the first part that is none, or a parameter that it refuses.

    All parts are asked, wherever they lie inside one another.
    """
    for name, methods in _METHODS.items():
        part = getattr(estimator, name, None)
        if part is None or (name == "refiner" and isinstance(part, str) and part == "auto"):
            continue
        missing = [method for method in methods if not hasattr(part, method)]
        if missing or isinstance(part, type):
            raise ValueError(
                f"{name} must be an instance with the methods {', '.join(methods)}; got {part!r}."
            )
    for part in estimator.get_params(deep=True).values():
        if hasattr(part, "check_parameters") and not isinstance(part, type):
            part.check_parameters()
