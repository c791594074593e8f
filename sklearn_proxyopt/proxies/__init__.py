"""Proxies: surrogate models of an expensive function."""

from sklearn_proxyopt.proxies._kernel_proxy import KernelProxyRegressor
from sklearn_proxyopt.proxies._neural import NeuralProxyRegressor
from sklearn_proxyopt.proxies._proxy import ProxyRegressor

__all__ = ["KernelProxyRegressor", "NeuralProxyRegressor", "ProxyRegressor"]
