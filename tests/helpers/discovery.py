"""What the package offers, found from the `__all__` of its public `__init__` files alone."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from sklearn.base import BaseEstimator

import sklearn_proxyopt

# Settings with which the checks take seconds, or that an estimator cannot be made without.
_SETTINGS: dict[str, dict[str, Any]] = {
    "LandscapeInverse": {"n_pairs": 32, "n_iterations": 5, "input_noise": 0.1, "n_starts": 2},
    "NeuralAdjointInverse": {"n_iterations": 50, "hidden_layer_sizes": (64,)},
    "ReparameterizedInverse": {"n_iterations": 50},
    "SupervisedInverse": {"n_iterations": 50},
}


def public_packages() -> Iterator[ModuleType]:
    """Yield the package and every package inside that has no underscore on its way."""
    yield sklearn_proxyopt
    for found in pkgutil.walk_packages(sklearn_proxyopt.__path__, "sklearn_proxyopt."):
        if found.ispkg and "._" not in found.name:
            yield importlib.import_module(found.name)


def public_classes() -> list[type]:
    """Return the classes that the packages list, each once, abstract ones included."""
    named = (getattr(package, name) for package in public_packages() for name in package.__all__)
    return list(dict.fromkeys(one for one in named if inspect.isclass(one)))


def public_estimators(room: str = "") -> list[Any]:
    """Return an instance of every public estimator, or of those of one package.

    Parameters
    ----------
    room : str, default=""
        The package, such as "samplers".
    """
    return [
        made_of(kind)
        for kind in public_classes()
        if issubclass(kind, BaseEstimator)
        and not inspect.isabstract(kind)
        and kind.__module__.startswith(f"sklearn_proxyopt.{room}")
    ]


def made_of(kind: type) -> Any:
    """Return an instance with settings that the checks can afford."""
    if kind.__name__ == "BestOfInverse":
        from sklearn_proxyopt.inverse import DirectInverse, SupervisedInverse

        return kind([DirectInverse(), SupervisedInverse(n_iterations=50)])
    return kind(**_SETTINGS.get(kind.__name__, {}))


def bases() -> list[type]:
    """Return every class of the package, private ones too, that declares hooks of its own."""
    found: dict[type, None] = {}
    for module in pkgutil.walk_packages(sklearn_proxyopt.__path__, "sklearn_proxyopt."):
        for kind in vars(importlib.import_module(module.name)).values():
            ours = inspect.isclass(kind) and kind.__module__.startswith("sklearn_proxyopt")
            if ours and hooks_of(kind):
                found[kind] = None
    return list(found)


def hooks_of(kind: type) -> list[str]:
    """Name the methods that a class declares for its subclasses to write."""
    return [
        name for name, value in vars(kind).items() if getattr(value, "__isabstractmethod__", False)
    ]
