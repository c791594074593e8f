"""The opening shot of billiards, whose parameters are read off the paths of all balls."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_proxyopt._utils._validation import check_integer, check_option
from sklearn_proxyopt.problems.physics._balls import roll
from sklearn_proxyopt.problems.physics._base import ForwardModel

__all__ = ["BilliardBreak"]

_CUE = (0.4, 0.6)
_APEX = (0.6, 0.6)
_ANGLE = (-np.pi / 6, np.pi / 6)
_SPEED = (0.8, 2.0)
_SHIFT = (-0.05, 0.05)
# Unknowns that a choice leaves out have these values.
_FIXED = {"x": 0.0, "y": 0.0, "angle": 0.0, "speed": 1.0, "friction": 0.5, "elasticity": 0.8}
_UNKNOWNS: dict[str, dict[str, tuple[float, float]]] = {
    "angle": {"angle": (-np.pi / 5, np.pi / 5)},
    "angle_speed": {"angle": _ANGLE, "speed": _SPEED},
    "4d": {"x": _SHIFT, "y": _SHIFT, "angle": _ANGLE, "speed": _SPEED},
    "6d": {
        "x": _SHIFT,
        "y": _SHIFT,
        "angle": _ANGLE,
        "speed": _SPEED,
        "friction": (0.4, 0.6),
        "elasticity": (0.7, 0.9),
    },
}


class BilliardBreak(ForwardModel):
    """A cue ball played into a triangle of ten balls, all of whose paths are observed.

    The unknowns are the direction of the shot and, by choice, more of it; each collision after the
    first makes the paths change faster with them. Balls have radius 0.03; lengths and times have
    no unit.

    Parameters
    ----------
    unknowns : {"angle", "angle_speed", "4d", "6d"}, default="angle"
        What is to be found: the direction in radians; direction and speed; also the shift of the
        cue ball in x and y, which comes first; also friction and elasticity, which come last.
    n_frames : int, default=60
        Number of moments, equally spaced, at which the positions are observed.
    max_collisions : int, default=15
        Later collisions are left out.

    References
    ----------
    .. [1] "Optimization Landscapes Learned: Proxy Networks Boost Convergence in Physics-based
       Inverse Problems", :arxiv:`2501.16573`, 2025. The layout is that of its first author's code.

    Examples
    --------
    >>> from sklearn_proxyopt.problems.physics import BilliardBreak
    >>> X, unknowns = BilliardBreak("4d", n_frames=10).sample(3, random_state=0)
    >>> X.shape, unknowns.shape
    ((3, 220), (3, 4))
    """

    def __init__(
        self, unknowns: str = "angle", *, n_frames: int = 60, max_collisions: int = 15
    ) -> None:
        self.unknowns = check_option(unknowns, "unknowns", _UNKNOWNS)
        self.n_frames = check_integer(n_frames, "n_frames", minimum=2)
        self.max_collisions = check_integer(max_collisions, "max_collisions")
        self.radius = 0.03
        self.bounds = np.array(list(_UNKNOWNS[unknowns].values()))
        self.start = self.bounds.mean(axis=1)
        self.observation_shape = (self.n_frames, 11, 2)

    def _simulate(self, unknowns: Tensor, conditions: Tensor) -> Tensor:
        given = dict(zip(_UNKNOWNS[self.unknowns], unknowns.unbind(dim=1), strict=True))
        value = {
            name: given.get(name, unknowns.new_full((len(unknowns),), fixed))
            for name, fixed in _FIXED.items()
        }
        rack = unknowns.new_tensor(self._rack()).expand(len(unknowns), 10, 2)
        cue = torch.stack([_CUE[0] + value["x"], _CUE[1] + value["y"]], dim=1)
        direction = torch.stack([torch.cos(value["angle"]), torch.sin(value["angle"])], dim=1)
        shot = value["speed"][:, None] * direction
        motion = roll(
            torch.cat([cue[:, None], rack], dim=1),
            torch.cat([shot[:, None], torch.zeros_like(rack)], dim=1),
            radius=self.radius,
            elasticity=value["elasticity"],
            friction=value["friction"],
            max_collisions=self.max_collisions,
        )
        # A ball of unit speed has slowed to a tenth by the last frame.
        last = np.log(10.0) / _FIXED["friction"]
        times = torch.linspace(
            0.0, last, self.n_frames, dtype=unknowns.dtype, device=unknowns.device
        )
        return motion.frames(times)

    def _rack(self) -> list[tuple[float, float]]:
        """Return where the ten balls lie, four rows of a triangle with gaps between them."""
        return [
            (
                _APEX[0] + 2.4 * row * self.radius,
                _APEX[1] + 2.4 * place * self.radius - 0.7 * row * self.radius,
            )
            for row in range(4)
            for place in range(row + 1)
        ]

    def _draw(self, n_problems: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
        unknowns = self._draw_unknowns(n_problems, rng)
        return self._predict(unknowns), None, unknowns
