"""A landscape of Gaussian pits."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_proxyopt._utils._validation import as_generator, check_integer
from sklearn_proxyopt.problems._base import Problem, read_only

__all__ = ["GaussianPits"]


class GaussianPits(Problem):
    """Pits at random places, of which one is the deepest, with nothing to lead from one to another.

    10 less the greatest of h_i exp(-r_i^2 / (2 s_i^2)) on [-5, 5]^d, where r_i is the distance from
    c_i, in the manner of Gallagher's peaks [1]_. The deepest pit has h = 10 and the value 0 at its
    bottom; the depths of the others are spread evenly from 1.1 to 9.1. Widths s_i are drawn from
    0.7 sqrt(d) to 1.4 sqrt(d), so that the pits fill the box alike in any number of variables.

    Parameters
    ----------
    n_dims : int, default=2
        Number of variables.
    n_pits : int, default=21
        Number of pits.
    random_state : int, RandomState or Generator, default=0
        Draws their places and widths.

    Attributes
    ----------
    bounds : ndarray of shape (n_dims, 2)
        The box.
    x_opt : ndarray of shape (1, n_dims)
        The bottom of the deepest pit.
    f_opt : float
        The value there.

    References
    ----------
    .. [1] Gallagher and Yuan, "A General-Purpose Tunable Landscape Generator", IEEE Transactions on
       Evolutionary Computation 10 (5), 2006, :doi:`10.1109/TEVC.2005.863628`.

    Examples
    --------
    >>> from sklearn_proxyopt.problems import GaussianPits
    >>> problem = GaussianPits(n_dims=3, random_state=1)
    >>> problem(problem.x_opt)
    array([0.])
    """

    half_width = 5.0
    _DEEPEST = 10.0

    def __init__(self, n_dims: int = 2, n_pits: int = 21, random_state: Any = 0) -> None:
        self.n_dims = check_integer(n_dims, "n_dims")
        self.n_pits = check_integer(n_pits, "n_pits")
        self.random_state = random_state
        half_width, rng = self.half_width, as_generator(random_state)
        places = 0.9 * half_width * rng.uniform(-1.0, 1.0, (self.n_pits, self.n_dims))
        widths = rng.uniform(0.7, 1.4, self.n_pits) * np.sqrt(self.n_dims)
        depths = np.append(self._DEEPEST, np.linspace(9.1, 1.1, self.n_pits - 1))
        self.places, self.widths, self.depths = map(read_only, (places, widths, depths))
        self.bounds = read_only(np.tile([-half_width, half_width], (self.n_dims, 1)))
        self.x_opt = read_only(places[:1].copy())

    def _evaluate(self, X: Any, xp: Any) -> Any:
        pits = self.places, self.widths, self.depths
        if xp is not np:
            places, widths, depths = (xp.tensor(a, dtype=X.dtype, device=X.device) for a in pits)
        else:
            places, widths, depths = pits
        squares = ((X[:, None, :] - places) ** 2).sum(2)
        pulls = depths * xp.exp(-squares / (2.0 * widths**2))
        return self._DEEPEST - (pulls.max(1) if xp is np else pulls.amax(1))

    def _key(self) -> tuple[Any, ...]:
        return (*super()._key(), self.places.tobytes())

    def __repr__(self) -> str:
        return (
            f"GaussianPits(n_dims={self.n_dims}, n_pits={self.n_pits}, "
            f"random_state={self.random_state!r})"
        )
