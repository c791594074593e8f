"""Inverse problems: the parameters behind many measurements of one simulator, found together."""

from sklearn_proxyopt.inverse._base import BaseInverse
from sklearn_proxyopt.inverse._best_of import BestOfInverse
from sklearn_proxyopt.inverse._diagnosis import InverseDiagnosis
from sklearn_proxyopt.inverse._direct import DirectInverse
from sklearn_proxyopt.inverse._landscape import LandscapeInverse
from sklearn_proxyopt.inverse._minimize_many import minimize_many
from sklearn_proxyopt.inverse._networks import ConvNet, DenseNet
from sklearn_proxyopt.inverse._neural_adjoint import NeuralAdjointInverse
from sklearn_proxyopt.inverse._path import SearchPath
from sklearn_proxyopt.inverse._problem import InverseProblem
from sklearn_proxyopt.inverse._reparameterized import ReparameterizedInverse
from sklearn_proxyopt.inverse._supervised import SupervisedInverse

__all__ = [
    "BaseInverse",
    "BestOfInverse",
    "ConvNet",
    "DenseNet",
    "DirectInverse",
    "InverseDiagnosis",
    "InverseProblem",
    "LandscapeInverse",
    "NeuralAdjointInverse",
    "ReparameterizedInverse",
    "SearchPath",
    "SupervisedInverse",
    "minimize_many",
]
