"""What the package offers, found from the `__all__` of its public modules alone."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from sklearn.base import BaseEstimator

import sklearn_proxyopt
from sklearn_proxyopt import NeuralProxyRegressor
from sklearn_proxyopt.inverse import DirectInverse, SupervisedInverse
from sklearn_proxyopt.optimizers import NSGA2

# Settings with which the checks take seconds, or that an estimator cannot be made without.
_FEW = {"n_iterations": 20, "random_state": 0}
_SETTINGS: dict[str, dict[str, Any]] = {
    "BestOfInverse": {"solvers": [DirectInverse(), SupervisedInverse(**_FEW)]},
    "LandscapeInverse": {"n_pairs": 32, "n_iterations": 5, "input_noise": 0.1, "n_starts": 2},
    "NeuralAdjointInverse": {**_FEW, "hidden_layer_sizes": (64,)},
    "ParetoOptimizer": {
        "proxy": NeuralProxyRegressor(max_epochs=30),
        "optimizer": NSGA2(12, 10),
        "random_state": 0,
    },
    "ReparameterizedInverse": _FEW,
    "SupervisedInverse": _FEW,
}


def public_modules() -> Iterator[ModuleType]:
    """Yield the package and every module inside that has no underscore on its way."""
    yield sklearn_proxyopt
    for found in pkgutil.walk_packages(sklearn_proxyopt.__path__, "sklearn_proxyopt."):
        if "._" not in found.name:
            yield importlib.import_module(found.name)


def public_classes(room: str = "") -> list[type]:
    """Return the classes that all modules list, or one of them, each once, also abstract ones."""
    named = (
        getattr(module, name)
        for module in public_modules()
        if room in ("", module.__name__.removeprefix("sklearn_proxyopt."))
        for name in module.__all__
    )
    return list(dict.fromkeys(one for one in named if inspect.isclass(one)))


def public_estimators(room: str = "") -> list[Any]:
    """Return an instance of every public estimator, or of those of one room, such as "samplers"."""
    return [
        kind(**_SETTINGS.get(kind.__name__, {}))
        for kind in public_classes(room)
        if issubclass(kind, BaseEstimator) and not inspect.isabstract(kind)
    ]


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
