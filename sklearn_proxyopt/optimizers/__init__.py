"""Optimizers: search of a cheap, vectorized function."""

from sklearn_proxyopt.optimizers._base import BaseOptimizer
from sklearn_proxyopt.optimizers._batched_bfgs import batched_bfgs
from sklearn_proxyopt.optimizers._differential_evolution import DifferentialEvolution
from sklearn_proxyopt.optimizers._genetic_algorithm import GeneticAlgorithm
from sklearn_proxyopt.optimizers._graduated import GraduatedSearch, Ladder, descend
from sklearn_proxyopt.optimizers._multi_start_bfgs import MultiStartBFGS
from sklearn_proxyopt.optimizers._nsga2 import NSGA2
from sklearn_proxyopt.optimizers._pareto import hypervolume, nondominated
from sklearn_proxyopt.optimizers._particle_swarm import ParticleSwarm

__all__ = [
    "NSGA2",
    "BaseOptimizer",
    "DifferentialEvolution",
    "GeneticAlgorithm",
    "GraduatedSearch",
    "Ladder",
    "MultiStartBFGS",
    "ParticleSwarm",
    "batched_bfgs",
    "descend",
    "hypervolume",
    "nondominated",
]
