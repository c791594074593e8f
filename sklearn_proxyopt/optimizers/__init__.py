"""Optimizers: search of a cheap, vectorised function."""

from sklearn_proxyopt.optimizers._base import BaseOptimizer
from sklearn_proxyopt.optimizers._batched_bfgs import batched_bfgs
from sklearn_proxyopt.optimizers._differential_evolution import DifferentialEvolution
from sklearn_proxyopt.optimizers._genetic_algorithm import GeneticAlgorithm
from sklearn_proxyopt.optimizers._graduated import GraduatedSearch, Ladder, descend
from sklearn_proxyopt.optimizers._multi_start_bfgs import MultiStartBFGS
from sklearn_proxyopt.optimizers._particle_swarm import ParticleSwarm

__all__ = [
    "BaseOptimizer",
    "DifferentialEvolution",
    "GeneticAlgorithm",
    "GraduatedSearch",
    "Ladder",
    "MultiStartBFGS",
    "ParticleSwarm",
    "batched_bfgs",
    "descend",
]
