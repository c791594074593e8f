"""Metadata, such as sample weights, on its way to the proxy by the rules of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from sklearn_proxyopt._run._learning import proxy_of
from sklearn_proxyopt._run._settings import Settings

__all__ = ["metadata_of_rows", "metadata_router", "routed_to_proxy"]


def metadata_router(optimizer: Settings) -> MetadataRouter:
    """Return what scikit-learn asks a meta-estimator for: who wants which metadata."""
    proxy = proxy_of(optimizer)
    if (optimizer.proxy is None or isinstance(optimizer.proxy, str)) and _is_enabled():
        # A proxy that nobody passed in could not be asked to request anything.
        proxy.set_fit_request(sample_weight=True)
    same = MethodMapping().add(caller="fit", callee="fit").add(caller="predict", callee="predict")
    return (
        MetadataRouter(owner=optimizer)
        .add_self_request(optimizer)
        .add(proxy=proxy, method_mapping=same)
    )


def routed_to_proxy(optimizer: Settings, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata of a call that goes to the proxy: all of it without routing.

    Raises
    ------
    sklearn.exceptions.UnsetMetadataPassedError
        With routing, if the proxy neither requests what was passed nor says that it does not.
    """
    if not params or not _is_enabled():
        return params
    return dict(process_routing(optimizer, method, **params).proxy[method])


def metadata_of_rows(
    params: dict[str, Any], n_rows: int, picked: NDArray[np.intp]
) -> dict[str, Any]:
    """Return metadata for some samples: entries of what has one a sample, the rest as it is."""
    return {
        name: np.asarray(value)[picked] if np.shape(value)[:1] == (n_rows,) else value
        for name, value in params.items()
    }


def _is_enabled() -> bool:
    return bool(get_config()["enable_metadata_routing"])
