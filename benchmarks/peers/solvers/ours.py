"""This package, with its defaults."""

from __future__ import annotations

import inspect
import warnings

from peers.meter import Meter

__all__ = ["proxy_optimizer", "why_not"]


def why_not() -> str | None:
    """Return why `proxy_optimizer` cannot run, None if it can."""
    from sklearn_proxyopt import ProxyOptimizer

    if "budget" not in inspect.signature(ProxyOptimizer.minimize).parameters:
        return "ProxyOptimizer.minimize has no parameter budget"
    return None


def proxy_optimizer(fun: Meter, dim: int, budget: int, seed: int) -> None:
    """Run `ProxyOptimizer.minimize` with a budget; it is told of failures as such."""
    from sklearn_proxyopt import ProxyOptimizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ProxyOptimizer(on_error="learn", random_state=seed).minimize(
            fun.evaluate, [(0.0, 1.0)] * dim, budget=budget
        )
