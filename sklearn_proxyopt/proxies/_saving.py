"""Fitted proxies of every kind as arrays and facts, from which they predict to the last bit."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from sklearn_proxyopt.proxies._kernel_proxy import KernelProxyRegressor
from sklearn_proxyopt.proxies._neural import NeuralProxyRegressor
from sklearn_proxyopt.proxies._proxy import ProxyRegressor
from sklearn_proxyopt.proxies._reading import expect
from sklearn_proxyopt.proxies._savable import SavableMixin, taken_apart

__all__ = ["can_be_stored", "kind_of", "put_together", "take_apart"]

Arrays = dict[str, NDArray[Any]]
Facts = dict[str, Any]

_KINDS = {kind._kind: kind for kind in (NeuralProxyRegressor, KernelProxyRegressor, ProxyRegressor)}


def can_be_stored(proxy: Any) -> bool:
    """Return whether arrays and facts say all of a fitted proxy: not with a module of the user."""
    return isinstance(proxy, SavableMixin) and proxy._can_be_stored


def kind_of(facts: Facts) -> Any:
    """Return the class of the proxy that a file tells of."""
    kind = facts.get("kind")
    expect(kind in _KINDS, f"a known kind, not {kind!r}")
    return _KINDS[str(kind)]


def take_apart(proxy: Any) -> tuple[Arrays, Facts]:
    """Return the arrays of a fitted proxy, and the facts that JSON can hold."""
    return taken_apart(proxy)


def put_together(proxy: Any, arrays: Arrays, facts: Facts, n_features: int) -> Any:
    """Make a proxy the one that was taken apart, whatever its own parameters are.

    Parameters
    ----------
    proxy : regressor
        Of the class that `kind_of` tells, not fitted. Its parameters hold for later fits.
    arrays, facts : dict
        What `take_apart` returned, or what a stranger made of it.
    n_features : int
        The number of variables.

    Returns
    -------
    regressor
        The proxy given.

    Raises
    ------
    ValueError
        If they do not fit together, with the reason.
    """
    return proxy._from_file(arrays, facts, n_features)
