"""A bowl with ripples whose troughs do not know where its bottom is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._validation import as_generator, check_integer, check_real
from sklearn_proxyopt.problems._base import Problem, read_only

__all__ = ["RippledBowl"]

_N_GRID = 20_001
_N_NEWTON_STEPS = 30


class RippledBowl(Problem):
    """A bowl with ripples whose troughs do not know where its bottom is.

    The sum over i of (x_i - c_i)^2 + h (1 - cos(w (x_i - p_i))) on [-5, 5]^d, where w makes
    `n_ripples` ripples along an axis. In textbook functions the deepest trough lies at the bottom
    of the bowl, where a proxy that sees no ripple looks for it by luck; here bottom c and phase p
    are drawn apart.

    Parameters
    ----------
    n_dims : int, default=2
        Number of variables.
    height : float, default=1.0
        The number h, half the height of a ripple.
    n_ripples : float, default=8.0
        Ripples along an axis.
    random_state : int, RandomState or Generator, default=0
        Draws the bottom, within the central 40 % of the box, and the phase.

    Attributes
    ----------
    bounds : ndarray of shape (n_dims, 2)
        The box.
    x_opt : ndarray of shape (1, n_dims)
        The global minimum, found along each axis by itself.
    f_opt : float
        The value there.

    Examples
    --------
    >>> from sklearn_proxyopt.problems import RippledBowl
    >>> problem = RippledBowl(n_dims=3, height=0.5, random_state=1)
    >>> bool(problem(problem.x_opt)[0] == problem.f_opt)
    True
    """

    half_width = 5.0

    def __init__(
        self,
        n_dims: int = 2,
        height: float = 1.0,
        n_ripples: float = 8.0,
        random_state: Any = 0,
    ) -> None:
        self.n_dims = check_integer(n_dims, "n_dims")
        self.height = check_real(height, "height", minimum=0.0)
        self.n_ripples = check_real(n_ripples, "n_ripples", minimum=0.0)
        self.random_state = random_state
        rng, half_width = as_generator(random_state), self.half_width
        self.frequency = 2.0 * np.pi * self.n_ripples / (2.0 * half_width)
        self.bottom = read_only(0.4 * half_width * rng.uniform(-1.0, 1.0, self.n_dims))
        self.phase = read_only(half_width * rng.uniform(-1.0, 1.0, self.n_dims))
        self.bounds = read_only(np.tile([-half_width, half_width], (self.n_dims, 1)))
        self.x_opt = read_only(self._lowest()[None])
        self.f_opt = float(self(self.x_opt)[0])

    def _lowest(self) -> NDArray[np.float64]:
        """Find the minimum along each axis: on a grid, then by Newton's method."""
        grid = np.linspace(-self.half_width, self.half_width, _N_GRID)[:, None]
        terms = (grid - self.bottom) ** 2 - self.height * np.cos(
            self.frequency * (grid - self.phase)
        )
        x = grid[terms.argmin(axis=0), 0]
        for _ in range(_N_NEWTON_STEPS):
            angle, pull = self.frequency * (x - self.phase), self.height * self.frequency
            slope = 2.0 * (x - self.bottom) + pull * np.sin(angle)
            x = x - slope / (2.0 + pull * self.frequency * np.cos(angle))
        return x

    def _evaluate(self, X: Any, xp: Any) -> Any:
        bottom, phase = self.bottom, self.phase
        if xp is not np:
            bottom, phase = (
                xp.tensor(one, dtype=X.dtype, device=X.device) for one in (bottom, phase)
            )
        ripples = 1.0 - xp.cos(self.frequency * (X - phase))
        return ((X - bottom) ** 2 + self.height * ripples).sum(1)

    def _key(self) -> tuple[Any, ...]:
        shape = (self.height, self.n_ripples)
        return (*super()._key(), *shape, self.bottom.tobytes(), self.phase.tobytes())

    def __repr__(self) -> str:
        return (
            f"RippledBowl(n_dims={self.n_dims}, height={self.height}, "
            f"n_ripples={self.n_ripples}, random_state={self.random_state!r})"
        )
