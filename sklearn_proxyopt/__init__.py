"""Minimize what is expensive through a proxy that learns it."""

from importlib.metadata import PackageNotFoundError, version

from sklearn_proxyopt._utils._global_random import preserved

# scikit-learn's callbacks import rich where it is installed, which draws a random number.
with preserved():
    from sklearn_proxyopt._minimize_model import minimize_model
    from sklearn_proxyopt._pareto_optimizer import ParetoOptimizer
    from sklearn_proxyopt._proxy_optimizer import ProxyOptimizer
    from sklearn_proxyopt.proxies import NeuralProxyRegressor

__all__ = ["NeuralProxyRegressor", "ParetoOptimizer", "ProxyOptimizer", "minimize_model"]

try:
    __version__ = version("sklearn_proxyopt")
except PackageNotFoundError:
    __version__ = "unknown"
