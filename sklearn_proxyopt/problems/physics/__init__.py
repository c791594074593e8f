"""Physics: differentiable forward models in torch, to recover parameters from measurements."""

from sklearn_proxyopt.problems.physics._base import ForwardModel
from sklearn_proxyopt.problems.physics._billiard_break import BilliardBreak
from sklearn_proxyopt.problems.physics._billiard_shot import BilliardShot
from sklearn_proxyopt.problems.physics._burgers import Burgers
from sklearn_proxyopt.problems.physics._kuramoto_sivashinsky import KuramotoSivashinsky
from sklearn_proxyopt.problems.physics._navier_stokes import NavierStokes
from sklearn_proxyopt.problems.physics._wave_packet import WavePacket

__all__ = [
    "BilliardBreak",
    "BilliardShot",
    "Burgers",
    "ForwardModel",
    "KuramotoSivashinsky",
    "NavierStokes",
    "WavePacket",
]
