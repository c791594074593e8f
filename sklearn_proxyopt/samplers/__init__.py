"""Samplers: initial designs, and the rows of a table that are nearest to one."""

from sklearn_proxyopt.samplers._base import BaseSampler, UnitCubeSampler
from sklearn_proxyopt.samplers._gaussian import GaussianSampler
from sklearn_proxyopt.samplers._grid import GridSampler
from sklearn_proxyopt.samplers._halton import HaltonSampler
from sklearn_proxyopt.samplers._latin_hypercube import LatinHypercubeSampler
from sklearn_proxyopt.samplers._sobol import SobolSampler
from sklearn_proxyopt.samplers._subset import SubsetSampler
from sklearn_proxyopt.samplers._uniform import UniformSampler

__all__ = [
    "BaseSampler",
    "GaussianSampler",
    "GridSampler",
    "HaltonSampler",
    "LatinHypercubeSampler",
    "SobolSampler",
    "SubsetSampler",
    "UniformSampler",
    "UnitCubeSampler",
]
