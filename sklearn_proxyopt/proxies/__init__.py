"""Proxies: regressors that stand in for an expensive function."""

from sklearn_proxyopt.proxies._kernel_proxy import KernelProxyRegressor
from sklearn_proxyopt.proxies._neural import NeuralProxyRegressor

__all__ = ["KernelProxyRegressor", "NeuralProxyRegressor"]
