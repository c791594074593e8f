"""Problems: functions with known optima to try a proxy on."""

from sklearn_proxyopt.problems._ackley import Ackley
from sklearn_proxyopt.problems._base import Problem, RotatedProblem
from sklearn_proxyopt.problems._gramacy_lee import GramacyLee
from sklearn_proxyopt.problems._rastrigin import Rastrigin
from sklearn_proxyopt.problems._rosenbrock import Rosenbrock

__all__ = ["Ackley", "GramacyLee", "Problem", "Rastrigin", "Rosenbrock", "RotatedProblem"]
