"""A fitted neural proxy as plain arrays and facts, from which it predicts to the last bit."""

from __future__ import annotations

from itertools import chain
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.proxies._reading import (
    count,
    count_functions,
    expect,
    expect_array,
    facts_of_basis,
    read_basis,
)

if TYPE_CHECKING:
    from torch import Tensor

    from sklearn_proxyopt.proxies._network import DenseNetworks, Ensemble
    from sklearn_proxyopt.proxies._trend import Trend

__all__ = ["put_together", "take_apart"]

Arrays = dict[str, NDArray[Any]]


def take_apart(proxy: Any) -> tuple[Arrays, dict[str, Any]]:
    """Return the arrays of a fitted proxy, and the facts that JSON can hold."""
    recipe, groups = proxy._recipe, list(proxy.net_.module_.groups)
    arrays: Arrays = {
        "center": proxy._center,
        "half_width": proxy._half_width,
        "scale": _numpy(recipe.scale),
        "coefficients": _numpy(proxy._trend.coefficients),
        "mask": _numpy(groups[0].mask),
    }
    if proxy._trend is not recipe.trend:
        arrays["sharp_coefficients"] = _numpy(recipe.trend.coefficients)
    for index, group in enumerate(groups):
        arrays[f"weights_{index}"] = _numpy(group.weights)
        if group.drawn is not None:
            arrays[f"drawn_{index}"] = _numpy(group.drawn)
    if hasattr(proxy, "member_rows_"):
        arrays["member_rows"] = np.asarray(proxy.member_rows_, dtype=np.int64)
    names = getattr(proxy, "feature_names_in_", None)
    facts = {
        "n_outputs": proxy.n_outputs_,
        "single_output": bool(proxy._single_output),
        "names": None if names is None else [str(name) for name in names],
        **facts_of_basis(recipe.trend.name, recipe.trend.basis),
        "features": recipe.features.kind,
        "spread": float(recipe.features.spread),
        "hidden_layer_sizes": [int(size) for size in groups[0].hidden_layer_sizes],
        "activation": groups[0].activation,
        "n_groups": len(groups),
        "history": [_plain(row) for row in proxy.history_],
        "n_iter": proxy.n_iter_,
    }
    return arrays, facts


def put_together(proxy: Any, arrays: Arrays, facts: dict[str, Any], n_features: int) -> Any:
    """Make a proxy the one that was taken apart, whatever its own parameters are.

    Parameters
    ----------
    proxy : NeuralProxyRegressor
        Not fitted. Its parameters hold for later fits.
    arrays, facts : dict
        What `take_apart` returned, or what a stranger made of it.
    n_features : int
        The number of variables.

    Returns
    -------
    NeuralProxyRegressor
        The proxy given.

    Raises
    ------
    ValueError
        If they do not fit together, with the reason.
    """
    from sklearn_proxyopt.proxies._device import resolve_device
    from sklearn_proxyopt.proxies._net import build_net
    from sklearn_proxyopt.proxies._recipe import Features, Recipe
    from sklearn_proxyopt.proxies._trend import Trend

    names = facts["names"]
    expect(names is None or len(names) == n_features, "a name for each variable")
    n_outputs = count(facts["n_outputs"], "n_outputs")
    for name in ("center", "half_width"):
        expect_array(arrays, name, (n_features,))
    expect(bool((arrays["half_width"] > 0).all()), "half_width above 0")
    ensemble = _ensemble(arrays, facts, n_features, n_outputs)
    members = {1, ensemble.n_members}
    expect_array(arrays, "scale", (members, 1, n_outputs))
    trend = _trend(arrays, "coefficients", facts, n_features, members, n_outputs)
    sharp = trend
    if "sharp_coefficients" in arrays:
        own = _trend(arrays, "sharp_coefficients", facts, n_features, members, n_outputs)
        sharp = Trend(trend.name, trend.basis, own.coefficients)
    dtype = ensemble.groups[0].weights.dtype
    device = str(resolve_device(proxy.device, dtype))
    net = build_net(ensemble, dtype, device, proxy.net)
    net.initialize()
    history = [dict(row) for row in facts["history"]]
    net.history_.extend(history)

    features = Features(facts["features"], float(facts["spread"]))
    proxy.net_, proxy.trained_on_ = net, device
    proxy._recipe = Recipe(sharp, _tensor(arrays["scale"]), features)
    proxy._trend = trend
    proxy._center, proxy._half_width = arrays["center"], arrays["half_width"]
    proxy._single_output = bool(facts["single_output"])
    proxy.n_outputs_, proxy.n_features_in_ = n_outputs, n_features
    proxy.trend_, proxy.features_, proxy.spread_ = trend.name, features.kind, features.spread
    proxy.history_, proxy.n_iter_ = history, int(facts["n_iter"])
    if names is not None:
        proxy.feature_names_in_ = np.array([str(name) for name in names], dtype=object)
    if "member_rows" in arrays:
        proxy.member_rows_ = arrays["member_rows"]
    proxy._place(device)
    return proxy


def _ensemble(arrays: Arrays, facts: dict[str, Any], n_features: int, n_outputs: int) -> Ensemble:
    """Build the networks, none larger than the arrays there are."""
    from sklearn_proxyopt.proxies._network import ACTIVATIONS, DenseNetworks, Ensemble, shapes_of

    sizes = [count(size, "hidden_layer_sizes") for size in facts["hidden_layer_sizes"]]
    activation = facts["activation"]
    expect(activation in ACTIVATIONS, "a known activation")
    expect_array(arrays, "mask", (n_features, None))
    n_waves = arrays["mask"].shape[1]
    groups: list[DenseNetworks] = []
    for index in range(count(facts["n_groups"], "n_groups")):
        drawn = arrays.get(f"drawn_{index}")
        learned = n_waves > 0 and drawn is None
        shapes = shapes_of(n_features, n_outputs, sizes, n_waves, learned)
        n_weights = sum(prod(shape) for shape in shapes)
        expect_array(arrays, f"weights_{index}", (None, n_weights))
        weights = arrays[f"weights_{index}"]
        expect(len(weights) > 0, "members")
        if drawn is not None:
            expect_array(arrays, f"drawn_{index}", (len(weights), n_features + 1, n_waves))
        groups.append(
            DenseNetworks.of_numbers(
                _tensor(weights),
                n_outputs,
                sizes,
                activation,
                _tensor(arrays["mask"]),
                None if drawn is None else _tensor(drawn),
            )
        )
    tensors = chain.from_iterable(group.state_dict().values() for group in groups)
    expect(len({tensor.dtype for tensor in tensors}) == 1, "networks of one type")
    return Ensemble(groups)


def _trend(
    arrays: Arrays,
    name: str,
    facts: dict[str, Any],
    n_features: int,
    members: set[int],
    n_outputs: int,
) -> Trend:
    """Build a trend, whose basis is no larger than its coefficients."""
    from sklearn_proxyopt.proxies._trend import Trend

    n_functions = count_functions(facts, n_features)
    expect_array(arrays, name, (members, n_functions, n_outputs), np.float64)
    basis = read_basis(facts, n_features)
    return Trend(facts["trend"], basis, _tensor(arrays[name]))


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of an epoch, without what skorch notes of its batches."""
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in row.items()
        if isinstance(value, (bool, int, float, np.generic))
    }


def _numpy(tensor: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    return array


def _tensor(array: NDArray[Any]) -> Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(array).copy())
