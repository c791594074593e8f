"""Fitted proxies of every kind as arrays and facts, from which they predict to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.proxies import _stored as neural
from sklearn_proxyopt.proxies._kernel_proxy import KernelProxyRegressor
from sklearn_proxyopt.proxies._neural import NeuralProxyRegressor
from sklearn_proxyopt.proxies._proxy import ProxyRegressor
from sklearn_proxyopt.proxies._reading import expect, expect_array

__all__ = ["can_be_stored", "kind_of", "put_together", "take_apart"]

Arrays = dict[str, NDArray[Any]]
Facts = dict[str, Any]

_KINDS = {
    "neural": NeuralProxyRegressor,
    "kernel": KernelProxyRegressor,
    "proxy": ProxyRegressor,
}


def can_be_stored(proxy: Any) -> bool:
    """Return whether arrays and facts say all of a fitted proxy: not with a module of the user."""
    if isinstance(proxy, ProxyRegressor):
        return proxy.network_ is None or neural.can_be_stored(proxy.network_)
    return isinstance(proxy, KernelProxyRegressor) or neural.can_be_stored(proxy)


def kind_of(facts: Facts) -> Any:
    """Return the class of the proxy that a file tells of."""
    kind = facts.get("kind")
    expect(kind in _KINDS, f"a known kind, not {kind!r}")
    return _KINDS[str(kind)]


def take_apart(proxy: Any) -> tuple[Arrays, Facts]:
    """Return the arrays of a fitted proxy, and the facts that JSON can hold."""
    if isinstance(proxy, NeuralProxyRegressor):
        arrays, facts = neural.take_apart(proxy)
        return arrays, {"kind": "neural", **facts}
    if isinstance(proxy, KernelProxyRegressor):
        arrays, facts = proxy._to_file()
        return arrays, {"kind": "kernel", **facts}
    arrays, facts = take_apart(proxy.kernel_)
    names = getattr(proxy, "feature_names_in_", None)
    facts = {
        "kind": "proxy",
        "kernel": facts,
        "names": None if names is None else [str(name) for name in names],
    }
    arrays["network_share"] = proxy.network_share_
    if proxy.network_ is not None:
        own, facts["network"] = neural.take_apart(proxy.network_)
        blend = proxy._module.blend
        arrays |= own | {"ratio": blend.ratio, "calibration": blend.calibration}
    return arrays, facts


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
    if isinstance(proxy, NeuralProxyRegressor):
        return neural.put_together(proxy, arrays, facts, n_features)
    if isinstance(proxy, KernelProxyRegressor):
        return proxy._from_file(arrays, facts, n_features)
    kernel, network = proxy._parts([0, 0])
    kernel = kernel._from_file(arrays, facts["kernel"], n_features)
    n_outputs = kernel.n_outputs_
    expect_array(arrays, "network_share", (n_outputs,), np.float64)
    proxy._take(kernel, arrays["network_share"])
    names = facts["names"]
    if names is not None:
        expect(len(names) == n_features, "a name for each variable")
        proxy.feature_names_in_ = np.array([str(name) for name in names], dtype=object)
    expect(proxy.network_share_.any() == ("network" in facts), "a network where one counts")
    if "network" in facts:
        network = neural.put_together(network, arrays, facts["network"], n_features)
        expect(network.n_outputs_ == n_outputs, f"a network of {n_outputs} outputs")
        for name in ("ratio", "calibration"):
            expect_array(arrays, name, (n_outputs,), np.float64)
        proxy._join(network, arrays["ratio"], arrays["calibration"])
    return proxy
