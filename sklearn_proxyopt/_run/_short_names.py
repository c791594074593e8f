"""Components that a short name stands for."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from sklearn_proxyopt.optimizers import (
    DifferentialEvolution,
    GeneticAlgorithm,
    MultiStartBFGS,
    ParticleSwarm,
)
from sklearn_proxyopt.proxies import KernelProxyRegressor, NeuralProxyRegressor
from sklearn_proxyopt.samplers import (
    BaseSampler,
    HaltonSampler,
    LatinHypercubeSampler,
    SobolSampler,
    UniformSampler,
)

__all__ = [
    "OptimizerName",
    "ProxyName",
    "SamplerName",
    "check_short_name",
    "check_short_names",
    "resolved",
    "sampler_of_size",
]

SamplerName: TypeAlias = Literal["halton", "lhs", "sobol", "uniform"]
ProxyName: TypeAlias = Literal["gp", "neural"]
OptimizerName: TypeAlias = Literal["bfgs", "de", "ga", "pso"]

_KINDS: dict[str, dict[str, Any]] = {
    "sampler": {
        "halton": HaltonSampler,
        "lhs": LatinHypercubeSampler,
        "sobol": SobolSampler,
        "uniform": UniformSampler,
    },
    "proxy": {"gp": KernelProxyRegressor, "neural": NeuralProxyRegressor},
    "optimizer": {
        "bfgs": MultiStartBFGS,
        "de": DifferentialEvolution,
        "ga": GeneticAlgorithm,
        "pso": ParticleSwarm,
    },
}


def check_short_names(estimator: Any) -> None:
    """Raise an error that lists the short names of a component if one has an unknown one."""
    for component in _KINDS:
        check_short_name(component, getattr(estimator, component))


def check_short_name(component: str, value: Any) -> None:
    """Raise an error that lists the short names of a component if this is another word."""
    kinds = _KINDS[component]
    if isinstance(value, str) and value not in kinds:
        listed = ", ".join(repr(name) for name in kinds)
        raise ValueError(
            f"{component} must be an instance, None, or one of the names {listed}; got {value!r}."
        )


def resolved(component: str, value: Any) -> Any:
    """Return the component that a short name stands for; any other value as it is."""
    return _KINDS[component][value]() if isinstance(value, str) else value


def sampler_of_size(name: SamplerName, n_samples: int) -> BaseSampler:
    """Return the sampler that a short name stands for, with a number of samples."""
    sampler: BaseSampler = _KINDS["sampler"][name](n_samples)
    return sampler
