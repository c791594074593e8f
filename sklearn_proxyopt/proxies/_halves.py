"""Proxies that know their moments, refitted on parts of the samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from sklearn_proxyopt._utils._threads import threads_for
from sklearn_proxyopt._utils._torch_modes import plain_torch
from sklearn_proxyopt.proxies._schedule import continued_epochs

if TYPE_CHECKING:
    from torch import nn

__all__ = ["RefittedProxies", "draw_halves", "networks_of_halves", "processes_of_halves"]

_ROWS_PER_BLOCK = 1024
# Members of a stack of networks or processes, which together cost about as much as the first fit.
_N_MEMBERS = 6


def draw_halves(n_rows: int, n_halves: int, seed: int) -> NDArray[np.intp]:
    """Return the samples of each half: two share out all, two more share them out anew."""
    rng, n_half = np.random.default_rng(seed), n_rows // 2
    halves: list[NDArray[np.intp]] = []
    while len(halves) < n_halves:
        order = rng.permutation(n_rows)
        halves += [np.sort(order[:n_half]), np.sort(order[-n_half:])]
    return np.array(halves[:n_halves])


def networks_of_halves(
    proxy: Any, X: NDArray[np.float64], y: NDArray[np.float64], seed: int
) -> Any:
    """Return a network whose members have learned from halves of the samples."""
    from sklearn_proxyopt.proxies._trend import trends_for

    # Half of the samples may not carry the trend that all of them do.
    n_kept = int((1.0 - proxy.validation_fraction) * len(X)) // 2
    trend = proxy.trend_ if proxy.trend_ in trends_for(X.shape[1], n_kept) else "auto"
    stack = clone(proxy).set_params(
        n_members=_N_MEMBERS,
        bootstrap="halves",
        input_noise=float(np.mean(proxy.input_noise)),
        over_prediction_penalty=float(np.mean(proxy.over_prediction_penalty)),
        trend=trend,
        features=proxy.features_,
        spread=proxy.spread_ if proxy.features_ else "auto",
        max_epochs=continued_epochs(proxy.n_iter_),
        warm_start=False,
        callbacks=None,
        verbose=0,
        random_state=seed,
    )
    return stack.fit(X, y)


def processes_of_halves(
    proxy: Any, X: NDArray[np.float64], y: NDArray[np.float64], seed: int
) -> RefittedProxies:
    """Return the processes of a proxy, and its network if it has any, fitted to halves."""
    network = getattr(proxy, "network_", None)
    if network is None:
        return RefittedProxies(proxy, X, y, draw_halves(len(X), _N_MEMBERS, seed), seed)
    networks = networks_of_halves(network, X, y, seed)
    return RefittedProxies(proxy, X, y, networks.member_rows_, seed, networks)


class RefittedProxies:
    """A proxy and its processes, fitted to parts of the samples with the settings of all.

    It costs less than one fit of the proxy. Where a network takes part, the networks of the parts
    are given.

    Parameters
    ----------
    proxy : KernelProxyRegressor or ProxyRegressor
        The fitted proxy.
    X : ndarray of shape (n_samples, n_features)
        The samples it learned from.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Their values.
    parts : ndarray of shape (n_members, n)
        The samples of each part.
    seed : int
        Draws a sample, where they are more than a process learns from.
    networks : NeuralProxyRegressor, default=None
        Has a member for each part; None where no network takes part.

    Attributes
    ----------
    member_rows_ : ndarray of shape (n_members, n)
        The samples of each part.
    """

    def __init__(
        self,
        proxy: Any,
        X: NDArray[np.float64],
        y: NDArray[np.float64],
        parts: NDArray[np.intp],
        seed: int,
        networks: Any = None,
    ) -> None:
        import torch

        from sklearn_proxyopt.proxies._kernel._halves import BlendedMembers, refitted

        self.member_rows_ = parts
        own = getattr(proxy, "kernel_", proxy)
        targets = np.asarray(y, dtype=np.float64).reshape(len(X), -1)
        self._single_output, self._networks = proxy._single_output, networks
        with plain_torch(), torch.no_grad(), threads_for(parts.shape[1]):
            self._kernel = refitted(own._module, X, targets, parts, seed).eval()
        self._module: Any = self._kernel
        if networks is not None:
            self._share = torch.from_numpy(proxy.network_share_).to(self._kernel.center)
            self._module = BlendedMembers(self._kernel, networks.torch_module(), self._share)

    def predict_members(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what each says of samples, (n_members, n) or (n_members, n, n_outputs)."""
        import torch

        center = self._module.center
        rows = torch.tensor(np.asarray(X), dtype=center.dtype, device=center.device)
        with plain_torch(), torch.no_grad(), threads_for(len(X)):
            blocks = [self._module.members(block) for block in rows.split(_ROWS_PER_BLOCK)]
        values: NDArray[np.float64] = torch.cat(blocks, dim=1).cpu().double().numpy()
        return values[:, :, 0] if self._single_output else values

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean of them, (n,) or (n, n_outputs)."""
        mean: NDArray[np.float64] = self.predict_members(X).mean(axis=0)
        return mean

    def torch_module(self, *, member: int | None = None) -> nn.Module:
        """Return one of them, or all, as a module like that of a proxy."""
        module: nn.Module = self._module
        if member is not None:
            module = self._kernel.member(member)
            if self._networks is not None:
                module = self._blended(module, member)
        return module.eval()

    def _blended(self, kernel: Any, member: int) -> nn.Module:
        from sklearn_proxyopt.proxies._kernel._halves import BlendedMembers

        network = self._networks.torch_module(member=member)
        return BlendedMembers(kernel, network, self._share)
