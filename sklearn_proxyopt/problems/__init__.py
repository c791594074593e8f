"""Problems: functions with known optima to try a proxy on."""

from sklearn_proxyopt.problems._ackley import Ackley
from sklearn_proxyopt.problems._base import Problem, RotatedProblem
from sklearn_proxyopt.problems._ellipsoid import Ellipsoid
from sklearn_proxyopt.problems._gaussian_pits import GaussianPits
from sklearn_proxyopt.problems._gramacy_lee import GramacyLee
from sklearn_proxyopt.problems._griewank import Griewank
from sklearn_proxyopt.problems._levy import Levy
from sklearn_proxyopt.problems._rastrigin import Rastrigin
from sklearn_proxyopt.problems._rippled_bowl import RippledBowl
from sklearn_proxyopt.problems._rosenbrock import Rosenbrock
from sklearn_proxyopt.problems._styblinski_tang import StyblinskiTang

__all__ = [
    "Ackley",
    "Ellipsoid",
    "GaussianPits",
    "GramacyLee",
    "Griewank",
    "Levy",
    "Problem",
    "Rastrigin",
    "RippledBowl",
    "Rosenbrock",
    "RotatedProblem",
    "StyblinskiTang",
]
